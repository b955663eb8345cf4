#include "core/zip/impl.h"

#include "core/zip/dir.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static unsigned char folded(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* A block at a time, each with the hash of those before it. */
static uint64_t hash_folded(const struct ck_archive *archive, const char *name)
{
	unsigned char block[sizeof(uint64_t) + 64];
	uint64_t hash = 0;
	size_t len;

	do {
		memcpy(block, &hash, sizeof(hash));
		for (len = sizeof(hash); len < sizeof(block) && *name; name++)
			block[len++] = folded(*name);
		hash = ck_hash_keyed(&archive->key, block, len);
	} while (*name);
	return hash;
}

static bool same_folded(const char *a, const char *b)
{
	while (*a && folded(*a) == folded(*b)) {
		a++;
		b++;
	}
	return folded(*a) == folded(*b);
}

uint32_t *ck_archive_index_at(const struct ck_archive *archive, const char *name)
{
	size_t at = (size_t)hash_folded(archive, name) & archive->mask;

	while (archive->index[at] != CK_NO_SLOT &&
	       !same_folded(archive->slots[archive->index[at]].entry.name, name))
		at = (at + 1) & archive->mask;
	return &archive->index[at];
}

struct ck_archive *ck_archive_ref(struct ck_archive *archive)
{
	atomic_fetch_add_explicit(&archive->refs, 1, memory_order_relaxed);
	return archive;
}

