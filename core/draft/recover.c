/* What a crash leaves in TAG/.ckptfs, and how it is cleared: implements recover.h. */
#include "core/draft/recover.h"

#include "core/base/text.h"
#include "core/draft/order.h"
#include "core/draft/publish.h"
#include "core/draft/retire.h"
#include "core/draft/shared.h"
#include "core/file/dir.h"
#include "core/file/real.h"
#include "core/tree/store.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LEFT_SECONDS (24 * 60 * 60)

/* The tag whose leftovers are cleared. */
struct recovery {
	const char *tag, *home;
	bool shared;
	const struct ck_lease_self *self;
	time_t now;             /* by the store's clock, if it is shared; 0: not asked */
};

static void say(const struct recovery *r, const struct ck_error *err)
{
	char line[768];

	if (r->self->log)
		r->self->log(r->self->log_arg, ck_error_line(err, line, sizeof(line)));
}

/* Whether no other machine can be at work at PATH: nobody has written there for a day. */
static bool is_left(struct recovery *r, const char *path)
{
	struct stat st;

	if (!r->shared)
		return true;
	if (!r->now && ck_lease_now(r->home, &r->now, NULL))
		return false;
	return ck_real_stat(path, &st) == 0 && ck_lease_is_time(st.st_mtim.tv_sec) &&
	       r->now - st.st_mtim.tv_sec > LEFT_SECONDS;
}

/* The right to finish or take back what was begun with the step KIND, STEP. False: another machine is at it. */
static bool begin_step(const struct recovery *r, enum ck_draft_kind kind, uint64_t step, struct ck_lease **lease)
{
	char name[CK_LEASE_NAME];

	/* A .partial is one draft of its step. */
	if (kind == CK_DRAFT_PARTIAL)
		kind = CK_DRAFT_STEP;
	*lease = NULL;
	return !r->shared ||
	       ck_lease_take(r->self, r->home, ck_lease_name(kind, step, name), 0, lease, NULL) == CK_OK;
}

/* A draft whose step came to be by another way gets a name by which it can be reached. */
static void rename_partial(const char *dir)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s.partial", dir) < sizeof(path))
		ck_rename_new(dir, path, false);
}

/* Whether a draft of shards has none left: at most our report of an earlier try is there. While
   the step has no shard at all it stands for optim/, which somebody made. */
static bool is_spent(const char *tag, const char *files, uint64_t step)
{
	struct ck_names names;
	char optim[PATH_MAX];
	uint64_t *ranks;
	struct stat st;
	size_t count;
	bool spent;

	if (!ck_path_join(optim, files, "optim") || ck_store_ranks(tag, step, &ranks, &count, NULL))
		return false;
	free(ranks);
	if (ck_real_stat(optim, &st) < 0 && errno == ENOENT)
		return true;
	if (count == 0 || ck_list_real_dir(optim, &names, NULL))
		return false;
	spent = names.count == 0 || (names.count == 1 && strcmp(names.names[0], "DRAFT.error") == 0);
	ck_names_free(&names);
	return spent;
}

/* The order of creation, of the directories for which it matters: those of tensors. */
static int complete_order(const char *dir, const char *files, struct ck_error *err)
{
	struct ck_names names = { 0 };
	char sub[PATH_MAX], optim[PATH_MAX];
	struct stat st;
	int rc = ck_order_complete(dir, "model", err);

	if (!rc && ck_path_join(optim, files, "optim") && ck_real_stat(optim, &st) == 0)
		rc = ck_list_real_dir(optim, &names, err);
	for (size_t i = 0; i < names.count && !rc; i++)
		if (ck_path_join(sub, "optim", names.names[i]))
			rc = ck_order_complete(dir, sub, err);
	ck_names_free(&names);
	return rc;
}

