/* A draft becomes a step. Implements publish.h: read there first what happens on disk, and in which order. */
#include "core/draft/publish.h"

#include "core/draft/intent.h"
#include "core/draft/owner.h"
#include "core/draft/order.h"
#include "core/draft/plan.h"
#include "core/file/io.h"
#include "core/file/real.h"
#include "core/tree/store.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The places that publishing deals with. */
struct paths {
	const char *tag;
	const char *dir;        /* of the draft */
	char home[PATH_MAX];    /* the directory that DIR is in */
	char publish[PATH_MAX]; /* DIR/publish */
	char intent[PATH_MAX];  /* DIR/intent */
};

static bool make_paths(struct paths *p, const char *tag, const char *dir)
{
	p->tag = tag;
	p->dir = dir;
	snprintf(p->home, sizeof(p->home), "%.*s", (int)(strrchr(dir, '/') - dir), dir);
	return ck_path_join(p->publish, dir, "publish") && ck_path_join(p->intent, dir, "intent");
}

/* Where the file of NAME is made, and where it goes. */
static bool part_paths(const struct paths *p, const struct ck_file_name *name, char *from, char *to)
{
	char text[64];

	ck_file_name_format(name, text, sizeof(text));
	return ck_path_join(from, p->publish, text) && ck_path_join(to, p->tag, text);
}

/* ---- removing ---- */

/* PATH has room for PATH_MAX bytes, which is what bounds the depth. */
static void remove_tree(char *path)
{
	size_t len = strlen(path);
	struct ck_names names;
	struct stat st;

	if (ck_real_stat(path, &st) < 0)
		return;
	if (!S_ISDIR(st.st_mode)) {
		ck_real_unlink(path);
		return;
	}
	/* A copy of a published step's directory may be read-only to its owner, too. */
	if (geteuid() != 0 && (st.st_mode & 0700) != 0700)
		ck_real_chmod(path, 0700);
	if (ck_list_real_dir(path, &names, NULL) == CK_OK) {
		for (size_t i = 0; i < names.count; i++) {
			if (ck_path_join(path, path, names.names[i]))
				remove_tree(path);
			path[len] = '\0';
		}
		ck_names_free(&names);
	}
	ck_real_rmdir(path);
}

void ck_remove_tree(const char *path)
{
	char at[PATH_MAX];

	if (strlen(path) < sizeof(at))
		remove_tree(strcpy(at, path));
}

/* A draft is first renamed: no crash leaves one with files missing. */
static void trash_draft(const char *dir)
{
	char trash[PATH_MAX], home[PATH_MAX];

	if ((size_t)snprintf(trash, sizeof(trash), "%s.trash", dir) >= sizeof(trash))
		return;
	snprintf(home, sizeof(home), "%.*s", (int)(strrchr(dir, '/') - dir), dir);
	ck_remove_tree(trash);
	if (ck_real_rename(dir, trash, 0) == 0 && ck_real_sync(home, NULL) == CK_OK)
		ck_remove_tree(trash);
}

/* ---- writing ---- */

/* The step's files get the draft's owner, where the daemon may give files away, and the mode of its meta.json. Their
   owner may write to them, as to nanochat's. */
static int give_to_owner(const struct paths *p, const char *path, struct ck_error *err)
{
	char files[PATH_MAX], meta[PATH_MAX];
	mode_t mode = 0644;
	struct stat st;

	if (!ck_path_join(files, p->dir, "files") || !ck_path_join(meta, files, "meta.json"))
		return ck_fail_long_path(err);
	if (ck_real_stat(meta, &st) == 0)
		mode = (st.st_mode & 0666) | 0200;
	if (ck_real_chmod(path, mode) < 0)
		return ck_fail_sys(err, "chmod");
	/* A file system without owners has nothing to give. */
	if (geteuid() == 0 && ck_real_stat(files, &st) == 0 && ck_real_chown(path, st.st_uid, st.st_gid) < 0 &&
	    errno != EPERM)
		return ck_fail_sys(err, "chown");
	return CK_OK;
}

