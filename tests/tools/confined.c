/*
 * confined STORE OUTSIDE [contain] [ro] [off] - enters the daemon's sandbox as for a mount of STORE, then tries what a
 * daemon that was taken over would try, and prints a line for each attempt: its name, and "ok" or the errno's name.
 * With off it doesn't enter: what the attempts do then shows that they are real. Exits 1 when a layer of the sandbox is
 * missing. The directories hold what sandbox.bats puts there.
 */
#include "core/file/scratch.h"
#include "../../fs/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int store, outside;      /* both directories, opened before: as O_PATH, which gives no right */
static pid_t other;             /* a process of the same user */

static void report(const char *name, long rc)
{
	printf("%s %s\n", name, rc < 0 ? strerrorname_np(errno) : "ok");
}

static int try_open(int dir, const char *name, int flags)
{
	int fd = openat(dir, name, flags | O_CLOEXEC, 0600);

	return fd < 0 ? -1 : close(fd);
}

static int try_temporary(void)
{
	int fd;

	return ck_unnamed_file(&fd, NULL) ? -1 : close(fd);
}

static void try_files(void)
{
	report("read-store", try_open(store, "file", O_RDONLY));
	report("list-store", try_open(store, ".", O_RDONLY | O_DIRECTORY));
	report("create-in-store", try_open(store, "new", O_WRONLY | O_CREAT));
	report("rename-in-store", renameat(store, "move", store, "dir/moved"));
	report("chmod-in-store", fchmodat(store, "file", 0600, 0));
	report("temporary-file", try_temporary());
	report("read-outside", try_open(outside, "file", O_RDONLY));
	report("list-outside", try_open(outside, ".", O_RDONLY | O_DIRECTORY));
	report("write-outside", try_open(outside, "file", O_WRONLY));
	report("write-through-link", try_open(store, "out", O_WRONLY));
	report("append-outside", try_open(outside, "file", O_WRONLY | O_APPEND));
	report("create-outside", try_open(outside, "new", O_WRONLY | O_CREAT));
	report("mkdir-outside", mkdirat(outside, "dir", 0700));
	report("link-outside", linkat(outside, "file", store, "linked", 0));
	report("rename-outside", renameat(outside, "file", store, "stolen"));
	report("unlink-outside", unlinkat(outside, "other", 0));
	report("symlink-in-store", symlinkat("/etc/passwd", store, "link"));
	report("fifo-in-store", mkfifoat(store, "fifo", 0600));
	report("create-in-linked-tag", try_open(store, "base_checkpoints/d12/new", O_WRONLY | O_CREAT));
	report("create-in-linked-other", try_open(store, "base_checkpoints/d13/new", O_WRONLY | O_CREAT));
}

static int try_execve(void)
{
	char *const argv[] = { (char *)"true", NULL };

	/* On success this program says nothing more. */
	return execve("/bin/true", argv, NULL);
}

static long try_fork(void)
{
	long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : waitpid((pid_t)pid, NULL, 0);
}

static int try_code(int protection)
{
	void *page = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return -1;
	return mprotect(page, 4096, PROT_READ | PROT_EXEC) | munmap(page, 4096);
}

static void try_calls(void)
{
	char byte = 0;
	struct iovec at = { &byte, 1 };

	report("fork", try_fork());
	report("socket-unix", socket(AF_UNIX, SOCK_DGRAM, 0));
	report("socket-inet", socket(AF_INET, SOCK_STREAM, 0));
	report("ptrace", ptrace(PTRACE_ATTACH, other, NULL, NULL));
	report("read-memory", process_vm_readv(other, &at, 1, &at, 1, 0));
	report("kill", kill(other, SIGTERM));
	report("tgkill", syscall(SYS_tgkill, other, other, SIGTERM));
	report("umount", umount2("/nowhere", MNT_DETACH));
	report("mount", mount("none", "/nowhere", "tmpfs", 0, NULL));
	report("unshare", unshare(CLONE_NEWUSER));
	report("setns", setns(-1, 0));
	report("new-code", try_code(PROT_READ | PROT_WRITE | PROT_EXEC));
	report("data-as-code", try_code(PROT_READ | PROT_WRITE));
	report("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, NULL, 0));
	report("userfaultfd", syscall(SYS_userfaultfd, 0));
	report("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
	report("keyctl", syscall(SYS_keyctl, 0, -3, 0));
	report("setuid", setuid(getuid()));
	fflush(stdout);
	report("execve", try_execve());
}

static void *wait_for_cancel(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* What the daemon must still be able to do: its threads start, and are cancelled in the end. */
static int try_thread(void)
{
	pthread_t thread;
	void *result;

	errno = pthread_create(&thread, NULL, wait_for_cancel, NULL);
	if (errno)
		return -1;
	pthread_cancel(thread);
	return pthread_join(thread, &result) || result != PTHREAD_CANCELED ? -1 : 0;
}

/* It ends with this program, which alone holds the pipe open; also when an attach has stopped it. */
static pid_t start_other(void)
{
	int pipes[2];
	pid_t pid = pipe2(pipes, O_CLOEXEC) < 0 ? -1 : fork();
	char byte;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(pipes[1]);
	_exit((int)read(pipes[0], &byte, 1));
}

int main(int argc, char **argv)
{
	struct sandbox_options o = { .mode = SANDBOX_REQUIRE, .level = CK_LEVEL_BASE };
	struct unmounter unmounter = { 0 };
	struct log *log = log_new(false);
	struct rlimit core;

	if (argc < 3 || !log)
		return 2;
	for (int i = 3; i < argc; i++) {
		o.contain |= strcmp(argv[i], "contain") == 0;
		o.read_only |= strcmp(argv[i], "ro") == 0;
		o.links |= strcmp(argv[i], "links") == 0;
		o.mode = strcmp(argv[i], "off") == 0 ? SANDBOX_OFF : o.mode;
	}
	o.store = argv[1];
	store = open(argv[1], O_PATH | O_DIRECTORY);
	outside = open(argv[2], O_PATH | O_DIRECTORY);
	other = start_other();
	if (store < 0 || outside < 0 || other < 0)
		return 2;
	if (sandbox_enter(&o, "/nowhere", &unmounter, log) < 0)
		return 1;
	try_files();
	report("thread", try_thread());
	printf("dumpable %d\n", prctl(PR_GET_DUMPABLE));
	printf("core-limit %d\n", getrlimit(RLIMIT_CORE, &core) == 0 ? (int)core.rlim_max : -1);
	fflush(stdout);
	try_calls();
	log_free(log);
	return 0;
}
