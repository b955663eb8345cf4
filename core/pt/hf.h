/*
 * hf - a model as Hugging Face transformers' NanoChatForCausalLM takes it: which checkpoints that architecture can
 * represent, and their config.json, generation_config.json and tensors. Nothing is transposed, only renamed. Source:
 * transformers v5, models/nanochat.
 */
#ifndef CK_HF_H
#define CK_HF_H

#include "core/base/buf.h"
#include "core/format/meta.h"
#include "core/tensor/tensor.h"

struct ck_checkpoint;

struct ck_hf {
	/* Why it can't be represented: the tensor or the setting that transformers has no place for, without the
	   file's name, so that copies of a step are equal. code is CK_OK where it can. */
	struct ck_error why;
	struct ck_buf config, generation;       /* the JSON files */
	/* the checkpoint's tensors under transformers' names, in the order of gpt.h; in the checkpoint's arena */
	struct ck_tensor *tensors;
	size_t count;
};

/*
 * The last part of opening C, a model: decides, and sets c->hf, the caller's to free. N_LAYER and CONFIG are those of
 * meta.json. BFLOAT16: the dtype that config.json says. Reads the lambdas, where they are stored and all else
 * fits. Only CK_ERR_NOMEM and CK_ERR_CHANGED fail it: all else is a reason why the model has no hf/.
 */
int ck_hf_make(struct ck_checkpoint *c, int64_t n_layer, const struct ck_model_config *config, bool bfloat16,
	       struct ck_error *err);
void ck_hf_free(struct ck_hf *hf);      /* NULL is allowed */

#endif
