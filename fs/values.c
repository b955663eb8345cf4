/* Implements values.h. */
#include "values.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int value_choose(const char *option, const char *text, const char *const choices[], int count, int *out)
{
	char list[64] = "";

	for (int i = 0; i < count; i++) {
		if (strcmp(text, choices[i]) == 0) {
			*out = i;
			return 0;
		}
		strcat(strcat(list, i ? ", " : ""), choices[i]);
	}
	fprintf(stderr, "ckptfs: %s=%s: expected one of %s\n", option, text, list);
	return -1;
}

int value_size(const char *option, const char *text, uint64_t *out)
{
	static const char units[] = "kmgt";
	uint64_t unit = 1, count = 0;
	const char *found;
	char *end = (char *)text;

	errno = EINVAL;
	if (text[0] >= '0' && text[0] <= '9') {
		errno = 0;
		count = strtoull(text, &end, 10);
	}
	if (!errno && *end && end[1] == '\0' && (found = strchr(units, *end | 0x20))) {
		unit <<= 10 * (found - units + 1);
		end++;
	}
	if (!errno && !*end && count && !__builtin_mul_overflow(count, unit, out) && *out <= INT64_MAX)
		return 0;
	fprintf(stderr, "ckptfs: %s=%s: expected a number of bytes, perhaps with k, m, g or t: 512m, 20g\n", option,
		text);
	return -1;
}

int value_count(const char *option, const char *text, unsigned max, unsigned *out)
{
	char *end;

	errno = 0;
	*out = (unsigned)strtoul(text, &end, 10);
	if (!errno && *end == '\0' && text[0] >= '1' && text[0] <= '9' && strlen(text) <= 4 && *out <= max)
		return 0;
	fprintf(stderr, "ckptfs: %s=%s: expected a number of ranks from 1 to %u\n", option, text, max);
	return -1;
}
