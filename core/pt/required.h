/*
 * required - which of the tensors that every nanochat GPT has (gpt.h) a model lacks.
 */
#ifndef CK_REQUIRED_H
#define CK_REQUIRED_H

#include "core/pt/gpt.h"
#include "core/tensor/tensor.h"

struct ck_lacking {
	size_t wanted, missing;
	char first[CK_GPT_NAME];        /* the key of the first that is missing */
};

/* What COUNT TENSORS lack. Nothing is wanted where N_LAYER is below 0, or where no key is one of a layer's: then it is
   another model. CK_ERR_NOMEM. */
int ck_required_lacking(const struct ck_tensor *tensors, size_t count, int64_t n_layer, struct ck_lacking *out,
			struct ck_error *err);

#endif
