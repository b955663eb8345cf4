/*
 * judge - whether the bytes of a file may take one of nanochat's names.
 *
 * A file that a program wrote is never thrown away, whether the mount can show it or not. Only two kinds of files are
 * refused: one that is not whole (a .pt without its end, a meta.json that is cut off or not an object), and a model
 * under a shard's name or the reverse. A file that can't be read takes the name.
 */
#ifndef CK_JUDGE_H
#define CK_JUDGE_H

#include "core/file/io.h"
#include "core/tree/names.h"

/* CK_ERR_INVALID and why FILE must not be a KIND; CK_ERR_SYS, CK_ERR_NOMEM. */
int ck_judge(struct ck_file *file, enum ck_file_kind kind, struct ck_error *err);

/* The name of what was refused as NAME ("NAME.rejected"), into BUF of 96 bytes; and back. */
const char *ck_rejected_format(const struct ck_file_name *name, char *buf, size_t size);
bool ck_rejected_parse(const char *rejected, struct ck_file_name *name);

#endif
