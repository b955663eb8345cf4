/* Implements the writing half of json.h: Python's spelling of floats and strings, punctuation, whole values. */
#include "core/format/json.h"

#include "core/base/utf8.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The next number up with as many digits. S is "d.ddde-XX". False for "9.99e-XX", which has no such number. */
static bool digits_up(char *s)
{
	char *digit = strchr(s, 'e');

	while (--digit >= s) {
		if (*digit == '.')
			continue;
		if (*digit != '9') {
			++*digit;
			return true;
		}
		*digit = '0';
	}
	return false;
}

/*
 * The shortest digits that read back as F (finite, above 0), as "d.ddde-XX" in S, and of those of that length the
 * nearest to F; returns how many. Printing with rising precision finds them, with one exception: the doubles below a
 * power of two lie twice as close as those above, so the nearest number of some length may lie below F and read back
 * as another double, while the next one up, farther off, reads back as F (2 ** -44 is 5.684341886080802e-14 so).
 * "%.14e" brings back every decimal of 15 digits that made a normal double, with zeros behind it where it was shorter.
 */
static int shortest_digits(double f, char *s, size_t size)
{
	int exponent, count;
	bool power_of_two = frexp(f, &exponent) == 0.5;

	for (count = f < DBL_MIN ? 1 : DBL_DIG; count < DBL_DECIMAL_DIG; count++) {
		snprintf(s, size, "%.*e", count - 1, f);
		if (strtod(s, NULL) == f)
			return count;
		if (power_of_two && digits_up(s) && strtod(s, NULL) == f)
			return count;
	}
	snprintf(s, size, "%.*e", count - 1, f);
	return count;
}

void ck_float_repr(struct ck_buf *out, double f)
{
	char text[32], digits[DBL_DECIMAL_DIG + 1];
	int count, exponent, whole;

	if (signbit(f) && !isnan(f))
		ck_buf_byte(out, '-');
	if (!isfinite(f) || f == 0) {
		ck_buf_str(out, isnan(f) ? "nan" : f == 0 ? "0.0" : "inf");
		return;
	}
	count = shortest_digits(fabs(f), text, sizeof(text));
	exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
	digits[0] = text[0];
	memcpy(digits + 1, text + 2, (size_t)count - 1);
	while (count > 1 && digits[count - 1] == '0')
		count--;
	digits[count] = '\0';
	if (exponent < -4 || exponent >= 16) {
		ck_buf_printf(out, "%c%s%se%+03d", digits[0], count > 1 ? "." : "", digits + 1, exponent);
		return;
	}
	if (exponent < 0) {
		ck_buf_str(out, "0.");
		ck_buf_fill(out, '0', (size_t)(-exponent - 1));
		ck_buf_str(out, digits);
		return;
	}
	whole = exponent + 1;
	ck_buf_append(out, digits, (size_t)(count < whole ? count : whole));
	ck_buf_fill(out, '0', (size_t)(count < whole ? whole - count : 0));
	ck_buf_byte(out, '.');
	ck_buf_str(out, count > whole ? digits + whole : "0");
}

static void put_unit(struct ck_buf *out, uint32_t unit)
{
	static const char hex[] = "0123456789abcdef";
	const char text[] = { '\\', 'u', hex[unit >> 12], hex[unit >> 8 & 15], hex[unit >> 4 & 15], hex[unit & 15] };

	ck_buf_append(out, text, sizeof(text));
}

