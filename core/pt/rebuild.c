#include "core/pt/rebuild.h"

#include "core/pickle/pickle.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* An expanded tensor (stride 0) may show more bytes than are stored, but not without bound: up to
   this, or ... */
#define EXPANDED_FREE (UINT64_C(64) << 20)
/* ... up to so many times its storage. */
#define EXPANDED_TIMES 4096u

/* A call of a rebuild function, taken apart. */
struct rebuild {
	const struct ck_value *storage;
	const struct ck_value *offset, *size, *stride;
	const struct ck_value *requires_grad;
	const struct ck_value *dtype;       /* v3 only */
	const struct ck_value *metadata;    /* the optional last argument */
};

bool ck_is_tensor(const struct ck_value *v)
{
	if (v->kind == CK_MADE)
		return true;
	if (v->kind != CK_CALL || v->call->callee.kind != CK_GLOBAL)
		return false;
	switch (v->call->callee.i) {
	case CK_G_REBUILD_TENSOR:
	case CK_G_REBUILD_TENSOR_V2:
	case CK_G_REBUILD_TENSOR_V3:
	case CK_G_REBUILD_PARAMETER:
	case CK_G_REBUILD_PARAMETER_WITH_STATE:
	case CK_G_REBUILD_FROM_TYPE_V2:
		return true;
	default:
		return false;
	}
}

static int bad_args(int64_t function, uint32_t found, struct ck_error *err)
{
	const char *module, *name;

	ck_global_name((enum ck_global)function, &module, &name);
	return ck_fail(err, CK_ERR_CORRUPT, "%s.%s: not with %" PRIu32 " arguments", module, name, found);
}

/* The arguments of one of the _rebuild_tensor functions, by their places. */
static int take_args(int64_t function, const struct ck_value *args, struct rebuild *r, struct ck_error *err)
{
	static const uint8_t least[] = {
		[CK_G_REBUILD_TENSOR] = 4, [CK_G_REBUILD_TENSOR_V2] = 6, [CK_G_REBUILD_TENSOR_V3] = 7};
	const struct ck_value *a = args->items;
	uint32_t n = args->len, want = least[function];

	if (n < want || n > want + (function != CK_G_REBUILD_TENSOR))
		return bad_args(function, n, err);
	*r = (struct rebuild){ .storage = &a[0], .offset = &a[1], .size = &a[2], .stride = &a[3] };
	if (want > 4)
		r->requires_grad = &a[4];
	if (want > 6)
		r->dtype = &a[6];
	if (n > want)
		r->metadata = &a[want];
	return CK_OK;
}

int ck_made_new(const struct ck_tensor *t, struct ck_arena *arena, struct ck_value *out, struct ck_error *err)
{
	struct ck_made *made = ck_arena_alloc(arena, sizeof(*made));

	if (!made)
		return ck_fail(err, CK_ERR_LIMIT, "tensors that need more memory than opening a file may take");
	*made = (struct ck_made){
		.offset = t->offset, .shape = t->shape, .strides = t->strides, .entry = t->entry,
		.stored_dtype = t->stored_dtype, .ndim = t->ndim, .swap = t->swap, .conj = t->conj, .neg = t->neg,
		.requires_grad = t->requires_grad, .parameter = t->parameter,
	};
	*out = (struct ck_value){ .kind = CK_MADE, .made = made };
	return CK_OK;
}

/* T, of which may be known that it is a parameter, from what was made of its call before. */
static int take_made(const struct ck_made *made, struct ck_archive *archive, struct ck_tensor *t, struct ck_error *err)
{
	if (t->parameter && made->parameter)
		return ck_fail(err, CK_ERR_CORRUPT, "parameters wrapped in parameters");
	*t = (struct ck_tensor){
		.dtype = made->stored_dtype, .stored_dtype = made->stored_dtype, .ndim = made->ndim,
		.source = CK_SRC_ARCHIVE, .swap = made->swap, .conj = made->conj, .neg = made->neg,
		.requires_grad = t->parameter ? t->requires_grad : made->requires_grad,
		.parameter = t->parameter || made->parameter, .shape = made->shape, .strides = made->strides,
		.offset = made->offset, .archive = archive, .entry = made->entry,
	};
	return ck_shape_numel(t->shape, t->ndim, ck_dtype_info(t->dtype)->width, &t->numel, err);
}

/* Parameters and subclasses wrap the rebuild of their data; each wrapper is one level, and they
   don't nest deeply. Ends at a call of *FUNCTION with *ARGS, or with *V what was made of one. */
