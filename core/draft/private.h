/*
 * draft_private - the inside of the drafts, for the files that make it up: draft.c (the drafts),
 * dnode.c (their inodes), draft/dirs.c (lookup, listing), draft/change.c (mkdir,
 * rmdir, unlink), draft/rename.c, draft/files.c (open files), draft/native.c (those under nanochat's names),
 * draft/attr.c, draft/trigger.c (the doors).
 */
#ifndef CK_DRAFT_PRIVATE_H
#define CK_DRAFT_PRIVATE_H

#include "core/draft/draft.h"
#include "core/draft/lock.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

/*
 * What a directory is to the mount: the kinds of ck_draft_kind, each a directory of TAG/.ckptfs; the one of files under
 * nanochat's own names there; and the one that stands for all ordinary files and directories of the store (plain.h),
 * wherever they lie. There is one of that kind for the whole mount, so that they can be renamed from tag to tag.
 */
#define DRAFT_STAGED ((enum ck_draft_kind)(CK_DRAFT_OPTIM + 1))
#define DRAFT_PLAIN ((enum ck_draft_kind)(CK_DRAFT_OPTIM + 2))

struct draft {
	struct draft *next;
	struct ck_drafts *drafts;
	unsigned refs;          /* inodes that lie in it, and uses under way */
	enum ck_draft_kind kind;        /* STEP also for a .partial, OPTIM, DRAFT_STAGED, DRAFT_PLAIN */
	atomic_bool gone;       /* published or removed: its inodes are stale */
	/* Open files that may be written to; and those of them that were closed after the last
	   write: their release is on its way, unless they are open a second time. */
	unsigned writers, closed;
	atomic_bool unsynced;   /* files came to its order since that was fsynced */
	atomic_ullong changes;  /* of its files, counted */
	/* Under the table's lock: a record arrived while files were open, so that the close of the last one publishes; why the
	   last try failed, and after how many changes; the text of DRAFT.error, and when it was made. */
	bool waiting;
	char *failure, *report;
	uint64_t failed_at, report_at;
	int64_t report_ms;
	unsigned report_writers;
	/* Taken shared by whoever changes the draft's files, exclusively by publishing: what is
	   published stands still. Taken before the table's lock, never while holding it. */
	pthread_rwlock_t lock;
	char *tag;              /* the tag's directory */
	struct ck_lock *tag_lock;       /* its lock, held while the draft is changed and while files of it are open for writing */
	_Atomic ck_ino within;  /* the tree's directory that it is seen in: a tag; OPTIM: a step */
	/* A rename changes these three, with both locks held. */
	bool partial;
	uint64_t step;
	char *dir;              /* TAG/.ckptfs/NAME; PLAIN: "" */
};

/* Which file of the store's own file system it is. */
struct file_id {
	uint64_t dev, ino;
};

/* A file or directory of a draft, as the kernel knows it. */
struct dnode {
	UT_hash_handle hh;      /* by ino */
	UT_hash_handle by_file; /* by file, unless it is dead */
	ck_ino ino;
	struct file_id file;
	uint64_t lookups;       /* the kernel's */
	unsigned refs;          /* children, and uses under way */
	atomic_bool dead;       /* unlinked, or replaced by a rename */
	atomic_bool report;     /* DRAFT.error, which is on no disk */
	struct draft *draft;    /* a reference */
	struct dnode *parent;   /* a reference; NULL for the draft's own directory, and in one of the tree's */
	char *name;             /* in the parent; PLAIN without a parent: its path, without the first slash */
	struct ck_draft_file *open;
};

struct ck_draft_file {
	struct ck_draft_file *next;     /* of the same inode */
	unsigned refs;
	int fd;
	pid_t opener;
	struct dnode *node;     /* a reference */
	char *text;             /* of DRAFT.error, as it was at open; there is no FD then */
	bool writable;
	bool closed;            /* since the last write: see struct draft */
	bool pending;           /* written since the last close that counted */
	struct ck_file_name native;     /* what it becomes at close; has_native: whether it does */
	bool has_native;
	bool keep;              /* it was found unfit, and must become NAME.rejected when it is released */
	atomic_int failed;      /* the errno of the first write that failed, which close tells again */
	atomic_bool published;  /* and is in place */
	/* The stored file that it will replace, until its bytes are copied or not wanted any more;
	   under OLD_LOCK. */
	ck_ino replaces;
	struct ck_file *old;
	pthread_mutex_t old_lock;
};

