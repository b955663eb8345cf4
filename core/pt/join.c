/* What belongs to which parameter in the shards of all ranks. Implements join.h, which has the layout, with
   join_check.c and join_make.c; begin with ck_join_new(). */
#include "core/pt/join.h"

#include "core/pt/join_impl.h"

#include "core/format/outline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The outline of nanochat's largest model is a tenth of it. */
#define MAX_OUTLINE ((size_t)4 << 20)
/* nanochat has about twelve. For each one all of the model's tensors are looked at. */
#define MAX_GROUPS 256u

/* The groups of kind adamw in their order: names of parameters, or where they begin. */
static const char *const adamw_groups[][3] = {
	{ "lm_head.*" },     { "transformer.wte.*" }, { "value_embeds.*" },
	{ "resid_lambdas" }, { "x0_lambdas" },        { "smear_gate.weight", "smear_lambda", "backout_lambda" },
};
#define ADAMW_GROUPS (sizeof(adamw_groups) / sizeof(*adamw_groups))

/* Where the reading of groups stands. */
struct reading {
	struct ck_join *j;
	size_t first;           /* slot of id 0 of this state_dict */
	unsigned adamw;         /* the next of adamw_groups */
	bool listed;            /* the file is a list of two state_dicts */
	bool muon;              /* this is the second of them */
	struct ck_error *err;
};

static int bad(struct reading *r, enum ck_code code, const char *subject)
{
	ck_error_file(r->err, ck_join_file(r->j, 0));
	if (subject)
		ck_error_subject(r->err, subject, strlen(subject));
	return (int)code;
}

static bool matches(const struct ck_tensor *t, const char *pattern)
{
	size_t len = strlen(pattern);

	if (pattern[len - 1] == '*')
		return t->key_len >= len - 1 && memcmp(t->key, pattern, len - 1) == 0;
	return t->key_len == len && memcmp(t->key, pattern, len) == 0;
}

/* The parameter I of the model becomes the next one of the optimizer. */
static void claim(struct reading *r, size_t i, bool stacked)
{
	struct ck_join *j = r->j;

	j->slot_of[i] = (int64_t)j->slot_count;
	j->slots[j->slot_count++] = (struct ck_slot){
		.param = ck_checkpoint_tensor(j->model, i), .stacked = stacked };
}

/* Whether I is a parameter that training saved, and none has taken it. */
static bool is_free(const struct ck_join *j, size_t i)
{
	const struct ck_tensor *t = ck_checkpoint_tensor(j->model, i);

	return j->slot_of[i] < 0 && t->source == CK_SRC_ARCHIVE && !t->unshown;
}

/* Takes the parameters of one of adamw_groups; how many. */
static uint32_t claim_adamw(struct reading *r, unsigned group)
{
	size_t count = ck_checkpoint_count(r->j->model), before = r->j->slot_count;

	for (size_t p = 0; p < 3 && adamw_groups[group][p]; p++)
		for (size_t i = 0; i < count; i++)
			if (is_free(r->j, i) && matches(ck_checkpoint_tensor(r->j->model, i), adamw_groups[group][p]))
				claim(r, i, false);
	return (uint32_t)(r->j->slot_count - before);
}

/* Orders shapes as Python does tuples. */
static int compare_shapes(const int64_t *a, unsigned a_dims, const int64_t *b, unsigned b_dims)
{
	for (unsigned k = 0; k < a_dims && k < b_dims; k++)
		if (a[k] != b[k])
			return a[k] < b[k] ? -1 : 1;
	return (a_dims > b_dims) - (a_dims < b_dims);
}

/* Takes all parameters of the blocks that have the smallest shape of those left; how many. */
static uint32_t claim_muon(struct reading *r)
{
	size_t count = ck_checkpoint_count(r->j->model), before = r->j->slot_count;
	const struct ck_tensor *least = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct ck_tensor *t = ck_checkpoint_tensor(r->j->model, i);

		if (is_free(r->j, i) && matches(t, "transformer.h.*") &&
		    (!least || compare_shapes(t->shape, t->ndim, least->shape, least->ndim) < 0))
			least = t;
	}
	for (size_t i = 0; i < count && least; i++) {
		const struct ck_tensor *t = ck_checkpoint_tensor(r->j->model, i);

		if (is_free(r->j, i) && matches(t, "transformer.h.*") &&
		    compare_shapes(t->shape, t->ndim, least->shape, least->ndim) == 0)
			claim(r, i, true);
	}
	return (uint32_t)(r->j->slot_count - before);
}

