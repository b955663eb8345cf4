/*
 * level - what a store's directory is: nanochat's base directory, one checkpoints directory, or one
 * tag's directory. Directory reads only.
 */
#ifndef CK_LEVEL_H
#define CK_LEVEL_H

#include "core/base/error.h"

#include <stdbool.h>

enum ck_level { CK_LEVEL_BASE, CK_LEVEL_SOURCE, CK_LEVEL_TAG };

/*
 * The first of these that holds decides: PATH has a *_checkpoints directory: BASE. It has a canonical
 * model_NNNNNN.pt or an optim_NNNNNN*: TAG. It is named *_checkpoints, or a subdirectory has such a
 * file: SOURCE. Anything else is BASE. *FOUND: something of nanochat's says so; it is false where
 * PATH is only taken for a base directory. CK_ERR_SYS when PATH can't be read.
 */
int ck_level_detect(const char *path, enum ck_level *level, bool *found, struct ck_error *err);

#endif
