#include "core/draft/publish.h"
#include "core/file/real.h"
#include "core/tree/store.h"
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* inside/ has links to all that is in outside/; no call may get there. */
static char root[] = "/tmp/test_real.XXXXXX";
static char paths[2][512];

static const char *in(int i, const char *name)
{
	snprintf(paths[i], sizeof(paths[i]), "%s/inside/%s", root, name);
	return paths[i];
}

static const char *out(const char *name)
{
	snprintf(paths[1], sizeof(paths[1]), "%s/outside/%s", root, name);
	return paths[1];
}

static void make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0644);

	CHECK(fd >= 0 && write(fd, "canary", 6) == 6);
	close(fd);
}

static void make_all(void)
{
	char path[512];

	CHECK(mkdtemp(root) && chdir(root) == 0);
	snprintf(path, sizeof(path), "%s/inside", root);
	CHECK(mkdir(path, 0755) == 0 && mkdir(in(0, "dir"), 0755) == 0);
	snprintf(path, sizeof(path), "%s/outside", root);
	CHECK(mkdir(path, 0755) == 0 && mkdir(out("dir"), 0755) == 0);
	make_file(out("file"));
	make_file(out("dir/file"));
	make_file(in(0, "file"));
	make_file(in(0, "dir/file"));
	CHECK(symlink(out("file"), in(0, "link")) == 0);
	CHECK(symlink(out("none"), in(0, "dangling")) == 0);
	CHECK(symlink(out("dir"), in(0, "dirlink")) == 0);
	CHECK(symlink("dir", in(0, "near")) == 0);
	CHECK(mkfifo(in(0, "fifo"), 0600) == 0);
}

static void outside_is_untouched(void)
{
	struct stat st;
	struct ck_names names;

	CHECK(stat(out("file"), &st) == 0 && st.st_size == 6 && (st.st_mode & 0777) == 0644 && st.st_mtime > 1000);
	CHECK(stat(out("dir/file"), &st) == 0 && st.st_size == 6);
	CHECK(stat(out("none"), &st) < 0);
	CHECK(ck_list_dir(out("dir"), &names, NULL) == CK_OK && names.count == 1);
	ck_names_free(&names);
	CHECK(ck_list_dir(out("."), &names, NULL) == CK_OK && names.count == 2);
	ck_names_free(&names);
}

#define LOOPS(call)                                                     \
	do {                                                            \
		errno = 0;                                              \
		CHECK((call) == -1 && errno == ELOOP);                  \
	} while (0)

static void a_link_at_the_end(void)
{
	struct ck_file *file;
	struct stat st;

	LOOPS(ck_real_open(in(0, "link"), O_RDONLY, 0));
	LOOPS(ck_real_open(in(0, "link"), O_WRONLY | O_CREAT | O_TRUNC, 0600));
	LOOPS(ck_real_open(in(0, "dangling"), O_WRONLY | O_CREAT, 0600));
	LOOPS(ck_real_truncate(in(0, "link"), 0));
	LOOPS(ck_real_chmod(in(0, "link"), 0777));
	LOOPS(ck_real_chmod(in(0, "dirlink"), 0777));
	CHECK(ck_real_mkdir(in(0, "dangling"), 0700) < 0 && errno == EEXIST);
	CHECK(ck_real_stat(in(0, "link"), &st) == 0 && S_ISLNK(st.st_mode));
	CHECK(ck_real_file(in(0, "link"), &file, NULL) == CK_ERR_SYS);
	CHECK(ck_real_sync(in(0, "dirlink"), NULL) == CK_ERR_SYS);
}

static void a_link_on_the_way(void)
{
	static const struct timespec times[2] = { { 1, 0 }, { 1, 0 } };
	struct ck_names names;
	struct stat st;

	LOOPS(ck_real_open(in(0, "dirlink/file"), O_RDONLY, 0));
	LOOPS(ck_real_open(in(0, "dirlink/new"), O_WRONLY | O_CREAT, 0600));
	LOOPS(ck_real_open(in(0, "near/file"), O_RDONLY, 0));
	LOOPS(ck_real_stat(in(0, "dirlink/file"), &st));
	LOOPS(ck_real_mkdir(in(0, "dirlink/new"), 0700));
	LOOPS(ck_real_unlink(in(0, "dirlink/file")));
	LOOPS(ck_real_rmdir(in(0, "dirlink/dir")));
	LOOPS(ck_real_chmod(in(0, "dirlink/file"), 0777));
	LOOPS(ck_real_chown(in(0, "dirlink/file"), 1, 1));
	LOOPS(ck_real_utimens(in(0, "dirlink/file"), times));
	LOOPS(ck_real_truncate(in(0, "dirlink/file"), 0));
	LOOPS(ck_real_rename(in(0, "file"), in(1, "dirlink/file"), 0));
	LOOPS(ck_real_rename(in(0, "dirlink/file"), in(1, "new"), 0));
	LOOPS(ck_real_link(in(0, "file"), in(1, "dirlink/new")));
	LOOPS(ck_real_link(in(0, "dirlink/file"), in(1, "new")));
	CHECK(ck_list_real_dir(in(0, "dirlink"), &names, NULL) == CK_ERR_SYS);
	CHECK(ck_list_real_dir(in(0, "near/."), &names, NULL) == CK_ERR_SYS);
	/* A file is no directory, and what isn't there is not there. */
	CHECK(ck_real_stat(in(0, "file/x"), &st) < 0 && errno == ENOTDIR);
	CHECK(ck_real_stat(in(0, "none/x"), &st) < 0 && errno == ENOENT);
}

