/*
 * plan_parts - what the files that make a plan share: the draft's files, the parts so far, and what is unfit.
 */
#ifndef CK_PLAN_PARTS_H
#define CK_PLAN_PARTS_H

#include "core/draft/part.h"
#include "core/pt/checkpoint.h"

#include <limits.h>

#define MAX_PART ((size_t)128 << 20)    /* of memory for what one part is made of; 100,000 tensors need half of it */

/* What a draft's directories hold, sorted into the parts of a step. */
struct draft_files {
	const char *dir;                /* of the draft */
	char files[PATH_MAX];           /* DIR/files */
	uint64_t step;
	unsigned flags;                 /* of ck_plan_make */
	int64_t n_layer;                /* as meta.json says, or -1 */
	struct ck_plan *plan;
	struct ck_error *err;
};

/* CK_ERR_INVALID, with WHY about SUBJECT. */
int plan_unfit(struct draft_files *d, const char *subject, const char *why);
struct ck_part *plan_add(struct draft_files *d, enum ck_file_kind kind, uint64_t rank, enum ck_part_kind how,
			 const char *path);
/* Gives back what a part holds. */
void plan_part_free(struct ck_part *part);
/* Whether NAME is there in DIR. */
bool plan_exists(const char *dir, const char *name);
/* Names that do not belong to the step: programs' temporary and backup names, and every .error. */
bool plan_is_passing(const char *name);
/* Opens the .pt at PATH: *OUT is the caller's. */
int plan_open_pt(const char *path, const struct ck_patch *patch, struct ck_checkpoint **out, struct ck_error *err);

#endif
