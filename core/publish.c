#include "publish.h"

#include "buf.h"
#include "checkpoint.h"
#include "cursor.h"
#include "io.h"
#include "meta.h"
#include "plan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_INTENT ((size_t)1 << 20)

/* The places that publishing deals with. */
struct places {
	const char *tag;
	const char *dir;        /* of the draft */
	char publish[PATH_MAX]; /* DIR/publish */
	char intent[PATH_MAX];  /* DIR/intent */
};

static int too_long(struct ck_error *err)
{
	errno = ENAMETOOLONG;
	return ck_fail_sys(err, "the path in the store");
}

static bool join(char *path, const char *dir, const char *name)
{
	return (size_t)snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX;
}

static bool find_places(struct places *p, const char *tag, const char *dir)
{
	p->tag = tag;
	p->dir = dir;
	return join(p->publish, dir, "publish") && join(p->intent, dir, "intent");
}

/* Where the file of NAME is made, and where it goes. */
static bool part_paths(const struct places *p, const struct ck_file_name *name, char *from, char *to)
{
	char text[64];

	ck_file_name_format(name, text, sizeof(text));
	return join(from, p->publish, text) && join(to, p->tag, text);
}

/* ---- removing ---- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	remove(path);
	return 0;
}

/* A copy of a published step's directory may be read-only to its owner, too. */
static int open_up(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)ftw;
	if ((flag == FTW_D || flag == FTW_DNR) && (st->st_mode & 0700) != 0700)
		chmod(path, 0700);
	return 0;
}