static int unwrap(const struct ck_value **v, struct ck_tensor *t, int64_t *function, const struct ck_value **args,
		  struct ck_error *err)
{
	for (unsigned level = 0; level < 4 && (*v)->kind != CK_MADE; level++) {
		const struct ck_call *call = (*v)->call;
		const struct ck_value *a = call->args.items;

		*function = call->callee.i;
		*args = &call->args;
		switch (*function) {
		case CK_G_REBUILD_PARAMETER:
		case CK_G_REBUILD_PARAMETER_WITH_STATE:
			if (call->args.len != (*function == CK_G_REBUILD_PARAMETER ? 3u : 4u) || a[1].kind != CK_BOOL)
				return bad_args(*function, call->args.len, err);
			t->parameter = true;
			t->requires_grad = a[1].i;
			*v = &a[0];
			break;
		case CK_G_REBUILD_FROM_TYPE_V2:
			if (call->args.len != 4 || a[0].kind != CK_GLOBAL || a[2].kind != CK_TUPLE)
				return bad_args(*function, call->args.len, err);
			*function = a[0].i;
			*args = &a[2];
			if (*function > CK_G_REBUILD_TENSOR_V3)
				return ck_fail(err, CK_ERR_UNSUPPORTED,
					       "a tensor subclass that isn't rebuilt as a plain tensor");
			return CK_OK;
		default:
			return CK_OK;
		}
		if (!ck_is_tensor(*v))
			return ck_fail(err, CK_ERR_CORRUPT, "a parameter of something that is no tensor");
	}
	return (*v)->kind == CK_MADE ? CK_OK : ck_fail(err, CK_ERR_CORRUPT, "parameters wrapped in parameters");
}

/* A tuple of ints (or a torch.Size of one). */
static int int_array(const struct ck_value *v, const char *what, int64_t out[static CK_MAX_DIMS], uint32_t *len,
		     struct ck_error *err)
{
	if (v->kind == CK_CALL && v->call->callee.kind == CK_GLOBAL && v->call->callee.i == CK_G_SIZE &&
	    v->call->args.len == 1)
		v = &v->call->args.items[0];
	if (v->kind != CK_TUPLE)
		return ck_fail(err, CK_ERR_CORRUPT, "the %s is no tuple", what);
	if (v->len > CK_MAX_DIMS)
		return ck_fail(err, CK_ERR_LIMIT, "%" PRIu32 " dimensions, at most %d are read", v->len, CK_MAX_DIMS);
	for (uint32_t i = 0; i < v->len; i++) {
		if (v->items[i].kind != CK_INT)
			return ck_fail(err, CK_ERR_CORRUPT, "the %s holds something that is no 64-bit int", what);
		out[i] = v->items[i].i;
	}
	*len = v->len;
	return CK_OK;
}

/* The checked sizes and strides, which T has borrowed, as its own; strides only where the sizes don't say them. */
static int keep_geometry(struct ck_tensor *t, struct ck_arena *arena, struct ck_error *err)
{
	bool contiguous = ck_tensor_contiguous(t);
	size_t bytes = t->ndim * sizeof(int64_t);
	size_t size = contiguous ? bytes : 2 * bytes;
	int64_t *kept = ck_arena_alloc(arena, size ? size : 1);

	if (!kept)
		return ck_fail(err, CK_ERR_LIMIT, "shapes that need more memory than a checkpoint may");
	memcpy(kept, t->shape, bytes);
	if (!contiguous)
		memcpy(kept + t->ndim, t->strides, bytes);
	t->shape = kept;
	t->strides = contiguous ? NULL : kept + t->ndim;
	return CK_OK;
}

static int64_t storage_dtype(const struct ck_value *type)
{
	if (type->kind != CK_GLOBAL)
		return -1;
	if (type->i == CK_G_UNTYPED_STORAGE)
		return CK_U8;
	if (type->i >= CK_G_STORAGE && type->i < CK_G_COUNT)
		return type->i - CK_G_STORAGE;
	return -1;
}

/* The persistent id ('storage', type, key, location, numel): its entry, and the dtype that the type
   names. */
static int take_storage(const struct ck_value *storage, struct ck_archive *archive, struct ck_tensor *t,
			struct ck_error *err)
{
	const struct ck_value *id = storage->kind == CK_PERSID ? storage->items : NULL, *p;
	uint64_t bytes, stored;
	char name[64];
	int64_t dtype, entry;

