/*
 * dir - the names in a directory, and paths to them.
 */
#ifndef CK_DIR_H
#define CK_DIR_H

#include "core/base/error.h"

#include <dirent.h>
#include <stdbool.h>

/* PATH = DIR/NAME; PATH takes PATH_MAX bytes and may be DIR itself. False when it would pass them, and errno is
   ENAMETOOLONG. */
bool ck_path_join(char *path, const char *dir, const char *name);

/* Whether INNER is OUTER or lies below it; both are real paths. */
bool ck_is_within(const char *inner, const char *outer);

struct ck_names {
	char **names;
	size_t count;
};
/* Every name in a directory but "." and "..", sorted. CK_ERR_SYS. */
int ck_list_dir(const char *path, struct ck_names *out, struct ck_error *err);
/* The same, of a real path (real.h). */
int ck_list_real_dir(const char *path, struct ck_names *out, struct ck_error *err);
void ck_names_free(struct ck_names *names);

/* For callers that choose among the names. Calls VISIT for each entry of DIR, the directory at PATH, but "." and "..";
   it goes on while VISIT gives 0. DIR is closed; NULL says that it couldn't be opened, and errno why. */
typedef int (*ck_visit)(const char *path, const struct dirent *entry, void *arg);
int ck_dir_visit(DIR *dir, const char *path, ck_visit visit, void *arg, struct ck_error *err);
/* The same, where ARG is a struct ck_names: the names that VISIT adds to it, sorted, are *OUT. */
int ck_list_visited(DIR *dir, const char *path, ck_visit visit, struct ck_names *out, struct ck_error *err);
/* Adds a copy of NAME. CK_ERR_NOMEM. */
int ck_names_add(struct ck_names *names, const char *name);

#endif