struct ck_drafts {
	struct ck_tree *tree;
	void (*log)(void *arg, const char *line);
	void *log_arg;
	bool may_delete;        /* options.may_delete */
	_Atomic time_t refused_at;      /* the second in which that was last logged */
	bool (*gave_up)(void *arg);     /* as in ck_tree_options */
	void *gave_up_arg;
	/* Guards the tables: inodes, drafts, and the counts in them. Never held
	   during a system call that may wait for the store's data. */
	pthread_mutex_t lock;
	pthread_cond_t released;        /* a file that might be written to was released */
	struct dnode *inodes;   /* by number */
	struct dnode *files;    /* by file */
	struct draft *drafts;
	struct draft *plain;    /* the one of kind PLAIN, a reference; NULL before its first use */
	struct ck_locks *locks; /* the tags' */
	struct alias *aliases, *inner_aliases;
	atomic_bool has_aliases;
	uint64_t moves;         /* renames within drafts so far */
	/* for inodes whose own number is taken by one that is dead but not forgotten */
	uint64_t next_ino;
};

/* ---- draft.c ---- */

/* The draft TAG/.ckptfs/NAME, a reference. If it isn't there it is made for MAKER; NULL: CK_ERR_NOENT. */
int draft_get(struct ck_drafts *d, const char *tag, enum ck_draft_kind kind, uint64_t step,
	      const struct ck_owner *maker, struct draft **out, struct ck_error *err);
int draft_get_plain(struct ck_drafts *d, struct draft **out, struct ck_error *err);
void draft_put(struct ck_drafts *d, struct draft *draft);
void draft_put_locked(struct ck_drafts *d, struct draft *draft);       /* with D's lock held */

/* The directory that holds the draft's visible files: DIR/files, or DIR itself for staged and plain ones. */
bool draft_files_path(struct ck_drafts *d, const struct draft *draft, char *path);

/* Renames the draft on disk to DIR, where nothing may be. The caller holds its lock exclusively. */
int draft_move(struct ck_drafts *d, struct draft *draft, const char *dir, bool partial, uint64_t step,
	       struct ck_error *err);

/* fsync of the order of the draft's files, if any came; with WAY also of the directories by which the
   draft is found. */
int draft_sync(struct ck_drafts *d, struct draft *draft, bool way, struct ck_error *err);

/* Notes in the draft's order that the file at PATH was made, or was renamed. Its lock is held, shared at least. */
int draft_note_made(struct draft *draft, const char *path, struct ck_error *err);
int draft_note_moved(struct draft *draft, const char *from, const char *to, struct ck_error *err);

/* The lock of the draft's tag (lock.h); the store's ordinary files have none. */
int draft_hold(struct draft *draft, struct ck_error *err);
void draft_drop(struct draft *draft);

/* The draft's files changed: what DRAFT.error said is said anew. */
static inline void draft_changed(struct draft *draft) { atomic_fetch_add(&draft->changes, 1); }

/* Shared use: from begin to end the draft isn't published and isn't gone, CK_ERR_STALE; and no other mount takes what is in
   it for leftovers, but for a reader, who may have no right to the tag's lock. CK_ERR_SYS EINTR: who asked gave up while
   another publishes. */
int draft_begin(struct draft *draft, struct ck_error *err);
/* Use by this call alone. The draft may be gone. CK_ERR_SYS EINTR. */
int draft_begin_alone(struct draft *draft, struct ck_error *err);
void draft_end(struct draft *draft);
int draft_begin_read(struct draft *draft, struct ck_error *err);
void draft_end_read(struct draft *draft);

/* ---- dnode.c ---- */

/* The draft was published or removed: its inodes are dead. */
void draft_set_gone(struct ck_drafts *d, struct draft *draft);

/* The inode of NAME in PARENT (NULL: the draft's own directory), whose attributes are ST; a
   reference. NULL when out of memory. */
struct dnode *dnode_get(struct ck_drafts *d, struct draft *draft, struct dnode *parent, const char *name,
			const struct stat *st);
/*
 * The same for a lookup, which no lock of the kernel's keeps apart from a rename: ST was taken while there had been
 * MOVES renames. NULL, too, when there were others since, one of which may have given the file another name.
 */
struct dnode *dnode_get_unmoved(struct ck_drafts *d, struct draft *draft, struct dnode *parent, const char *name,
				const struct stat *st, uint64_t moves);
