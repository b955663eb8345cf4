/*
 * arena - memory for one parsed file, freed as a whole, with a budget: what a hostile file makes a
 * parser build is bounded here, in one place. Not thread-safe; one parser, one arena.
 */
#ifndef CK_ARENA_H
#define CK_ARENA_H

#include "core/base/error.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * What one job may take in all. Arenas can share it, and what is allocated beside them is counted too: taken before,
 * given back after. Must outlive the arenas within it.
 */
struct ck_budget {
	size_t left;
};

/* False, and nothing is taken: there is not so much left. */
bool ck_budget_take(struct ck_budget *budget, size_t size);
void ck_budget_give(struct ck_budget *budget, size_t size);

struct ck_arena;

/* An arena that gives out at most BUDGET bytes; one that takes them out of a budget. NULL when out of memory. */
struct ck_arena *ck_arena_new(size_t budget);
struct ck_arena *ck_arena_new_within(struct ck_budget *budget);
void ck_arena_free(struct ck_arena *arena);             /* NULL is allowed */

/* What ARENA draws on: its own budget or the shared one. */
struct ck_budget *ck_arena_budget(struct ck_arena *arena);

/* SIZE zeroed bytes, aligned for any type; NULL when the budget or the memory is used up. */
void *ck_arena_alloc(struct ck_arena *arena, size_t size);

/* A copy of LEN bytes, NUL-terminated behind them. */
char *ck_arena_dup(struct ck_arena *arena, const void *data, size_t len);

/*
 * OLD, which has OLD_SIZE bytes (NULL: none), as one of SIZE > OLD_SIZE; what is new of it need not be zero. A large
 * one grows where it is, or its old place is given back; a small one's old place is lost.
 */
void *ck_arena_grow(struct ck_arena *arena, void *old, size_t old_size, size_t size);

/* For `return ck_fail_room(err)`, where an arena or a budget gave NULL or false. */
static inline int ck_fail_room(struct ck_error *err)
{
	ck_error_set(err, CK_ERR_LIMIT, "needs more memory than may be used to read it");
	return CK_ERR_LIMIT;
}

size_t ck_arena_used(const struct ck_arena *arena);

/* How far the arena is filled, and back to there: all that was given out meanwhile is taken back, but for what is
   large. A mark is never lower than an earlier one of what is still there. */
size_t ck_arena_mark(const struct ck_arena *arena);
void ck_arena_rewind(struct ck_arena *arena, size_t mark);

#endif
