/*
 * change - what programs change in directories: mkdir, unlink, rmdir, rename, setattr, fsync.
 *
 * Each call has its own file: make.c, remove.c, rename.c, attr.c, trigger.c.
 */
#ifndef CK_DRAFT_CHANGE_H
#define CK_DRAFT_CHANGE_H

#include "core/draft/owner.h"
#include "core/tree/types.h"

struct ck_draft_file;
struct ck_drafts;

/* mkdir(2): a tag, a draft ("000600", "000600.partial"), optim/ of a published step, or a directory
   in a draft. The attributes count one lookup, of the tree or of the drafts. CK_ERR_INVALID: a name
   that can't become a step; CK_ERR_EXIST; CK_ERR_PERM: elsewhere. */
int ck_drafts_mkdir(struct ck_drafts *d, ck_ino parent, const char *name, mode_t mode, struct ck_owner owner,
		    struct ck_attr *out, struct ck_error *err);

int ck_drafts_unlink(struct ck_drafts *d, ck_ino parent, const char *name, struct ck_error *err);
int ck_drafts_rmdir(struct ck_drafts *d, ck_ino parent, const char *name, struct ck_error *err);

/* renameat2(2), FLAGS 0 or RENAME_NOREPLACE. Publishes: 000600.partial to 000600, a temporary name
   to one of nanochat's, meta.json into place. Elsewhere between two directories of different drafts
   CK_ERR_SYS EXDEV, so that mv copies. */
int ck_drafts_rename(struct ck_drafts *d, ck_ino parent, const char *name, ck_ino new_parent, const char *new_name,
		     unsigned flags, struct ck_error *err);

/* What a setattr changes; the rest of the fields is ignored. */
struct ck_change {
	bool mode, uid, gid, size, atime, mtime;
	struct stat st;
	bool atime_now, mtime_now;
	pid_t pid;      /* of the program that asks */
};
int ck_drafts_setattr(struct ck_drafts *d, ck_ino ino, struct ck_draft_file *file, const struct ck_change *change,
		      struct ck_attr *out, struct ck_error *err);

/* fsync(2) of a directory: of a draft's own directory it publishes the draft (CK_ERR_INVALID where
   it is unfit, CK_ERR_SYS EBUSY while files of it are open for writing). Elsewhere in a draft, and of
   a .partial, the way to it and the order of its files are on disk, too. */
int ck_drafts_fsyncdir(struct ck_drafts *d, ck_ino ino, struct ck_error *err);

#endif
