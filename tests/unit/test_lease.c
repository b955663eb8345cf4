/* Leases: one has it, others wait; what is stale is taken over, what isn't, never. */
#include "core/draft/lease.h"
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME CK_LEASE_PREFIX "000600"

static char home[] = "/tmp/test_lease.XXXXXX";
static char said[512];

static void log_line(void *arg, const char *line)
{
	(void)arg;
	snprintf(said, sizeof(said), "%s", line);
}

static struct ck_lease_self self = { .log = log_line };

static const char *path(void)
{
	static char text[64];

	snprintf(text, sizeof(text), "%s/%s", home, NAME);
	return text;
}

/* A lease with TEXT, last renewed AGE seconds ago. */
static void put(const char *text, time_t age)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time(NULL) - age } };
	int fd = open(path(), O_CREAT | O_TRUNC | O_WRONLY, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && futimens(fd, times) == 0);
	close(fd);
}

/* Whether the lease can be had within SECONDS; it is dropped then. */
static bool can_take_within(unsigned seconds)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_lease *lease;
	int rc;

	said[0] = '\0';
	rc = ck_lease_take(&self, home, NAME, seconds, &lease, &err);
	CHECK(rc == CK_OK || (err.code == CK_ERR_SYS && err.sys == EBUSY));
	if (!rc) {
		CHECK(ck_lease_check(lease, NULL) == CK_OK && access(path(), F_OK) == 0);
		ck_lease_drop(lease);
		CHECK(access(path(), F_OK) < 0);
	}
	return rc == CK_OK;
}

static bool can_take(void)
{
	return can_take_within(0);
}

static void one_has_it(void)
{
	struct ck_lease_self other = { .text = "elsewhere boot pid:[1]" };
	struct ck_lease *lease, *second;

	CHECK(ck_lease_take(&self, home, NAME, 0, &lease, NULL) == CK_OK);
	CHECK(ck_lease_take(&other, home, NAME, 1, &second, NULL) == CK_ERR_SYS);
	CHECK(ck_lease_take(&other, home, CK_LEASE_PREFIX "000601", 0, &second, NULL) == CK_OK);
	ck_lease_drop(second);
	ck_lease_drop(lease);
	CHECK(ck_lease_take(&other, home, NAME, 0, &second, NULL) == CK_OK);
	ck_lease_drop(second);
	CHECK(ck_lease_check(NULL, NULL) == CK_OK);
	ck_lease_drop(NULL);
}

static void another_machine_renews_it_or_does_not(void)
{
	put("elsewhere boot pid:[1] 17 0123\n", CK_LEASE_SECONDS - 5);
	CHECK(!can_take());
	put("elsewhere boot pid:[1] 17 0123\n", CK_LEASE_SECONDS + 5);
	CHECK(can_take() && strstr(said, "took over the lease of elsewhere, not renewed for 6"));
	put("elsewhere boot pid:[1] 17 0123\n", -5);
	CHECK(!can_take());
}

static void its_process_has_ended(void)
{
	char text[256];
	pid_t child = fork();

	if (child == 0)
		pause();
	snprintf(text, sizeof(text), "%s %ld 0123\n", self.text, (long)child);
	put(text, 0);
	CHECK(!can_take());
	CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	CHECK(can_take() && strstr(said, "which has ended"));
	/* The same number on another machine says nothing. */
	snprintf(text, sizeof(text), "elsewhere boot pid:[1] %ld 0123\n", (long)child);
	put(text, 0);
	CHECK(!can_take() && unlink(path()) == 0);
}

static void its_maker_was_killed_before_it_wrote(void)
{
	put("", 0);
	CHECK(!can_take());
	put("", CK_LEASE_EMPTY + 2);
	CHECK(can_take());
	CHECK(strstr(said, "doesn't say whose it is"));
	put("something else", 0);
	CHECK(!can_take() && unlink(path()) == 0);
	/* The store's clock doesn't matter where it is watched. */
	put("", -1000);
	CHECK(!can_take());
	CHECK(can_take_within(CK_LEASE_EMPTY + 5));
}

