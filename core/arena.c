#include "arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Blocks grow with use, so that a small file costs little and a large one few calls. */
#define FIRST_BLOCK ((size_t)4 << 10)
#define LAST_BLOCK ((size_t)1 << 20)

struct block {
	struct block *next;
	size_t size, used;
	alignas(max_align_t) unsigned char data[];
};

struct ck_arena {
	struct block *blocks;   /* the newest first; only it is filled */
	size_t budget, used, next_size;
};

struct ck_arena *ck_arena_new(size_t budget)
{
	struct ck_arena *arena = calloc(1, sizeof(*arena));

	if (arena) {
		arena->budget = budget;
		arena->next_size = FIRST_BLOCK;
	}
	return arena;
}

void ck_arena_free(struct ck_arena *arena)
{
	struct block *b, *next;

	if (!arena)
		return;
	for (b = arena->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	free(arena);
}

/* calloc, so that memory is zero and large blocks are touched only when used. */
static struct block *new_block(struct ck_arena *arena, size_t need)
{
	size_t size = arena->next_size > need ? arena->next_size : need;
	struct block *b = calloc(1, sizeof(*b) + size);

	if (!b)
		return NULL;
	b->size = size;
	b->next = arena->blocks;
	arena->blocks = b;
	if (arena->next_size < LAST_BLOCK)
		arena->next_size *= 2;
	return b;
}

void *ck_arena_alloc(struct ck_arena *arena, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct block *b = arena->blocks;
	void *at;

	if (size > arena->budget - arena->used)
		return NULL;
	if (size > SIZE_MAX - align)
		return NULL;
	size = (size + align - 1) / align * align;
	if (size > arena->budget - arena->used)
		return NULL;
	if (!b || size > b->size - b->used) {
		b = new_block(arena, size);
		if (!b)
			return NULL;
	}
	at = b->data + b->used;
	b->used += size;
	arena->used += size;
	return at;
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
