/* archive - the entries of a .pt once it is open. Implements core/zip/archive.h; zip/open.c opens it. */
#include "core/zip/impl.h"

#include "core/file/fd.h"
#include "core/zip/dir.h"
#include "core/zip/ends.h"
#include "core/zip/inflate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* A record comes with its local header in one read, which has room for so much padding there. */
#define STORED_PADDING 4096u
/* And so many bytes of a deflated one are read with its header. */
#define DEFLATED_AT_ONCE 65536u

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
		ck_scratch_drop(archive->scratch, &archive->slots[i].block);
		free(atomic_load_explicit(&archive->slots[i].failure, memory_order_relaxed));
	}
	if (archive->own_scratch)
		ck_scratch_free(archive->scratch);
	ck_archive_forget_ends(archive);
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

static int local_offset(const struct ck_archive *archive, const struct ck_slot *slot, const struct ck_zipbytes *seen,
			uint64_t *offset, struct ck_error *err)
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
	int rc = ck_zipdir_local(archive->file, &rec, seen, offset, err);

	if (!rc && (*offset > slot->limit || e->stored_size > slot->limit - *offset))
		rc = ck_fail(err, CK_ERR_CORRUPT,
			     "%" PRIu64 " bytes at %" PRIu64 " do not end before the next entry at %" PRIu64,
			     e->stored_size, *offset, slot->limit);
	return rc;
}

/* Reads the local header, and what is behind it up to the next entry: MAX bytes at most, to BYTES. */
static int read_head(const struct ck_archive *archive, const struct ck_slot *slot, uint8_t *bytes, size_t max,
		     struct ck_zipbytes *seen, uint64_t *offset, struct ck_error *err)
{
	uint64_t start = slot->entry.header_offset, len = slot->limit - start < max ? slot->limit - start : max;
	int rc = ck_zipbytes_read(archive->file, ck_archive_end_at(archive, start), start, bytes, (size_t)len, err);

	*seen = (struct ck_zipbytes){ .bytes = bytes, .offset = start, .len = len };
	return rc ? rc : local_offset(archive, slot, seen, offset, err);
}

static int sink_to_block(void *to, uint64_t offset, const void *data, size_t len, struct ck_error *err)
{
	const struct ck_block *block = to;

	return ck_write_full(ck_file_fd(ck_block_file(block)), ck_block_offset(block) + offset, data, len, err);
}

static int sink_to_memory(void *to, uint64_t offset, const void *data, size_t len, struct ck_error *err)
{
	(void)err;
	memcpy((char *)to + offset, data, len);
	return CK_OK;
}

static int check_crc(const struct ck_archive *archive, const struct ck_entry *e, uint32_t crc, struct ck_error *err)
{
	if (archive->no_crcs || crc == e->crc)
		return CK_OK;
	return ck_fail(err, CK_ERR_CORRUPT, "its CRC is %08x, not %08x", crc, e->crc);
}

static int inflate_entry(const struct ck_archive *archive, const struct ck_slot *slot, ck_inflate_sink *sink, void *to,
			 struct ck_error *err)
{
	struct ck_deflated what = { .stored_size = slot->entry.stored_size, .size = slot->entry.size };
	uint8_t *bytes = malloc(DEFLATED_AT_ONCE);
	uint32_t crc = 0;
	int rc;

	if (!bytes)
		return ck_fail_nomem(err);
	rc = read_head(archive, slot, bytes, DEFLATED_AT_ONCE, &what.seen, &what.data, err);
	if (!rc)
		rc = ck_inflate(archive->file, &what, sink, to, &crc, err);
	if (!rc)
		rc = check_crc(archive, &slot->entry, crc, err);
	free(bytes);
	return rc;
}

/* Under the lock `inflating`. */
static int fill_block(struct ck_archive *archive, struct ck_slot *slot, struct ck_block **out, struct ck_error *err)
{
	struct ck_block *block = NULL;
	int rc;

	if (slot->entry.size > CK_ARCHIVE_MAX_INFLATED)
		return ck_fail(err, CK_ERR_LIMIT, "inflates to %" PRIu64 " bytes; at most %" PRIu64 " are allowed",
			       slot->entry.size, CK_ARCHIVE_MAX_INFLATED);
	rc = ck_scratch_make(archive->scratch, slot->entry.size, &block, err);
	if (!rc)
		rc = inflate_entry(archive, slot, sink_to_block, block, err);
	if (!rc)
		rc = ck_file_verify(archive->file, err);
	if (rc) {
		ck_block_release(block);
		return rc;
	}
	ck_scratch_put(archive->scratch, block, &slot->block);
	*out = block;
	return CK_OK;
}

static int locate_deflated(struct ck_archive *archive, struct ck_slot *slot, struct ck_origin *origin,
			   struct ck_error *err)
{
	int rc = CK_OK;

