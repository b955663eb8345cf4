/*
 * retire - published steps on their way into TAG/.ckptfs/trash, back, and out of it for good: what happens on disk.
 *
 * A retired step lies in trash/000500 under nanochat's names, shards that are retired alone in trash/000500.optim. Its
 * files are renamed, the model first on the way in and last on the way back: the step is where its model is. A note in
 * that directory, an intent (intent.h) named `retire` or `restore`, is on disk before the first rename and until the
 * last is. After a crash, what had begun is finished if the model (of shards: the first, on the way back the last) is
 * in its new place, and taken back if not. When a rename or an fsync fails, all is taken back at once. A step that is
 * deleted is renamed to trash/000500.trash, and then removed.
 */
#ifndef CK_RETIRE_H
#define CK_RETIRE_H

#include "core/base/error.h"
#include "core/tree/names.h"

/* TAG is real (real.h). KIND: STEP, or OPTIM for the shards alone. The caller keeps other mounts from the step. */

/* CK_ERR_EXIST: the other place has that step, or a file of it; CK_ERR_NOENT: there is nothing to move; CK_ERR_PERM: a
   file of the step is a link; CK_ERR_SYS. On failure all is as it was. */
int ck_retire(const char *tag, enum ck_draft_kind kind, uint64_t step, struct ck_error *err);
int ck_restore(const char *tag, enum ck_draft_kind kind, uint64_t step, struct ck_error *err);

/* Deletes what is retired. CK_ERR_NOENT, CK_ERR_SYS: then all is as it was. */
int ck_retired_delete(const char *tag, enum ck_draft_kind kind, uint64_t step, struct ck_error *err);

/* Finishes or takes back what a crash or a fault has interrupted. */
int ck_retired_recover(const char *tag, enum ck_draft_kind kind, uint64_t step, struct ck_error *err);

#endif
