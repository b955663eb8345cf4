/*
 * able - what a store of several machines can do, tried on the store itself before something is written there.
 */
#ifndef CK_ABLE_H
#define CK_ABLE_H

#include "core/base/error.h"

#include <stddef.h>

struct ck_lease_self;

/*
 * Tries with small files in HOME, a real path, what writing and publishing need: bytes at any place of a file, read
 * back, fsync, and rename. CK_ERR_ROFS where one of them fails: no step can be written there. LINE, of SIZE bytes, gets
 * what is gone round: a rename that replaces nothing, hard links, inode numbers that last; "" if it has them all. What
 * a crash leaves goes as a lease of SELF's does.
 */
int ck_able_to_write(const struct ck_lease_self *self, const char *home, char *line, size_t size, struct ck_error *err);

#endif
