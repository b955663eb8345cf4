/* A draft becomes a step. Implements publish.h: read there first what happens on disk, and in which order. */
#include "core/draft/publish.h"

#include "core/draft/intent.h"
#include "core/draft/lease.h"
#include "core/draft/owner.h"
#include "core/draft/order.h"
#include "core/draft/plan.h"
#include "core/draft/shared.h"
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

/* The places that publishing deals with. Each directory is held open for as long as it lasts, and its path here is the
   handle's: no call looks the way up again. */
struct paths {
	int tag_fd, home_fd, dir_fd, publish_fd;        /* publish_fd: -1 until the directory is made */
	char tag[CK_HANDLE];
	char home[CK_HANDLE];   /* the directory that DIR is in */
	char dir[CK_HANDLE];    /* of the draft */
	char name[NAME_MAX + 1];        /* DIR's in HOME */
	char publish[CK_HANDLE + sizeof("/publish")];   /* DIR/publish, or its handle's */
	char intent[CK_HANDLE + sizeof("/intent")];     /* DIR/intent */
};

static void close_paths(struct paths *p)
{
	const int fds[] = { p->tag_fd, p->home_fd, p->dir_fd, p->publish_fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Each is closed by close_paths, also after a failure. CK_ERR_STALE: the draft is gone. */
static int open_paths(struct paths *p, const char *tag, const char *dir, struct ck_error *err)
{
	const char *slash = strrchr(dir, '/');
	char home[PATH_MAX];

	*p = (struct paths){ .tag_fd = -1, .home_fd = -1, .dir_fd = -1, .publish_fd = -1 };
	if ((size_t)(slash - dir) >= sizeof(home) || strlen(slash + 1) >= sizeof(p->name))
		return ck_fail_long_path(err);
	snprintf(home, sizeof(home), "%.*s", (int)(slash - dir), dir);
	strcpy(p->name, slash + 1);
	p->tag_fd = ck_real_handle(tag, p->tag);
	if (p->tag_fd < 0)
		return ck_fail_sys(err, "open of the tag");
	p->home_fd = ck_real_handle(home, p->home);
	p->dir_fd = p->home_fd < 0 ? -1 : ck_real_handle(dir, p->dir);
	/* Another mount may have been quicker. */
	if (p->dir_fd < 0)
		return errno == ENOENT ? ck_fail(err, CK_ERR_STALE, "the draft was published or removed by another")
				       : ck_fail_sys(err, "open of the draft");
	snprintf(p->publish, sizeof(p->publish), "%s/publish", p->dir);
	snprintf(p->intent, sizeof(p->intent), "%s/intent", p->dir);
	return CK_OK;
}

/* Where the file of NAME is made, and where it goes. */
static bool part_paths(const struct paths *p, const struct ck_file_name *name, char *from, char *to)
{
	char text[64];

	ck_file_name_format(name, text, sizeof(text));
	return ck_path_join(from, p->publish, text) && ck_path_join(to, p->tag, text);
}

/* ---- removing ---- */

/* Unlinks those NAMES in the directory at PATH that are not directories. PATH is opened once for all of them. */
static void remove_files(const char *path, const struct ck_names *names)
{
	char handle[CK_HANDLE], file[CK_HANDLE + NAME_MAX + 1];
	int fd = ck_real_handle(path, handle);

	for (size_t i = 0; i < names->count && fd >= 0; i++) {
		snprintf(file, sizeof(file), "%s/%s", handle, names->names[i]);
		if (ck_real_unlink(file) == 0)
			names->names[i][0] = '\0';
	}
	if (fd >= 0)
		close(fd);
}

/* PATH has room for PATH_MAX bytes, which is what bounds the depth. Of what can't be removed errno says why. */
static void remove_tree(char *path)
{
	size_t len = strlen(path);
	struct ck_names names;
	struct stat st;
	int error;

	if (ck_real_unlink(path) == 0 || errno == ENOENT)
		return;
	error = errno;
	/* A copy of a published step's directory may be read-only to its owner, too. */
	if (geteuid() != 0 && ck_real_stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 0700) != 0700)
		ck_real_chmod(path, 0700);
	if (ck_list_real_dir(path, &names, NULL) == CK_OK) {
		remove_files(path, &names);
		for (size_t i = 0; i < names.count; i++) {
			if (names.names[i][0] && ck_path_join(path, path, names.names[i]))
				remove_tree(path);
			path[len] = '\0';
		}
		ck_names_free(&names);
	}
	if (ck_real_rmdir(path) < 0 && errno == ENOTDIR)
		errno = error;
}

void ck_remove_tree(const char *path)
{
	char at[PATH_MAX];

	if (strlen(path) < sizeof(at))
		remove_tree(strcpy(at, path));
}

bool ck_discarded_path(char path[PATH_MAX], const char *dir)
{
	return (size_t)snprintf(path, PATH_MAX, "%s.trash", dir) < PATH_MAX;
}

int ck_discard_tree(const char *dir, struct ck_error *err)
{
	char trash[PATH_MAX], home[PATH_MAX];
	int rc;

	if (!ck_discarded_path(trash, dir))
		return ck_fail_long_path(err);
	snprintf(home, sizeof(home), "%.*s", (int)(strrchr(dir, '/') - dir), dir);
	ck_remove_tree(trash);
	if (ck_real_rename(dir, trash, 0) < 0)
		return errno == ENOENT ? ck_fail(err, CK_ERR_NOENT, "it is gone") : ck_fail_sys(err, "rename");
	rc = ck_real_sync(home, err);
	if (rc)
		ck_rename_new(trash, dir, false);
	else
		ck_remove_tree(trash);
	return rc;
}

void ck_remove_draft(const char *dir)
{
	static const char *const first[] = { "files", "publish", "order", "intent" };
	const size_t count = ck_is_shared(dir) ? sizeof(first) / sizeof(*first) : 0;
	char path[PATH_MAX];

	for (size_t i = 0; i < count; i++)
		if (ck_path_join(path, dir, first[i]))
			ck_remove_tree(path);
	ck_discard_tree(dir, NULL);
}

static void trash_draft(const struct paths *p)
{
	char draft[CK_HANDLE + NAME_MAX + 1];

	snprintf(draft, sizeof(draft), "%s/%s", p->home, p->name);
	ck_remove_draft(draft);
}

/* ---- writing ---- */

/* Whose the files of a step are, and their mode. */
struct like {
	struct stat files;      /* the draft's own directory; st_nlink is 0 where it can't be looked at */
	mode_t mode;
};

/* The step's files get the draft's owner, where the daemon may give files away, and the mode of its meta.json. Their
   owner may write to them, as to nanochat's. */
static int give_to_owner(const struct like *like, const char *path, struct ck_error *err)
{
	if (ck_real_chmod(path, like->mode) < 0)
		return ck_fail_sys(err, "chmod");
	/* A file system without owners has nothing to give. */
	if (geteuid() == 0 && like->files.st_nlink &&
	    ck_real_chown(path, like->files.st_uid, like->files.st_gid) < 0 && errno != EPERM)
		return ck_fail_sys(err, "chown");
	return CK_OK;
}

static void look_at_owner(const struct paths *p, struct like *like)
{
	char path[CK_HANDLE + sizeof("/files/meta.json")];
	struct stat meta;

	*like = (struct like){ .mode = 0644 };
	snprintf(path, sizeof(path), "%s/files/meta.json", p->dir);
	if (ck_real_stat(path, &meta) == 0)
		like->mode = (meta.st_mode & 0666) | 0200;
	*strrchr(path, '/') = '\0';
	if (ck_real_stat(path, &like->files) < 0)
		like->files.st_nlink = 0;
}

/* The directory in which the step's files are made; held from here on. */
static int make_publish(struct paths *p, struct ck_error *err)
{
	char handle[CK_HANDLE];
	struct stat st;
	int rc;

	if (ck_real_mkdir(p->publish, 0700) < 0)
		return ck_fail_sys(err, "mkdir");
	if (fstat(p->dir_fd, &st) < 0)
		return ck_fail_sys(err, "stat");
	rc = ck_give_new(p->publish, &st, 0700, err);
	if (rc)
		return rc;
	p->publish_fd = ck_real_handle(p->publish, handle);
	if (p->publish_fd < 0)
		return ck_fail_sys(err, "open");
	strcpy(p->publish, handle);
	return CK_OK;
}

static int write_parts(struct paths *p, const struct ck_plan *plan, uint64_t step, struct ck_error *err)
{
	struct ck_file_name model = { .kind = CK_FILE_MODEL, .step = step };
	char top[64], from[PATH_MAX], to[PATH_MAX];
	struct like like;
	int rc = make_publish(p, err);

	look_at_owner(p, &like);
	for (size_t i = 0; i < plan->count && !rc; i++) {
		/* torch names the archive's directory after the file. */
		ck_file_name_format(plan->parts[i].name.kind == CK_FILE_MODEL ? &model : &plan->parts[i].name, top,
				    sizeof(top));
		*strrchr(top, '.') = '\0';
		rc = part_paths(p, &plan->parts[i].name, from, to) ? ck_part_write(&plan->parts[i], from, top, err)
								   : ck_fail_long_path(err);
		if (!rc)
			rc = give_to_owner(&like, from, err);
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
	bool there = false;
	struct stat st;
	int rc = CK_OK;

	if (!ck_path_join(optim, p->dir, "files/optim"))
		return ck_fail_long_path(err);
	if (ck_real_stat(optim, &st) < 0 && errno == ENOENT)
		return CK_OK;
	for (size_t i = 0; i < in->count && !rc; i++) {
		rc = ck_intent_in_place(in, i, &there, err);
		for (size_t k = 0; k < count && !rc && there; k++) {
			snprintf(name, sizeof(name), "rank%" PRIu64 "%s", in->files[i].name.rank, suffixes[k]);
			if (!ck_path_join(path, optim, name))
				return ck_fail_long_path(err);
			ck_remove_tree(path);
			if (ck_real_stat(path, &st) == 0 || errno != ENOENT)
				return ck_fail_sys(err, "removal of a published shard's draft");
		}
	}
	return rc ? rc : ck_real_sync(optim, err);
}

/* The intent is done with, and what was made for it. */
static void clear_up(const struct paths *p)
{
	char publish[CK_HANDLE + sizeof("/publish")];

	ck_real_unlink(p->intent);
	snprintf(publish, sizeof(publish), "%s/publish", p->dir);
	ck_remove_tree(publish);
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
	bool there = false;
	int rc = ck_intent_load(&in, p->intent, err);

	*gone = false;
	if (rc || in.count == 0)
		goto out;
	last = &in.files[in.count - 1];
	if (kind == CK_DRAFT_OPTIM) {
		rc = ck_real_sync(p->tag, err);
		if (!rc)
			rc = remove_ranks(p, &in, err);
		goto out;
	}
	if (last->name.kind == CK_FILE_MODEL)
		rc = ck_intent_in_place(&in, in.count - 1, &there, err);
	if (!rc && there)
		rc = complete_step(&in, gone, err);
	else if (!rc && !ck_store_has_model(p->tag, last->name.step))
		rc = ck_intent_take_back(&in, err);
	/* else the step is somebody else's, and stays as it is */
out:
	if (!rc && !*gone)
		clear_up(p);
	ck_intent_free(&in);
	return rc;
}

/* Renames the files into place. When that fails, the renames are taken back. When that fails, too, the intent stays for
   the next try or the next mount. */
static int carry_out(const struct paths *p, const struct ck_plan *plan, enum ck_draft_kind kind, struct ck_lease *lease,
		     struct ck_error *err)
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
		rc = ck_lease_check(lease, err);
	if (!rc)
		rc = ck_intent_carry_out(&in, err);
	if (rc && ck_intent_take_back(&in, NULL) == CK_OK)
		clear_up(p);
	/* Published in any case: what can't be cleared now, the next mount clears. */
	if (!rc && kind == CK_DRAFT_OPTIM && remove_ranks(p, &in, NULL) == CK_OK)
		clear_up(p);
	ck_intent_free(&in);
	return rc;
}

int ck_publish(const char *tag_path, const char *dir, enum ck_draft_kind kind, uint64_t step, int64_t only_rank,
	       unsigned flags, struct ck_lease *lease, struct ck_error *err)
{
	struct ck_plan plan = { 0 };
	struct paths p;
	bool gone = false;
	int rc;

	rc = open_paths(&p, tag_path, dir, err);
	if (!rc)
		rc = resolve_intent(&p, kind, &gone, err);
	/* An earlier try had failed after the step was in place. Now it is published. */
	if (!rc && gone)
		goto out;
	if (!rc)
		rc = ck_plan_make(dir, kind, step, only_rank, flags, &plan, err);
	if (rc || plan.count == 0)
		goto out;
	if (kind != CK_DRAFT_OPTIM && ck_store_has_model(p.tag, step)) {
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
		rc = carry_out(&p, &plan, kind, lease, err);
	gone = !rc && kind != CK_DRAFT_OPTIM;
out:
	/* It has the draft's files open, and some stores can't remove what is open. */
	ck_plan_free(&plan);
	if (gone)
		trash_draft(&p);
	close_paths(&p);
	ck_error_file(err, dir);
	return rc;
}

int ck_publish_recover(const char *tag_path, const char *dir, enum ck_draft_kind kind, bool *gone, struct ck_error *err)
{
	struct paths p;
	int rc;

	*gone = false;
	rc = open_paths(&p, tag_path, dir, err);
	if (!rc)
		rc = resolve_intent(&p, kind, gone, err);
	if (!rc && *gone)
		trash_draft(&p);
	close_paths(&p);
	return rc;
}
