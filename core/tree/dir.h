/*
 * dir - an open directory, and how it is filled.
 */
#ifndef CK_TREE_DIR_H
#define CK_TREE_DIR_H

#include "core/tree/types.h"

/* An open directory: what it held when it was opened. Entry positions are 0 to count-1 and stay the
   same; "." and ".." come first. Used by one thread at a time. */
struct ck_dir;
struct ck_dirent {
	const char *name;       /* valid until the next call */
	ck_ino ino;
	mode_t type;            /* S_IFDIR, S_IFREG, S_IFLNK */
	/* attributes cost no reading of the stored file: readdirplus may give them */
	bool cheap;
};
bool ck_dir_entry(struct ck_dir *dir, uint64_t position, struct ck_dirent *out);
/* An empty directory's listing, and one more name in a listing: for directories that hold what is
   being written. */
int ck_dir_new(ck_ino self, ck_ino parent, struct ck_dir **out, struct ck_error *err);
int ck_dir_add(struct ck_dir *dir, const char *name, ck_ino ino, mode_t type, struct ck_error *err);
/* The same of a file whose attributes cost something. */
int ck_dir_add_dear(struct ck_dir *dir, const char *name, ck_ino ino, mode_t type, struct ck_error *err);
/* And either. */
int dir_add(struct ck_dir *dir, const char *name, ck_ino ino, mode_t type, bool cheap, struct ck_error *err);
void ck_dir_close(struct ck_dir *dir);

#endif
