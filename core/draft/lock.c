/* A tag's lock: implements lock.h. The file is opened when the lock is taken; see lock_tag() and open_lock(). */
#include "core/draft/lock.h"

#include "core/draft/able.h"
#include "core/draft/lease.h"
#include "core/draft/owner.h"
#include "core/draft/recover.h"
#include "core/draft/shared.h"
#include "core/file/dir.h"
#include "core/file/rclone.h"
#include "core/file/real.h"
#include "core/tree/names.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#define MOST_IDLE 64            /* descriptors of locks that nobody uses */
#define POLL_MS 20
#define ALONE_TEXT \
	"write to this store from one machine alone: rclone's caches know nothing of each other, and a lease keeps " \
	"no other machine away"

struct ck_lock {
	UT_hash_handle hh;              /* by tag */
	struct ck_lock *prev, *next;    /* among the idle ones, the one that was used last at the end */
	struct ck_locks *all;
	int fd;                         /* -1: not taken */
	unsigned uses;
	bool changing;                  /* a thread takes it, and holds no mutex */
	bool cleared;                   /* leftovers are the next mount's to clear */
	/* Set before the first use: the store is one of several machines; it was asked what it can do. */
	bool shared, asked;
	char tag[];
};

struct ck_locks {
	struct ck_lease_self self;
	const struct ck_rclone *rclone; /* mounts whose leases exclude no other machine */
	/* Under MUTEX: whether it was said what a store lacks; whether a store is one of these mounts; the device on
	   which nothing can be written, and why; "" where there is none */
	bool said, alone;
	dev_t unable_dev;
	char unable[288];
	/* Guards the locks and all that is in them. Never held during a system call that may wait. */
	pthread_mutex_t mutex;
	pthread_cond_t changed;         /* a lock's CHANGING is false again */
	struct ck_lock *table, *idle;
	unsigned idle_count;
};

struct ck_locks *ck_locks_new(const struct ck_rclone *rclone, void (*log)(void *arg, const char *line), void *log_arg)
{
	struct ck_locks *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->self.log = log;
	all->self.log_arg = log_arg;
	ck_lease_introduce(&all->self);
	all->rclone = rclone;
	pthread_mutex_init(&all->mutex, NULL);
	pthread_cond_init(&all->changed, NULL);
	return all;
}

void ck_locks_free(struct ck_locks *all)
{
	struct ck_lock *lock, *next;

	if (!all)
		return;
	lock = all->table;
	HASH_CLEAR(hh, all->table);
	for (; lock; lock = next) {
		next = lock->hh.next;
		if (lock->fd >= 0)
			close(lock->fd);
		free(lock);
	}
	pthread_cond_destroy(&all->changed);
	pthread_mutex_destroy(&all->mutex);
	free(all);
}

struct ck_lock *ck_lock_of(struct ck_locks *all, const char *tag)
{
	size_t len = strlen(tag);
	struct ck_lock *lock;

	pthread_mutex_lock(&all->mutex);
	HASH_FIND(hh, all->table, tag, len, lock);
	if (!lock)
		lock = calloc(1, sizeof(*lock) + len + 1);
	if (lock && !lock->all) {
		lock->all = all;
		lock->fd = -1;
		memcpy(lock->tag, tag, len + 1);
		HASH_ADD(hh, all->table, tag, len, lock);
	}
	pthread_mutex_unlock(&all->mutex);
	return lock;
}

/* ---- the file ---- */

/* As the tag's mode lets others write to the tag. */
static mode_t lock_mode(const struct stat *tag)
{
	return tag->st_mode & S_IWOTH ? 0666 : tag->st_mode & S_IWGRP ? 0660 : 0600;
}

/* TAG/.ckptfs belongs to the tag's owner and group, and is open to everyone who may write to the tag. */
static int make_home(const char *home, const struct stat *tag, struct ck_error *err)
{
	if (ck_real_mkdir(home, 0700) == 0)
		return ck_give_new(home, tag, (tag->st_mode & 07777) | 0700, err);
	return errno == EEXIST ? CK_OK : ck_fail_sys(err, "mkdir");
}

