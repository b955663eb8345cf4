/*
 * plan - which files of a store are to be checked. Directory reads only.
 */
#ifndef CK_CHECK_PLAN_H
#define CK_CHECK_PLAN_H

#include "core/check/private.h"

/* Fills K's tags and jobs. A directory below the store that can't be read is a finding. CK_ERR_SYS, CK_ERR_NOMEM,
   CK_ERR_NOENT. */
int check_plan(struct checker *k, struct ck_error *err);
void check_plan_free(struct checker *k);

#endif
