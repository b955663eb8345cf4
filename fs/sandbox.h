/*
 * sandbox - what the daemon gives up once the mount is up.
 *
 * The daemon reads files that strangers made. An attacker who takes the daemon over through such a
 * file gets a process that can read what the mount may show, write below the store and in the
 * temporary directory, and answer the mount's requests. It can't start programs, add code, open
 * sockets or touch other processes, and has no capabilities except those for files. SECURITY.md
 * has the details.
 *
 * Layers, each of which stands alone: no core dumps; no new privileges; Landlock (sandbox_files.c);
 * capabilities; seccomp (sandbox_calls.c).
 */
#ifndef CKPTFS_SANDBOX_H
#define CKPTFS_SANDBOX_H

#include "core/tree/level.h"
#include "log.h"
#include "unmounter.h"

enum sandbox_mode {
	SANDBOX_ON,             /* what the system has; one line in the log says what it lacks */
	SANDBOX_OFF,
	SANDBOX_REQUIRE,        /* all layers or no mount */
};

struct sandbox_options {
	enum sandbox_mode mode;
	const char *store;      /* a real path */
	enum ck_level level;
	bool contain;           /* read nothing outside the store, wherever its links lead */
	bool read_only;         /* write nothing to the store */
	bool links;             /* make links in the store */
	bool auto_unmount;      /* a daemon that is killed leaves no mount: unmounter.h, whatever the mode */
};

/*
 * To be called when the mount is up, while there is one thread: later threads inherit everything. What is opened before
 * stays open. U becomes the process that unmounts MOUNTPOINT, where one is needed. -1 when a layer is missing that must
 * be there; LOG then has the line.
 */
int sandbox_enter(const struct sandbox_options *o, const char *mountpoint, struct unmounter *u, struct log *log);

/* The same of a process that mounts nothing, and needs no other to unmount. */
int sandbox_confine(const struct sandbox_options *o, struct log *log);

#endif