/* The ids of the group: rising through the groups. */
static int check_ids(struct reading *r, const struct ck_value *params, size_t first, uint32_t count)
{
	const char *what = r->j->slot_count > first ? r->j->slots[first].param->key : NULL;

	if (params->list->len != count) {
		ck_error_set(r->err, CK_ERR_CORRUPT,
			     "expected a group of the model's %" PRIu32 " parameters from here on, "
			     "found one of %" PRIu32,
			     count, params->list->len);
		return bad(r, CK_ERR_CORRUPT, what);
	}
	for (uint32_t k = 0; k < count; k++)
		if (params->list->items[k].kind != CK_INT ||
		    (uint64_t)params->list->items[k].i != first - r->first + k) {
			ck_error_set(r->err, CK_ERR_CORRUPT,
				     "expected the ids of parameters to count through the groups");
			return bad(r, CK_ERR_CORRUPT, "param_groups");
		}
	return CK_OK;
}

/* A group of the model's parameters that nanochat gives to AdamW. */
static int read_adamw(struct reading *r, const struct ck_value *params)
{
	size_t first = r->j->slot_count;
	uint32_t count = 0;

	/* A model without such parameters has no group, or an empty one. */
	while (r->adamw < ADAMW_GROUPS && !count) {
		count = claim_adamw(r, r->adamw++);
		if (!count && params->list->len == 0)
			return CK_OK;
	}
	return check_ids(r, params, first, count);
}

/* chunk_size of the list's generation: members a rank. */
static int read_chunk(struct reading *r, struct ck_dict *group, uint32_t members)
{
	struct ck_value *chunk = ck_dict_get(group, "chunk_size");
	struct ck_join *j = r->j;

	if (!r->listed)
		return CK_OK;
	if (!chunk || chunk->kind != CK_INT) {
		ck_error_set(r->err, CK_ERR_UNSUPPORTED,
			     "expected chunk_size in Muon's groups, found none: an optimizer of "
			     "nanochat before 15 January 2026, which lays out its shards by other rules");
		return bad(r, CK_ERR_UNSUPPORTED, "param_groups");
	}
	if ((uint64_t)chunk->i != (members + j->ranks - 1) / j->ranks) {
		ck_error_set(r->err, CK_ERR_CORRUPT,
			     "expected chunk_size %zu for %" PRIu32 " parameters on %zu ranks, found %" PRId64,
			     (members + j->ranks - 1) / j->ranks, members, j->ranks, chunk->i);
		return bad(r, CK_ERR_CORRUPT, "param_groups");
	}
	j->chunks[j->chunk_count].value = chunk;
	j->chunks[j->chunk_count++].members = members;
	return CK_OK;
}

static int read_muon(struct reading *r, struct ck_dict *group, const struct ck_value *params)
{
	size_t first = r->j->slot_count;
	uint32_t count;
	int rc;

	while (r->adamw < ADAMW_GROUPS)
		if (claim_adamw(r, r->adamw++)) {
			ck_error_set(r->err, CK_ERR_CORRUPT,
				     "expected a group of kind adamw for this parameter, found one "
				     "of kind muon");
			return bad(r, CK_ERR_CORRUPT, r->j->slots[first].param->key);
		}
	count = claim_muon(r);
	rc = check_ids(r, params, first, count);
	if (!rc)
		rc = read_chunk(r, group, count);
	for (uint32_t k = 0; k < count && !rc; k++) {
		r->j->slots[first + k].member = k;
		r->j->slots[first + k].members = count;
	}
	return rc;
}

static int read_group(struct reading *r, const struct ck_value *v)
{
	struct ck_value *params = v->kind == CK_DICT ? ck_dict_get(v->dict, "params") : NULL;
	const struct ck_value *kind = params ? ck_dict_get(v->dict, "kind") : NULL;

	if (params && params->kind == CK_LIST && !r->listed && kind && ck_value_is_str(kind, "adamw"))
		return read_adamw(r, params);
	if (params && params->kind == CK_LIST && !r->listed && kind && ck_value_is_str(kind, "muon"))
		return read_muon(r, v->dict, params);
	if (params && params->kind == CK_LIST && r->listed)
		return r->muon ? read_muon(r, v->dict, params) : read_adamw(r, params);
	ck_error_set(r->err, CK_ERR_UNSUPPORTED,
		     "expected groups of kind adamw or muon, as nanochat's optimizer has them");
	return bad(r, CK_ERR_UNSUPPORTED, "param_groups");
}

