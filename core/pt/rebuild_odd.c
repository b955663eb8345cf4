/*
 * Tensors that are not arrays (impl.h): sparse, quantized, nested, on the device meta. Only their dtype and shape are
 * known. The calls are checked as far as possible without reading elements.
 */
#include "core/pt/impl.h"

/* Makes T a tensor without a place in the file. */
static void unplaced(struct ck_tensor *t, int dtype, enum ck_unshown why)
{
	t->source = CK_SRC_FILL;
	t->dtype = t->stored_dtype = (uint8_t)dtype;
	t->unshown = (uint8_t)why;
	t->numel = 0;
}

/* Reads a part of such a tensor. A part must be a tensor itself. */
static int read_part(struct ck_rebuilder *r, const struct ck_value *v, struct ck_tensor *part, struct ck_error *err)
{
	if (!ck_is_tensor(v) || (r->flat && v->kind != CK_MADE))
		return ck_fail(err, CK_ERR_CORRUPT, "expected a tensor as a part of a tensor, found another value");
	return ck_rebuild(r, v, part, err);
}

static bool is_sparse_layout(const struct ck_value *v, bool *coo)
{
	bool is_layout = v->kind == CK_CALL && v->call->callee.i == CK_G_LAYOUT;
	const struct ck_value *name = is_layout ? v->call->args.items : NULL;

	*coo = name && ck_value_is_str(name, "torch.sparse_coo");
	return *coo || (name && !ck_value_is_str(name, "torch.strided") && !ck_value_is_str(name, "torch._mkldnn") &&
			!ck_value_is_str(name, "torch.jagged"));
}

/* (indices, values, size[, is_coalesced]), or (compressed indices, plain indices, values, size). */
static int make_sparse(struct ck_rebuilder *r, const struct ck_value *args, struct ck_tensor *t, struct ck_error *err)
{
	const struct ck_value *data = &args->items[1], *items = data->items;
	struct ck_geometry shape = { 0 };
	struct ck_tensor parts[3] = { 0 };
	bool coo, fits;
	int rc = CK_OK;

	if (args->len != 2 || !is_sparse_layout(&args->items[0], &coo) || data->kind != CK_TUPLE ||
	    !(data->len == 4 || (coo && data->len == 3)))
		return ck_rebuild_bad_args(CK_G_REBUILD_SPARSE, err);
	for (int i = 0; i < (coo ? 2 : 3) && !rc; i++)
		rc = read_part(r, &items[i], &parts[i], err);
	shape.size = &items[coo ? 2 : 3];
	if (!rc)
		rc = ck_rebuild_place(r, &shape, NULL, t, err);
	if (rc)
		return rc;
	if (coo)
		fits = parts[0].ndim == 2 && parts[1].ndim >= 1 && parts[0].shape[1] == parts[1].shape[0] &&
		       parts[0].shape[0] + parts[1].ndim - 1 == t->ndim;
	else
		fits = parts[0].ndim == parts[1].ndim && parts[0].ndim >= 1 && t->ndim >= 2;
	if (!fits)
		return ck_fail(err, CK_ERR_CORRUPT,
			       "a sparse tensor whose indices, values and size don't fit together");
	unplaced(t, parts[coo ? 1 : 2].dtype, CK_UNSHOWN_SPARSE);
	return CK_OK;
}

/* (scheme, scale, zero point) or (scheme, scales, zero points, axis). */
static int check_quantizer(struct ck_rebuilder *r, const struct ck_value *q, struct ck_error *err)
{
	bool scheme = q->kind == CK_TUPLE && q->len >= 3 && q->items[0].kind == CK_GLOBAL &&
		      q->items[0].i >= CK_G_QSCHEME && q->items[0].i < CK_G_DTYPE;
	struct ck_tensor part;
	int rc;

	if (scheme && q->len == 3 && q->items[0].i == CK_G_QSCHEME &&
	    (q->items[1].kind == CK_FLOAT || q->items[1].kind == CK_INT) && q->items[2].kind == CK_INT)
		return CK_OK;
	if (!scheme || q->len != 4 || q->items[3].kind != CK_INT || q->items[0].i == CK_G_QSCHEME)
		return ck_fail(err, CK_ERR_CORRUPT, "expected a quantizer that torch.save writes, found another");
	rc = read_part(r, &q->items[1], &part, err);
	return rc ? rc : read_part(r, &q->items[2], &part, err);
}

