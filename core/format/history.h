/*
 * history - TAG/history.tsv: a line per step, from what its metadata says and what stat says of its files.
 */
#ifndef CK_HISTORY_H
#define CK_HISTORY_H

#include "core/base/buf.h"
#include "core/file/io.h"

/* Of the numbers beside the named columns so many get a column, and of one step so many bytes are kept. */
#define CK_HISTORY_MAX_COLUMNS 256
#define CK_HISTORY_MAX_CELLS ((size_t)64 << 10)

struct ck_history_row {
	uint64_t step;
	/* From the metadata: it is an object; model_config is one; NaN where the number is missing. */
	bool has_meta, has_config;
	double val_bpb, val_loss;
	/* its numbers, malloc'ed: the column's name, a NUL, the text, a NUL, and so on */
	char *cells;
	size_t cells_len;
	/* from stat */
	uint64_t model_bytes, ranks, optim_bytes;
	int64_t saved;          /* seconds since 1970 */
};

/* Fills what ROW, all zeros before, has from the metadata in FILE. Free ROW->cells. Errors as ck_meta_load; ROW is as
   without metadata then. */
int ck_history_read(const struct ck_file *file, struct ck_history_row *row, struct ck_error *err);
/* A row without metadata. */
void ck_history_no_meta(struct ck_history_row *row);

/* Appends the table. CK_ERR_NOMEM, also where OUT->max is passed. */
int ck_history_write(struct ck_buf *out, const struct ck_history_row *rows, size_t count, struct ck_error *err);

#endif
