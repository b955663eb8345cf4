/*
 * bytes - one pass over the bytes of a checkpoint: the CRC of every record, NaN and infinities of every tensor.
 */
#ifndef CK_CHECK_BYTES_H
#define CK_CHECK_BYTES_H

#include "core/check/private.h"
#include "core/pt/checkpoint.h"

/* What is wrong goes to FOUND, about SHOWN. Ends early where the check is stopped. */
void check_bytes(struct checker *k, struct job *job, struct ck_checkpoint *c, const char *shown,
		 struct ck_found *found);

#endif
