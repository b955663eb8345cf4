/*
 * inplace - -o inplace: the store is reached by a descriptor from before the mount, which hides its path
 * (core/file/real.h).
 */
#ifndef CKPTFS_INPLACE_H
#define CKPTFS_INPLACE_H

#include <stdbool.h>
#include <stddef.h>

/* *HELD is the path by which core reaches STORE, a real path, from now on (free()). NULL, or why it is refused, in BUF
   or as a constant. */
const char *inplace_hold(const char *store, char **held, char *buf, size_t size);
/* The line about who can't enter STORE any more (free()); NULL without memory. */
char *inplace_note(const char *store, bool allow_other);

#endif
