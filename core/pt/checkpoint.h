/*
 * checkpoint - the tensors of one .pt, in order, after nanochat's rules: archive, pickle, and what
 * build_model does with them.
 *
 * Immutable once opened, reference counted, safe to read from any thread. It keeps the stored file
 * open. Memory: the tensor table; the pickle and its values are gone when open returns.
 */
#ifndef CK_CHECKPOINT_H
#define CK_CHECKPOINT_H

#include "core/pt/content.h"
#include "core/tensor/tensor.h"
#include "core/tensor/view.h"

struct ck_checkpoint;

#define CK_MAX_TENSORS (1u << 18)

/* What a .pt is shown as. */
struct ck_patch {
	/* nanochat's model rules; false: an optimizer shard, as stored, with an outline */
	bool model;
	bool keep_bfloat16;     /* device=cuda */
	int64_t n_layer;        /* of meta.json: patch the lambdas; -1 not */
	struct ck_scratch *scratch;     /* where deflated entries are unpacked (archive.h), or NULL */
};

/* Opens FILE (a reference is taken). The errors are those of ck_archive_open and ck_pickle_read,
   and CK_ERR_CORRUPT for a tensor outside its storage or a storage whose size doesn't fit; each
   names the file and, where there is one, the tensor. `refused` tells what the pickle holds from
   damage to the file. *OUT is the caller's reference. */
int ck_checkpoint_open(struct ck_file *file, const struct ck_patch *patch, struct ck_checkpoint **out,
		       struct ck_error *err);
struct ck_checkpoint *ck_checkpoint_ref(struct ck_checkpoint *c);
/* returns NULL; NULL is allowed */
struct ck_checkpoint *ck_checkpoint_unref(struct ck_checkpoint *c);
/* whether there are references beside the caller's */
bool ck_checkpoint_is_shared(struct ck_checkpoint *c);

struct ck_file *ck_checkpoint_file(const struct ck_checkpoint *c);      /* borrowed */
/* bytes that it holds, about */
size_t ck_checkpoint_memory(const struct ck_checkpoint *c);
size_t ck_checkpoint_count(const struct ck_checkpoint *c);
enum ck_content ck_checkpoint_content(const struct ck_checkpoint *c);
const struct ck_tensor *ck_checkpoint_tensor(const struct ck_checkpoint *c, size_t i);

#endif
