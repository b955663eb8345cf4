/* A tag's lock: shared among uses and mounts, alone for clearing, a byte for each step, and few descriptors. */
#include "core/draft/lock.h"
#include "core/draft/publish.h"
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/test_lock.XXXXXX";
static char said[4096];

static void log_line(void *arg, const char *line)
{
	(void)arg;
	strncat(said, line, sizeof(said) - strlen(said) - 1);
}

static const char *in_tag(int tag, const char *name)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/t%d%s", root, tag, name);
	return path;
}

static void make_tag(int tag)
{
	CHECK(mkdir(in_tag(tag, ""), 0755) == 0);
}

/* Something that no mount knows of. */
static void leave(int tag)
{
	mkdir(in_tag(tag, "/.ckptfs"), 0755);
	CHECK(mkdir(in_tag(tag, "/.ckptfs/000600.trash"), 0755) == 0);
}

static bool is_left(int tag) { return access(in_tag(tag, "/.ckptfs/000600.trash"), F_OK) == 0; }

static int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir && readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void test_clearing(void)
{
	struct ck_locks *one = ck_locks_new(NULL, log_line, NULL), *two = ck_locks_new(NULL, log_line, NULL);
	struct ck_lock *first, *second;

	make_tag(1);
	leave(1);
	first = ck_lock_of(one, in_tag(1, ""));
	second = ck_lock_of(two, in_tag(1, ""));
	CHECK(first && second && first == ck_lock_of(one, in_tag(1, "")));
	CHECK(ck_lock_hold(first, true, NULL) == CK_OK);
	CHECK(!is_left(1));
	/* While another mount holds it, and also when it is idle there, nothing is cleared, and nobody waits. */
	leave(1);
	CHECK(ck_lock_clear(second, NULL) == CK_OK && is_left(1));
	CHECK(ck_lock_hold(second, true, NULL) == CK_OK && is_left(1));
	ck_lock_drop(second);
	ck_lock_drop(first);
	ck_locks_free(two);
	ck_locks_free(one);
	CHECK(is_left(1) && said[0] == '\0');
	one = ck_locks_new(NULL, log_line, NULL);
	CHECK(ck_lock_clear(ck_lock_of(one, in_tag(1, "")), NULL) == CK_OK && !is_left(1));
	ck_locks_free(one);
}

static void test_steps(void)
{
	struct ck_locks *one = ck_locks_new(NULL, log_line, NULL), *two = ck_locks_new(NULL, log_line, NULL);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_lock *first, *second;
	struct ck_step_lock held, other, shards;

	make_tag(2);
	first = ck_lock_of(one, in_tag(2, ""));
	second = ck_lock_of(two, in_tag(2, ""));
	CHECK(ck_lock_hold(first, true, NULL) == CK_OK && ck_lock_hold(second, true, NULL) == CK_OK);
	CHECK(ck_lock_step(first, 600, false, &held, NULL) == CK_OK);
	CHECK(ck_lock_step(second, 601, false, &other, NULL) == CK_OK);
	CHECK(ck_lock_step(second, 600, true, &shards, NULL) == CK_OK);
	ck_unlock_step(&other);
	ck_unlock_step(&shards);
	CHECK(said[0] == '\0');
	CHECK(ck_lock_step(second, 600, false, &other, &err) == CK_ERR_SYS && err.sys == 16 /* EBUSY */ && other.fd == -1);
	CHECK(strstr(said, "waiting up to 10 seconds for another mount that publishes the same step"));
	ck_unlock_step(&held);
	CHECK(ck_lock_step(second, 600, false, &held, NULL) == CK_OK);
	ck_unlock_step(&held);
	ck_locks_free(two);
	ck_locks_free(one);
}

static void test_few_descriptors(void)
{
	struct ck_locks *all = ck_locks_new(NULL, log_line, NULL);
	int before = descriptors();

	for (int i = 100; i < 400; i++) {
		make_tag(i);
		CHECK(ck_lock_hold(ck_lock_of(all, in_tag(i, "")), true, NULL) == CK_OK);
		ck_lock_drop(ck_lock_of(all, in_tag(i, "")));
	}
	CHECK(descriptors() - before <= 64);
	/* Those in use are held, however many. */
	for (int i = 100; i < 250; i++)
		CHECK(ck_lock_hold(ck_lock_of(all, in_tag(i, "")), true, NULL) == CK_OK);
	CHECK(descriptors() - before >= 150);
	for (int i = 100; i < 250; i++)
		ck_lock_drop(ck_lock_of(all, in_tag(i, "")));
	CHECK(descriptors() - before <= 64);
	ck_locks_free(all);
	CHECK(descriptors() == before);
}

/* The directory was removed by hand. */
static void test_removed(void)
{
	struct ck_locks *all = ck_locks_new(NULL, log_line, NULL);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_lock *lock;

	make_tag(3);
	lock = ck_lock_of(all, in_tag(3, ""));
	CHECK(ck_lock_hold(lock, false, &err) == CK_ERR_SYS && err.sys == 2 /* ENOENT */);
	CHECK(ck_lock_hold(lock, true, NULL) == CK_OK);
	ck_lock_drop(lock);
	ck_lock_remove(in_tag(3, "/.ckptfs"));
	CHECK(access(in_tag(3, "/.ckptfs"), F_OK) < 0);
	CHECK(ck_lock_hold(lock, true, NULL) == CK_OK && access(in_tag(3, "/.ckptfs/writers"), F_OK) == 0);
	ck_lock_drop(lock);
	ck_locks_free(all);
}

int main(void)
{
	CHECK(mkdtemp(root) != NULL);
	RUN(test_clearing);
	RUN(test_steps);
	RUN(test_few_descriptors);
	RUN(test_removed);
	ck_remove_tree(root);
	CHECK_EXIT();
}
