/*
 * Joined shards: the input says which parameters a model has, on how many ranks its optimizer was saved, and where the shards lie.
 * True ones are joined, and cut for another number of ranks and back they are the same, to the last byte. What lies is refused, or can be read.
 */
#include "fuzz.h"

#include "core/base/cursor.h"
#include "core/pt/checkpoint.h"
#include "core/pt/forms.h"
#include "core/pt/join.h"
#include "core/pt/layout.h"

#include <string.h>

#define MAX_PARAMS 8u
#define MAX_RANKS 6u
#define WHOLE_BELOW 1024

struct param {
	char name[40];
	const int64_t *shape;
	uint8_t ndim;
};

/* What one .pt is made of. */
struct maker {
	struct ck_arena *arena;
	struct ck_tensor tensors[4 * MAX_PARAMS + 8];
	uint64_t at[4 * MAX_PARAMS + 8];        /* where its bytes begin in the noise */
	size_t count;
};

struct input {
	struct ck_cursor in;
	struct param params[MAX_PARAMS];        /* in the model's order */
	unsigned order[MAX_PARAMS];             /* ids to params */
	unsigned count, ranks, other;
	bool lied;
	struct ck_buf noise;
	struct ck_checkpoint *model, *shards[MAX_RANKS];
};

static const int64_t shapes[][2] = { { 24, 64 }, { 12, 128 }, { 2, 12 }, { 48, 32 }, { 3, 5 }, { 60, 20 } };
static const char *const names[] = { "lm_head.weight", "transformer.wte.weight", "value_embeds.1.weight", "resid_lambdas",
				     "x0_lambdas", "smear_gate.weight", "smear_lambda", "backout_lambda" };
#define NAMES (sizeof(names) / sizeof(*names))

static unsigned next(struct input *i) { return ck_cursor_u8(&i->in); }

/* Whether the input lies here, and how: 0 is the truth, as is everything behind the input's end. */
static unsigned lie(struct input *i, unsigned kinds)
{
	unsigned what = next(i);

	if (what == 0 || what > kinds)
		return 0;
	i->lied = true;
	return what;
}

static bool is_muon(const struct param *p) { return strncmp(p->name, "transformer.h.", 14) == 0; }
static int64_t columns(const struct param *p) { return p->ndim == 2 ? p->shape[1] : 1; }
static int64_t numel(const struct param *p) { return p->shape[0] * columns(p); }

static struct ck_value key_of(const char *s) { return ck_str(s, strlen(s)); }

static void set(struct maker *m, struct ck_value dict, struct ck_value key, struct ck_value value)
{
	MUST(ck_dict_set(m->arena, dict.dict, key, value, NULL) == CK_OK);
}

static struct ck_value tensor(struct maker *m, const int64_t *shape, uint8_t ndim, uint64_t at)
{
	struct ck_tensor *t = &m->tensors[m->count];
	int64_t *own = ck_arena_alloc(m->arena, 3 * sizeof(*own));

	MUST(own && m->count < sizeof(m->tensors) / sizeof(*m->tensors));
	memcpy(own, shape, ndim * sizeof(*shape));
	*t = (struct ck_tensor){ .key = "t", .key_len = 1, .shape = own, .ndim = ndim, .numel = 1, .dtype = CK_F32,
				 .stored_dtype = CK_F32, .source = CK_SRC_FILE };
	for (unsigned d = 0; d < ndim; d++)
		t->numel *= (uint64_t)shape[d];
	m->at[m->count] = at;
	return (struct ck_value){ .kind = CK_TENSOR, .i = (int64_t)m->count++ };
}

/* A region of SIZE bytes, zeros from ZEROS on. */
static uint64_t region(struct input *i, uint64_t size, uint64_t zeros)
{
	uint64_t at = i->noise.len;

	for (uint64_t k = 0; k < size; k++)
		ck_buf_byte(&i->noise, k < zeros ? (unsigned char)(k * 7 + k / 253 + at % 251) : 0);
	return at;
}

/* Opens the .pt of ROOT. */
static struct ck_checkpoint *open_pt(const struct ck_view *view, bool model)
{
	const struct ck_patch patch = { .model = model, .n_layer = -1 };
	struct ck_error err = CK_ERROR_INIT;
	struct ck_checkpoint *c = NULL;
	struct ck_file *file;
	size_t got = 0, size = (size_t)ck_view_size(view);
	char *bytes = malloc(size);

