/* The checkpoints that are made of a join: all parameters' states, and the shard of a rank. Implements a part of
 * join.h. */
#include "core/pt/join.h"
#include "core/pt/join_impl.h"

#include "core/format/outline.h"
#include "core/pt/layout.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A checkpoint without tensors that keeps the shards. */
static int new_checkpoint(struct ck_join *j, struct ck_checkpoint **out, struct ck_error *err)
{
	struct ck_checkpoint *c = calloc(1, sizeof(*c));

	if (!c)
		return ck_fail_nomem(err);
	atomic_init(&c->refs, 1);
	c->content = CK_CONTENT_OPTIM;
	c->hash_key = ck_hash_key_new();
	c->budget.left = CK_OPEN_BYTES;
	c->arena = ck_arena_new_within(&c->budget);
	c->sources = calloc(j->ranks, sizeof(*c->sources));
	if (!c->arena || !c->sources) {
		ck_checkpoint_unref(c);
		return ck_fail_nomem(err);
	}
	for (; c->source_count < j->ranks; c->source_count++)
		c->sources[c->source_count] = ck_checkpoint_ref(j->shards[c->source_count]);
	*out = c;
	return CK_OK;
}

/* A tensor that is made of rows. */
struct rows {
	struct ck_checkpoint *c;        /* whose arena it is made in */
	struct ck_tensor *parts;
	uint32_t count;
	uint64_t width;                 /* elements of a row */
};

/* Rows [FROM, FROM + COUNT) of T, or of no tensor: zeros of T's kind. */
static int add_part(struct rows *rows, const struct ck_tensor *t, uint64_t from, uint64_t count, bool zeros)
{
	struct ck_tensor *part = &rows->parts[rows->count];
	int64_t *shape = ck_arena_alloc(rows->c->arena, t->ndim * sizeof(*shape));

	if (!shape)
		return CK_ERR_LIMIT;
	memcpy(shape, t->shape, t->ndim * sizeof(*shape));
	shape[0] = (int64_t)count;
	*part = *t;
	part->shape = shape;
	part->numel = count * rows->width;
	/* In range: these are elements of the shard's tensor. */
	part->offset += from * (t->strides ? (uint64_t)t->strides[0] : rows->width);
	if (zeros) {
		part->source = CK_SRC_FILL;
		part->fill = 0;
		part->strides = NULL;
	}
	rows->count++;
	return CK_OK;
}

/*
 * Rows [FROM, END) of the ranks' tensors I, one rank's behind the other's, and ZEROS zero rows, as *OUT. ROW: of one
 * row that is the tensor itself, without the first dimension.
 */
static int make_rows(struct ck_join *j, struct ck_checkpoint *c, size_t i, uint64_t from, uint64_t end, uint64_t zeros,
		     bool row, struct ck_tensor *out, struct ck_error *err)
{
	const struct ck_tensor *t = ck_checkpoint_tensor(j->shards[0], i);
	uint64_t each = (uint64_t)t->shape[0];
	struct rows rows = { .c = c, .width = each ? t->numel / each : 0 };
	uint64_t count = end - from + zeros, spans = each && end > from ? (end - 1) / each - from / each + 1 : 0;
	int64_t *shape = ck_arena_alloc(c->arena, t->ndim * sizeof(*shape));
	int rc = CK_OK;

	rows.parts = ck_arena_alloc(c->arena, (spans + 1) * sizeof(*rows.parts));
	if (!shape || !rows.parts)
		return ck_fail_room(err);
	for (uint64_t at = from, next; at < end && each && !rc; at = next) {
		next = (at / each + 1) * each < end ? (at / each + 1) * each : end;
		rc = add_part(&rows, ck_checkpoint_tensor(j->shards[at / each], i), at % each, next - at, false);
	}
	if (!rc && zeros)
		rc = add_part(&rows, t, 0, zeros, true);
	if (rc)
		return ck_fail_room(err);
	memcpy(shape, t->shape, t->ndim * sizeof(*shape));
	shape[0] = (int64_t)count;
	*out = *t;
	if (rows.count == 1) {
		*out = rows.parts[0];
	} else {
		out->source = CK_SRC_PARTS;
		out->parts = rows.parts;
		out->part_count = rows.count;
		out->offset = 0;
		out->strides = NULL;
		out->swap = out->conj = out->neg = false;
		out->stored_dtype = out->dtype;
	}
	out->shape = shape + row;
	out->ndim = (uint8_t)(t->ndim - row);
	if (out->strides && row)
		out->strides++;
	out->numel = count * rows.width;
	return CK_OK;
}

