/* The small records of a .pt beside its pickle, `version` and `byteorder`: ck_records_check of core/pt/private.h. */
#include "core/pt/private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* torch's kMinSupportedFileFormatVersion and kMaxSupportedFileFormatVersion; torch.save writes 3. */
#define MIN_VERSION 1u
#define MAX_VERSION 10u

static int load(struct ck_archive *archive, int64_t entry, char **text, size_t *len, struct ck_error *err)
{
	return ck_archive_load(archive, (size_t)entry, 64, text, len, err);
}

/* The number that TEXT begins with, as C++'s stoull reads it; 0 where there is none, or one that is too large. */
static unsigned number_at_start(const char *text)
{
	unsigned n = 0;

	while (isspace((unsigned char)*text))
		text++;
	for (text += *text == '+'; *text >= '0' && *text <= '9'; text++) {
		n = 10 * n + (unsigned)(*text - '0');
		if (n > MAX_VERSION)
			return 0;
	}
	return n;
}

/* torch looks at the record `.data/version` first, and opens no file that has neither. */
static int check_version(struct ck_archive *archive, struct ck_error *err)
{
	int64_t entry = ck_archive_find(archive, ".data/version");
	char *text;
	size_t len;
	int rc;

	if (entry < 0)
		entry = ck_archive_find(archive, "version");
	if (entry < 0)
		return ck_fail(err, CK_ERR_CORRUPT, "expected a record `version`, found none: not a torch.save file");
	rc = load(archive, entry, &text, &len, err);
	if (rc)
		return rc;
	if (number_at_start(text) < MIN_VERSION)
		rc = ck_fail(err, CK_ERR_CORRUPT, "version: expected a number from %u to %u, found '%.16s'",
			     MIN_VERSION, MAX_VERSION, text);
	free(text);
	return rc;
}

/* "little" (also where there is no record, as in files of torch before 2.1) or "big". */
static int read_byteorder(struct ck_archive *archive, bool *big, struct ck_error *err)
{
	int64_t entry = ck_archive_find(archive, "byteorder");
	char *text;
	size_t len;
	int rc;

	*big = false;
	if (entry < 0)
		return CK_OK;
	rc = load(archive, entry, &text, &len, err);
	if (rc)
		return rc;
	*big = len == 3 && memcmp(text, "big", 3) == 0;
	if (!*big && (len != 6 || memcmp(text, "little", 6) != 0))
		rc = ck_fail(err, CK_ERR_CORRUPT, "byteorder: expected 'little' or 'big', found '%.16s'", text);
	free(text);
	return rc;
}

int ck_records_check(struct ck_archive *archive, bool *big_endian, struct ck_error *err)
{
	int rc = check_version(archive, err);

	return rc ? rc : read_byteorder(archive, big_endian, err);
}
