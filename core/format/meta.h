/*
 * meta - nanochat's meta_NNNNNN.json: the values that ckptfs needs, and the text that the mount shows.
 */
#ifndef CK_META_H
#define CK_META_H

#include "core/base/buf.h"
#include "core/base/value.h"
#include "core/file/io.h"

#include <stdbool.h>

#define CK_META_MAX_BYTES ((size_t)4 << 20)    /* nanochat writes a few thousand bytes */

/* What model_config says of the model. -1: missing, or no int in [0, 2^31). */
struct ck_model_config {
	int64_t n_head, n_kv_head, n_embd, sequence_len, vocab_size;
	/* the window_pattern, cut, where it is anything but a text of L alone; else "" */
	char window[32];
};
#define CK_MODEL_CONFIG_NONE { .n_head = -1, .n_kv_head = -1, .n_embd = -1, .sequence_len = -1, .vocab_size = -1 }

struct ck_meta_info {
	/* model_config.n_layer, or -1 where it is missing or no int in [0, 100000] */
	int64_t n_layer;
	bool has_config;        /* model_config is an object: nanochat can build the model */
	struct ck_model_config config;
	int64_t step;           /* `step`, or -1 */
	bool has_score;         /* val_bpb or val_loss is a number */
};

/*
 * Reads FILE and appends to OUT (may be NULL) what json.dump(meta, f, indent=2) writes for the
 * patched dict: model_config.window_pattern = "L" appended where model_config is an object that
 * lacks it (nanochat's _patch_missing_config_keys). INFO may be NULL. CK_ERR_CORRUPT: no JSON (byte
 * offset), or JSON but no object; CK_ERR_LIMIT: more than CK_META_MAX_BYTES, nested deeper than
 * CK_JSON_MAX_DEPTH.
 */
int ck_meta_read(const struct ck_file *file, struct ck_buf *out, struct ck_meta_info *info, struct ck_error *err);

/* The object that FILE holds, as it is stored. Free *ARENA, which has all of it. Errors as above. */
int ck_meta_load(const struct ck_file *file, struct ck_arena **arena, struct ck_dict **meta, struct ck_error *err);
/* Whether VALUE (may be NULL) is a number: an int of any size or a float, not a bool. */
bool ck_meta_is_number(const struct ck_value *value);
/* The number under KEY as a double; NaN where there is none. */
double ck_meta_number(const struct ck_dict *meta, const char *key);

/* Checks TEXT as a draft's meta.json, which ck_meta_read should be able to read: CK_ERR_INVALID when it isn't a JSON
   object, CK_ERR_LIMIT as above. */
int ck_meta_check(const char *text, size_t len, struct ck_error *err);

#endif
