/* Implements split.h. */
#include "split.h"

#include "core/tree/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *split_step(char *store, bool *one_step, uint64_t *step, char *buf, size_t size)
{
	char *colon = strrchr(store, ':');
	char name[32];
	struct stat st;

	*one_step = false;
	if (!colon || stat(store, &st) == 0 || colon[1] == '\0' || colon[1 + strspn(colon + 1, "0123456789")] != '\0')
		return NULL;
	if (!ck_step_parse(colon + 1, step)) {
		ck_step_format(strtoull(colon + 1, NULL, 10), name, sizeof(name));
		snprintf(buf, size, "a step is named as its files are: %s", name);
		return buf;
	}
	*colon = '\0';
	*one_step = true;
	return NULL;
}