/* Adds T; the parts of it have its name, for errors. */
static int add_tensor(struct ck_checkpoint *c, const struct ck_tensor *t, const char *key, size_t len, int64_t *index,
		      struct ck_error *err)
{
	int rc = ck_checkpoint_add(c, t, key, len, false, index, err);
	struct ck_tensor *part;

	for (uint32_t k = 0; !rc && t->source == CK_SRC_PARTS && k < t->part_count; k++) {
		part = (struct ck_tensor *)&t->parts[k];
		part->key = c->tensors[*index].key;
		part->key_len = c->tensors[*index].key_len;
	}
	return rc;
}

static int finish(struct ck_join *j, struct ck_checkpoint *c, const struct ck_value *root, struct ck_error *err)
{
	int rc = ck_outline_write(&c->outline, root, c->tensors, 2, c->budget.left, err);

	if (!rc && c->outline.failed)
		rc = ck_fail_nomem(err);
	if (!rc)
		rc = ck_checkpoint_finish(c, err);
	if (rc)
		ck_error_file(err, ck_join_file(j, 0));
	return rc;
}

/* ---- the shard of another number of ranks ---- */

/* What rank RANK of RANKS has of tensor I. */
static int cut(struct ck_join *j, struct ck_checkpoint *c, size_t i, unsigned ranks, unsigned rank,
	       struct ck_tensor *out, struct ck_error *err)
{
	const struct ck_piece *piece = &j->pieces[i];
	uint64_t rows, each, from, end;

	*out = *ck_checkpoint_tensor(j->shards[0], i);
	if (piece->rule != CK_RULE_STACK && (out->ndim == 0 || piece->param->numel < CK_WHOLE_BELOW))
		return CK_OK;
	rows = piece->rule == CK_RULE_STACK ? piece->rows : (uint64_t)piece->param->shape[0];
	if (piece->rule != CK_RULE_STACK && rows % ranks) {
		ck_error_set(err, CK_ERR_UNSUPPORTED,
			     "expected a number of rows that %u ranks divide, found %" PRIu64 ": "
			     "nanochat, too, refuses to train this model on %u ranks",
			     ranks, rows, ranks);
		ck_error_subject(err, piece->param->key, piece->param->key_len);
		return CK_ERR_UNSUPPORTED;
	}
	each = (rows + ranks - 1) / ranks;
	from = rank * each < rows ? rank * each : rows;
	end = from + each < rows ? from + each : rows;
	return make_rows(j, c, i, from, end, each - (end - from), false, out, err);
}

int ck_join_cut(struct ck_join *j, unsigned ranks, unsigned rank, struct ck_checkpoint **out, struct ck_error *err)
{
	struct ck_checkpoint *c;
	struct ck_tensor t;
	int64_t index;
	int rc = new_checkpoint(j, &c, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < ck_checkpoint_count(j->shards[0]) && !rc; i++) {
		rc = cut(j, c, i, ranks, rank, &t, err);
		if (!rc)
			rc = add_tensor(c, &t, t.key, t.key_len, &index, err);
	}
	for (size_t i = 0; i < j->chunk_count; i++)
		*j->chunks[i].value = ck_int((j->chunks[i].members + ranks - 1) / ranks);
	if (!rc)
		rc = finish(j, c, &j->root, err);
	if (rc) {
		ck_error_file(err, ck_join_file(j, 0));
		ck_checkpoint_unref(c);
		return rc;
	}
	*out = c;
	return CK_OK;
}

/* ---- all ---- */

