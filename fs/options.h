/*
 * options - the command line, and what it asks for.
 */
#ifndef CKPTFS_OPTIONS_H
#define CKPTFS_OPTIONS_H

#include "core/tree/tree.h"
#include "sandbox.h"

#include <fuse_lowlevel.h>

/* Exit statuses of --check, as fsck(8) has them; they are added up. */
enum check_status {
	CHECK_SOUND = 0,
	CHECK_ERRORS = 4,       /* of the store */
	CHECK_FAILED = 8,       /* the check itself, of the whole store or of a file */
	CHECK_USAGE = 16,
	CHECK_INTERRUPTED = 32,
};

struct options {
	char *store;            /* absolute; malloc'ed */
	char *held;             /* in place: the store by a descriptor from before (inplace.h), else NULL; malloc'ed */
	char *mountpoint;       /* absolute; malloc'ed */
	char *note;             /* a line about the store for the mounting user, or NULL; malloc'ed */
	char *in_place_note;    /* the same of a mount in place: who can't enter the directory any more; malloc'ed */
	enum ck_level level;
	enum ck_device device;
	/* Not bool: libfuse's table writes an int into each, and would take those beside it along. */
	int foreground, debug, help, version, status, json;
	int native, may_delete, read_only, nonempty, allow_other, auto_unmount, follow, in_place;
	enum sandbox_mode sandbox;
	unsigned ranks;         /* show optimizers as so many ranks would have saved them; 0: as stored */
	/* --check, and what goes with it */
	int check, read_data, finite, verbose;
	const char *check_given;        /* STORE as it was given */
	bool one_step;
	uint64_t step;
	int failure;            /* the exit status where options_parse fails */
	uint64_t tmp_max_size;  /* bytes of temporary space; 0: half of what the file system has free */
	struct fuse_args fuse;  /* what is left for libfuse: the name and -o options */
	/* As given: */
	char *device_text, *level_text, *sandbox_text, *tmp_max_size_text, *ranks_text;
	char *positional[2];
	int positionals;
};

/*
 * Parses ARGV and checks everything that can be known before mounting: options by name, the store's
 * level, the mountpoint. -1 with one line on stderr that says what to do; options_free in any case.
 */
int options_parse(struct options *o, int argc, char **argv);
void options_free(struct options *o);

/* The words of these options, by their value. */
extern const char *const option_devices[], *const option_levels[], *const option_sandboxes[];

void options_help(void);        /* to stdout, a screen's worth */

#endif
