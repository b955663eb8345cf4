/*
 * forms - the files that a checkpoint is shown as: their names, sizes and views.
 */
#ifndef CK_FORMS_H
#define CK_FORMS_H

#include "core/pt/checkpoint.h"

enum ck_form {
	CK_FORM_NPY, CK_FORM_RAW, CK_FORM_SAFETENSORS, CK_FORM_TSV, CK_FORM_OUTLINE,
	/* the files of hf/; and the line of hf.error */
	CK_FORM_HF_CONFIG, CK_FORM_HF_GENERATION, CK_FORM_HF_SAFETENSORS, CK_FORM_HF_ERROR,
};

/*
 * The files of model/ (NPY) and of model.raw/ (RAW), one for each tensor. A tensor that is not shown as an array has
 * KEY.error in model/, with one line, and no file in model.raw/. Returns their number; and the tensor of the file at
 * POSITION.
 */
size_t ck_checkpoint_files(const struct ck_checkpoint *c, enum ck_form form);
size_t ck_checkpoint_at(const struct ck_checkpoint *c, enum ck_form form, size_t position);

/* The file name of tensor I, written to NAME (CK_NAME_MAX + 1 bytes); and the tensor of a file name, or -1. */
size_t ck_checkpoint_name(const struct ck_checkpoint *c, size_t i, enum ck_form form, char *name);
int64_t ck_checkpoint_find(const struct ck_checkpoint *c, const char *name, enum ck_form form);

/* Whether C is shown in FORM: only optimizer shards have an outline, only models that transformers can represent have
   hf/, other models hf.error. */
bool ck_checkpoint_has(const struct ck_checkpoint *c, enum ck_form form);

/* The size in bytes of a form (I counts for NPY and RAW). The first call may be expensive (SAFETENSORS sorts, TSV
   locates every entry); then the size is remembered. */
int ck_checkpoint_size(struct ck_checkpoint *c, enum ck_form form, size_t i, uint64_t *size, struct ck_error *err);

/* A new view of FORM, the caller's reference, which keeps the checkpoint. A safetensors file holds the tensors that
   its format can hold. */
int ck_checkpoint_view(struct ck_checkpoint *c, enum ck_form form, size_t i, struct ck_view **out,
		       struct ck_error *err);

#endif