/* A descriptor of the lock's file, whose owner and mode follow the tag's; -1. */
static int open_lock(const char *tag_path, const char *home, bool create, struct ck_error *err)
{
	char path[PATH_MAX];
	struct stat tag;
	int fd = -1;

	if (ck_real_stat(tag_path, &tag) < 0) {
		ck_error_set_sys(err, "stat of the tag");
		return -1;
	}
	if (create && make_home(home, &tag, err))
		return -1;
	ck_give_left(home, &tag);
	if (ck_path_join(path, home, CK_LOCK_NAME))
		fd = ck_real_open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		ck_error_set_sys(err, "open of the tag's lock");
	else
		ck_give_file(fd, &tag, lock_mode(&tag));
	return fd;
}

/* ---- the lock ---- */

/* F_OFD_SETLK of one byte. */
static int set(int fd, short type, off_t byte)
{
	struct flock range = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	int rc;

	do
		rc = fcntl(fd, F_OFD_SETLK, &range);
	while (rc < 0 && errno == EINTR);
	return rc;
}

/* "TAG: WHAT: WHICH"; WHICH may be "". */
static void log_store(const struct ck_lock *lock, const char *what, const char *which)
{
	char line[PATH_MAX + 512];

	snprintf(line, sizeof(line), "%s: %s%s%s", lock->tag, what, which[0] ? ": " : "", which);
	if (lock->all->self.log)
		lock->all->self.log(lock->all->self.log_arg, line);
}

static void say(const struct ck_lock *lock, const char *what)
{
	char line[128];

	snprintf(line, sizeof(line), "waiting up to %d seconds for another mount %s", CK_LOCK_SECONDS, what);
	log_store(lock, line, "");
}

/* Takes the byte; while another mount has it, tries again. WHAT says what the other does. A file system without locks
   is not a failure. */
static int wait_for(struct ck_lock *lock, int fd, short type, off_t byte, const char *what, struct ck_error *err)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };

	for (int tries = 0; set(fd, type, byte) < 0 && (errno == EAGAIN || errno == EACCES); tries++) {
		if (tries == CK_LOCK_SECONDS * 1000 / POLL_MS) {
			errno = EBUSY;
			ck_error_set_sys(err, "the tag's lock, which another mount holds");
			ck_error_file(err, lock->tag);
			return CK_ERR_SYS;
		}
		if (tries == 0)
			say(lock, what);
		nanosleep(&pause, NULL);
	}
	return CK_OK;
}

/* Whether other mounts find the same lock file: somebody may have removed HOME by hand. */
static bool is_current(int fd, const char *home)
{
	struct stat held, found;
	char path[PATH_MAX];

	return fd >= 0 && fstat(fd, &held) == 0 && ck_path_join(path, home, CK_LOCK_NAME) &&
	       ck_real_stat(path, &found) == 0 && found.st_dev == held.st_dev && found.st_ino == held.st_ino;
}

/* One line for a mount: a store's tags are alike. FD: of the lock's file. */
static void say_lacks(const struct ck_lock *lock, int fd, const char *lacks)
{
	bool alone, said, said_alone;
	struct stat st;

	alone = fstat(fd, &st) == 0 && ck_rclone_has(lock->all->rclone, st.st_dev);
	pthread_mutex_lock(&lock->all->mutex);
	said = lock->all->said;
	said_alone = lock->all->alone;
	lock->all->said = true;
	lock->all->alone |= alone;
	pthread_mutex_unlock(&lock->all->mutex);
	if (!said)
		log_store(lock, "several machines may write here, so steps are published under a lease", lacks);
	if (alone && !said_alone)
		log_store(lock, ALONE_TEXT, "");
}

