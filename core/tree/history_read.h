/*
 * history_read - reads a tag's metadata for history.h: all files that stat says are others than before, side by side.
 */
#ifndef CK_TREE_HISTORY_READ_H
#define CK_TREE_HISTORY_READ_H

#include "core/format/history.h"
#include "core/tree/private.h"

/* A step, and which files it was read of. */
struct step_row {
	struct ck_history_row row;
	struct ck_ident meta, model;    /* META: zeros without one */
	bool young;             /* the metadata was read while it was young (node_load.h) */
	bool again;             /* it is to be read again: the last time a system call failed */
	bool gone;              /* the model was removed since the directory was read */
	int64_t mtime_ns;       /* the newest of its files' */
	mode_t read;            /* who may read the metadata: bits of 0444, where owner and group are the tag's */
};

struct step_rows {
	struct step_row *rows;
	size_t count;
	struct stat tag;        /* of the tag's directory */
	size_t memory;
};

/* At most so much memory for the rows and the text of one tag. */
#define HISTORY_MAX_MEMORY ((size_t)32 << 20)

/*
 * Reads the rows of the tag whose directory is TAG into *NEW. What stands in OLD, and is still true, is taken from
 * there; OLD is freed. *CHANGED: they say something else than OLD. CK_ERR_SYS, CK_ERR_NOMEM; CK_ERR_LIMIT beyond
 * HISTORY_MAX_MEMORY.
 */
int step_rows_read(struct ck_tree *tree, const char *tag, struct step_rows *old, struct step_rows *new, bool *changed,
		   struct ck_error *err);
void step_rows_free(struct step_rows *rows);

#endif
