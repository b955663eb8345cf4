/*
 * open - a stored file of a job, opened as the mount opens it.
 */
#ifndef CK_CHECK_OPEN_H
#define CK_CHECK_OPEN_H

#include "core/check/private.h"
#include "core/check/still.h"
#include "core/pt/checkpoint.h"

/* The path below the store of a file NAME in TAG, into SHOWN of PATH_MAX bytes. Returns SHOWN. */
const char *check_shown(const struct tag *tag, const char *name, char *shown);

/* The path of the job's file with NAME, and as it is shown; each of PATH_MAX bytes. False: it is too long, which is a
   finding then. */
bool check_path(struct checker *k, struct job *job, const char *name, char *path, char *shown);

/* Opens the checkpoint at PATH. *OUT is the caller's reference, NULL on failure: that is a finding, or JOB is GONE. */
void check_open(struct checker *k, struct job *job, const char *path, const char *shown, const struct ck_patch *patch,
		struct ck_checkpoint **out, struct ck_found *found);

/* Notes the shape of the matrix KEY of C in JOB. lm_head is nanochat's first parameter: its shape and that of its state
   tell for how many ranks an optimizer's shards were cut. */
void check_note_head(struct job *job, const struct ck_checkpoint *c, const char *key);

/* The end of a file's check: moves FOUND to the job's findings where the file has stood still. Else it is a note. */
void check_settle(struct job *job, const struct ck_still *still, const char *shown, struct ck_found *found);

#endif
