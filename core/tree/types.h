/*
 * types - what the calls of the tree and of the drafts take and give: inode numbers, options, attributes.
 */
#ifndef CK_TREE_TYPES_H
#define CK_TREE_TYPES_H

#include "core/base/error.h"
#include "core/file/scratch.h"
#include "core/tree/level.h"

#include <stdbool.h>
#include <sys/stat.h>

typedef uint64_t ck_ino;
#define CK_ROOT_INO ((ck_ino)1)
#define CK_INO_DRAFT ((ck_ino)1 << 63)  /* set in the numbers of drafts, and never in the tree's */
static inline bool ck_is_draft(ck_ino ino) { return (ino & CK_INO_DRAFT) != 0; }

enum ck_device { CK_DEVICE_CPU, CK_DEVICE_MPS, CK_DEVICE_CUDA };

struct ck_tree_options {
	const char *store;      /* absolute path */
	enum ck_level level;
	enum ck_device device;
	bool native;            /* list nanochat's own names too */
	unsigned ranks;         /* show the optimizer as so many ranks would have saved it; 0: as stored */
	bool may_delete;        /* stored checkpoints may be removed under nanochat's own names, and renamed */
	bool read_only;
	/* a link that leads out of the store can't be opened: Permission denied */
	bool contain;
	struct ck_scratch *scratch;     /* where deflated entries are unpacked; borrowed; NULL: each has its own */
	struct ck_ahead *ahead;         /* reads ahead of streams (core/file/ahead.h); borrowed; NULL: nobody does */
	const struct ck_rclone *rclone; /* rclone's mounts (core/file/rclone.h); borrowed; NULL: none is known */
	/* Called, if not NULL, with the line for a stored file that turned out to be unusable; once
	   for each load. From any thread. */
	void (*log)(void *arg, const char *line);
	void *log_arg;
	/* Whether the program behind the present request has given up. Called, if not NULL, by calls that wait for
	   another thread; they end with CK_ERR_SYS EINTR then. Called with locks held, from any thread. */
	bool (*gave_up)(void *arg);
	void *gave_up_arg;
};

/* How long the kernel may rely on an answer, in seconds. For what a change of the store can alter it is less than the
   second within which the mount promises to show the change. */
#define CK_TIMEOUT_CHANGING 0.5
#define CK_TIMEOUT_FIXED 86400.0

struct ck_attr {
	struct stat st;         /* st_ino is the inode number */
	double entry_timeout;   /* of the name, attr_timeout of the attributes */
	double attr_timeout;
};

#endif