	if (!id || id->kind != CK_TUPLE || id->len < 5 || !ck_value_is_str(&id->items[0], "storage"))
		return ck_fail(err, CK_ERR_CORRUPT, "expected a storage, ('storage', type, key, location, numel)");
	p = id->items;
	dtype = storage_dtype(&p[1]);
	if (dtype < 0 || p[2].kind != CK_STR || p[4].kind != CK_INT || p[4].i < 0)
		return ck_fail(err, CK_ERR_CORRUPT, "a storage whose type, key or element count is none");
	if (p[2].len >= sizeof(name) - 5 || memchr(p[2].s, '\0', p[2].len))
		return ck_fail(err, CK_ERR_CORRUPT, "a storage key of %" PRIu32 " bytes", p[2].len);
	snprintf(name, sizeof(name), "data/%.*s", (int)p[2].len, p[2].s);
	entry = ck_archive_find(archive, name);
	if (entry < 0)
		return ck_fail(err, CK_ERR_CORRUPT, "its storage '%s' is not in the file", name);
	stored = ck_archive_entry(archive, (size_t)entry)->size;
	if (__builtin_mul_overflow((uint64_t)p[4].i, ck_dtype_info((enum ck_dtype)dtype)->width, &bytes) ||
	    bytes != stored)
		return ck_fail(err, CK_ERR_CORRUPT,
			       "its storage '%s' should hold %" PRId64 " elements of %u bytes, found %" PRIu64 " bytes",
			       name, p[4].i, ck_dtype_info((enum ck_dtype)dtype)->width, stored);
	t->source = CK_SRC_ARCHIVE;
	t->archive = archive;
	t->entry = (uint32_t)entry;
	t->stored_dtype = (uint8_t)dtype;
	return CK_OK;
}

static bool flag(const struct ck_value *metadata, const char *name)
{
	const struct ck_value *v = metadata && metadata->kind == CK_DICT ? ck_dict_get(metadata->dict, name) : NULL;

	return v && v->kind == CK_BOOL && v->i;
}

/*
 * Everything that sizes, strides and offset can ask for, against what the storage holds. An empty tensor may begin
 * behind the end, as a row of a matrix without columns does; it is taken for one at the end.
 */
static int check_reach(struct ck_tensor *t, struct ck_error *err)
{
	uint64_t stored = ck_archive_entry(t->archive, t->entry)->size, first, end, shown;
	unsigned width = ck_dtype_info(t->stored_dtype)->width;
	int rc;

	rc = ck_tensor_reach(t, &first, &end, err);
	if (rc)
		return rc;
	if (end > stored / width && t->numel == 0)
		t->offset = end = stored / width;
	if (end > stored / width)
		return ck_fail(err, CK_ERR_CORRUPT, "it reaches to element %" PRIu64 ", its storage has %" PRIu64, end,
			       stored / width);
	shown = t->numel * width;
	if (shown > stored && shown > EXPANDED_FREE && shown / EXPANDED_TIMES > stored)
		return ck_fail(err, CK_ERR_LIMIT, "%" PRIu64 " bytes expanded from a storage of %" PRIu64, shown,
			       stored);
	return CK_OK;
}

int ck_rebuild(const struct ck_value *v, struct ck_archive *archive, bool big_endian, struct ck_arena *arena,
	       struct ck_tensor *t, struct ck_error *err)
{
	const struct ck_value *args;
	struct rebuild r = { 0 };
	int64_t function, shape[CK_MAX_DIMS], strides[CK_MAX_DIMS];
	uint32_t ndim, nstrides;
	int rc;

	*t = (struct ck_tensor){ 0 };
	rc = unwrap(&v, t, &function, &args, err);
	if (!rc && v->kind == CK_MADE)
		return take_made(v->made, archive, t, err);
	if (!rc)
		rc = take_args(function, args, &r, err);
	if (!rc)
		rc = take_storage(r.storage, archive, t, err);
	if (!rc)
		rc = int_array(r.size, "size", shape, &ndim, err);
	if (!rc)
		rc = int_array(r.stride, "stride", strides, &nstrides, err);
	if (rc)
		return rc;
	if (ndim != nstrides)
		return ck_fail(err, CK_ERR_CORRUPT, "%" PRIu32 " sizes and %" PRIu32 " strides", ndim, nstrides);
	if (r.offset->kind != CK_INT || r.offset->i < 0)
		return ck_fail(err, CK_ERR_CORRUPT, "its offset is no int from 0 on");
	if (r.dtype) {
		if (r.dtype->kind != CK_GLOBAL || r.dtype->i < CK_G_DTYPE || r.dtype->i >= CK_G_STORAGE)
			return ck_fail(err, CK_ERR_CORRUPT, "its dtype is none");
		t->stored_dtype = (uint8_t)(r.dtype->i - CK_G_DTYPE);
	}
	if (r.requires_grad && r.requires_grad->kind == CK_BOOL && !t->parameter)
		t->requires_grad = r.requires_grad->i;
	t->dtype = t->stored_dtype;
	t->swap = big_endian && ck_dtype_info(t->dtype)->swap > 1;
	t->conj = flag(r.metadata, "conj");
	t->neg = flag(r.metadata, "neg");
	t->ndim = (uint8_t)ndim;
	t->offset = (uint64_t)r.offset->i;
	t->shape = shape;
	t->strides = strides;
	rc = ck_shape_numel(shape, ndim, ck_dtype_info(t->dtype)->width, &t->numel, err);
	if (!rc)
		rc = check_reach(t, err);
	return rc ? rc : keep_geometry(t, arena, err);
}
