/* Implements unmounter.h: how the child is forked, what it lets go of, and how it gets its order. */
#include "unmounter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char title[] = "ckptfs-umount";

/* The order. */
#define UNMOUNT 'u'
#define NOTHING 'n'

/* The process has its own name in ps, so that nobody takes it for a second daemon. ps shows the
   arguments as they are in memory. */
static void rename_process(void)
{
	char *shown = program_invocation_name, old[4096];
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read(fd, old, sizeof(old));

	if (fd >= 0)
		close(fd);
	prctl(PR_SET_NAME, title);
	if (len <= 1 || memcmp(old, shown, strlen(shown) + 1) != 0)
		return;
	memset(shown, 0, (size_t)len);
	strncpy(shown, title, (size_t)len - 1);
}

/*
 * Closes everything that the daemon has open. With /dev/fuse open here, a daemon that is killed
 * would leave a mount that hangs.
 */
static void let_go(int order)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP };
	int null;

	/* A signal for the whole process group is the daemon's to obey; it then gives the order. */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	prctl(PR_SET_DUMPABLE, 0);
	dup2(order, STDIN_FILENO);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	closefrom(STDERR_FILENO + 1);
	if (chdir("/") < 0)
		_exit(1);
}

/*
 * Whether the mount of a daemon that was killed is there, dead: as who mounted it sees it. Until the kernel has closed
 * the device of such a daemon an open waits, and then fails with ECONNABORTED.
 */
static bool is_dead(const char *mountpoint)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	for (int i = 0; i < 500; i++) {
		int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		/* Nothing is mounted any more, or something else. */
		if (fd >= 0)
			return false;
		if (errno != ECONNABORTED && errno != EINTR)
			return errno == ENOTCONN;
		nanosleep(&pause, NULL);
	}
	return false;
}

static _Noreturn void await_order(int order, const char *mountpoint, bool always)
{
	char byte = NOTHING;
	ssize_t n;

	rename_process();
	let_go(order);
	/* What kills the daemon's process group isn't for this process. */
	if (always)
		setsid();
	do
		n = read(STDIN_FILENO, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1 ? byte == NOTHING : !always || !is_dead(mountpoint))
		_exit(0);
	/* Lazily, as fusermount3 and libfuse do: the daemon ends in any case. */
	if (umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		_exit(0);
	execlp("fusermount3", "fusermount3", "-u", "-q", "-z", "--", mountpoint, (char *)NULL);
	_exit(1);
}

/*
 * Forks, and lets the parent wait until the child has closed what it inherited. While the child has
 * the locks of tags, the next mount can't tell that the daemon is gone.
 */
static pid_t fork_alone(void)
{
	int held[2];
	pid_t pid;
	char byte;

	if (pipe2(held, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		return 0;
	close(held[1]);
	/* Nothing is written: the end comes when the child's descriptors are closed. */
	while (pid > 0 && read(held[0], &byte, 1) < 0 && errno == EINTR)
		;
	close(held[0]);
	return pid;
}

int unmounter_start(struct unmounter *u, const char *mountpoint, bool always)
{
	int pipes[2], error;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -1;
	u->pid = fork_alone();
	if (u->pid == 0) {
		close(pipes[1]);
		await_order(pipes[0], mountpoint, always);
	}
	error = errno;
	close(pipes[0]);
	u->order = pipes[1];
	if (u->pid > 0)
		return 0;
	close(pipes[1]);
	u->pid = 0;
	errno = error;
	return -1;
}

static bool is_gone(int device)
{
	struct pollfd p = { .fd = device };

	return poll(&p, 1, 0) == 1 && p.revents & POLLERR;
}

/*
 * The device must be closed before the unmount, which otherwise waits for replies that nobody sends
 * any more. libfuse closes the device only in its own unmount, which the sandbox forbids. libfuse
 * skips its unmount when the device polls as an error. The pipe polls so once the child has ended,
 * and takes the device's place.
 */
int unmounter_finish(struct unmounter *u, int device)
{
	const char unmount = UNMOUNT, nothing = NOTHING;
	bool gone = is_gone(device), ordered;
	int status = 0;

	if (!u->pid)
		return 0;
	if (!gone)
		dup2(u->order, device);
	ordered = write(u->order, gone ? &nothing : &unmount, 1) == 1;
	close(u->order);
	while (waitpid(u->pid, &status, 0) < 0 && errno == EINTR)
		;
	u->pid = 0;
	return gone || (ordered && status == 0) ? 0 : -1;
}
