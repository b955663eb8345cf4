/*
 * open - an open file of a draft. It may begin with the bytes of the stored file that it is to replace (native.h).
 */
#ifndef CK_DRAFT_OPEN_H
#define CK_DRAFT_OPEN_H

#include "core/draft/owner.h"
#include "core/draft/private.h"

/* open(2)'s FLAGS for the file on disk: what the kernel does itself (append, the creation) is not for that. */
int draft_file_flags(int flags);

/* An open file of NODE. It takes over NODE's reference and FD (of a DRAFT.error: TEXT), on failure too. */
int draft_file_new(struct ck_drafts *d, struct dnode *node, int fd, char *text, int flags, pid_t opener,
		   struct ck_draft_file **out, struct ck_error *err);
/* Opens the file NAME at W, and makes it where it is not there yet. */
int draft_file_create(struct ck_drafts *d, struct where *w, const char *name, mode_t mode, int flags,
		    struct ck_owner owner, struct ck_attr *attr, struct ck_draft_file **out, struct ck_error *err);
void draft_file_put(struct ck_drafts *d, struct ck_draft_file *file);

/* NODE's file is published, or isn't after all: its open files can't be written to any more, or can again. */
void draft_file_set_published(struct ck_drafts *d, struct dnode *node, bool published);
int draft_file_truncate(struct ck_drafts *d, struct ck_draft_file *file, off_t size, struct ck_error *err);

/* Before FILE is first read or changed: it begins with the stored one's bytes, unless they aren't
   wanted. */
int draft_file_copy_old(struct ck_draft_file *file, bool wanted, struct ck_error *err);
bool draft_file_has_old(struct ck_draft_file *file);

/* FILE was closed, and is complete until it is written to again. */
void draft_file_set_closed(struct ck_drafts *d, struct ck_draft_file *file);
/* Whether FILE was written to since. */
bool draft_file_is_pending(struct ck_drafts *d, const struct ck_draft_file *file);

#endif
