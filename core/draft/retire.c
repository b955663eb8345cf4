/* Published steps are retired, brought back and deleted. Implements retire.h: read there first in which order. */
#include "core/draft/retire.h"

#include "core/draft/intent.h"
#include "core/draft/owner.h"
#include "core/draft/publish.h"
#include "core/file/dir.h"
#include "core/file/real.h"
#include "core/tree/store.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char retire[] = "retire", restore[] = "restore";

struct paths {
	const char *tag;
	char home[PATH_MAX];    /* TAG/.ckptfs */
	char trash[PATH_MAX];   /* the directory in it */
	char dir[PATH_MAX];     /* in that, the step's or its shards' */
};

static bool make_paths(struct paths *p, const char *tag, enum ck_draft_kind kind, uint64_t step)
{
	char text[64];

	p->tag = tag;
	return ck_path_join(p->home, tag, CK_DRAFT_DIR) && ck_path_join(p->trash, p->home, CK_TRASH_DIR) &&
	       ck_path_join(p->dir, p->trash, ck_draft_format(kind, step, text, sizeof(text)));
}

/* Directories without anything in them go. */
static void remove_empty(const struct paths *p)
{
	ck_real_rmdir(p->dir);
	ck_real_rmdir(p->trash);
}

static struct ck_intent intent_of(const struct paths *p, const char *what)
{
	bool back = what == restore;

	return (struct ck_intent){ .made = back ? p->dir : p->tag, .tag = back ? p->tag : p->dir };
}

/* What is interrupted of WHAT is finished, or taken back. */
static int resolve(const struct paths *p, const char *what, struct ck_error *err)
{
	struct ck_intent in = intent_of(p, what);
	char path[PATH_MAX];
	bool moved = false;
	int rc;

	if (!ck_path_join(path, p->dir, what))
		return ck_fail_long_path(err);
	rc = ck_intent_load(&in, path, err);
	if (!rc && in.count > 0)
		rc = ck_intent_in_place(&in, what == restore ? in.count - 1 : 0, &moved, err);
	if (!rc && in.count)
		rc = ck_intent_move(&in, !moved, err);
	if (!rc && ck_real_unlink(path) < 0 && errno != ENOENT)
		rc = ck_fail_sys(err, "unlink");
	ck_intent_free(&in);
	return rc;
}

static int resolve_both(const struct paths *p, struct ck_error *err)
{
	int rc = resolve(p, retire, err);

	return rc ? rc : resolve(p, restore, err);
}

/* The files of the step, or its shards, that are to be moved, in the order of the renames. */
static int add_files(struct ck_intent *in, const char *what, enum ck_draft_kind kind, uint64_t step,
		     struct ck_error *err)
{
	static const enum ck_file_kind order[] = { CK_FILE_MODEL, CK_FILE_META, CK_FILE_OPTIM };
	const size_t kinds = sizeof(order) / sizeof(*order);
	struct ck_names names;
	struct ck_file_name name;
	char path[PATH_MAX];
	struct stat st;
	int rc = ck_list_real_dir(in->made, &names, err);

	if (rc)
		return rc;
	for (size_t k = kind == CK_DRAFT_OPTIM ? kinds - 1 : 0; k < kinds && !rc; k++) {
		for (size_t i = 0; i < names.count && !rc; i++) {
			if (!ck_file_name_parse(names.names[i], &name) || name.step != step ||
			    name.kind != (kind == CK_DRAFT_OPTIM || what == retire ? order[k] : order[kinds - 1 - k]))
				continue;
			/* A link would lead elsewhere from another directory. */
			if (ck_path_join(path, in->made, names.names[i]) && ck_real_stat(path, &st) == 0 &&
			    !S_ISREG(st.st_mode))
				rc = ck_fail(err, CK_ERR_PERM, "expected files of the step's own, found %s, a link",
					     names.names[i]);
			else
				rc = ck_intent_add(in, &name, err);
		}
	}
	ck_names_free(&names);
	if (!rc && in->count == 0)
		rc = ck_fail(err, CK_ERR_NOENT, "there is nothing to move");
	return rc;
}

