/*
 * hub - what is in a model's hf/: the files that are made of it, and a tokenizer's in the form of the Hugging Face Hub,
 * where somebody has put them into the store.
 */
#ifndef CK_TREE_HUB_H
#define CK_TREE_HUB_H

#include "core/tree/form.h"
#include "core/tree/key.h"

#define HUB_FILES 3
extern const struct tree_form hub_files[HUB_FILES];    /* suffix is the whole name */

#define HUB_TOKENIZER 4
extern const char *const hub_tokenizer[HUB_TOKENIZER]; /* in the order of the listing */

/*
 * The key of hub_tokenizer[I] as MODEL's step shows it: it is looked for in the tag's directory; then, where the store
 * is a whole base directory, in its tokenizer/ and in itself. PATH takes PATH_MAX bytes. CK_ERR_NOENT.
 */
int key_of_tokenizer(const struct ck_tree *tree, const struct node *model, size_t i, char *path, struct node_key *key,
		     struct ck_error *err);

#endif
