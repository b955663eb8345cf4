/*
 * found - what one part of a check has found, until it is reported.
 */
#ifndef CK_CHECK_FOUND_H
#define CK_CHECK_FOUND_H

#include "core/base/error.h"
#include "core/check/stats.h"
#include "core/tensor/tensor.h"

enum ck_severity {
	CK_NOTE,
	CK_WARNING,
	CK_ERROR,           /* of the store */
	CK_FAULT,           /* the check itself failed there: EIO, EACCES, no memory */
	CK_ROW,             /* a tensor's statistics */
	CK_SEVERITIES,
};

/* A tensor's statistics. */
struct ck_row {
	struct ck_stats stats;
	uint64_t place;                 /* among the rows of the file */
	char shape[128];                /* "[2,3]", cut */
	char key[];
};

/* About one file. In a list the strings are its own. */
struct ck_finding {
	enum ck_severity severity;
	const char *path;               /* below the store's own: "base_checkpoints/d12/model_000500.pt" */
	const char *text;               /* what was expected and found, and what to do; "" of a ROW */
	const struct ck_row *row;       /* ROW */
};

struct ck_found {
	struct ck_finding *items;
	size_t count, cap;
	bool failed;        /* out of memory */
};

/* Adds a finding about PATH. */
void ck_found_add(struct ck_found *found, enum ck_severity severity, const char *path, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The same of ERR, without its file's name; WHAT_TO_DO may be "". What a system call fails with is a FAULT. */
void ck_found_error(struct ck_found *found, const char *path, const struct ck_error *err, const char *what_to_do);

/* Adds the row of tensor T, which is at PLACE in the file. ck_found_sort puts rows in the order of places, and all else
   behind them. */
void ck_found_row(struct ck_found *found, const char *path, uint64_t place, const struct ck_tensor *t,
		  const struct ck_stats *stats);
void ck_found_sort(struct ck_found *found);

/* Adds the findings of FROM, which is empty then. */
void ck_found_move(struct ck_found *found, struct ck_found *from);
bool ck_found_has(const struct ck_found *found, enum ck_severity severity);
/* Frees the findings; the list is empty then, and can be used again. */
void ck_found_clear(struct ck_found *found);

#endif
