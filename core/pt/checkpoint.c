/* Opening a checkpoint (checkpoint.h): the pickle is read, and its values are walked for tensors. */
#include "core/pt/private.h"

#include "core/base/keyname.h"
#include "core/format/json.h"
#include "core/format/outline.h"
#include "core/pickle/pickle.h"
#include "core/pt/hf.h"
#include "core/pt/rebuild.h"
#include "core/base/utf8.h"
#include "core/zip/ends.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define MANY_VALUES ((size_t)1 << 20)
#define PREFIX "_orig_mod."     /* what torch.compile puts before every key; build_model takes it off */

/* The walk through the values: finds tensors, names them by their path, replaces each by a
   CK_TENSOR. */
struct walk {
	struct ck_checkpoint *c;
	const struct ck_patch *patch;
	struct ck_rebuilder *rebuilder;
	struct ck_buf path;     /* keys joined by '.' */
	unsigned depth;         /* the number of keys in PATH: keys may be empty */
	struct ck_error *err;
};

static int add_tensor(struct walk *w, struct ck_value *v)
{
	struct ck_checkpoint *c = w->c;
	bool top = w->patch->model && w->depth == 1;
	const char *key = w->path.data;
	size_t len = w->path.len;
	struct ck_tensor t;
	int rc;

	rc = v->kind == CK_PERSID ? ck_rebuild_storage(w->rebuilder, v, &t, w->err)
				  : ck_rebuild(w->rebuilder, v, &t, w->err);
	if (!rc && len > CK_MAX_KEY) {
		rc = ck_fail(w->err, CK_ERR_LIMIT, "a key of more than %u bytes", CK_MAX_KEY);
		ck_error_refused(w->err);
	}
	if (rc) {
		ck_error_subject(w->err, key ? key : "", len);
		return rc;
	}
	if (top && len >= strlen(PREFIX) && memcmp(key, PREFIX, strlen(PREFIX)) == 0) {
		key += strlen(PREFIX);
		len -= strlen(PREFIX);
	}
	if (w->patch->model && !w->patch->keep_bfloat16 && t.dtype == CK_BF16)
		t.dtype = CK_F32;
	*v = (struct ck_value){ .kind = CK_TENSOR };
	return ck_checkpoint_add(c, &t, key, len, top, &v->i, w->err);
}

static int walk_value(struct walk *w, struct ck_value *v);

/* Appends a part of a path. A path is cut just past CK_MAX_KEY bytes, where it is refused anyway. */
static void append(struct ck_buf *path, const char *s, size_t len)
{
	size_t room = path->len > CK_MAX_KEY ? 0 : CK_MAX_KEY + 1 - path->len;

	ck_buf_append(path, s, len < room ? len : room);
}

/* Appends one step of a path: a string as it is, anything else much as str() shows it. */
static void append_key(struct ck_buf *path, const struct ck_value *key)
{
	static const char *const words[] = { "False", "True" };
	char c[4];

	switch ((enum ck_kind)key->kind) {
	case CK_STR: case CK_BIGINT:
		append(path, key->s, key->len);
		break;
	case CK_BYTES:      /* as Latin-1: readers of the outline expect text */
		for (uint32_t i = 0; i < key->len && path->len <= CK_MAX_KEY; i++)
			append(path, c, ck_utf8_encode(c, (unsigned char)key->s[i]));
		break;
	case CK_BOOL:
		ck_buf_str(path, words[key->i != 0]);
		break;
	case CK_INT:
		ck_buf_printf(path, "%" PRId64, key->i);
		break;
	case CK_NONE:
		ck_buf_str(path, "None");
		break;
	case CK_FLOAT:
		ck_float_repr(path, key->f);
		break;
	case CK_TUPLE:
		for (uint32_t i = 0; i < key->len; i++) {
			append(path, i ? "," : "(", 1);
			append_key(path, &key->items[i]);
		}
		ck_buf_byte(path, ')');
		break;
	default:
		ck_buf_byte(path, '?');
	}
}

