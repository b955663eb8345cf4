/* scratch - the temporary space of a mount. Implements core/file/scratch.h, which says how it works. */
#include "core/file/scratch.h"

#include "core/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* A block that was read within this time is in use, and isn't taken away for another. */
#define IN_USE_MS 1000
/* Holes are punched in whole blocks of the file system. */
#define ALIGN UINT64_C(4096)

struct ck_block {
	struct ck_scratch *scratch;
	struct ck_block *newer, *older; /* among those that nobody holds */
	struct ck_block **place;        /* where its owner finds it; NULL: its owner gave it up */
	uint64_t offset, size;
	unsigned holders;
	int64_t used_ms;                /* when the last holder released it */
};

struct ck_scratch {
	/* Guards all that follows, the blocks, and the places where their owners find them. */
	pthread_mutex_t lock;
	uint64_t max;                   /* 0: as the file system has room */
	struct ck_file *file;           /* NULL: there is no block */
	struct ck_block *newest, *oldest;
	uint64_t used;                  /* bytes that the file holds */
	uint64_t end;                   /* where the next block goes */
	size_t count;                   /* of blocks */
};

const char *ck_temporary_dir(void)
{
	const char *dir = secure_getenv("TMPDIR");

	return dir && dir[0] ? dir : "/tmp";
}

int ck_unnamed_file(int *fd, struct ck_error *err)
{
	const char *dir = ck_temporary_dir();
	char path[4096];
	int len;

	*fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (*fd >= 0)
		return CK_OK;
	/* Not every filesystem knows O_TMPFILE, and they say so in different ways. */
	len = snprintf(path, sizeof(path), "%s/ckptfs-XXXXXX", dir);
	if (len < 0 || (size_t)len >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return ck_fail_sys(err, "the directory for temporary files");
	}
	*fd = mkostemp(path, O_CLOEXEC);
	if (*fd < 0) {
		int rc = ck_fail_sys(err, "create a temporary file");

		ck_error_file(err, dir);
		return rc;
	}
	unlink(path);
	return CK_OK;
}

struct ck_scratch *ck_scratch_new(uint64_t max)
{
	struct ck_scratch *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->max = max;
	return s;
}

