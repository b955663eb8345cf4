/*
 * pickle_build - what a pickle's opcodes do to values: fill containers, make what calls of plain containers stand
 * for. It bounds what that may cost: a pickle of n bytes can name a long string or a large list n times.
 */
#ifndef CK_PICKLE_BUILD_H
#define CK_PICKLE_BUILD_H

#include "core/base/value.h"

struct ck_pickle_build {
	struct ck_arena *arena;
	uint64_t key_work;          /* what hashing keys may still cost, about in bytes */
	struct ck_list *set;        /* the set that was filled last, and its items as the keys of a dict in `scratch` */
	struct ck_dict *members;
	struct ck_arena *scratch;   /* within the budget of `arena` */
};

/* LEN is the pickle's. Ending it frees what it needed itself, not what it made. */
struct ck_pickle_build ck_pickle_build(struct ck_arena *arena, size_t len);
void ck_pickle_build_end(struct ck_pickle_build *b);

/* "a list": for messages. */
const char *ck_kind_name(unsigned kind);

/* dict.update of COUNT pairs, key and value in turn; set.update of COUNT items. */
int ck_pickle_set_pairs(struct ck_pickle_build *b, struct ck_dict *dict, const struct ck_value *items, size_t count,
			struct ck_error *err);
int ck_pickle_set_items(struct ck_pickle_build *b, struct ck_list *set, const struct ck_value *items, size_t count,
			struct ck_error *err);

/* CALLEE(*ARGS); FRESH: callee.__new__(callee, *args), NEWOBJ's. */
int ck_pickle_call(struct ck_pickle_build *b, const struct ck_value *callee, const struct ck_value *args, bool fresh,
		   struct ck_value *out, struct ck_error *err);

/* TARGET.__setstate__(STATE). */
int ck_pickle_set_state(const struct ck_value *target, const struct ck_value *state, struct ck_error *err);

/*
 * Checks the finished tree of a pickle of LEN bytes: depth, no cycle, and the size that it has when what is shared is
 * written out, which its users do.
 */
int ck_pickle_check(const struct ck_value *value, size_t len, struct ck_error *err);

#endif