static int write_parts(const struct paths *p, const struct ck_plan *plan, uint64_t step, struct ck_error *err)
{
	struct ck_file_name model = { .kind = CK_FILE_MODEL, .step = step };
	char top[64], from[PATH_MAX], to[PATH_MAX];
	struct stat st;
	int rc;

	if (ck_real_mkdir(p->publish, 0700) < 0)
		return ck_fail_sys(err, "mkdir");
	if (ck_real_stat(p->dir, &st) < 0)
		return ck_fail_sys(err, "stat");
	rc = ck_give_new(p->publish, &st, 0700, err);
	for (size_t i = 0; i < plan->count && !rc; i++) {
		/* torch names the archive's directory after the file. */
		ck_file_name_format(plan->parts[i].name.kind == CK_FILE_MODEL ? &model : &plan->parts[i].name, top,
				    sizeof(top));
		*strrchr(top, '.') = '\0';
		rc = part_paths(p, &plan->parts[i].name, from, to) ? ck_part_write(&plan->parts[i], from, top, err)
								   : ck_fail_long_path(err);
		if (!rc)
			rc = give_to_owner(p, from, err);
	}
	return rc ? rc : ck_real_sync(p->publish, err);
}

/* Brings to disk the intent, the order of the files (for when the publication is taken back), and the directories by
   which both are found again. A tag that was made through the mount is on disk already. */
static int sync_way(const struct paths *p, struct ck_error *err)
{
	int rc = ck_order_sync(p->dir, err);

	if (!rc)
		rc = ck_real_sync(p->dir, err);
	if (!rc)
		rc = ck_real_sync(p->home, err);
	return rc ? rc : ck_real_sync(p->tag, err);
}

/* Takes the shards that are in place out of a draft that goes on. */
static int remove_ranks(const struct paths *p, const struct ck_intent *in, struct ck_error *err)
{
	/* The last three are only ever shown. */
	static const char *const suffixes[] = { "", ".json", ".pt", ".raw", ".safetensors", ".tsv" };
	const size_t count = sizeof(suffixes) / sizeof(*suffixes);
	char optim[PATH_MAX], path[PATH_MAX], name[64];
	struct stat st;

	if (!ck_path_join(optim, p->dir, "files/optim"))
		return ck_fail_long_path(err);
	if (ck_real_stat(optim, &st) < 0 && errno == ENOENT)
		return CK_OK;
	for (size_t i = 0; i < in->count; i++) {
		for (size_t k = 0; k < count && ck_intent_in_place(in, i); k++) {
			snprintf(name, sizeof(name), "rank%" PRIu64 "%s", in->files[i].name.rank, suffixes[k]);
			if (!ck_path_join(path, optim, name))
				return ck_fail_long_path(err);
			ck_remove_tree(path);
			if (ck_real_stat(path, &st) == 0 || errno != ENOENT)
				return ck_fail_sys(err, "removal of a published shard's draft");
		}
	}
	return ck_real_sync(optim, err);
}

/* The intent is done with, and what was made for it. */
static void clear_up(const struct paths *p)
{
	ck_real_unlink(p->intent);
	ck_remove_tree(p->publish);
}

/* Where a file of the step is in neither place, or another file has its place, the step can't be completed. The draft
   still has everything. */
static int complete_step(const struct ck_intent *in, bool *gone, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	int rc = ck_intent_carry_out(in, &why);

	*gone = !rc;
	if (rc == CK_ERR_NOENT || rc == CK_ERR_EXIST)
		return ck_intent_take_back(in, err);
	if (rc)
		ck_error_copy(err, &why);
	return rc;
}

/*
 * Finishes or takes back what the intent in the draft says, if there is one. The step exists exactly when its model
 * does, whose rename came last. After a crash the disk may have that rename without the earlier ones. Each shard of a
 * published step is published by itself. *GONE: the draft was published.
 */