struct making {
	struct ck_join *j;
	struct ck_checkpoint *c;
	struct ck_buf key;
	struct ck_value state, groups;
	struct ck_error *err;
};

/* What the parameter SLOT has of its group's or its own tensor I. */
static int share(struct making *m, const struct ck_slot *slot, size_t i, struct ck_tensor *out)
{
	*out = *ck_checkpoint_tensor(m->j->shards[0], i);
	switch (m->j->pieces[i].rule) {
	case CK_RULE_STACK:
		return make_rows(m->j, m->c, i, slot->member, slot->member + 1, 0, true, out, m->err);
	case CK_RULE_ROWS:
		return make_rows(m->j, m->c, i, 0, (uint64_t)slot->param->shape[0], 0, false, out, m->err);
	default:
		return CK_OK;
	}
}

static int put_field(struct making *m, const struct ck_slot *slot, const struct ck_pair *pair, struct ck_dict *fields)
{
	struct ck_value value = pair->value;
	struct ck_tensor t;
	int rc = CK_OK;

	if (value.kind == CK_TENSOR) {
		m->key.len = 0;
		ck_buf_append(&m->key, slot->param->key, slot->param->key_len);
		ck_buf_byte(&m->key, '.');
		ck_buf_append(&m->key, pair->key.s, pair->key.len);
		rc = m->key.failed ? ck_fail_nomem(m->err) : share(m, slot, (size_t)value.i, &t);
		if (!rc)
			rc = add_tensor(m->c, &t, m->key.data, m->key.len, &value.i, m->err);
	}
	return rc ? rc : ck_dict_set(m->j->arena, fields, pair->key, value, m->err);
}

/* The states, in the model's order. */
static int put_states(struct making *m)
{
	struct ck_join *j = m->j;
	struct ck_value fields;
	int rc = ck_dict_new(j->arena, &m->state, m->err);

	for (size_t i = 0; i < ck_checkpoint_count(j->model) && !rc; i++) {
		const struct ck_slot *slot = j->slot_of[i] < 0 ? NULL : &j->slots[j->slot_of[i]];

		if (!slot || !slot->state)
			continue;
		rc = ck_dict_new(j->arena, &fields, m->err);
		for (uint32_t k = 0; k < slot->state->len && !rc; k++)
			rc = put_field(m, slot, &slot->state->pairs[k], fields.dict);
		if (!rc)
			rc = ck_dict_set(j->arena, m->state.dict, ck_str(slot->param->key, slot->param->key_len),
					 fields, m->err);
	}
	return rc;
}

/* A group as stored, with names in the place of ids; SLOT is its first parameter's. */
static int put_group(struct making *m, const struct ck_dict *group, size_t slot)
{
	struct ck_value made, names, value;
	int rc = ck_dict_new(m->j->arena, &made, m->err);

	for (uint32_t k = 0; k < group->len && !rc; k++) {
		value = group->pairs[k].value;
		if (ck_value_is_str(&group->pairs[k].key, "params")) {
			rc = ck_list_new(m->j->arena, CK_LIST, &names, m->err);
			for (uint32_t i = 0; i < value.list->len && !rc; i++) {
				const struct ck_tensor *p = m->j->slots[slot + i].param;

				rc = ck_list_append(m->j->arena, names.list, ck_str(p->key, p->key_len), m->err);
			}
			value = names;
		}
		if (!rc)
			rc = ck_dict_set(m->j->arena, made.dict, group->pairs[k].key, value, m->err);
	}
	return rc ? rc : ck_list_append(m->j->arena, m->groups.list, made, m->err);
}

static int put_groups(struct making *m)
{
	struct ck_dict *dicts[2];
	size_t count = ck_join_dicts(m->j, dicts), slot = 0;
	int rc = ck_list_new(m->j->arena, CK_LIST, &m->groups, m->err);

	for (size_t d = 0; d < count; d++) {
		const struct ck_list *groups = ck_dict_get(dicts[d], "param_groups")->list;

		for (uint32_t i = 0; i < groups->len && !rc; i++) {
			rc = put_group(m, groups->items[i].dict, slot);
			slot += ck_dict_get(groups->items[i].dict, "params")->list->len;
		}
	}
	return rc;
}

