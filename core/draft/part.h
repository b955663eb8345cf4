/*
 * part - one file of a step to be: what it is made of, and how it is written.
 */
#ifndef CK_PART_H
#define CK_PART_H

#include "core/base/arena.h"
#include "core/base/value.h"
#include "core/tensor/tensor.h"
#include "core/tensor/view.h"
#include "core/tree/names.h"

enum ck_part_kind {
	CK_PART_FILE,        /* a file of the draft as it is: meta.json, a .pt */
	CK_PART_NPY,         /* tensors from .npy files */
	CK_PART_SAFETENSORS, /* tensors from one safetensors file */
	CK_PART_NO_CRCS,     /* a shard's .pt that has no CRCs, as a mount with -o ranks shows it: they are computed */
};

/* One file of the step to be. */
struct ck_part {
	struct ck_file_name name;       /* nanochat's */
	enum ck_part_kind kind;
	/* FILE, SAFETENSORS, NO_CRCS: the file; NPY: the directory */
	char *path;
	uint64_t bytes;                 /* NO_CRCS: of the file */
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

/* What a plan is asked for. */
enum {
	/* The model must be there, and have all that its model_config asks for if it is single tensors: else
	   CK_ERR_AGAIN, with a message. */
	CK_PLAN_COMPLETE = 1,
	CK_PLAN_QUICK = 2,      /* reads no values: several forms of one model are not compared */
};

/* Makes the file of PART at PATH, which must not be there, and fsyncs it. TOP is the archive's
   directory. */
int ck_part_write(struct ck_part *part, const char *path, const char *top, struct ck_error *err);

/* The bytes of tensor I of an NPY or SAFETENSORS part as DTYPE, a view of the caller's. */
int ck_part_open(const struct ck_part *part, size_t i, uint8_t dtype, struct ck_view **out, struct ck_error *err);

#endif
