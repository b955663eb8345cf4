/* Leases in a store of several machines: implements lease.h. */
#include "core/draft/lease.h"

#include "core/base/clock.h"
#include "core/draft/shared.h"
#include "core/file/dir.h"
#include "core/file/fd.h"
#include "core/file/real.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define POLL_MS 200
/* Nobody takes a lease over that was renewed since. */
#define SURE_MS (2 * CK_LEASE_RENEW * INT64_C(1000))
/* 2020, in seconds since 1970. */
#define FIRST_TIME 1577836800

struct ck_lease {
	char path[PATH_MAX];
	char text[CK_LEASE_TEXT];       /* what is in the file */
	pthread_t thread;
	/* Guards what follows. Never held during a call to the store. */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool end;
	int64_t renewed_ms;     /* when it was last written, by ck_now_ms */
};

/* The first line of the file at PATH, without its end; "" if it can't be had. Before the sandbox. */
static void read_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");

	line[0] = '\0';
	if (f && fgets(line, (int)size, f))
		line[strcspn(line, "\n")] = '\0';
	if (f)
		fclose(f);
}

void ck_lease_introduce(struct ck_lease_self *self)
{
	char host[65] = "", boot[48], pids[48] = "";

	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, " \n")] = '\0';
	read_line("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
	if (readlink("/proc/self/ns/pid", pids, sizeof(pids) - 1) < 0)
		pids[0] = '\0';
	snprintf(self->text, sizeof(self->text), "%s %s %s", host[0] ? host : "-", boot[0] ? boot : "-",
		 pids[0] ? pids : "-");
}

const char *ck_lease_name(enum ck_draft_kind kind, uint64_t step, char name[CK_LEASE_NAME])
{
	char draft[64];

	snprintf(name, CK_LEASE_NAME, CK_LEASE_PREFIX "%s", ck_draft_format(kind, step, draft, sizeof(draft)));
	return name;
}

static int random_number(uint64_t *number, struct ck_error *err)
{
	return getrandom(number, sizeof(*number), 0) == sizeof(*number) ? CK_OK : ck_fail_sys(err, "getrandom");
}

int ck_lease_text(const struct ck_lease_self *self, char text[CK_LEASE_TEXT], struct ck_error *err)
{
	uint64_t number;
	int rc = random_number(&number, err);

	if (!rc)
		snprintf(text, CK_LEASE_TEXT, "%s %ld %016" PRIx64 "\n", self->text, (long)getpid(), number);
	return rc;
}

/* ---- the file ---- */

static int random_suffix(char *path, size_t size, struct ck_error *err)
{
	size_t len = strlen(path);
	uint64_t number;
	int rc = random_number(&number, err);

	if (rc)
		return rc;
	return (size_t)snprintf(path + len, size - len, ".%016" PRIx64, number) < size - len ? CK_OK
											     : ck_fail_long_path(err);
}

static int write_text(const char *path, int flags, const char *text, struct ck_error *err)
{
	int fd = ck_real_open(path, O_WRONLY | flags, 0644), rc;

	if (fd < 0)
		return ck_fail_sys(err, "open of a lease");
	rc = ck_write_full(fd, 0, text, strlen(text), err);
	/* Where a client keeps what is written for later, close tells what came of it. */
	if (close(fd) < 0 && !rc)
		rc = ck_fail_sys(err, "close of a lease");
	return rc;
}

/* False: it isn't there any more, or can't be read. */
static bool read_text(const char *path, char *text, size_t size)
{
	int fd = ck_real_open(path, O_RDONLY, 0);
	ssize_t n = fd < 0 ? -1 : pread(fd, text, size - 1, 0);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n >= 0;
}

/* ---- the store's time ---- */

bool ck_lease_is_time(time_t t)
{
	return t >= FIRST_TIME;
}

/* What is made and learned while a lease is waited for. */
struct wait {
	const char *home;
	char own[PATH_MAX];     /* a file that has the lease's text already; "": it isn't made yet */
	bool no_links;          /* this store makes no hard links */
	char clock[PATH_MAX];   /* the file that is to tell the store's time; "": it isn't made yet */
	time_t now;             /* the store's time at LEARNED_MS; 0: not known yet */
	int64_t learned_ms;
	int64_t empty_ms;       /* since when the lease is empty; 0: it wasn't when it was last read */
};