/* The fields of state ID go to its parameter, and to all of its group. */
static int read_state(struct reading *r, const struct ck_pair *pair)
{
	struct ck_join *j = r->j;
	struct ck_slot *slot;
	size_t count = j->slot_count - r->first;

	if (pair->key.kind != CK_INT || pair->key.i < 0 || (uint64_t)pair->key.i >= count ||
	    pair->value.kind != CK_DICT || j->slots[r->first + (size_t)pair->key.i].member) {
		ck_error_set(r->err, CK_ERR_CORRUPT,
			     "expected the states of %zu parameters by their ids, of a muon group "
			     "under its first, found another key",
			     count);
		return bad(r, CK_ERR_CORRUPT, "state");
	}
	slot = &j->slots[r->first + (size_t)pair->key.i];
	for (uint32_t k = 0; k < (slot->stacked ? slot->members : 1); k++)
		slot[k].state = pair->value.dict;
	return CK_OK;
}

static int read_dict(struct reading *r, struct ck_dict *dict)
{
	struct ck_value *groups = ck_dict_get(dict, "param_groups"), *state = ck_dict_get(dict, "state");
	int rc = CK_OK;

	if (!groups || groups->kind != CK_LIST || !state || state->kind != CK_DICT) {
		ck_error_set(r->err, CK_ERR_UNSUPPORTED, "expected an optimizer's state and param_groups");
		return bad(r, CK_ERR_UNSUPPORTED, NULL);
	}
	if (groups->list->len > MAX_GROUPS) {
		ck_error_set(r->err, CK_ERR_LIMIT, "expected at most %u groups, found %" PRIu32, MAX_GROUPS,
			     groups->list->len);
		return bad(r, CK_ERR_LIMIT, "param_groups");
	}
	r->first = r->j->slot_count;
	for (uint32_t i = 0; i < groups->list->len && !rc; i++)
		rc = read_group(r, &groups->list->items[i]);
	for (uint32_t i = 0; i < state->dict->len && !rc; i++)
		rc = read_state(r, &state->dict->pairs[i]);
	return rc;
}

size_t ck_join_dicts(const struct ck_join *j, struct ck_dict *dicts[static 2])
{
	struct ck_value *items = j->root.kind == CK_LIST ? j->root.list->items : NULL;

	if (j->root.kind == CK_DICT) {
		dicts[0] = j->root.dict;
		return 1;
	}
	if (!items || j->root.list->len != 2 || items[0].kind != CK_DICT || items[1].kind != CK_DICT)
		return 0;
	dicts[0] = items[0].dict;
	dicts[1] = items[1].dict;
	return 2;
}

/* The groups and states of all state_dicts, and no parameter of the model left. */
static int read_dicts(struct ck_join *j, struct ck_error *err)
{
	struct ck_dict *dicts[2];
	size_t count = ck_join_dicts(j, dicts);
	struct reading r = { .j = j, .listed = count == 2, .err = err };
	int rc = CK_OK;

	if (count == 0) {
		ck_error_set(err, CK_ERR_UNSUPPORTED, "expected an optimizer's state, or a list of AdamW's and Muon's");
		return bad(&r, CK_ERR_UNSUPPORTED, NULL);
	}
	for (size_t i = 0; i < count && !rc; i++) {
		r.muon = i == 1;
		rc = read_dict(&r, dicts[i]);
	}
	for (size_t i = 0; i < ck_checkpoint_count(j->model) && !rc; i++) {
		const struct ck_tensor *t = ck_checkpoint_tensor(j->model, i);

		if (t->source == CK_SRC_ARCHIVE && j->slot_of[i] < 0) {
			ck_error_set(err, CK_ERR_UNSUPPORTED,
				     "expected a group of the optimizer for this tensor of the "
				     "model, found none");
			rc = bad(&r, CK_ERR_UNSUPPORTED, t->key);
		}
	}
	return rc;
}

/* ---- the fields of a parameter's state ---- */