static void no_link(void)
{
	struct stat st;
	int fd = ck_real_open(in(0, "dir/new"), O_RDWR | O_CREAT | O_EXCL, 0600);

	CHECK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
	close(fd);
	CHECK(ck_real_truncate(in(0, "dir/new"), 5) == 0 && ck_real_chmod(in(0, "dir/new"), 0) == 0);
	CHECK(ck_real_chmod(in(0, "dir/new"), 0640) == 0);
	CHECK(ck_real_link(in(0, "dir/new"), in(1, "second")) == 0);
	CHECK(ck_real_stat(in(0, "second"), &st) == 0 && st.st_size == 5 && st.st_nlink == 2);
	CHECK((st.st_mode & 0777) == 0640);
	CHECK(ck_real_rename(in(0, "second"), in(1, "third"), RENAME_NOREPLACE) == 0);
	CHECK(ck_real_unlink(in(0, "third")) == 0 && ck_real_unlink(in(0, "dir/new")) == 0);
	CHECK(ck_real_mkdir(in(0, "dir/sub"), 0700) == 0 && ck_real_sync(in(0, "dir/sub"), NULL) == CK_OK);
	CHECK(ck_real_rmdir(in(0, "dir/sub")) == 0);
	CHECK(ck_real_stat("/tmp", &st) == 0 && S_ISDIR(st.st_mode));
	/* Nobody is at the other end. */
	fd = ck_real_open(in(0, "fifo"), O_RDONLY, 0);
	CHECK(fd >= 0);
	close(fd);
	CHECK(ck_real_open(in(0, "fifo"), O_WRONLY, 0) < 0 && errno == ENXIO);
}

static void a_tree_goes_and_no_link_is_followed(void)
{
	struct stat st;

	CHECK(mkdir(in(0, "tree"), 0755) == 0 && mkdir(in(0, "tree/a"), 0755) == 0);
	CHECK(mkdir(in(0, "tree/a/b"), 0500) == 0);
	make_file(in(0, "tree/a/file"));
	CHECK(symlink(out("dir"), in(0, "tree/a/x")) == 0);
	CHECK(symlink(out("file"), in(0, "tree/y")) == 0);
	ck_remove_tree(in(0, "tree"));
	CHECK(lstat(in(0, "tree"), &st) < 0 && errno == ENOENT);
	ck_remove_tree(in(0, "dirlink/dir"));
	CHECK(symlink(out("dir"), in(0, "tree")) == 0);
	ck_remove_tree(in(0, "tree"));
	CHECK(lstat(in(0, "tree"), &st) < 0 && errno == ENOENT);
}

/* /proc syncs neither; of a file that is told. */
static void a_sync_of_a_directory(void)
{
	struct ck_error err = CK_ERROR_INIT;

	CHECK(ck_real_sync("/proc", NULL) == CK_OK);
	CHECK(ck_real_sync("/proc/version", &err) == CK_ERR_SYS && err.sys == EINVAL);
}

static void run_all(void)
{
	RUN(a_link_at_the_end);
	RUN(a_link_on_the_way);
	RUN(no_link);
	RUN(a_tree_goes_and_no_link_is_followed);
	RUN(outside_is_untouched);
	RUN(a_sync_of_a_directory);
}

/* As a kernel before 5.6 answers. */
static void without_openat2(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	CHECK(syscall(SYS_openat2, 0, NULL, NULL, 0) < 0 && errno == ENOSYS);
	run_all();
}

int main(void)
{
	RUN(make_all);
	run_all();
	RUN(without_openat2);
	ck_remove_tree(root);
	CHECK(access(root, F_OK) < 0);
	CHECK_EXIT();
}
