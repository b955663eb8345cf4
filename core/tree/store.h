/*
 * store - nanochat's names and choices: sources, tags, steps, and which of them is the latest or
 * the largest. Directory reads only; no file is opened. Source: nanochat/checkpoint_manager.py.
 */
#ifndef CK_STORE_H
#define CK_STORE_H

#include "core/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a store's directory is: see level.h. */
enum ck_level { CK_LEVEL_BASE, CK_LEVEL_SOURCE, CK_LEVEL_TAG };

struct ck_source_dir {
	const char *name;       /* "base" */
	const char *dir;        /* "base_checkpoints" */
	bool always;            /* shown even where the store lacks it */
};
extern const struct ck_source_dir ck_sources[4];

/* PATH = DIR/NAME; PATH takes PATH_MAX bytes and may be DIR itself. False when it would pass them, and errno is
   ENAMETOOLONG. */
bool ck_path_join(char *path, const char *dir, const char *name);

enum ck_file_kind { CK_FILE_MODEL, CK_FILE_META, CK_FILE_OPTIM };

/* A name of nanochat's, taken apart. */
struct ck_file_name {
	enum ck_file_kind kind;
	uint64_t step;
	uint64_t rank;          /* OPTIM only */
	/* OPTIM of rank 0: optim_000500.pt, as nanochat wrote it until November 2025. Where both are there, the file with
	   the rank is the shard. */
	bool bare;
};

/* Parses NAME: true only for the canonical spelling (":06d": six digits, more only without leading
   zeros; ranks without leading zeros, or none at all). */
bool ck_file_name_parse(const char *name, struct ck_file_name *out);
/* The name, into BUF of SIZE (64 is enough). Returns BUF. */
const char *ck_file_name_format(const struct ck_file_name *n, char *buf, size_t size);
/* A step directory's name ("000500") both ways; canonical only. */
bool ck_step_parse(const char *name, uint64_t *step);
const char *ck_step_format(uint64_t step, char *buf, size_t size);

/* Parses "rank" and a canonical number at the start of NAME; *LEN is how many bytes that took. */
bool ck_rank_parse(const char *name, uint64_t *rank, size_t *len);

/*
 * What is being written to a tag lies in TAG/.ckptfs, which nanochat takes for neither a tag nor a
 * step: a directory for each draft, named as the mount shows it ("000600", "000600.partial"), or
 * "000600.optim" for optimizer shards of a step that is published already.
 */
#define CK_DRAFT_DIR ".ckptfs"
enum ck_draft_kind { CK_DRAFT_STEP, CK_DRAFT_PARTIAL, CK_DRAFT_OPTIM };
bool ck_draft_parse(const char *name, enum ck_draft_kind *kind, uint64_t *step);
const char *ck_draft_format(enum ck_draft_kind kind, uint64_t step, char *buf, size_t size);

/* The steps that have a model file (ascending), or for CK_FILE_OPTIM the ranks of STEP. *OUT is
   malloc'ed (free()). CK_ERR_SYS. */
int ck_store_steps(const char *tag_path, uint64_t **out, size_t *count, struct ck_error *err);
int ck_store_ranks(const char *tag_path, uint64_t step, uint64_t **out, size_t *count, struct ck_error *err);
/* The steps of which there is a shard, ascending, one for each shard; as above. */
int ck_store_sharded(const char *tag_path, uint64_t **out, size_t *count, struct ck_error *err);

/* Whether STEP's model has its name in the tag, whose path is real (real.h): also as a link. */
bool ck_store_has_model(const char *tag_path, uint64_t step);

/* The tags: subdirectories (or symlinks to one) of a checkpoints directory but for dot-directories,
   sorted by name. Free with ck_names_free. */
struct ck_names {
	char **names;
	size_t count;
};
int ck_store_tags(const char *source_path, struct ck_names *out, struct ck_error *err);
/* The drafts of a tag that the mount shows (STEP, PARTIAL; no STEP that is published), sorted by name;
   none where there is no CK_DRAFT_DIR. TAG_PATH is real (real.h). */
int ck_store_drafts(const char *tag_path, struct ck_names *out, struct ck_error *err);
/* Every name in a directory but "." and "..", sorted. CK_ERR_SYS. */
int ck_list_dir(const char *path, struct ck_names *out, struct ck_error *err);
/* The same, of a real path (real.h). */
int ck_list_real_dir(const char *path, struct ck_names *out, struct ck_error *err);
void ck_names_free(struct ck_names *names);

/* Sorts TAGS as find_largest_model prefers them: d<number> from high to low (a tie: the exact name
   "d12" first, then by name), then, behind all of these, the others, the most recently modified
   first. CK_ERR_SYS when SOURCE_PATH can't be opened; TAGS is as it was then. */
int ck_store_rank_tags(const char *source_path, struct ck_names *tags, struct ck_error *err);

#endif
