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
 * Whether torch.device of torch 2.6 takes this type (of backends that torch doesn't know of itself it takes none). An
 * index is an int8 to it: a larger one becomes another, or none, without a word.
 */
#define CK_DEVICE_MAX_INDEX 127
bool ck_is_device_type(const char *s, size_t len);

/* Limits: see also the arena's budget, which bounds what a stream can build and what is needed to read it. torch.save
   writes about 105 bytes for a tensor. */
#define CK_PICKLE_MAX_BYTES ((size_t)32 << 20)
#define CK_PICKLE_MAX_DEPTH 100 /* nesting of the finished tree, also through shared containers; cycles are refused */

/* The reader of a pickle is told of these while the pickle is read. */
struct ck_pickle_user {
	/* CALL, a CK_CALL, was made in ARENA. The user may put what it stands for in its place, a CK_MADE. */
	int (*made)(void *arg, struct ck_arena *arena, struct ck_value *call, struct ck_error *err);
	/* ID, a CK_PERSID, was made. torch looks a storage up at once, also one that no tensor will use. */
	void (*persid)(void *arg, const struct ck_value *id);
	void *arg;
};

/*
 * Reads the pickle in DATA (LEN bytes) into *OUT, built in ARENA (strings are copied: DATA may go). USER may be NULL.
 * Containers that are plain data are made here: dict, OrderedDict and Counter (CK_DICT), set,
 * frozenset, bytearray, bytes in protocol 2's spelling (_codecs.encode). Every other call of a
 * global of the list stays a CK_CALL, also when made by NEWOBJ. Errors name the opcode, its offset,
 * and the global: CK_ERR_UNSUPPORTED (a foreign global: the text holds its dotted name; an unknown
 * opcode), CK_ERR_CORRUPT, CK_ERR_LIMIT. All but those of a pickle that ends too early are marked `refused`.
 */
int ck_pickle_read(const void *data, size_t len, struct ck_arena *arena, const struct ck_pickle_user *user,
		   struct ck_value *out, struct ck_error *err);

/* How the writer asks for what stands for a CK_TENSOR: appends the opcodes that rebuild tensor
   INDEX. */
struct ck_pickle_writer;
typedef int (*ck_pickle_tensor_fn)(struct ck_pickle_writer *w, int64_t index, void *arg, struct ck_error *err);

/*
 * Appends VALUE to OUT as a pickle of protocol 2, memoising as CPython's does only where it
 * shortens (strings and globals). CK_TENSOR values are handed to TENSOR. CK_ERR_INVALID for what a
 * pickle can't say.
 */
int ck_pickle_write(struct ck_buf *out, const struct ck_value *value, ck_pickle_tensor_fn tensor, void *arg,
		    struct ck_error *err);

/* For TENSOR callbacks: append any plain value (CK_CALL and CK_PERSID of plain values included). */
int ck_pickle_put(struct ck_pickle_writer *w, const struct ck_value *value, struct ck_error *err);

#endif
