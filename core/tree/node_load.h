/*
 * node_load - makes the content of a node when it is first needed, and again once a young file is older.
 */
#ifndef CK_TREE_NODE_LOAD_H
#define CK_TREE_NODE_LOAD_H

#include "core/tree/node.h"

/* The content of a MODEL or OPTIM node (a reference), loaded now if need be; one thread loads,
   others wait. */
int node_checkpoint(struct ck_tree *tree, struct node *n, struct ck_checkpoint **out, struct ck_error *err);
/* The same for META; and for FILE and NATIVE: their bytes. */
int node_text(struct ck_tree *tree, struct node *n, struct ck_view **out, struct ck_error *err);
/* Whether nanochat could build a model by the metadata of a META node. */
bool node_has_config(struct ck_tree *tree, struct node *n);
/* Whether it has a val_bpb or a val_loss, for the choice of the best step. */
bool node_has_score(struct ck_tree *tree, struct node *n);
/*
 * Whether the node's stored file is young: it changed so lately that a write which has moved its
 * mtime may still be moving bytes (a long write, one by mmap, the next one within a tick of the
 * clock). Then its identity doesn't stand for its bytes yet, and what was read of it is read again
 * once the file is older.
 */
bool node_is_young(const struct node *n);
/* The same of any file. */
bool ident_is_young(const struct ck_ident *ident);
/* Whether an error is about the stored file's bytes or permissions (an .error file shows it), not
   about this moment (ENOMEM, EMFILE). */
bool node_error_is_shown(const struct ck_error *err);

/*
 * The content of the stored file that is in its place now: *CHECKPOINT, a reference, for MODEL and
 * OPTIM; that of META is loaded only. A file that is replaced between the look at it and its opening
 * is looked for again. *OUT is the node, a reference, also where its content can't be had; NULL where
 * there is no file (CK_ERR_NOENT).
 */
int node_of_stored(struct ck_tree *tree, const struct node *step, enum node_type type,
		   const struct ck_file_name *name, struct node **out, struct ck_checkpoint **checkpoint,
		   struct ck_error *err);
/* Waits, with the lock held, until some load is over, or for a moment: one look at the store goes on in a thread of its
   own, as loads do. CK_ERR_SYS EINTR: the program that asked has given up. */
int tree_wait(struct ck_tree *tree, struct ck_error *err);
/* How often the store may replace a file between two looks at it before we give up. */
#define STALE_TRIES 8

#endif