static bool may_hold_tensors(const struct ck_value *v)
{
	return v->kind == CK_DICT || v->kind == CK_LIST || v->kind == CK_TUPLE || v->kind == CK_SET ||
	       v->kind == CK_FROZENSET || v->kind == CK_CALL || v->kind == CK_MADE || v->kind == CK_PERSID;
}

/* Walks one member of a container. Its path is the container's path and KEY. */
static int walk_member(struct walk *w, const struct ck_value *key, struct ck_value *v)
{
	size_t len = w->path.len;
	int rc;

	/* Most members of a shard's dicts are numbers: spelling their keys would take most of the time. */
	if (!may_hold_tensors(v))
		return CK_OK;
	if (w->depth++)
		ck_buf_byte(&w->path, '.');
	append_key(&w->path, key);
	rc = w->path.failed ? ck_fail_nomem(w->err) : walk_value(w, v);
	w->depth--;
	w->path.len = len;
	return rc;
}

static int walk_dict(struct walk *w, struct ck_dict *dict)
{
	struct ck_value attributes = ck_str("$state", sizeof("$state") - 1);
	int rc = CK_OK;

	for (uint32_t i = 0; i < dict->len && !rc; i++)
		rc = walk_member(w, &dict->pairs[i].key, &dict->pairs[i].value);
	/* The attributes of a dict are in a shard's outline. nanochat reads only the items of a model. */
	return rc || w->patch->model ? rc : walk_member(w, &attributes, &dict->state);
}

static int walk_items(struct walk *w, struct ck_value *items, uint32_t len)
{
	struct ck_value key;
	int rc = CK_OK;

	for (uint32_t i = 0; i < len && !rc; i++) {
		key = ck_int(i);
		rc = walk_member(w, &key, &items[i]);
	}
	return rc;
}

/* The pickle reader has bounded depth and the number of visits, through shared containers too. */
static int walk_value(struct walk *w, struct ck_value *v)
{
	switch ((enum ck_kind)v->kind) {
	case CK_DICT:
		return walk_dict(w, v->dict);
	case CK_LIST: case CK_SET: case CK_FROZENSET:
		return walk_items(w, v->list->items, v->list->len);
	case CK_TUPLE:
		return walk_items(w, v->items, v->len);
	case CK_CALL: case CK_MADE:
		return ck_is_tensor(v) ? add_tensor(w, v) : CK_OK;
	case CK_PERSID:
		return add_tensor(w, v);
	default:
		return CK_OK;
	}
}

/* nanochat's _patch_missing_keys: resid_lambdas = torch.ones(n_layer), x0_lambdas =
   torch.zeros(n_layer). */
static int patch_lambdas(struct ck_checkpoint *c, int64_t n_layer, struct ck_error *err)
{
	static const struct {
		const char *key;
		double fill;
	} lambdas[] = {{"resid_lambdas", 1.0}, {"x0_lambdas", 0.0}};
	int64_t *shape, index;
	int rc = CK_OK;

	for (size_t i = 0; i < 2 && !rc; i++) {
		struct ck_tensor t = { .dtype = CK_F32, .stored_dtype = CK_F32, .ndim = 1, .source = CK_SRC_FILL,
				       .numel = (uint64_t)n_layer, .fill = lambdas[i].fill };

		if (ck_checkpoint_find_key(c, lambdas[i].key, strlen(lambdas[i].key)) >= 0)
			continue;
		shape = ck_arena_alloc(c->arena, sizeof(*shape));
		if (!shape)
			return ck_fail_room(err);
		*shape = n_layer;
		t.shape = shape;
		rc = ck_checkpoint_add(c, &t, lambdas[i].key, strlen(lambdas[i].key), true, &index, err);
	}
	return rc;
}

/* The most bytes of data.pkl. A pickle deflates to a tenth or a twentieth; one that grows a thousandfold is a bomb. */
static size_t pickle_limit(const struct ck_entry *entry)
{
	const size_t mib = (size_t)1 << 20;

	if (entry->method != 0 && entry->stored_size < (CK_PICKLE_MAX_BYTES - mib) / 32)
		return mib + 32 * (size_t)entry->stored_size;
	return CK_PICKLE_MAX_BYTES;
}