	MUST(bytes && fuzz_error(ck_view_read(view, 0, bytes, size, &got, &err), &err) == CK_OK && got == size);
	file = fuzz_file(bytes, size);
	MUST(fuzz_error(ck_checkpoint_open(file, &patch, &c, &err), &err) == CK_OK);
	ck_file_unref(file);
	free(bytes);
	return c;
}

static struct ck_checkpoint *save(const struct input *i, struct maker *m, const struct ck_value *root, bool shard)
{
	struct ck_save s = { .top = "t", .shard = shard, .root = root, .tensors = m->tensors, .count = m->count };
	struct ck_file *file = fuzz_file(i->noise.data, i->noise.len);
	struct ck_view *view = ck_view_new();
	struct ck_error err = CK_ERROR_INIT;
	struct ck_checkpoint *c;

	MUST(view);
	for (size_t k = 0; k < m->count; k++) {
		m->tensors[k].file = file;
		m->tensors[k].offset = m->at[k];
	}
	MUST(fuzz_error(ck_layout_add(view, &s, &err), &err) == CK_OK);
	c = open_pt(view, !shard);
	ck_view_unref(view);
	ck_file_unref(file);
	return c;
}

/* ---- the model and its optimizer ---- */

static void read_params(struct input *i)
{
	unsigned used = 0;

	i->count = 1 + next(i) % MAX_PARAMS;
	for (unsigned k = 0; k < i->count; k++) {
		struct param *p = &i->params[k];
		unsigned what = next(i), name = what % (2 * NAMES);

		p->shape = shapes[what / 16 % (sizeof(shapes) / sizeof(*shapes))];
		p->ndim = 2;
		if (name >= NAMES || used & 1u << name) {
			snprintf(p->name, sizeof(p->name), "transformer.h.%u.weight", k);
			continue;
		}
		used |= 1u << name;
		snprintf(p->name, sizeof(p->name), "%s", names[name]);
		p->ndim = what & 1 ? 1 : 2;
	}
}

static int compare(const struct param *a, const struct param *b)
{
	return a->shape[0] != b->shape[0] ? (a->shape[0] < b->shape[0] ? -1 : 1)
	       : columns(a) != columns(b) ? (columns(a) < columns(b) ? -1 : 1) : 0;
}

/* The group of adamw that a parameter belongs to: its place among nanochat's; of muon behind them, by shape. */
static unsigned group_of(const struct input *i, const struct param *p)
{
	unsigned group = 6;

	for (unsigned n = 0; n < NAMES; n++)
		if (strcmp(names[n], p->name) == 0)
			return n < 5 ? n : 5;
	for (unsigned k = 0; k < i->count; k++)
		group += is_muon(&i->params[k]) && compare(&i->params[k], p) < 0;
	return group;
}

/* Ids: by group, in it by NAMES for the last of adamw, else in the model's order. */
static void number(struct input *i)
{
	unsigned count = 0;

	for (unsigned g = 0; g < 6 + MAX_PARAMS; g++)
		for (unsigned n = 0; n < (g == 5 ? NAMES : 1); n++)
			for (unsigned k = 0; k < i->count; k++)
				if (group_of(i, &i->params[k]) == g && (g != 5 || strcmp(i->params[k].name, names[n]) == 0))
					i->order[count++] = k;
	MUST(count == i->count);
}

static void make_model(struct input *i)
{
	struct maker m = { .arena = ck_arena_new(1 << 20) };
	struct ck_value root;

	MUST(m.arena && ck_dict_new(m.arena, &root, NULL) == CK_OK);
	for (unsigned k = 0; k < i->count; k++)
		set(&m, root, key_of(i->params[k].name), tensor(&m, i->params[k].shape, i->params[k].ndim, 0));
	i->model = save(i, &m, &root, false);
	ck_arena_free(m.arena);
}

/* A field of rank RANK, of SHAPE, whose bytes on all ranks stand at AT behind one another; or a lie. */
static void put_field(struct input *i, struct maker *m, struct ck_value fields, const char *name, const int64_t *shape,
		      uint8_t ndim, uint64_t at)
{
	int64_t other[3] = { 1, 1, 1 };

	memcpy(other, shape, ndim * sizeof(*shape));
	switch (lie(i, 4)) {
	case 1:
		return;
	case 2:
		other[0] = 1 + other[0] / 2;
		break;
	case 3:
		name = "max_exp_avg";
		break;
	case 4:
		at = 4 * (at / 8);
		break;
	}
	set(m, fields, key_of(name), tensor(m, other, ndim, at));
}

