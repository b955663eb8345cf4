/* Shapes against model_config. Implements shapes.h; begin with check_shapes(). */
#include "core/check/shapes.h"

#include "core/base/buf.h"
#include "core/base/text.h"
#include "core/pt/required.h"

#include <inttypes.h>
#include <string.h>

#define ANY INT64_C(-1)
/* nanochat pads the vocabulary to a multiple of 64; forks to a larger one. */
#define PADDING 1024
#define MOST_LAYERS 100000 /* meta.h */

/* What model_config asks of a matrix. ROWS or COLUMNS may be ANY. */
struct wanted {
	int64_t rows, columns, padding;
};

/* How many rows the keys and values of all heads have. */
static int64_t kv_rows(const struct ck_model_config *m)
{
	if (m->n_head <= 0 || m->n_kv_head <= 0 || m->n_embd <= 0 || m->n_embd % m->n_head != 0 ||
	    m->n_kv_head > m->n_head)
		return ANY;
	return m->n_embd / m->n_head * m->n_kv_head;
}

/* False of a tensor whose shape model_config doesn't settle. */
static bool wanted_of(const char *key, const struct ck_meta_info *m, struct wanted *out)
{
	const struct ck_model_config *c = &m->config;

	*out = (struct wanted){ANY, ANY, 0};
	if (ck_gpt_place(key, 0) != SIZE_MAX)
		*out = (struct wanted){c->vocab_size, c->n_embd, PADDING};
	else if (ck_gpt_place(key, (uint64_t)m->n_layer) == SIZE_MAX)
		return false;
	else if (ck_ends_with(key, ".attn.c_q.weight") || ck_ends_with(key, ".attn.c_proj.weight"))
		*out = (struct wanted){c->n_embd, c->n_embd, 0};
	else if (ck_ends_with(key, ".attn.c_k.weight") || ck_ends_with(key, ".attn.c_v.weight"))
		*out = (struct wanted){kv_rows(c), c->n_embd, 0};
	else if (ck_ends_with(key, ".mlp.c_fc.weight"))
		out->columns = c->n_embd;
	else
		out->rows = c->n_embd;
	return true;
}

static bool fits(const struct ck_tensor *t, const struct wanted *w)
{
	if (t->ndim != 2)
		return false;
	if (w->columns > 0 && t->shape[1] != w->columns)
		return false;
	return w->rows <= 0 || t->shape[0] == w->rows || (t->shape[0] > w->rows && t->shape[0] - w->rows < w->padding);
}

static void number(struct ck_buf *b, int64_t n)
{
	if (n > 0)
		ck_buf_printf(b, "%" PRId64, n);
	else
		ck_buf_str(b, "any");
}

static void report_shape(const struct ck_tensor *t, const struct wanted *w, const char *shown, const char *meta,
			 struct ck_found *found)
{
	struct ck_error why = CK_ERROR_INIT;
	struct ck_buf is = CK_BUF_INIT, want = CK_BUF_INIT;

	ck_tensor_shape_text(&is, t);
	ck_buf_byte(&is, '\0');
	number(&want, w->rows);
	ck_buf_byte(&want, ',');
	number(&want, w->columns);
	ck_buf_byte(&want, '\0');
	if (is.failed || want.failed)
		ck_fail_nomem(&why);
	else
		ck_error_set(&why, CK_ERR_CORRUPT, "expected [%s] by model_config in %s, found %s", want.data, meta,
			     is.data);
	ck_error_subject(&why, t->key, t->key_len);
	ck_found_error(found, shown, &why, "one of the two files is of another run");
	ck_buf_free(&is);
	ck_buf_free(&want);
}

void check_shapes(const struct ck_checkpoint *c, const struct ck_meta_info *info, const char *shown, const char *meta,
		  struct ck_found *found)
{
	struct ck_lacking lacking = {0};
	struct ck_error why = CK_ERROR_INIT;
	size_t count = ck_checkpoint_count(c);
	bool told = false, layers = false;

	if (!info->has_config || count == 0)
		return;
	if (ck_required_lacking(ck_checkpoint_tensor(c, 0), count, info->n_layer, &lacking, &why))
		ck_found_error(found, shown, &why, "");
	if (lacking.missing)
		ck_found_add(found, CK_ERROR, shown,
			     "%zu of the %zu tensors that n_layer %" PRId64
			     " in %s asks for are missing, %s first: resume from "
			     "another step",
			     lacking.missing, lacking.wanted, info->n_layer, meta, lacking.first);
	/* Another model than nanochat's has a config of its own. */
	for (size_t i = 0; i < count && lacking.wanted; i++) {
		const struct ck_tensor *t = ck_checkpoint_tensor(c, i);
		struct wanted w;
		size_t place;

		if (t->unshown)
			continue;
		place = ck_gpt_place(t->key, MOST_LAYERS);
		if (!layers && place != SIZE_MAX && place >= lacking.wanted) {
			ck_found_add(found, CK_ERROR, shown, "has layer %zu, but n_layer in %s is %" PRId64,
				     (place - ck_gpt_count(0)) / (ck_gpt_count(1) - ck_gpt_count(0)), meta,
				     info->n_layer);
			layers = true;
		}
		if (!told && wanted_of(t->key, info, &w) && !fits(t, &w)) {
			report_shape(t, &w, shown, meta, found);
			told = true;
		}
	}
}