	origin->block = ck_scratch_hold(archive->scratch, &slot->block);
	if (!origin->block && origin->now)
		return CK_ERR_AGAIN;
	if (!origin->block) {
		pthread_mutex_lock(&archive->inflating);
		origin->block = ck_scratch_hold(archive->scratch, &slot->block);
		if (!origin->block)
			rc = fill_block(archive, slot, &origin->block, err);
		pthread_mutex_unlock(&archive->inflating);
	}
	if (rc)
		return rc;
	origin->file = ck_block_file(origin->block);
	origin->byte = ck_block_offset(origin->block);
	return CK_OK;
}

static int locate_stored(struct ck_archive *archive, struct ck_slot *slot, struct ck_origin *origin,
			 struct ck_error *err)
{
	uint64_t offset = atomic_load_explicit(&slot->offset, memory_order_relaxed);
	uint64_t header = slot->entry.header_offset;
	int rc = CK_OK;

	if (offset == CK_UNPLACED && origin->now)
		return CK_ERR_AGAIN;
	if (offset == CK_UNPLACED) {
		rc = local_offset(archive, slot, ck_archive_end_at(archive, header), &offset, err);
		if (!rc)
			rc = ck_file_verify(archive->file, err);
		if (rc)
			return rc;
		atomic_store_explicit(&slot->offset, offset, memory_order_relaxed);
	}
	origin->file = archive->file;
	origin->byte = offset;
	return CK_OK;
}

/* Says what is wrong with the entry, and where. It is kept if the bytes are to blame: a full disk may have space later.
   */
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
	ck_error_copy(err, &own);
	return (int)own.code;
}

void ck_archive_set_scratch(struct ck_archive *archive, struct ck_scratch *scratch)
{
	if (archive->own_scratch)
		ck_scratch_free(archive->scratch);
	archive->scratch = scratch;
	archive->own_scratch = false;
}

int ck_archive_locate(struct ck_archive *archive, size_t i, struct ck_origin *origin, struct ck_error *err)
{
	struct ck_slot *slot = &archive->slots[i];
	const struct ck_error *failure = atomic_load_explicit(&slot->failure, memory_order_acquire);
	struct ck_error found = CK_ERROR_INIT;
	int rc;

	origin->block = NULL;
	if (failure) {
		ck_error_copy(err, failure);
		return (int)failure->code;
	}
	if (slot->entry.method == CK_ZIP_DEFLATED)
		rc = locate_deflated(archive, slot, origin, &found);
	else
		rc = locate_stored(archive, slot, origin, &found);
	return !rc || rc == CK_ERR_AGAIN ? rc : refuse(archive, slot, &found, err);
}

bool ck_archive_has_crcs(const struct ck_archive *archive)
{
	return !archive->no_crcs;
}

/* *OUT: the bytes of a stored entry, malloc'ed, with room for a NUL. */
static int load_stored(const struct ck_archive *archive, const struct ck_slot *slot, char **out, struct ck_error *err)
{
	const size_t size = (size_t)slot->entry.size;
	size_t most = CK_ZIP_LOCAL_SIZE + archive->top_len + strlen(slot->entry.name) + STORED_PADDING + size, got;
	uint8_t *bytes = most > size ? malloc(most + 1) : NULL;
	struct ck_zipbytes seen;
	uint64_t offset = 0;
	int rc;

	if (!bytes)
		return ck_fail_nomem(err);
	rc = read_head(archive, slot, bytes, most, &seen, &offset, err);
	if (!rc) {
		offset -= seen.offset;
		got = offset > seen.len ? 0 : seen.len - offset < size ? (size_t)(seen.len - offset) : size;
		memmove(bytes, bytes + (got ? offset : 0), got);
		rc = ck_file_read(archive->file, seen.offset + offset + got, bytes + got, size - got, err);
	}
	if (rc)
		free(bytes);
	else
		*out = (char *)bytes;
	return rc;
}

int ck_archive_load(struct ck_archive *archive, size_t i, size_t max, char **out, size_t *len,
		    struct ck_error *err)
{
	struct ck_slot *slot = &archive->slots[i];
	const struct ck_entry *e = &slot->entry;
	struct ck_error found = CK_ERROR_INIT;
	char *data = NULL;
	int rc;

	if (e->size > max || e->size == SIZE_MAX)
		rc = ck_fail(&found, CK_ERR_LIMIT, "%" PRIu64 " bytes; at most %zu are read", e->size, max);
	else if (e->method == CK_ZIP_STORED)
		rc = load_stored(archive, slot, &data, &found);
	else if (!(data = malloc((size_t)e->size + 1)))
		rc = ck_fail_nomem(&found);
	else
		rc = inflate_entry(archive, slot, sink_to_memory, data, &found);
	/* The file's ends were verified when they were read. */
	if (!rc && !ck_zipbytes_have(ck_archive_end_at(archive, e->header_offset), e->header_offset,
				     slot->limit - e->header_offset))
		rc = ck_file_verify(archive->file, &found);
	if (!rc && e->method == CK_ZIP_STORED)
		rc = check_crc(archive, e, (uint32_t)crc32_z(0, (const uint8_t *)data, (size_t)e->size), &found);
	if (rc) {
		free(data);
		return refuse(archive, slot, &found, err);
	}
	data[e->size] = '\0';
	*out = data;
	*len = (size_t)e->size;
	return CK_OK;
}
