/*
 * status - what a mount is doing, as the extended attribute user.ckptfs.status of its root: JSON text, made when a
 * program asks. listxattr(2) doesn't list it, so that cp -a, rsync -X and tar --xattrs don't copy it.
 */
#ifndef CKPTFS_STATUS_H
#define CKPTFS_STATUS_H

#include "fs.h"

#define STATUS_XATTR "user.ckptfs.status"
/* No value may be longer (XATTR_SIZE_MAX). The store's path, the lines and the drafts are so few and short that each
   of their bytes may take the six of a \uXXXX. */
#define STATUS_MAX ((size_t)64 << 10)

/*
 * The value for a program of UID: malloc'ed, *LEN bytes. It waits for no file. CK_ERR_PERM: UID is neither root
 * nor the user of the mount, who may see the names of files that others may not.
 */
int status_make(struct fs *fs, uid_t uid, char **value, size_t *len, struct ck_error *err);

/* ckptfs --status: prints what the mount at MOUNTPOINT says, as text, or as it is with JSON. -1 with one line on
   stderr. */
int status_ask(const char *mountpoint, bool json);

#endif