static void remove_all(const char *path)
{
	if (geteuid() != 0)
		nftw(path, open_up, 16, FTW_PHYS);
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void ck_remove_tree(const char *dir)
{
	char trash[PATH_MAX];

	/* A name that is no draft's: what a crash leaves of it is cleared at the next mount. */
	if ((size_t)snprintf(trash, sizeof(trash), "%s.trash", dir) < sizeof(trash) && rename(dir, trash) == 0)
		dir = trash;
	remove_all(dir);
}

/* ---- writing ---- */

/* The step's files belong to whom the draft belongs, where we may give them away, and are as readable as its meta.json; their owner may write, as nanochat's may. */
static int give_to_owner(const struct places *p, const char *path, struct ck_error *err)
{
	char files[PATH_MAX], meta[PATH_MAX];
	mode_t mode = 0644;
	struct stat st;

	if (!join(files, p->dir, "files") || !join(meta, files, "meta.json"))
		return too_long(err);
	if (stat(meta, &st) == 0)
		mode = (st.st_mode & 0666) | 0200;
	if (chmod(path, mode) < 0)
		return ck_fail_sys(err, "chmod");
	/* A file system without owners has nothing to give. */
	if (geteuid() == 0 && stat(files, &st) == 0 && lchown(path, st.st_uid, st.st_gid) < 0 && errno != EPERM)
		return ck_fail_sys(err, "chown");
	return CK_OK;
}

static int write_parts(const struct places *p, const struct ck_plan *plan, uint64_t step, struct ck_error *err)
{
	struct ck_file_name model = { .kind = CK_FILE_MODEL, .step = step };
	char top[64], from[PATH_MAX], to[PATH_MAX];
	int rc = CK_OK;

	if (mkdir(p->publish, 0700) < 0)
		return ck_fail_sys(err, "mkdir");
	for (size_t i = 0; i < plan->count && !rc; i++) {
		/* torch names the archive's directory after the file. */
		ck_file_name_format(plan->parts[i].name.kind == CK_FILE_MODEL ? &model : &plan->parts[i].name, top, sizeof(top));
		*strrchr(top, '.') = '\0';
		rc = part_paths(p, &plan->parts[i].name, from, to) ? ck_part_write(&plan->parts[i], from, top, err) : too_long(err);
		if (!rc)
			rc = give_to_owner(p, from, err);
	}
	return rc ? rc : ck_sync_dir(p->publish, err);
}

/* A line for each file, "INODE NAME": what is about to be renamed, and how to know it again. */
static int write_intent(const struct places *p, const struct ck_plan *plan, struct ck_error *err)
{
	struct ck_buf text = CK_BUF_INIT;
	char from[PATH_MAX], to[PATH_MAX], name[64];
	struct stat st;
	int fd = -1, rc = CK_OK;

	for (size_t i = 0; i < plan->count && !rc; i++) {
		if (!part_paths(p, &plan->parts[i].name, from, to) || lstat(from, &st) < 0)
			rc = ck_fail_sys(err, "stat");
		else
			ck_buf_printf(&text, "%" PRIu64 " %s\n", (uint64_t)st.st_ino,
				      ck_file_name_format(&plan->parts[i].name, name, sizeof(name)));
	}
	if (!rc && text.failed)
		rc = ck_fail_nomem(err);
	if (!rc && (fd = open(p->intent, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0)
		rc = ck_fail_sys(err, "open");
	if (!rc)
		rc = ck_write_full(fd, 0, text.data, text.len, err);
	if (!rc)
		rc = ck_sync_fd(fd, err);
	if (!rc)
		rc = ck_sync_dir(p->dir, err);
	if (fd >= 0)
		close(fd);
	ck_buf_free(&text);
	return rc;
}

/* rename that never replaces. Where the file system knows no such rename, a hard link is as good. */
static int rename_new(const char *from, const char *to, struct ck_error *err)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return CK_OK;
	if (errno == EINVAL && link(from, to) == 0) {
		unlink(from);
		return CK_OK;
	}
	return errno == EEXIST ? ck_fail(err, CK_ERR_EXIST, "%s is there already", strrchr(to, '/') + 1) : ck_fail_sys(err, "rename");
}

/* In the plan's order, the model last: with it the step is there. What was renamed goes back when a later one fails. */
static int rename_parts(const struct places *p, const struct ck_plan *plan, struct ck_error *err)
{
	char from[PATH_MAX], to[PATH_MAX];
	size_t done = 0;
	int rc = CK_OK;

	for (; done < plan->count && !rc; done += !rc)
		rc = part_paths(p, &plan->parts[done].name, from, to) ? rename_new(from, to, err) : too_long(err);
	while (rc && done-- > 0)
		if (part_paths(p, &plan->parts[done].name, from, to))
			rename(to, from);
	return rc;
}

static bool has_model(const char *tag, uint64_t step)
{
	struct ck_file_name model = { .kind = CK_FILE_MODEL, .step = step };
	char path[PATH_MAX], name[64];
	struct stat st;

	return join(path, tag, ck_file_name_format(&model, name, sizeof(name))) && stat(path, &st) == 0;
}

/* Takes a published shard's files out of a draft that goes on. */
static void remove_rank(const char *dir, uint64_t rank)
{
	static const char *const suffixes[] = { "", ".json", ".pt" };
	char path[PATH_MAX];

	for (size_t i = 0; i < 3; i++)
		if ((size_t)snprintf(path, sizeof(path), "%s/files/optim/rank%" PRIu64 "%s", dir, rank, suffixes[i]) < sizeof(path))
			remove_all(path);
}

int ck_publish(const char *tag_path, const char *dir, enum ck_draft_kind kind, uint64_t step, int64_t only_rank, struct ck_error *err)
{
	struct ck_plan plan = { 0 };
	struct places p;
	int rc;

	if (!find_places(&p, tag_path, dir))
		return too_long(err);
	rc = ck_plan_make(dir, kind, step, only_rank, &plan, err);
	if (rc || plan.count == 0)
		goto out;
	if (kind != CK_DRAFT_OPTIM && has_model(tag_path, step)) {
		rc = ck_fail(err, CK_ERR_EXIST, "the step is there already");
		goto out;
	}
	remove_all(p.publish);
	rc = write_parts(&p, &plan, step, err);
	if (!rc)
		rc = write_intent(&p, &plan, err);
	if (!rc)
		rc = rename_parts(&p, &plan, err);
	if (!rc)
		rc = ck_sync_dir(tag_path, err);
	unlink(p.intent);
	remove_all(p.publish);
	if (rc)
		goto out;
	if (kind == CK_DRAFT_OPTIM)
		for (size_t i = 0; i < plan.count; i++)
			remove_rank(dir, plan.parts[i].name.rank);
	else
		ck_remove_tree(dir);
out:
	ck_plan_free(&plan);
	ck_error_file(err, dir);
	return rc;
}

/* ---- nanochat's own names ---- */

static int check_native(struct ck_file *file, enum ck_file_kind kind, struct ck_error *err)
{
	struct ck_patch patch = { .model = kind == CK_FILE_MODEL, .n_layer = -1 };
	struct ck_checkpoint *c;
	char *text;
	size_t len;
	int rc;

	if (kind == CK_FILE_META) {
		rc = ck_file_load(file, CK_META_MAX_BYTES, &text, &len, err);
		if (rc)
			return rc;
		rc = ck_meta_check(text, len, err);
		free(text);
		return rc;
	}
	rc = ck_checkpoint_open(file, &patch, &c, err);
	if (!rc)
		ck_checkpoint_unref(c);
	return rc;
}

int ck_publish_native(const char *tag_path, const char *path, const struct ck_file_name *name, struct ck_error *err)
{
	char to[PATH_MAX], text[64];
	struct ck_file *file;
	int rc;

	if (!join(to, tag_path, ck_file_name_format(name, text, sizeof(text))))
		return too_long(err);
	rc = ck_file_open(path, &file, err);
	if (rc)
		return rc;
	rc = check_native(file, name->kind, err);
	if (rc == CK_ERR_CORRUPT || rc == CK_ERR_UNSUPPORTED || rc == CK_ERR_LIMIT) {
		rc = CK_ERR_INVALID;
		if (err)
			err->code = CK_ERR_INVALID;
	}
	if (!rc)
		rc = ck_sync_fd(ck_file_fd(file), err);
	ck_file_unref(file);
	if (!rc && rename(path, to) < 0)
		rc = ck_fail_sys(err, "rename");
	return rc ? rc : ck_sync_dir(tag_path, err);
}

/* ---- after a crash ---- */

/* One line of an intent. False at its end, or where the crash cut it (then no file was renamed yet). */
static bool next_line(struct ck_cursor *c, uint64_t *ino, char *name, size_t size)
{
	const uint8_t *line;
	char text[128];
	size_t len;
	int at;

	line = ck_cursor_line(c, &len);
	if (!line || len >= sizeof(text))
		return false;
	memcpy(text, line, len);
	text[len] = '\0';
	if (sscanf(text, "%" SCNu64 " %n", ino, &at) != 1 || strlen(text + at) >= size || strchr(text + at, '/'))
		return false;
	strcpy(name, text + at);
	return true;
}

/* Whether TAG/NAME is the very file that the intent speaks of. */
static bool is_ours(const char *tag, const char *name, uint64_t ino, char *path)
{
	struct stat st;

	return join(path, tag, name) && lstat(path, &st) == 0 && st.st_ino == ino;
}

/* The last file of a step's intent is its model: the step is there exactly when that is in place. */
static bool was_published(const char *tag, const char *text, size_t len)
{
	struct ck_cursor c = ck_cursor(text, len);
	char name[64], path[PATH_MAX];
	bool last = false;
	uint64_t ino;

	while (next_line(&c, &ino, name, sizeof(name)))
		last = is_ours(tag, name, ino, path);
	return last;
}

/* A published shard leaves its draft, which may hold others that aren't complete. */
static void remove_published_ranks(const char *dir, const char *text, size_t len)
{
	struct ck_cursor c = ck_cursor(text, len);
	struct ck_file_name name;
	char file[64];
	uint64_t ino;

	while (next_line(&c, &ino, file, sizeof(file)))
		if (ck_file_name_parse(file, &name) && name.kind == CK_FILE_OPTIM)
			remove_rank(dir, name.rank);
}

static void take_back(const char *tag, const char *text, size_t len)
{
	struct ck_cursor c = ck_cursor(text, len);
	char name[64], path[PATH_MAX];
	uint64_t ino;

	while (next_line(&c, &ino, name, sizeof(name)))
		if (is_ours(tag, name, ino, path))
			unlink(path);
}

/* Reads the intent, if there is one, and finishes it or takes it back. */
static int settle_intent(const struct places *p, enum ck_draft_kind kind, bool *gone, struct ck_error *err)
{
	struct ck_file *file;
	char *text;
	size_t len;
	bool published;
	int rc;

	if (ck_file_open(p->intent, &file, NULL))
		return CK_OK;
	rc = ck_file_load(file, MAX_INTENT, &text, &len, err);
	ck_file_unref(file);
	if (rc)
		return rc;
	published = was_published(p->tag, text, len);
	if (!published)
		take_back(p->tag, text, len);
	else if (kind == CK_DRAFT_OPTIM)
		remove_published_ranks(p->dir, text, len);
	free(text);
	*gone = published && kind != CK_DRAFT_OPTIM;
	rc = ck_sync_dir(p->tag, err);
	if (!rc)
		unlink(p->intent);
	return rc;
}

int ck_publish_recover(const char *tag_path, const char *dir, enum ck_draft_kind kind, bool *gone, struct ck_error *err)
{
	struct places p;
	int rc;

	*gone = false;
	if (!find_places(&p, tag_path, dir))
		return too_long(err);
	rc = settle_intent(&p, kind, gone, err);
	if (rc)
		return rc;
	remove_all(p.publish);
	if (*gone)
		ck_remove_tree(dir);
	return CK_OK;
}
