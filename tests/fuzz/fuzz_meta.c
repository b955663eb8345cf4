/* meta.json: what the mount shows for it is JSON, and patching that changes nothing more; its line in history.tsv has as
   many cells as the table has columns. */
#include "fuzz.h"

#include "core/format/history.h"
#include "core/format/meta.h"

#include <stdlib.h>
#include <string.h>

/* The cells of the line that begins at S. */
static size_t cells(const char *s, const char *end)
{
	size_t count = 1;

	for (; s < end && *s != '\n'; s++)
		count += *s == '\t';
	MUST(s < end);
	return count;
}

/* ROW, read of the metadata, and one without. */
static void tabulate(const struct ck_history_row *row)
{
	struct ck_history_row rows[2] = { *row };
	struct ck_buf table = CK_BUF_INIT;
	const char *at, *end;
	size_t columns, lines = 0;

	rows[0].step = rows[1].step = UINT64_MAX;
	ck_history_no_meta(&rows[1]);
	MUST(ck_history_write(&table, rows, 2, NULL) == CK_OK);
	end = table.data + table.len;
	columns = cells(table.data, end);
	for (at = table.data; at < end; at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1, lines++)
		MUST(cells(at, end) == columns);
	MUST(lines == 3 && columns >= 14 && columns <= 14 + CK_HISTORY_MAX_COLUMNS);
	ck_buf_free(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ck_file *file = fuzz_file(data, size);
	struct ck_buf once = CK_BUF_INIT, twice = CK_BUF_INIT;
	struct ck_error err = CK_ERROR_INIT;
	struct ck_meta_info info, again;
	int rc = fuzz_error(ck_meta_read(file, &once, &info, &err), &err), tabled;
	struct ck_history_row row = { 0 };

	ck_error_clear(&err);
	tabled = fuzz_error(ck_history_read(file, &row, &err), &err);
	MUST(tabled == CK_OK ? row.has_meta && row.has_config == info.has_config : rc != CK_OK);
	tabulate(&row);
	free(row.cells);
	ck_error_clear(&err);
	ck_file_unref(file);
	if (rc == CK_OK) {
		MUST(info.n_layer >= -1 && info.n_layer <= 100000);
		file = fuzz_file(once.data, once.len);
		MUST(fuzz_error(ck_meta_read(file, &twice, &again, &err), &err) == CK_OK);
		MUST(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
		MUST(info.n_layer == again.n_layer);
		ck_file_unref(file);
	}
	ck_error_clear(&err);
	MUST((fuzz_error(ck_meta_check((const char *)data, size, &err), &err) == CK_OK) == (rc == CK_OK));
	ck_buf_free(&once);
	ck_buf_free(&twice);
	return 0;
}