void ck_scratch_free(struct ck_scratch *s)
{
	if (!s)
		return;
	ck_file_unref(s->file);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* What follows, up to the calls of scratch.h, runs with the lock held. */

static void link_idle(struct ck_scratch *s, struct ck_block *b)
{
	b->newer = NULL;
	b->older = s->newest;
	if (b->older)
		b->older->newer = b;
	else
		s->oldest = b;
	s->newest = b;
}

static void unlink_idle(struct ck_scratch *s, struct ck_block *b)
{
	*(b->newer ? &b->newer->older : &s->newest) = b->older;
	*(b->older ? &b->older->newer : &s->oldest) = b->newer;
	b->newer = b->older = NULL;
}

/* Gives back the space of a block, which is in no list any more. */
static void end_block(struct ck_scratch *s, struct ck_block *b)
{
	if (b->place)
		*b->place = NULL;
	if (--s->count == 0) {
		s->file = ck_file_unref(s->file);
		s->used = s->end = 0;
	} else if (b->size && fallocate(ck_file_fd(s->file), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					(off_t)b->offset, (off_t)b->size) == 0) {
		s->used -= b->size;
	}
	free(b);
}

/* Gives back blocks, the longest unread first, that were not read since UNTIL, as long as SIZE bytes pass MAX. */
static void give_back(struct ck_scratch *s, int64_t until, uint64_t size, uint64_t max)
{
	struct ck_block *b;

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the oldest has no older, so it leaves the list here */
	while ((b = s->oldest) && b->used_ms <= until && size > max - (s->used < max ? s->used : max)) {
		unlink_idle(s, b);
		end_block(s, b);
	}
}

static uint64_t limit(const struct ck_scratch *s)
{
	struct statvfs st;

	if (s->max)
		return s->max;
	/* Who can't tell may have room. */
	if (fstatvfs(ck_file_fd(s->file), &st) < 0 || st.f_blocks == 0)
		return UINT64_MAX / 4;
	return ((uint64_t)st.f_bavail * st.f_frsize + s->used) / 2;
}

static int fail_full(uint64_t size, uint64_t max, struct ck_error *err)
{
	char what[160];

	snprintf(what, sizeof(what), "its %" PRIu64 " bytes, unpacked, pass what is left of the %" PRIu64
		 " for temporary files (tmp_max_size)", size, max);
	errno = ENOSPC;
	return ck_fail_sys(err, what);
}

/* Waits without the lock until the block that was read longest ago is in use no more. False: every block is held. */
static bool wait_for_idle(struct ck_scratch *s)
{
	int64_t left = s->oldest ? IN_USE_MS - (ck_now_ms() - s->oldest->used_ms) : -1;
	struct timespec t;

	if (!s->oldest)
		return false;
	left = left < 1 ? 1 : left > IN_USE_MS ? IN_USE_MS : left;
	t = (struct timespec){ left / 1000, left % 1000 * 1000000 };
	pthread_mutex_unlock(&s->lock);
	nanosleep(&t, NULL);
	pthread_mutex_lock(&s->lock);
	return true;
}

static int open_file(struct ck_scratch *s, struct ck_error *err)
{
	int fd, rc = CK_OK;

	if (s->file)
		return CK_OK;
	rc = ck_unnamed_file(&fd, err);
	return rc ? rc : ck_file_own(fd, "temporary file", &s->file, err);
}

/* Makes space for SIZE bytes. A block that is read all the time stays in use longer than this waits. */
static int find_room(struct ck_scratch *s, uint64_t size, struct ck_error *err)
{
	const int64_t deadline = ck_now_ms() + 2 * IN_USE_MS;
	uint64_t max;
	int rc;

	for (;;) {
		rc = open_file(s, err);
		if (rc)
			return rc;
		max = limit(s);
		if (size > max)
			return fail_full(size, max, err);
		give_back(s, ck_now_ms() - IN_USE_MS, size, max);
		/* Without a block there is no file any more. */
		if (s->file && s->used <= max && size <= max - s->used)
			return CK_OK;
		if (s->file && (ck_now_ms() >= deadline || !wait_for_idle(s)))
			return fail_full(size, max, err);
	}
}

/* ---- the calls of scratch.h ---- */

struct ck_block *ck_scratch_hold(struct ck_scratch *s, struct ck_block *const *place)
{
	struct ck_block *b;

	pthread_mutex_lock(&s->lock);
	b = *place;
	if (b && b->holders++ == 0)
		unlink_idle(s, b);
	pthread_mutex_unlock(&s->lock);
	return b;
}

int ck_scratch_make(struct ck_scratch *s, uint64_t size, struct ck_block **out, struct ck_error *err)
{
	struct ck_block *b = calloc(1, sizeof(*b));
	uint64_t room;
	int rc;

	if (!b)
		return ck_fail_nomem(err);
	if (__builtin_add_overflow(size, ALIGN - 1, &room)) {
		free(b);
		return ck_fail(err, CK_ERR_LIMIT, "%" PRIu64 " bytes", size);
	}
	room &= ~(ALIGN - 1);
	pthread_mutex_lock(&s->lock);
	rc = find_room(s, room, err);
	if (!rc) {
		*b = (struct ck_block){ .scratch = s, .offset = s->end, .size = room, .holders = 1 };
		s->end += room;
		s->used += room;
		s->count++;
	} else if (s->count == 0) {
		s->file = ck_file_unref(s->file);
	}
	pthread_mutex_unlock(&s->lock);
	if (rc) {
		free(b);
		return rc;
	}
	*out = b;
	return CK_OK;
}

void ck_scratch_put(struct ck_scratch *s, struct ck_block *block, struct ck_block **place)
{
	pthread_mutex_lock(&s->lock);
	block->place = place;
	*place = block;
	pthread_mutex_unlock(&s->lock);
}

void ck_scratch_drop(struct ck_scratch *s, struct ck_block **place)
{
	struct ck_block *b;

	pthread_mutex_lock(&s->lock);
	b = *place;
	if (b) {
		unlink_idle(s, b);
		end_block(s, b);
	}
	pthread_mutex_unlock(&s->lock);
}

void ck_scratch_tidy(struct ck_scratch *s)
{
	pthread_mutex_lock(&s->lock);
	give_back(s, ck_now_ms() - CK_SCRATCH_IDLE_MS, UINT64_MAX, 0);
	pthread_mutex_unlock(&s->lock);
}

void ck_scratch_status(struct ck_scratch *s, uint64_t *used, size_t *blocks)
{
	pthread_mutex_lock(&s->lock);
	*used = s->used;
	*blocks = s->count;
	pthread_mutex_unlock(&s->lock);
}

struct ck_file *ck_block_file(const struct ck_block *block)
{
	return block->scratch->file;
}

uint64_t ck_block_offset(const struct ck_block *block)
{
	return block->offset;
}

void ck_block_release(struct ck_block *block)
{
	struct ck_scratch *s = block ? block->scratch : NULL;

	if (!block)
		return;
	pthread_mutex_lock(&s->lock);
	if (--block->holders == 0) {
		block->used_ms = ck_now_ms();
		if (block->place)
			link_idle(s, block);
		else
			end_block(s, block);
	}
	pthread_mutex_unlock(&s->lock);
}
