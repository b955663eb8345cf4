/* Implements options.h; advise.h has the texts that guess at what was meant. */
#include "core/pt/join.h"
#include "options.h"

#include "core/file/dir.h"
#include "core/file/io.h"
#include "core/tree/level.h"
#include "core/tree/names.h"
#include "inplace.h"
#include "advise.h"
#include "split.h"
#include "values.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { KEY_IGNORED = 1, KEY_NO_VALUE };

#define OPT(text, member, value) { text, offsetof(struct options, member), value }

static const struct fuse_opt table[] = {
	OPT("-f", foreground, true),
	OPT("-d", debug, true),
	OPT("debug", debug, true),
	OPT("-h", help, true),
	OPT("--help", help, true),
	OPT("-V", version, true),
	OPT("--version", version, true),
	OPT("--status", status, true),
	OPT("--check", check, true),
	OPT("--read-data", read_data, true),
	OPT("--finite", finite, true),
	OPT("--json", json, true),
	OPT("-v", verbose, true),       /* mount(8) says it to every file system */
	OPT("device=%s", device_text, 0),
	OPT("level=%s", level_text, 0),
	OPT("sandbox=%s", sandbox_text, 0),
	OPT("tmp_max_size=%s", tmp_max_size_text, 0),
	OPT("ranks=%s", ranks_text, 0),
	FUSE_OPT_KEY("device", KEY_NO_VALUE),
	FUSE_OPT_KEY("level", KEY_NO_VALUE),
	FUSE_OPT_KEY("sandbox", KEY_NO_VALUE),
	FUSE_OPT_KEY("tmp_max_size", KEY_NO_VALUE),
	FUSE_OPT_KEY("ranks", KEY_NO_VALUE),
	OPT("follow", follow, true),
	OPT("inplace", in_place, true),
	OPT("native", native, true),
	OPT("delete", may_delete, true),
	OPT("nonempty", nonempty, true),
	OPT("ro", read_only, true),
	OPT("allow_other", allow_other, true),
	OPT("auto_unmount", auto_unmount, true),
	/* libfuse and the kernel are to hear of these two as well. */
	FUSE_OPT_KEY("ro", FUSE_OPT_KEY_KEEP),
	FUSE_OPT_KEY("allow_other", FUSE_OPT_KEY_KEEP),
	/* Options of mount(8) and fstab(5), which may hand them on. */
	FUSE_OPT_KEY("rw", KEY_IGNORED),
	FUSE_OPT_KEY("defaults", KEY_IGNORED),
	FUSE_OPT_KEY("auto", KEY_IGNORED),
	FUSE_OPT_KEY("noauto", KEY_IGNORED),
	FUSE_OPT_KEY("user", KEY_IGNORED),
	FUSE_OPT_KEY("nouser", KEY_IGNORED),
	FUSE_OPT_KEY("users", KEY_IGNORED),
	FUSE_OPT_KEY("owner", KEY_IGNORED),
	FUSE_OPT_KEY("group", KEY_IGNORED),
	FUSE_OPT_KEY("nofail", KEY_IGNORED),
	FUSE_OPT_KEY("_netdev", KEY_IGNORED),
	FUSE_OPT_KEY("comment=", KEY_IGNORED),
	/* Times of access are the stored file's own, however the mount is to keep them; libfuse refuses these. */
	FUSE_OPT_KEY("relatime", KEY_IGNORED),
	FUSE_OPT_KEY("norelatime", KEY_IGNORED),
	FUSE_OPT_KEY("strictatime", KEY_IGNORED),
	FUSE_OPT_KEY("nostrictatime", KEY_IGNORED),
	FUSE_OPT_KEY("lazytime", KEY_IGNORED),
	FUSE_OPT_KEY("nolazytime", KEY_IGNORED),
	FUSE_OPT_KEY("diratime", KEY_IGNORED),
	FUSE_OPT_KEY("nodiratime", KEY_IGNORED),
	FUSE_OPT_KEY("default_permissions", KEY_IGNORED),
	/* The kernel lists these for a mount, and mount(8) gives them back when it is to be remounted. */
	FUSE_OPT_KEY("user_id=", KEY_IGNORED),
	FUSE_OPT_KEY("group_id=", KEY_IGNORED),
	FUSE_OPT_END,
};

static int complain(const char *what, const char *subject, const char *advice)
{
	fprintf(stderr, "ckptfs: %s '%s'%s%s\n", what, subject, advice[0] ? ": " : "", advice);
	return -1;
}

