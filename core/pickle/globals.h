/*
 * pickle_globals - the closed list of globals, by name and back. For the reader and the writer of pickles only.
 */
#ifndef CK_PICKLE_GLOBALS_H
#define CK_PICKLE_GLOBALS_H

#include "core/pickle/pickle.h"

#include <stdbool.h>

/* Globals that make plain data, numbered after enum ck_global. The reader makes the data itself, so a finished tree
   holds no call of them. */
enum {
	CK_G_ORDERED_DICT = CK_G_COUNT,
	CK_G_COUNTER,
	CK_G_SET,
	CK_G_FROZENSET,
	CK_G_BYTES,
	CK_G_BYTEARRAY,
	CK_G_ENCODE,        /* _codecs.encode: how protocol 2 spells bytes */
	CK_G_END,
};

/* The number of MODULE.NAME: an enum ck_global or one of the above. -1 when the list lacks it. */
int ck_global_find(const char *module, size_t module_len, const char *name, size_t name_len);

/* Whether a pickle may call GLOBAL (REDUCE); whether GLOBAL is a class, of which a pickle may make an object
   (NEWOBJ). */
bool ck_global_callable(int global);
bool ck_global_is_class(int global);

/*
 * Whether torch takes ARGS, a tuple, for a call of GLOBAL that makes a plain value (torch.Size, torch.device,
 * _get_layout, complex). Arguments that have a second spelling are rewritten to the usual one, in ARENA. Calls that
 * make tensors are checked in core/pt, which knows their storages.
 */
bool ck_global_takes(int global, struct ck_arena *arena, struct ck_value *args);

#endif
