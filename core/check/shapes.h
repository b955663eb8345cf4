/*
 * shapes - whether a model's tensors have the shapes that its model_config asks for. Source: nanochat/gpt.py.
 */
#ifndef CK_CHECK_SHAPES_H
#define CK_CHECK_SHAPES_H

#include "core/check/found.h"
#include "core/format/meta.h"
#include "core/pt/checkpoint.h"

/* Adds to FOUND what INFO contradicts, and what is missing, about SHOWN. META is the name of the metadata's file. */
void check_shapes(const struct ck_checkpoint *c, const struct ck_meta_info *info, const char *shown, const char *meta,
		  struct ck_found *found);

#endif
