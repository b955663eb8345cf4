/* Keeps the order of a draft's files as programs make and rename them. Implements note.h; order.h has the file's
   format. */
#include "core/draft/note.h"

#include "core/draft/order.h"
#include "core/file/real.h"

#include <limits.h>
#include <string.h>

int draft_sync(struct ck_drafts *d, struct draft *draft, bool way, struct ck_error *err)
{
	char dir[PATH_MAX];
	int rc = CK_OK;

	pthread_mutex_lock(&d->lock);
	strcpy(dir, draft->dir);
	pthread_mutex_unlock(&d->lock);
	if (atomic_exchange(&draft->unsynced, false)) {
		rc = ck_order_sync(dir, err);
		if (rc)
			atomic_store(&draft->unsynced, true);
	}
	/* The draft, TAG/.ckptfs, TAG. */
	for (int level = 0; way && level < 3 && !rc; level++) {
		rc = ck_real_sync(dir, err);
		*strrchr(dir, '/') = '\0';
	}
	return rc;
}

/* PATH lies in DIR/files; what the order calls it. */
static const char *name_in_order(const struct draft *draft, const char *path)
{
	return path + strlen(draft->dir) + strlen("/files/");
}

int draft_note_made(struct draft *draft, const char *path, struct ck_error *err)
{
	if (draft->kind == DRAFT_STAGED || draft->kind == DRAFT_PLAIN)
		return CK_OK;
	atomic_store(&draft->unsynced, true);
	return ck_order_append(draft->dir, name_in_order(draft, path), err);
}

int draft_note_moved(struct draft *draft, const char *from, const char *to, struct ck_error *err)
{
	if (draft->kind == DRAFT_STAGED || draft->kind == DRAFT_PLAIN)
		return CK_OK;
	atomic_store(&draft->unsynced, true);
	return ck_order_rename(draft->dir, name_in_order(draft, from), name_in_order(draft, to), err);
}
