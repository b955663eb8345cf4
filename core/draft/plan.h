/*
 * plan - what a draft's files amount to: which files the step will have, and from what each is
 * made. Checks everything that can be checked before a byte is written.
 */
#ifndef CK_PLAN_H
#define CK_PLAN_H

#include "core/base/arena.h"
#include "core/tree/store.h"
#include "core/tensor/tensor.h"
#include "core/tensor/view.h"
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

enum {
	/* The model must be there, and have all that its model_config asks for if it is single tensors: else
	   CK_ERR_AGAIN, with a message. */
	CK_PLAN_COMPLETE = 1,
	CK_PLAN_QUICK = 2,      /* reads no values: several forms of one model are not compared */
};

/*
 * Reads the draft whose files lie in DIR/files. KIND OPTIM: complete shards alone (ONLY_RANK >= 0: that one, which must
 * be complete); else a whole step: meta.json, and a model. Of several forms of a model, or of a shard, the stored file
 * is taken, then safetensors; the others must show the same. FLAGS: see above. CK_ERR_INVALID says what is wrong: a
 * name that has no place in a step, nothing or too much of something, a bad file. PLAN must be freed also on failure.
 */
int ck_plan_make(const char *dir, enum ck_draft_kind kind, uint64_t step, int64_t only_rank, unsigned flags,
		 struct ck_plan *plan, struct ck_error *err);
void ck_plan_free(struct ck_plan *plan);

/* Whether NAME in optim/ is only ever shown, of all ranks together: all*, and every .error. */
bool ck_plan_is_shown(const char *name);

/* Whether the disk has room for the step's files beside those of the draft in DIR. CK_ERR_SYS ENOSPC says how much is
   missing. */
int ck_plan_room(const struct ck_plan *plan, const char *dir, struct ck_error *err);

/* Makes the file of PART at PATH, which must not be there, and fsyncs it. TOP is the archive's
   directory. */
int ck_part_write(struct ck_part *part, const char *path, const char *top, struct ck_error *err);

/* The bytes of tensor I of an NPY or SAFETENSORS part as DTYPE, a view of the caller's. */
int ck_part_open(const struct ck_part *part, size_t i, uint8_t dtype, struct ck_view **out, struct ck_error *err);

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
