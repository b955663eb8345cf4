/*
 * plain - which names of a tag's or a checkpoints directory are neither a step's nor the mount's own: those are
 * ordinary files and directories of the store (a saver's temporary name, a fork's own file, NAME.rejected).
 */
#ifndef CK_PLAIN_H
#define CK_PLAIN_H

#include <stdbool.h>
#include <stddef.h>

/* Whether NAME in a tag's directory, or in a checkpoints directory, is an ordinary one. In the latter a directory that
   doesn't begin with a dot is a tag: that is for the caller to see. */
bool ck_plain_in_tag(const char *name);
bool ck_plain_in_source(const char *name);

/* How many ordinary directories a tag's directory, or a checkpoints directory, holds: for its link count. */
size_t ck_plain_count_dirs(const char *dir, bool is_tag);

#endif
