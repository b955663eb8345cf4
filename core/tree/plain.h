/*
 * plain - which names of the base directory, of a checkpoints directory and of a tag's are neither a step's nor the
 * mount's own: those are ordinary files and directories of the store (nanochat's tokenizer/, a saver's temporary name,
 * a fork's own file, NAME.rejected).
 */
#ifndef CK_PLAIN_H
#define CK_PLAIN_H

#include "core/tree/level.h"

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether NAME in a directory of that level is an ordinary one. In a checkpoints directory a directory that doesn't
   begin with a dot is a tag: that is for the caller to see. */
bool ck_plain_name(enum ck_level level, const char *name);

/* Whether ENTRY of DIR, a directory of that level, is an ordinary directory. */
bool ck_plain_is_dir(const char *dir, const struct dirent *entry, enum ck_level level);

/* How many ordinary directories DIR, of that level, holds: for its link count. */
size_t ck_plain_count_dirs(const char *dir, enum ck_level level);

#endif
