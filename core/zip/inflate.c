/* zipinflate - the bytes of a deflated entry, through zlib. Implements core/zip/inflate.h. */
#include "core/zip/inflate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define IN ((size_t)256 << 10)
#define OUT ((size_t)64 << 10)

struct inflating {
	const struct ck_deflated *e;
	ck_inflate_sink *sink;
	void *to;
	uint64_t done;          /* inflated bytes so far */
	uint32_t crc;           /* of these */
	bool ended;             /* by the stream's last block */
	z_stream z;
	uint8_t in[IN], out[OUT];
};

/* What came out goes to the sink. */
static int pass_on(struct inflating *f, struct ck_error *err)
{
	size_t len = OUT - f->z.avail_out;
	int rc;

	if (len > f->e->size - f->done)
		return ck_fail(err, CK_ERR_CORRUPT, "inflates to more than its %" PRIu64 " bytes", f->e->size);
	rc = f->sink(f->to, f->done, f->out, len, err);
	f->crc = (uint32_t)crc32_z(f->crc, f->out, len);
	f->done += len;
	return rc;
}

/* Inflates the LEN bytes at IN, or as many of them as there are up to the stream's end. */
static int inflate_piece(struct inflating *f, const uint8_t *in, size_t len, struct ck_error *err)
{
	int said, rc = CK_OK;

	f->z.next_in = (Bytef *)in;
	f->z.avail_in = (uInt)len;
	do {
		f->z.next_out = f->out;
		f->z.avail_out = (uInt)OUT;
		said = inflate(&f->z, Z_NO_FLUSH);
		if (said == Z_MEM_ERROR)
			return ck_fail_nomem(err);
		/* Z_BUF_ERROR: it wants more bytes. */
		if (said != Z_OK && said != Z_STREAM_END && said != Z_BUF_ERROR)
			return ck_fail(err, CK_ERR_CORRUPT, "expected deflated bytes, zlib found: %s",
				       f->z.msg ? f->z.msg : zError(said));
		f->ended = said == Z_STREAM_END;
		rc = pass_on(f, err);
	} while (!rc && !f->ended && f->z.avail_out == 0);
	return rc;
}

static int inflate_all(struct inflating *f, const struct ck_file *file, struct ck_error *err)
{
	const struct ck_deflated *e = f->e;
	uint64_t skip = e->data - e->seen.offset, at = skip < e->seen.len ? e->seen.len - skip : 0;
	int rc = CK_OK;

	if (at > e->stored_size)
		at = e->stored_size;
	if (at)
		rc = inflate_piece(f, e->seen.bytes + skip, (size_t)at, err);
	while (!rc && !f->ended && at < e->stored_size) {
		size_t len = e->stored_size - at < IN ? (size_t)(e->stored_size - at) : IN;

		rc = ck_file_read(file, e->data + at, f->in, len, err);
		if (!rc)
			rc = inflate_piece(f, f->in, len, err);
		at += len;
	}
	if (!rc && f->done != e->size)
		rc = ck_fail(err, CK_ERR_CORRUPT, "inflates to %" PRIu64 " bytes, not to %" PRIu64, f->done, e->size);
	return rc;
}

int ck_inflate(const struct ck_file *file, const struct ck_deflated *e, ck_inflate_sink *sink, void *to, uint32_t *crc,
	       struct ck_error *err)
{
	struct inflating *f = malloc(sizeof(*f));
	int rc;

	if (!f)
		return ck_fail_nomem(err);
	f->e = e;
	f->sink = sink;
	f->to = to;
	f->done = 0;
	f->crc = 0;
	f->ended = false;
	memset(&f->z, 0, sizeof(f->z));
	/* Without zlib's header and checksum, which a zip doesn't have. */
	if (inflateInit2(&f->z, -MAX_WBITS) != Z_OK) {
		free(f);
		return ck_fail_nomem(err);
	}
	rc = inflate_all(f, file, err);
	*crc = f->crc;
	inflateEnd(&f->z);
	free(f);
	return rc;
}
