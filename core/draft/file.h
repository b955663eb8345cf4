/*
 * file - the open files of drafts, and those under nanochat's own names: from open to release.
 *
 * files.c opens and closes them, open.c reads and writes.
 */
#ifndef CK_DRAFT_FILE_H
#define CK_DRAFT_FILE_H

#include "core/draft/owner.h"
#include "core/tree/types.h"

struct ck_drafts;
struct ck_draft_file;   /* an open file */

/* open(2) with O_CREAT; FLAGS are open's. *FILE is the caller's. */
int ck_drafts_create(struct ck_drafts *d, ck_ino parent, const char *name, mode_t mode, int flags,
		     struct ck_owner owner, struct ck_attr *out, struct ck_draft_file **file, struct ck_error *err);

/* open(2) of a draft's file, or for writing of a stored file under nanochat's own name: that one is
   replaced, whole, at close. CK_ERR_PERM for writing to anything else. */
int ck_drafts_open(struct ck_drafts *d, ck_ino ino, int flags, struct ck_owner owner, struct ck_draft_file **file,
		   struct ck_error *err);

/* Whether FILE is a DRAFT.error, of which nothing may be cached; an ordinary file of the store, which others may have
   open. */
bool ck_draft_is_report(const struct ck_draft_file *file);
bool ck_draft_is_ordinary(const struct ck_draft_file *file);
/* FILE has just been opened: whether the pages that the kernel has of it are right. */
bool ck_draft_keeps_pages(struct ck_draft_file *file);

int ck_draft_read(struct ck_draft_file *file, uint64_t offset, void *buf, size_t len, size_t *got,
		  struct ck_error *err);
int ck_draft_write(struct ck_drafts *d, struct ck_draft_file *file, uint64_t offset, const void *buf, size_t len,
		   struct ck_error *err);
/* fsync(2), also of the file's place in the order of the draft's files. */
int ck_draft_fsync(struct ck_drafts *d, struct ck_draft_file *file, struct ck_error *err);
/*
 * close(2) of one descriptor by CLOSER: publishes where this file completes something. What fails
 * here reaches the writer. A descriptor that a child has from the opener, who still lives, completes
 * nothing.
 */
int ck_draft_flush(struct ck_drafts *d, struct ck_draft_file *file, pid_t closer, struct ck_error *err);
/* The last descriptor is gone. */
void ck_draft_release(struct ck_drafts *d, struct ck_draft_file *file);

#endif
