/* The names of nanochat's tensors and of transformers'. Implements gpt.h. */
#include "core/pt/gpt.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "_orig_mod."     /* torch.compile's */
#define IN_LAYERS "transformer.h."
#define HF_IN_LAYERS "model.layers."

static const struct {
	const char *key, *hf;
} top[] = {
	{ "transformer.wte.weight", "model.embed_tokens.weight" },
	{ "lm_head.weight", "lm_head.weight" },
}, layer[] = {
	{ "attn.c_q.weight", "self_attn.q_proj.weight" },
	{ "attn.c_k.weight", "self_attn.k_proj.weight" },
	{ "attn.c_v.weight", "self_attn.v_proj.weight" },
	{ "attn.c_proj.weight", "self_attn.o_proj.weight" },
	{ "mlp.c_fc.weight", "mlp.fc1.weight" },
	{ "mlp.c_proj.weight", "mlp.fc2.weight" },
};
#define TOP (sizeof(top) / sizeof(*top))
#define LAYER (sizeof(layer) / sizeof(*layer))

static const char *without_prefix(const char *key)
{
	return strncmp(key, PREFIX, strlen(PREFIX)) == 0 ? key + strlen(PREFIX) : key;
}

size_t ck_gpt_count(uint64_t n_layer) { return TOP + (size_t)n_layer * LAYER; }

bool ck_gpt_in_layers(const char *key)
{
	return strncmp(without_prefix(key), IN_LAYERS, strlen(IN_LAYERS)) == 0;
}

size_t ck_gpt_place(const char *key, uint64_t n_layer)
{
	uint64_t n = 0;

	key = without_prefix(key);
	for (size_t i = 0; i < TOP; i++)
		if (strcmp(key, top[i].key) == 0)
			return i;
	if (!ck_gpt_in_layers(key))
		return SIZE_MAX;
	key += strlen(IN_LAYERS);
	if (*key < '0' || *key > '9' || (*key == '0' && key[1] != '.'))
		return SIZE_MAX;
	for (; *key >= '0' && *key <= '9' && n < n_layer; key++)
		n = n * 10 + (uint64_t)(*key - '0');
	for (size_t i = 0; n < n_layer && *key == '.' && i < LAYER; i++)
		if (strcmp(key + 1, layer[i].key) == 0)
			return TOP + (size_t)n * LAYER + i;
	return SIZE_MAX;
}

static size_t print(char name[CK_GPT_NAME], const char *before, size_t n, const char *key)
{
	return (size_t)snprintf(name, CK_GPT_NAME, "%s%zu.%s", before, n, key);
}

size_t ck_gpt_name(size_t place, char name[CK_GPT_NAME])
{
	if (place < TOP)
		return (size_t)snprintf(name, CK_GPT_NAME, "%s", top[place].key);
	place -= TOP;
	return print(name, IN_LAYERS, place / LAYER, layer[place % LAYER].key);
}

size_t ck_gpt_hf_name(size_t place, char name[CK_GPT_NAME])
{
	if (place < TOP)
		return (size_t)snprintf(name, CK_GPT_NAME, "%s", top[place].hf);
	place -= TOP;
	return print(name, HF_IN_LAYERS, place / LAYER, layer[place % LAYER].hf);
}