uint64_t dnode_moves(struct ck_drafts *d);
struct dnode *dnode_find(struct ck_drafts *d, ck_ino ino);      /* a reference; NULL when unknown */
void dnode_put(struct ck_drafts *d, struct dnode *node);
/* counts one of the kernel's lookups */
void dnode_look_up(struct ck_drafts *d, struct dnode *node);
/*
 * The file whose attributes are ST is about to go: its inode, if the kernel knows it, is dead (its
 * number may be given to another file at once). A reference, or NULL. When the file stays after
 * all, it lives on.
 */
struct dnode *dnode_kill(struct ck_drafts *d, const struct stat *st);
void dnode_revive(struct ck_drafts *d, struct dnode *node);
/* A descriptor for who asks about a file that is gone but open; -1. */
int dnode_dup(struct ck_drafts *d, struct dnode *node);
void dnode_move(struct ck_drafts *d, const struct stat *st, struct draft *draft, struct dnode *parent,
		const char *name);
bool dnode_path(struct ck_drafts *d, struct dnode *node, const char *name, char *path);

/* The inode number of the file whose attributes are ST. */
ck_ino dnode_number(struct ck_drafts *d, const struct stat *st);
ck_ino dnode_parent_number(struct ck_drafts *d, const struct dnode *node);      /* 0: it has none */
void dnode_attr(struct ck_drafts *d, const struct dnode *node, const struct stat *st, struct ck_attr *out);

/* ---- names.c ---- */

/* NAME can't become a draft's in TAG: says so in the log, with the step's canonical name where NAME has
   its number. CK_ERR_INVALID. */
int draft_refuse_name(struct ck_drafts *d, const char *tag, const char *name, struct ck_error *err);
/* The same of a name that can't become a tag's in SOURCE. */
int draft_refuse_tag(struct ck_drafts *d, const char *source, const char *name, struct ck_error *err);

/* ---- draft.c ---- */

/* A line for the log. */
void draft_say(struct ck_drafts *d, const struct ck_error *err);

/* ---- draft/dirs.c ---- */

/* A directory of the mount in which drafts' things lie. */
struct where {
	struct draft *draft;    /* a reference */
	struct dnode *dir;      /* a reference; NULL: the draft's own directory */
	/* PLAIN, without a DIR: which kind of the tree's directories (TAG, SOURCE), and its path in the store (free()) */
	enum ck_place_kind kind;
	char *base;
};
/* Resolves the directory INO to a place in a draft: a directory of a draft; optim/ of a published
   step (its draft is made for MAKER, NULL: not made); a tag or a checkpoints directory (the store's ordinary
   files). CK_ERR_PERM elsewhere. */
int where_find(struct ck_drafts *d, ck_ino ino, const struct ck_owner *maker, struct where *out, struct ck_error *err);
/* optim/ of the draft for shards of a published step. */
int shards_find(struct ck_drafts *d, const struct ck_place *place, const struct ck_owner *maker, struct where *w,
		struct ck_error *err);
void where_put(struct ck_drafts *d, struct where *w);
bool where_path(struct ck_drafts *d, const struct where *w, const char *name, char *path);
/* The inode of NAME at W, whose attributes are ST; see dnode_get. And NAME was given to it by a rename. */
struct dnode *where_node(struct ck_drafts *d, const struct where *w, const char *name, const struct stat *st);
bool where_moved(struct ck_drafts *d, const struct where *w, const char *name, const struct stat *st);
/* Makes the directory of W where it is nanochat's for a source and isn't there yet. */
int where_make(const struct where *w, struct ck_owner owner, struct ck_error *err);
/* Whether NAME may be created at W. */
int where_allows(struct ck_drafts *d, ck_ino ino, const struct where *w, const char *name, struct ck_error *err);

/* ---- draft/change.c ---- */

/* A draft goes when its directory is empty. */
int draft_remove(struct ck_drafts *d, const char *tag, enum ck_draft_kind kind, uint64_t step, struct ck_error *err);
/* Whether the stored file NAME may be removed or get another name: CK_ERR_PERM without -o delete, with a line in the log. */
int native_may_go(struct ck_drafts *d, const char *name, struct ck_error *err);
/* RC and WHY of a change of NAME in PLACE; CK_ERR_PERM where that is a published step's. */
int draft_or_published(const struct ck_place *place, const char *name, int rc, const struct ck_error *why,
		       struct ck_error *err);

/* ---- draft/files.c ---- */

/* A file at W. */
int draft_create_at(struct ck_drafts *d, struct where *w, const char *name, mode_t mode, int flags,
		    struct ck_owner owner, struct ck_attr *attr, struct ck_draft_file **out, struct ck_error *err);
