/*
 * split - STORE:STEP, an argument of --check.
 */
#ifndef CKPTFS_SPLIT_H
#define CKPTFS_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Cuts the step from STORE, unless the whole is a path that exists. Returns NULL, or what is wrong
   with the step, in BUF of SIZE bytes. */
const char *split_step(char *store, bool *one_step, uint64_t *step, char *buf, size_t size);

#endif
