/*
 * still - whether a file stood still while it was checked. Only then is what was found a fault of the file: a training
 * run, or a copy, may be writing it.
 */
#ifndef CK_CHECK_STILL_H
#define CK_CHECK_STILL_H

#include "core/check/found.h"
#include "core/file/ident.h"

struct ck_still {
	const char *path;       /* borrowed */
	bool there;
	struct ck_ident before;
};

/* Looks at the file at PATH, before it is opened. Without a file (ENOENT) THERE is false. CK_ERR_SYS. */
int ck_still_begin(struct ck_still *still, const char *path, struct ck_error *err);

enum ck_stillness { CK_STILL, CK_MOVED, CK_GONE };

/* STILL: it is the same file as before, and nobody has written to it for SECONDS. GONE: the name has no file now. */
enum ck_stillness ck_still_end(const struct ck_still *still, int seconds);

#define CK_STILL_FILE 5         /* of a file that is written, the time stands still for less, on a busy disk too */
#define CK_STILL_STEP 10        /* so long after a file of a step was written others may follow */

#endif
