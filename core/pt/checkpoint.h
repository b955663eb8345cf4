/*
 * checkpoint - the tensors of one .pt, in order, by nanochat's rules: reads the archive and the pickle, and does with
 * them what build_model does.
 *
 * Immutable once opened, reference counted, safe to read from any thread. It keeps the stored file open, and of its
 * memory the tensor table; the pickle and its values are freed before open returns.
 */
#ifndef CK_CHECKPOINT_H
#define CK_CHECKPOINT_H

#include "core/pt/content.h"
#include "core/tensor/tensor.h"
#include "core/tensor/view.h"

struct ck_checkpoint;
struct ck_model_config;

#define CK_MAX_TENSORS (1u << 18)

/* What a .pt is shown as. */
struct ck_patch {
	/* nanochat's model rules; false: an optimizer shard, as stored, with an outline */
	bool model;
	bool keep_bfloat16;     /* device=cuda */
	int64_t n_layer;        /* n_layer of meta.json, for adding missing lambdas; -1: add none */
	/* What meta.json says else, for transformers' form of the model, borrowed for the call; NULL: no such form. */
	const struct ck_model_config *config;
	/* meta.json, which stays open as long as the checkpoint: FUSE forgets the inode number of a file that isn't,
	   and with another number of it the model would be another one, opened again. NULL: not needed. */
	struct ck_file *config_file;
	struct ck_scratch *scratch;     /* where deflated entries are unpacked (archive.h), or NULL */
};

/*
 * Opens FILE and takes a reference to it. *OUT is the caller's reference. Errors are those of ck_archive_open and
 * ck_pickle_read, and CK_ERR_CORRUPT for a tensor outside its storage or a storage whose size doesn't fit. Each names
 * the file and, where there is one, the tensor. An error marked `refused` is about what the pickle holds; others are
 * about damage to the file.
 */
int ck_checkpoint_open(struct ck_file *file, const struct ck_patch *patch, struct ck_checkpoint **out,
		       struct ck_error *err);
struct ck_checkpoint *ck_checkpoint_ref(struct ck_checkpoint *c);
/* returns NULL; NULL is allowed */
struct ck_checkpoint *ck_checkpoint_unref(struct ck_checkpoint *c);
/* whether anyone besides the caller holds a reference */
bool ck_checkpoint_is_shared(struct ck_checkpoint *c);

/* borrowed; of joined shards (join.h) the first's */
struct ck_file *ck_checkpoint_file(const struct ck_checkpoint *c);
struct ck_archive *ck_checkpoint_archive(const struct ck_checkpoint *c);        /* borrowed */
/* bytes of memory that C holds, approximately */
size_t ck_checkpoint_memory(const struct ck_checkpoint *c);
size_t ck_checkpoint_count(const struct ck_checkpoint *c);
enum ck_content ck_checkpoint_content(const struct ck_checkpoint *c);
const struct ck_tensor *ck_checkpoint_tensor(const struct ck_checkpoint *c, size_t i);

#endif