/* The shape that each rank should have of FIELD, into SHAPE; its dimensions, or -1: no such field. */
static int expected_shape(const struct ck_join *j, const struct ck_slot *slot, const struct ck_value *field,
			  int64_t *shape)
{
	const struct ck_tensor *p = slot->param;
	bool second = ck_value_is_str(field, "second_momentum_buffer");

	if (!slot->stacked) {
		if (ck_value_is_str(field, "step"))
			return 0;
		if (!ck_value_is_str(field, "exp_avg") && !ck_value_is_str(field, "exp_avg_sq"))
			return -1;
		memcpy(shape, p->shape, p->ndim * sizeof(*shape));
		if (j->ranks > 1 && p->numel >= CK_WHOLE_BELOW)
			shape[0] = p->shape[0] % (int64_t)j->ranks ? -1 : p->shape[0] / (int64_t)j->ranks;
		return p->ndim;
	}
	if ((!second && !ck_value_is_str(field, "momentum_buffer")) || p->ndim != 2)
		return -1;
	shape[0] = (int64_t)((slot->members + j->ranks - 1) / j->ranks);
	shape[1] = second && p->shape[0] < p->shape[1] ? 1 : p->shape[0];
	shape[2] = second && p->shape[0] >= p->shape[1] ? 1 : p->shape[1];
	return 3;
}

static int bad_shape(struct ck_join *j, const struct ck_slot *slot, const struct ck_tensor *t, const int64_t *shape,
		     int ndim, struct ck_error *err)
{
	struct ck_buf want = CK_BUF_INIT, found = CK_BUF_INIT;

	if (shape[0] < 0)
		ck_error_set(err, CK_ERR_CORRUPT,
			     "expected a number of rows of %.80s that the %zu ranks of its shards divide, "
			     "found %" PRId64,
			     slot->param->key, j->ranks, slot->param->shape[0]);
	ck_shape_text(&want, shape, (unsigned)ndim);
	ck_tensor_shape_text(&found, t);
	ck_buf_byte(&want, '\0');
	ck_buf_byte(&found, '\0');
	if (!want.failed && !found.failed)
		ck_error_set(err, CK_ERR_CORRUPT, "expected %s of each of %zu ranks' shards of %.80s, found %s",
			     want.data, j->ranks, slot->param->key, found.data);
	ck_buf_free(&want);
	ck_buf_free(&found);
	ck_error_file(err, ck_join_file(j, 0));
	ck_error_subject(err, t->key, t->key_len);
	return CK_ERR_CORRUPT;
}

static int read_field(struct ck_join *j, const struct ck_slot *slot, const struct ck_pair *pair, struct ck_error *err)
{
	const struct ck_tensor *t;
	struct ck_piece *piece;
	int64_t shape[CK_MAX_DIMS] = { 0 };
	bool named = pair->key.kind == CK_STR, number = pair->value.kind == CK_INT || pair->value.kind == CK_FLOAT;
	int ndim = named ? expected_shape(j, slot, &pair->key, shape) : -1;

	/* Of the fields, step alone has no dimensions, and may be a number. */
	if (ndim < 0 || (pair->value.kind != CK_TENSOR && !(number && ck_value_is_str(&pair->key, "step")))) {
		ck_error_set(err, CK_ERR_UNSUPPORTED, "expected the states of nanochat's %s alone, found '%.*s'",
			     slot->stacked ? "Muon (momentum_buffer, second_momentum_buffer, of matrices)"
					   : "AdamW (step, exp_avg, exp_avg_sq)",
			     named ? (int)(pair->key.len < 80 ? pair->key.len : 80) : 1, named ? pair->key.s : "?");
		ck_error_file(err, ck_join_file(j, 0));
		ck_error_subject(err, slot->param->key, slot->param->key_len);
		return CK_ERR_UNSUPPORTED;
	}
	if (pair->value.kind != CK_TENSOR)
		return CK_OK;
	t = ck_checkpoint_tensor(j->shards[0], (size_t)pair->value.i);
	if (t->unshown || t->ndim != ndim || memcmp(t->shape, shape, (size_t)ndim * sizeof(*shape)) != 0)
		return bad_shape(j, slot, t, shape, ndim, err);
	piece = &j->pieces[pair->value.i];
	piece->param = slot->param;
	piece->rows = slot->members;
	piece->rule = slot->stacked ? CK_RULE_STACK
		      : ndim && j->ranks > 1 && slot->param->numel >= CK_WHOLE_BELOW ? CK_RULE_ROWS : CK_RULE_WHOLE;
	return CK_OK;
}

