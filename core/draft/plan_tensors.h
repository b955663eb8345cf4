/*
 * plan_tensors - a directory of tensors as a part.
 */
#ifndef CK_PLAN_TENSORS_H
#define CK_PLAN_TENSORS_H

#include "core/draft/plan_parts.h"

/* Every .npy of the part's directory, in the order of creation; names that were cut only with CUT. */
int plan_read_npy(struct draft_files *d, struct ck_part *part, bool cut);
/* The bytes of the outline at PATH: malloc'ed. */
int plan_load_text(const char *path, char **text, size_t *len, struct ck_error *err);
/* The outline at JSON, which refers to the part's tensors. */
int plan_read_outline(struct draft_files *d, struct ck_part *part, const char *json);

#endif
