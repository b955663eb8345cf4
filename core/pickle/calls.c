/*
 * Checks the arguments of calls that make plain values (torch.Size, torch.device, complex), as torch checks them: torch
 * refuses a file for an argument that it doesn't take. Implements part of globals.h and the name lookups of pickle.h.
 */
#include "core/pickle/globals.h"

#include <string.h>

static bool is_one_of(const char *const *names, size_t count, const char *s, size_t len)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(names[i]) == len && memcmp(names[i], s, len) == 0)
			return true;
	return false;
}

bool ck_is_device_type(const char *s, size_t len)
{
	static const char *const types[] = {
		"cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia",
		"xla", "lazy", "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone",
	};

	return is_one_of(types, sizeof(types) / sizeof(types[0]), s, len);
}

bool ck_is_layout(const char *s, size_t len)
{
	static const char *const layouts[] = {
		"torch.strided", "torch.sparse_coo", "torch.sparse_csr", "torch.sparse_csc", "torch.sparse_bsr",
		"torch.sparse_bsc", "torch._mkldnn", "torch.jagged",
	};

	return is_one_of(layouts, sizeof(layouts) / sizeof(layouts[0]), s, len);
}

/* A new tuple of LEN items in the place of *ARGS. */
static struct ck_value *new_args(struct ck_arena *arena, uint32_t len, struct ck_value *args)
{
	return ck_tuple_new(arena, len, args, NULL) ? NULL : args->items;
}

/* torch.Size takes a list as it takes a tuple; without an argument it is empty. */
static bool takes_size(struct ck_arena *arena, struct ck_value *args)
{
	struct ck_value *v = args->items, sizes = { .kind = CK_TUPLE };

	if (args->len > 1 || (args->len == 1 && v->kind != CK_TUPLE && v->kind != CK_LIST))
		return false;
	if (args->len == 1 && v->kind == CK_TUPLE)
		sizes = *v;
	else if (args->len == 1 && v->list->len)
		sizes = (struct ck_value){ .kind = CK_TUPLE, .len = v->list->len, .items = v->list->items };
	for (uint32_t i = 0; i < sizes.len; i++)
		if (sizes.items[i].kind != CK_INT)
			return false;
	if (args->len == 1 && v->kind == CK_TUPLE)
		return true;
	v = new_args(arena, 1, args);
	if (!v || ck_tuple_new(arena, sizes.len, v, NULL))
		return false;
	if (sizes.len)
		memcpy(v->items, sizes.items, sizes.len * sizeof(*sizes.items));
	return true;
}

/* ("cuda", 0) or ("cuda:0",). */
static bool takes_device(struct ck_arena *arena, struct ck_value *args)
{
	const struct ck_value *type = args->items, *index;
	const char *colon = NULL;
	struct ck_value *two;
	size_t len, digits;
	int64_t n = 0;

	if (args->len < 1 || args->len > 2 || type->kind != CK_STR)
		return false;
	if (args->len == 1)
		colon = memchr(type->s, ':', type->len);
	len = colon ? (size_t)(colon - type->s) : type->len;
	digits = type->len - len;
	if (!ck_is_device_type(type->s, len))
		return false;
	if (args->len == 2) {
		index = &args->items[1];
		return index->kind == CK_INT && index->i >= 0 && index->i <= CK_DEVICE_MAX_INDEX;
	}
	if (!colon)
		return true;
	if (digits < 2 || digits > 4 || (digits > 2 && colon[1] == '0'))
		return false;
	for (size_t i = 1; i < digits; i++) {
		if (colon[i] < '0' || colon[i] > '9')
			return false;
		n = 10 * n + (colon[i] - '0');
	}
	two = n <= CK_DEVICE_MAX_INDEX ? new_args(arena, 2, args) : NULL;
	if (!two)
		return false;
	two[0] = ck_str(type->s, len);
	two[1] = ck_int(n);
	return true;
}

static bool takes_layout(const struct ck_value *args)
{
	return args->len == 1 && args->items[0].kind == CK_STR && ck_is_layout(args->items[0].s, args->items[0].len);
}

/* Two floats, as Python pickles a complex; ints and bools are numbers too. */
static bool takes_complex(struct ck_arena *arena, struct ck_value *args)
{
	const struct ck_value *given = args->items;
	uint32_t len = args->len;
	struct ck_value *two;

	if (len > 2)
		return false;
	for (uint32_t i = 0; i < len; i++)
		if (given[i].kind != CK_FLOAT && given[i].kind != CK_INT && given[i].kind != CK_BOOL)
			return false;
	if (len == 2 && given[0].kind == CK_FLOAT && given[1].kind == CK_FLOAT)
		return true;
	two = new_args(arena, 2, args);
	if (!two)
		return false;
	for (uint32_t i = 0; i < 2; i++)
		two[i] = i >= len ? ck_float(0) : given[i].kind == CK_FLOAT ? given[i] : ck_float((double)given[i].i);
	return true;
}

bool ck_global_takes(int global, struct ck_arena *arena, struct ck_value *args)
{
	switch (global) {
	case CK_G_SIZE:
		return takes_size(arena, args);
	case CK_G_DEVICE:
		return takes_device(arena, args);
	case CK_G_LAYOUT:
		return takes_layout(args);
	case CK_G_COMPLEX:
		return takes_complex(arena, args);
	default:
		return true;
	}
}
