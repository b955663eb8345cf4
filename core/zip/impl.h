/*
 * archive_impl - the inside of an archive, for zip/open.c, which fills it, and archive.c, which serves it.
 */
#ifndef CK_ARCHIVE_IMPL_H
#define CK_ARCHIVE_IMPL_H

#include "core/zip/archive.h"
#include "core/base/hash.h"
#include "core/file/scratch.h"
#include "core/zip/dir.h"

#include <pthread.h>
#include <stdatomic.h>

#define CK_UNPLACED UINT64_MAX
#define CK_NO_SLOT UINT32_MAX

/*
 * An entry and what is known of its place. Two threads that place a stored entry at once find the same offset. A
 * deflated one lies in a block of temporary space, which comes and goes.
 */
struct ck_slot {
	struct ck_entry entry;
	uint64_t limit;                         /* where the next entry or the central directory starts */
	uint16_t flags;                         /* of the central record */
	_Atomic uint64_t offset;                /* stored: of the bytes, or CK_UNPLACED */
	struct ck_block *block;                 /* deflated: where the bytes are, or NULL; see ck_scratch_put() */
	_Atomic(struct ck_error *) failure;     /* why the entry has no place; owned */
};

struct ck_archive {
	atomic_uint refs;
	struct ck_file *file;
	struct ck_slot *slots;
	size_t count, names_len;
	char *names;                    /* each whole, "TOP/data/0", and NUL-terminated */
	size_t top_len;                 /* of "TOP/" */
	uint64_t records_start;         /* of the central directory */
	uint32_t *index;                /* open addressing: slot numbers, at most half full */
	size_t mask;
	/* Every CRC is 0: they were turned off (torch.serialization.set_crc32_options). */
	bool no_crcs;
	struct ck_hash_key key;         /* of the index */
	pthread_mutex_t inflating;      /* lets no entry be inflated to temporary space twice */
	struct ck_scratch *scratch;     /* for deflated entries */
	bool own_scratch;               /* a program without a mount gave none */
	struct ck_zipbytes ends[2];     /* the file's end and its beginning, see ends.h; owned */
};

/*
 * The place in the index of the entry NAME, or the free place where it belongs. Small and capital letters are the
 * same there, as to torch's zip reader, which finds DATA.PKL when asked for data.pkl: a file that has both would be
 * one thing here and another to torch.load.
 */
uint32_t *ck_archive_index_at(const struct ck_archive *archive, const char *name);

#endif
