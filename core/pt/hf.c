/* Decides whether transformers can represent a model, and makes its files. Implements hf.h. */
#include "core/pt/hf.h"

#include "core/pt/gpt.h"
#include "core/pt/private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* nanochat's special tokens stand last in its vocabulary: <|bos|> first of the nine, <|assistant_end|> fifth. */
#define SPECIAL_TOKENS 9
#define ASSISTANT_END 5

/* What is decided about. */
struct model {
	struct ck_checkpoint *c;
	struct ck_hf *hf;
	const struct ck_model_config *config;
	uint64_t n_layer;
	int64_t *place;         /* the index of the tensor at each place of gpt.h, or -1 */
	const struct ck_tensor *lambdas[2];
};

static const struct {
	const char *key;
	float value;            /* that changes nothing */
} lambdas[] = {{ "resid_lambdas", 1.0f }, { "x0_lambdas", 0.0f }};

/* Says why not, the first time; false. */
__attribute__((format(printf, 4, 5))) static bool refuse(struct model *m, const char *subject, size_t len,
							 const char *format, ...)
{
	char text[sizeof(m->hf->why.text)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ck_error_set(&m->hf->why, CK_ERR_UNSUPPORTED, "%s", text);
	ck_error_subject(&m->hf->why, subject, len);
	return false;
}

#define refuse_setting(m, ...) refuse(m, "model_config", strlen("model_config"), __VA_ARGS__)
#define refuse_tensor(m, t, ...) refuse(m, (t)->key, (t)->key_len, __VA_ARGS__)

/* ---- the settings ---- */

static bool check_settings(struct model *m)
{
	const struct ck_model_config *c = m->config;
	const struct {
		const char *name;
		int64_t value, least;
	} settings[] = {
		{ "n_head", c->n_head, 1 },
		{ "n_embd", c->n_embd, 1 },
		{ "sequence_len", c->sequence_len, 1 },
		{ "vocab_size", c->vocab_size, SPECIAL_TOKENS },
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		if (settings[i].value < settings[i].least)
			return refuse_setting(m, "expected %s of at least %" PRId64 " in meta.json, found none",
					      settings[i].name, settings[i].least);
	if (c->n_embd % c->n_head)
		return refuse_setting(m, "expected n_embd to be a multiple of n_head, found %" PRId64 " and %" PRId64,
				      c->n_embd, c->n_head);
	if (c->window[0])
		return refuse_setting(m, "window_pattern: transformers' NanoChat attends to all tokens in each layer, "
					 "which is L alone; found %s", c->window);
	return true;
}

/* ---- the tensors ---- */

static bool place_tensor(struct model *m, size_t i)
{
	const struct ck_tensor *t = &m->c->tensors[i];
	size_t place = strlen(t->key) == t->key_len ? ck_gpt_place(t->key, m->n_layer) : SIZE_MAX;

	if (place != SIZE_MAX && t->unshown)
		return refuse_tensor(m, t, "expected an array, found another kind of tensor");
	if (place != SIZE_MAX) {
		m->place[place] = (int64_t)i;
		return true;
	}
	for (size_t k = 0; k < 2; k++) {
		if (strlen(lambdas[k].key) == t->key_len && memcmp(t->key, lambdas[k].key, t->key_len) == 0) {
			m->lambdas[k] = t;
			return true;
		}
	}
	return refuse_tensor(m, t, "transformers' NanoChat has no such tensor");
}

static bool place_tensors(struct model *m)
{
	size_t want = ck_gpt_count(m->n_layer);
	char name[CK_GPT_NAME];

	for (size_t i = 0; i < m->c->count; i++)
		if (!place_tensor(m, i))
			return false;
	for (size_t i = 0; i < want; i++)
		if (m->place[i] < 0)
			return refuse(m, name, ck_gpt_name(i, name), "expected in each model, found no such tensor");
	return true;
}

static bool has_shape(struct model *m, size_t place, int64_t rows, int64_t columns)
{
	const struct ck_tensor *t = &m->c->tensors[m->place[place]];
	int64_t want[2] = { rows, columns };
	struct ck_buf text = CK_BUF_INIT;

	if (t->ndim == 2 && t->shape[0] == rows && t->shape[1] == columns)
		return true;
	ck_shape_text(&text, want, 2);
	ck_buf_str(&text, ", found ");
	ck_tensor_shape_text(&text, t);
	refuse_tensor(m, t, "expected the shape %s", text.failed ? "of its layer" : text.data);
	ck_buf_free(&text);
	return false;
}

static int64_t rows_of(const struct model *m, size_t place)
{
	const struct ck_tensor *t = &m->c->tensors[m->place[place]];

	return t->ndim ? t->shape[0] : 0;
}

/* Places in gpt.h: 0 wte, 1 lm_head; then c_q, c_k, c_v, c_proj, c_fc and the second c_proj of each layer. */
#define FIRST_K 3
#define FIRST_FC 6

static bool check_shapes(struct model *m)
{
	int64_t n_embd = m->config->n_embd, head = n_embd / m->config->n_head;
	int64_t vocab = rows_of(m, 0), kv, mlp;
	bool fits = has_shape(m, 0, vocab, n_embd) && has_shape(m, 1, vocab, n_embd);

	if (fits && m->config->vocab_size > vocab)
		return refuse_setting(m, "expected vocab_size of at most %" PRId64 ", wte's rows, found %" PRId64,
				      vocab, m->config->vocab_size);
	if (!fits || m->n_layer == 0)
		return fits && refuse_setting(m, "expected n_layer of at least 1, found 0");
	kv = rows_of(m, FIRST_K);
	mlp = rows_of(m, FIRST_FC);
	if (head < 1 || kv < head || kv % head || m->config->n_head % (kv / head))
		return refuse_tensor(m, &m->c->tensors[m->place[FIRST_K]],
				     "expected whole heads of %" PRId64 " rows, so many as divide the %" PRId64
				     " of c_q, found %" PRId64 " rows", head, m->config->n_head, kv);
	for (size_t at = 2; at < ck_gpt_count(m->n_layer) && fits; at += 6)
		fits = has_shape(m, at, n_embd, n_embd) && has_shape(m, at + 1, kv, n_embd) &&
		       has_shape(m, at + 2, kv, n_embd) && has_shape(m, at + 3, n_embd, n_embd) &&
		       has_shape(m, at + 4, mlp, n_embd) && has_shape(m, at + 5, n_embd, mlp);
	return fits;
}

/* Reads the lambdas of T, which must all be VALUE: then they change nothing, and transformers needs none. *FITS says
   whether they are. */
static int check_lambdas(struct model *m, const struct ck_tensor *t, float value, bool *fits, struct ck_error *err)
{
	struct ck_tensor as_float = *t;
	struct ck_view *view;
	float read[256];
	size_t got = 0;
	uint64_t at = 0;
	int rc;

	*fits = t->source == CK_SRC_FILL;       /* ckptfs itself has put it there */
	if (*fits)
		return CK_OK;
	as_float.dtype = CK_F32;
	if (t->unshown || (t->stored_dtype != CK_F32 && t->stored_dtype != CK_BF16) || t->numel != m->n_layer) {
		refuse_tensor(m, t, "expected %" PRIu64 " numbers of float32 or bfloat16, found %" PRIu64 " of %s",
			      m->n_layer, t->numel, ck_dtype_info(t->stored_dtype)->torch);
		return CK_OK;
	}
	view = ck_view_new();
	rc = view ? ck_view_add_tensor(view, &as_float, err) : ck_fail_nomem(err);
	*fits = true;
	do {
		rc = rc ? rc : ck_view_read(view, at, read, sizeof(read), &got, err);
		for (size_t i = 0; i < got / sizeof(*read) && !rc && *fits; i++) {
			*fits = read[i] == value;
			if (!*fits)
				refuse_tensor(m, t,
					      "transformers' NanoChat has no such tensor: expected %g alone, found %g",
					      (double)value, (double)read[i]);
		}
		at += got;
	} while (!rc && *fits && got == sizeof(read));
	ck_view_unref(view);
	return rc;
}

/* ---- the files ---- */

static void write_config(struct model *m, const char *dtype)
{
	const struct ck_model_config *c = m->config;
	int64_t bos = c->vocab_size - SPECIAL_TOKENS, end = c->vocab_size - ASSISTANT_END;

	ck_buf_printf(&m->hf->config,
		      "{\n  \"architectures\": [\n    \"NanoChatForCausalLM\"\n  ],\n"
		      "  \"attention_bias\": false,\n  \"attention_dropout\": 0.0,\n"
		      "  \"bos_token_id\": %" PRId64 ",\n  \"dtype\": \"%s\",\n"
		      "  \"eos_token_id\": [\n    %" PRId64 ",\n    %" PRId64 "\n  ],\n"
		      "  \"final_logit_softcapping\": 15.0,\n  \"hidden_act\": \"relu2\",\n"
		      "  \"hidden_size\": %" PRId64 ",\n  \"initializer_range\": 0.02,\n"
		      "  \"intermediate_size\": %" PRId64 ",\n  \"max_position_embeddings\": %" PRId64 ",\n"
		      "  \"model_type\": \"nanochat\",\n  \"num_attention_heads\": %" PRId64 ",\n"
		      "  \"num_hidden_layers\": %" PRIu64 ",\n  \"num_key_value_heads\": %" PRId64 ",\n"
		      "  \"pad_token_id\": %" PRId64 ",\n  \"rms_norm_eps\": 1e-06,\n"
		      "  \"rope_parameters\": {\n    \"rope_theta\": 10000.0,\n    \"rope_type\": \"default\"\n  },\n"
		      "  \"rope_theta\": 10000.0,\n  \"tie_word_embeddings\": false,\n"
		      "  \"torch_dtype\": \"%s\",\n  \"use_cache\": true,\n  \"vocab_size\": %" PRId64 "\n}\n",
		      bos, dtype, end, bos, c->n_embd, rows_of(m, FIRST_FC), c->sequence_len, c->n_head, m->n_layer,
		      rows_of(m, FIRST_K) / (c->n_embd / c->n_head), bos, dtype, rows_of(m, 0));
	ck_buf_printf(&m->hf->generation,
		      "{\n  \"_from_model_config\": true,\n  \"bos_token_id\": %" PRId64 ",\n"
		      "  \"eos_token_id\": [\n    %" PRId64 ",\n    %" PRId64 "\n  ],\n"
		      "  \"pad_token_id\": %" PRId64 "\n}\n", bos, end, bos, bos);
}

/* The tensors under transformers' names, in the checkpoint's arena. */
static int rename_tensors(struct model *m, struct ck_error *err)
{
	struct ck_arena *arena = m->c->arena;
	struct ck_hf *hf = m->hf;
	char name[CK_GPT_NAME], *key;
	size_t len;

	hf->count = ck_gpt_count(m->n_layer);
	hf->tensors = ck_arena_alloc(arena, hf->count * sizeof(*hf->tensors));
	for (size_t i = 0; i < hf->count && hf->tensors; i++) {
		len = ck_gpt_hf_name(i, name);
		key = ck_arena_alloc(arena, len + 1);
		if (!key)
			return ck_fail_room(err);
		memcpy(key, name, len + 1);
		hf->tensors[i] = m->c->tensors[m->place[i]];
		hf->tensors[i].key = key;
		hf->tensors[i].key_len = (uint32_t)len;
	}
	return hf->tensors ? CK_OK : ck_fail_room(err);
}

static int decide(struct model *m, bool bfloat16, struct ck_error *err)
{
	size_t want = ck_gpt_count(m->n_layer);
	bool fits = true;
	int rc = CK_OK;

	m->place = malloc(want * sizeof(*m->place));
	if (!m->place)
		return ck_fail_nomem(err);
	for (size_t i = 0; i < want; i++)
		m->place[i] = -1;
	fits = place_tensors(m) && check_settings(m) && check_shapes(m);
	for (size_t k = 0; k < 2 && fits && !rc; k++)
		if (m->lambdas[k])
			rc = check_lambdas(m, m->lambdas[k], lambdas[k].value, &fits, err);
	if (!rc && fits) {
		write_config(m, bfloat16 ? "bfloat16" : "float32");
		rc = rename_tensors(m, err);
	}
	if (!rc && (m->hf->config.failed || m->hf->generation.failed))
		rc = ck_fail_nomem(err);
	return rc;
}

int ck_hf_make(struct ck_checkpoint *c, int64_t n_layer, const struct ck_model_config *config, bool bfloat16,
	       struct ck_error *err)
{
	struct model m = { .c = c, .hf = calloc(1, sizeof(*m.hf)), .config = config };
	struct ck_error own = CK_ERROR_INIT;
	int rc = CK_OK;

	if (!m.hf)
		return ck_fail_nomem(err);
	m.hf->config = m.hf->generation = (struct ck_buf)CK_BUF_INIT;
	m.hf->why = (struct ck_error)CK_ERROR_INIT;
	c->hf = m.hf;
	if (n_layer < 0)
		refuse_setting(&m, "expected n_layer in meta.json, found no meta.json that has one");
	m.n_layer = n_layer < 0 ? 0 : (uint64_t)n_layer;
	if (n_layer >= 0)
		rc = decide(&m, bfloat16, &own);
	free(m.place);
	if (rc == CK_ERR_NOMEM || rc == CK_ERR_CHANGED) {
		ck_error_copy(err, &own);
		return rc;
	}
	/* Lambdas that can't be read, or no room for names: the model is shown all the same. */
	ck_error_copy(&m.hf->why, &own);
	return CK_OK;
}

void ck_hf_free(struct ck_hf *hf)
{
	if (!hf)
		return;
	ck_buf_free(&hf->config);
	ck_buf_free(&hf->generation);
	free(hf);
}