/* The options that libfuse or the kernel knows and a mount of ours may use. */
static const char *const foreign[] = {
	"ro",          "dev",        "nodev",        "suid",    "nosuid",   "exec",        "noexec",
	"atime",       "noatime",    "sync",         "async",   "dirsync",  "context=",    "fscontext=",
	"allow_other", "allow_root", "fsname=", "subtype=", "defcontext=", "rootcontext=",
};
#define FOREIGN (sizeof(foreign) / sizeof(*foreign))

static bool libfuse_knows(const char *option)
{
	for (size_t i = 0; i < FOREIGN; i++) {
		size_t len = strlen(foreign[i]);

		if (strcmp(option, foreign[i]) == 0 ||
		    (foreign[i][len - 1] == '=' && strncmp(option, foreign[i], len) == 0))
			return true;
	}
	return false;
}

/* For advise.h: options of the table come first. */
static const char *option_name(size_t i)
{
	const size_t own = sizeof(table) / sizeof(*table) - 1;

	return i < own ? table[i].templ : i < own + FOREIGN ? foreign[i - own] : NULL;
}

static int read_option(void *data, const char *arg, int key, struct fuse_args *out)
{
	struct options *o = data;
	char advice[128];

	(void)out;
	if (key == KEY_IGNORED)
		return 0;
	if (key == KEY_NO_VALUE)
		return complain("a value is missing from option", arg, "see ckptfs --help");
	if (key == FUSE_OPT_KEY_NONOPT) {
		if (o->positionals == 2)
			return complain("one argument too many", arg,
					advise_is_option(o->positional[0], option_name)
						? "options are joined by commas without a blank: -o ro,native"
						: "ckptfs [-o OPTIONS] [STORE] MOUNTPOINT");
		o->positional[o->positionals] = strdup(arg);
		if (!o->positional[o->positionals])
			return complain("out of memory at", arg, "");
		o->positionals++;
		return 0;
	}
	if (strncmp(arg, "x-", 2) == 0 || strncmp(arg, "X-", 2) == 0)
		return 0;
	/* mount(8) asks for these of every file system. */
	if (strcmp(arg, "-s") == 0 || strcmp(arg, "-n") == 0)
		return 0;
	if (arg[0] == '-' || !libfuse_knows(arg))
		return complain("unknown option", arg, advise_option(arg, option_name, advice, sizeof(advice)));
	return 1;
}

const char *const option_devices[] = { "cpu", "mps", "cuda" };
const char *const option_levels[] = { "base", "source", "tag" };
const char *const option_sandboxes[] = { "on", "off", "require" };

/* nanochat's own default: $NANOCHAT_BASE_DIR, else ~/.cache/nanochat. */
static char *default_store(void)
{
	const char *base = getenv("NANOCHAT_BASE_DIR"), *home = getenv("HOME");
	char *path = NULL;

	if (base && base[0])
		return strdup(base);
	if (!home || asprintf(&path, "%s/.cache/nanochat", home) < 0)
		return NULL;
	return path;
}

static const char dead_mount[] = "a dead mount is still there: fusermount3 -u it";

static const char *const level_words[] = { "a base directory", "a checkpoints directory", "a tag's directory" };

static bool is_store_given(const struct options *o)
{
	return o->positionals == 2 || o->in_place || o->check;
}

/* Decides the level, and puts into o->note what a person should know about that. */
static int resolve_level(struct options *o, const char *given)
{
	static const char *const wanted[] = {
		"no *_checkpoints directory, no model_NNNNNN.pt, and no directory with one",
		"no directory that holds a model_NNNNNN.pt",
		"no model_NNNNNN.pt",
	};
	enum ck_level detected;
	struct ck_error err = CK_ERROR_INIT;
	char line[512];
	bool found;
	int level = CK_LEVEL_BASE, rc = 0;

	if (o->level_text && value_choose("level", o->level_text, option_levels, 3, &level) < 0)
		return -1;
	if (ck_level_detect(o->store, &detected, &found, &err) ||
	    (!found && ck_level_detect(given, &detected, &found, &err)))
		return complain("store", given,
				err.sys == ENOTCONN ? dead_mount : ck_error_line(&err, line, sizeof(line)));
	/* nanochat's own default is a base directory, whatever is in it. */
	o->level = o->level_text || !is_store_given(o) ? (enum ck_level)level : detected;
	if (!found && advise_is_mounted(o->store))
		rc = asprintf(&o->note,
				      "store '%s': this is a mount of ckptfs: mount the store itself once more instead",
				      given);
	else if (!found)
		rc = asprintf(&o->note, "store '%s': found %s: mounted as %s all the same", given, wanted[o->level],
			      level_words[o->level]);
	else if (o->level != detected)
		rc = asprintf(&o->note, "store '%s': mounted as %s, but it looks like %s: -o level=%s", given,
			      level_words[o->level], level_words[detected], option_levels[detected]);
	if (rc < 0)
		o->note = NULL;
	return 0;
}

