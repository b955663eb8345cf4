/* The tensors of a checkpoint by key, by file name and by place in a listing (private.h, forms.h). */
#include "core/pt/hf.h"
#include "core/pt/private.h"

#include "core/base/keyname.h"
#include "core/pt/forms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_KEPT ((size_t)32 << 20)     /* bytes of keys and shapes: model.tsv is made of them in memory */
#define MAX_SAME_NAME 100u      /* tensors of one path: a free name is found by trying */

/* The slot of KEY, or the free slot where KEY goes. */
static size_t slot_of(const struct ck_checkpoint *c, const char *key, size_t len)
{
	size_t mask = c->index_size - 1;
	size_t slot = ck_hash_keyed(&c->hash_key, key, len) & mask;

	for (; c->index[slot]; slot = (slot + 1) & mask) {
		const struct ck_tensor *t = &c->tensors[c->index[slot] - 1];

		if (t->key_len == len && memcmp(t->key, key, len) == 0)
			break;
	}
	return slot;
}

int64_t ck_checkpoint_find_key(const struct ck_checkpoint *c, const char *key, size_t len)
{
	return c->count ? (int64_t)c->index[slot_of(c, key, len)] - 1 : -1;
}

/* Room for one more tensor and for it in the index. */
static int grow(struct ck_checkpoint *c, struct ck_error *err)
{
	size_t cap = c->cap ? c->cap * 2 : 64;
	size_t more = (cap - c->cap) * (sizeof(*c->tensors) + 2 * sizeof(*c->index));
	struct ck_tensor *tensors;
	uint32_t *index;

	if (c->count < c->cap)
		return CK_OK;
	if (c->count >= CK_MAX_TENSORS)
		return ck_fail(err, CK_ERR_LIMIT, "more than %u tensors", CK_MAX_TENSORS);
	if (!ck_budget_take(&c->budget, more))
		return ck_fail_room(err);
	tensors = realloc(c->tensors, cap * sizeof(*tensors));
	if (!tensors)
		return ck_fail_nomem(err);
	c->tensors = tensors;
	index = calloc(cap * 2, sizeof(*index));
	if (!index)
		return ck_fail_nomem(err);
	free(c->index);
	c->index = index;
	c->index_size = cap * 2;
	c->cap = cap;
	for (size_t i = 0; i < c->count; i++)
		index[slot_of(c, tensors[i].key, tensors[i].key_len)] = (uint32_t)i + 1;
	return CK_OK;
}

/* The first of KEY~2, KEY~3, ... that is free. */
static char *free_name(struct ck_checkpoint *c, const char *key, size_t *len, struct ck_error *err)
{
	char *name = ck_arena_alloc(c->arena, *len + 16);

	if (!name) {
		ck_fail_room(err);
		return NULL;
	}
	if (*len)
		memcpy(name, key, *len);
	for (unsigned n = 2; n <= MAX_SAME_NAME; n++) {
		size_t tail = (size_t)snprintf(name + *len, 16, "~%u", n);

		if (ck_checkpoint_find_key(c, name, *len + tail) < 0) {
			*len += tail;
			return name;
		}
	}
	ck_error_set(err, CK_ERR_LIMIT, "more than %u tensors of one name", MAX_SAME_NAME);
	return NULL;
}

int ck_checkpoint_add(struct ck_checkpoint *c, const struct ck_tensor *t, const char *key, size_t len, bool replace,
		      int64_t *index, struct ck_error *err)
{
	const char *kept;
	int64_t at;
	int rc;

	if (ck_arena_used(c->arena) > MAX_KEPT)
		return ck_fail(err, CK_ERR_LIMIT, "expected at most %zu MiB of keys and shapes, found more",
			       MAX_KEPT >> 20);
	rc = grow(c, err);
	if (rc)
		return rc;
	at = ck_checkpoint_find_key(c, key, len);
	if (at >= 0 && replace) {
		kept = c->tensors[at].key;
	} else {
		kept = at >= 0 ? free_name(c, key, &len, err) : ck_arena_dup(c->arena, key, len);
		if (!kept)
			return ck_fail_room(err);
		at = (int64_t)c->count;
		c->index[slot_of(c, kept, len)] = (uint32_t)at + 1;
		c->count++;
	}
	c->tensors[at] = *t;
	c->tensors[at].key = kept;
	c->tensors[at].key_len = (uint32_t)len;
	*index = at;
	return CK_OK;
}

static const char *suffix_of(const struct ck_checkpoint *c, size_t i, enum ck_form form)
{
	return form == CK_FORM_RAW ? "" : c->tensors[i].unshown ? ".error" : ".npy";
}

/*
 * A cut name holds a hash of its key instead of the key, so these names are found by that hash. Returns the slot of the
 * tensor whose name in FORM is NAME, or the free slot where it goes (always with NAME NULL).
 */
