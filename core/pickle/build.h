/*
 * pickle_build - what a pickle's opcodes do to values: they fill containers and make what the calls of plain containers
 * stand for. The cost is bounded here: a pickle of n bytes can name a long string or a large list n times.
 */
#ifndef CK_PICKLE_BUILD_H
#define CK_PICKLE_BUILD_H

#include "core/base/value.h"

struct ck_pickle_build {
	struct ck_arena *arena;
	uint64_t key_work;          /* what hashing keys may still cost, in about bytes */
	struct ck_list *set;        /* the set that was filled last, and its items as the keys of a dict in `scratch` */
	struct ck_dict *members;
	struct ck_arena *scratch;   /* within the budget of `arena` */
};

/* LEN: the bytes of the pickle. ck_pickle_build_end frees the scratch memory; the values that were made stay. */
struct ck_pickle_build ck_pickle_build(struct ck_arena *arena, size_t len);
void ck_pickle_build_end(struct ck_pickle_build *b);

/* The name of a kind for messages: "a list". */
const char *ck_kind_name(unsigned kind);

/* dict.update of COUNT pairs, key and value in turn; set.update of COUNT items. */
int ck_pickle_set_pairs(struct ck_pickle_build *b, struct ck_dict *dict, const struct ck_value *items, size_t count,
			struct ck_error *err);
int ck_pickle_set_items(struct ck_pickle_build *b, struct ck_list *set, const struct ck_value *items, size_t count,
			struct ck_error *err);

/* CALLEE(*ARGS). FRESH: callee.__new__(callee, *args), which is what NEWOBJ does. */
int ck_pickle_call(struct ck_pickle_build *b, const struct ck_value *callee, const struct ck_value *args, bool fresh,
		   struct ck_value *out, struct ck_error *err);

/* TARGET.__setstate__(STATE). */
int ck_pickle_set_state(const struct ck_value *target, const struct ck_value *state, struct ck_error *err);

/*
 * Checks the finished tree of a pickle of LEN bytes: its depth, that it holds no cycle, and its size with shared values
 * written out at each place, as the users of the tree write them.
 */
int ck_pickle_check(const struct ck_value *value, size_t len, struct ck_error *err);

#endif
