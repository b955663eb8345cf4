/*
 * names - what the names in a tag's directory tell.
 */
#ifndef CK_CHECK_NAMES_H
#define CK_CHECK_NAMES_H

#include "core/check/private.h"
#include "core/file/dir.h"

/* Adds to TAG's findings: misspelt names of steps, drafts, rejected, leftover and retired files. */
void check_names(struct tag *tag, const struct ck_names *names);

#endif