static int resolve_intent(const struct paths *p, enum ck_draft_kind kind, bool *gone, struct ck_error *err)
{
	struct ck_intent in = { .made = p->publish, .tag = p->tag };
	const struct ck_intended *last;
	int rc = ck_intent_load(&in, p->intent, err);

	*gone = false;
	if (rc || in.count == 0)
		goto out;
	last = &in.files[in.count - 1];
	if (kind == CK_DRAFT_OPTIM) {
		rc = ck_real_sync(p->tag, err);
		if (!rc)
			rc = remove_ranks(p, &in, err);
	} else if (last->name.kind == CK_FILE_MODEL && ck_intent_in_place(&in, in.count - 1)) {
		rc = complete_step(&in, gone, err);
	} else if (!ck_store_has_model(p->tag, last->name.step)) {
		rc = ck_intent_take_back(&in, err);
	}       /* else the step is somebody else's, and stays as it is */
out:
	if (!rc && !*gone)
		clear_up(p);
	ck_intent_free(&in);
	return rc;
}

/* Renames the files into place. When that fails, the renames are taken back. When that fails, too, the intent stays for
   the next try or the next mount. */
static int carry_out(const struct paths *p, const struct ck_plan *plan, enum ck_draft_kind kind, struct ck_error *err)
{
	struct ck_intent in = { .made = p->publish, .tag = p->tag };
	int rc = CK_OK;

	for (size_t i = 0; i < plan->count && !rc; i++)
		rc = ck_intent_add(&in, &plan->parts[i].name, err);
	if (!rc)
		rc = ck_intent_save(&in, p->intent, err);
	if (!rc)
		rc = sync_way(p, err);
	if (!rc)
		rc = ck_intent_carry_out(&in, err);
	if (rc && ck_intent_take_back(&in, NULL) == CK_OK)
		clear_up(p);
	/* Published in any case: what can't be cleared now, the next mount clears. */
	if (!rc && kind != CK_DRAFT_OPTIM)
		trash_draft(p->dir);
	else if (!rc && remove_ranks(p, &in, NULL) == CK_OK)
		clear_up(p);
	ck_intent_free(&in);
	return rc;
}

/* Another mount may have been quicker. */
static int check_there(const char *dir, struct ck_error *err)
{
	struct stat st;

	if (ck_real_stat(dir, &st) == 0)
		return CK_OK;
	return errno == ENOENT ? ck_fail(err, CK_ERR_STALE, "the draft was published or removed by another")
			       : ck_fail_sys(err, "stat of the draft");
}

int ck_publish(const char *tag_path, const char *dir, enum ck_draft_kind kind, uint64_t step, int64_t only_rank,
	       unsigned flags, struct ck_error *err)
{
	struct ck_plan plan = { 0 };
	struct paths p;
	bool gone = false;
	int rc;

	if (!make_paths(&p, tag_path, dir))
		return ck_fail_long_path(err);
	rc = check_there(dir, err);
	if (!rc)
		rc = resolve_intent(&p, kind, &gone, err);
	/* An earlier try had failed after the step was in place. Now it is published. */
	if (!rc && gone) {
		trash_draft(dir);
		return CK_OK;
	}
	if (!rc)
		rc = ck_plan_make(dir, kind, step, only_rank, flags, &plan, err);
	if (rc || plan.count == 0)
		goto out;
	if (kind != CK_DRAFT_OPTIM && ck_store_has_model(tag_path, step)) {
		rc = ck_fail(err, CK_ERR_EXIST, "the step is there already");
		goto out;
	}
	rc = ck_plan_room(&plan, dir, err);
	if (rc)
		goto out;
	rc = write_parts(&p, &plan, step, err);
	if (rc)
		clear_up(&p);
	else
		rc = carry_out(&p, &plan, kind, err);
out:
	ck_plan_free(&plan);
	ck_error_file(err, dir);
	return rc;
}

int ck_publish_recover(const char *tag_path, const char *dir, enum ck_draft_kind kind, bool *gone, struct ck_error *err)
{
	struct paths p;
	int rc;

	*gone = false;
	if (!make_paths(&p, tag_path, dir))
		return ck_fail_long_path(err);
	rc = resolve_intent(&p, kind, gone, err);
	if (!rc && *gone)
		trash_draft(dir);
	return rc;
}
