/*
 * report - DRAFT.error, the file in every draft that says what the draft has and lacks. It is on no disk.
 */
#ifndef CK_DRAFT_REPORT_H
#define CK_DRAFT_REPORT_H

#include "core/draft/private.h"

struct ck_dir;

#define REPORT_MAX 1536
/* Whether NAME at W is DRAFT.error. */
bool report_is(struct ck_drafts *d, const struct where *w, const char *name);
/* Its line as of now, into LINE of REPORT_MAX bytes. */
void report_text(struct ck_drafts *d, struct draft *draft, char *line);
int report_stat(struct ck_drafts *d, struct draft *draft, struct dnode *dir, struct stat *st, struct ck_error *err);
int report_lookup(struct ck_drafts *d, struct where *w, struct ck_attr *out, struct ck_error *err);
int report_list(struct ck_drafts *d, const struct where *w, struct ck_dir *dir, struct ck_error *err);
int report_open(struct ck_drafts *d, struct dnode *node, char **text, struct ck_error *err);
/* Publishing failed: that is what DRAFT.error says until something is changed. */
void report_failure(struct ck_drafts *d, struct draft *draft, const struct ck_error *why);

#endif
