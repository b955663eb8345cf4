/*
 * buffers - the memory that replies to reads are made in. A fresh block for each read would cost
 * more than the read does: the kernel clears its pages and takes them back at the end. So a few are
 * kept, and the one given back last, which the processor's cache still holds, goes out first.
 */
#ifndef CKPTFS_BUFFERS_H
#define CKPTFS_BUFFERS_H

#include <pthread.h>
#include <stddef.h>

#define BUFFER_SIZE ((size_t)1 << 20)   /* the most that the kernel asks libfuse 3.14 for in one read */
#define BUFFERS_KEPT 4u

struct buffers {
	pthread_mutex_t lock;
	unsigned count;
	void *idle[BUFFERS_KEPT];
};

#define BUFFERS_INIT { .lock = PTHREAD_MUTEX_INITIALIZER }

/* A buffer of at least SIZE bytes; NULL when out of memory. Thread-safe, as is giving it back. */
void *buffers_get(struct buffers *b, size_t size);
/* SIZE is the one it was asked for with; BUF may be NULL. */
void buffers_put(struct buffers *b, void *buf, size_t size);
void buffers_free(struct buffers *b);

#endif