/* Regions are made with rank 0, and are the same for the other ranks. */
static void put_adamw(struct input *i, struct maker *m, unsigned rank, struct ck_value fields, const struct param *p,
		      uint64_t at[2])
{
	bool whole = i->ranks == 1 || numel(p) < WHOLE_BELOW;
	int64_t shape[2] = { whole ? p->shape[0] : p->shape[0] / i->ranks, columns(p) };
	uint64_t bytes = (uint64_t)(shape[0] * shape[1]) * 4, own = whole ? 0 : rank * bytes;

	for (unsigned f = 0; f < 2 && rank == 0; f++)
		at[f] = region(i, (uint64_t)numel(p) * 4, UINT64_MAX);
	set(m, fields, key_of("step"), ck_int(lie(i, 1) ? 5 : 4));
	put_field(i, m, fields, "exp_avg", shape, p->ndim, at[0] + own);
	put_field(i, m, fields, "exp_avg_sq", shape, p->ndim, at[1] + own);
}

static void put_muon(struct input *i, struct maker *m, unsigned rank, struct ck_value fields, const struct param *p,
		     unsigned members, uint64_t at[2])
{
	unsigned each = (members + i->ranks - 1) / i->ranks;
	bool tall = p->shape[0] >= p->shape[1];
	int64_t full[3] = { each, p->shape[0], p->shape[1] };
	int64_t second[3] = { each, tall ? p->shape[0] : 1, tall ? 1 : p->shape[1] };
	uint64_t row[2] = { (uint64_t)numel(p) * 4, (uint64_t)(second[1] * second[2]) * 4 };

	for (unsigned f = 0; f < 2 && rank == 0; f++)
		at[f] = region(i, row[f] * each * i->ranks, row[f] * members);
	put_field(i, m, fields, "momentum_buffer", full, 3, at[0] + rank * each * row[0]);
	put_field(i, m, fields, "second_momentum_buffer", second, 3, at[1] + rank * each * row[1]);
}

/* The parameters from id FIRST on that are in its group. */
static unsigned members_of(const struct input *i, unsigned first)
{
	unsigned k = first;

	while (k < i->count && group_of(i, &i->params[i->order[k]]) == group_of(i, &i->params[i->order[first]]))
		k++;
	return k - first;
}

static void make_shard(struct input *i, unsigned rank, uint64_t (*at)[2])
{
	struct maker m = { .arena = ck_arena_new(1 << 20) };
	struct ck_value root, state, groups, group, ids, fields;
	unsigned members;

	MUST(m.arena && ck_dict_new(m.arena, &root, NULL) == CK_OK && ck_dict_new(m.arena, &state, NULL) == CK_OK);
	MUST(ck_list_new(m.arena, CK_LIST, &groups, NULL) == CK_OK);
	for (unsigned id = 0; id < i->count; id += members) {
		const struct param *p = &i->params[i->order[id]];
		bool muon = is_muon(p);

		members = members_of(i, id);
		MUST(ck_dict_new(m.arena, &group, NULL) == CK_OK && ck_list_new(m.arena, CK_LIST, &ids, NULL) == CK_OK);
		set(&m, group, key_of("kind"), key_of((lie(i, 1) ? !muon : muon) ? "muon" : "adamw"));
		for (unsigned k = 0; k < members; k++) {
			MUST(ck_list_append(m.arena, ids.list, ck_int(id + k + lie(i, 1)), NULL) == CK_OK);
			if (muon && k)
				continue;
			MUST(ck_dict_new(m.arena, &fields, NULL) == CK_OK);
			if (muon)
				put_muon(i, &m, rank, fields, p, members, at[id]);
			else
				put_adamw(i, &m, rank, fields, &i->params[i->order[id + k]], at[id + k]);
			set(&m, state, ck_int(id + k + lie(i, 2)), fields);
		}
		set(&m, group, key_of("params"), ids);
		MUST(ck_list_append(m.arena, groups.list, group, NULL) == CK_OK);
	}
	set(&m, root, key_of("state"), state);
	set(&m, root, key_of("param_groups"), groups);
	i->shards[rank] = save(i, &m, &root, true);
	ck_arena_free(m.arena);
}

