/* What is known of a .pt without a read for each of its entries. Implements ends.h. */
#include "core/zip/ends.h"

#include "core/file/origin.h"
#include "core/zip/impl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* Where torch lets a storage begin. */
#define ALIGNMENT 64u

/* The beginning of a file is read with so many bytes behind the pickle: more small records, and nanochat's lambdas. */
#define BEHIND_PICKLE ((uint64_t)16 << 10)
/* A longer beginning isn't kept: the pickle of a model of a thousand tensors is 100 KB. */
#define LONGEST ((uint64_t)256 << 10)

/* A reader's first request is seldom longer. */
#define FIRST ((uint64_t)64 << 10)

const struct ck_zipbytes *ck_archive_end_at(const struct ck_archive *archive, uint64_t offset)
{
	for (size_t i = 0; i < 2; i++)
		if (archive->ends[i].bytes && ck_zipbytes_have(&archive->ends[i], offset, 1))
			return &archive->ends[i];
	return NULL;
}

void ck_archive_keep_end(struct ck_archive *archive, size_t which, uint64_t offset, const void *bytes, size_t len)
{
	uint8_t *copy = len ? malloc(len) : NULL;

	if (!copy)
		return;
	memcpy(copy, bytes, len);
	free((void *)archive->ends[which].bytes);
	archive->ends[which] = (struct ck_zipbytes){ copy, offset, len };
}

void ck_archive_prefetch(const struct ck_file *file)
{
	uint64_t size = ck_file_size(file);

	/* The kernel rounds to pages. */
	if (size > CK_ZIP_TAIL)
		posix_fadvise(ck_file_fd(file), (off_t)(size - CK_ZIP_TAIL), CK_ZIP_TAIL, POSIX_FADV_WILLNEED);
	posix_fadvise(ck_file_fd(file), 0, 2 * BEHIND_PICKLE, POSIX_FADV_WILLNEED);
}

void ck_archive_prefetch_entry(const struct ck_archive *archive, size_t i)
{
	const struct ck_slot *slot = &archive->slots[i];
	uint64_t start = slot->entry.header_offset, len = slot->limit - start;

	if (slot->entry.method == CK_ZIP_STORED &&
	    atomic_load_explicit(&slot->offset, memory_order_relaxed) == CK_UNPLACED)
		ck_stream_prefetch(archive->file, start, len < FIRST ? len : FIRST);
}

int ck_archive_read_beginning(struct ck_archive *archive, size_t pickle, struct ck_error *err)
{
	const struct ck_entry *e = &archive->slots[pickle].entry;
	uint64_t start = e->header_offset, end = archive->slots[pickle].limit, most = archive->records_start;
	uint8_t *bytes;
	int rc;

	end = most - end < BEHIND_PICKLE ? most : end + BEHIND_PICKLE;
	if (end - start > LONGEST || ck_archive_end_at(archive, start))
		return CK_OK;
	bytes = malloc((size_t)(end - start));
	rc = bytes ? ck_file_read(archive->file, start, bytes, (size_t)(end - start), err) : ck_fail_nomem(err);
	if (!rc)
		rc = ck_file_verify(archive->file, err);
	if (!rc)
		ck_archive_keep_end(archive, 1, start, bytes, (size_t)(end - start));
	else
		ck_error_subject(err, e->name, strlen(e->name));
	free(bytes);
	return rc;
}

void ck_archive_forget_ends(struct ck_archive *archive)
{
	for (size_t i = 0; i < 2; i++) {
		free((void *)archive->ends[i].bytes);
		archive->ends[i] = (struct ck_zipbytes){ 0 };
	}
}

bool ck_archive_expect(const struct ck_archive *archive, size_t i, uint64_t *offset)
{
	/* The longer one has sizes of 64 bits. At most one of both leaves the bytes where they can begin. */
	static const uint64_t descriptors[] = { 16, 24 }, none[] = { 0 };
	const struct ck_slot *slot = &archive->slots[i];
	const struct ck_entry *e = &slot->entry;
	bool described = (slot->flags & CK_ZIP_DESCRIPTOR) != 0;
	uint64_t least = e->header_offset + CK_ZIP_LOCAL_SIZE + archive->top_len + strlen(e->name), room;

	room = slot->limit - least;
	for (size_t k = 0; k < (described ? 2 : 1) && e->method == CK_ZIP_STORED; k++) {
		uint64_t behind = described ? descriptors[k] : none[k];

		if (room < e->size || room - e->size < behind || room - e->size - behind > UINT16_MAX)
			continue;
		*offset = slot->limit - behind - e->size;
		if (*offset % ALIGNMENT == 0)
			return true;
	}
	return false;
}