/* Writes the note, with the way to it, and renames the files. *BEGUN: one of them may be in its new place. */
static int carry_out(const struct paths *p, const struct ck_intent *in, const char *note, bool *begun,
		     struct ck_error *err)
{
	const char *const way[] = { p->dir, p->trash, p->home };
	int rc = ck_intent_save(in, note, err);

	for (size_t i = 0; i < sizeof(way) / sizeof(*way) && !rc; i++)
		rc = ck_real_sync(way[i], err);
	*begun = !rc;
	return rc ? rc : ck_intent_move(in, false, err);
}

static int move(const struct paths *p, const char *what, enum ck_draft_kind kind, uint64_t step, struct ck_error *err)
{
	struct ck_intent in = intent_of(p, what);
	char note[PATH_MAX];
	bool begun = false;
	int rc = ck_path_join(note, p->dir, what) ? CK_OK : ck_fail_long_path(err);

	if (!rc)
		rc = add_files(&in, what, kind, step, err);
	if (!rc)
		rc = carry_out(p, &in, note, &begun, err);
	/* Where that fails, too, the note stays for the next try or the next mount. */
	if (!rc || !begun || ck_intent_move(&in, true, NULL) == CK_OK)
		ck_real_unlink(note);
	remove_empty(p);
	ck_intent_free(&in);
	return rc;
}

static int make_dir(const char *path, const struct stat *tag, struct ck_error *err)
{
	return ck_real_mkdir(path, 0700) < 0 ? ck_fail_sys(err, "mkdir")
					     : ck_give_new(path, tag, (tag->st_mode & 07777) | 0700, err);
}

static int make_dirs(const struct paths *p, struct ck_error *err)
{
	struct ck_error why;
	struct stat tag;
	int rc;

	if (ck_real_stat(p->tag, &tag) < 0)
		return ck_fail_sys(err, "stat of the tag");
	/* Another step's that comes back or is deleted may take the directory along. */
	for (int tries = 0; tries < 8; tries++) {
		why = (struct ck_error)CK_ERROR_INIT;
		rc = make_dir(p->trash, &tag, &why);
		if (rc && why.sys != EEXIST)
			break;
		ck_error_clear(&why);
		rc = make_dir(p->dir, &tag, &why);
		if (!rc || why.sys != ENOENT)
			break;
	}
	if (rc && why.sys == EEXIST)
		return ck_fail(err, CK_ERR_EXIST, "the step is in .trash already");
	if (rc)
		ck_error_copy(err, &why);
	return rc;
}

static int begin(struct paths *p, const char *tag, enum ck_draft_kind kind, uint64_t step, struct ck_error *err)
{
	int rc = make_paths(p, tag, kind, step) ? resolve_both(p, err) : ck_fail_long_path(err);

	if (!rc)
		remove_empty(p);
	return rc;
}

int ck_retire(const char *tag, enum ck_draft_kind kind, uint64_t step, struct ck_error *err)
{
	struct paths p;
	int rc = begin(&p, tag, kind, step, err);

	if (!rc) {
		rc = make_dirs(&p, err);
		if (!rc)
			rc = move(&p, retire, kind, step, err);
		else
			remove_empty(&p);
	}
	ck_error_file(err, tag);
	return rc;
}

int ck_restore(const char *tag, enum ck_draft_kind kind, uint64_t step, struct ck_error *err)
{
	struct paths p;
	int rc = begin(&p, tag, kind, step, err);

	if (!rc && kind == CK_DRAFT_STEP && ck_store_has_model(tag, step))
		rc = ck_fail(err, CK_ERR_EXIST, "the step is there already");
	if (!rc)
		rc = move(&p, restore, kind, step, err);
	ck_error_file(err, tag);
	return rc;
}

int ck_retired_delete(const char *tag, enum ck_draft_kind kind, uint64_t step, struct ck_error *err)
{
	struct paths p;
	int rc = begin(&p, tag, kind, step, err);

	if (!rc)
		rc = ck_discard_tree(p.dir, err);
	if (!rc)
		ck_real_rmdir(p.trash);
	ck_error_file(err, tag);
	return rc;
}

int ck_retired_recover(const char *tag, enum ck_draft_kind kind, uint64_t step, struct ck_error *err)
{
	struct paths p;

	return begin(&p, tag, kind, step, err);
}
