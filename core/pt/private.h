/*
 * checkpoint_private - the inside of a checkpoint, for the files that make it up: checkpoint.c
 * (opening), pt/names.c (the tensor table and its index), pt/forms.c (the files it
 * is shown as).
 */
#ifndef CK_CHECKPOINT_PRIVATE_H
#define CK_CHECKPOINT_PRIVATE_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/pt/checkpoint.h"
#include "core/base/hash.h"

#include <stdatomic.h>

/* The longest key. A path repeats the keys of all containers around a tensor, so long keys multiply. */
#define CK_MAX_KEY 65536u

struct ck_checkpoint {
	atomic_uint refs;
	bool model;
	enum ck_content content;
	struct ck_archive *archive;     /* NULL: the tensors are those of SOURCES, joined or cut */
	struct ck_checkpoint **sources; /* a reference to each */
	size_t source_count;
	struct ck_file *config_file;    /* a reference; NULL: none is kept open */
	struct ck_budget budget;        /* pays for opening: what is kept, and what is freed before open returns */
	struct ck_arena *arena;         /* keys, shapes, strides */
	struct ck_tensor *tensors;
	size_t count, cap;
	uint32_t *index;                /* by key, open addressing: position + 1, 0 in a free slot */
	size_t index_size;              /* a power of two, at least twice count */
	struct ck_hash_key hash_key;    /* of both indexes */
	uint32_t *cut_index;            /* by the hash in a cut name, NULL where no name is cut; as large as `index` */
	uint32_t *unshown;              /* the positions of tensors that are not arrays, ascending */
	size_t unshown_count;
	struct ck_buf outline;          /* optimizer shards: the text of rankN.json */
	struct ck_hf *hf;               /* models that were opened with a config: see hf.h; else NULL */
	/* Sizes that are expensive to compute: size + 1, 0 until known. Any thread may store one; all store the
	   same. */
	_Atomic uint64_t safetensors_size, tsv_size, hf_size;
};

/*
 * Adds T under KEY (copied), and sets *INDEX to its position. If the key exists: with REPLACE, T takes the place of the
 * old tensor, as in a Python dict; otherwise T's key gets "~2", "~3", ... appended.
 */
int ck_checkpoint_add(struct ck_checkpoint *c, const struct ck_tensor *t, const char *key, size_t len, bool replace,
		      int64_t *index, struct ck_error *err);

int64_t ck_checkpoint_find_key(const struct ck_checkpoint *c, const char *key, size_t len);

/* Checks the record `version`, without which torch opens no file, and reads `byteorder`. CK_ERR_CORRUPT, and the
   errors of ck_archive_load. */
int ck_records_check(struct ck_archive *archive, bool *big_endian, struct ck_error *err);

/* Builds what needs all tensors: the list of unshown ones and the index of cut names. CK_ERR_NOMEM. */
int ck_checkpoint_finish(struct ck_checkpoint *c, struct ck_error *err);

#endif
