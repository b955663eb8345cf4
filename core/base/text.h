/*
 * text - what C's string functions lack.
 */
#ifndef CK_TEXT_H
#define CK_TEXT_H

#include <stdbool.h>
#include <string.h>

/* Whether NAME ends with END. */
static inline bool ck_ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), n = strlen(end);

	return len >= n && strcmp(name + len - n, end) == 0;
}

#endif
