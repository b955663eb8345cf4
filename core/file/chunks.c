/* Implements chunks.h. */
#include "core/file/chunks.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

void chunks_unlock(struct ck_ahead *a)
{
	struct ck_file *dropped[DROPPED];
	unsigned count = a->dropped_count;

	memcpy(dropped, a->dropped, count * sizeof(*dropped));
	a->dropped_count = 0;
	pthread_mutex_unlock(&a->lock);
	for (unsigned i = 0; i < count; i++)
		ck_file_unref(dropped[i]);
}

bool chunks_have(struct ck_ahead *a, const struct ck_file *file)
{
	FOR_CHUNKS(a, c)
		if (c->state != CHUNK_FREE && c->file == file)
			return true;
	return false;
}

void chunks_set_direct(const struct ck_file *file, bool on)
{
	int fd = ck_file_fd(file), flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT);
}

static void release(struct ck_ahead *a, struct chunk *c)
{
	c->state = CHUNK_FREE;
	if (c->store->direct && !chunks_have(a, c->file))
		chunks_set_direct(c->file, false);
	a->dropped[a->dropped_count++] = c->file;
}

void chunk_give_up(struct ck_ahead *a, struct chunk *c)
{
	c->stream = NULL;
	if (c->state == CHUNK_ASKED || (c->state == CHUNK_READY && c->users == 0))
		release(a, c);
}

struct chunk *chunk_at(struct ck_ahead *a, const struct ck_file *file, uint64_t offset)
{
	FOR_CHUNKS(a, c)
		if (c->state != CHUNK_FREE && c->file == file && offset >= c->offset && offset - c->offset < c->len)
			return c;
	return NULL;
}

uint64_t chunk_behind(struct ck_ahead *a, const struct ck_file *file, uint64_t offset, uint64_t end)
{
	FOR_CHUNKS(a, c)
		if (c->state != CHUNK_FREE && c->file == file && c->offset > offset && c->offset < end)
			end = c->offset;
	return end;
}

unsigned chunks_of(struct ck_ahead *a, const struct stream *s)
{
	unsigned n = 0;

	FOR_CHUNKS(a, c)
		n += c->state != CHUNK_FREE && c->stream == s;
	return n;
}

unsigned chunks_flying(struct ck_ahead *a, const struct ck_file *file)
{
	unsigned n = 0;

	FOR_CHUNKS(a, c)
		n += (c->state == CHUNK_ASKED || c->state == CHUNK_READING) && c->file == file;
	return n;
}

void chunk_done(struct ck_ahead *a, struct chunk *c)
{
	if (--c->users == 0 && !c->stream)
		release(a, c);
}

struct chunk *chunk_free(struct ck_ahead *a)
{
	struct chunk *found = NULL;
	size_t bytes = CHUNK;

	FOR_CHUNKS(a, c)
		if (c->state == CHUNK_FREE && (!found || (!found->data && c->data)))
			found = c;
	if (found && !found->data)
		found->data = aligned_alloc(4096, CHUNK);
	if (!found || !found->data)
		return NULL;
	FOR_CHUNKS(a, c)
		bytes += c != found && c->data ? CHUNK : 0;
	a->most_bytes = bytes > a->most_bytes ? bytes : a->most_bytes;
	return found;
}
