/* What a publication is about to rename, kept on disk. Implements intent.h, which has the file's format. */
#include "core/draft/intent.h"

#include "core/base/buf.h"
#include "core/base/cursor.h"
#include "core/draft/owner.h"
#include "core/draft/shared.h"
#include "core/file/dir.h"
#include "core/file/fd.h"
#include "core/file/real.h"
#include "core/tree/names.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_INTENT ((size_t)1 << 20)

static bool place_of(const char *dir, const struct ck_file_name *name, char *path)
{
	char text[64];

	return ck_path_join(path, dir, ck_file_name_format(name, text, sizeof(text)));
}

static bool ident_at(const char *path, struct ck_ident *out)
{
	struct stat st;

	if (ck_real_stat(path, &st) < 0)
		return false;
	*out = ck_ident_of(&st);
	out->dev = 0;
	return true;
}

static int append(struct ck_intent *in, const struct ck_intended *file, struct ck_error *err)
{
	struct ck_intended *grown = reallocarray(in->files, in->count + 1, sizeof(*grown));

	if (!grown)
		return ck_fail_nomem(err);
	grown[in->count++] = *file;
	in->files = grown;
	return CK_OK;
}

int ck_intent_add(struct ck_intent *in, const struct ck_file_name *name, struct ck_error *err)
{
	struct ck_intended file = { .name = *name, .is_new = true };
	char path[PATH_MAX];
	int rc = CK_OK;

	if (!place_of(in->made, name, path) || !ident_at(path, &file.ident))
		return ck_fail_sys(err, "stat");
	if (!in->looked)
		in->shared = ck_is_shared(in->tag);
	in->looked = true;
	file.has_mark = in->shared;
	if (in->shared)
		rc = ck_mark_of(path, &file.mark, err);
	return rc ? rc : append(in, &file, err);
}

/* ---- on disk ---- */

int ck_intent_save(const struct ck_intent *in, const char *path, struct ck_error *err)
{
	struct ck_buf text = CK_BUF_INIT;
	struct stat made;
	char name[64];
	int fd = -1, rc = CK_OK;

	for (size_t i = 0; i < in->count; i++) {
		ck_buf_printf(&text, "%" PRIu64 " %" PRIu64 " %" PRId64 " %s", in->files[i].ident.ino,
			      in->files[i].ident.size, in->files[i].ident.mtime_ns,
			      ck_file_name_format(&in->files[i].name, name, sizeof(name)));
		if (in->files[i].has_mark)
			ck_buf_printf(&text, " %08" PRIx32, in->files[i].mark);
		ck_buf_printf(&text, "\n");
	}
	if (text.failed)
		rc = ck_fail_nomem(err);
	else if (text.len > MAX_INTENT)
		rc = ck_fail(err, CK_ERR_INVALID, "too many shards for one step");
	if (!rc && (fd = ck_real_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600)) < 0)
		rc = ck_fail_sys(err, "open");
	/* Every mount that may finish the publication must be able to read what it was. */
	if (!rc && ck_real_stat(in->made, &made) == 0)
		ck_give_file(fd, &made, 0600);
	if (!rc)
		rc = ck_write_full(fd, 0, text.data, text.len, err);
	if (!rc)
		rc = ck_sync_fd(fd, err);
	if (fd >= 0)
		close(fd);
	ck_buf_free(&text);
	return rc;
}

static bool parse_line(const uint8_t *line, size_t len, struct ck_intended *out)
{
	char text[160], name[64];
	int fields;

	if (len >= sizeof(text))
		return false;
	memcpy(text, line, len);
	text[len] = '\0';
	fields = sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNd64 " %63s %8" SCNx32, &out->ident.ino, &out->ident.size,
			&out->ident.mtime_ns, name, &out->mark);
	out->has_mark = fields == 5;
	return fields >= 4 && ck_file_name_parse(name, &out->name);
}

int ck_intent_load(struct ck_intent *in, const char *path, struct ck_error *err)
{
	struct ck_intended file = { 0 };
	struct ck_file *stored;
	struct stat st;
	struct ck_cursor c;
	const uint8_t *line;
	char *text;
	size_t len;
	int rc;

	if (ck_real_stat(path, &st) < 0 && errno == ENOENT)
		return CK_OK;
	rc = ck_real_file(path, &stored, err);
	if (rc)
		return rc;
	rc = ck_file_load(stored, MAX_INTENT, &text, &len, err);
	ck_file_unref(stored);
	if (rc)
		return rc;
	c = ck_cursor(text, len);
	while (!rc && (line = ck_cursor_line(&c, &len)) && parse_line(line, len, &file))
		rc = append(in, &file, err);
	free(text);
	return rc;
}

void ck_intent_free(struct ck_intent *in)
{
	free(in->files);
	in->files = NULL;
	in->count = 0;
}

/* ---- in the tag ---- */

