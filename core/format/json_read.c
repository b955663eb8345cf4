/* Implements ck_json_read of json.h: a recursive parser that builds values. */
#include "core/format/json.h"

#include "core/base/digits.h"
#include "core/base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
	const char *start, *at, *end;
	struct ck_arena *arena;
	struct ck_error *err;
	unsigned depth;
};

static int fail_at(struct parser *p, const char *at, enum ck_code code, const char *expected)
{
	unsigned char c = at < p->end ? (unsigned char)*at : 0;
	int rc;

	if (at >= p->end)
		rc = ck_fail(p->err, code, "JSON: expected %s, found the end", expected);
	else if (c > 0x20 && c < 0x7f)
		rc = ck_fail(p->err, code, "JSON: expected %s, found '%c'", expected, c);
	else
		rc = ck_fail(p->err, code, "JSON: expected %s, found byte 0x%02x", expected, c);
	ck_error_offset(p->err, (uint64_t)(at - p->start));
	return rc;
}

static int bad(struct parser *p, const char *at, const char *expected)
{
	return fail_at(p, at, CK_ERR_CORRUPT, expected);
}

static void skip_space(struct parser *p)
{
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
		p->at++;
}

static bool next_is(const struct parser *p, char c)
{
	return p->at < p->end && *p->at == c;
}

/* Reads the four hex digits of an escape \uXXXX at AT. False if none begins there. */
static bool unicode_escape(const char *at, const char *close, uint32_t *unit)
{
	int64_t v;

	if (close - at < 6 || at[0] != '\\' || at[1] != 'u')
		return false;
	v = ck_hex(at + 2, 4, 4);
	*unit = (uint32_t)v;
	return v >= 0;
}

/* Reads the escape at p->at, which ends before the quote at CLOSE. Two escapes that make a surrogate pair are one
   character. */
static int read_escape(struct parser *p, const char *close, char **dst)
{
	static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *name = memchr(names, p->at[1], sizeof(names) - 1);
	uint32_t unit, low;

	if (name) {
		*(*dst)++ = bytes[name - names];
		p->at += 2;
		return CK_OK;
	}
	if (!unicode_escape(p->at, close, &unit))
		return bad(p, p->at + 1, p->at[1] == 'u' ? "u and four hex digits" : "an escape of JSON");
	p->at += 6;
	if (ck_is_high_surrogate(unit) && unicode_escape(p->at, close, &low) && ck_is_low_surrogate(low)) {
		unit = 0x10000 + ((unit & 0x3ff) << 10 | (low & 0x3ff));
		p->at += 6;
	}
	*dst += ck_utf8_encode(*dst, unit);
	return CK_OK;
}

/* Reads any other character. Surrogates are allowed as escapes only: UTF-8 excludes them. */
static int read_char(struct parser *p, const char *close, char **dst)
{
	uint32_t cp;
	size_t n;

	if ((unsigned char)*p->at < 0x20)
		return bad(p, p->at, "no control character in a string");
	n = ck_utf8_decode(p->at, (size_t)(close - p->at), &cp);
	if (n == 0 || ck_is_surrogate(cp))
		return bad(p, p->at, "UTF-8");
	memcpy(*dst, p->at, n);
	*dst += n;
	p->at += n;
	return CK_OK;
}

/* The closing quote of the string whose opening quote is at p->at; NULL without. */
static const char *closing_quote(const struct parser *p)
{
	const char *s;

	for (s = p->at + 1; s < p->end && *s != '"'; s++)
		if (*s == '\\' && ++s == p->end)
			return NULL;
	return s < p->end ? s : NULL;
}

static int read_string(struct parser *p, struct ck_value *out)
{
	const char *close = closing_quote(p);
	char *copy, *dst;
	int rc;

	if (!close)
		return bad(p, p->end, "'\"' at the end of a string");
	p->at++;
	/* No escape is shorter than what it stands for. */
	copy = dst = ck_arena_alloc(p->arena, (size_t)(close - p->at) + 1);
	if (!copy)
		return ck_fail_room(p->err);
	while (p->at < close) {
		rc = *p->at == '\\' ? read_escape(p, close, &dst) : read_char(p, close, &dst);
		if (rc)
			return rc;
	}
	p->at++;
	*out = ck_str(copy, (size_t)(dst - copy));
	return CK_OK;
}

static const char *skip_digits(const char *s, const char *end)
{
	while (s < end && *s >= '0' && *s <= '9')
		s++;
	return s;
}

static int make_real(struct parser *p, const char *s, size_t len, struct ck_value *out)
{
	char small[64], *copy = small;

	if (len >= sizeof(small)) {
		copy = ck_arena_alloc(p->arena, len + 1);
		if (!copy)
			return ck_fail_room(p->err);
	}
	memcpy(copy, s, len);
	copy[len] = '\0';
	*out = ck_float(strtod(copy, NULL));
	return CK_OK;
}

static int make_int(struct parser *p, const char *s, size_t len, struct ck_value *out)
{
	bool negative = s[0] == '-';
	const char *copy;
	int64_t v;

	if (ck_decimal(s + negative, len - negative, negative, &v)) {
		*out = ck_int(v);
		return CK_OK;
	}
	copy = ck_arena_dup(p->arena, s, len);
	if (!copy)
		return ck_fail_room(p->err);
	*out = (struct ck_value){ .kind = CK_BIGINT, .len = (uint32_t)len, .s = copy };
	return CK_OK;
}

