/* What a crash leaves in TAG/.ckptfs, and how it is cleared: implements recover.h. */
#include "core/draft/recover.h"

#include "core/base/text.h"
#include "core/draft/order.h"
#include "core/draft/publish.h"
#include "core/draft/retire.h"
#include "core/file/real.h"
#include "core/tree/store.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The tag whose leftovers are cleared. */
struct recovery {
	const char *tag, *home;
	void (*log)(void *arg, const char *line);
	void *log_arg;
};

static void say(const struct recovery *r, const struct ck_error *err)
{
	char line[768];

	if (r->log)
		r->log(r->log_arg, ck_error_line(err, line, sizeof(line)));
}

/* A draft whose step came to be by another way gets a name by which it can be reached. */
static void rename_partial(const char *dir)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s.partial", dir) < sizeof(path))
		ck_real_rename(dir, path, RENAME_NOREPLACE);
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

static void recover_draft(const struct recovery *r, const char *path, enum ck_draft_kind kind, uint64_t step)
{
	struct ck_error err = CK_ERROR_INIT;
	char files[PATH_MAX];
	struct stat st;
	bool gone = false;
	int rc;

	if (!ck_path_join(files, path, "files"))
		return;
	if (ck_real_stat(files, &st) < 0) {
		/* Half-made, or half-removed. */
		if (errno == ENOENT)
			ck_remove_tree(path);
		return;
	}
	rc = ck_publish_recover(r->tag, path, kind, &gone, &err);
	if (!rc && !gone)
		rc = complete_order(path, files, &err);
	if (rc)
		say(r, &err);
	else if (!gone && kind == CK_DRAFT_OPTIM && is_spent(r->tag, files, step))
		ck_remove_tree(path);
	else if (!gone && kind == CK_DRAFT_STEP && ck_store_has_model(r->tag, step))
		rename_partial(path);
}

/* What is retired stays; what is half retired, half back or half deleted doesn't. */
static void recover_trash(const struct recovery *r, const char *trash)
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
		else if (ck_draft_parse(names.names[i], &kind, &step) &&
			 ck_retired_recover(r->tag, kind, step, &err)) {
			say(r, &err);
			ck_error_clear(&err);
		}
	}
	ck_names_free(&names);
	ck_real_rmdir(trash);
}

/* One entry of TAG/.ckptfs, of which no living mount knows. */
static void recover_entry(const struct recovery *r, const char *name)
{
	const char *dot = strrchr(name, '.');
	enum ck_draft_kind kind;
	char path[PATH_MAX];
	uint64_t step;

	if (!ck_path_join(path, r->home, name))
		return;
	if (strcmp(name, CK_OLD_LOCK_NAME) == 0)
		ck_real_unlink(path);
	else if (strcmp(name, "staged") == 0 || (dot && strcmp(dot, ".trash") == 0))
		ck_remove_tree(path);
	else if (strcmp(name, CK_TRASH_DIR) == 0)
		recover_trash(r, path);
	else if (ck_draft_parse(name, &kind, &step))
		recover_draft(r, path, kind, step);
}

void ck_recover_tag(const char *tag, const char *home, void (*log)(void *arg, const char *line), void *log_arg)
{
	struct recovery r = { tag, home, log, log_arg };
	struct ck_error err = CK_ERROR_INIT;
	struct ck_names names;

	if (ck_list_real_dir(home, &names, &err)) {
		say(&r, &err);
		return;
	}
	for (size_t i = 0; i < names.count; i++)
		recover_entry(&r, names.names[i]);
	ck_names_free(&names);
}
