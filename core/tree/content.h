/*
 * content - what was loaded for a node, and the cache of it, as node_load.c fills it.
 */
#ifndef CK_TREE_CONTENT_H
#define CK_TREE_CONTENT_H

#include "core/tree/private.h"

/* With the lock held: takes a node into the cache, whose content is now there;
   moves it to the front. */
void content_loaded(struct ck_tree *tree, struct node *n);
void content_used(struct ck_tree *tree, struct node *n);
/* Before a content is loaded, with the lock held: drops those that nobody uses, down to what the cache keeps.
   Returns how many bytes these were. */
size_t content_make_room(struct ck_tree *tree);
/* What a node has, apart from it. */
struct content {
	enum load_state state;
	struct ck_checkpoint *checkpoint;
	struct ck_view *text;
	struct ck_error *error;
	size_t memory;
	struct content *before;
};
/* Takes its content away from a node, out of the cache and to the caller. */
struct content content_take(struct ck_tree *tree, struct node *n);
void content_free(struct content *content);
/* Frees it, if nobody reads it: it is LOAD_NONE then. Returns how many bytes that were. */
size_t content_drop_unread(struct content *content);
/* Makes OLD (taken over) the content that was before NODE's present one, as long as someone reads it. */
void content_keep(struct node *n, struct content *old);

#endif