static void put_escaped(struct ck_buf *out, uint32_t cp)
{
	static const char names[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	const char *name = cp && cp < 0x80 ? strchr(names, (int)cp) : NULL;

	if (name) {
		ck_buf_byte(out, '\\');
		ck_buf_byte(out, (unsigned char)letters[name - names]);
	} else if (cp < 0x10000) {
		put_unit(out, cp);
	} else {
		cp -= 0x10000;
		put_unit(out, 0xd800 + (cp >> 10));
		put_unit(out, 0xdc00 + (cp & 0x3ff));
	}
}

static bool is_plain(char c)
{
	return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

void ck_json_escape(struct ck_buf *out, const char *s, size_t len)
{
	const char *end = s + len, *run;
	uint32_t cp;
	size_t n;

	while (s < end) {
		for (run = s; s < end && is_plain(*s); s++)
			;
		ck_buf_append(out, run, (size_t)(s - run));
		if (s == end)
			break;
		n = ck_utf8_decode(s, (size_t)(end - s), &cp);
		put_escaped(out, n ? cp : 0xdc00u + (unsigned char)*s);
		s += n ? n : 1;
	}
}

void ck_json_string(struct ck_buf *out, const char *s, size_t len)
{
	ck_buf_byte(out, '"');
	ck_json_escape(out, s, len);
	ck_buf_byte(out, '"');
}

static void new_line(struct ck_json_out *o)
{
	if (o->indent < 0)
		return;
	ck_buf_byte(o->buf, '\n');
	ck_buf_fill(o->buf, ' ', (size_t)o->indent * o->depth);
}

void ck_json_open(struct ck_json_out *o, char bracket)
{
	ck_buf_byte(o->buf, (unsigned char)bracket);
	o->depth++;
	o->empty = true;
}

void ck_json_item(struct ck_json_out *o)
{
	if (!o->empty)
		ck_buf_str(o->buf, o->indent < 0 ? ", " : ",");
	new_line(o);
	o->empty = false;
}

void ck_json_key(struct ck_json_out *o, const char *key, size_t len)
{
	ck_json_item(o);
	ck_json_string(o->buf, key, len);
	ck_buf_str(o->buf, ": ");
}

void ck_json_close(struct ck_json_out *o, char bracket)
{
	o->depth--;
	if (!o->empty)
		new_line(o);
	ck_buf_byte(o->buf, (unsigned char)bracket);
	o->empty = false;
}

/* Appends None, bool, int or float: as a value, or as a key once quotes are added. False for every other kind. */
static bool put_scalar(struct ck_buf *out, const struct ck_value *v)
{
	switch (v->kind) {
	case CK_NONE:
		ck_buf_str(out, "null");
		return true;
	case CK_BOOL:
		ck_buf_str(out, v->i ? "true" : "false");
		return true;
	case CK_INT:
		ck_buf_printf(out, "%" PRId64, v->i);
		return true;
	case CK_BIGINT:
		ck_buf_append(out, v->s, v->len);
		return true;
	case CK_FLOAT:
		if (isfinite(v->f))
			ck_float_repr(out, v->f);
		else
			ck_buf_str(out, isnan(v->f) ? "NaN" : v->f > 0 ? "Infinity" : "-Infinity");
		return true;
	default:
		return false;
	}
}

static int put_key(struct ck_json_out *o, const struct ck_value *key, struct ck_error *err)
{
	if (key->kind == CK_STR) {
		ck_json_key(o, key->s, key->len);
		return CK_OK;
	}
	ck_json_item(o);
	ck_buf_byte(o->buf, '"');
	if (!put_scalar(o->buf, key))
		return ck_fail(err, CK_ERR_INVALID, "JSON: expected a key that is a string, a number, a bool or None");
	ck_buf_str(o->buf, "\": ");
	return CK_OK;
}

/* The reason why nothing more can be appended. */
static int stopped(const struct ck_buf *out, struct ck_error *err)
{
	return out->full ? ck_fail(err, CK_ERR_LIMIT, "JSON: more than %zu bytes as it is written", out->max)
			 : ck_fail_nomem(err);
}

static int put_value(struct ck_json_out *o, const struct ck_value *v, struct ck_error *err);

static int put_items(struct ck_json_out *o, const struct ck_value *items, uint32_t len, struct ck_error *err)
{
	int rc;

	ck_json_open(o, '[');
	for (uint32_t i = 0; i < len; i++) {
		ck_json_item(o);
		rc = put_value(o, &items[i], err);
		if (rc)
			return rc;
	}
	ck_json_close(o, ']');
	return CK_OK;
}

static int put_dict(struct ck_json_out *o, const struct ck_dict *dict, struct ck_error *err)
{
	int rc;

	ck_json_open(o, '{');
	for (uint32_t i = 0; i < dict->len; i++) {
		rc = put_key(o, &dict->pairs[i].key, err);
		if (rc == CK_OK)
			rc = put_value(o, &dict->pairs[i].value, err);
		if (rc)
			return rc;
	}
	ck_json_close(o, '}');
	return CK_OK;
}

static int put_value(struct ck_json_out *o, const struct ck_value *v, struct ck_error *err)
{
	if (o->buf->failed)
		return stopped(o->buf, err);
	if (put_scalar(o->buf, v))
		return CK_OK;
	if (v->kind == CK_STR) {
		ck_json_string(o->buf, v->s, v->len);
		return CK_OK;
	}
	if (o->depth == CK_JSON_MAX_DEPTH)
		return ck_fail(err, CK_ERR_LIMIT, "JSON: expected at most %d levels of nesting", CK_JSON_MAX_DEPTH);
	switch (v->kind) {
	case CK_TUPLE:
		return put_items(o, v->items, v->len, err);
	case CK_LIST:
		return put_items(o, v->list->items, v->list->len, err);
	case CK_DICT:
		return put_dict(o, v->dict, err);
	default:
		return ck_fail(err, CK_ERR_INVALID, "expected a value that JSON can hold, found a %s",
			       v->kind == CK_TENSOR ? "tensor" :
			       v->kind == CK_BYTES || v->kind == CK_BYTEARRAY ? "byte string" :
			       v->kind == CK_SET || v->kind == CK_FROZENSET ? "set" : "call or a global");
	}
}

int ck_json_write(struct ck_buf *out, const struct ck_value *value, int indent, struct ck_error *err)
{
	struct ck_json_out o = { .buf = out, .indent = indent };
	const size_t max = out->max;
	int rc;

	if (!max)
		out->max = out->len + CK_JSON_MAX_WRITTEN;
	rc = put_value(&o, value, err);
	if (rc == CK_OK && out->failed)
		rc = stopped(out, err);
	out->max = max;
	return rc;
}