int ck_join_all(struct ck_join *j, struct ck_checkpoint **out, struct ck_error *err)
{
	struct making m = { .j = j, .err = err };
	struct ck_value root;
	int rc = new_checkpoint(j, &m.c, err);

	if (rc)
		return rc;
	rc = put_states(&m);
	if (!rc)
		rc = put_groups(&m);
	if (!rc)
		rc = ck_dict_new(j->arena, &root, err);
	if (!rc)
		rc = ck_dict_set(j->arena, root.dict, ck_str("state", 5), m.state, err);
	if (!rc)
		rc = ck_dict_set(j->arena, root.dict, ck_str("param_groups", 12), m.groups, err);
	if (!rc)
		rc = finish(j, m.c, &root, err);
	ck_buf_free(&m.key);
	if (rc) {
		ck_error_file(err, ck_join_file(j, 0));
		ck_checkpoint_unref(m.c);
		return rc;
	}
	*out = m.c;
	return CK_OK;
}

/* ---- the file of a shard ---- */

static int64_t find_tensor(void *arg, const char *path, size_t len)
{
	return ck_checkpoint_find_key(arg, path, len);
}

static void release(void *c)
{
	ck_checkpoint_unref(c);
}

/* Calls MAKE with the values and tensors of C. An outline holds the values exactly, so they need not be kept. */
static int with_save(struct ck_checkpoint *c, const char *top,
		     int (*make)(const struct ck_save *, void *, struct ck_error *), void *arg, struct ck_error *err)
{
	struct ck_arena *arena = ck_arena_new(ck_outline_budget(c->outline.len));
	struct ck_value root;
	struct ck_save save = { .top = top, .shard = true, .root = &root, .tensors = c->tensors, .count = c->count,
				.open = ck_save_open_tensor, .arg = c->tensors };
	int rc;

	if (!arena)
		return ck_fail_nomem(err);
	rc = ck_outline_read(c->outline.data, c->outline.len, arena, find_tensor, NULL, c, &root, err);
	if (!rc)
		rc = make(&save, arg, err);
	ck_arena_free(arena);
	if (rc)
		ck_error_file(err, ck_file_name(ck_checkpoint_file(c)));
	return rc;
}

static int lay_out(const struct ck_save *save, void *view, struct ck_error *err)
{
	return ck_layout_add(view, save, err);
}

int ck_join_pt(struct ck_checkpoint *c, const char *top, struct ck_view **out, struct ck_error *err)
{
	struct ck_view *view = ck_view_new();
	int rc;

	if (!view)
		return ck_fail_nomem(err);
	ck_view_own(view, ck_checkpoint_ref(c), release);
	rc = with_save(c, top, lay_out, view, err);
	if (rc)
		ck_view_unref(view);
	else
		*out = view;
	return rc;
}

static int nothing(const struct ck_save *save, void *arg, struct ck_error *err)
{
	(void)save, (void)arg, (void)err;
	return CK_OK;
}

/*
 * torch, which can turn CRCs off since 2.6, gives each file a serialization_id since 2.1; the files of layout.h have
 * none. An outline may say more than can be read back: of bare storages, for instance.
 */
bool ck_join_lacks_crcs(struct ck_checkpoint *c)
{
	return c->archive && !ck_archive_has_crcs(c->archive) &&
	       ck_archive_find(c->archive, ".data/serialization_id") < 0 && c->content == CK_CONTENT_OPTIM &&
	       c->unshown_count == 0 && with_save(c, NULL, nothing, NULL, NULL) == CK_OK;
}

static int serialize(const struct ck_save *save, void *fd, struct ck_error *err)
{
	return ck_serialize(save, *(int *)fd, err);
}

int ck_join_save(struct ck_checkpoint *c, const char *top, int fd, struct ck_error *err)
{
	return with_save(c, top, serialize, &fd, err);
}
