/*
 * join - the optimizer's state over all ranks: the shards joined under the parameters' names, and cut for another
 * number of ranks. Nothing is computed: a new tensor is rows of the shards' tensors, one after the other, and perhaps
 * zero rows behind them.
 *
 * The layout (nanochat/optim.py, nanochat/gpt.py setup_optimizer, since 15 January 2026). Groups of kind adamw come
 * first: lm_head; wte; value_embeds; resid_lambdas; x0_lambdas; smear_gate.weight, smear_lambda and backout_lambda.
 * Then a group of kind muon for each shape among the parameters transformer.h.*, in ascending order. The ids of
 * parameters count through the groups. adamw, shape [n, ...]:     whole and equal on every rank with one rank or fewer
 * than 1,024 elements; else n / W rows on each of the W ranks. muon, K of shape [m, k]:   the state stands under the
 * first member's id. With C = ceil(K / W) each rank has momentum_buffer [C, m, k] and second_momentum_buffer [C, m, 1]
 * (m >= k) or [C, 1, k]; row j of rank r is member r C + j, rows past K are zeros.
 */
#ifndef CK_JOIN_H
#define CK_JOIN_H

#include "core/pt/checkpoint.h"

struct ck_join;

/* So many ranks at most, of those that are stored and of those that are asked for. */
#define CK_MAX_RANKS 1024u

/*
 * Finds out how the RANKS shards (rank 0 first) belong together; MODEL gives the parameters' names, order and shapes.
 * It takes references to them all. Reads the values that every rank has of its own, which must be equal, and the ends
 * of padding rows, which must be zeros. Errors name the file, the tensor, what was expected and what was found:
 * CK_ERR_UNSUPPORTED another generation of nanochat's or another optimizer; CK_ERR_CORRUPT shards that don't belong
 * together or to the model; CK_ERR_LIMIT; those of ck_view_read. *OUT is the caller's, for one thread.
 */
int ck_join_new(struct ck_checkpoint *model, struct ck_checkpoint *const *shards, size_t ranks, struct ck_join **out,
		struct ck_error *err);
void ck_join_free(struct ck_join *join);        /* NULL is allowed */

/* The state under the parameters' names, NAME.FIELD, in the model's order: a checkpoint (one reference, the caller's)
   that is shown as a shard is. It keeps the shards. */
int ck_join_all(struct ck_join *join, struct ck_checkpoint **out, struct ck_error *err);

/* The shard of RANK as RANKS ranks would have saved it. CK_ERR_UNSUPPORTED: the number doesn't divide a dimension that
   has to be cut. Whether it succeeds does not depend on RANK. */
int ck_join_cut(struct ck_join *join, unsigned ranks, unsigned rank, struct ck_checkpoint **out, struct ck_error *err);

/* The .pt file of such a shard as torch.save lays it out, below the directory TOP, all CRCs 0: a view, the caller's. No
   tensor is read. */
int ck_join_pt(struct ck_checkpoint *shard, const char *top, struct ck_view **out, struct ck_error *err);

/* Whether the stored SHARD is a copy of such a file, without CRCs, and ck_join_save() can write it with them. */
bool ck_join_lacks_crcs(struct ck_checkpoint *shard);
/* Writes the .pt file of SHARD with CRCs to FD, an empty file open for reading and writing, and fsyncs it. Errors as
   ck_serialize(). */
int ck_join_save(struct ck_checkpoint *shard, const char *top, int fd, struct ck_error *err);

#endif
