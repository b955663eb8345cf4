/*
 * private - the structs of the drafts, for the files of this folder. Functions are in the headers beside it: table.h
 * (the drafts), use.h (who may use one), dnode.h and dnode_path.h (their inodes), where.h (directories), open.h (open
 * files).
 */
#ifndef CK_DRAFT_PRIVATE_H
#define CK_DRAFT_PRIVATE_H

#include "core/tree/names.h"
#include "core/tree/place.h"
#include "core/tree/types.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

struct ck_lock;
struct ck_locks;
struct ck_tree;

/*
 * What a directory is to the mount: the kinds of ck_draft_kind, each a directory of TAG/.ckptfs; the one of files under
 * nanochat's own names there; and the one that stands for all ordinary files and directories of the store (plain.h),
 * wherever they lie. There is one of that kind for the whole mount, so that they can be renamed from tag to tag.
 */
#define DRAFT_STAGED ((enum ck_draft_kind)(CK_DRAFT_OPTIM + 1))
#define DRAFT_PLAIN ((enum ck_draft_kind)(CK_DRAFT_OPTIM + 2))

/*
 * An arrival that waits for files to be released, and may publish then. Two that waited for each other would wait
 * forever: so the later one of a shard, or of a step, does it for both.
 */
struct turn {
	struct turn *before;
	int64_t rank;           /* whose shard arrived; -1: a step's file */
};

struct draft {
	struct draft *next;
	struct ck_drafts *drafts;
	unsigned refs;          /* inodes that lie in it, and uses under way */
	struct dnode *nodes;    /* these inodes */
	enum ck_draft_kind kind;        /* STEP also for a .partial, OPTIM, DRAFT_STAGED, DRAFT_PLAIN */
	atomic_bool gone;       /* published or removed: its inodes are stale */
	/* Open files that may be written to; and those of them that were closed after the last
	   write: their release is on its way, unless they are open a second time. */
	unsigned writers, closed;
	/* Of the published draft something is left, DIR.trash: on some stores a file stays while it is open. */
	atomic_bool left;
	atomic_bool unsynced;   /* files came to its order since that was fsynced */
	atomic_ullong changes;  /* of its files, counted */
	/* Under the table's lock: a record arrived and is not published yet, so that the close of the last file does
	   it; who waits for that, the last first; why the last try failed, and after how many changes; the text of
	   DRAFT.error, and when it was made. */
	bool waiting;
	struct turn *turns;
	char *failure, *report;
	uint64_t failed_at, report_at;
	int64_t report_ms;
	unsigned report_writers;
	/* Held shared while the draft's files are changed, exclusively while it is published: the published
	   files stand still. It is taken before the table's lock, never while holding that. */
	pthread_rwlock_t lock;
	char *tag;              /* the tag's directory */
	/* The tag's lock, held while the draft is changed and while files of it are open for writing. */
	struct ck_lock *tag_lock;
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
	atomic_llong settled;   /* PLAIN: its ctime in ns at an open when it had not changed for a while; 0 */
	struct draft *draft;    /* a reference */
	struct dnode *before, *after;   /* in that draft's list */
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
	bool native;            /* options.native */
	/* The base directory's tokenizer/, whose files are guarded as checkpoints are; or NULL. */
	char *guarded;
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

/* A directory of the mount in which something may be written. (struct ck_place says where a number of the tree's lies
   in the store, written to or not.) */
struct where {
	struct draft *draft;    /* a reference */
	struct dnode *dir;      /* a reference; NULL: the draft's own directory */
	/* PLAIN, without a DIR: which kind of the tree's directories (BASE, SOURCE, TAG), and its path in the store
	   (free()) */
	enum ck_place_kind kind;
	char *base;
};

#endif
