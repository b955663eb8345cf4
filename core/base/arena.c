/* Implements arena.h: small allocations share blocks, large ones have a block of their own that can grow. */
#include "core/base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Blocks grow with use, so that a small file costs little and a large one few calls. An allocation of LARGE bytes or
   more gets a block of its own, which can grow. */
#define FIRST_BLOCK ((size_t)4 << 10)
#define LAST_BLOCK ((size_t)1 << 20)
#define LARGE ((size_t)256 << 10)

struct block {
	struct block *next;
	size_t size, used;
	alignas(max_align_t) unsigned char data[];
};

struct ck_arena {
	struct block *blocks;   /* the newest first; only it is filled */
	struct block *large;
	struct ck_budget *budget, own;
	size_t used, next_size;
};

bool ck_budget_take(struct ck_budget *budget, size_t size)
{
	if (size > budget->left)
		return false;
	budget->left -= size;
	return true;
}

void ck_budget_give(struct ck_budget *budget, size_t size)
{
	budget->left += size;
}

struct ck_arena *ck_arena_new_within(struct ck_budget *budget)
{
	struct ck_arena *arena = calloc(1, sizeof(*arena));

	if (arena) {
		arena->budget = budget;
		arena->next_size = FIRST_BLOCK;
	}
	return arena;
}

struct ck_arena *ck_arena_new(size_t budget)
{
	struct ck_arena *arena = ck_arena_new_within(NULL);

	if (arena) {
		arena->own.left = budget;
		arena->budget = &arena->own;
	}
	return arena;
}

struct ck_budget *ck_arena_budget(struct ck_arena *arena)
{
	return arena->budget;
}

static void free_blocks(struct block *b)
{
	struct block *next;

	for (; b; b = next) {
		next = b->next;
		free(b);
	}
}

void ck_arena_free(struct ck_arena *arena)
{
	if (!arena)
		return;
	free_blocks(arena->blocks);
	free_blocks(arena->large);
	ck_budget_give(arena->budget, arena->used);
	free(arena);
}

/* calloc, so that memory is zero and large blocks are touched only when used. */
static struct block *new_block(size_t size, struct block **list)
{
	struct block *b = calloc(1, sizeof(*b) + size);

	if (!b)
		return NULL;
	b->size = size;
	b->next = *list;
	*list = b;
	return b;
}

/* SIZE bytes of the newest block, or of a new one. */
static void *reserve(struct ck_arena *arena, size_t size)
{
	struct block *b = arena->blocks;
	void *at;

	if (!b || size > b->size - b->used) {
		b = new_block(arena->next_size > size ? arena->next_size : size, &arena->blocks);
		if (!b)
			return NULL;
		if (arena->next_size < LAST_BLOCK)
			arena->next_size *= 2;
	}
	at = b->data + b->used;
	b->used += size;
	return at;
}

/* Rounds *SIZE up, so that the next allocation is aligned for any type. */
static bool round_up(size_t *size)
{
	const size_t align = alignof(max_align_t);

	if (*size > SIZE_MAX / 2)
		return false;
	*size = (*size + align - 1) / align * align;
	return true;
}

void *ck_arena_alloc(struct ck_arena *arena, size_t size)
{
	struct block *own;
	void *at;

	if (!round_up(&size) || !ck_budget_take(arena->budget, size))
		return NULL;
	if (size < LARGE)
		at = reserve(arena, size);
	else
		at = (own = new_block(size, &arena->large)) ? own->data : NULL;
	if (!at)
		ck_budget_give(arena->budget, size);
	else
		arena->used += size;
	return at;
}

void *ck_arena_grow(struct ck_arena *arena, void *old, size_t old_size, size_t size)
{
	struct block **at = &arena->large, *grown;
	void *copy;

	if (old_size < LARGE) {
		copy = ck_arena_alloc(arena, size);
		if (copy && old_size)
			memcpy(copy, old, old_size);
		return copy;
	}
	while ((*at)->data != old)
		at = &(*at)->next;
	if (!round_up(&size) || !ck_budget_take(arena->budget, size - (*at)->size))
		return NULL;
	grown = realloc(*at, sizeof(**at) + size);
	if (!grown) {
		ck_budget_give(arena->budget, size - (*at)->size);
		return NULL;
	}
	arena->used += size - grown->size;
	grown->size = size;
	*at = grown;
	return grown->data;
}

char *ck_arena_dup(struct ck_arena *arena, const void *data, size_t len)
{
	char *copy = len < SIZE_MAX ? ck_arena_alloc(arena, len + 1) : NULL;

	if (copy && len)
		memcpy(copy, data, len);
	return copy;
}

size_t ck_arena_used(const struct ck_arena *arena)
{
	return arena->used;
}
