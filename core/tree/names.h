/*
 * names - nanochat's names of files, steps and ranks, and the mount's own of drafts: taken apart and put together.
 * Source: nanochat/checkpoint_manager.py.
 */
#ifndef CK_NAMES_H
#define CK_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ck_source_dir {
	const char *name;       /* "base" */
	const char *dir;        /* "base_checkpoints" */
	bool always;            /* shown even where the store lacks it */
};
extern const struct ck_source_dir ck_sources[4];

enum ck_file_kind { CK_FILE_MODEL, CK_FILE_META, CK_FILE_OPTIM };

/* A name of nanochat's, taken apart. */
struct ck_file_name {
	enum ck_file_kind kind;
	uint64_t step;
	uint64_t rank;          /* OPTIM only */
	/* OPTIM of rank 0: optim_000500.pt, as nanochat wrote it until November 2025. Where both are there, the file
	   with the rank is the shard. */
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
 * The drafts of a tag lie in TAG/.ckptfs, which nanochat takes for neither a tag nor a step. Each is a directory, named
 * as the mount shows it ("000600", "000600.partial"), or "000600.optim" for optimizer shards of a step that is
 * published already.
 */
#define CK_DRAFT_DIR ".ckptfs"
/* And in it what is retired: a directory for each step, and "000500.optim" for shards alone. */
#define CK_TRASH_DIR "trash"
#define CK_TRASH_NAME ".trash"          /* as the mount shows that directory, in the tag */
enum ck_draft_kind { CK_DRAFT_STEP, CK_DRAFT_PARTIAL, CK_DRAFT_OPTIM };
bool ck_draft_parse(const char *name, enum ck_draft_kind *kind, uint64_t *step);
const char *ck_draft_format(enum ck_draft_kind kind, uint64_t step, char *buf, size_t size);

#endif
