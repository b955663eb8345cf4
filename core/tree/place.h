/*
 * place - where an inode number of the tree stands in the store: for those who write beside the tree (core/draft).
 */
#ifndef CK_PLACE_H
#define CK_PLACE_H

#include "core/tree/level.h"
#include "core/tree/names.h"
#include "core/tree/types.h"

struct ck_tree;

enum ck_place_kind {
	CK_PLACE_BASE = CK_LEVEL_BASE,          /* the base directory */
	CK_PLACE_SOURCE = CK_LEVEL_SOURCE,      /* a checkpoints directory */
	CK_PLACE_TAG = CK_LEVEL_TAG,
	CK_PLACE_STEP,          /* a published step's directory */
	CK_PLACE_OPTIM,         /* its optim/ */
	CK_PLACE_NATIVE,        /* a stored file under nanochat's own name */
	CK_PLACE_TRASH,         /* a tag's .trash/ */
	CK_PLACE_RETIRED,       /* a step in it, and everything below */
	CK_PLACE_OTHER,         /* everything below a step, and links of the mount's own */
};
struct ck_place {
	enum ck_place_kind kind;
	/* BASE, SOURCE, TAG: the directory in the store; STEP, OPTIM, NATIVE, TRASH: the tag's; real (ck_tree_real) */
	char path[4096];
	struct ck_file_name name;       /* STEP, OPTIM: its step; NATIVE: the file */
	ck_ino step;                    /* STEP, OPTIM: the step's directory */
};
/* CK_ERR_STALE also of a step that was moved or removed since. */
int ck_tree_place(struct ck_tree *tree, ck_ino ino, struct ck_place *out, struct ck_error *err);

/* The file or directory of the store whose attributes INO has: its real path, into PATH (PATH_MAX bytes). *VIEW: INO
   shows it as something else. CK_ERR_PERM where there is none. */
int ck_tree_stored(struct ck_tree *tree, ck_ino ino, char *path, bool *view, struct ck_error *err);
/* utimensat(2) of such a path: no change of content to this mount (moves.h). -1 with errno. */
int ck_tree_utimens(struct ck_tree *tree, const char *path, const struct timespec times[2]);
/* Attributes of what INO shows were changed: they are looked at again. */
void ck_tree_changed(struct ck_tree *tree, ck_ino ino);
/* Files came to a tag's directory, or left it: names are read again, whatever the store's client says of its times. */
void ck_tree_renamed(struct ck_tree *tree);

/* This mount changes the store, or just has: see tag.h. */
void ck_tree_wrote(struct ck_tree *tree);
/* Whether the tag's directory TAG has CK_DRAFT_DIR, as far as was seen a moment ago. */
bool ck_tree_has_home(struct ck_tree *tree, const char *tag);

/* Makes PATH (PATH_MAX bytes), of a thing in the store, its real path (real.h), if it is there.
   CK_ERR_SYS EACCES: it leads out of the store, and options.contain. */
int ck_tree_real(const struct ck_tree *tree, char *path, struct ck_error *err);

/* CK_ERR_PERM where options.ranks cuts the shards of STEP in the tag's directory TAG: then nothing is written to them.
   May open them to know; CK_ERR_SYS, CK_ERR_NOMEM. */
int ck_tree_check_uncut(struct ck_tree *tree, const char *tag, uint64_t step, struct ck_error *err);

/* Whether the store's directory is another than at the start: a sandbox knows that one. */
bool ck_tree_is_replaced(const struct ck_tree *tree);

#endif