static const char *why_no_store(const struct options *o, int error)
{
	if (error == ENOTCONN)
		return dead_mount;
	if (error != ENOENT)
		return strerror(error);
	if (!is_store_given(o))
		return "No such file or directory; this is the default, since STORE isn't given: "
		       "ckptfs STORE MOUNTPOINT";
	return advise_is_option(o->positional[0], option_name)
		       ? "No such file or directory; options are joined by commas without a blank: -o ro,native"
		       : strerror(error);
}

static int resolve_store(struct options *o)
{
	char *given = is_store_given(o) ? strdup(o->positional[0]) : default_store();
	struct stat st;
	int rc = -1;

	if (!given) {
		fprintf(stderr, "ckptfs: no store: name one, or set NANOCHAT_BASE_DIR\n");
		return -1;
	}
	o->store = realpath(given, NULL);
	if (!o->store || stat(o->store, &st) < 0)
		complain("store", given, why_no_store(o, errno));
	else if (!S_ISDIR(st.st_mode))
		complain("store", given, "not a directory (a checkpoint's directory is mounted, not its .pt file)");
	else
		rc = resolve_level(o, given);
	free(given);
	return rc;
}

static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *d;
	bool empty = true;

	/* A directory that can't be read: mount(2) says what is wrong. */
	while (dir && empty && (d = readdir(dir)))
		empty = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0;
	if (dir)
		closedir(dir);
	return empty;
}

static const char *why_no_mountpoint(int error)
{
	switch (error) {
	case ENOTCONN:
		return dead_mount;
	case ENOENT:
		return "No such file or directory: make it with mkdir";
	case EACCES:
		return "Permission denied; perhaps another user has mounted something there";
	default:
		return strerror(error);
	}
}

/* The directory MOUNTPOINT holds something: what, and what to do. */
static int complain_of_content(const struct options *o, const char *given)
{
	char advice[160];
	enum ck_level level;
	bool found;

	if (ck_level_detect(o->mountpoint, &level, &found, NULL) || !found)
		return complain("mountpoint", given, "not empty; -o nonempty mounts over what is there");
	snprintf(advice, sizeof(advice), "this is a store (%s), which the mount would hide: ckptfs STORE MOUNTPOINT",
		 level_words[level]);
	return complain("mountpoint", given, advice);
}

static int resolve_mountpoint(struct options *o)
{
	const char *given = o->positional[o->positionals - 1], *why;
	char buf[PATH_MAX + 64];
	struct stat st;

	o->mountpoint = realpath(given, NULL);
	if (!o->mountpoint || stat(o->mountpoint, &st) < 0)
		return complain("mountpoint", given, why_no_mountpoint(errno));
	if (!S_ISDIR(st.st_mode))
		return complain("mountpoint", given, "not a directory");
	if (o->in_place) {
		if (strcmp(o->mountpoint, o->store) != 0)
			return complain("option", "inplace", "it mounts a store over itself, not over another");
		why = inplace_hold(o->store, &o->held, buf, sizeof(buf));
		if (why)
			return complain("store", given, why);
		o->native = true;
		o->in_place_note = inplace_note(o->store, o->allow_other);
		return 0;
	}
	if (strcmp(o->mountpoint, o->store) == 0)
		return complain("mountpoint", given, "this is the store: ckptfs STORE MOUNTPOINT, an empty directory; "
						     "or -o inplace, which mounts over it");
	if (ck_is_within(o->mountpoint, o->store) || ck_is_within(o->store, o->mountpoint))
		return complain("mountpoint", given, "the store and the mountpoint must not contain each other");
	if (o->nonempty)
		return 0;
	if (advise_is_mounted(o->mountpoint))
		return complain("mountpoint", given, "a ckptfs is mounted there already: fusermount3 -u it first");
	return is_empty(o->mountpoint) ? 0 : complain_of_content(o, given);
}

/* In place, a temporary directory in the store would be one in the mount. */
static int check_temporary(const struct options *o, const char *given, const char *path)
{
	if (!o->in_place || !ck_is_within(path, o->store))
		return 0;
	return complain("TMPDIR", given, "it lies in the directory that is mounted over: set TMPDIR to another");
}

/* The daemon leaves its working directory, and needs $TMPDIR only when a program reads. So a relative path is made
   absolute, and a missing directory is told now, not as ENOENT of a file that is there. */
