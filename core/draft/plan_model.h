/*
 * plan_model - the model of a draft: its forms, and whether it is complete.
 */
#ifndef CK_PLAN_MODEL_H
#define CK_PLAN_MODEL_H

#include "core/draft/plan_parts.h"

/* Adds the model's part, if there is a model. CK_ERR_AGAIN: it is not complete yet (CK_PLAN_COMPLETE). */
int plan_model(struct draft_files *d);

#endif
