/*
 * key - what a node is: its kind, its path, and the identity of the stored file. The key gives the node's number
 * (tree.h).
 */
#ifndef CK_TREE_KEY_H
#define CK_TREE_KEY_H

#include "core/tree/private.h"

/* A description of a node: what its identity covers. */
struct node_key {
	enum node_type type;
	const char *path;
	struct ck_file_name name;
	struct ck_ident ident, meta;    /* zeros where they don't count */
	ck_ino parent;
};

/* The base that a node of that key has, unless another node has it already. */
uint64_t node_base(const struct node_key *key);

/* Keys of a node's children; PATH takes PATH_MAX bytes and must outlive KEY. CK_ERR_SYS when the
   stored file can't be had. */
int key_of_stored(const struct ck_tree *tree, const struct node *step, enum node_type type,
		  const struct ck_file_name *name, char *path, struct node_key *key, struct ck_error *err);
/* The same of the model of STEP, whose attributes ST are known; the key borrows STEP's path. */
void key_of_model(const struct ck_tree *tree, const struct node *step, const struct stat *st, struct node_key *key);
/* PATH and identity of a stored file of the tag's directory TAG; *NAME becomes the old one of rank 0 where that is it.
 */
int ident_of_stored(const struct ck_tree *tree, const char *tag, struct ck_file_name *name, char *path,
		    struct ck_ident *ident, struct ck_error *err);
void key_of_step(const struct node *tag, uint64_t step, char *path, struct node_key *key);
/* The same of a step of the tag, or (KIND OPTIM) its shards alone, in .trash/. */
void key_of_retired(const struct node *tag, enum ck_draft_kind kind, uint64_t step, char *path, struct node_key *key);
void key_of_tag(const struct node *source, const char *name, char *path, struct node_key *key);
void key_of_source(const struct ck_tree *tree, const struct node *base, size_t i, char *path, struct node_key *key);
/* The directory in which the files of a step lie, or a stored file: the tag's; of what is retired, its own. */
void path_of_tag(const struct node *n, char *path);

#endif
