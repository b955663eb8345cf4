/*
 * native - files under nanochat's own names (model_000500.pt), from open to close. They are written beside their place,
 * and are renamed into it when they are closed and judge.h lets them pass.
 */
#ifndef CK_DRAFT_NATIVE_H
#define CK_DRAFT_NATIVE_H

#include "core/draft/owner.h"
#include "core/draft/private.h"

struct ck_place;

/* CK_ERR_PERM where NATIVE, in TAG, is a shard of a step that is shown cut (ck_tree_check_uncut). */
int native_check_uncut(struct ck_drafts *d, const char *tag, const struct ck_file_name *native, struct ck_error *err);
/* A new file that will have the name NATIVE in TAG, a real path. */
int native_create(struct ck_drafts *d, const char *tag, const struct ck_file_name *native, mode_t mode, int flags,
		  struct ck_owner owner, struct ck_attr *attr, struct ck_draft_file **out, struct ck_error *err);
/* Opens what will replace the stored file of inode INO. */
int native_open(struct ck_drafts *d, ck_ino ino, const struct ck_place *place, int flags, struct ck_owner owner,
		struct ck_draft_file **file, struct ck_error *err);
/* What OPENER has open to replace the stored file of INO: a reference (draft_file_put), or NULL. */
struct ck_draft_file *native_find(struct ck_drafts *d, ck_ino ino, pid_t opener);
/* FILE is closed: puts it in place, or, where it must not have its name, beside it (judge.h). */
int native_flush(struct ck_drafts *d, struct ck_draft_file *file, struct ck_error *err);
void native_release(struct ck_drafts *d, struct ck_draft_file *file);
/* Puts the file at PATH in place as NAME in TAG, replacing what is there: judged, fsynced, renamed. CK_ERR_INVALID: it
   must not have that name (judge.h). */
int native_publish(const char *tag, const char *path, const struct ck_file_name *name, struct ck_error *err);

#endif
