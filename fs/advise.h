/*
 * advise - what a person at a command line may have meant, and what their system lacks: texts for
 * the one line that ckptfs says before it gives up.
 */
#ifndef CKPTFS_ADVISE_H
#define CKPTFS_ADVISE_H

#include <stdbool.h>
#include <stddef.h>

/* The names of all -o options, one for each I from 0 on, perhaps with '=' or "=%s"; NULL ends them. */
typedef const char *(*option_name_fn)(size_t i);

/* The message about ARG, an unknown option, in BUF or as a constant. */
const char *advise_option(const char *arg, option_name_fn names, char *buf, size_t size);
/* Whether WORD is the name of an option: with a blank behind a comma, options arrive as arguments. */
bool advise_is_option(const char *word, option_name_fn names);

/* Whether a ckptfs is mounted on the directory with the real path PATH. */
bool advise_is_mounted(const char *path);
/* The same of a directory in it or above it, whose path is put into BUF. */
bool advise_is_mounted_near(const char *path, char *buf, size_t size);

/* Why this system doesn't allow the mount, in BUF or as a constant; NULL where nothing stands in the way. */
const char *advise_on_system(char *buf, size_t size);

#endif
