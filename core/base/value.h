/*
 * value - a tree of Python values as data: what a pickle or a JSON text says, and what the writers
 * take.
 *
 * A struct ck_value is a 16-byte handle, passed by value; containers are shared by copies of the
 * handle, as names share an object in Python. Everything lives in the arena of the parser that made
 * it. Calls and persistent ids stay data: nothing here is ever looked up or run.
 */
#ifndef CK_VALUE_H
#define CK_VALUE_H

#include "core/base/arena.h"
#include "core/base/error.h"

#include <stdbool.h>

enum ck_kind {
	CK_NONE,
	CK_BOOL,            /* .i is 0 or 1 */
	CK_INT,             /* .i */
	/* .s, .len: the decimal digits of an int outside int64, with '-' where negative */
	CK_BIGINT,
	CK_FLOAT,           /* .f */
	/* .s, .len: UTF-8; lone surrogates as their three bytes (Python's surrogatepass) */
	CK_STR,
	CK_BYTES,           /* .s, .len */
	CK_BYTEARRAY,       /* .s, .len */
	CK_TUPLE,           /* .items, .len */
	CK_LIST,            /* .list */
	CK_SET,             /* .list, without duplicates */
	CK_FROZENSET,       /* .list */
	CK_DICT,            /* .dict */
	CK_GLOBAL,          /* .i is an enum ck_global (pickle.h) */
	CK_CALL,            /* .call: a global applied to arguments, not run */
	CK_PERSID,          /* .items: one value, the persistent id */
	CK_TENSOR,          /* .i is an index into the tensor table of a checkpoint or a save */
	CK_MADE,            /* .made: what the user of the pickle reader made of a call */
};

struct ck_value {
	uint8_t kind;       /* enum ck_kind */
	uint32_t len;
	union {
		int64_t i;
		double f;
		const char *s;
		struct ck_value *items;
		struct ck_list *list;
		struct ck_dict *dict;
		struct ck_call *call;
		void *made;
	};
};

struct ck_list {
	struct ck_value *items;
	uint32_t len, cap;
};

struct ck_pair {
	struct ck_value key, value;
};

/* Insertion-ordered, as Python's dict: setting a key that is there keeps its place and takes the
   new value. */
struct ck_dict {
	struct ck_pair *pairs;
	uint32_t len, cap;
	bool ordered;           /* an OrderedDict */
	/* hash index over pairs, once there are many; slots hold position + 1 */
	uint32_t *index;
	uint32_t index_size;    /* a power of two */
	/* BUILD's argument: an OrderedDict's attributes (`_metadata`); CK_NONE without */
	struct ck_value state;
};

struct ck_call {
	struct ck_value callee;  /* CK_GLOBAL */
	struct ck_value args;    /* CK_TUPLE */
};

struct ck_value ck_none(void);
struct ck_value ck_bool(bool b);
struct ck_value ck_int(int64_t i);
struct ck_value ck_float(double f);

/* A string that borrows S (LEN bytes); it must outlive the value. LEN past UINT32_MAX is the
   caller's error. */
struct ck_value ck_str(const char *s, size_t len);

/* New, empty containers, and a tuple of LEN zeroed (None) items. CK_ERR_NOMEM / CK_ERR_LIMIT when
   the arena is used up. */
int ck_list_new(struct ck_arena *arena, enum ck_kind kind, struct ck_value *out, struct ck_error *err);
int ck_dict_new(struct ck_arena *arena, struct ck_value *out, struct ck_error *err);
int ck_tuple_new(struct ck_arena *arena, uint32_t len, struct ck_value *out, struct ck_error *err);

int ck_list_append(struct ck_arena *arena, struct ck_list *list, struct ck_value v, struct ck_error *err);

/* dict[KEY] = VALUE. Keys compare as in Python (1 == True == 1.0; strings, bytes, tuples by
   content); a key of a kind that Python can't hash (list, dict, set) is CK_ERR_CORRUPT. */
int ck_dict_set(struct ck_arena *arena, struct ck_dict *dict, struct ck_value key, struct ck_value value,
		struct ck_error *err);

/* The value under the string KEY, or NULL. */
struct ck_value *ck_dict_get(const struct ck_dict *dict, const char *key);

/* Whether two values are equal as Python's == says for plain data (NaN equals nothing; CALL,
   PERSID, TENSOR by identity of the handle). Depth is bounded by the parsers that made the values. */
bool ck_value_equal(const struct ck_value *a, const struct ck_value *b);

/* Whether V is the string S. */
bool ck_value_is_str(const struct ck_value *v, const char *s);

#endif
