/* Reading the headers of .npy files, as numpy.load does (npy.h). */
#include "core/format/npy.h"

#include "core/base/cursor.h"
#include "core/base/digits.h"

#include <inttypes.h>
#include <string.h>

/* The longest header: version 1.0's own limit, far more than any array needs. */
#define MAX_HEADER 65535u

/*
 * The header is a Python literal, which NumPy evaluates. This parser reads only the literal that a header may hold: a
 * dict of exactly `descr` (a string), `fortran_order` (a bool) and `shape` (a tuple of ints).
 */
struct literal {
	const char *at, *begin, *end;
	bool python2;               /* a version of the format whose ints may end in L */
	struct ck_error *err;
};

struct array {
	char descr[16];
	bool fortran;
	unsigned ndim;
	int64_t *shape;             /* CK_MAX_DIMS, the caller's */
};

static int expected(struct literal *l, const char *what)
{
	if (l->at == l->end)
		return ck_fail(l->err, CK_ERR_INVALID, "npy header: expected %s, found its end", what);
	return ck_fail(l->err, CK_ERR_INVALID, "npy header: expected %s, found '%c' at character %td", what, *l->at,
		       l->at - l->begin);
}

/* Skips spaces and returns the next character, which is not consumed; NUL at the end. */
static char peek(struct literal *l)
{
	while (l->at < l->end && strchr(" \t\r\n\f", *l->at) && *l->at)
		l->at++;
	return l->at < l->end ? *l->at : '\0';
}

static bool skip(struct literal *l, char c)
{
	if (peek(l) != c || l->at == l->end)
		return false;
	l->at++;
	return true;
}

static bool skip_word(struct literal *l, const char *word)
{
	size_t len = strlen(word);

	peek(l);
	if ((size_t)(l->end - l->at) < len || memcmp(l->at, word, len) != 0)
		return false;
	l->at += len;
	return true;
}

/* Reads a string in either kind of quotes, without escapes, of at most SIZE - 1 bytes. Python 2 wrote a u before
   strings. */
static int parse_string(struct literal *l, char *out, size_t size, const char *what)
{
	char quote = peek(l);
	const char *close;
	size_t len;

	if ((quote == 'u' || quote == 'U') && l->end - l->at > 1 && (l->at[1] == '\'' || l->at[1] == '"'))
		quote = *++l->at;
	if (quote != '\'' && quote != '"')
		return expected(l, what);
	close = memchr(l->at + 1, quote, (size_t)(l->end - l->at - 1));
	if (!close)
		return ck_fail(l->err, CK_ERR_INVALID, "npy header: a string without its end at character %td",
			       l->at - l->begin);
	len = (size_t)(close - l->at - 1);
	if (memchr(l->at + 1, '\\', len) || memchr(l->at + 1, '\0', len))
		return ck_fail(l->err, CK_ERR_INVALID, "npy header: an escape or a NUL in %s", what);
	if (len >= size)
		return ck_fail(l->err, CK_ERR_INVALID, "npy header: %s is '%.*s'", what, (int)(len < 80 ? len : 80),
			       l->at + 1);
	memcpy(out, l->at + 1, len);
	out[len] = '\0';
	l->at = close + 1;
	return CK_OK;
}

static int parse_size(struct literal *l, int64_t *out)
{
	const char *begin;
	int64_t n;

	peek(l);
	begin = l->at;
	while (l->at < l->end && *l->at >= '0' && *l->at <= '9')
		l->at++;
	if (l->at == begin)
		return expected(l, "a size");
	if (!ck_decimal(begin, (size_t)(l->at - begin), false, &n))
		return ck_fail(l->err, CK_ERR_INVALID, "npy header: a size in shape passes 2^63");
	if (*begin == '0' && l->at - begin > 1)
		return ck_fail(l->err, CK_ERR_INVALID, "npy header: a size in shape with a leading zero");
	if (l->python2 && l->at < l->end && *l->at == 'L')
		l->at++;
	*out = n;
	return CK_OK;
}

static int parse_shape(struct literal *l, struct array *a)
{
	bool comma = true;
	int rc;

	if (!skip(l, '('))
		return expected(l, "a tuple of ints for shape");
	while (!skip(l, ')')) {
		if (!comma)
			return expected(l, "',' or ')' in shape");
		if (a->ndim == CK_MAX_DIMS)
			return ck_fail(l->err, CK_ERR_INVALID, "npy header: more than %d dimensions", CK_MAX_DIMS);
		rc = parse_size(l, &a->shape[a->ndim]);
		if (rc)
			return rc;
		a->ndim++;
		comma = skip(l, ',');
	}
	if (a->ndim == 1 && !comma)
		return ck_fail(l->err, CK_ERR_INVALID, "npy header: shape is an int in brackets, expected a tuple");
	return CK_OK;
}

static int parse_descr(struct literal *l, struct array *a)
{
	char c = peek(l);

	if (c == '[' || c == '(')
		return ck_fail(l->err, CK_ERR_INVALID, "npy descr: structured and subarray dtypes are not tensors");
	return parse_string(l, a->descr, sizeof(a->descr), "a dtype string for descr");
}

