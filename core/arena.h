/*
 * arena - memory for one parsed file, freed as a whole, with a budget: what a hostile file makes a
 * parser build is bounded here, in one place. Not thread-safe; one parser, one arena.
 */
#ifndef CK_ARENA_H
#define CK_ARENA_H

#include <stddef.h>

struct ck_arena;

/* An arena that gives out at most BUDGET bytes. NULL when out of memory. */
struct ck_arena *ck_arena_new(size_t budget);
void ck_arena_free(struct ck_arena *arena);             /* NULL is allowed */

/* SIZE zeroed bytes, aligned for any type; NULL when the budget or the memory is used up. */
void *ck_arena_alloc(struct ck_arena *arena, size_t size);

/* A copy of LEN bytes, NUL-terminated behind them. */
char *ck_arena_dup(struct ck_arena *arena, const void *data, size_t len);

size_t ck_arena_used(const struct ck_arena *arena);

#endif
