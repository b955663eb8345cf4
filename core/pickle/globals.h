/*
 * pickle_globals - the closed list of globals, by name and back. For the reader and the writer of pickles only.
 */
#ifndef CK_PICKLE_GLOBALS_H
#define CK_PICKLE_GLOBALS_H

#include "core/pickle/pickle.h"

#include <stdbool.h>

/* What makes plain data, numbered on from enum ck_global. The reader calls these itself: a finished tree has none. */
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

/* The number of MODULE.NAME, an enum ck_global or one of the above; -1 when it is not in the list. */
int ck_global_find(const char *module, size_t module_len, const char *name, size_t name_len);

/* Whether a pickle may call it (REDUCE); whether it is a class, so that a pickle may make an object of it (NEWOBJ). */
bool ck_global_callable(int global);
bool ck_global_is_class(int global);

/*
 * Whether torch takes ARGS, a tuple, for a call of GLOBAL that makes a plain value (torch.Size, torch.device,
 * _get_layout, complex). What it would say in another way is put into *ARGS in the usual one, allocated in ARENA.
 * The calls that make tensors are checked by who knows their storages.
 */
bool ck_global_takes(int global, struct ck_arena *arena, struct ck_value *args);

#endif