static int parse_fortran(struct literal *l, struct array *a)
{
	a->fortran = skip_word(l, "True");
	if (!a->fortran && !skip_word(l, "False"))
		return expected(l, "True or False for fortran_order");
	return CK_OK;
}

static const struct {
	const char *key;
	int (*parse)(struct literal *l, struct array *a);
} items[] = {
	{ "descr", parse_descr },
	{ "fortran_order", parse_fortran },
	{ "shape", parse_shape },
};
#define ITEMS (sizeof(items) / sizeof(items[0]))

static int parse_item(struct literal *l, struct array *a, unsigned *seen)
{
	char key[16];
	int rc = parse_string(l, key, sizeof(key), "the key descr, fortran_order or shape");

	if (rc)
		return rc;
	if (!skip(l, ':'))
		return expected(l, "':' behind a key");
	for (unsigned i = 0; i < ITEMS; i++) {
		if (strcmp(key, items[i].key) != 0)
			continue;
		if (*seen & 1u << i)
			return ck_fail(l->err, CK_ERR_INVALID, "npy header: the key '%s' twice", key);
		*seen |= 1u << i;
		return items[i].parse(l, a);
	}
	return ck_fail(l->err, CK_ERR_INVALID, "npy header: an unknown key '%s'", key);
}

static int parse_dict(struct literal *l, struct array *a)
{
	bool comma = true;
	unsigned seen = 0;
	int rc;

	if (!skip(l, '{'))
		return expected(l, "'{'");
	while (!skip(l, '}')) {
		if (!comma)
			return expected(l, "',' or '}'");
		rc = parse_item(l, a, &seen);
		if (rc)
			return rc;
		comma = skip(l, ',');
	}
	for (unsigned i = 0; i < ITEMS; i++)
		if (!(seen & 1u << i))
			return ck_fail(l->err, CK_ERR_INVALID, "npy header: the key '%s' is missing", items[i].key);
	peek(l);
	return l->at == l->end ? CK_OK : expected(l, "nothing behind the dict");
}

/* NumPy's other names of the types: one letter, which may have a byte order in front, or a word, which may not. */
static const struct {
	const char *name;
	enum ck_dtype dtype;
} aliases[] = {
	{ "?", CK_BOOL8 }, { "b", CK_I8 }, { "B", CK_U8 }, { "h", CK_I16 }, { "H", CK_U16 }, { "i", CK_I32 },
	{ "I", CK_U32 }, { "l", CK_I64 }, { "L", CK_U64 }, { "q", CK_I64 }, { "Q", CK_U64 }, { "p", CK_I64 },
	{ "P", CK_U64 }, { "e", CK_F16 }, { "f", CK_F32 }, { "d", CK_F64 }, { "F", CK_C64 }, { "D", CK_C128 },
	{ "bool", CK_BOOL8 }, { "bool_", CK_BOOL8 }, { "int8", CK_I8 }, { "byte", CK_I8 }, { "uint8", CK_U8 },
	{ "ubyte", CK_U8 }, { "int16", CK_I16 }, { "short", CK_I16 }, { "uint16", CK_U16 }, { "ushort", CK_U16 },
	{ "int32", CK_I32 }, { "intc", CK_I32 }, { "uint32", CK_U32 }, { "uintc", CK_U32 }, { "int64", CK_I64 },
	{ "int", CK_I64 }, { "int_", CK_I64 }, { "intp", CK_I64 }, { "longlong", CK_I64 }, { "uint64", CK_U64 },
	{ "uint", CK_U64 }, { "uintp", CK_U64 }, { "ulonglong", CK_U64 }, { "float16", CK_F16 }, { "half", CK_F16 },
	{ "float32", CK_F32 }, { "single", CK_F32 }, { "float64", CK_F64 }, { "float", CK_F64 },
	{ "double", CK_F64 }, { "complex64", CK_C64 }, { "csingle", CK_C64 }, { "complex128", CK_C128 },
	{ "complex", CK_C128 }, { "cdouble", CK_C128 },
};

static bool find_alias(const char *name, bool ordered, enum ck_dtype *dtype)
{
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (strcmp(aliases[i].name, name) == 0 && !(ordered && name[1])) {
			*dtype = aliases[i].dtype;
			return true;
		}
	}
	return false;
}

/*
 * DESCR is a byte order and a name, "<f4". The dtype table spells each with one order only. Elements of a void have no
 * byte order for NumPy: ">V2" is "<V2".
 */
static int find_dtype(const char *descr, enum ck_dtype *dtype, bool *big, struct ck_error *err)
{
	const char *name = strchr("<>=|", *descr) && *descr ? descr + 1 : descr;

	if (strcmp(name, "V1") == 0 || strcmp(name, "f1") == 0)
		return ck_fail(err, CK_ERR_INVALID, "npy descr '%s' doesn't say which float8 it is: "
			       "use safetensors for float8", descr);
	*big = *descr == '>' && *name != 'V';
	for (enum ck_dtype i = 0; i < CK_DTYPE_ARRAYS; i++) {
		if (strcmp(name, ck_dtype_info(i)->numpy + 1) == 0) {
			*dtype = i;
			return CK_OK;
		}
	}
	if (find_alias(name, name != descr, dtype))
		return CK_OK;
	return ck_fail(err, CK_ERR_INVALID, "expected a npy descr that is a tensor's dtype, found '%s'%s", descr,
		       strchr("OSUMmaV", *name) && *name ? " (objects, strings, dates, structures)" : "");
}

