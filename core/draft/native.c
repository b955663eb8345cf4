/* Files under nanochat's own names, from open to close. Implements native.h. */
#include "core/draft/native.h"

#include "core/draft/dnode.h"
#include "core/draft/dnode_path.h"
#include "core/draft/judge.h"
#include "core/draft/open.h"
#include "core/draft/table.h"
#include "core/draft/use.h"
#include "core/draft/where.h"
#include "core/file/dir.h"
#include "core/file/fd.h"
#include "core/file/real.h"
#include "core/tree/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* A file under one of nanochat's own names is written beside its place, under a random name. A process number would not
   do: daemons in several containers, or on several hosts, may have the same. */
static int staged_name(const struct ck_file_name *native, char *name, size_t size, struct ck_error *err)
{
	uint64_t random[2];
	char text[64];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return ck_fail_sys(err, "getrandom");
	snprintf(name, size, "@%016" PRIx64 "%016" PRIx64 "-%s", random[0], random[1],
		 ck_file_name_format(native, text, sizeof(text)));
	return CK_OK;
}

int native_check_uncut(struct ck_drafts *d, const char *tag, const struct ck_file_name *native, struct ck_error *err)
{
	return native->kind == CK_FILE_OPTIM ? ck_tree_check_uncut(d->tree, tag, native->step, err) : CK_OK;
}

int native_create(struct ck_drafts *d, const char *tag, const struct ck_file_name *native, mode_t mode, int flags,
		  struct ck_owner owner, struct ck_attr *attr, struct ck_draft_file **out, struct ck_error *err)
{
	struct where w = { 0 };
	char name[128];
	int rc = native_check_uncut(d, tag, native, err);

	if (!rc)
		rc = draft_get(d, tag, DRAFT_STAGED, 0, &owner, &w.draft, err);
	if (rc)
		return rc;
	rc = staged_name(native, name, sizeof(name), err);
	if (!rc)
		rc = draft_file_create(d, &w, name, mode, flags | O_EXCL, owner, attr, out, err);
	where_put(d, &w);
	if (!rc) {
		(*out)->native = *native;
		(*out)->has_native = true;
	}
	return rc;
}

int native_open(struct ck_drafts *d, ck_ino ino, const struct ck_place *place, int flags, struct ck_owner owner,
		struct ck_draft_file **file, struct ck_error *err)
{
	char path[PATH_MAX], name[64];
	struct ck_file *old = NULL;
	struct ck_attr attr;
	struct stat st;
	int rc;

	rc = ck_path_join(path, place->path, ck_file_name_format(&place->name, name, sizeof(name)))
		     ? ck_tree_real(d->tree, path, err)
		     : ck_fail_long_path(err);
	if (!rc)
		rc = ck_real_file(path, &old, err);
	if (!rc && fstat(ck_file_fd(old), &st) < 0)
		rc = ck_fail_sys(err, "fstat");
	if (!rc) {
		owner.uid = st.st_uid;
		owner.gid = st.st_gid;
		/* What isn't read at once may be read later, for the bytes that nobody writes. */
		rc = native_create(d, place->path, &place->name, st.st_mode, (flags & ~O_ACCMODE) | O_RDWR, owner,
				   &attr, file, err);
	}
	if (rc) {
		ck_file_unref(old);
		return rc;
	}
	pthread_mutex_lock(&d->lock);
	(*file)->old = old;
	(*file)->replaces = ino;
	pthread_mutex_unlock(&d->lock);
	return CK_OK;
}

/* A file of DRAFT that is to replace INO, and that OPENER has open. With the lock held. */
static struct ck_draft_file *find_opened(const struct draft *draft, ck_ino ino, pid_t opener)
{
	for (const struct dnode *node = draft->nodes; node; node = node->after)
		for (struct ck_draft_file *file = node->open; file; file = file->next)
			if (file->replaces == ino && file->opener == opener)
				return file;
	return NULL;
}

struct ck_draft_file *native_find(struct ck_drafts *d, ck_ino ino, pid_t opener)
{
	struct ck_draft_file *file = NULL;