/* Asks for the store's time. Where a client sends what is written later, it is known once the file was sent. */
static int ask_time(struct wait *w, struct ck_error *err)
{
	struct stat st;
	int rc = CK_OK;

	if (!w->clock[0]) {
		rc = ck_path_join(w->clock, w->home, CK_LEASE_PREFIX "clock")
			     ? random_suffix(w->clock, sizeof(w->clock), err)
			     : ck_fail_long_path(err);
		if (rc) {
			w->clock[0] = '\0';
			return rc;
		}
		rc = write_text(w->clock, O_CREAT | O_EXCL, "?", err);
	}
	if (!rc && ck_real_stat(w->clock, &st) < 0)
		rc = ck_fail_sys(err, "stat");
	if (!rc && ck_lease_is_time(st.st_mtim.tv_sec)) {
		w->now = st.st_mtim.tv_sec;
		w->learned_ms = ck_now_ms();
	}
	return rc;
}

static void end_wait(struct wait *w)
{
	if (w->own[0])
		ck_real_unlink(w->own);
	if (w->clock[0])
		ck_real_unlink(w->clock);
}

int ck_lease_now(const char *home, time_t *now, struct ck_error *err)
{
	struct wait w = { .home = home };
	int rc = ask_time(&w, err);

	end_wait(&w);
	errno = EAGAIN;
	if (!rc && !w.now)
		rc = ck_fail_sys(err, "the store's time");
	*now = w.now;
	return rc;
}

/* ---- others ---- */

/* Whether TEXT is of a process of this machine that has ended; this one's own numbers are of one that had them before.
   Where /proc hides processes that isn't known. */
static bool has_ended(const struct ck_lease_self *self, const char *text)
{
	size_t len = strlen(self->text);
	char path[48];
	struct stat st;
	long pid;

	if (strncmp(text, self->text, len) != 0 || strstr(self->text, " -") || sscanf(text + len, " %ld", &pid) != 1)
		return false;
	if (pid == (long)getpid())
		return true;
	snprintf(path, sizeof(path), "/proc/%ld", pid);
	return stat("/proc/1", &st) == 0 && stat(path, &st) < 0 && errno == ENOENT;
}

/* AGE in seconds; -1: its process has ended. */
static void say(const struct ck_lease_self *self, const char *path, const char *text, int64_t age)
{
	const char *pid = text + strlen(self->text) + 1;
	char line[PATH_MAX + 128];

	if (age < 0)
		snprintf(line, sizeof(line), "%s: took over the lease of process %.*s, which has ended", path,
			 (int)strcspn(pid, " "), pid);
	else if (!text[0])
		snprintf(line, sizeof(line), "%s: took over a lease that doesn't say whose it is", path);
	else
		snprintf(line, sizeof(line), "%s: took over the lease of %.*s, not renewed for %lld seconds", path,
			 (int)strcspn(text, " \n"), text, (long long)age);
	if (self->log)
		self->log(self->log_arg, line);
}

/* Takes away the lease that TEXT was read from. Another may do so at the same time, and have made one of its own. */
static int take_away(const char *path, const char *text, struct ck_error *err)
{
	char aside[PATH_MAX], now[CK_LEASE_TEXT];
	int rc;

	snprintf(aside, sizeof(aside), "%s", path);
	rc = random_suffix(aside, sizeof(aside), err);
	if (rc)
		return rc;
	if (ck_real_rename(path, aside, 0) < 0)
		return errno == ENOENT ? CK_OK : ck_fail_sys(err, "rename of a lease");
	if (read_text(aside, now, sizeof(now)) && strcmp(now, text) != 0)
		ck_rename_new(aside, path, false);
	ck_real_unlink(aside);
	return CK_OK;
}

