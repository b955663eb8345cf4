/*
 * publish - a draft becomes a step: the one function behind all the ways to publish, and what clears up after a
 * crash.
 *
 * The order on disk: every file of the step is made under a temporary name in the draft's publish/
 * and fsynced; `intent` says what is about to be renamed (intent.h); optimizer shards, then meta,
 * and last the model are renamed into the tag's directory, which is fsynced; then the draft is
 * removed, the intent with it. The step is there exactly when its model is. After a crash, an
 * intent whose model is in place is finished and one whose model isn't is taken back. When a rename
 * or that last fsync fails, all is taken back at once.
 */
#ifndef CK_PUBLISH_H
#define CK_PUBLISH_H

#include "core/base/error.h"
#include "core/tree/names.h"

#include <limits.h>

struct ck_lease;

/* Paths are real (real.h). */

/*
 * Publishes the draft in DIR (TAG_PATH/.ckptfs/NAME) as STEP. KIND OPTIM: only the shards that are complete, to a
 * published step; with ONLY_RANK >= 0 that one. CK_ERR_INVALID: the draft is unfit, and ERR says why; CK_ERR_EXIST: the
 * step, or a file of its name, is there; CK_ERR_STALE: another mount was quicker; CK_ERR_SYS. On failure the draft is
 * as it was. Until it returns, the caller keeps others from changing the draft, and other mounts from publishing it
 * (ck_lock_step); where that is by a LEASE, it is looked at once more before the first rename.
 */
int ck_publish(const char *tag_path, const char *dir, enum ck_draft_kind kind, uint64_t step, int64_t only_rank,
	       unsigned flags, struct ck_lease *lease, struct ck_error *err);

/* Finishes or takes back what a crash left in the draft DIR. *GONE: the draft was published, and is
   removed. */
int ck_publish_recover(const char *tag_path, const char *dir, enum ck_draft_kind kind, bool *gone,
		       struct ck_error *err);

/* Removes PATH and all below it; best effort. */
void ck_remove_tree(const char *path);
/* The same of DIR, which is first renamed to DIR.trash: no crash leaves one with files missing, and the next mount
   removes what is left. CK_ERR_NOENT, CK_ERR_SYS: it is as it was. */
int ck_discard_tree(const char *dir, struct ck_error *err);
/* DIR.trash, into PATH; false: it is too long. */
bool ck_discarded_path(char path[PATH_MAX], const char *dir);
/* The draft DIR is published: removes it as ck_discard_tree. In a store of several machines what was just written may
   still be on its way, by its path (rclone): there its files go before it is renamed, the intent last. */
void ck_remove_draft(const char *dir);

#endif
