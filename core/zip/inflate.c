/* zipinflate - the bytes of a deflated entry, through libzip. Implements core/zip/inflate.h. */
#include "core/zip/inflate.h"

#include <inttypes.h>
#include <stdlib.h>

struct ck_inflater {
	struct ck_zipsource *src;
	zip_t *zip;
	uint8_t chunk[64 << 10];
};

int ck_inflater_new(struct ck_file *file, struct ck_inflater **out, struct ck_error *err)
{
	struct ck_inflater *inf = malloc(sizeof(*inf));
	int rc;

	if (!inf)
		return ck_fail_nomem(err);
	inf->src = NULL;
	inf->zip = NULL;
	rc = ck_zipsource_new(file, &inf->src, err);
	if (!rc)
		rc = ck_zipsource_open(inf->src, &inf->zip, err);
	if (rc)
		ck_inflater_free(inf);
	else
		*out = inf;
	return rc;
}

void ck_inflater_free(struct ck_inflater *inf)
{
	if (!inf)
		return;
	if (inf->zip)
		zip_discard(inf->zip);
	ck_zipsource_free(inf->src);
	free(inf);
}

static int check_place(const struct ck_inflater *inf, uint64_t data, struct ck_error *err)
{
	uint64_t found = ck_zipsource_first_read(inf->src);

	if (found == data || found == UINT64_MAX)
		return CK_OK;
	return ck_fail(err, CK_ERR_CORRUPT, "its bytes are at %" PRIu64 " for libzip, at %" PRIu64 " by its headers",
		       found, data);
}

/* zip_fread of the next bytes. libzip compares the CRC at the end, after the last byte, if nobody tells it not to. */
static zip_int64_t read_next(struct ck_inflater *inf, zip_file_t *entry, const struct ck_deflated *e)
{
	zip_int64_t n = zip_fread(entry, inf->chunk, sizeof(inf->chunk));

	return n < 0 && e->no_crc && zip_error_code_zip(zip_file_get_error(entry)) == ZIP_ER_CRC ? 0 : n;
}

int ck_inflate(struct ck_inflater *inf, const struct ck_deflated *e, ck_inflate_sink *sink, void *to,
	       struct ck_error *err)
{
	zip_file_t *entry = zip_fopen_index(inf->zip, e->index, ZIP_FL_UNCHANGED);
	uint64_t done = 0;
	zip_int64_t n;
	int rc = CK_OK;

	if (!entry)
		return ck_zipsource_fail(inf->src, zip_get_error(inf->zip), err);
	ck_zipsource_mark(inf->src);
	/* To the end, although e->size says where that is: only there does libzip compare the CRC. */
	while (!rc) {
		n = read_next(inf, entry, e);
		if (n < 0)
			rc = ck_zipsource_fail(inf->src, zip_file_get_error(entry), err);
		else
			rc = check_place(inf, e->data, err);
		if (rc || n == 0)
			break;
		if ((uint64_t)n > e->size - done) {
			rc = ck_fail(err, CK_ERR_CORRUPT, "inflates to more than its %" PRIu64 " bytes", e->size);
			break;
		}
		rc = sink(to, done, inf->chunk, (size_t)n, err);
		done += (uint64_t)n;
	}
	zip_fclose(entry);
	if (!rc && done != e->size)
		rc = ck_fail(err, CK_ERR_CORRUPT, "inflates to %" PRIu64 " bytes, not to %" PRIu64, done, e->size);
	return rc;
}