struct ck_archive *ck_archive_unref(struct ck_archive *archive)
{
	if (!archive || atomic_fetch_sub_explicit(&archive->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	for (size_t i = 0; i < archive->count; i++) {
		ck_file_unref(archive->slots[i].inflated);
		free(atomic_load_explicit(&archive->slots[i].failure, memory_order_relaxed));
	}
	ck_inflater_free(archive->inflater);
	pthread_mutex_destroy(&archive->inflating);
	ck_file_unref(archive->file);
	free(archive->slots);
	free(archive->index);
	free(archive->names);
	free(archive);
	return NULL;
}

size_t ck_archive_count(const struct ck_archive *archive)
{
	return archive->count;
}

size_t ck_archive_memory(const struct ck_archive *archive)
{
	return sizeof(*archive) + archive->count * sizeof(*archive->slots) + archive->names_len +
	       (archive->mask + 1) * sizeof(*archive->index);
}

const struct ck_entry *ck_archive_entry(const struct ck_archive *archive, size_t i)
{
	return &archive->slots[i].entry;
}

int64_t ck_archive_find(const struct ck_archive *archive, const char *name)
{
	uint32_t slot = *ck_archive_index_at(archive, name);

	return slot == CK_NO_SLOT || strcmp(archive->slots[slot].entry.name, name) != 0 ? -1 : (int64_t)slot;
}

struct ck_file *ck_archive_file(const struct ck_archive *archive)
{
	return archive->file;
}

static int local_offset(const struct ck_archive *archive, const struct ck_slot *slot, uint64_t *offset,
			struct ck_error *err)
{
	const struct ck_entry *e = &slot->entry;
	const struct ck_ziprecord rec = {
		.name = e->name - archive->top_len,
		.name_len = archive->top_len + strlen(e->name),
		.size = e->size,
		.stored_size = e->stored_size,
		.header_offset = e->header_offset,
		.crc = e->crc,
		.method = e->method,
		.flags = slot->flags,
	};
	int rc = ck_zipdir_local(archive->file, &rec, offset, err);

	if (!rc && (*offset > slot->limit || e->stored_size > slot->limit - *offset))
		rc = ck_fail(err, CK_ERR_CORRUPT,
			     "%" PRIu64 " bytes at %" PRIu64 " do not end before the next entry at %" PRIu64,
			     e->stored_size, *offset, slot->limit);
	return rc;
}

static int sink_to_file(void *to, uint64_t offset, const void *data, size_t len, struct ck_error *err)
{
	const int *fd = to;

	return ck_write_full(*fd, offset, data, len, err);
}

static int sink_to_memory(void *to, uint64_t offset, const void *data, size_t len, struct ck_error *err)
{
	(void)err;
	memcpy((char *)to + offset, data, len);
	return CK_OK;
}

/* Under the lock `inflating`. */
static int inflate_entry(struct ck_archive *archive, const struct ck_slot *slot, ck_inflate_sink *sink,
			 void *to, struct ck_error *err)
{
	uint64_t data = 0;
	int rc;

	if (slot->entry.size > CK_ARCHIVE_MAX_INFLATED)
		return ck_fail(err, CK_ERR_LIMIT, "inflates to %" PRIu64 " bytes; at most %" PRIu64 " are allowed",
			       slot->entry.size, CK_ARCHIVE_MAX_INFLATED);
	rc = local_offset(archive, slot, &data, err);
	if (!rc && !archive->inflater)
		rc = ck_inflater_new(archive->file, &archive->inflater, err);
	if (!rc)
		rc = ck_inflate(archive->inflater, slot->zip_index, data, slot->entry.size, sink, to, err);
	return rc;
}

static int place_deflated(struct ck_archive *archive, struct ck_slot *slot, struct ck_error *err)
{
	int fd = -1, rc = CK_OK;

	pthread_mutex_lock(&archive->inflating);
	if (atomic_load_explicit(&slot->offset, memory_order_relaxed) != CK_UNPLACED)
		goto out;
	rc = ck_unnamed_file(&fd, err);
	if (!rc)
		rc = inflate_entry(archive, slot, sink_to_file, &fd, err);
	if (!rc)
		rc = ck_file_verify(archive->file, err);
	if (rc)
		goto out;
	rc = ck_file_from_fd(fd, "temporary file", &slot->inflated, err);
	fd = -1;
	if (!rc)
		atomic_store_explicit(&slot->offset, 0, memory_order_release);
out:
	pthread_mutex_unlock(&archive->inflating);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int place_stored(struct ck_archive *archive, struct ck_slot *slot, struct ck_error *err)
{
	uint64_t offset = 0;
	int rc = local_offset(archive, slot, &offset, err);

	if (!rc)
		rc = ck_file_verify(archive->file, err);
	if (!rc)
		atomic_store_explicit(&slot->offset, offset, memory_order_release);
	return rc;
}

/* Says what is wrong with the entry, and where. Kept if the bytes decided it: a full disk may have room later. */
static int refuse(struct ck_archive *archive, struct ck_slot *slot, const struct ck_error *found,
		  struct ck_error *err)
{
	const struct ck_entry *e = &slot->entry;
	struct ck_error own = *found, *keep = NULL, *none = NULL;

	/* Bytes that make no sense may be those of a file that is being rewritten. */
	if (own.code == CK_ERR_CORRUPT && ck_file_verify(archive->file, NULL)) {
		ck_error_clear(&own);
		ck_file_verify(archive->file, &own);
	}
	ck_error_file(&own, ck_file_name(archive->file));
	ck_error_subject(&own, e->name, strlen(e->name));
	if (own.code == CK_ERR_CORRUPT || own.code == CK_ERR_UNSUPPORTED)
		keep = malloc(sizeof(*keep));
	if (keep) {
		*keep = own;
		if (!atomic_compare_exchange_strong(&slot->failure, &none, keep))
			free(keep);
	}
	if (err && !err->code)
		*err = own;
	return (int)own.code;
}

int ck_archive_locate(struct ck_archive *archive, size_t i, struct ck_file **file, uint64_t *offset,
		      struct ck_error *err)
{
	struct ck_slot *slot = &archive->slots[i];
	const struct ck_error *failure = atomic_load_explicit(&slot->failure, memory_order_acquire);
	struct ck_error found = CK_ERROR_INIT;
	int rc = CK_OK;

	if (failure) {
		if (err && !err->code)
			*err = *failure;
		return (int)failure->code;
	}
	*offset = atomic_load_explicit(&slot->offset, memory_order_acquire);
	if (*offset == CK_UNPLACED) {
		if (slot->entry.method == CK_ZIP_DEFLATED)
			rc = place_deflated(archive, slot, &found);
		else
			rc = place_stored(archive, slot, &found);
		if (rc)
			return refuse(archive, slot, &found, err);
		*offset = atomic_load_explicit(&slot->offset, memory_order_acquire);
	}
	*file = slot->inflated ? slot->inflated : archive->file;
	return CK_OK;
}

bool ck_archive_is_located(const struct ck_archive *archive, size_t i)
{
	const struct ck_slot *slot = &archive->slots[i];

	return atomic_load_explicit(&slot->offset, memory_order_acquire) != CK_UNPLACED ||
	       atomic_load_explicit(&slot->failure, memory_order_acquire);
}

static int load_deflated(struct ck_archive *archive, struct ck_slot *slot, char *to, struct ck_error *err)
{
	int rc;

	pthread_mutex_lock(&archive->inflating);
	rc = inflate_entry(archive, slot, sink_to_memory, to, err);
	pthread_mutex_unlock(&archive->inflating);
	return rc;
}

static int load_stored(struct ck_archive *archive, size_t i, char *to, struct ck_error *err)
{
	struct ck_file *file = NULL;
	uint64_t offset = 0;
	int rc = ck_archive_locate(archive, i, &file, &offset, err);

	return rc ? rc : ck_file_read(file, offset, to, (size_t)archive->slots[i].entry.size, err);
}

int ck_archive_load(struct ck_archive *archive, size_t i, size_t max, char **out, size_t *len,
		    struct ck_error *err)
{
	struct ck_slot *slot = &archive->slots[i];
	const struct ck_entry *e = &slot->entry;
	struct ck_error found = CK_ERROR_INIT;
	char *data = NULL;
	uint32_t crc = 0;
	int rc;

	if (e->size > max || e->size == SIZE_MAX)
		rc = ck_fail(&found, CK_ERR_LIMIT, "%" PRIu64 " bytes; at most %zu are read", e->size, max);
	else if (!(data = malloc((size_t)e->size + 1)))
		rc = ck_fail_nomem(&found);
	else if (e->method == CK_ZIP_DEFLATED)
		rc = load_deflated(archive, slot, data, &found);
	else
		rc = load_stored(archive, i, data, &found);
	if (!rc)
		rc = ck_file_verify(archive->file, &found);
	if (!rc)
		crc = (uint32_t)crc32_z(0, (const uint8_t *)data, (size_t)e->size);
	if (!rc && crc != e->crc)
		rc = ck_fail(&found, CK_ERR_CORRUPT, "its CRC is %08x, not %08x", crc, e->crc);
	if (rc) {
		free(data);
		return refuse(archive, slot, &found, err);
	}
	data[e->size] = '\0';
	*out = data;
	*len = (size_t)e->size;
	return CK_OK;
}
