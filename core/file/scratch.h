/*
 * scratch - the temporary space of a whole mount: one unnamed file in $TMPDIR (else /tmp), within one budget.
 *
 * A block is a piece of that file. It holds the bytes of one deflated entry, inflated when the entry was first read.
 * Readers hold a block while they read it. A block that nobody has read for a while is given back to the file system;
 * sooner, if another block needs the space. Its entry is inflated again when it is next read.
 *
 * Giving back means punching a hole. Where the file system can't do that, the space is given back with the last block.
 * Every call is thread-safe.
 */
#ifndef CK_SCRATCH_H
#define CK_SCRATCH_H

#include "core/file/origin.h"

struct ck_scratch;

/* MAX: bytes that all blocks together may take; 0: half of what the file system would have free without them. The file
   is made with the first block, and closed with the last. NULL when out of memory. */
struct ck_scratch *ck_scratch_new(uint64_t max);
/* After all blocks are dropped. NULL is allowed. */
void ck_scratch_free(struct ck_scratch *s);

/* The block at *PLACE, if one is there: held until ck_block_release(). Else NULL. */
struct ck_block *ck_scratch_hold(struct ck_scratch *s, struct ck_block *const *place);

/* A new block of SIZE bytes, held, to be filled through its file. Waits a little where blocks were read just now.
   CK_ERR_SYS ENOSPC: it passes what is left of the budget; and what open(2) of the file fails with. */
int ck_scratch_make(struct ck_scratch *s, uint64_t size, struct ck_block **out, struct ck_error *err);

/* The block is filled: it is found at *PLACE from now on, until it is given back. */
void ck_scratch_put(struct ck_scratch *s, struct ck_block *block, struct ck_block **place);
/* Drops the block at *PLACE. Nobody holds it, or will ask for it any more. */
void ck_scratch_drop(struct ck_scratch *s, struct ck_block **place);

/* Gives back what nobody has read for CK_SCRATCH_IDLE_MS: to be called now and then. */
#define CK_SCRATCH_IDLE_MS 10000
void ck_scratch_tidy(struct ck_scratch *s);

/* The bytes that the file holds now, and their blocks. */
void ck_scratch_status(struct ck_scratch *s, uint64_t *used, size_t *blocks);

/* Of a block that is held: the file (borrowed) and where the block starts in it. */
struct ck_file *ck_block_file(const struct ck_block *block);
uint64_t ck_block_offset(const struct ck_block *block);
/* A block that was not put anywhere is dropped. NULL is allowed. */
void ck_block_release(struct ck_block *block);

/* The reader at ORIGIN is done. */
static inline void ck_origin_release(struct ck_origin *origin)
{
	ck_block_release(origin->block);
	origin->block = NULL;
}

/* Where temporary files go: $TMPDIR or /tmp. */
const char *ck_temporary_dir(void);
/* A descriptor of a new file there, without a name. CK_ERR_SYS. */
int ck_unnamed_file(int *fd, struct ck_error *err);

#endif