/* Whether FILE is in DIR, where its place is PATH: *YES. */
static int is_at(const char *dir, const struct ck_intended *file, char *path, bool *yes, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	struct ck_ident now;
	uint32_t mark;
	int rc;

	*yes = false;
	if (!place_of(dir, &file->name, path))
		return ck_fail_long_path(err);
	if (!ident_at(path, &now))
		return errno == ENOENT ? CK_OK : ck_fail_sys(err, "stat");
	if (!file->has_mark) {
		*yes = ck_ident_equal(&now, &file->ident);
		return CK_OK;
	}
	if (now.size != file->ident.size)
		return CK_OK;
	rc = ck_mark_of(path, &mark, &why);
	*yes = !rc && mark == file->mark;
	if (!rc || why.sys == ENOENT)
		return CK_OK;
	ck_error_copy(err, &why);
	return rc;
}

int ck_intent_in_place(const struct ck_intent *in, size_t i, bool *yes, struct ck_error *err)
{
	char path[PATH_MAX];

	return is_at(in->tag, &in->files[i], path, yes, err);
}

static int rename_new(const char *from, const char *to, bool by_link, struct ck_error *err)
{
	if (ck_rename_new(from, to, by_link) == 0)
		return CK_OK;
	return errno == EEXIST ? ck_fail(err, CK_ERR_EXIST, "%s is there already", strrchr(to, '/') + 1)
			       : ck_fail_sys(err, "rename");
}

static int carry_out_one(const struct ck_intent *in, struct ck_intended *file, struct ck_error *err)
{
	char from[PATH_MAX], to[PATH_MAX];
	struct stat st;
	bool there;
	int rc = is_at(in->tag, file, to, &there, err);

	if (rc || there)
		return rc;
	rc = is_at(in->made, file, from, &there, err);
	if (rc)
		return rc;
	if (there) {
		/* A call that fails behind a network may have been done all the same. */
		rc = rename_new(from, to, true, err);
		file->tried = rc != CK_ERR_EXIST;
		return rc;
	}
	/* It was in place, and another has been saved there since. */
	if (ck_real_stat(to, &st) == 0)
		return CK_OK;
	return ck_fail(err, CK_ERR_NOENT, "a file of the step is gone");
}

int ck_intent_carry_out(const struct ck_intent *in, struct ck_error *err)
{
	int rc = CK_OK;

	for (size_t i = 0; i < in->count && !rc; i++)
		rc = carry_out_one(in, &in->files[i], err);
	return rc ? rc : ck_real_sync(in->tag, err);
}

/*
 * Whether file I is in the tag, at PATH, by this publication's doing: *YES. Another may have saved the same bytes
 * there, which marks don't tell apart; then this publication's own file is still where it was made. After a crash only
 * the first that is still there may have got its second name.
 */
static int is_ours(const struct ck_intent *in, size_t i, char *path, bool *yes, struct ck_error *err)
{
	const struct ck_intended *file = &in->files[i];
	bool made = false, earlier = file->is_new;
	char other[PATH_MAX];
	int rc = is_at(in->tag, file, path, yes, err);

	if (rc || !*yes || !file->has_mark || file->tried)
		return rc;
	rc = is_at(in->made, file, other, &made, err);
	for (size_t k = 0; k < i && !rc && made && !earlier; k++)
		rc = is_at(in->made, &in->files[k], other, &earlier, err);
	*yes = !made || !earlier;
	return rc;
}

int ck_intent_take_back(const struct ck_intent *in, struct ck_error *err)
{
	char path[PATH_MAX];
	int rc = CK_OK;
	bool there;

	for (size_t i = in->count; i-- > 0 && !rc;) {
		rc = is_ours(in, i, path, &there, err);
		if (!rc && there && ck_real_unlink(path) < 0)
			rc = ck_fail_sys(err, "unlink");
	}
	return rc ? rc : ck_real_sync(in->tag, err);
}

static int move_one(const char *from, const char *to, const struct ck_intended *file, struct ck_error *err)
{
	char old_path[PATH_MAX], new_path[PATH_MAX];
	bool was = false, is;
	int rc = is_at(to, file, new_path, &is, err);

	if (!rc)
		rc = is_at(from, file, old_path, &was, err);
	if (rc || !was)
		return rc;
	if (!is)
		return rename_new(old_path, new_path, false, err);
	/* A power loss may leave it both names. */
	return ck_real_unlink(old_path) < 0 ? ck_fail_sys(err, "unlink") : CK_OK;
}

int ck_intent_move(const struct ck_intent *in, bool back, struct ck_error *err)
{
	const char *from = back ? in->tag : in->made, *to = back ? in->made : in->tag;
	int rc = CK_OK;

	for (size_t i = 0; i < in->count && !rc; i++)
		rc = move_one(from, to, &in->files[back ? in->count - 1 - i : i], err);
	if (!rc)
		rc = ck_real_sync(to, err);
	return rc ? rc : ck_real_sync(from, err);
}