/* data.pkl while it is read. */
struct reading {
	struct ck_checkpoint *c;
	struct ck_rebuilder rebuilder;
	struct ck_error bad;    /* the first tensor or storage that torch would refuse, used or not */
};

/*
 * torch rebuilds a tensor as soon as it reads the call, even if nothing refers to the tensor in the end. A call that
 * can't be rebuilt stays a CK_CALL: only the walk knows the key that the error should name.
 */
static int made_call(void *arg, struct ck_arena *values, struct ck_value *call, struct ck_error *err)
{
	struct reading *r = arg;
	struct ck_tensor t, *kept;

	if (!ck_is_tensor(call) || ck_rebuild(&r->rebuilder, call, &t, &r->bad))
		return CK_OK;
	kept = ck_arena_alloc(values, sizeof(*kept));
	if (!kept)
		return ck_fail_room(err);
	*kept = t;
	*call = (struct ck_value){ .kind = CK_MADE, .made = kept };
	return CK_OK;
}

static void made_storage(void *arg, const struct ck_value *id)
{
	struct reading *r = arg;

	ck_rebuild_check(&r->rebuilder, id, &r->bad);
}

static int read_pickle(struct reading *r, struct ck_arena *values, struct ck_value *root, struct ck_error *err)
{
	const struct ck_pickle_user user = { .made = made_call, .persid = made_storage, .arg = r };
	struct ck_checkpoint *c = r->c;
	size_t entry = (size_t)ck_archive_find(c->archive, "data.pkl"), len;
	size_t limit = pickle_limit(ck_archive_entry(c->archive, entry));
	char *pickle;
	int rc = ck_archive_load(c->archive, entry, limit, &pickle, &len, err);

	if (rc)
		return rc;
	if (!ck_budget_take(&c->budget, len)) {
		free(pickle);
		return ck_fail_room(err);
	}
	rc = ck_pickle_read(pickle, len, values, &user, root, err);
	free(pickle);
	ck_budget_give(&c->budget, len);
	if (rc)
		ck_error_subject(err, "data.pkl", strlen("data.pkl"));
	return rc;
}

/* Moves the tensors of the values that were read to the checkpoint's table. */
static int gather_values(struct reading *r, const struct ck_patch *patch, struct ck_value *root, struct ck_error *err)
{
	struct ck_checkpoint *c = r->c;
	struct walk w = { .c = c, .patch = patch, .rebuilder = &r->rebuilder, .err = err };
	int rc;

	/* This comes first: the walk turns storages into tensors. */
	c->content = ck_content_of(root);
	if (ck_is_tensor(root) || root->kind == CK_PERSID)
		ck_buf_str(&w.path, "tensor");
	rc = walk_value(&w, root);
	ck_buf_free(&w.path);
	if (!rc && r->bad.code) {
		ck_error_subject(&r->bad, "data.pkl", strlen("data.pkl"));
		*err = r->bad;
		rc = (int)r->bad.code;
	}
	if (!rc && patch->model && root->kind == CK_DICT && patch->n_layer >= 0)
		rc = patch_lambdas(c, patch->n_layer, err);
	if (!rc && !patch->model)
		rc = ck_outline_write(&c->outline, root, c->tensors, 2, c->budget.left, err);
	return !rc && c->outline.failed ? ck_fail_nomem(err) : rc;
}

/* Reads data.pkl and takes its tensors. The values live only here; what is kept of them is the
   outline. */
