/*
 * A whole .pt, through to the bytes of its views. A blind change of a zip seldom gets past its CRCs, so the
 * mutator here takes the zip apart, changes one entry, and puts it together again.
 */
#include "fuzz.h"

#include "core/base/keyname.h"
#include "core/format/npy.h"
#include "core/format/safetensors.h"
#include "core/pt/checkpoint.h"
#include "core/format/meta.h"
#include "core/pt/forms.h"

#include <string.h>
#include <zlib.h>

#define TENSORS 8u
#define ENTRIES 32u
#define NAME 64u

/* Our own readers take what we show. NumPy has no names for bfloat16 and float8. */
static void check_npy(struct ck_file *file, const struct ck_tensor *t)
{
	int64_t shape[CK_MAX_DIMS], strides[CK_MAX_DIMS];
	struct ck_error err = CK_ERROR_INIT;
	struct ck_tensor back;

	if (t->unshown || ck_dtype_info(t->dtype)->numpy[1] == 'V')
		return;
	MUST(fuzz_error(ck_npy_read(file, &back, shape, strides, &err), &err) == CK_OK);
	MUST(back.dtype == t->dtype && back.ndim == t->ndim && back.numel == t->numel);
}

static void check_safetensors(struct ck_file *file, const struct ck_checkpoint *c)
{
	struct ck_arena *arena = ck_arena_new((size_t)64 << 20);
	size_t count = ck_checkpoint_count(c), held = 0, found;
	struct ck_error err = CK_ERROR_INIT;
	struct ck_tensor *back;
	bool readable = true;
	int rc;

	MUST(arena);
	/* jansson, with which headers are read, takes no key with a NUL in it. */
	for (size_t i = 0; i < count; i++) {
		const struct ck_tensor *t = ck_checkpoint_tensor(c, i);

		if (ck_safetensors_can(t)) {
			readable &= !memchr(t->key, '\0', t->key_len);
			held++;
		}
	}
	rc = fuzz_error(ck_safetensors_read(file, arena, &back, &found, &err), &err);
	MUST((rc == CK_OK) == readable);
	MUST(rc || found == held);
	ck_arena_free(arena);
}

static void check_bytes(struct ck_checkpoint *c, enum ck_form form, size_t i, const char *bytes, size_t len)
{
	struct ck_file *file = fuzz_file(bytes, len);

	if (form == CK_FORM_NPY)
		check_npy(file, ck_checkpoint_tensor(c, i));
	if (form == CK_FORM_SAFETENSORS)
		check_safetensors(file, c);
	ck_file_unref(file);
}

static void check_form(struct ck_checkpoint *c, enum ck_form form, size_t i)
{
	struct ck_error err = CK_ERROR_INIT;
	uint64_t size = 0, again = 0;
	struct ck_view *view;
	char *bytes;

	if (!ck_checkpoint_has(c, form) || fuzz_error(ck_checkpoint_size(c, form, i, &size, &err), &err))
		return;
	MUST(fuzz_error(ck_checkpoint_view(c, form, i, &view, &err), &err) == CK_OK);
	MUST(ck_view_size(view) == size);
	MUST(ck_checkpoint_size(c, form, i, &again, NULL) == CK_OK && again == size);
	bytes = fuzz_view(view);
	if (bytes)
		check_bytes(c, form, i, bytes, (size_t)size);
	free(bytes);
	ck_view_unref(view);
}

