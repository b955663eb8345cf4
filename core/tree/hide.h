/*
 * hide - what rm has taken away from retired steps, as this mount shows them: the store keeps it.
 */
#ifndef CK_TREE_HIDE_H
#define CK_TREE_HIDE_H

#include "core/tree/types.h"

struct ck_tree;

/* Takes INO, which lies in a retired step, out of its directory until the next mount. */
int ck_tree_hide(struct ck_tree *tree, ck_ino ino, struct ck_error *err);
/* Puts back all that was taken out of the retired step INO: its files lie elsewhere now, or nowhere. */
void ck_tree_unhide(struct ck_tree *tree, ck_ino ino);

#endif
