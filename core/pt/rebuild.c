/* Turns the calls in a pickle into tensors (rebuild.h): takes calls apart and makes the plain tensors. */
#include "core/pt/impl.h"

#include <string.h>

#define MAX_WRAPPERS 4u

/* The arguments of a rebuild function of plain tensors. */
struct plain {
	const struct ck_value *storage;
	struct ck_geometry place;
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
	return v->call->callee.i <= CK_G_REBUILD_FROM_CPU || v->call->callee.i == CK_G_PARAMETER;
}

int ck_rebuild_bad_args(int64_t function, struct ck_error *err)
{
	const char *module, *name;

	ck_global_name((enum ck_global)function, &module, &name);
	return ck_fail(err, CK_ERR_CORRUPT, "%s.%s: not with these arguments", module, name);
}

int ck_rebuild_dtype(const struct ck_value *v)
{
	return v->kind == CK_GLOBAL && v->i >= CK_G_DTYPE && v->i < CK_G_STORAGE ? (int)(v->i - CK_G_DTYPE) : -1;
}

static bool has_fractions(enum ck_dtype dtype)
{
	switch (dtype) {
	case CK_F8_E5M2: case CK_F8_E4M3FN: case CK_F8_E5M2FNUZ: case CK_F8_E4M3FNUZ: case CK_F8_E8M0: case CK_F4X2:
	case CK_F16: case CK_BF16: case CK_F32: case CK_F64: case CK_C32: case CK_C64: case CK_C128:
		return true;
	default:
		return false;
	}
}

int ck_rebuild_grad(const struct ck_value *v, struct ck_tensor *t, struct ck_error *err)
{
	if (v->kind != CK_BOOL)
		return ck_fail(err, CK_ERR_CORRUPT, "expected a bool as requires_grad, found another value");
	if (v->i && !has_fractions(t->dtype))
		return ck_fail(err, CK_ERR_CORRUPT, "requires_grad of a tensor of %s", ck_dtype_info(t->dtype)->torch);
	t->requires_grad = v->i;
	return CK_OK;
}

int ck_rebuild_ints(const struct ck_value *v, const char *what, int64_t out[static CK_MAX_DIMS], uint32_t *len,
		    struct ck_error *err)
{
	const struct ck_value *items;

	if (v->kind == CK_CALL && v->call->callee.i == CK_G_SIZE)
		v = &v->call->args.items[0];
	if (v->kind != CK_TUPLE && v->kind != CK_LIST)
		return ck_fail(err, CK_ERR_CORRUPT, "expected a tuple of ints as its %s", what);
	items = v->kind == CK_LIST ? v->list->items : v->items;
	*len = v->kind == CK_LIST ? v->list->len : v->len;
	if (*len > CK_MAX_DIMS)
		return ck_fail(err, CK_ERR_LIMIT, "%" PRIu32 " dimensions, at most %d are read", *len, CK_MAX_DIMS);
	for (uint32_t i = 0; i < *len; i++) {
		if (items[i].kind != CK_INT)
			return ck_fail(err, CK_ERR_CORRUPT, "expected 64-bit ints in %s, found another value", what);
		out[i] = items[i].i;
	}
	return CK_OK;
}

/* Copies the checked sizes and strides, which T has borrowed, to ARENA. Strides are kept only if T is not
   contiguous. */
static int keep_geometry(struct ck_tensor *t, struct ck_arena *arena, struct ck_error *err)
{
	bool contiguous = ck_tensor_contiguous(t);
	size_t bytes = t->ndim * sizeof(int64_t);
	size_t size = contiguous ? bytes : 2 * bytes;
	int64_t *kept = ck_arena_alloc(arena, size ? size : 1);

	if (!kept)
		return ck_fail(err, CK_ERR_LIMIT, "shapes that need more memory than a checkpoint may");
	if (bytes)
		memcpy(kept, t->shape, bytes);
	if (!contiguous)
		memcpy(kept + t->ndim, t->strides, bytes);
	t->shape = kept;
	t->strides = contiguous ? NULL : kept + t->ndim;
	return CK_OK;
}

