/*
 * there - whether a step is still there whose number the kernel has, and the shards that are being written to it.
 */
#ifndef CK_TREE_THERE_H
#define CK_TREE_THERE_H

#include "core/tree/private.h"

/* CK_ERR_STALE where N is a step that was moved or removed, or (LOCAL_OPTIM) its shards. */
int tree_check_there(struct ck_tree *tree, const struct node *n, uint32_t local, struct ck_error *err);

/* optim/ of the draft for shards of a published step, into PATH of PATH_MAX bytes; false: there is none. */
bool tree_path_of_written(struct ck_tree *tree, const struct node *step, char *path);

#endif
