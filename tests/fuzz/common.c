#include "fuzz.h"

#include "core/file/fd.h"
#include "core/pickle/pickle.h"
#include "core/tensor/tensor.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WHOLE ((uint64_t)1 << 20)   /* views up to that size are read as a whole */
#define PIECE 4099u
#define TENSORS 64

struct ck_file *fuzz_file(const void *data, size_t size)
{
	struct ck_file *file;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	MUST(fd >= 0);
	MUST(ck_write_full(fd, 0, data, size, NULL) == CK_OK);
	MUST(ck_file_from_fd(fd, "input", &file, NULL) == CK_OK);
	return file;
}

int fuzz_error(int rc, const struct ck_error *err)
{
	char line[640];

	if (rc == CK_OK) {
		MUST(err->code == CK_OK);
		return rc;
	}
	MUST((int)err->code == rc);
	MUST(err->text[0] != '\0');
	ck_error_line(err, line, sizeof(line));
	for (const char *c = line; *c; c++)
		MUST((unsigned char)*c >= 0x20 && *c != 0x7f);
	return rc;
}

static bool same_items(const struct ck_value *a, const struct ck_value *b, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (!fuzz_same(&a[i], &b[i]))
			return false;
	return true;
}

static bool same_dict(const struct ck_dict *a, const struct ck_dict *b)
{
	if (a->len != b->len || a->ordered != b->ordered || !fuzz_same(&a->state, &b->state))
		return false;
	for (uint32_t i = 0; i < a->len; i++)
		if (!fuzz_same(&a->pairs[i].key, &b->pairs[i].key) || !fuzz_same(&a->pairs[i].value, &b->pairs[i].value))
			return false;
	return true;
}

static bool same_float(double a, double b)
{
	return isnan(a) ? isnan(b) : memcmp(&a, &b, sizeof(a)) == 0;
}

bool fuzz_same(const struct ck_value *a, const struct ck_value *b)
{
	if (a->kind != b->kind)
		return false;
	switch ((enum ck_kind)a->kind) {
	case CK_NONE:
		return true;
	case CK_BOOL: case CK_INT: case CK_GLOBAL: case CK_TENSOR: case CK_MADE:
		return a->i == b->i;
	case CK_FLOAT:
		return same_float(a->f, b->f);
	case CK_BIGINT: case CK_STR: case CK_BYTES: case CK_BYTEARRAY:
		return a->len == b->len && (!a->len || memcmp(a->s, b->s, a->len) == 0);
	case CK_TUPLE:
		return a->len == b->len && same_items(a->items, b->items, a->len);
	case CK_PERSID:
		return fuzz_same(a->items, b->items);
	case CK_LIST: case CK_SET: case CK_FROZENSET:
		return a->list->len == b->list->len && same_items(a->list->items, b->list->items, a->list->len);
	case CK_DICT:
		return same_dict(a->dict, b->dict);
	case CK_CALL:
		return fuzz_same(&a->call->callee, &b->call->callee) && fuzz_same(&a->call->args, &b->call->args);
	}
	return false;
}

/* Whether LEN bytes at OFFSET can be read, as the mount does it; they must all be there. */
static bool read_piece(const struct ck_view *view, uint64_t offset, char *buf, size_t len)
{
	struct ck_error err = CK_ERROR_INIT;
	size_t got = 0;
	int rc = ck_view_read_now(view, offset, buf, len, &got, &err);

	if (rc == CK_ERR_AGAIN) {
		MUST(!err.code);
		rc = ck_view_read(view, offset, buf, len, &got, &err);
	}
	if (fuzz_error(rc, &err))
		return false;
	MUST(got == (offset + len <= ck_view_size(view) ? len : ck_view_size(view) - offset));
	return true;
}

/* Large views: two pieces that overlap, at the start, in the middle and at the end. */
static void sample(const struct ck_view *view)
{
	uint64_t size = ck_view_size(view), places[] = { 0, size / 2 | 1, size - 2 * PIECE };
	char a[PIECE], b[PIECE];

	for (unsigned i = 0; i < 3; i++)
		if (read_piece(view, places[i], a, PIECE) && read_piece(view, places[i] + 1001, b, PIECE))
			MUST(memcmp(a + 1001, b, PIECE - 1001) == 0);
}

char *fuzz_view(const struct ck_view *view)
{
	uint64_t size = ck_view_size(view);
	char piece[PIECE], *whole;
	size_t got;

	if (size > WHOLE) {
		sample(view);
		return NULL;
	}
	whole = malloc((size_t)size + 1);
	MUST(whole);
	if (!read_piece(view, 0, whole, (size_t)size)) {
		free(whole);
		return NULL;
	}
	for (uint64_t at = 0, step = 1; at < size; at += step, step = step * 3 + 1) {
		size_t len = (size_t)(step < PIECE ? step + 6 : PIECE);

		MUST(read_piece(view, at, piece, len));
		MUST(memcmp(piece, whole + at, at + len <= size ? len : (size_t)(size - at)) == 0);
	}
	MUST(ck_view_read(view, size, piece, 1, &got, NULL) == CK_OK && got == 0);
	return whole;
}

static int64_t find_tensor(void *arg, const char *path, size_t len)
{
	(void)arg;
	return len == 2 && path[0] == 't' ? path[1] - '!' : -1;
}

/* What an outline shows to people but doesn't take back. */
static bool is_plain(const struct ck_buf *outline)
{
	return !memmem(outline->data, outline->len, "\"$unsupported\"", strlen("\"$unsupported\""));
}

void fuzz_outline_round_trip(const struct ck_value *value)
{
	struct ck_tensor tensors[TENSORS] = { 0 };
	struct ck_buf text = CK_BUF_INIT;
	struct ck_error err = CK_ERROR_INIT;
	struct ck_arena *arena;
	struct ck_value back;
	char keys[TENSORS][3];
	int rc;

	for (int i = 0; i < TENSORS; i++) {
		snprintf(keys[i], sizeof(keys[i]), "t%c", '!' + i);
		tensors[i] = (struct ck_tensor){ .key = keys[i], .key_len = 2, .dtype = CK_F32 };
	}
	rc = fuzz_error(ck_outline_write(&text, value, tensors, 2, SIZE_MAX, &err), &err);
	MUST(rc == CK_OK || rc == CK_ERR_LIMIT);
	if (rc == CK_OK && is_plain(&text)) {
		arena = ck_arena_new(ck_outline_budget(text.len));
		MUST(arena);
		rc = fuzz_error(ck_outline_read(text.data, text.len, arena, find_tensor, NULL, NULL, &back, &err), &err);
		MUST(rc == CK_OK);
		MUST(fuzz_same(value, &back));
		ck_arena_free(arena);
	}
	ck_buf_free(&text);
}