/*
 * Checks the reach of sizes, strides and offset against the NUMEL elements of the storage. An empty tensor may begin
 * past the end, as a row of a matrix without columns does; it is moved to the end. A stride of 0 may repeat an element
 * any number of times: reading the tensor takes no memory.
 */
static int check_reach(struct ck_tensor *t, uint64_t numel, struct ck_error *err)
{
	uint64_t first, end;
	int rc = ck_tensor_reach(t, &first, &end, err);

	if (rc)
		return rc;
	if (end > numel && t->numel == 0)
		t->offset = end = numel;
	if (end > numel)
		return ck_fail(err, CK_ERR_CORRUPT, "it reaches to element %" PRIu64 ", its storage has %" PRIu64, end,
			       numel);
	if (t->numel > CK_SHOWN_BYTES / ck_dtype_info(t->dtype)->width)
		t->unshown = CK_UNSHOWN_LARGE;
	return CK_OK;
}

int ck_rebuild_place(struct ck_rebuilder *r, const struct ck_geometry *g, const uint64_t *numel, struct ck_tensor *t,
		     struct ck_error *err)
{
	int64_t shape[CK_MAX_DIMS], strides[CK_MAX_DIMS];
	uint32_t ndim = 0, nstrides = 0;
	uint64_t first, end;
	int rc = ck_rebuild_ints(g->size, "size", shape, &ndim, err);

	if (!rc && g->stride)
		rc = ck_rebuild_ints(g->stride, "stride", strides, &nstrides, err);
	if (!rc && g->stride && ndim != nstrides)
		rc = ck_fail(err, CK_ERR_CORRUPT, "%" PRIu32 " sizes and %" PRIu32 " strides", ndim, nstrides);
	if (!rc && g->offset && (g->offset->kind != CK_INT || g->offset->i < 0))
		rc = ck_fail(err, CK_ERR_CORRUPT, "expected a non-negative int as its offset");
	if (rc)
		return rc;
	t->ndim = (uint8_t)ndim;
	t->offset = g->offset ? (uint64_t)g->offset->i : 0;
	t->shape = shape;
	t->strides = g->stride ? strides : NULL;
	rc = ck_shape_numel(shape, ndim, 1, &t->numel, err);
	if (!rc && numel)
		rc = check_reach(t, *numel, err);
	else if (!rc && g->stride)
		rc = ck_tensor_reach(t, &first, &end, err);
	return rc ? rc : keep_geometry(t, r->arena, err);
}

/* Reads the flags conj and neg. torch sets conj on complex tensors only. */
static int read_metadata(const struct ck_value *metadata, struct ck_tensor *t, struct ck_error *err)
{
	const struct ck_value *conj, *neg;

	if (!metadata || metadata->kind == CK_NONE)
		return CK_OK;
	if (metadata->kind != CK_DICT)
		return ck_fail(err, CK_ERR_CORRUPT, "expected a dict of flags as its metadata");
	for (uint32_t i = 0; i < metadata->dict->len; i++)
		if (metadata->dict->pairs[i].key.kind != CK_STR || metadata->dict->pairs[i].value.kind != CK_BOOL)
			return ck_fail(err, CK_ERR_CORRUPT, "expected a dict of flags as its metadata");
	conj = ck_dict_get(metadata->dict, "conj");
	neg = ck_dict_get(metadata->dict, "neg");
	t->conj = conj && conj->i;
	t->neg = neg && neg->i;
	if (t->conj && t->dtype != CK_C64 && t->dtype != CK_C128 && t->dtype != CK_C32)
		return ck_fail(err, CK_ERR_CORRUPT, "the flag conj on a tensor of %s", ck_dtype_info(t->dtype)->torch);
	return CK_OK;
}