static int read_values(struct ck_checkpoint *c, const struct ck_patch *patch, struct ck_error *err)
{
	struct reading r = { .c = c, .bad = CK_ERROR_INIT };
	size_t storages = ck_archive_count(c->archive) * sizeof(struct ck_declared);
	struct ck_arena *values = NULL;
	struct ck_value root;
	bool many;
	int rc;

	r.rebuilder = (struct ck_rebuilder){ .archive = c->archive, .arena = c->arena, .flat = true };
	rc = ck_records_check(c->archive, &r.rebuilder.big_endian, err);
	if (rc)
		return rc;
	if (!ck_budget_take(&c->budget, storages))
		return ck_fail_room(err);
	r.rebuilder.declared = calloc(1, storages);
	values = ck_arena_new_within(&c->budget);
	rc = values && r.rebuilder.declared ? read_pickle(&r, values, &root, err) : ck_fail_nomem(err);
	r.rebuilder.flat = false;
	if (!rc) {
		rc = gather_values(&r, patch, &root, err);
		if (rc == CK_ERR_LIMIT)
			ck_error_refused(err);
	}
	many = values && ck_arena_used(values) > MANY_VALUES;
	free(r.rebuilder.declared);
	ck_budget_give(&c->budget, storages);
	ck_arena_free(values);
	/* Blocks of the values lie between blocks that are kept. Without a trim malloc would hold their pages. */
	if (many)
		malloc_trim(0);
	return rc;
}

int ck_checkpoint_open(struct ck_file *file, const struct ck_patch *patch, struct ck_checkpoint **out,
		       struct ck_error *err)
{
	struct ck_checkpoint *c = calloc(1, sizeof(*c));
	struct ck_error none;
	int rc;

	if (!c)
		return ck_fail_nomem(err);
	if (!err) {
		none = (struct ck_error)CK_ERROR_INIT;
		err = &none;
	}
	atomic_init(&c->refs, 1);
	c->model = patch->model;
	c->config_file = patch->config_file ? ck_file_ref(patch->config_file) : NULL;
	c->hash_key = ck_hash_key_new();
	c->budget.left = CK_OPEN_BYTES;
	c->arena = ck_arena_new_within(&c->budget);
	rc = c->arena ? ck_archive_open(file, &c->archive, err) : ck_fail_nomem(err);
	if (!rc && patch->scratch)
		ck_archive_set_scratch(c->archive, patch->scratch);
	if (!rc && !ck_budget_take(&c->budget, ck_archive_memory(c->archive)))
		rc = ck_fail_room(err);
	if (!rc)
		rc = ck_archive_read_beginning(c->archive, (size_t)ck_archive_find(c->archive, "data.pkl"), err);
	if (!rc)
		rc = read_values(c, patch, err);
	if (!rc)
		rc = ck_checkpoint_finish(c, err);
	if (!rc && patch->config)
		rc = ck_hf_make(c, patch->n_layer, patch->config, patch->keep_bfloat16, err);
	if (c->archive)
		ck_archive_forget_ends(c->archive);
	if (rc) {
		ck_error_file(err, ck_file_name(file));
		ck_checkpoint_unref(c);
		return rc;
	}
	*out = c;
	return CK_OK;
}

struct ck_checkpoint *ck_checkpoint_ref(struct ck_checkpoint *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

struct ck_checkpoint *ck_checkpoint_unref(struct ck_checkpoint *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	for (size_t i = 0; i < c->source_count; i++)
		ck_checkpoint_unref(c->sources[i]);
	free(c->sources);
	ck_archive_unref(c->archive);
	ck_file_unref(c->config_file);
	ck_arena_free(c->arena);
	ck_buf_free(&c->outline);
	ck_hf_free(c->hf);
	free(c->tensors);
	free(c->index);
	free(c->cut_index);
	free(c->unshown);
	free(c);
	return NULL;
}

bool ck_checkpoint_is_shared(struct ck_checkpoint *c)
{
	return atomic_load_explicit(&c->refs, memory_order_relaxed) > 1;
}

struct ck_archive *ck_checkpoint_archive(const struct ck_checkpoint *c)
{
	return c->archive;
}

struct ck_file *ck_checkpoint_file(const struct ck_checkpoint *c)
{
	return c->archive ? ck_archive_file(c->archive) : ck_checkpoint_file(c->sources[0]);
}

enum ck_content ck_checkpoint_content(const struct ck_checkpoint *c)
{
	return c->content;
}

size_t ck_checkpoint_count(const struct ck_checkpoint *c)
{
	return c->count;
}

const struct ck_tensor *ck_checkpoint_tensor(const struct ck_checkpoint *c, size_t i)
{
	return &c->tensors[i];
}
