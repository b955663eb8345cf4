/*
 * join_impl - the inside of a join: join.c (what belongs to which parameter), join_check.c (whether the shards agree),
 * join_make.c (the checkpoints that are made of it).
 */
#ifndef CK_JOIN_IMPL_H
#define CK_JOIN_IMPL_H

#include "core/base/arena.h"
#include "core/base/value.h"
#include "core/pt/private.h"

/* What is a parameter's share of a tensor that every rank has under the same path. */
enum ck_rule {
	CK_RULE_NONE,           /* not looked at yet */
	CK_RULE_WHOLE,          /* the same on every rank */
	CK_RULE_ROWS,           /* rank after rank along dimension 0, one parameter */
	CK_RULE_STACK,          /* rank after rank along dimension 0, a parameter a row, zero rows at the end */
};

struct ck_piece {
	enum ck_rule rule;
	const struct ck_tensor *param;  /* of the model; STACK: the first member */
	uint32_t rows;                  /* STACK: how many members */
};

/* A parameter, in the order of ids. */
struct ck_slot {
	const struct ck_tensor *param;
	bool stacked;                   /* a member of a muon group */
	uint32_t member, members;       /* its place in that group */
	struct ck_dict *state;          /* its fields; of a member those of the group; NULL: none */
};

struct ck_join {
	struct ck_checkpoint *model, **shards;
	size_t ranks;
	struct ck_budget budget;
	struct ck_arena *arena;         /* values */
	struct ck_value root;           /* rank 0's; its tensors are those of shards[0] */
	struct ck_slot *slots;
	size_t slot_count;
	struct ck_piece *pieces;        /* by tensor of shards[0] */
	int64_t *slot_of;               /* by tensor of the model: its slot, or -1 */
	/* between 15 and 29 January 2026: chunk_size of each muon group, which changes with the ranks */
	struct { struct ck_value *value; uint32_t members; } *chunks;
	size_t chunk_count;
};

#define CK_WHOLE_BELOW 1024u    /* elements of a parameter that is not cut */

static inline const char *ck_join_file(const struct ck_join *j, size_t rank)
{
	return ck_file_name(ck_checkpoint_file(j->shards[rank]));
}

/* The state_dicts of the root: one, or two in a list. */
size_t ck_join_dicts(const struct ck_join *j, struct ck_dict *dicts[static 2]);

/* Whether all shards have rank 0's structure and values. */
int ck_join_check_structure(struct ck_join *j, struct ck_error *err);
/* Whether what is whole is equal on all ranks, and what is padding zero. */
int ck_join_check_values(struct ck_join *j, struct ck_error *err);

#endif
