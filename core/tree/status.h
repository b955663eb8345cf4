/*
 * status - what a tree is doing, in numbers: for a person who finds something odd, and for a collector of metrics.
 */
#ifndef CK_TREE_STATUS_H
#define CK_TREE_STATUS_H

#include <stddef.h>
#include <stdint.h>

struct ck_tree;

struct ck_tree_status {
	size_t open;            /* checkpoints that are open, models and optimizer shards */
	size_t in_use;          /* those of them that a program reads now */
	size_t loading;         /* files that are being read to be opened, or wait for the store */
	uint64_t loaded;        /* checkpoints that were opened since the mount */
	uint64_t failed;        /* checkpoints that could not be opened, counted at each try */
	size_t cached_bytes;    /* memory of all contents that are kept */
	size_t max_bytes;       /* as much of it as stays when no program reads them */
	size_t nodes;           /* directories and stored files that the kernel knows */
};

/* Takes the tree's lock, and reads no file. */
void ck_tree_status(struct ck_tree *tree, struct ck_tree_status *out);

#endif
