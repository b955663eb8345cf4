/*
 * plan - what a draft's files amount to: which files the step will have, and from what each is
 * made. Checks everything that can be checked before a byte is written.
 */
#ifndef CK_PLAN_H
#define CK_PLAN_H

#include "core/base/arena.h"
#include "core/tree/store.h"
#include "core/tensor/tensor.h"
#include "core/base/value.h"

enum ck_part_kind {
	CK_PART_FILE,           /* a file of the draft as it is: meta.json, a .pt */
	CK_PART_NPY,            /* tensors from .npy files */
	CK_PART_SAFETENSORS,    /* tensors from one safetensors file */
};

/* One file of the step to be. */
struct ck_part {
	struct ck_file_name name;       /* nanochat's */
	enum ck_part_kind kind;
	/* FILE: the file; SAFETENSORS: the file; NPY: the directory */
	char *path;
	struct ck_arena *arena;         /* of what follows */
	struct ck_value root;
	struct ck_tensor *tensors;
	char **files;                   /* NPY: the file names in the directory, one a tensor */
	size_t count;
	struct ck_value names;          /* NPY, of a shard: a dict from the names in FILES to their indexes */
	struct ck_file *file;           /* SAFETENSORS: open */
};

/* In the order of publishing: optimizer shards by rank, meta, model. */
struct ck_plan {
	struct ck_part *parts;
	size_t count, cap;
};

/*
 * Reads the draft whose files lie in DIR/files. KIND OPTIM: complete shards alone (ONLY_RANK >= 0:
 * that one, which must be complete); else a whole step: meta.json, a model in one form.
 * CK_ERR_INVALID says what is wrong: a name that has no place in a step, nothing or too much of
 * something, a bad file. PLAN must be freed also on failure.
 */
int ck_plan_make(const char *dir, enum ck_draft_kind kind, uint64_t step, int64_t only_rank, struct ck_plan *plan,
		 struct ck_error *err);
void ck_plan_free(struct ck_plan *plan);

/* Makes the file of PART at PATH, which must not be there, and fsyncs it. TOP is the archive's
   directory. */
int ck_part_write(struct ck_part *part, const char *path, const char *top, struct ck_error *err);

/* ---- the order in which a draft's files were created ---- */

/* Notes in DIR/order that the file NAME was made, or that OLD_NAME was renamed; names are relative to DIR/files. */
int ck_order_append(const char *dir, const char *name, struct ck_error *err);
int ck_order_rename(const char *dir, const char *old_name, const char *new_name, struct ck_error *err);

/* fsync of DIR/order, if there is one. */
int ck_order_sync(const char *dir, struct ck_error *err);

/* Sorts NAMES (in the directory DIR/files/SUB) by their files' places in DIR/order; files that aren't in it go behind,
   by name. */
int ck_order_sort(const char *dir, const char *sub, struct ck_names *names, struct ck_error *err);

/* Appends the files of the directory DIR/files/SUB that aren't in DIR/order: a kill came between their creation and its
   note, and what is created from now on is later. */
int ck_order_complete(const char *dir, const char *sub, struct ck_error *err);

#endif