/* Takes the longest prefix that is a number, as Python's scanner does. After "01", "1." and "1e" a rest is left that
   nothing accepts. */
static int read_number(struct parser *p, struct ck_value *out)
{
	const char *s = p->at, *q = s + (*s == '-'), *e;
	bool real = false;

	if (q == p->end || *q < '0' || *q > '9')
		return bad(p, s, "a value");
	q = *q == '0' ? q + 1 : skip_digits(q, p->end);
	if (q < p->end && *q == '.' && skip_digits(q + 1, p->end) > q + 1) {
		real = true;
		q = skip_digits(q + 1, p->end);
	}
	if (q < p->end && (*q == 'e' || *q == 'E')) {
		e = q + 1;
		if (e < p->end && (*e == '+' || *e == '-'))
			e++;
		if (skip_digits(e, p->end) > e) {
			real = true;
			q = skip_digits(e, p->end);
		}
	}
	p->at = q;
	return real ? make_real(p, s, (size_t)(q - s), out) : make_int(p, s, (size_t)(q - s), out);
}

static bool read_word(struct parser *p, struct ck_value *out)
{
	const struct { const char *word; struct ck_value value; } words[] = {
		{ "null", ck_none() }, { "true", ck_bool(true) }, { "false", ck_bool(false) },
		{ "NaN", ck_float((double)NAN) }, { "Infinity", ck_float((double)INFINITY) },
		{ "-Infinity", ck_float(-(double)INFINITY) },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i].word);

		if ((size_t)(p->end - p->at) >= len && memcmp(p->at, words[i].word, len) == 0) {
			p->at += len;
			*out = words[i].value;
			return true;
		}
	}
	return false;
}

static int read_value(struct parser *p, struct ck_value *out);

static int read_array(struct parser *p, struct ck_value *out)
{
	struct ck_value item = ck_none();
	int rc = ck_list_new(p->arena, CK_LIST, out, p->err);

	if (rc)
		return rc;
	p->at++;
	skip_space(p);
	if (next_is(p, ']')) {
		p->at++;
		return CK_OK;
	}
	for (;;) {
		rc = read_value(p, &item);
		if (rc == CK_OK)
			rc = ck_list_append(p->arena, out->list, item, p->err);
		if (rc)
			return rc;
		skip_space(p);
		if (next_is(p, ']'))
			break;
		if (!next_is(p, ','))
			return bad(p, p->at, "',' or ']'");
		p->at++;
	}
	p->at++;
	return CK_OK;
}

/* "key": value */
static int read_pair(struct parser *p, struct ck_dict *dict)
{
	struct ck_value key = ck_none(), value = ck_none();
	int rc;

	if (!next_is(p, '"'))
		return bad(p, p->at, "a key in double quotes");
	rc = read_string(p, &key);
	if (rc)
		return rc;
	skip_space(p);
	if (!next_is(p, ':'))
		return bad(p, p->at, "':'");
	p->at++;
	rc = read_value(p, &value);
	return rc ? rc : ck_dict_set(p->arena, dict, key, value, p->err);
}

static int read_object(struct parser *p, struct ck_value *out)
{
	int rc = ck_dict_new(p->arena, out, p->err);

	if (rc)
		return rc;
	p->at++;
	skip_space(p);
	if (next_is(p, '}')) {
		p->at++;
		return CK_OK;
	}
	for (;;) {
		rc = read_pair(p, out->dict);
		if (rc)
			return rc;
		skip_space(p);
		if (next_is(p, '}'))
			break;
		if (!next_is(p, ','))
			return bad(p, p->at, "',' or '}'");
		p->at++;
		skip_space(p);
	}
	p->at++;
	return CK_OK;
}

static int read_value(struct parser *p, struct ck_value *out)
{
	bool object;
	int rc;

	skip_space(p);
	if (next_is(p, '"'))
		return read_string(p, out);
	object = next_is(p, '{');
	if (object || next_is(p, '[')) {
		if (p->depth == CK_JSON_MAX_DEPTH)
			return fail_at(p, p->at, CK_ERR_LIMIT, "fewer levels of nesting");
		p->depth++;
		rc = object ? read_object(p, out) : read_array(p, out);
		p->depth--;
		return rc;
	}
	if (p->at == p->end)
		return bad(p, p->at, "a value");
	return read_word(p, out) ? CK_OK : read_number(p, out);
}

int ck_json_read(const char *text, size_t len, struct ck_arena *arena, struct ck_value *out, struct ck_error *err)
{
	struct parser p = { .start = text, .at = text, .end = text + len, .arena = arena, .err = err };
	int rc;

	if (len > UINT32_MAX)
		return ck_fail(err, CK_ERR_LIMIT, "JSON: expected at most %u bytes, found %zu", UINT32_MAX, len);
	rc = read_value(&p, out);
	if (rc)
		return rc;
	skip_space(&p);
	if (p.at < p.end)
		return bad(&p, p.at, "the end after the value");
	return CK_OK;
}
