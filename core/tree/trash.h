/*
 * trash - a tag's .trash/: what is retired, and what rm has taken away from it so far.
 *
 * A retired step lies in TAG/.ckptfs/trash/000500 under nanochat's names, and is a step's node like any other: only its
 * path is another. Retired shards lie in TAG/.ckptfs/trash/000500.optim.
 */
#ifndef CK_TREE_TRASH_H
#define CK_TREE_TRASH_H

#include "core/file/dir.h"
#include "core/tree/key.h"

/* The key of what NAME stands for in TAG's .trash/, and as what it is shown. PATH takes PATH_MAX bytes and must outlive
   KEY. CK_ERR_NOENT; what a crash left half moved is not shown, and is the next mount's to finish or take back. */
int trash_key(struct ck_tree *tree, const struct node *tag, const char *name, char *path, struct node_key *key,
	      uint32_t *local, struct ck_error *err);
/* All such names, sorted (ck_names_free), and how many there are. */
int trash_names(struct ck_tree *tree, const struct node *tag, struct ck_names *out, struct ck_error *err);
size_t trash_count(struct ck_tree *tree, const struct node *tag);

/* Whether N is a step in .trash/, or something in one. */
bool node_is_retired(const struct ck_tree *tree, const struct node *n);
/* Whether N stands for shards that are retired alone: its directory is LOCAL_OPTIM. */
bool node_is_shards(const struct node *n);

#endif