const char *ck_locks_alone(struct ck_locks *all)
{
	bool alone;

	pthread_mutex_lock(&all->mutex);
	alone = all->alone;
	pthread_mutex_unlock(&all->mutex);
	return alone ? ALONE_TEXT : NULL;
}

void ck_locks_unable(struct ck_locks *all, char *why, size_t size)
{
	pthread_mutex_lock(&all->mutex);
	snprintf(why, size, "%s", all->unable);
	pthread_mutex_unlock(&all->mutex);
}

/* Whether it is known that nothing can be written on the device of FD: CK_ERR_ROFS. */
static int is_unable(const struct ck_lock *lock, int fd, struct ck_error *err)
{
	struct ck_locks *all = lock->all;
	struct stat st;
	int rc = CK_OK;

	if (fstat(fd, &st) < 0)
		return ck_fail_sys(err, "fstat");
	pthread_mutex_lock(&all->mutex);
	if (all->unable[0] && all->unable_dev == st.st_dev)
		rc = ck_fail(err, CK_ERR_ROFS, "%s", all->unable);
	pthread_mutex_unlock(&all->mutex);
	return rc;
}

static void note_unable(const struct ck_lock *lock, int fd, const struct ck_error *why)
{
	struct ck_locks *all = lock->all;
	struct stat st;

	log_store(lock, "read-only", why->text);
	if (fstat(fd, &st) < 0)
		return;
	pthread_mutex_lock(&all->mutex);
	snprintf(all->unable, sizeof(all->unable), "%s", why->text);
	all->unable_dev = st.st_dev;
	pthread_mutex_unlock(&all->mutex);
}

/* Asks a store of several machines, once, whether what is written there keeps its promises. FD: of the lock's file. */
static int ask_store(struct ck_lock *lock, const char *home, int fd, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	char lacks[160];
	int rc;

	if (lock->asked)
		return CK_OK;
	lock->shared = ck_is_shared(home);
	if (lock->shared) {
		rc = is_unable(lock, fd, err);
		if (rc)
			return rc;
		rc = ck_able_to_write(&lock->all->self, home, lacks, sizeof(lacks), &why);
		if (rc == CK_ERR_ROFS)
			note_unable(lock, fd, &why);
		ck_error_copy(err, &why);
		if (rc)
			return rc;
		say_lacks(lock, fd, lacks);
	}
	lock->asked = true;
	return CK_OK;
}

/* Opens the lock's file, and clears leftovers when no other mount holds the lock. With KEEP the lock is shared in the
   end, and in LOCK->fd. The caller has set CHANGING. */
static int lock_tag(struct ck_lock *lock, bool create, bool keep, struct ck_error *err)
{
	char home[PATH_MAX];
	int fd, rc = CK_OK;

	if (!ck_path_join(home, lock->tag, CK_DRAFT_DIR))
		return ck_fail_long_path(err);
	if (keep && is_current(lock->fd, home))
		return CK_OK;
	fd = open_lock(lock->tag, home, create, err);
	if (fd < 0) {
		ck_error_file(err, home);
		return CK_ERR_SYS;
	}
	rc = ask_store(lock, home, fd, err);
	if (!rc && !lock->cleared && set(fd, F_WRLCK, 0) == 0) {
		ck_recover_tag(lock->tag, home, lock->shared, &lock->all->self);
		lock->cleared = true;
	}
	if (!rc && keep)
		rc = wait_for(lock, fd, F_RDLCK, 0, "that clears leftovers", err);
	if (rc || !keep) {
		close(fd);
		return rc;
	}
	/* What was left by others while this mount held the lock is the next mount's to clear. */
	lock->cleared = true;
	if (lock->fd >= 0)
		close(lock->fd);
	lock->fd = fd;
	return CK_OK;
}