static int resolve_temporary(const struct options *o)
{
	const char *given = secure_getenv("TMPDIR");
	char *path;
	struct stat st;
	int rc = -1;

	if (!given || !given[0])
		return check_temporary(o, "/tmp", "/tmp");
	path = realpath(given, NULL);
	if (!path || stat(path, &st) < 0)
		complain("TMPDIR", given, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		complain("TMPDIR", given, "not a directory");
	else if (check_temporary(o, given, path) == 0)
		rc = setenv("TMPDIR", path, 1);
	free(path);
	return rc;
}

static int add_fuse_options(struct options *o)
{
	char *text = NULL, *fsname = NULL;
	int rc = -1;

	/* The store's name may hold commas and backslashes. */
	if (asprintf(&fsname, "fsname=%s", o->store) < 0)
		fsname = NULL;
	if (fsname && fuse_opt_add_opt(&text, "default_permissions,subtype=ckptfs") == 0 &&
	    fuse_opt_add_opt_escaped(&text, fsname) == 0 && fuse_opt_insert_arg(&o->fuse, 1, text) == 0 &&
	    fuse_opt_insert_arg(&o->fuse, 1, "-o") == 0)
		rc = o->debug ? fuse_opt_add_arg(&o->fuse, "-d") : 0;
	if (rc)
		fprintf(stderr, "ckptfs: out of memory\n");
	free(fsname);
	free(text);
	return rc;
}

static int check_system(void)
{
	char buf[256];
	const char *why = advise_on_system(buf, sizeof(buf));

	if (why)
		fprintf(stderr, "ckptfs: %s\n", why);
	return why ? -1 : 0;
}

static int check_status(const struct options *o)
{
	if (o->status && o->positionals == 1)
		return 0;
	fprintf(stderr, "ckptfs: %s\n", o->status ? "--status wants one mountpoint: ckptfs --status [--json] MOUNTPOINT"
						  : "--json belongs to --status and --check: see ckptfs --help");
	return -1;
}

/* What --check needs. Its exit statuses are its own. */
static int resolve_check(struct options *o)
{
	const char *why;
	char buf[96];

	if (o->positionals != 1)
		return complain("usage:", "ckptfs --check [--read-data] [--finite] [-v] [--json] STORE[:STEP]", "");
	o->failure = CHECK_FAILED;
	why = split_step(o->positional[0], &o->one_step, &o->step, buf, sizeof(buf));
	if (why)
		return complain("store", o->positional[0], why);
	if (resolve_store(o) || resolve_temporary(o))
		return -1;
	o->check_given = o->positional[0];
	if (o->one_step && o->level != CK_LEVEL_TAG)
		return complain("store", o->positional[0], "a step is named only after a tag's directory");
	return 0;
}

int options_parse(struct options *o, int argc, char **argv)
{
	int device = CK_DEVICE_CPU, sandbox = SANDBOX_ON;

	*o = (struct options){ .fuse = FUSE_ARGS_INIT(argc, argv), .failure = EXIT_FAILURE };
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--check") == 0)
			o->failure = CHECK_USAGE;
	if (fuse_opt_parse(&o->fuse, o, table, read_option) < 0)
		return -1;
	if (o->help || o->version)
		return 0;
	if (o->status || (o->json && !o->check))
		return check_status(o);
	if (o->device_text && value_choose("device", o->device_text, option_devices, 3, &device) < 0)
		return -1;
	o->device = (enum ck_device)device;
	if (o->sandbox_text && value_choose("sandbox", o->sandbox_text, option_sandboxes, 3, &sandbox) < 0)
		return -1;
	o->sandbox = (enum sandbox_mode)sandbox;
	if (o->tmp_max_size_text && value_size("tmp_max_size", o->tmp_max_size_text, &o->tmp_max_size) < 0)
		return -1;
	if (o->ranks_text && value_count("ranks", o->ranks_text, CK_MAX_RANKS, &o->ranks) < 0)
		return -1;
	if (o->check)
		return resolve_check(o);
	if (o->read_data || o->finite)
		return complain("option", o->read_data ? "--read-data" : "--finite", "it belongs to --check");
	o->foreground |= o->debug;
	if (o->positionals == 0) {
		fprintf(stderr, "ckptfs: no mountpoint: ckptfs [-o OPTIONS] [STORE] MOUNTPOINT; see ckptfs --help\n");
		return -1;
	}
	if (resolve_store(o) || resolve_mountpoint(o) || resolve_temporary(o))
		return -1;
	return check_system() || add_fuse_options(o) ? -1 : 0;
}

void options_free(struct options *o)
{
	fuse_opt_free_args(&o->fuse);
	free(o->store);
	free(o->mountpoint);
	free(o->held);
	free(o->in_place_note);
	free(o->note);
	free(o->device_text);
	free(o->level_text);
	free(o->sandbox_text);
	free(o->tmp_max_size_text);
	free(o->ranks_text);
	free(o->positional[0]);
	free(o->positional[1]);
}
