/* symlink(2) and link(2) in the mount. Implements links.h. */
#include "core/draft/links.h"

#include "core/draft/dirs.h"
#include "core/draft/dnode.h"
#include "core/draft/numbers.h"
#include "core/draft/ordinary.h"
#include "core/draft/where.h"
#include "core/file/dir.h"
#include "core/file/real.h"

#include <limits.h>

/* The place for a new link: that of ordinary files, and no checkpoints directory, where it would be a tag. */
static int find_for_link(struct ck_drafts *d, ck_ino parent, const char *name, struct where *w, struct ck_error *err)
{
	int rc = where_find(d, parent, NULL, w, err);

	if (rc)
		return rc;
	if (w->draft->kind != DRAFT_PLAIN)
		rc = ck_fail(err, CK_ERR_PERM, "a draft can't hold links");
	else if (w->base && w->kind == CK_PLACE_SOURCE && name[0] != '.')
		rc = ck_fail(err, CK_ERR_PERM, "a link in a checkpoints directory is made in the store itself");
	else
		rc = where_allows(d, parent, w, name, err);
	if (rc)
		where_put(d, w);
	return rc;
}

int ck_drafts_symlink(struct ck_drafts *d, ck_ino parent, const char *name, const char *target, struct ck_owner owner,
		      struct ck_attr *out, struct ck_error *err)
{
	char path[PATH_MAX];
	struct where w;
	int rc;

	/* Without that option the daemon is confined to what checkpoints need. */
	if (!d->native)
		return ck_fail(err, CK_ERR_PERM, "links are made in a mount with -o native");
	rc = find_for_link(d, parent, name, &w, err);
	if (rc)
		return rc;
	if (!where_path(d, &w, name, path))
		rc = ck_fail_long_path(err);
	else if (ck_real_symlink(target, path) < 0)
		rc = ck_fail_sys(err, "symlink");
	else
		rc = ck_give_made_link(path, owner.uid, owner.gid, err);
	where_put(d, &w);
	return rc ? rc : ck_drafts_lookup(d, parent, name, out, err);
}

int ck_drafts_link(struct ck_drafts *d, ck_ino ino, ck_ino parent, const char *name, struct ck_attr *out,
		   struct ck_error *err)
{
	char from[PATH_MAX], path[PATH_MAX];
	struct dnode *node;
	struct where w;
	struct stat st;
	int rc = find_for_link(d, parent, name, &w, err);

	if (rc)
		return rc;
	node = ck_is_draft(ino) ? dnode_find(d, ino) : NULL;
	if (!node || node->draft != w.draft)
		rc = ck_fail(err, CK_ERR_PERM, "a file of a step can't have a second name");
	else
		rc = ordinary_stat(d, node, from, &st, err);
	if (!rc && !where_path(d, &w, name, path))
		rc = ck_fail_long_path(err);
	if (!rc && ck_real_link(from, path) < 0)
		rc = ck_fail_sys(err, "link");
	dnode_put(d, node);
	where_put(d, &w);
	return rc ? rc : ck_drafts_lookup(d, parent, name, out, err);
}
