/* What the store's ordinary files have and drafts' files have not. Implements ordinary.h. */
#include "core/draft/ordinary.h"

#include "core/draft/dnode_path.h"
#include "core/draft/log.h"
#include "core/draft/where.h"
#include "core/file/dir.h"
#include "core/file/dir.h"
#include "core/file/real.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

bool ordinary_is(const struct dnode *node, const struct stat *st)
{
	return node->file.dev == (uint64_t)st->st_dev && node->file.ino == (uint64_t)st->st_ino;
}

int ordinary_stat(struct ck_drafts *d, struct dnode *node, char *path, struct stat *st, struct ck_error *err)
{
	bool found;

	if (node->dead || node->draft->gone)
		return ck_fail(err, CK_ERR_STALE, "the file is gone");
	if (!dnode_path(d, node, NULL, path))
		return ck_fail_long_path(err);
	found = ck_real_stat(path, st) == 0;
	if (node->draft->kind != DRAFT_PLAIN || (!found && errno != ENOENT && errno != ENOTDIR))
		return found ? CK_OK : ck_fail_sys(err, "stat");
	/* Others change the store, too. The kernel looks the name up again after this errno. */
	if (found && ordinary_is(node, st))
		return CK_OK;
	return ck_fail(err, CK_ERR_STALE, "expected the file under its name, found it gone");
}

int native_may_go(struct ck_drafts *d, const char *name, struct ck_error *err)
{
	int rc;

	if (d->may_delete)
		return CK_OK;
	rc = ck_fail(err, CK_ERR_PERM,
		     "a stored checkpoint, or a file of tokenizer/, is removed or renamed only in a mount "
		     "with -o delete");
	ck_error_file(err, name);
	/* rm -r asks for every file of the store: a line a second tells as much. */
	if (err && atomic_exchange(&d->refused_at, time(NULL)) != time(NULL))
		draft_say(d, err);
	return rc;
}

int ordinary_may_go(struct ck_drafts *d, const struct where *w, const char *name, struct ck_error *err)
{
	char path[PATH_MAX];

	if (!d->guarded || w->draft->kind != DRAFT_PLAIN || where_is_temporary(name))
		return CK_OK;
	if (!where_path(d, w, name, path))
		return ck_fail_long_path(err);
	return ck_is_within(path, d->guarded) ? native_may_go(d, name, err) : CK_OK;
}
