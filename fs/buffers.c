/* Implements buffers.h. */
#include "buffers.h"

#include <stdlib.h>

#define PAGE ((size_t)4096)

void *buffers_get(struct buffers *b, size_t size)
{
	void *buf = NULL;

	if (size > BUFFER_SIZE)
		return malloc(size);
	pthread_mutex_lock(&b->lock);
	if (b->count)
		buf = b->idle[--b->count];
	pthread_mutex_unlock(&b->lock);
	return buf ? buf : aligned_alloc(PAGE, BUFFER_SIZE);
}

void buffers_put(struct buffers *b, void *buf, size_t size)
{
	if (buf && size <= BUFFER_SIZE) {
		pthread_mutex_lock(&b->lock);
		if (b->count < BUFFERS_KEPT) {
			b->idle[b->count++] = buf;
			buf = NULL;
		}
		pthread_mutex_unlock(&b->lock);
	}
	free(buf);
}

void buffers_free(struct buffers *b)
{
	while (b->count)
		free(b->idle[--b->count]);
	pthread_mutex_destroy(&b->lock);
}
