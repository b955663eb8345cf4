/* Implements sandbox_calls of sandbox_layers.h: the seccomp filter. */
#include "sandbox.h"
#include "sandbox_layers.h"

#ifdef HAVE_SECCOMP

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * A list of what is forbidden, not of what is allowed: which calls the C library makes for an fopen
 * or a lock differs from version to version, and a daemon that dies of an upgrade helps nobody.
 * What is forbidden fails with EPERM; a name that the running libseccomp doesn't know is left out.
 */
static const char *const forbidden[] = {
	/* other programs */
	"execve", "execveat",
	/* the network and other daemons; the one socket that is open is the log's */
	"socket", "socketpair", "connect", "bind", "listen", "accept", "accept4",
	/* other processes */
	"process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_open", "pidfd_getfd",
	"pidfd_send_signal", "kcmp", "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "setpriority",
	"sched_setattr", "ioprio_set", "move_pages", "migrate_pages",
	/* the process's identity */
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid",
	"setgroups", "capset",
	/* the file tree, and ways to a file beside it */
	"mount", "umount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "open_tree_attr",
	"move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_by_handle_at",
	"fanotify_init", "quotactl", "quotactl_fd", "swapon", "swapoff", "acct",
	/* the kernel: large, rarely used, often broken into */
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "bpf",
	"perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "io_setup",
	"io_submit", "keyctl", "add_key", "request_key", "personality", "modify_ldt", "iopl", "ioperm",
	"reboot", "syslog", "uselib", "vhangup", "lookup_dcookie", "nfsservctl", "settimeofday",
	"clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "msgget", "semget",
	"shmget", "shmat", "mq_open",
};

/* Landlock has no say about a file's attributes. Where nothing is written, nobody may change any. */
static const char *const forbidden_read_only[] = {
	"chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes",
	"utimensat", "futimesat", "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr",
	"lremovexattr", "fremovexattr", "removexattrat", "truncate",
};

static int forbid(scmp_filter_ctx filter, const char *const *names, size_t count)
{
	int call, rc = 0;

	for (size_t i = 0; i < count && !rc; i++) {
		call = seccomp_syscall_resolve_name(names[i]);
		if (call != __NR_SCMP_ERROR)
			rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
	}
	return rc;
}

/*
 * Threads are allowed, processes are not. A filter can't see clone3's flags, which lie in memory; the
 * C library falls back to clone when clone3 fails with ENOSYS.
 */
static int forbid_processes(scmp_filter_ctx filter)
{
	static const char *const names[] = { "fork", "vfork", "ptrace" };
	int rc = forbid(filter, names, sizeof(names) / sizeof(*names));

	if (!rc)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
				      SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	if (!rc)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* Threads signal each other when the loop ends. */
	if (!rc)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1,
				      SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid(), 0));
	return rc;
}

/* All code is mapped by now. No code is added, and no data becomes code. */
static int forbid_new_code(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC);
	static const char *const names[] = { "mmap", "mmap2", "mprotect", "pkey_mprotect" };
	int rc = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && !rc; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(names[i]), 1,
				      executable);
	return rc;
}

const char *sandbox_calls(const struct sandbox_options *o)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int rc;

	if (!filter)
		return "libseccomp fails";
	rc = forbid(filter, forbidden, sizeof(forbidden) / sizeof(*forbidden));
	if (!rc && o->read_only)
		rc = forbid(filter, forbidden_read_only, sizeof(forbidden_read_only) / sizeof(*forbidden_read_only));
	if (!rc && !SANDBOX_SANITIZED)
		rc = forbid_processes(filter);
	if (!rc && !SANDBOX_SANITIZED)
		rc = forbid_new_code(filter);
	if (!rc)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc ? strerror(-rc) : NULL;
}

#else

const char *sandbox_calls(const struct sandbox_options *o)
{
	(void)o;
	return "built without libseccomp";
}

#endif
