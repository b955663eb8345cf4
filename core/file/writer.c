/* Implements writer.h: two blocks that the caller and a thread exchange. */
#include "core/file/writer.h"

#include "core/file/fd.h"
#include "core/file/io.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#define PAGE ((size_t)4096)

struct ck_writer {
	int fd;
	bool threaded;          /* false: no thread could be had, and submit writes itself */
	bool direct;            /* the file system takes direct writes, as far as is known */
	pthread_t thread;
	/* Guards what follows: the block under way is handed to the thread, and back when LEN is 0 again. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint8_t *filling, *writing;
	uint64_t offset;
	size_t len;
	bool quit;
	struct ck_error error;  /* the first failure; it stays */
};

/* False where direct I/O is impossible (the file system, an odd last block) or the write failed. The ordinary
   write that follows reports the failure. */
static bool write_direct(struct ck_writer *w)
{
	int flags = fcntl(w->fd, F_GETFL);
	bool written;

	if (!w->direct || w->offset % PAGE || w->len % PAGE)
		return false;
	w->direct = flags >= 0 && fcntl(w->fd, F_SETFL, flags | O_DIRECT) == 0;
	if (!w->direct)
		return false;
	written = ck_write_full(w->fd, w->offset, w->writing, w->len, NULL) == CK_OK;
	w->direct = fcntl(w->fd, F_SETFL, flags) == 0 && written;
	return written;
}

static void write_block(struct ck_writer *w)
{
	if (write_direct(w) || ck_write_full(w->fd, w->offset, w->writing, w->len, &w->error))
		return;
	/* A hint, so that the disk begins. The last fsync reports what fails here. */
	sync_file_range(w->fd, (off_t)w->offset, (off_t)w->len, SYNC_FILE_RANGE_WRITE);
}

static void *run(void *arg)
{
	struct ck_writer *w = arg;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!w->len && !w->quit)
			pthread_cond_wait(&w->changed, &w->lock);
		if (!w->len)
			break;
		pthread_mutex_unlock(&w->lock);
		write_block(w);
		pthread_mutex_lock(&w->lock);
		w->len = 0;
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int ck_writer_new(int fd, struct ck_writer **out, struct ck_error *err)
{
	struct ck_writer *w = calloc(1, sizeof(*w));

	if (w) {
		w->filling = aligned_alloc(PAGE, CK_WRITER_BLOCK);
		w->writing = aligned_alloc(PAGE, CK_WRITER_BLOCK);
	}
	if (!w || !w->filling || !w->writing) {
		if (w) {
			free(w->filling);
			free(w->writing);
		}
		free(w);
		return ck_fail_nomem(err);
	}
	w->fd = fd;
	w->direct = true;
	w->error = (struct ck_error)CK_ERROR_INIT;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	w->threaded = pthread_create(&w->thread, NULL, run, w) == 0;
	*out = w;
	return CK_OK;
}

void ck_writer_free(struct ck_writer *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->quit = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	if (w->threaded)
		pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w->filling);
	free(w->writing);
	free(w);
}

uint8_t *ck_writer_block(struct ck_writer *w)
{
	return w->filling;
}

/* With the lock held: waits for the block under way. */
static int wait_idle(struct ck_writer *w, struct ck_error *err)
{
	while (w->len)
		pthread_cond_wait(&w->changed, &w->lock);
	if (w->error.code)
		ck_error_copy(err, &w->error);
	return (int)w->error.code;
}

int ck_writer_submit(struct ck_writer *w, uint64_t offset, size_t len, struct ck_error *err)
{
	uint8_t *block;
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = wait_idle(w, err);
	if (!rc && len) {
		block = w->writing;
		w->writing = w->filling;
		w->filling = block;
		w->offset = offset;
		w->len = len;
		pthread_cond_broadcast(&w->changed);
		if (!w->threaded) {
			write_block(w);
			w->len = 0;
			rc = wait_idle(w, err);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

int ck_writer_drain(struct ck_writer *w, struct ck_error *err)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = wait_idle(w, err);
	pthread_mutex_unlock(&w->lock);
	return rc;
}