void draft_file_put(struct ck_drafts *d, struct ck_draft_file *file);
/* NODE's file is in place, or is not: what is open of it can't be written to any more, or can again. */
void draft_set_published(struct ck_drafts *d, struct dnode *node, bool published);
int draft_file_truncate(struct ck_drafts *d, struct ck_draft_file *file, off_t size, struct ck_error *err);

/* ---- draft/native.c: files under nanochat's own names, from open to close ---- */

/* A new file that will have the name NATIVE in TAG, a real path. */
int native_create(struct ck_drafts *d, const char *tag, const struct ck_file_name *native, mode_t mode, int flags,
		  struct ck_owner owner, struct ck_attr *attr, struct ck_draft_file **out, struct ck_error *err);
/* Opens what will replace the stored file of inode INO. */
int native_open(struct ck_drafts *d, ck_ino ino, const struct ck_place *place, int flags, struct ck_owner owner,
		struct ck_draft_file **file, struct ck_error *err);
/* What OPENER has open to replace the stored file of INO: a reference (draft_file_put), or NULL. */
struct ck_draft_file *native_find(struct ck_drafts *d, ck_ino ino, pid_t opener);
/* Before FILE is first read or changed: it begins with the stored one's bytes, unless they aren't
   wanted. */
int native_take_old(struct ck_draft_file *file, bool wanted, struct ck_error *err);
bool native_has_old(struct ck_draft_file *file);
/* FILE is closed: puts it in place, or, where it must not have its name, beside it (judge.h). */
int native_flush(struct ck_drafts *d, struct ck_draft_file *file, struct ck_error *err);
void native_release(struct ck_drafts *d, struct ck_draft_file *file);
/* Puts the file at PATH in place as NAME in TAG, replacing what is there: judged, fsynced, renamed. CK_ERR_INVALID: it
   must not have that name (judge.h). */
int native_publish(const char *tag, const char *path, const struct ck_file_name *name, struct ck_error *err);

/* ---- draft/alias.c: what a published draft's inodes stand for ---- */

/* The draft was published as WITHIN's step; its directories that the kernel knows become the step's. */
void alias_published(struct ck_drafts *d, struct draft *draft);
/* Whether INO is such a directory's. With the lock held. */
bool alias_has(const struct ck_drafts *d, ck_ino ino);
/* The tree's number of the file that became of NODE: a lookup of it is the caller's. 0: of none. */
ck_ino alias_of_file(struct ck_drafts *d, struct dnode *node);
void alias_free_all(struct ck_drafts *d);

/* ---- draft/report.c: DRAFT.error ---- */

#define REPORT_MAX 1536
/* Whether NAME at W is DRAFT.error. */
bool report_is(struct ck_drafts *d, const struct where *w, const char *name);
/* Its line as of now, into LINE of REPORT_MAX bytes. */
void report_text(struct ck_drafts *d, struct draft *draft, char *line);
int report_stat(struct ck_drafts *d, struct draft *draft, struct dnode *dir, struct stat *st, struct ck_error *err);
int report_lookup(struct ck_drafts *d, struct where *w, struct ck_attr *out, struct ck_error *err);
int report_list(struct ck_drafts *d, const struct where *w, struct ck_dir *dir, struct ck_error *err);
int report_open(struct ck_drafts *d, struct dnode *node, char **text, struct ck_error *err);
/* Publishing failed: that is what DRAFT.error says until something is changed. */
void report_failure(struct ck_drafts *d, struct draft *draft, const struct ck_error *why);

/* ---- draft/trigger.c ---- */

/* Publishes DRAFT (see publish.h; FLAGS are ck_plan_make's) unless more than OWN_WRITERS of its files, with
   ONLY_RANK >= 0 of that shard's, are open for writing: CK_ERR_SYS EBUSY. What makes it unfit is logged, and told by
   DRAFT.error. */
int draft_publish(struct ck_drafts *d, struct draft *draft, int64_t only_rank, unsigned own_writers, unsigned flags,
		  struct ck_error *err);

/* The file NODE was closed or renamed into place: publishes where that is a way to publish, or where the draft waited
   for the last file to be closed. Being unfit or busy is no failure here. */
int draft_arrived(struct ck_drafts *d, struct dnode *node, unsigned own_writers, struct ck_error *err);
/* A file that could be written to was released, without a close to tell of it: a mapping was the last of it. */
void draft_released(struct ck_drafts *d, struct dnode *node);

#endif