/* The arguments of one of the _rebuild_tensor functions, by their places. */
static int read_args(int64_t function, const struct ck_value *args, struct plain *p, struct ck_error *err)
{
	static const uint8_t least[] = {
		[CK_G_REBUILD_TENSOR] = 4, [CK_G_REBUILD_TENSOR_V2] = 6, [CK_G_REBUILD_TENSOR_V3] = 7};
	const struct ck_value *a = args->items;
	uint32_t n = args->len, want = least[function];

	if (n < want || n > want + (function != CK_G_REBUILD_TENSOR))
		return ck_rebuild_bad_args(function, err);
	*p = (struct plain){ .storage = &a[0], .place = { &a[1], &a[2], &a[3] } };
	if (want > 4)
		p->requires_grad = &a[4];
	if (want > 6)
		p->dtype = &a[6];
	if (n > want)
		p->metadata = &a[want];
	return CK_OK;
}

static int make_plain(struct ck_rebuilder *r, int64_t function, const struct ck_value *args, struct ck_tensor *t,
		      struct ck_error *err)
{
	struct plain p = { 0 };
	uint64_t numel = 0;
	int dtype, rc = read_args(function, args, &p, err);

	if (!rc)
		rc = ck_rebuild_find(r, p.storage, t, &numel, err);
	if (rc)
		return rc;
	dtype = p.dtype ? ck_rebuild_dtype(p.dtype) : t->dtype;
	if (dtype < 0)
		return ck_fail(err, CK_ERR_CORRUPT, "expected a dtype, as torch.float32");
	numel = numel * ck_dtype_info(t->dtype)->width / ck_dtype_info((enum ck_dtype)dtype)->width;
	t->dtype = t->stored_dtype = (uint8_t)dtype;
	t->swap = r->big_endian && ck_dtype_info(t->dtype)->swap > 1;
	rc = ck_rebuild_place(r, &p.place, &numel, t, err);
	if (!rc && p.requires_grad)
		rc = ck_rebuild_grad(p.requires_grad, t, err);
	if (!rc)
		rc = read_metadata(p.metadata, t, err);
	if (t->dtype >= CK_DTYPE_ARRAYS)
		t->unshown = CK_UNSHOWN_DTYPE;
	return rc;
}

/* Attributes of a tensor are not shown. Refuses those that would change what is shown. */
static int check_state(const struct ck_value *state, struct ck_error *err)
{
	static const char *const changes[] = { "data", "real", "imag", "requires_grad" };
	const struct ck_value *dict = state;

	if (state->kind == CK_TUPLE && state->len == 2)
		dict = &state->items[0];
	if (dict->kind == CK_NONE)
		return CK_OK;
	if (dict->kind != CK_DICT)
		return ck_fail(err, CK_ERR_CORRUPT, "expected a dict as the attributes of a tensor");
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		if (ck_dict_get(dict->dict, changes[i]))
			return ck_fail(err, CK_ERR_UNSUPPORTED, "a tensor whose attribute %s is changed", changes[i]);
	return CK_OK;
}

/* data.to(dtype, device): how torch saves a tensor of a device that it can't write. The dtype is that of the data. */
static int check_from_cpu(const struct ck_value *a, uint32_t len, struct ck_tensor *t, struct ck_error *err)
{
	int rc;

	if (len != 4 || a[2].kind != CK_STR)
		return ck_rebuild_bad_args(CK_G_REBUILD_FROM_CPU, err);
	if (ck_rebuild_dtype(&a[1]) != t->dtype)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "expected the dtype of the tensor, %s, found another",
			       ck_dtype_info(t->dtype)->torch);
	rc = ck_rebuild_grad(&a[3], t, err);
	return rc;
}

static int make(struct ck_rebuilder *r, const struct ck_value *v, unsigned level, struct ck_tensor *t,
		struct ck_error *err);

