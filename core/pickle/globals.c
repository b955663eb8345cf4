/* The closed list of globals: pickle.h has the numbers, globals.h what the reader of pickles asks about them. */
#include "core/pickle/globals.h"

#include <string.h>

struct spelling {
	int global;
	const char *module, *name;
};

/* The first spelling of a global is the one that torch.save (Python 3, protocol 2) writes. The other spellings are
   only read. */
static const struct spelling spellings[] = {
	{ CK_G_REBUILD_TENSOR_V2, "torch._utils", "_rebuild_tensor_v2" },
	{ CK_G_ORDERED_DICT, "collections", "OrderedDict" },
	{ CK_G_REBUILD_TENSOR, "torch._utils", "_rebuild_tensor" },
	{ CK_G_REBUILD_TENSOR_V3, "torch._utils", "_rebuild_tensor_v3" },
	{ CK_G_REBUILD_PARAMETER, "torch._utils", "_rebuild_parameter" },
	{ CK_G_REBUILD_PARAMETER_WITH_STATE, "torch._utils", "_rebuild_parameter_with_state" },
	{ CK_G_REBUILD_FROM_TYPE_V2, "torch._tensor", "_rebuild_from_type_v2" },
	{ CK_G_REBUILD_SPARSE, "torch._utils", "_rebuild_sparse_tensor" },
	{ CK_G_REBUILD_QTENSOR, "torch._utils", "_rebuild_qtensor" },
	{ CK_G_REBUILD_META, "torch._utils", "_rebuild_meta_tensor_no_storage" },
	{ CK_G_REBUILD_NESTED, "torch._utils", "_rebuild_nested_tensor" },
	{ CK_G_REBUILD_FROM_CPU, "torch._utils", "_rebuild_device_tensor_from_cpu_tensor" },
	{ CK_G_LAYOUT, "torch.serialization", "_get_layout" },
	{ CK_G_QSCHEME, "torch", "per_tensor_affine" },
	{ CK_G_QSCHEME + 1, "torch", "per_tensor_symmetric" },
	{ CK_G_QSCHEME + 2, "torch", "per_channel_affine" },
	{ CK_G_QSCHEME + 3, "torch", "per_channel_symmetric" },
	{ CK_G_QSCHEME + 4, "torch", "per_channel_affine_float_qparams" },
	{ CK_G_TENSOR, "torch", "Tensor" },
	{ CK_G_TENSOR, "torch._tensor", "Tensor" },
	{ CK_G_PARAMETER, "torch.nn.parameter", "Parameter" },
	{ CK_G_SIZE, "torch", "Size" },
	{ CK_G_DEVICE, "torch", "device" },
	{ CK_G_UNTYPED_STORAGE, "torch.storage", "UntypedStorage" },
	{ CK_G_UNTYPED_STORAGE, "torch", "UntypedStorage" },
	{ CK_G_TYPED_STORAGE, "torch.storage", "TypedStorage" },
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

/* The old classes of tensors. A pickle may hold them as values but not call them. The sparse modules lack the last
   name, BoolTensor. */
static const char *const class_modules[] = { "torch", "torch.cuda", "torch.sparse", "torch.cuda.sparse" };
static const char *const classes[] = {
	"ByteTensor", "CharTensor", "ShortTensor", "IntTensor", "LongTensor", "HalfTensor", "BFloat16Tensor",
	"FloatTensor", "DoubleTensor", "BoolTensor",
};
#define CLASSES (sizeof(classes) / sizeof(classes[0]))
_Static_assert(CK_G_TENSOR_CLASS + 4 * CLASSES == CK_G_COUNT, "a number for each class in each module");

static int find_class(const char *module, size_t module_len, const char *name, size_t name_len)
{
	for (int m = 0; m < 4; m++)
		for (int i = 0; same(class_modules[m], module, module_len) && i < (int)CLASSES - (m >= 2); i++)
			if (same(classes[i], name, name_len))
				return CK_G_TENSOR_CLASS + m * (int)CLASSES + i;
	return -1;
}

int ck_global_find(const char *module, size_t module_len, const char *name, size_t name_len)
{
	bool cuda = same("torch.cuda", module, module_len);
	int dtype;

	for (size_t i = 0; i < SPELLINGS; i++)
		if (same(spellings[i].name, name, name_len) && same(spellings[i].module, module, module_len))
			return spellings[i].global;
	if (!cuda && !same("torch", module, module_len))
		return find_class(module, module_len, name, name_len);
	dtype = cuda ? -1 : ck_dtype_by_torch(name, name_len);
	if (dtype >= 0)
		return CK_G_DTYPE + dtype;
	dtype = ck_dtype_by_storage(name, name_len);
	if (dtype >= 0 && !(cuda && dtype >= CK_DTYPE_ARRAYS))
		return (cuda ? CK_G_CUDA_STORAGE : CK_G_STORAGE) + dtype;
	return find_class(module, module_len, name, name_len);
}

int ck_qscheme_by_name(const char *name, size_t len)
{
	int global = ck_global_find("torch", strlen("torch"), name, len);

	return global >= CK_G_QSCHEME && global < CK_G_DTYPE ? global : -1;
}

void ck_global_name(enum ck_global g, const char **module, const char **name)
{
	int global = (int)g;

	*module = "torch";
	*name = NULL;
	if (global >= CK_G_TENSOR_CLASS && global < CK_G_COUNT) {
		*module = class_modules[(size_t)(global - CK_G_TENSOR_CLASS) / CLASSES];
		*name = classes[(size_t)(global - CK_G_TENSOR_CLASS) % CLASSES];
		return;
	}
	if (global >= CK_G_STORAGE && global < CK_G_TENSOR_CLASS) {
		*module = global < CK_G_CUDA_STORAGE ? "torch" : "torch.cuda";
		*name = ck_dtype_info((enum ck_dtype)((global - CK_G_STORAGE) % CK_DTYPE_COUNT))->storage;
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
	return global <= CK_G_REBUILD_FROM_CPU || global == CK_G_LAYOUT || global == CK_G_SIZE ||
	       global == CK_G_DEVICE || global == CK_G_COMPLEX || global == CK_G_PARAMETER || global >= CK_G_COUNT;
}

bool ck_global_is_class(int global)
{
	switch (global) {
	case CK_G_PARAMETER:
	case CK_G_SIZE:
	case CK_G_DEVICE:
	case CK_G_COMPLEX:
	case CK_G_ORDERED_DICT:
		return true;
	default:
		return false;
	}
}
