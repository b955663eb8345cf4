/*
 * whole - whether the bytes of a .pt are all there, whatever they hold: the question before a file takes one of
 * nanochat's names. Whether it can be shown is ck_archive_open's to say.
 */
#ifndef CK_WHOLE_H
#define CK_WHOLE_H

#include "core/file/io.h"

/* CK_OK for a zip with its end of central directory, perhaps with bytes behind it, and for a file that begins with
   legacy torch's magic number, whose end nothing marks. CK_ERR_CORRUPT: neither; CK_ERR_SYS, CK_ERR_NOMEM. */
int ck_file_check_whole(const struct ck_file *file, struct ck_error *err);

#endif
