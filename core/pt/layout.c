/* A .pt as a view: zip headers made, tensors by their extents. Implements layout.h. */
#include "core/pt/layout.h"

#include "core/base/buf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ALIGNMENT 64u           /* of the bytes of every entry in the file, as torch has it */
#define PADDING_ID 0x4246u      /* "FB", torch's */
#define ZIP64_ID 0x0001u
#define DOS_DATE 0x21u          /* the first there is: no date */
#define LOCAL_HEADER 30u
#define SMALL UINT32_MAX        /* sizes and offsets from here on are in a zip64 field */

struct laying {
	struct ck_view *view;
	const char *top;
	struct ck_buf bytes;    /* headers that are not in the view yet */
	struct ck_buf central;
	uint64_t entries;
	struct ck_error *err;
};

/* What local and central headers have in common, from "version needed" to "file name length". */
static void put_common(struct ck_buf *out, bool zip64, bool big, uint64_t size, size_t name_len)
{
	ck_buf_le16(out, zip64 ? 45 : 20);
	ck_buf_le16(out, 0);            /* no flags */
	ck_buf_le16(out, 0);            /* stored */
	ck_buf_le16(out, 0);
	ck_buf_le16(out, DOS_DATE);
	ck_buf_le32(out, 0);            /* no CRC */
	ck_buf_le32(out, big ? SMALL : (uint32_t)size);
	ck_buf_le32(out, big ? SMALL : (uint32_t)size);
	ck_buf_le16(out, (uint16_t)name_len);
}

static void put_central(struct laying *l, const char *name, size_t len, uint64_t size, uint64_t header)
{
	bool big = size >= SMALL, far = header >= SMALL;
	struct ck_buf *out = &l->central;

	ck_buf_le32(out, 0x02014b50);
	ck_buf_le16(out, 45);
	put_common(out, big || far, big, size, len);
	ck_buf_le16(out, (uint16_t)(big || far ? 4 + 16 * big + 8 * far : 0));
	ck_buf_fill(out, 0, 2 + 2 + 2 + 4);     /* no comment; disk 0; no attributes */
	ck_buf_le32(out, far ? SMALL : (uint32_t)header);
	ck_buf_append(out, name, len);
	if (!big && !far)
		return;
	ck_buf_le16(out, ZIP64_ID);
	ck_buf_le16(out, (uint16_t)(16 * big + 8 * far));
	if (big) {
		ck_buf_le64(out, size);
		ck_buf_le64(out, size);
	}
	if (far)
		ck_buf_le64(out, header);
}

/* The headers of the entry TOP/NAME of SIZE bytes, which come next. */
static void put_entry(struct laying *l, const char *name, uint64_t size)
{
	uint64_t header = ck_view_size(l->view) + l->bytes.len, data;
	bool big = size >= SMALL;
	char path[320];
	size_t len = (size_t)snprintf(path, sizeof(path), "%s/%s", l->top, name);
	uint16_t padding;

	data = header + LOCAL_HEADER + len + (big ? 20 : 0) + 4;
	padding = (uint16_t)(-data % ALIGNMENT);
	ck_buf_le32(&l->bytes, 0x04034b50);
	put_common(&l->bytes, big, big, size, len);
	ck_buf_le16(&l->bytes, (uint16_t)((big ? 20 : 0) + 4 + padding));
	ck_buf_append(&l->bytes, path, len);
	if (big) {
		ck_buf_le16(&l->bytes, ZIP64_ID);
		ck_buf_le16(&l->bytes, 16);
		ck_buf_le64(&l->bytes, size);
		ck_buf_le64(&l->bytes, size);
	}
	ck_buf_le16(&l->bytes, PADDING_ID);
	ck_buf_le16(&l->bytes, padding);
	ck_buf_fill(&l->bytes, 0, padding);
	put_central(l, path, len, size, header);
	l->entries++;
}

static void put_small(struct laying *l, const char *name, const void *data, size_t len)
{
	put_entry(l, name, len);
	ck_buf_append(&l->bytes, data, len);
}

static void put_end(struct laying *l)
{
	uint64_t start = ck_view_size(l->view) + l->bytes.len, size = l->central.len, end = start + size;
	bool zip64 = start >= SMALL || size >= SMALL || l->entries >= UINT16_MAX;
	uint16_t count = (uint16_t)(l->entries < UINT16_MAX ? l->entries : UINT16_MAX);
	struct ck_buf *out = &l->bytes;

	ck_buf_append(out, l->central.data, l->central.len);
	if (zip64) {
		ck_buf_le32(out, 0x06064b50);
		ck_buf_le64(out, 44);
		ck_buf_le16(out, 45);
		ck_buf_le16(out, 45);
		ck_buf_fill(out, 0, 8);
		ck_buf_le64(out, l->entries);
		ck_buf_le64(out, l->entries);
		ck_buf_le64(out, size);
		ck_buf_le64(out, start);
		ck_buf_le32(out, 0x07064b50);
		ck_buf_le32(out, 0);
		ck_buf_le64(out, end);
		ck_buf_le32(out, 1);
	}
	ck_buf_le32(out, 0x06054b50);
	ck_buf_fill(out, 0, 4);
	ck_buf_le16(out, count);
	ck_buf_le16(out, count);
	ck_buf_le32(out, zip64 && size >= SMALL ? SMALL : (uint32_t)size);
	ck_buf_le32(out, zip64 && start >= SMALL ? SMALL : (uint32_t)start);
	ck_buf_le16(out, 0);
}

/* Record data/I. */
static int put_storage(struct laying *l, const struct ck_tensor *t, size_t i)
{
	char name[32];
	int rc;

	snprintf(name, sizeof(name), "data/%zu", i);
	put_entry(l, name, ck_tensor_nbytes(t));
	rc = ck_view_add_buf(l->view, &l->bytes, l->err);
	if (!rc)
		rc = ck_view_add_tensor(l->view, t, l->err);
	ck_error_subject(l->err, t->key, t->key_len);
	return rc;
}

int ck_layout_add(struct ck_view *view, const struct ck_save *save, struct ck_error *err)
{
	struct laying l = { .view = view, .top = save->top, .err = err };
	struct ck_buf pickle = CK_BUF_INIT;
	int rc = strlen(save->top) > 255 ? ck_fail(err, CK_ERR_INVALID, "the name of the archive is too long")
					 : ck_save_pickle(save, &pickle, err);

	if (!rc && pickle.failed)
		rc = ck_fail_nomem(err);
	if (!rc) {
		put_small(&l, "data.pkl", pickle.data, pickle.len);
		put_small(&l, "byteorder", "little", 6);
	}
	for (size_t i = 0; i < save->count && !rc; i++)
		rc = put_storage(&l, &save->tensors[i], i);
	if (!rc) {
		put_small(&l, "version", "3\n", 2);
		put_end(&l);
		rc = l.central.failed ? ck_fail_nomem(err) : ck_view_add_buf(view, &l.bytes, err);
	}
	ck_buf_free(&pickle);
	ck_buf_free(&l.bytes);
	ck_buf_free(&l.central);
	return rc;
}