/* (storage, offset, size, stride, quantizer, requires_grad, hooks). */
static int make_quantized(struct ck_rebuilder *r, const struct ck_value *args, struct ck_tensor *t,
			  struct ck_error *err)
{
	const struct ck_value *a = args->items;
	struct ck_geometry g;
	uint64_t numel = 0;
	int rc;

	if (args->len != 7)
		return ck_rebuild_bad_args(CK_G_REBUILD_QTENSOR, err);
	g = (struct ck_geometry){ &a[1], &a[2], &a[3] };
	rc = ck_rebuild_find(r, &a[0], t, &numel, err);
	if (rc)
		return rc;
	if (t->dtype < CK_QU8 || t->dtype > CK_QU2X4)
		return ck_fail(err, CK_ERR_CORRUPT, "a quantized tensor whose elements are %s",
			       ck_dtype_info(t->dtype)->torch);
	/* A byte of quint4x2 holds two elements, one of quint2x4 four. */
	numel *= t->dtype == CK_QU4X2 ? 2 : t->dtype == CK_QU2X4 ? 4 : 1;
	rc = check_quantizer(r, &a[4], err);
	if (!rc)
		rc = ck_rebuild_place(r, &g, &numel, t, err);
	if (!rc && a[5].kind != CK_BOOL)
		rc = ck_rebuild_bad_args(CK_G_REBUILD_QTENSOR, err);
	unplaced(t, t->dtype, CK_UNSHOWN_QUANTIZED);
	return rc;
}

/* (dtype, size, stride, requires_grad). */
static int make_meta(struct ck_rebuilder *r, const struct ck_value *args, struct ck_tensor *t, struct ck_error *err)
{
	const struct ck_value *a = args->items;
	struct ck_geometry g;
	int dtype = args->len == 4 ? ck_rebuild_dtype(&a[0]) : -1, rc;

	if (dtype < 0)
		return ck_rebuild_bad_args(CK_G_REBUILD_META, err);
	g = (struct ck_geometry){ .size = &a[1], .stride = &a[2] };
	t->dtype = t->stored_dtype = (uint8_t)dtype;
	rc = ck_rebuild_place(r, &g, NULL, t, err);
	if (!rc)
		rc = ck_rebuild_grad(&a[3], t, err);
	unplaced(t, dtype, CK_UNSHOWN_META);
	return rc;
}

/* (buffer, sizes, strides, offsets): the shapes of the parts are elements of tensors. */
static int make_nested(struct ck_rebuilder *r, const struct ck_value *args, struct ck_tensor *t, struct ck_error *err)
{
	struct ck_tensor parts[4] = { 0 };
	int rc = CK_OK;

	if (args->len != 4)
		return ck_rebuild_bad_args(CK_G_REBUILD_NESTED, err);
	for (int i = 0; i < 4 && !rc; i++)
		rc = read_part(r, &args->items[i], &parts[i], err);
	if (rc)
		return rc;
	if (parts[0].ndim != 1 || parts[1].ndim != 2 || parts[2].ndim != 2 || parts[3].ndim != 1)
		return ck_fail(err, CK_ERR_CORRUPT,
			       "a nested tensor whose buffer, sizes, strides and offsets don't fit together");
	unplaced(t, parts[0].dtype, CK_UNSHOWN_NESTED);
	return CK_OK;
}

int ck_rebuild_odd(struct ck_rebuilder *r, int64_t function, const struct ck_value *args, struct ck_tensor *t,
		   struct ck_error *err)
{
	switch (function) {
	case CK_G_REBUILD_SPARSE:
		return make_sparse(r, args, t, err);
	case CK_G_REBUILD_QTENSOR:
		return make_quantized(r, args, t, err);
	case CK_G_REBUILD_META:
		return make_meta(r, args, t, err);
	default:
		return make_nested(r, args, t, err);
	}
}
