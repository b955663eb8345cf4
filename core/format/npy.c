/* The header of a .npy file, written. Implements npy.h with npy_read.c. */
#include "core/format/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PREFIX 10  /* magic, version 1.0, the 16-bit length of the rest */
#define ALIGN 64

/* Large enough for any header: CK_MAX_DIMS sizes of 19 digits and ", ", and less than 200 bytes around them. */
#define HEADER_MAX 2048

/*
 * NumPy leaves room so that the first dimension can grow in place: 21 digits, enough for a count of single bits in 64
 * bits of address space. NumPy does so since 1.24; before, the padding begins right behind the dict.
 */
#define GROWTH_DIGITS 21

static size_t put_dict(char *at, const struct ck_tensor *t)
{
	char *begin = at;
	int digits = 0;

	at += sprintf(at, "{'descr': '%s', 'fortran_order': False, 'shape': (", ck_dtype_info(t->dtype)->numpy);
	for (unsigned i = 0; i < t->ndim; i++) {
		int n = sprintf(at, "%" PRId64, t->shape[i]);

		at += n;
		if (i == 0)
			digits = n;
		if (i + 1 < t->ndim)
			at += sprintf(at, ", ");
	}
	at += sprintf(at, t->ndim == 1 ? ",), }" : "), }");
	if (t->ndim > 0)
		at += sprintf(at, "%*s", GROWTH_DIGITS - digits, "");
	return (size_t)(at - begin);
}

/* Writes the header into HEADER, of HEADER_MAX bytes, and returns its length. */
static size_t make_header(char *header, const struct ck_tensor *t)
{
	size_t used = PREFIX + put_dict(header + PREFIX, t) + 1;
	/* There is always padding: a dict that ends at a boundary gets a whole ALIGN of it. */
	size_t len = used + ALIGN - used % ALIGN;

	memset(header + used - 1, ' ', len - used);
	header[len - 1] = '\n';
	memcpy(header, "\x93NUMPY\x01\x00", 8);
	header[8] = (char)((len - PREFIX) & 0xff);
	header[9] = (char)((len - PREFIX) >> 8);
	return len;
}

void ck_npy_header(struct ck_buf *out, const struct ck_tensor *t)
{
	char header[HEADER_MAX];

	ck_buf_append(out, header, make_header(header, t));
}

uint64_t ck_npy_size(const struct ck_tensor *t)
{
	char header[HEADER_MAX];

	return make_header(header, t) + ck_tensor_nbytes(t);
}

int ck_npy_view(struct ck_view *view, const struct ck_tensor *t, struct ck_error *err)
{
	char header[HEADER_MAX];
	int rc = ck_view_add_bytes(view, header, make_header(header, t), err);

	return rc ? rc : ck_view_add_tensor(view, t, err);
}
