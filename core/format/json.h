/*
 * json - JSON as Python's json module reads and writes it, on values.
 *
 * Why not jansson here: meta.json must come out byte for byte as json.dump(indent=2) writes it. jansson holds
 * integers in 64 bits, refuses NaN and Infinity (which nanochat writes: min_val_bpb), prints reals with "%.17g" where
 * Python prints the shortest digits that round-trip, and can't tell 1 from 1.0 in text form. Where none of that matters
 * (the header of a safetensors file) jansson is used.
 *
 * Numbers go through strtod and printf, which obey LC_NUMERIC: the program must leave that at "C".
 */
#ifndef CK_JSON_H
#define CK_JSON_H

#include "core/base/buf.h"
#include "core/base/value.h"

/* Nesting of arrays and objects. A level of an outline may take three: {"$dict": [[key, value]]}. */
#define CK_JSON_MAX_DEPTH 400

/* The longest text that is written. Indentation multiplies: at depth 400 a "[]" takes eight hundred bytes. */
#define CK_JSON_MAX_WRITTEN ((size_t)16 << 20)

/*
 * Reads TEXT (LEN bytes, UTF-8) as json.loads: NaN, Infinity, -Infinity, integers of any size (CK_BIGINT past int64),
 * the last of two equal keys at the place of the first, \ud800 alone kept as a lone surrogate. Strings are copied:
 * TEXT may go. CK_ERR_CORRUPT with the byte offset: what was expected and what was found; CK_ERR_LIMIT for depth or
 * the arena's budget.
 */
int ck_json_read(const char *text, size_t len, struct ck_arena *arena, struct ck_value *out, struct ck_error *err);

/*
 * Appends VALUE as json.dump(value, indent=INDENT) writes it; INDENT < 0 is Python's default, one line with ", " and
 * ": ". ASCII only (\uXXXX, surrogate pairs). Tuples are lists; keys that are int, float, bool or None become strings
 * as in Python. CK_ERR_INVALID for what json.dump refuses (bytes, sets, calls, tensors, other keys), CK_ERR_LIMIT for
 * depth and length. On failure a part of the text may have been appended.
 */
int ck_json_write(struct ck_buf *out, const struct ck_value *value, int indent, struct ck_error *err);

/* Appends what Python's repr(F) gives: "0.1", "1e+16", "inf", "nan". */
void ck_float_repr(struct ck_buf *out, double f);

/* Appends the string (UTF-8) with its quotes, as json.dump writes it; ck_json_escape leaves the quotes out. A byte that
   is not UTF-8 is written as Python's "surrogateescape" decodes it, \udc80 to \udcff. */
void ck_json_string(struct ck_buf *out, const char *s, size_t len);
void ck_json_escape(struct ck_buf *out, const char *s, size_t len);

/*
 * Only the punctuation, for text that is made without a tree of values: open a container, call ck_json_item before each
 * item of an array or ck_json_key before each value of an object, close it. Scalars go into BUF directly.
 */
struct ck_json_out {
	struct ck_buf *buf;
	int indent;
	unsigned depth;     /* containers that are open */
	bool empty;         /* the innermost has no item yet */
};

void ck_json_open(struct ck_json_out *o, char bracket);         /* '[' or '{' */
void ck_json_item(struct ck_json_out *o);
void ck_json_key(struct ck_json_out *o, const char *key, size_t len);
void ck_json_close(struct ck_json_out *o, char bracket);        /* ']' or '}' */

#endif
