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

/* A key is at most so long: a path holds those of all containers around it, so a long one can come often. */
#define CK_MAX_KEY 65536u

struct ck_checkpoint {
	atomic_uint refs;
	bool model;
	enum ck_content content;
	struct ck_archive *archive;
	struct ck_budget budget;        /* of opening it: what is kept, and what is needed on the way */
	struct ck_arena *arena;         /* keys, shapes, strides */
	struct ck_tensor *tensors;
	size_t count, cap;
	uint32_t *index;                /* by key, open addressing: position + 1 */
	size_t index_size;              /* a power of two, at least twice count */
	struct ck_hash_key hash_key;    /* of both indexes */
	uint32_t *cut_index;            /* by the hash in a cut name, where there are any; as large as `index` */
	uint32_t *unshown;              /* the tensors that are not arrays, rising */
	size_t unshown_count;
	struct ck_buf outline;          /* optimizer shards: the text of rankN.json */
	/* Sizes that cost a computation, once known: size + 1. Any thread may store; all store the
	   same. */
	_Atomic uint64_t safetensors_size, tsv_size;
};

/*
 * Adds T under KEY (copied). If the key is there already: REPLACE puts T in its place, as a Python
 * dict does; else the new one gets a "~2", "~3", ... behind it. *INDEX is where it stands.
 */
int ck_checkpoint_add(struct ck_checkpoint *c, const struct ck_tensor *t, const char *key, size_t len, bool replace,
		      int64_t *index, struct ck_error *err);

int64_t ck_checkpoint_find_key(const struct ck_checkpoint *c, const char *key, size_t len);

/* Checks the record `version`, without which torch opens no file, and reads `byteorder`. CK_ERR_CORRUPT; those of
   ck_archive_load. */
int ck_records_check(struct ck_archive *archive, bool *big_endian, struct ck_error *err);

/* What is known only when all tensors are there. CK_ERR_NOMEM. */
int ck_checkpoint_finish(struct ck_checkpoint *c, struct ck_error *err);

#endif
