/*
 * private - the inside of a check, for the files of this folder: check.c (the work and its order), plan.c (which files
 * there are), names.c (what the names tell), model.c (a model and its metadata), shard.c (an optimizer shard), step.c
 * (what the files of a step, and the steps of a tag, tell together).
 */
#ifndef CK_CHECK_PRIVATE_H
#define CK_CHECK_PRIVATE_H

#include "core/base/buf.h"
#include "core/check/check.h"
#include "core/check/found.h"
#include "core/tree/names.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

/* A directory of the store; one that holds tags has a place here only for its findings. */
struct tag {
	char *path;                 /* absolute */
	char *shown;                /* the part of it below the store: "base_checkpoints/d12"; "" is the store itself */
	size_t from, to;            /* its jobs */
	struct ck_found found;      /* what its names tell */
};

/* One file, or a model and its metadata. */
struct job {
	size_t tag;
	struct ck_file_name name;   /* MODEL or OPTIM */
	bool has_meta;              /* MODEL, when the directory was listed */
	uint64_t size, counted;     /* bytes; COUNTED: in the progress already */
	/* The thread that has the job writes the rest, and DONE last. */
	bool done;
	bool gone;                  /* it was removed during the check */
	bool unsure;                /* it has changed during the check, or could not be read */
	bool opens, loads;          /* LOADS: MODEL only: nanochat can build it */
	/* MODEL: lm_head's rows and columns; OPTIM: those of lm_head's state. 0: unknown. */
	int64_t rows, columns;
	struct ck_buf signature;    /* OPTIM: a line for each tensor, sorted (shard.c) */
	struct ck_found found;
};

struct checker {
	const struct ck_check_options *options;
	struct tag *tags;
	size_t tag_count, tag_cap;
	struct job *jobs;           /* in the order of tags, steps; a step's model, then its shards by rank */
	size_t count, cap;
	sem_t opens;                /* as many files are opened at the same time as the mount would open */
	/* Guards NEXT, REPORTED and DONE of the jobs. */
	pthread_mutex_t lock;
	pthread_cond_t moved;       /* a job is done, or was reported */
	size_t next, reported;
	_Atomic bool stop;
	_Atomic uint64_t files, bytes;
	uint64_t all_bytes;
};

#endif
