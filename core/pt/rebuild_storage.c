/* Finds the record in the zip of a storage, by its persistent id (impl.h, rebuild.h). */
#include "core/pt/impl.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_KEY 64

static int64_t storage_dtype(const struct ck_value *type)
{
	if (type->kind != CK_GLOBAL)
		return -1;
	if (type->i == CK_G_UNTYPED_STORAGE)
		return CK_U8;
	if (type->i >= CK_G_STORAGE && type->i < CK_G_TENSOR_CLASS)
		return (type->i - CK_G_STORAGE) % CK_DTYPE_COUNT;
	return -1;
}

static int bad_id(struct ck_error *err)
{
	return ck_fail(err, CK_ERR_CORRUPT, "expected a storage, ('storage', type, key, location, numel)");
}

/* Checks that the file declares this storage the same way everywhere. Empty storages may differ: they hold nothing. */
static int declare(struct ck_declared *d, int64_t dtype, int64_t numel, const char *name, struct ck_error *err)
{
	if (numel == 0)
		return CK_OK;
	if (!d->seen)
		*d = (struct ck_declared){ .numel = (uint64_t)numel, .dtype = (uint8_t)dtype, .seen = true };
	if (d->numel == (uint64_t)numel && d->dtype == dtype)
		return CK_OK;
	return ck_fail(err, CK_ERR_CORRUPT,
		       "its storage '%s' is declared twice: as %" PRIu64 " elements of %s, and as %" PRId64 " of %s",
		       name, d->numel, ck_dtype_info(d->dtype)->torch, numel,
		       ck_dtype_info((enum ck_dtype)dtype)->torch);
}

/* Finds the record NAME, of at least NUMEL elements. torch.save rounds the number down, so the record may be longer. */
static int find_record(struct ck_rebuilder *r, const char *name, int64_t dtype, int64_t numel, struct ck_tensor *t,
		       struct ck_error *err)
{
	unsigned width = ck_dtype_info((enum ck_dtype)dtype)->width;
	int64_t entry = ck_archive_find(r->archive, name);
	uint64_t bytes, stored;

	r->missing = entry < 0;
	if (entry < 0)
		return ck_fail(err, CK_ERR_CORRUPT, "its storage '%s' is not in the file", name);
	stored = ck_archive_entry(r->archive, (size_t)entry)->size;
	if (__builtin_mul_overflow((uint64_t)numel, width, &bytes))
		return ck_fail(err, CK_ERR_CORRUPT, "expected fewer bytes than 2^64 in storage '%s', found more", name);
	r->missing = bytes > stored;
	if (bytes > stored)
		return ck_fail(err, CK_ERR_CORRUPT,
			       "its storage '%s' should hold %" PRId64 " elements of %u bytes, found %" PRIu64 " bytes",
			       name, numel, width, stored);
	t->source = CK_SRC_ARCHIVE;
	t->archive = r->archive;
	t->entry = (uint32_t)entry;
	t->stored_dtype = t->dtype = (uint8_t)dtype;
	return declare(&r->declared[entry], dtype, numel, name, err);
}

int ck_rebuild_find(struct ck_rebuilder *r, const struct ck_value *v, struct ck_tensor *t, uint64_t *numel,
		    struct ck_error *err)
{
	const struct ck_value *id = v->kind == CK_PERSID ? v->items : NULL, *p;
	char name[NAME_MAX_KEY];
	int64_t dtype;

	if (!id || id->kind != CK_TUPLE || id->len != 5 || !ck_value_is_str(&id->items[0], "storage"))
		return bad_id(err);
	p = id->items;
	dtype = storage_dtype(&p[1]);
	if (dtype < 0 || (p[2].kind != CK_STR && p[2].kind != CK_INT) || p[4].kind != CK_INT || p[4].i < 0)
		return bad_id(err);
	*numel = (uint64_t)p[4].i;
	/* torch names the record by str(key). */
	if (p[2].kind == CK_INT) {
		snprintf(name, sizeof(name), "data/%" PRId64, p[2].i);
		return find_record(r, name, dtype, p[4].i, t, err);
	}
	if (p[2].len >= sizeof(name) - 5 || memchr(p[2].s, '\0', p[2].len))
		return ck_fail(err, CK_ERR_CORRUPT, "a storage key of %" PRIu32 " bytes", p[2].len);
	snprintf(name, sizeof(name), "data/%.*s", (int)p[2].len, p[2].s);
	return find_record(r, name, dtype, p[4].i, t, err);
}

static int find_marked(struct ck_rebuilder *r, const struct ck_value *v, struct ck_tensor *t, uint64_t *numel,
		       struct ck_error *err)
{
	int rc;

	r->missing = false;
	rc = ck_rebuild_find(r, v, t, numel, err);
	if (rc && !r->missing)
		ck_error_refused(err);
	return rc;
}

int ck_rebuild_check(struct ck_rebuilder *r, const struct ck_value *v, struct ck_error *err)
{
	struct ck_tensor t = { 0 };
	uint64_t numel;

	return find_marked(r, v, &t, &numel, err);
}

int ck_rebuild_storage(struct ck_rebuilder *r, const struct ck_value *v, struct ck_tensor *t, struct ck_error *err)
{
	uint64_t numel = 0;
	int64_t *shape;
	int rc;

	*t = (struct ck_tensor){ .storage = true };
	rc = find_marked(r, v, t, &numel, err);
	if (rc)
		return rc;
	shape = ck_arena_alloc(r->arena, sizeof(*shape));
	if (!shape)
		return ck_fail(err, CK_ERR_LIMIT, "shapes that need more memory than a checkpoint may");
	*shape = (int64_t)numel;
	t->shape = shape;
	t->ndim = 1;
	t->numel = numel;
	t->swap = r->big_endian && ck_dtype_info(t->dtype)->swap > 1;
	if (t->dtype >= CK_DTYPE_ARRAYS)
		t->unshown = CK_UNSHOWN_DTYPE;
	return CK_OK;
}
