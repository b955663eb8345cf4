/* Implements sandbox.h: the list of layers, those that take one call, and the line that names what is missing. */
#include "sandbox.h"

#include "sandbox_layers.h"

#include <errno.h>
#include <execinfo.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * A core dump holds other people's tensors. The limit does not stop a handler program from taking
 * one, so the process is made undumpable, too; then no other process of the user can look into it.
 */
static const char *no_dumps(const struct sandbox_options *o)
{
	const struct rlimit none = { 0 };

	(void)o;
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return strerror(errno);
	return !SANDBOX_SANITIZED && prctl(PR_SET_DUMPABLE, 0) < 0 ? strerror(errno) : NULL;
}

static const char *no_new_privileges(const struct sandbox_options *o)
{
	(void)o;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? strerror(errno) : NULL;
}

/*
 * A daemon of root keeps root's powers over files: a store may belong to anyone, and a draft is
 * given to its writer.
 */
static const char *drop_capabilities(const struct sandbox_options *o)
{
	const uint32_t kept = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER |
			      1u << CAP_FSETID;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	(void)o;
	if (syscall(SYS_capget, &header, data) < 0)
		return strerror(errno);
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= i ? 0 : kept;
		data[i].effective &= i ? 0 : kept;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) < 0 ? strerror(errno) : NULL;
}

static const struct layer {
	const char *name;
	const char *(*enter)(const struct sandbox_options *o);
} layers[] = {
	{ "protection from core dumps", no_dumps },
	{ "no_new_privs", no_new_privileges },
	{ "Landlock", sandbox_files },
	{ "dropping of capabilities", drop_capabilities },
	{ "seccomp", sandbox_calls },   /* the last: it forbids what the others call */
};

/*
 * glibc loads libgcc_s when a thread is first cancelled, which libfuse does at the end. The sandbox
 * then forbids opening the file and mapping its code, so this function loads it now.
 */
static void load_unwinder(void)
{
	void *frame;

	backtrace(&frame, 1);
}

int sandbox_confine(const struct sandbox_options *o, struct log *log)
{
	char line[512] = "sandbox: this system lacks";
	const char *reason;
	size_t len = strlen(line), complete = len;

	if (o->mode == SANDBOX_OFF)
		return 0;
	for (size_t i = 0; i < sizeof(layers) / sizeof(*layers); i++) {
		reason = layers[i].enter(o);
		if (reason && len < sizeof(line))
			len += (size_t)snprintf(line + len, sizeof(line) - len, "%s %s (%s)", len > complete ? "," : "",
					layers[i].name, reason);
	}
	if (len == complete)
		return 0;
	log_line(log, line);
	return o->mode == SANDBOX_REQUIRE ? -1 : 0;
}

int sandbox_enter(const struct sandbox_options *o, const char *mountpoint, struct unmounter *u, struct log *log)
{
	char line[256];

	if (o->mode == SANDBOX_OFF && !o->auto_unmount)
		return 0;
	load_unwinder();
	if (unmounter_start(u, mountpoint, o->auto_unmount) < 0) {
		snprintf(line, sizeof(line), "sandbox: not entered: a process for the unmount: %s", strerror(errno));
		log_line(log, line);
		return o->mode == SANDBOX_REQUIRE ? -1 : 0;
	}
	return o->mode == SANDBOX_OFF ? 0 : sandbox_confine(o, log);
}