static size_t cut_slot(const struct ck_checkpoint *c, uint64_t hash, const char *name, enum ck_form form)
{
	size_t mask = c->index_size - 1, slot = ck_hash_keyed(&c->hash_key, &hash, sizeof(hash)) & mask;
	char other[CK_NAME_MAX + 1];

	for (; c->cut_index[slot]; slot = (slot + 1) & mask) {
		if (!name)
			continue;
		ck_checkpoint_name(c, c->cut_index[slot] - 1, form, other);
		if (strcmp(name, other) == 0)
			break;
	}
	return slot;
}

static int index_cut_name(struct ck_checkpoint *c, size_t i, struct ck_error *err)
{
	const struct ck_tensor *t = &c->tensors[i];

	if (!c->cut_index)
		c->cut_index = calloc(c->index_size, sizeof(*c->cut_index));
	if (!c->cut_index)
		return ck_fail_nomem(err);
	c->cut_index[cut_slot(c, ck_hash(t->key, t->key_len, 0), NULL, CK_FORM_NPY)] = (uint32_t)i + 1;
	return CK_OK;
}

static int list_unshown(struct ck_checkpoint *c, struct ck_error *err)
{
	size_t count = 0;

	for (size_t i = 0; i < c->count; i++)
		count += c->tensors[i].unshown != CK_SHOWN;
	if (count == 0)
		return CK_OK;
	c->unshown = malloc(count * sizeof(*c->unshown));
	if (!c->unshown)
		return ck_fail_nomem(err);
	for (size_t i = 0; i < c->count; i++)
		if (c->tensors[i].unshown)
			c->unshown[c->unshown_count++] = (uint32_t)i;
	return CK_OK;
}

int ck_checkpoint_finish(struct ck_checkpoint *c, struct ck_error *err)
{
	int rc = list_unshown(c, err);

	for (size_t i = 0; i < c->count && !rc; i++) {
		/* Escaping makes at most three bytes of one; ".error" is the longest suffix. */
		if (c->tensors[i].key_len > CK_NAME_MAX / 3 - 6)
			rc = index_cut_name(c, i, err);
	}
	return rc;
}

size_t ck_checkpoint_files(const struct ck_checkpoint *c, enum ck_form form)
{
	return c->count - (form == CK_FORM_RAW ? c->unshown_count : 0);
}

/* unshown[k] - k shown tensors stand before the k-th unshown one. */
size_t ck_checkpoint_at(const struct ck_checkpoint *c, enum ck_form form, size_t position)
{
	size_t low = 0, high = form == CK_FORM_RAW ? c->unshown_count : 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (c->unshown[mid] - mid <= position)
			low = mid + 1;
		else
			high = mid;
	}
	return position + low;
}

size_t ck_checkpoint_name(const struct ck_checkpoint *c, size_t i, enum ck_form form, char *name)
{
	return ck_key_to_name(c->tensors[i].key, c->tensors[i].key_len, suffix_of(c, i, form), name);
}

static int64_t find_with(const struct ck_checkpoint *c, const char *name, enum ck_form form, const char *suffix)
{
	char key[CK_NAME_MAX + 1];
	int64_t found = -1;
	uint64_t hash;
	size_t len;

	if (ck_name_to_key(name, suffix, key, &len))
		found = ck_checkpoint_find_key(c, key, len);
	if (found >= 0 || !c->cut_index || !ck_name_is_cut(name, suffix))
		return found;
	/* strtoull stops at the suffix: no suffix begins with a hex digit. */
	hash = strtoull(name + strlen(name) - strlen(suffix) - 16, NULL, 16);
	return (int64_t)c->cut_index[cut_slot(c, hash, name, form)] - 1;
}

int64_t ck_checkpoint_find(const struct ck_checkpoint *c, const char *name, enum ck_form form)
{
	const char *suffix = form == CK_FORM_RAW ? "" : ".npy";
	int64_t i = find_with(c, name, form, suffix);

	if (i < 0 && c->unshown && form != CK_FORM_RAW) {
		suffix = ".error";
		i = find_with(c, name, form, suffix);
	}
	if (i < 0)
		return -1;
	/* A tensor has one name in a form: KEY.npy or KEY.error. The other one finds nothing. */
	if (form == CK_FORM_RAW && c->tensors[i].unshown != CK_SHOWN)
		return -1;
	if (form != CK_FORM_RAW && strcmp(suffix, suffix_of(c, (size_t)i, form)) != 0)
		return -1;
	return i;
}

size_t ck_checkpoint_memory(const struct ck_checkpoint *c)
{
	size_t indexes = c->cut_index ? 2 : 1;

	return sizeof(*c) + ck_arena_used(c->arena) + c->cap * sizeof(*c->tensors) +
	       indexes * c->index_size * sizeof(*c->index) + c->unshown_count * sizeof(*c->unshown) + c->outline.cap +
	       (c->hf ? sizeof(*c->hf) + c->hf->config.cap + c->hf->generation.cap : 0) +
	       (c->archive ? ck_archive_memory(c->archive) : 0);
}
