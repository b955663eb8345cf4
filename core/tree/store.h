/*
 * store - what lies in a store: its tags, steps, ranks and drafts, and which tag nanochat prefers. Directory reads
 * only; no file is opened. Source: nanochat/checkpoint_manager.py.
 */
#ifndef CK_STORE_H
#define CK_STORE_H

#include "core/file/dir.h"
#include "core/tree/names.h"

/* The names in a tag's directory, from one reading of it. */
struct ck_shard {
	uint64_t step, rank;
};
struct ck_tag_names {
	uint64_t *steps;                /* that have a model file, ascending */
	size_t step_count;
	struct ck_shard *shards;        /* in the order of steps, then ranks */
	size_t shard_count;
	size_t plain_dirs;              /* ordinary directories (plain.h) */
	bool home;                      /* CK_DRAFT_DIR is there */
};
/* *OUT is for ck_tag_names_free(), and empty on failure. CK_ERR_SYS. */
int ck_store_look(const char *tag_path, struct ck_tag_names *out, struct ck_error *err);
void ck_tag_names_free(struct ck_tag_names *names);
/* The ranks of STEP's shards, ascending. *OUT is malloc'ed (free()), NULL if *COUNT is 0. CK_ERR_NOMEM. */
int ck_tag_names_ranks(const struct ck_tag_names *names, uint64_t step, uint64_t **out, size_t *count,
		       struct ck_error *err);
/* One of these alone. *OUT is malloc'ed (free()). */
int ck_store_steps(const char *tag_path, uint64_t **out, size_t *count, struct ck_error *err);
int ck_store_ranks(const char *tag_path, uint64_t step, uint64_t **out, size_t *count, struct ck_error *err);
/* The index of the first of these whose step is not below STEP. */
size_t ck_shards_first(const struct ck_shard *shards, size_t count, uint64_t step);

/* Whether STEP's model has its name in the tag, whose path is real (real.h): also as a link. */
bool ck_store_has_model(const char *tag_path, uint64_t step);

/* The tags: subdirectories (or symlinks to one) of a checkpoints directory, except dot-directories,
   sorted by name. Free with ck_names_free. */
int ck_store_tags(const char *source_path, struct ck_names *out, struct ck_error *err);
/* The drafts of a tag that the mount shows (STEP, PARTIAL; no STEP that is published), sorted by name;
   none where there is no CK_DRAFT_DIR. TAG_PATH is real (real.h). */
int ck_store_drafts(const char *tag_path, struct ck_names *out, struct ck_error *err);

/* Sorts TAGS as find_largest_model prefers them: d<number> from high to low (a tie: the exact name
   "d12" first, then by name), then, behind all of these, the others, the most recently modified
   first. CK_ERR_SYS when SOURCE_PATH can't be opened; TAGS is as it was then. */
int ck_store_rank_tags(const char *source_path, struct ck_names *tags, struct ck_error *err);

#endif
