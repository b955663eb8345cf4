#include "core/pickle/globals.h"

#include <string.h>

struct spelling {
	int global;
	const char *module, *name;
};

/* The first spelling of a global is the one that torch.save (Python 3, protocol 2) writes; the others are read only. */
static const struct spelling spellings[] = {
	{ CK_G_REBUILD_TENSOR_V2, "torch._utils", "_rebuild_tensor_v2" },
	{ CK_G_ORDERED_DICT, "collections", "OrderedDict" },
	{ CK_G_REBUILD_TENSOR, "torch._utils", "_rebuild_tensor" },
	{ CK_G_REBUILD_TENSOR_V3, "torch._utils", "_rebuild_tensor_v3" },
	{ CK_G_REBUILD_PARAMETER, "torch._utils", "_rebuild_parameter" },
	{ CK_G_REBUILD_PARAMETER_WITH_STATE, "torch._utils", "_rebuild_parameter_with_state" },
	{ CK_G_REBUILD_FROM_TYPE_V2, "torch._tensor", "_rebuild_from_type_v2" },
	{ CK_G_TENSOR, "torch", "Tensor" },
	{ CK_G_TENSOR, "torch._tensor", "Tensor" },
	{ CK_G_PARAMETER, "torch.nn.parameter", "Parameter" },
	{ CK_G_SIZE, "torch", "Size" },
	{ CK_G_DEVICE, "torch", "device" },
	{ CK_G_UNTYPED_STORAGE, "torch.storage", "UntypedStorage" },
	{ CK_G_UNTYPED_STORAGE, "torch", "UntypedStorage" },
	{ CK_G_COMPLEX, "__builtin__", "complex" },
	{ CK_G_COMPLEX, "builtins", "complex" },
	{ CK_G_COUNTER, "collections", "Counter" },
	{ CK_G_SET, "__builtin__", "set" },
	{ CK_G_SET, "builtins", "set" },
	{ CK_G_FROZENSET, "__builtin__", "frozenset" },
	{ CK_G_FROZENSET, "builtins", "frozenset" },
	{ CK_G_BYTES, "__builtin__", "bytes" },
	{ CK_G_BYTES, "builtins", "bytes" },
	{ CK_G_BYTEARRAY, "__builtin__", "bytearray" },
	{ CK_G_BYTEARRAY, "builtins", "bytearray" },
	{ CK_G_ENCODE, "_codecs", "encode" },
};

#define SPELLINGS (sizeof(spellings) / sizeof(spellings[0]))

static bool same(const char *s, const char *text, size_t len)
{
	return strlen(s) == len && memcmp(s, text, len) == 0;
}

int ck_global_find(const char *module, size_t module_len, const char *name, size_t name_len)
{
	int dtype;

	for (size_t i = 0; i < SPELLINGS; i++)
		if (same(spellings[i].name, name, name_len) && same(spellings[i].module, module, module_len))
			return spellings[i].global;
	if (!same("torch", module, module_len))
		return -1;
	dtype = ck_dtype_by_torch(name, name_len);
	if (dtype >= 0)
		return CK_G_DTYPE + dtype;
	dtype = ck_dtype_by_storage(name, name_len);
	return dtype >= 0 ? CK_G_STORAGE + dtype : -1;
}

void ck_global_name(enum ck_global g, const char **module, const char **name)
{
	int global = (int)g;

	*module = "torch";
	*name = NULL;
	if (global >= CK_G_STORAGE && global < CK_G_COUNT) {
		*name = ck_dtype_info((enum ck_dtype)(global - CK_G_STORAGE))->storage;
		return;
	}
	if (global >= CK_G_DTYPE && global < CK_G_STORAGE) {
		*name = ck_dtype_info((enum ck_dtype)(global - CK_G_DTYPE))->torch;
		return;
	}
	for (size_t i = 0; i < SPELLINGS; i++) {
		if (spellings[i].global == global) {
			*module = spellings[i].module;
			*name = spellings[i].name;
			return;
		}
	}
}

bool ck_global_callable(int global)
{
	return global < CK_G_DTYPE || global >= CK_G_COUNT;
}

bool ck_global_is_class(int global)
{
	switch (global) {
	case CK_G_TENSOR:
	case CK_G_PARAMETER:
	case CK_G_SIZE:
	case CK_G_DEVICE:
	case CK_G_UNTYPED_STORAGE:
	case CK_G_COMPLEX:
	case CK_G_ORDERED_DICT:
		return true;
	default:
		return false;
	}
}