/* Makes a parameter, or a tensor of a device that torch can't write, from the tensor inside. */
static int make_wrapped(struct ck_rebuilder *r, int64_t function, const struct ck_value *args, unsigned level,
			struct ck_tensor *t, struct ck_error *err)
{
	static const struct ck_value yes = { .kind = CK_BOOL, .i = true };
	const struct ck_value *a = args->items, *state = NULL;
	uint32_t n = args->len;
	int rc;

	if (n < 1 || (function == CK_G_REBUILD_PARAMETER && n != 3) ||
	    (function == CK_G_REBUILD_PARAMETER_WITH_STATE && n != 4) || (function == CK_G_PARAMETER && n > 2))
		return ck_rebuild_bad_args(function, err);
	if (!ck_is_tensor(&a[0]))
		return ck_fail(err, CK_ERR_CORRUPT, "expected a tensor in a parameter, found another value");
	rc = make(r, &a[0], level + 1, t, err);
	if (rc)
		return rc;
	if (function == CK_G_REBUILD_FROM_CPU)
		return check_from_cpu(a, n, t, err);
	t->parameter = true;
	rc = ck_rebuild_grad(n > 1 ? &a[1] : &yes, t, err);
	if (function == CK_G_REBUILD_PARAMETER_WITH_STATE)
		state = &a[3];
	return rc || !state ? rc : check_state(state, err);
}

static int make_call(struct ck_rebuilder *r, int64_t function, const struct ck_value *args, unsigned level,
		     struct ck_tensor *t, struct ck_error *err)
{
	const struct ck_value *a = args->items;
	int rc;

	if (level > MAX_WRAPPERS)
		return ck_fail(err, CK_ERR_CORRUPT, "parameters wrapped in parameters");
	switch (function) {
	case CK_G_REBUILD_TENSOR:
	case CK_G_REBUILD_TENSOR_V2:
	case CK_G_REBUILD_TENSOR_V3:
		return make_plain(r, function, args, t, err);
	case CK_G_REBUILD_FROM_TYPE_V2:
		if (args->len != 4 || a[0].kind != CK_GLOBAL || a[0].i > CK_G_REBUILD_FROM_CPU ||
		    a[0].i == CK_G_REBUILD_FROM_TYPE_V2 || a[1].kind != CK_GLOBAL || a[2].kind != CK_TUPLE)
			return ck_rebuild_bad_args(function, err);
		if (a[1].i != CK_G_TENSOR && a[1].i != CK_G_PARAMETER)
			return ck_fail(err, CK_ERR_UNSUPPORTED, "a tensor subclass");
		rc = make_call(r, a[0].i, &a[2], level + 1, t, err);
		t->parameter |= a[1].i == CK_G_PARAMETER;
		return rc ? rc : check_state(&a[3], err);
	case CK_G_REBUILD_PARAMETER:
	case CK_G_REBUILD_PARAMETER_WITH_STATE:
	case CK_G_REBUILD_FROM_CPU:
	case CK_G_PARAMETER:
		return make_wrapped(r, function, args, level, t, err);
	default:
		return ck_rebuild_odd(r, function, args, t, err);
	}
}

static int make(struct ck_rebuilder *r, const struct ck_value *v, unsigned level, struct ck_tensor *t,
		struct ck_error *err)
{
	if (v->kind == CK_MADE) {
		*t = *(const struct ck_tensor *)v->made;
		return CK_OK;
	}
	if (r->flat && level)
		return ck_fail(err, CK_ERR_CORRUPT, "expected a tensor that it is made of, found another value");
	return make_call(r, v->call->callee.i, &v->call->args, level, t, err);
}

int ck_rebuild(struct ck_rebuilder *r, const struct ck_value *v, struct ck_tensor *t, struct ck_error *err)
{
	int rc;

	*t = (struct ck_tensor){ 0 };
	r->missing = false;
	rc = make(r, v, 0, t, err);
	if (rc && !r->missing)
		ck_error_refused(err);
	/* No element of an unshown tensor is read. */
	if (t->unshown)
		t->numel = 0;
	return rc;
}
