/*
 * fuzz - what the fuzz targets share. A target defines LLVMFuzzerTestOneInput; libFuzzer calls it with inputs
 * of its own, replay.c with the files of the corpus. A property that doesn't hold aborts: see MUST.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "core/base/buf.h"
#include "core/file/io.h"
#include "core/format/outline.h"
#include "core/base/value.h"
#include "core/tensor/view.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property of core, not of the input: it holds, or there is a finding. */
#define MUST(expr)                                                                        \
	do {                                                                                \
		if (!(expr)) {                                                              \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #expr);  \
			abort();                                                            \
		}                                                                           \
	} while (0)

/* A file that holds the bytes and has no name. */
struct ck_file *fuzz_file(const void *data, size_t size);

/* The same value to the last bit: order of keys and items, 1 or 1.0 or True, the sign of 0. A NaN is any NaN. */
bool fuzz_same(const struct ck_value *a, const struct ck_value *b);

/*
 * Reads the view in pieces at odd offsets: they must be what the whole is. A read may fail (the file lies), but then it says why; where the whole can be read, so can each piece.
 * Returns the bytes of a small view (free()), else NULL.
 */
char *fuzz_view(const struct ck_view *view);

/* Writes VALUE as an outline, reads that back, and compares. Tensors are named by their index. */
void fuzz_outline_round_trip(const struct ck_value *value);

/* A failure has a code, a message without control characters, and a line that fits. Returns RC. */
int fuzz_error(int rc, const struct ck_error *err);

#endif