/* With the mutex held: waits until no other thread takes the lock, and keeps it from the others. */
static void begin_change(struct ck_lock *lock)
{
	while (lock->changing)
		pthread_cond_wait(&lock->all->changed, &lock->all->mutex);
	if (lock->uses == 0 && lock->fd >= 0) {
		DL_DELETE(lock->all->idle, lock);
		lock->all->idle_count--;
	}
	lock->changing = true;
}

/* With the mutex held. */
static void end_change(struct ck_lock *lock)
{
	struct ck_locks *all = lock->all;
	struct ck_lock *oldest;

	lock->changing = false;
	pthread_cond_broadcast(&all->changed);
	if (lock->uses || lock->fd < 0)
		return;
	DL_APPEND(all->idle, lock);
	if (++all->idle_count <= MOST_IDLE)
		return;
	oldest = all->idle;
	DL_DELETE(all->idle, oldest);
	all->idle_count--;
	close(oldest->fd);
	oldest->fd = -1;
}

int ck_lock_hold(struct ck_lock *lock, bool create, struct ck_error *err)
{
	struct ck_locks *all = lock->all;
	int rc = CK_OK;

	pthread_mutex_lock(&all->mutex);
	begin_change(lock);
	/* In use, it is not looked at again: a file that is open for writing is written to many times. */
	if (lock->uses == 0) {
		pthread_mutex_unlock(&all->mutex);
		rc = lock_tag(lock, create, true, err);
		pthread_mutex_lock(&all->mutex);
	}
	lock->uses += !rc;
	end_change(lock);
	pthread_mutex_unlock(&all->mutex);
	return rc;
}

void ck_lock_drop(struct ck_lock *lock)
{
	pthread_mutex_lock(&lock->all->mutex);
	begin_change(lock);
	lock->uses--;
	end_change(lock);
	pthread_mutex_unlock(&lock->all->mutex);
}

int ck_lock_clear(struct ck_lock *lock, struct ck_error *err)
{
	int rc = CK_OK;

	pthread_mutex_lock(&lock->all->mutex);
	begin_change(lock);
	pthread_mutex_unlock(&lock->all->mutex);
	if (!lock->cleared)
		rc = lock_tag(lock, false, false, err);
	pthread_mutex_lock(&lock->all->mutex);
	end_change(lock);
	pthread_mutex_unlock(&lock->all->mutex);
	return rc;
}

int ck_lock_step(struct ck_lock *lock, uint64_t step, bool shards, struct ck_step_lock *out, struct ck_error *err)
{
	/* Byte 0 is the tag's. Two steps of one byte would only wait for each other. */
	off_t byte = 1 + (off_t)((step * 2 + shards) & (INT64_MAX >> 1));
	char home[PATH_MAX], name[CK_LEASE_NAME];
	int rc;

	*out = (struct ck_step_lock){ .fd = -1 };
	if (!ck_path_join(home, lock->tag, CK_DRAFT_DIR))
		return ck_fail_long_path(err);
	out->fd = open_lock(lock->tag, home, false, err);
	if (out->fd < 0)
		return CK_ERR_SYS;
	rc = wait_for(lock, out->fd, F_WRLCK, byte, "that publishes the same step", err);
	if (!rc && lock->shared)
		rc = ck_lease_take(&lock->all->self, home,
				   ck_lease_name(shards ? CK_DRAFT_OPTIM : CK_DRAFT_STEP, step, name), CK_LOCK_SECONDS,
				   &out->lease, err);
	if (rc)
		ck_unlock_step(out);
	return rc;
}

void ck_unlock_step(struct ck_step_lock *held)
{
	ck_lease_drop(held->lease);
	if (held->fd >= 0)
		close(held->fd);
	*held = (struct ck_step_lock){ .fd = -1 };
}

void ck_lock_remove(const char *home)
{
	static const char *const names[] = { CK_LOCK_NAME, CK_OLD_LOCK_NAME };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (ck_path_join(path, home, names[i]))
			ck_real_unlink(path);
	ck_real_rmdir(home);
}
