/*
 * values - the values of options, from their text. Each returns -1 with one line on stderr that says what was expected.
 */
#ifndef CKPTFS_VALUES_H
#define CKPTFS_VALUES_H

#include <stdint.h>

/* One of the COUNT words of CHOICES, by its place. */
int value_choose(const char *option, const char *text, const char *const choices[], int count, int *out);
/* A number of bytes with k, m, g or t behind it, as tmpfs takes one. */
int value_size(const char *option, const char *text, uint64_t *out);
/* A number of ranks from 1 to MAX, which is at most 9999. */
int value_count(const char *option, const char *text, unsigned max, unsigned *out);

#endif
