/*
 * choice - latest, best and largest: as nanochat chooses, among what it can load.
 */
#ifndef CK_TREE_CHOICE_H
#define CK_TREE_CHOICE_H

#include "core/tree/private.h"

/*
 * The highest step of a tag that nanochat can load: its model opens, and its meta.json has a
 * model_config. Where no step of the tag is like that, the highest whose model opens. CK_ERR_NOENT.
 */
int tree_latest(struct ck_tree *tree, struct node *tag, uint64_t *step, struct ck_error *err);
/* Among the steps that tree_latest could name, the one with the lowest val_bpb, or where none has one, val_loss. Reads
   all metadata of the tag, see history.h. CK_ERR_NOENT. */
int tree_best(struct ck_tree *tree, struct node *tag, uint64_t *step, struct ck_error *err);
/* Whether a listing has best beside LATEST. A few files at most are read to tell. */
bool tree_shows_best(struct ck_tree *tree, struct node *tag, uint64_t latest);
/* The first tag, as find_largest_model prefers them, with a step that nanochat can load. Where no tag has such a step,
   the first with a step whose model opens. NAME takes NAME_MAX + 1 bytes. CK_ERR_NOENT. */
int tree_largest(struct ck_tree *tree, struct node *source, char *name, struct ck_error *err);

#endif
