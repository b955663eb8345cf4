/*
 * gpt - the tensors that every nanochat GPT has, by place: transformer.wte and lm_head, then six matrices for each
 * layer.
 * Sources: nanochat's gpt.py; Hugging Face transformers' models/nanochat (v5).
 */
#ifndef CK_GPT_H
#define CK_GPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many tensors these are. N_LAYER is at most 100,000 (meta.h). */
size_t ck_gpt_count(uint64_t n_layer);

/* The place of KEY (NUL-terminated; a leading _orig_mod. doesn't count) among them, or SIZE_MAX. */
size_t ck_gpt_place(const char *key, uint64_t n_layer);

/* Whether KEY is one of a layer's. */
bool ck_gpt_in_layers(const char *key);

/* nanochat's name for what is at PLACE, and transformers'. NAME takes CK_GPT_NAME bytes. Returns its length. */
#define CK_GPT_NAME 64
size_t ck_gpt_name(size_t place, char name[CK_GPT_NAME]);
size_t ck_gpt_hf_name(size_t place, char name[CK_GPT_NAME]);

#endif