static void recover_draft(struct recovery *r, const char *path, enum ck_draft_kind kind, uint64_t step)
{
	struct ck_error err = CK_ERROR_INIT;
	char files[PATH_MAX];
	struct stat st;
	bool gone = false;
	int rc;

	if (!ck_path_join(files, path, "files"))
		return;
	if (ck_real_stat(files, &st) < 0) {
		/* Half-made, or half-removed, as that of a step which is there. */
		if (errno == ENOENT &&
		    ((kind == CK_DRAFT_STEP && ck_store_has_model(r->tag, step)) || is_left(r, path)))
			ck_remove_tree(path);
		return;
	}
	rc = ck_publish_recover(r->tag, path, kind, &gone, &err);
	if (!rc && !gone)
		rc = complete_order(path, files, &err);
	if (rc)
		say(r, &err);
	else if (!gone && kind == CK_DRAFT_OPTIM && is_left(r, path) && is_spent(r->tag, files, step))
		ck_remove_tree(path);
	else if (!gone && kind == CK_DRAFT_STEP && ck_store_has_model(r->tag, step))
		rename_partial(path);
}

static void recover_retired(struct recovery *r, enum ck_draft_kind kind, uint64_t step)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_lease *lease;

	if (!begin_step(r, kind, step, &lease))
		return;
	if (ck_retired_recover(r->tag, kind, step, &err))
		say(r, &err);
	ck_lease_drop(lease);
}

/* What is retired stays; what is half retired, half back or half deleted doesn't. */
static void recover_trash(struct recovery *r, const char *trash)
{
	struct ck_error err = CK_ERROR_INIT;
	enum ck_draft_kind kind;
	struct ck_names names;
	char path[PATH_MAX];
	uint64_t step;

	if (ck_list_real_dir(trash, &names, &err)) {
		say(r, &err);
		return;
	}
	for (size_t i = 0; i < names.count; i++) {
		if (ck_ends_with(names.names[i], ".trash") && ck_path_join(path, trash, names.names[i]))
			ck_remove_tree(path);
		else if (ck_draft_parse(names.names[i], &kind, &step))
			recover_retired(r, kind, step);
	}
	ck_names_free(&names);
	ck_real_rmdir(trash);
}

/* Files under nanochat's own names that nobody will close any more. */
static void recover_staged(struct recovery *r, const char *staged)
{
	struct ck_names names;
	char path[PATH_MAX];

	if (!r->shared) {
		ck_remove_tree(staged);
		return;
	}
	if (ck_list_real_dir(staged, &names, NULL))
		return;
	for (size_t i = 0; i < names.count; i++)
		if (ck_path_join(path, staged, names.names[i]) && is_left(r, path))
			ck_remove_tree(path);
	ck_names_free(&names);
	ck_real_rmdir(staged);
}

/* A lease whose holder has ended, once what it was for is dealt with. */
static void recover_lease(const struct recovery *r, const char *name)
{
	struct ck_lease *lease;

	if (ck_lease_take(r->self, r->home, name, 0, &lease, NULL) == CK_OK)
		ck_lease_drop(lease);
}

/* One entry of TAG/.ckptfs, of which no living mount knows. */
static void recover_entry(struct recovery *r, const char *name)
{
	const char *dot = strrchr(name, '.');
	enum ck_draft_kind kind;
	struct ck_lease *lease;
	char path[PATH_MAX];
	uint64_t step;

	if (!ck_path_join(path, r->home, name))
		return;
	if (strcmp(name, CK_OLD_LOCK_NAME) == 0)
		ck_real_unlink(path);
	else if (strcmp(name, "staged") == 0)
		recover_staged(r, path);
	else if (dot && strcmp(dot, ".trash") == 0)
		ck_remove_tree(path);
	else if (strcmp(name, CK_TRASH_DIR) == 0)
		recover_trash(r, path);
	else if (ck_draft_parse(name, &kind, &step) && begin_step(r, kind, step, &lease)) {
		recover_draft(r, path, kind, step);
		ck_lease_drop(lease);
	}
}

void ck_recover_tag(const char *tag, const char *home, bool shared, const struct ck_lease_self *self)
{
	struct recovery r = { .tag = tag, .home = home, .shared = shared, .self = self };
	struct ck_error err = CK_ERROR_INIT;
	struct ck_names names;

	if (ck_list_real_dir(home, &names, &err)) {
		say(&r, &err);
		return;
	}
	for (size_t i = 0; i < names.count; i++)
		recover_entry(&r, names.names[i]);
	for (size_t i = 0; i < names.count; i++)
		if (strncmp(names.names[i], CK_LEASE_PREFIX, strlen(CK_LEASE_PREFIX)) == 0)
			recover_lease(&r, names.names[i]);
	ck_names_free(&names);
}
