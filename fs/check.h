/*
 * check - ckptfs --check: what core/check finds, for a person or as JSON.
 */
#ifndef CKPTFS_CHECK_H
#define CKPTFS_CHECK_H

#include "options.h"

/* Checks the store that O names, and prints; returns an exit status. */
int check_run(const struct options *o);

#endif
