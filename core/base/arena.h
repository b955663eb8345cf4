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
 * The memory that one job may take in all. Arenas can share a budget. Memory beside the arenas is counted by hand:
 * taken before the allocation, given back after. The budget must outlive its arenas.
 */
struct ck_budget {
	size_t left;
};

/* False when less than SIZE is left; nothing is taken then. */
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
 * Grows OLD (may be NULL) from OLD_SIZE bytes to SIZE, which is more, and returns its new place. The added bytes need
 * not be zero. A large allocation grows in place or gives its old place back; the old place of a small one is lost.
 */
void *ck_arena_grow(struct ck_arena *arena, void *old, size_t old_size, size_t size);

/* For `return ck_fail_room(err)`, where an arena or a budget gave NULL or false. */
static inline int ck_fail_room(struct ck_error *err)
{
	ck_error_set(err, CK_ERR_LIMIT, "needs more memory than may be used to read it");
	return CK_ERR_LIMIT;
}

size_t ck_arena_used(const struct ck_arena *arena);

#endif
