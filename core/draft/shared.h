/*
 * shared - stores that other machines may write to, behind a network or a program (FUSE). They may lack a rename that
 * replaces nothing, inode numbers that last, and locks that other machines see.
 */
#ifndef CK_SHARED_H
#define CK_SHARED_H

#include "core/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the directory PATH lies in such a store: in any but the known file systems of one machine's disks and memory
   (statfs(2), linux/magic.h). If that can't be told, true. */
bool ck_is_shared(const char *path);

/*
 * rename(2) that replaces nothing: -1 with EEXIST if TO is there. Where the file system has no such rename, TO is
 * looked at and then FROM renamed: others that might make TO are to be kept away (ck_lock_step). BY_LINK: of a file
 * that nobody has open; there a hard link serves where it can be made, which is safe from everyone. Paths as in real.h.
 */
int ck_rename_new(const char *from, const char *to, bool by_link);

/* Whether a client gave a file that was removed while it is open the name NAME, until it is closed (NFS, libfuse). */
bool ck_is_hidden_open(const char *name);

/*
 * What tells a file from others of its name where inode numbers and times don't: a checksum of its size, its first 64
 * KiB and its last. (A file that is equal in these may pass for it.) Errors as ck_real_file and ck_file_read.
 */
int ck_mark_of(const char *path, uint32_t *mark, struct ck_error *err);

#endif
