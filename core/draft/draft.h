/*
 * draft - what is being written: drafts of steps, shards for published steps, and files under
 * nanochat's own names.
 *
 * A draft is a directory of plain files in the store's own file system, below TAG/.ckptfs; what
 * programs do in it is done to these files. Publishing (publish.h) makes them a step. So a full
 * disk shows at the write that fills it, and drafts survive a kill and a remount.
 *
 *   TAG/.ckptfs/writers              held shared by a mount while it writes to the tag; who gets it
 *                                    alone may clear leftovers (lock.h)
 *   TAG/.ckptfs/000600/files/...     what the mount shows as TAG/000600/...
 *   TAG/.ckptfs/000600/order         the names of the files in the order of their creation, and
 *                                    their renames
 *   TAG/.ckptfs/000600/publish/      the step's files while they are made; intent: what is being
 *                                    renamed into place
 *   TAG/.ckptfs/staged/              files under nanochat's own names until they are closed, and
 *                                    programs' temporary names
 *
 * Inode numbers of all this have CK_INO_DRAFT set. Every call is thread-safe. Directories are named
 * by their inode number, which may be one of the tree's: a tag, a step, its optim/.
 */
#ifndef CK_DRAFT_H
#define CK_DRAFT_H

#include "core/tree/tree.h"

struct ck_drafts;
struct ck_draft_file;   /* an open file */

/*
 * Writing beside TREE (borrowed). Leftovers of a crash are cleared now, in every tag: a publication
 * that had begun is finished or taken back, drafts stay. LOG as in ck_tree_options. With
 * options.read_only drafts are shown and can be read: nothing is cleared, no lock is taken, and nothing
 * below may be called that writes.
 */
int ck_drafts_new(struct ck_tree *tree, const struct ck_tree_options *options, struct ck_drafts **out,
		  struct ck_error *err);
void ck_drafts_free(struct ck_drafts *d);       /* NULL is allowed */

static inline bool ck_is_draft(ck_ino ino) { return (ino & CK_INO_DRAFT) != 0; }

/* Who asks: new files are theirs where the daemon may give files away. */
struct ck_owner {
	uid_t uid;
	gid_t gid;
	pid_t pid;      /* who opens a file is expected to close it */
};

/*
 * The directories of a step that was published on this mount keep the numbers of its draft until the mount ends. INNER:
 * the tree's number for such a one, which is what every call of the tree and of the drafts wants; OUTER: the number that
 * the kernel knows for one of the tree's. Any other number is its own.
 */
ck_ino ck_drafts_inner(struct ck_drafts *d, ck_ino ino);
ck_ino ck_drafts_outer(struct ck_drafts *d, ck_ino ino);

/* As ck_tree_thing(): the draft that INO is in. */
uint64_t ck_drafts_thing(struct ck_drafts *d, ck_ino ino);

/* As their namesakes of the tree; PARENT may be a directory of the tree that holds drafts: then
   only those are found. */
int ck_drafts_lookup(struct ck_drafts *d, ck_ino parent, const char *name, struct ck_attr *out, struct ck_error *err);
void ck_drafts_forget(struct ck_drafts *d, ck_ino ino, uint64_t count);
int ck_drafts_getattr(struct ck_drafts *d, ck_ino ino, struct ck_draft_file *file, struct ck_attr *out,
		      struct ck_error *err);

/* The target of an ordinary link of the store. CK_ERR_SYS ELOOP for a link in a draft: somebody else made that. */
int ck_drafts_readlink(struct ck_drafts *d, ck_ino ino, char *buf, size_t size, struct ck_error *err);

/* As ck_tree_getxattr and ck_tree_listxattr: of NAME.rejected, why it was. */
int ck_drafts_getxattr(struct ck_drafts *d, ck_ino ino, const char *name, char **value, size_t *len,
		       struct ck_error *err);
int ck_drafts_listxattr(struct ck_drafts *d, ck_ino ino, char **names, size_t *len, struct ck_error *err);

/* Adds what the tree doesn't list of INO's directory: drafts, what is being written, and the store's ordinary files. */
int ck_drafts_list(struct ck_drafts *d, ck_ino ino, struct ck_dir *dir, struct ck_error *err);
/* The listing of a draft's directory. */
int ck_drafts_opendir(struct ck_drafts *d, ck_ino ino, struct ck_dir **out, struct ck_error *err);

/* mkdir(2): a tag, a draft ("000600", "000600.partial"), optim/ of a published step, or a directory
   in a draft. The attributes count one lookup, of the tree or of the drafts. CK_ERR_INVALID: a name
   that can't become a step; CK_ERR_EXIST; CK_ERR_PERM: elsewhere. */
int ck_drafts_mkdir(struct ck_drafts *d, ck_ino parent, const char *name, mode_t mode, struct ck_owner owner,
		    struct ck_attr *out, struct ck_error *err);

/* open(2) with O_CREAT; FLAGS are open's. *FILE is the caller's. */
int ck_drafts_create(struct ck_drafts *d, ck_ino parent, const char *name, mode_t mode, int flags,
		     struct ck_owner owner, struct ck_attr *out, struct ck_draft_file **file, struct ck_error *err);

/* open(2) of a draft's file, or for writing of a stored file under nanochat's own name: that one is
   replaced, whole, at close. CK_ERR_PERM for writing to anything else. */
int ck_drafts_open(struct ck_drafts *d, ck_ino ino, int flags, struct ck_owner owner, struct ck_draft_file **file,
		   struct ck_error *err);

/* Whether FILE is a DRAFT.error, of which nothing may be cached. */
bool ck_draft_is_report(const struct ck_draft_file *file);

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
	pid_t pid;      /* who asks */
};
int ck_drafts_setattr(struct ck_drafts *d, ck_ino ino, struct ck_draft_file *file, const struct ck_change *change,
		      struct ck_attr *out, struct ck_error *err);

/* ---- open files ---- */

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

/* fsync(2) of a directory: of a draft's own directory it publishes the draft (CK_ERR_INVALID where
   it is unfit, CK_ERR_SYS EBUSY while files of it are open for writing). Elsewhere in a draft, and of
   a .partial, the way to it and the order of its files are on disk, too. */
int ck_drafts_fsyncdir(struct ck_drafts *d, ck_ino ino, struct ck_error *err);

#endif
