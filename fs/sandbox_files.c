/* Implements sandbox_files of sandbox_layers.h: the Landlock rules. */
#include "sandbox.h"

#include "core/file/follow.h"
#include "core/file/scratch.h"
#include "core/tree/names.h"
#include "core/tree/store.h"
#include "sandbox_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's numbers, which headers older than the kernel lack. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)        /* ABI 3, Linux 6.2 */
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)       /* ABI 5, Linux 6.10 */
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
#define ABI_1_RIGHTS ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define NET_BIND_AND_CONNECT_TCP 3ULL                   /* ABI 4, Linux 6.7 */
#define SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS 3ULL         /* ABI 6, Linux 6.12 */

/* struct landlock_ruleset_attr as of ABI 6. An older kernel takes it while the fields that it does
   not know are 0. */
struct ruleset_attr {
	uint64_t files, net, scoped;
};

#define RIGHTS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RIGHTS_WRITE                                                                                   \
	(RIGHTS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |                   \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |     \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REFER)

struct fence {
	int ruleset;
	uint64_t rights;        /* that the kernel can withhold */
};

/* Allows RIGHTS below PATH. A path that does not exist needs no rule. */
static int open_gate(const struct fence *f, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = rights & f->rights };
	char real[PATH_MAX];
	int rc;

	/* The mount is up, and must not be asked: follow.h. */
	if (ck_follow(path, real) < 0)
		return errno == ENOENT ? 0 : -1;
	rule.parent_fd = open(real, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return errno == ENOENT ? 0 : -1;
	rc = (int)syscall(SYS_landlock_add_rule, f->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
	return rc;
}

static bool is_link(const char *path)
{
	struct stat st;

	return ck_follow_lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static bool has_steps(const char *tag)
{
	uint64_t *steps;
	size_t count;

	if (ck_store_steps(tag, &steps, &count, NULL))
		return false;
	free(steps);
	return count > 0;
}

/* What may be a tag by a link: most stores have none, and then no tag is looked into. */
static int add_link(const char *dir, const struct dirent *entry, void *arg)
{
	char path[PATH_MAX];
	bool link = entry->d_type == DT_LNK;

	if (entry->d_type == DT_UNKNOWN)
		link = ck_path_join(path, dir, entry->d_name) && is_link(path);
	return link && entry->d_name[0] != '.' ? ck_names_add(arg, entry->d_name) : CK_OK;
}

/*
 * A tag that is a link to another disk takes new steps too, but only if it has steps already. A
 * store from a stranger, with a link to /etc named d12, must not open /etc for writing.
 */
static int open_linked_tags(const struct fence *f, const char *source)
{
	bool linked = is_link(source), genuine = false;
	char path[PATH_MAX];
	struct ck_names tags;
	int rc = 0;

	if (linked ? ck_store_tags(source, &tags, NULL)
		   : ck_list_visited(ck_follow_opendir(source), source, add_link, &tags, NULL))
		return 0;
	for (size_t i = 0; i < tags.count && !rc; i++) {
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", source, tags.names[i]) >= sizeof(path) ||
		    !has_steps(path))
			continue;
		genuine = true;
		if (is_link(path))
			rc = open_gate(f, path, RIGHTS_WRITE);
	}
	ck_names_free(&tags);
	return !rc && linked && genuine ? open_gate(f, source, RIGHTS_WRITE) : rc;
}

static int open_links(const struct fence *f, const struct sandbox_options *o)
{
	char path[PATH_MAX];
	int rc = 0;

	if (o->level == CK_LEVEL_SOURCE)
		return open_linked_tags(f, o->store);
	for (size_t i = 0; o->level == CK_LEVEL_BASE && i < sizeof(ck_sources) / sizeof(*ck_sources) && !rc; i++)
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", o->store, ck_sources[i].dir) < sizeof(path))
			rc = open_linked_tags(f, path);
	return rc;
}

static uint64_t rights_in_store(const struct sandbox_options *o)
{
	if (o->read_only)
		return RIGHTS_READ;
	return o->links ? RIGHTS_WRITE | LANDLOCK_ACCESS_FS_MAKE_SYM : RIGHTS_WRITE;
}

static int open_gates(const struct fence *f, const struct sandbox_options *o)
{
	if (open_gate(f, o->contain ? o->store : "/", RIGHTS_READ) < 0 ||
	    open_gate(f, o->store, rights_in_store(o)) < 0 ||
	    open_gate(f, ck_temporary_dir(), RIGHTS_WRITE) < 0 ||
	    open_gate(f, "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE) < 0 ||
	    (SANDBOX_SANITIZED && open_gate(f, "/proc", RIGHTS_READ) < 0))
		return -1;
	return o->contain || o->read_only ? 0 : open_links(f, o);
}

const char *sandbox_files(const struct sandbox_options *o)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset_attr attr = { .files = ABI_1_RIGHTS };
	struct fence f;
	const char *reason = NULL;

	if (abi < 0)
		return strerror(errno);
	/* The first version forbids every rename to another directory, by which steps are
	   published. */
	if (abi < 2 && !o->read_only)
		return "this kernel's can't allow renames";
	attr.files |= (abi >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) | (abi >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0) |
		      (abi >= 5 ? LANDLOCK_ACCESS_FS_IOCTL_DEV : 0);
	attr.net = abi >= 4 ? NET_BIND_AND_CONNECT_TCP : 0;
	attr.scoped = abi >= 6 ? SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS : 0;
	f.rights = attr.files;
	f.ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (f.ruleset < 0)
		return strerror(errno);
	if (open_gates(&f, o) < 0 || syscall(SYS_landlock_restrict_self, f.ruleset, 0) < 0)
		reason = strerror(errno);
	close(f.ruleset);
	return reason;
}