static void check_tensor(struct ck_checkpoint *c, size_t i)
{
	static const enum ck_form forms[] = { CK_FORM_NPY, CK_FORM_RAW };
	bool shown = !ck_checkpoint_tensor(c, i)->unshown;
	char name[CK_NAME_MAX + 1];

	for (unsigned k = 0; k < 1u + shown; k++) {
		MUST(ck_checkpoint_name(c, i, forms[k], name) == strlen(name));
		MUST(name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
		MUST(ck_checkpoint_find(c, name, forms[k]) == (int64_t)i);
		check_form(c, forms[k], i);
	}
}

static void check_open(struct ck_file *file, const struct ck_patch *patch)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_checkpoint *c;

	if (fuzz_error(ck_checkpoint_open(file, patch, &c, &err), &err))
		return;
	for (size_t i = 0; i < ck_checkpoint_count(c) && i < TENSORS; i++)
		check_tensor(c, i);
	check_form(c, CK_FORM_SAFETENSORS, 0);
	check_form(c, CK_FORM_TSV, 0);
	check_form(c, CK_FORM_OUTLINE, 0);
	for (enum ck_form form = CK_FORM_HF_CONFIG; form <= CK_FORM_HF_ERROR; form++)
		if (ck_checkpoint_has(c, form))
			check_form(c, form, 0);
	ck_checkpoint_unref(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ck_model_config config = { .n_head = 2, .n_embd = 4, .sequence_len = 8, .vocab_size = 9 };
	struct ck_file *file = fuzz_file(data, size);

	check_open(file, &(struct ck_patch){ .model = true, .keep_bfloat16 = size & 1, .n_layer = 1, .config = &config });
	check_open(file, &(struct ck_patch){ .n_layer = -1 });
	ck_file_unref(file);
	return 0;
}

struct entry {
	char name[NAME + 1];
	const uint8_t *data;
	uint32_t size, full;    /* as stored; uncompressed */
	uint16_t method;
	uint32_t crc;
};

static uint32_t le(const uint8_t *p, unsigned width)
{
	uint32_t v = 0;

	while (width-- > 0)
		v = v << 8 | p[width];
	return v;
}

/* What the central record at P says, where that is all in the file. Returns the record's length, or 0. */
static size_t take_entry(struct entry *e, const uint8_t *data, size_t size, size_t at)
{
	const uint8_t *p = data + at, *local;
	size_t header, name;

	if (size - at < 46 || memcmp(p, "PK\1\2", 4) != 0)
		return 0;
	name = le(p + 28, 2);
	header = le(p + 42, 4);
	if (name > NAME || size - at < 46 + name || size < 30 || header > size - 30)
		return 0;
	local = data + header;
	header += 30 + le(local + 26, 2) + le(local + 28, 2);
	*e = (struct entry){ .data = data + header, .size = le(p + 20, 4), .full = le(p + 24, 4),
			     .method = (uint16_t)le(p + 10, 2), .crc = le(p + 16, 4) };
	memcpy(e->name, p + 46, name);
	if (header > size || e->size > size - header)
		return 0;
	return 46 + name + le(p + 30, 2) + le(p + 32, 2);
}

static size_t take_apart(struct entry *entries, const uint8_t *data, size_t size)
{
	size_t at, step, count = 0;

	if (size < 22 || memcmp(data + size - 22, "PK\5\6", 4) != 0)
		return 0;
	for (at = le(data + size - 6, 4); count < ENTRIES && at < size; at += step, count++) {
		step = take_entry(&entries[count], data, size, at);
		if (!step)
			break;
	}
	return count;
}

/* The fields that a local header and a central record have in common. */
static void put_record(struct ck_buf *out, const struct entry *e)
{
	ck_buf_le16(out, 0);
	ck_buf_le16(out, e->method);
	ck_buf_le32(out, 0x210000);
	ck_buf_le32(out, e->crc);
	ck_buf_le32(out, e->size);
	ck_buf_le32(out, e->full);
	ck_buf_le16(out, (uint16_t)strlen(e->name));
	ck_buf_le16(out, 0);
}

static void put_together(struct ck_buf *out, const struct entry *entries, size_t count)
{
	uint32_t offsets[ENTRIES], start;

	for (size_t i = 0; i < count; i++) {
		offsets[i] = (uint32_t)out->len;
		ck_buf_append(out, "PK\3\4\24", 6);
		put_record(out, &entries[i]);
		ck_buf_str(out, entries[i].name);
		ck_buf_append(out, entries[i].data, entries[i].size);
	}
	start = (uint32_t)out->len;
	for (size_t i = 0; i < count; i++) {
		ck_buf_append(out, "PK\1\2\24\0\24", 8);
		put_record(out, &entries[i]);
		ck_buf_fill(out, 0, 10);
		ck_buf_le32(out, offsets[i]);
		ck_buf_str(out, entries[i].name);
	}
	ck_buf_append(out, "PK\5\6\0\0\0", 8);
	ck_buf_le16(out, (uint16_t)count);
	ck_buf_le16(out, (uint16_t)count);
	ck_buf_le32(out, (uint32_t)out->len - 12 - start);
	ck_buf_le32(out, start);
	ck_buf_le16(out, 0);
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

/* Mostly the pickle, sometimes another entry, sometimes the zip itself. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	struct ck_buf out = CK_BUF_INIT;
	struct entry entries[ENTRIES];
	size_t count = take_apart(entries, data, size);
	struct entry *e = &entries[count && seed % 4 == 0 ? seed / 16 % count : 0];
	uint8_t *changed;

	if (count == 0 || seed % 16 == 1)
		return LLVMFuzzerMutate(data, size, max_size);
	changed = malloc(max_size);
	MUST(changed && e->size <= max_size);
	memcpy(changed, e->data, e->size);
	e->size = (uint32_t)LLVMFuzzerMutate(changed, e->size, max_size > size ? e->size + (max_size - size) : e->size);
	e->data = changed;
	if (e->method == 0) {
		e->full = e->size;
		e->crc = (uint32_t)crc32(0, changed, e->size);
	}
	put_together(&out, entries, count);
	if (!out.failed && out.len <= max_size) {
		size = out.len;
		memcpy(data, out.data, size);
	}
	ck_buf_free(&out);
	free(changed);
	return size;
}
