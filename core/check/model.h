/*
 * model - the check of a model's file and its metadata.
 */
#ifndef CK_CHECK_MODEL_H
#define CK_CHECK_MODEL_H

#include "core/check/private.h"

/* Fills the job's findings, and what it says of the step. */
void check_model(struct checker *k, struct job *job);

#endif
