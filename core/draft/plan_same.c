/*
 * Implements plan_same.h: whether two forms of one model, or of one shard, show the same. They are matched by the
 * names that their tensors have as files, and compared as they are shown on the CPU: bfloat16 as float32.
 */
#include "core/draft/plan_same.h"

#include "core/base/keyname.h"
#include "core/format/safetensors.h"
#include "core/pt/forms.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)1 << 20)
#define PREFIX "_orig_mod."

/* A tensor of one of the forms. */
struct shown {
	char *name;
	const struct ck_tensor *tensor;
	size_t i;
};

struct side {
	struct ck_checkpoint *checkpoint;       /* or NULL: */
	struct ck_part *part;
	bool model;
	struct shown *tensors;                  /* sorted by name */
	size_t count;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct shown *)a)->name, ((const struct shown *)b)->name);
}

static char *name_of(const struct side *s, const struct ck_tensor *t, size_t i)
{
	char name[CK_NAME_MAX + 1];
	const char *key = t->key;
	size_t len = t->key_len, prefix = strlen(PREFIX);

	if (!s->checkpoint && s->part->files)
		return strdup(s->part->files[i] +
			      (s->model && strncmp(s->part->files[i], PREFIX, prefix) == 0 ? prefix : 0));
	if (!s->checkpoint && s->model && len > prefix && memcmp(key, PREFIX, prefix) == 0) {
		key += prefix;
		len -= prefix;
	}
	ck_key_to_name(key, len, ".npy", name);
	return strdup(name);
}

static int side_fill(struct side *s, struct ck_error *err)
{
	size_t count = s->checkpoint ? ck_checkpoint_count(s->checkpoint) : s->part->count;

	s->tensors = calloc(count + 1, sizeof(*s->tensors));
	if (!s->tensors)
		return ck_fail_nomem(err);
	for (size_t i = 0; i < count; i++) {
		const struct ck_tensor *t =
			s->checkpoint ? ck_checkpoint_tensor(s->checkpoint, i) : &s->part->tensors[i];

		s->tensors[i] = (struct shown){ name_of(s, t, i), t, i };
		if (!s->tensors[i].name)
			return ck_fail_nomem(err);
		s->count++;
	}
	qsort(s->tensors, s->count, sizeof(*s->tensors), by_name);
	return CK_OK;
}

static void side_free(struct side *s)
{
	for (size_t i = 0; s->tensors && i < s->count; i++)
		free(s->tensors[i].name);
	free(s->tensors);
}

/* Of a shard nothing is converted. */
static uint8_t dtype_shown(const struct side *s, const struct ck_tensor *t)
{
	return s->model && t->dtype == CK_BF16 ? CK_F32 : t->dtype;
}

static int open_shown(const struct side *s, const struct shown *t, struct ck_view **out, struct ck_error *err)
{
	return s->checkpoint ? ck_checkpoint_view(s->checkpoint, CK_FORM_RAW, t->i, out, err)
			     : ck_part_open(s->part, t->i, dtype_shown(s, t->tensor), out, err);
}

static int differ(const struct shown *t, const char *what, struct ck_error *err)
{
	return ck_fail(err, CK_ERR_INVALID, "the forms of the model differ: %s of %.100s", what, t->name);
}

static int compare_bytes(const struct ck_view *a, const struct ck_view *b, const struct shown *t, struct ck_error *err)
{
	char *buf = malloc(2 * CHUNK);
	uint64_t at = 0, size = ck_view_size(a);
	size_t got_a, got_b;
	int rc = buf ? CK_OK : ck_fail_nomem(err);

	while (!rc && at < size) {
		rc = ck_view_read(a, at, buf, CHUNK, &got_a, err);
		if (!rc)
			rc = ck_view_read(b, at, buf + CHUNK, CHUNK, &got_b, err);
		if (!rc && (got_a != got_b || got_a == 0 || memcmp(buf, buf + CHUNK, got_a) != 0))
			rc = differ(t, "the values", err);
		at += rc ? 0 : got_a;
	}
	free(buf);
	return rc;
}

static int compare_tensors(const struct side *a, const struct shown *left, const struct side *b,
			   const struct shown *right, struct ck_error *err)
{
	struct ck_view *one = NULL, *two = NULL;
	int rc = CK_OK;

	if (dtype_shown(a, left->tensor) != dtype_shown(b, right->tensor))
		return differ(left, "the dtype", err);
	if (left->tensor->ndim != right->tensor->ndim ||
	    (left->tensor->ndim &&
	     memcmp(left->tensor->shape, right->tensor->shape, left->tensor->ndim * sizeof(int64_t)) != 0))
		return differ(left, "the shape", err);
	rc = open_shown(a, left, &one, err);
	if (!rc)
		rc = open_shown(b, right, &two, err);
	if (!rc)
		rc = ck_view_size(one) == ck_view_size(two) ? compare_bytes(one, two, left, err)
							    : differ(left, "the size", err);
	ck_view_unref(one);
	ck_view_unref(two);
	return rc;
}

/*
 * Whether a form may lack a tensor of the first one: nanochat's own lambdas, tensors that NumPy has no array for
 * (KEY.error stands for them), and dtypes that the form can't hold.
 */
static bool may_lack(const struct side *other, const struct shown *t)
{
	return t->tensor->unshown || t->tensor->source == CK_SRC_FILL ||
	       (other->part->kind == CK_PART_SAFETENSORS && !ck_safetensors_can(t->tensor));
}

static int compare_sides(const struct side *a, const struct side *b, struct ck_error *err)
{
	size_t i = 0, j = 0;
	int rc = CK_OK, order;

	while (!rc && (i < a->count || j < b->count)) {
		order = i == a->count ? 1 : j == b->count ? -1 : strcmp(a->tensors[i].name, b->tensors[j].name);
		if (order == 0)
			rc = compare_tensors(a, &a->tensors[i++], b, &b->tensors[j++], err);
		else if (order > 0)
			rc = differ(&b->tensors[j], "only one of the two has", err);
		else if (!may_lack(b, &a->tensors[i++]))
			rc = differ(&a->tensors[i - 1], "only one of the two has", err);
	}
	return rc;
}

int plan_same_tensors(struct ck_checkpoint *checkpoint, struct ck_part *part, struct ck_part *other,
		      struct ck_error *err)
{
	bool model = other->name.kind == CK_FILE_MODEL;
	struct side a = { .checkpoint = checkpoint, .part = part, .model = model };
	struct side b = { .part = other, .model = model };
	int rc = side_fill(&a, err);

	if (!rc)
		rc = side_fill(&b, err);
	if (!rc)
		rc = compare_sides(&a, &b, err);
	side_free(&a);
	side_free(&b);
	return rc;
}