/* Finds the dict: *AT in the file, *LEN bytes. The versions differ only in the width of the length and in the
   encoding. */
static int read_prefix(struct ck_file *file, uint64_t *at, size_t *len, uint8_t *version, struct ck_error *err)
{
	uint64_t size = ck_file_size(file);
	uint8_t prefix[12];
	struct ck_cursor c = ck_cursor(prefix, size < sizeof(prefix) ? (size_t)size : sizeof(prefix));
	const uint8_t *magic;
	uint8_t minor;
	int rc = ck_file_read(file, 0, prefix, c.len, err);

	if (rc)
		return rc;
	magic = ck_cursor_take(&c, 6);
	if (!magic || memcmp(magic, "\x93NUMPY", 6) != 0)
		return ck_fail(err, CK_ERR_INVALID, "expected the magic of a .npy file");
	*version = ck_cursor_u8(&c);
	minor = ck_cursor_u8(&c);
	if (c.ok && (*version < 1 || *version > 3 || minor != 0))
		return ck_fail(err, CK_ERR_INVALID, "npy version %u.%u; 1.0, 2.0 and 3.0 are known", *version, minor);
	*len = *version == 1 ? ck_cursor_u16(&c) : ck_cursor_u32(&c);
	*at = c.pos;
	if (!c.ok || *len > size - *at)
		return ck_fail(err, CK_ERR_INVALID, "the file of %" PRIu64 " bytes ends inside its npy header", size);
	if (*len > MAX_HEADER)
		return ck_fail(err, CK_ERR_INVALID, "npy header of %zu bytes; at most %u expected", *len, MAX_HEADER);
	return CK_OK;
}

static void fortran_strides(const int64_t *shape, unsigned ndim, int64_t *strides)
{
	int64_t step = 1;

	for (unsigned i = 0; i < ndim; i++) {
		strides[i] = step;
		step *= shape[i];
	}
}

static int check_size(const struct ck_file *file, uint64_t at, const struct ck_tensor *t, struct ck_error *err)
{
	uint64_t have = ck_file_size(file) - at;
	uint64_t want = ck_tensor_nbytes(t);

	/* numpy.load ignores bytes behind the data. */
	if (have >= want)
		return CK_OK;
	return ck_fail(err, CK_ERR_INVALID, "expected %" PRIu64 " bytes of data behind the npy header, found %" PRIu64,
		       want, have);
}

/* Reads and parses the header. *DATA is the offset of the data. */
static int read_header(struct ck_file *file, struct array *a, uint64_t *data, struct ck_error *err)
{
	char text[MAX_HEADER];
	struct literal l = { .at = text, .begin = text, .err = err };
	uint8_t version = 0;
	uint64_t at = 0;
	size_t len = 0;
	int rc = read_prefix(file, &at, &len, &version, err);

	if (!rc)
		rc = ck_file_read(file, at, text, len, err);
	if (rc)
		return rc;
	l.end = text + len;
	l.python2 = version < 3;
	*data = at + len;
	return parse_dict(&l, a);
}

int ck_npy_read(struct ck_file *file, struct ck_tensor *t, int64_t *shape, int64_t *strides, struct ck_error *err)
{
	struct array a = { .shape = shape };
	enum ck_dtype dtype = CK_BOOL8;
	uint64_t data = 0;
	bool big = false;
	int rc;

	rc = read_header(file, &a, &data, err);
	if (!rc)
		rc = find_dtype(a.descr, &dtype, &big, err);
	if (rc)
		goto fail;
	t->dtype = t->stored_dtype = (uint8_t)dtype;
	t->ndim = (uint8_t)a.ndim;
	t->source = CK_SRC_FILE;
	t->swap = big && ck_dtype_info(dtype)->swap > 1;
	t->conj = t->neg = false;
	t->shape = shape;
	t->strides = NULL;
	t->offset = data;
	t->file = file;
	if (ck_shape_numel(shape, a.ndim, ck_dtype_info(dtype)->width, &t->numel, NULL)) {
		rc = ck_fail(err, CK_ERR_INVALID, "npy header: the sizes in shape are too large together");
		goto fail;
	}
	rc = check_size(file, data, t, err);
	if (!rc)
		rc = ck_file_verify(file, err);
	if (rc)
		goto fail;
	/* The strides can't overflow: each is a product of some of the sizes, whose product was checked. */
	if (a.fortran && t->numel > 0) {
		fortran_strides(shape, a.ndim, strides);
		t->strides = strides;
	}
	return CK_OK;
fail:
	ck_error_file(err, ck_file_name(file));
	return rc;
}