/* ---- what must hold ---- */

/* All bytes of C in one file, which are read in every way. */
static char *bytes_of(struct ck_checkpoint *c, size_t *len)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_view *view;
	char *bytes;

	MUST(fuzz_error(ck_checkpoint_view(c, CK_FORM_SAFETENSORS, 0, &view, &err), &err) == CK_OK);
	bytes = fuzz_view(view);
	*len = (size_t)ck_view_size(view);
	ck_view_unref(view);
	for (size_t k = 0; k < ck_checkpoint_count(c); k++) {
		MUST(fuzz_error(ck_checkpoint_view(c, CK_FORM_RAW, k, &view, &err), &err) == CK_OK);
		MUST(ck_view_size(view) == ck_tensor_nbytes(ck_checkpoint_tensor(c, k)));
		ck_view_unref(view);
	}
	return bytes;
}

static bool same(struct ck_checkpoint *a, struct ck_checkpoint *b)
{
	size_t a_len, b_len;
	char *x = bytes_of(a, &a_len), *y = bytes_of(b, &b_len);
	bool is = a_len == b_len && (!x || !y || memcmp(x, y, a_len) == 0);

	free(x);
	free(y);
	return is;
}

/* The shard of RANK, through the file that a mount shows. */
static struct ck_checkpoint *cut(struct ck_join *j, unsigned ranks, unsigned rank)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_checkpoint *c, *again;
	struct ck_view *view;

	if (fuzz_error(ck_join_cut(j, ranks, rank, &c, &err), &err))
		return NULL;
	MUST(fuzz_error(ck_join_pt(c, "t", &view, &err), &err) == CK_OK);
	free(fuzz_view(view));
	again = open_pt(view, false);
	ck_view_unref(view);
	MUST(same(c, again));
	ck_checkpoint_unref(c);
	return again;
}

static void check(struct input *i, struct ck_join *j)
{
	struct ck_checkpoint *all, *more, *others[MAX_RANKS] = { NULL }, *back;
	struct ck_error err = CK_ERROR_INIT;
	struct ck_join *again;
	unsigned done = 0;

	MUST(fuzz_error(ck_join_all(j, &all, &err), &err) == CK_OK);
	while (done < i->other && (others[done] = cut(j, i->other, done)))
		done++;
	MUST(done == 0 || done == i->other);
	if (done) {
		MUST(fuzz_error(ck_join_new(i->model, others, done, &again, &err), &err) == CK_OK);
		MUST(fuzz_error(ck_join_all(again, &more, &err), &err) == CK_OK);
		MUST(same(all, more));
		ck_checkpoint_unref(more);
		for (unsigned r = 0; r < i->ranks; r++) {
			back = cut(again, i->ranks, r);
			MUST(back && same(back, i->shards[r]));
			ck_checkpoint_unref(back);
		}
		ck_join_free(again);
	} else {
		free(bytes_of(all, &(size_t){ 0 }));
	}
	for (unsigned r = 0; r < done; r++)
		ck_checkpoint_unref(others[r]);
	ck_checkpoint_unref(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned ranks[] = { 1, 2, 3, 4, 6 };
	struct input i = { .in = ck_cursor(data, size) };
	struct ck_error err = CK_ERROR_INIT;
	uint64_t at[MAX_PARAMS][2] = { { 0 } };
	struct ck_join *j;
	int rc;

	i.ranks = ranks[next(&i) % 5];
	i.other = 1 + next(&i) % MAX_RANKS;
	read_params(&i);
	number(&i);
	region(&i, 1 << 14, UINT64_MAX);
	make_model(&i);
	for (unsigned r = 0; r < i.ranks; r++)
		make_shard(&i, r, at);
	rc = fuzz_error(ck_join_new(i.model, i.shards, i.ranks, &j, &err), &err);
	MUST(rc == CK_OK || i.lied);
	if (rc == CK_OK) {
		check(&i, j);
		ck_join_free(j);
	}
	for (unsigned r = 0; r < i.ranks; r++)
		ck_checkpoint_unref(i.shards[r]);
	ck_checkpoint_unref(i.model);
	ck_buf_free(&i.noise);
	return 0;
}
