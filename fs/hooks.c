/* hooks - what the loop asks of the driver: what a request may wait for, and to free what is idle. See fs/loop.h. */
#include "fs.h"

#include <linux/fuse.h>

/*
 * Of requests that may wait for one thing only so many are served at a time. A file of a draft, or a view of a stored
 * file, may wait for that draft or that file. A name in another directory may be anything, so it counts by itself.
 * Kinds of requests count apart: publishing waits for files to be closed, which must not stand in line behind it.
 */
uint64_t fs_thing(void *arg, const struct fuse_in_header *request)
{
	struct fs *fs = arg;
	const char *name = request->opcode == FUSE_LOOKUP ? (const char *)(request + 1) : NULL;
	uint64_t ino = ck_drafts_inner(fs->drafts, request->nodeid), thing;

	thing = ck_is_draft(ino) ? ck_drafts_thing(fs->drafts, ino) : ck_tree_thing(fs->tree, ino, name);
	return thing ^ (uint64_t)request->opcode << 56;
}

void fs_tick(void *arg)
{
	struct fs *fs = arg;

	ck_scratch_tidy(fs->scratch);
	ck_ahead_tidy(fs->ahead);
	ck_tree_tidy(fs->tree);
}