	pthread_mutex_lock(&d->lock);
	for (struct draft *draft = d->drafts; draft && !file; draft = draft->next)
		file = draft->kind == DRAFT_STAGED ? find_opened(draft, ino, opener) : NULL;
	if (file)
		file->refs++;
	pthread_mutex_unlock(&d->lock);
	return file;
}

int native_publish(const char *tag, const char *path, const struct ck_file_name *name, struct ck_error *err)
{
	char to[PATH_MAX], rejected[PATH_MAX], text[96];
	struct ck_file *file;
	int rc;

	if (!ck_path_join(to, tag, ck_file_name_format(name, text, sizeof(text))) ||
	    !ck_path_join(rejected, tag, ck_rejected_format(name, text, sizeof(text))))
		return ck_fail_long_path(err);
	rc = ck_real_file(path, &file, err);
	if (rc)
		return rc;
	rc = ck_judge(file, name->kind, err);
	if (!rc)
		rc = ck_sync_fd(ck_file_fd(file), err);
	ck_file_unref(file);
	if (!rc && ck_real_rename(path, to, 0) < 0)
		rc = ck_fail_sys(err, "rename");
	if (rc)
		return rc;
	ck_real_unlink(rejected);
	return ck_real_sync(tag, err);
}

/* The bytes at PATH get the name NAME.rejected, too, where the store has hard links; else at release. */
static void keep_rejected(struct ck_drafts *d, struct ck_draft_file *file, const char *path, const struct ck_error *why)
{
	char rejected[PATH_MAX], name[96], line[768], text[1024];
	struct stat ours, st;

	ck_rejected_format(&file->native, name, sizeof(name));
	if (!ck_path_join(rejected, file->node->draft->tag, name) || ck_real_stat(path, &ours) < 0)
		return;
	snprintf(text, sizeof(text), "%s; the bytes are kept as %s", ck_error_line(why, line, sizeof(line)), name);
	if (d->log)
		d->log(d->log_arg, text);
	if (ck_real_stat(rejected, &st) == 0) {
		if (st.st_dev == ours.st_dev && st.st_ino == ours.st_ino)
			return;
		dnode_put(d, dnode_kill(d, &st));
		ck_real_unlink(rejected);
	}
	file->keep = ck_real_link(path, rejected) < 0;
}

/* A save that was cut short before anything was written leaves nothing. */
void native_release(struct ck_drafts *d, struct ck_draft_file *file)
{
	char path[PATH_MAX], rejected[PATH_MAX], name[96];

	if (file->published || !dnode_path(d, file->node, NULL, path))
		return;
	if (file->keep && ck_path_join(rejected, file->node->draft->tag,
					   ck_rejected_format(&file->native, name, sizeof(name))))
		ck_real_rename(path, rejected, 0);
	ck_real_unlink(path);
}

/* The file is in place once it is whole and no other kind than its name says; see judge.h. */
int native_flush(struct ck_drafts *d, struct ck_draft_file *file, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	struct draft *draft = file->node->draft;
	char path[PATH_MAX], name[64];
	struct stat st = { 0 };
	int rc = draft_begin(draft, err);

	if (rc)
		return rc;
	if (file->published || draft_file_has_old(file)) {
		draft_end(draft);
		return CK_OK;
	}
	errno = atomic_load(&file->failed);
	if (errno)
		rc = ck_fail_sys(&why, "an earlier write");
	else if (fstat(file->fd, &st) == 0 && st.st_size == 0)
		rc = ck_fail(&why, CK_ERR_INVALID, "an empty file");
	else if (!dnode_path(d, file->node, NULL, path))
		rc = ck_fail_long_path(&why);
	else
		rc = native_publish(draft->tag, path, &file->native, &why);
	ck_tree_renamed(d->tree);
	file->published = !rc;
	file->keep = false;
	ck_error_file(&why, ck_file_name_format(&file->native, name, sizeof(name)));
	/* A write that failed was told to the writer; what it left would only fill the disk. */
	if (rc && st.st_size && !atomic_load(&file->failed))
		keep_rejected(d, file, path, &why);
	draft_end(draft);
	if (rc)
		ck_error_copy(err, &why);
	return rc;
}