/* rclone shows a file that it hasn't sent yet as one of 1999, renewed or not. */
static void its_time_is_none(void)
{
	put("elsewhere boot pid:[1] 17 0123\n", time(NULL) - 936403200);
	CHECK(!can_take() && unlink(path()) == 0);
	put("", time(NULL) - 936403200);
	CHECK(!can_take() && unlink(path()) == 0);
	CHECK(ck_lease_is_time(time(NULL)) && !ck_lease_is_time(936403200) && !ck_lease_is_time(0));
}

static void it_cannot_be_read(void)
{
	struct timespec times[2] = { { .tv_sec = time(NULL) - CK_LEASE_SECONDS + 5 } };

	CHECK(symlink("nowhere", path()) == 0);
	times[1] = times[0];
	CHECK(utimensat(AT_FDCWD, path(), times, AT_SYMLINK_NOFOLLOW) == 0 && !can_take());
	times[1].tv_sec -= 10;
	CHECK(utimensat(AT_FDCWD, path(), times, AT_SYMLINK_NOFOLLOW) == 0 && can_take());
}

/* Its name is given to a file that says already whose it is: nothing is written under that name. */
static void it_is_never_empty(void)
{
	char events[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), made = 0, written = 0;
	const struct inotify_event *e;
	struct ck_lease *lease;
	ssize_t len;

	CHECK(fd >= 0 && inotify_add_watch(fd, home, IN_CREATE | IN_MODIFY) >= 0);
	CHECK(ck_lease_take(&self, home, NAME, 0, &lease, NULL) == CK_OK);
	while ((len = read(fd, events, sizeof(events))) > 0) {
		for (char *at = events; at < events + len; at += sizeof(*e) + e->len) {
			e = (const struct inotify_event *)(void *)at;
			made += strcmp(e->name, NAME) == 0 && (e->mask & IN_CREATE);
			written += strcmp(e->name, NAME) == 0 && (e->mask & IN_MODIFY);
		}
	}
	CHECK(made == 1 && written == 0);
	close(fd);
	ck_lease_drop(lease);
}

static atomic_int inside, most;

static void *rounds(void *arg)
{
	struct ck_lease_self me = { .text = "" };
	struct ck_lease *lease;

	/* Each as from a machine of its own. */
	snprintf(me.text, sizeof(me.text), "host%d boot pid:[1]", *(int *)arg);
	for (int i = 0; i < 4; i++) {
		if (ck_lease_take(&me, home, NAME, 30, &lease, NULL))
			continue;
		if (atomic_fetch_add(&inside, 1) >= most)
			most = inside;
		usleep(2000);
		atomic_fetch_sub(&inside, 1);
		ck_lease_drop(lease);
	}
	return NULL;
}

static void many_want_it(void)
{
	pthread_t threads[6];
	int numbers[6];

	for (int i = 0; i < 6; i++) {
		numbers[i] = i;
		CHECK(pthread_create(&threads[i], NULL, rounds, &numbers[i]) == 0);
	}
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	CHECK(most == 1 && access(path(), F_OK) < 0);
}

static void the_clock_is_the_stores(void)
{
	time_t now, before = time(NULL);

	CHECK(ck_lease_now(home, &now, NULL) == CK_OK && now >= before - 1 && now <= time(NULL) + 1);
	CHECK(ck_lease_now("/nowhere", &now, NULL) == CK_ERR_SYS);
}

int main(void)
{
	CHECK(mkdtemp(home));
	ck_lease_introduce(&self);
	RUN(one_has_it);
	RUN(another_machine_renews_it_or_does_not);
	RUN(its_process_has_ended);
	RUN(its_maker_was_killed_before_it_wrote);
	RUN(its_time_is_none);
	RUN(it_cannot_be_read);
	RUN(it_is_never_empty);
	RUN(many_want_it);
	RUN(the_clock_is_the_stores);
	CHECK(rmdir(home) == 0);
	CHECK_EXIT();
}
