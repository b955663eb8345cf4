/*
 * log - lines for the log.
 */
#ifndef CK_DRAFT_LOG_H
#define CK_DRAFT_LOG_H

#include "core/draft/private.h"

/* A line for the log. */
void draft_say(struct ck_drafts *d, const struct ck_error *err);

/* NAME can't become a draft's in TAG: says so in the log, with the step's canonical name where NAME has
   its number. CK_ERR_INVALID. */
int draft_refuse_name(struct ck_drafts *d, const char *tag, const char *name, struct ck_error *err);
/* The same of a name that can't become a tag's in SOURCE. */
int draft_refuse_tag(struct ck_drafts *d, const char *source, const char *name, struct ck_error *err);

#endif