/* How long the lease at PATH, which holds TEXT and was written at MTIME, wasn't renewed, in seconds; -1: not known. */
static int ask_age(struct wait *w, const char *text, time_t mtime, int64_t *age, struct ck_error *err)
{
	int rc = w->now ? CK_OK : ask_time(w, err);

	if (text[0])
		w->empty_ms = 0;
	else if (!w->empty_ms)
		w->empty_ms = ck_now_ms();
	*age = -1;
	if (w->now && ck_lease_is_time(mtime))
		*age = w->now + (ck_now_ms() - w->learned_ms) / 1000 - mtime;
	if (w->empty_ms && *age < (ck_now_ms() - w->empty_ms) / 1000)
		*age = (ck_now_ms() - w->empty_ms) / 1000;
	return rc;
}

/* The lease at PATH is another's: takes it away if it is stale. *GONE: it isn't there any more. */
static int look(const struct ck_lease_self *self, const char *path, struct wait *w, bool *gone, struct ck_error *err)
{
	char text[CK_LEASE_TEXT];
	bool ended, is_read;
	struct stat st;
	int64_t age = -1;
	int rc = CK_OK;

	*gone = false;
	if (ck_real_stat(path, &st) < 0) {
		*gone = errno == ENOENT;
		return *gone ? CK_OK : ck_fail_sys(err, "stat");
	}
	is_read = read_text(path, text, sizeof(text));
	ended = has_ended(self, text);
	if (!ended)
		rc = ask_age(w, is_read ? text : "?", st.st_mtim.tv_sec, &age, err);
	if (!ended && (rc || age <= (text[0] || !is_read ? CK_LEASE_SECONDS : CK_LEASE_EMPTY)))
		return rc;
	*gone = true;
	say(self, path, text, age);
	return take_away(path, text, err);
}

/* ---- one's own ---- */

static void *renew(void *arg)
{
	struct ck_lease *lease = arg;
	struct timespec until;
	int64_t at;
	int rc;

	pthread_mutex_lock(&lease->lock);
	while (!lease->end) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += CK_LEASE_RENEW;
		if (pthread_cond_timedwait(&lease->ended, &lease->lock, &until) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&lease->lock);
		at = ck_now_ms();
		rc = write_text(lease->path, 0, lease->text, NULL);
		pthread_mutex_lock(&lease->lock);
		if (!rc)
			lease->renewed_ms = at;
	}
	pthread_mutex_unlock(&lease->lock);
	return NULL;
}

static bool is_sure(struct ck_lease *lease)
{
	bool sure;

	pthread_mutex_lock(&lease->lock);
	sure = ck_now_ms() - lease->renewed_ms < SURE_MS;
	pthread_mutex_unlock(&lease->lock);
	return sure;
}

static bool is_mine(const struct ck_lease *lease)
{
	char text[sizeof(lease->text)];

	return read_text(lease->path, text, sizeof(text)) && strcmp(text, lease->text) == 0;
}

static int new_lease(const struct ck_lease_self *self, const char *path, struct ck_lease **out, struct ck_error *err)
{
	struct ck_lease *lease = calloc(1, sizeof(*lease));
	int rc = lease ? ck_lease_text(self, lease->text, err) : ck_fail_nomem(err);

	if (rc) {
		free(lease);
		return rc;
	}
	snprintf(lease->path, sizeof(lease->path), "%s", path);
	pthread_mutex_init(&lease->lock, NULL);
	pthread_cond_init(&lease->ended, NULL);
	*out = lease;
	return CK_OK;
}

static void free_lease(struct ck_lease *lease)
{
	pthread_cond_destroy(&lease->ended);
	pthread_mutex_destroy(&lease->lock);
	free(lease);
}

/* Makes the file, which is empty for a moment then. */
static int make_empty(struct ck_lease *lease, struct ck_error *err)
{
	int rc;

	lease->renewed_ms = ck_now_ms();
	rc = write_text(lease->path, O_CREAT | O_EXCL, lease->text, err);
	/* Written late, it may have been taken for one whose maker was killed. */
	if (!rc && ck_now_ms() - lease->renewed_ms >= CK_LEASE_EMPTY * INT64_C(500) && !is_mine(lease)) {
		errno = EEXIST;
		rc = ck_fail_sys(err, "a lease");
	}
	return rc;
}

