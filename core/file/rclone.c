/* Implements rclone.h. */
#include "core/file/rclone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

void ck_rclone_find(struct ck_rclone *out)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	unsigned major, minor;
	char *line = NULL;
	size_t size = 0;

	out->count = 0;
	/* Spaces in paths are written as numbers there. */
	while (f && out->count < CK_MOST_RCLONE && getline(&line, &size, f) >= 0)
		if (strstr(line, " - fuse.rclone ") && sscanf(line, "%*s %*s %u:%u", &major, &minor) == 2)
			out->devices[out->count++] = makedev(major, minor);
	free(line);
	if (f)
		fclose(f);
}

bool ck_rclone_has(const struct ck_rclone *all, dev_t device)
{
	for (size_t i = 0; all && i < all->count; i++)
		if (all->devices[i] == device)
			return true;
	return false;
}
