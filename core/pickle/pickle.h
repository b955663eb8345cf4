/*
 * pickle - pickle streams to values and back. Data only: the reader knows the opcodes of protocols
 * 2 to 5 that plain containers and torch.save produce, and a closed list of globals; it looks
 * nothing up and runs nothing. Sources: CPython's pickletools (opcodes), torch/serialization.py and
 * torch/_utils.py (globals).
 */
#ifndef CK_PICKLE_H
#define CK_PICKLE_H

#include "core/base/buf.h"
#include "core/tensor/dtype.h"
#include "core/base/value.h"

/* The closed list. The dtypes and the storage classes are ranges: the base plus an enum ck_dtype. */
enum ck_global {
	/* torch._utils._rebuild_tensor(storage, offset, size, stride) */
	CK_G_REBUILD_TENSOR,
	/* ...(storage, offset, size, stride, requires_grad, hooks[, metadata]) */
	CK_G_REBUILD_TENSOR_V2,
	/* ...(untyped storage, offset, size, stride, requires_grad, hooks, dtype[, metadata]) */
	CK_G_REBUILD_TENSOR_V3,
	/* torch._utils._rebuild_parameter(data, requires_grad, hooks) */
	CK_G_REBUILD_PARAMETER,
	CK_G_REBUILD_PARAMETER_WITH_STATE,
	/* torch._tensor._rebuild_from_type_v2(func, type, args, state) */
	CK_G_REBUILD_FROM_TYPE_V2,
	CK_G_REBUILD_SPARSE,        /* torch._utils._rebuild_sparse_tensor(layout, data) */
	/* ..._rebuild_qtensor(storage, offset, size, stride, quantizer, requires_grad, hooks) */
	CK_G_REBUILD_QTENSOR,
	CK_G_REBUILD_META,          /* ..._rebuild_meta_tensor_no_storage(dtype, size, stride, requires_grad) */
	CK_G_REBUILD_NESTED,        /* ..._rebuild_nested_tensor(buffer, sizes, strides, offsets) */
	/* ..._rebuild_device_tensor_from_cpu_tensor(data, dtype, device, requires_grad) */
	CK_G_REBUILD_FROM_CPU,
	CK_G_TENSOR,                /* torch.Tensor, torch._tensor.Tensor */
	CK_G_PARAMETER,             /* torch.nn.parameter.Parameter */
	CK_G_SIZE,                  /* torch.Size */
	CK_G_DEVICE,                /* torch.device */
	CK_G_LAYOUT,                /* torch.serialization._get_layout */
	CK_G_UNTYPED_STORAGE,       /* torch.storage.UntypedStorage, torch.UntypedStorage */
	CK_G_TYPED_STORAGE,         /* torch.storage.TypedStorage */
	CK_G_COMPLEX,               /* builtins.complex */
	CK_G_QSCHEME,               /* + 0 to 4: torch.per_tensor_affine ... */
	CK_G_DTYPE = CK_G_QSCHEME + 5,              /* + enum ck_dtype: torch.float32 ... */
	CK_G_STORAGE = CK_G_DTYPE + CK_DTYPE_COUNT, /* + enum ck_dtype: torch.FloatStorage ... */
	CK_G_CUDA_STORAGE = CK_G_STORAGE + CK_DTYPE_COUNT,      /* the same of torch.cuda */
	CK_G_TENSOR_CLASS = CK_G_CUDA_STORAGE + CK_DTYPE_COUNT, /* + 0 to 39: torch.FloatTensor ... */
	CK_G_COUNT = CK_G_TENSOR_CLASS + 40,
};

/* The module and the name of a global as written into a pickle ("torch", "float32"). */
void ck_global_name(enum ck_global g, const char **module, const char **name);

/* The name of a quantization scheme ("per_tensor_affine") from CK_G_QSCHEME on; -1 for another name. */
int ck_qscheme_by_name(const char *name, size_t len);

/* Whether torch has this layout ("torch.sparse_coo"). */
bool ck_is_layout(const char *s, size_t len);

/*
 * Whether torch.device of torch 2.6 takes this device type. torch holds an index in an int8: it silently turns a larger
 * index into another index, or into none.
 */
#define CK_DEVICE_MAX_INDEX 127
bool ck_is_device_type(const char *s, size_t len);

/* Limits. The arena's budget bounds what a pickle can build and what reading it needs. torch.save writes about 105
   bytes for a tensor. */
#define CK_PICKLE_MAX_BYTES ((size_t)32 << 20)
#define CK_PICKLE_MAX_DEPTH 100 /* nesting of the finished tree, through shared containers too; cycles are refused */

/* Calls from the reader while it reads a pickle. Both must be set. */
struct ck_pickle_user {
	/* A call was read: CALL is a CK_CALL in ARENA. The function may replace it with a CK_MADE. */
	int (*made)(void *arg, struct ck_arena *arena, struct ck_value *call, struct ck_error *err);
	/* A persistent id was read: ID is a CK_PERSID. torch looks its storage up at once, even if no tensor uses
	   it. */
	void (*persid)(void *arg, const struct ck_value *id);
	void *arg;
};

/*
 * Reads the pickle in DATA (LEN bytes) into *OUT, built in ARENA. Strings are copied, so DATA may be freed. USER may be
 * NULL. Containers that are plain data are made here: dict, OrderedDict and Counter (CK_DICT), set, frozenset,
 * bytearray, and bytes as protocol 2 writes them (_codecs.encode). Every other call of a listed global, by REDUCE or
 * NEWOBJ, stays a CK_CALL. Errors name the opcode, its offset, and the global: CK_ERR_UNSUPPORTED (an unknown opcode,
 * or a global that is not in the list, by its dotted name), CK_ERR_CORRUPT, CK_ERR_LIMIT. All are marked `refused`,
 * except those of a pickle that ends too early.
 */
int ck_pickle_read(const void *data, size_t len, struct ck_arena *arena, const struct ck_pickle_user *user,
		   struct ck_value *out, struct ck_error *err);

/* Called for each CK_TENSOR: appends the opcodes that rebuild tensor INDEX. */
struct ck_pickle_writer;
typedef int (*ck_pickle_tensor_fn)(struct ck_pickle_writer *w, int64_t index, void *arg, struct ck_error *err);

/*
 * Appends VALUE to OUT as a pickle of protocol 2. Only strings and globals are memoised, where that is shorter.
 * CK_TENSOR values are handed to TENSOR. CK_ERR_INVALID: VALUE holds what a pickle can't say.
 */
int ck_pickle_write(struct ck_buf *out, const struct ck_value *value, ck_pickle_tensor_fn tensor, void *arg,
		    struct ck_error *err);

/* For TENSOR callbacks: appends a plain value, a CK_CALL or CK_PERSID of plain values included. */
int ck_pickle_put(struct ck_pickle_writer *w, const struct ck_value *value, struct ck_error *err);

#endif