static int read_fields(struct ck_join *j, struct ck_error *err)
{
	int rc = CK_OK;

	for (size_t i = 0; i < j->slot_count && !rc; i++) {
		const struct ck_slot *slot = &j->slots[i];

		for (uint32_t k = 0; slot->state && slot->member == 0 && k < slot->state->len && !rc; k++)
			rc = read_field(j, slot, &slot->state->pairs[k], err);
	}
	for (size_t i = 0; i < ck_checkpoint_count(j->shards[0]) && !rc; i++) {
		const struct ck_tensor *t = ck_checkpoint_tensor(j->shards[0], i);

		if (j->pieces[i].rule != CK_RULE_NONE)
			continue;
		rc = ck_fail(err, CK_ERR_UNSUPPORTED, "expected tensors in the states of parameters alone");
		ck_error_file(err, ck_join_file(j, 0));
		ck_error_subject(err, t->key, t->key_len);
	}
	return rc;
}

/* ---- new and free ---- */

static int64_t find_tensor(void *arg, const char *path, size_t len)
{
	return ck_checkpoint_find_key(arg, path, len);
}

static int read_root(struct ck_join *j, struct ck_error *err)
{
	const struct ck_buf *outline = &j->shards[0]->outline;
	int rc;

	if (outline->len > MAX_OUTLINE)
		rc = ck_fail(err, CK_ERR_LIMIT, "expected at most %zu bytes of rank0.json, found %zu", MAX_OUTLINE,
			     outline->len);
	else
		rc = ck_outline_read(outline->data, outline->len, j->arena, find_tensor, NULL, j->shards[0], &j->root,
				     err);
	ck_error_file(err, ck_join_file(j, 0));
	return rc;
}

/* Tables for at most as many parameters and groups as the model has tensors. */
static int make_room(struct ck_join *j, struct ck_error *err)
{
	size_t params = ck_checkpoint_count(j->model) + 1, tensors = ck_checkpoint_count(j->shards[0]) + 1;

	j->arena = ck_arena_new_within(&j->budget);
	j->slots = calloc(params, sizeof(*j->slots));
	j->slot_of = malloc(params * sizeof(*j->slot_of));
	j->pieces = calloc(tensors, sizeof(*j->pieces));
	j->chunks = calloc(2 * MAX_GROUPS, sizeof(*j->chunks));
	if (!j->arena || !j->slots || !j->slot_of || !j->pieces || !j->chunks)
		return ck_fail_nomem(err);
	for (size_t i = 0; i < params; i++)
		j->slot_of[i] = -1;
	return CK_OK;
}

int ck_join_new(struct ck_checkpoint *model, struct ck_checkpoint *const *shards, size_t ranks, struct ck_join **out,
		struct ck_error *err)
{
	struct ck_join *j = calloc(1, sizeof(*j));
	int rc;

	if (!j || !(j->shards = calloc(ranks, sizeof(struct ck_checkpoint *)))) {
		free(j);
		return ck_fail_nomem(err);
	}
	j->model = ck_checkpoint_ref(model);
	for (; j->ranks < ranks; j->ranks++)
		j->shards[j->ranks] = ck_checkpoint_ref(shards[j->ranks]);
	j->budget.left = ck_outline_budget(MAX_OUTLINE);
	rc = make_room(j, err);
	if (!rc)
		rc = ck_join_check_structure(j, err);
	if (!rc)
		rc = read_root(j, err);
	if (!rc)
		rc = read_dicts(j, err);
	if (!rc)
		rc = read_fields(j, err);
	if (!rc)
		rc = ck_join_check_values(j, err);
	if (rc)
		ck_join_free(j);
	else
		*out = j;
	return rc;
}

void ck_join_free(struct ck_join *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < j->ranks; i++)
		ck_checkpoint_unref(j->shards[i]);
	ck_checkpoint_unref(j->model);
	ck_arena_free(j->arena);
	free(j->shards);
	free(j->slots);
	free(j->slot_of);
	free(j->pieces);
	free(j->chunks);
	free(j);
}
