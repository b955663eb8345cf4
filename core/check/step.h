/*
 * step - what the files of a step tell together, and the steps of a tag. All of their jobs are done.
 */
#ifndef CK_CHECK_STEP_H
#define CK_CHECK_STEP_H

#include "core/check/private.h"

/* The jobs [FROM, TO) are those of one step, its model first. Adds to their findings. */
void check_step(struct checker *k, size_t from, size_t to);

/* Whether `latest` is what nanochat takes: adds to TAG's findings. */
void check_latest(const struct checker *k, struct tag *tag);

#endif