/* Writes the file that is to become the lease, or writes it again where that was long ago. */
static int write_own(struct ck_lease *lease, struct wait *w, struct ck_error *err)
{
	bool is_new = !w->own[0];
	int64_t now = ck_now_ms();
	int rc = CK_OK;

	if (!is_new && now - lease->renewed_ms < CK_LEASE_RENEW * INT64_C(1000))
		return CK_OK;
	if (is_new) {
		snprintf(w->own, sizeof(w->own), "%s", lease->path);
		rc = random_suffix(w->own, sizeof(w->own), err);
		if (rc) {
			w->own[0] = '\0';
			return rc;
		}
	}
	rc = write_text(w->own, is_new ? O_CREAT | O_EXCL : 0, lease->text, err);
	lease->renewed_ms = now;
	return rc;
}

/*
 * Makes the lease, if nobody has it; EEXIST: somebody has. Where there are hard links its name is given to a file that
 * has its text already, so that no kill leaves an empty lease, of which nobody knows whose it was.
 */
static int make_new(struct ck_lease *lease, struct wait *w, struct ck_error *err)
{
	struct stat st;
	int rc = w->no_links ? CK_OK : write_own(lease, w, err);

	if (rc)
		return rc;
	if (w->no_links)
		return make_empty(lease, err);
	if (ck_real_link(w->own, lease->path) == 0)
		return CK_OK;
	/* Servers of sftp don't say why, and an answer may have been lost. */
	if (errno == EEXIST || ck_real_stat(lease->path, &st) == 0) {
		if (is_mine(lease))
			return CK_OK;
		errno = EEXIST;
		return ck_fail_sys(err, "a lease");
	}
	w->no_links = true;
	ck_real_unlink(w->own);
	w->own[0] = '\0';
	return make_empty(lease, err);
}

/* Makes the lease, once nobody has it. */
static int make(const struct ck_lease_self *self, struct ck_lease *lease, unsigned seconds, struct wait *w,
		struct ck_error *err)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	int64_t began = ck_now_ms();
	bool gone;
	int rc;

	for (int again = 0;;) {
		struct ck_error why = CK_ERROR_INIT;

		rc = make_new(lease, w, &why);
		if (!rc)
			return CK_OK;
		if (why.sys != EEXIST) {
			ck_error_copy(err, &why);
			return rc;
		}
		rc = look(self, lease->path, w, &gone, err);
		if (rc)
			return rc;
		/* Names that a client keeps may be of before. */
		if (gone && again++ < 3)
			continue;
		if (ck_now_ms() - began >= (int64_t)seconds * 1000)
			break;
		nanosleep(&pause, NULL);
	}
	errno = EBUSY;
	return ck_fail_sys(err, "the lease, which another mount holds");
}

int ck_lease_take(const struct ck_lease_self *self, const char *home, const char *name, unsigned seconds,
		  struct ck_lease **out, struct ck_error *err)
{
	struct wait w = { .home = home };
	struct ck_lease *lease;
	char path[PATH_MAX];
	int rc = ck_path_join(path, home, name) ? new_lease(self, path, &lease, err) : ck_fail_long_path(err);

	if (rc)
		return rc;
	rc = make(self, lease, seconds, &w, err);
	end_wait(&w);
	if (!rc) {
		errno = pthread_create(&lease->thread, NULL, renew, lease);
		if (errno) {
			rc = ck_fail_sys(err, "a thread for the lease");
			ck_real_unlink(path);
		}
	}
	if (rc) {
		ck_error_file(err, path);
		free_lease(lease);
		return rc;
	}
	*out = lease;
	return CK_OK;
}

int ck_lease_check(struct ck_lease *lease, struct ck_error *err)
{
	if (!lease || is_sure(lease) || is_mine(lease))
		return CK_OK;
	errno = EBUSY;
	return ck_fail_sys(err, "the lease, which another mount has taken over");
}

void ck_lease_drop(struct ck_lease *lease)
{
	if (!lease)
		return;
	pthread_mutex_lock(&lease->lock);
	lease->end = true;
	pthread_cond_signal(&lease->ended);
	pthread_mutex_unlock(&lease->lock);
	pthread_join(lease->thread, NULL);
	if (is_sure(lease) || is_mine(lease))
		ck_real_unlink(lease->path);
	free_lease(lease);
}
