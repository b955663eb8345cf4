/*
 * shard - the check of one optimizer shard, and of two shards of a step against each other.
 */
#ifndef CK_CHECK_SHARD_H
#define CK_CHECK_SHARD_H

#include "core/check/private.h"

/* Fills the job's findings, and what the shard says of itself: its signature, and the shape of lm_head's state. */
void check_shard(struct checker *k, struct job *job);

/*
 * What two signatures say differently about a key that both have: the first such key, NUL-terminated, into KEY of SIZE
 * bytes. False where they agree. Ranks of older nanochats have state of parameters of their own: a key that only one of
 * them has says nothing.
 */
bool check_shards_differ(const struct ck_buf *a, const struct ck_buf *b, char *key, size_t size);

#endif
