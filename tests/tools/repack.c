/*
 * repack - core's serializer, seen from outside; tests/oracle/serializer_oracle.py lets torch read what it writes.
 *
 *   repack pt IN OUT             writes OUT with the values and tensors of IN, a .pt
 *   repack npy OUT [OUTLINE]     writes OUT with a tensor for each line "KEY FILE" of stdin, a .npy: an OrderedDict of
 *                                them all, or the values that the outline in the file OUTLINE says
 *
 * The archive's directory is named after OUT, as torch does. Exits with the enum ck_code of a failure, which it
 * describes on stderr.
 */
#include "core/pt/private.h"
#include "core/format/npy.h"
#include "core/format/outline.h"
#include "core/pt/serializer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct item {
	char *key, *path;
	int64_t shape[CK_MAX_DIMS], strides[CK_MAX_DIMS];
};

struct items {
	struct item **items;
	struct ck_tensor *tensors;
	size_t count;
};

/* Where an outline's paths and flags go: to the tensors of a checkpoint or to those of ITEMS. */
struct target {
	struct ck_checkpoint *checkpoint;
	const struct items *items;
	struct ck_tensor *tensors;
};

static int64_t find_tensor(void *arg, const char *path, size_t len)
{
	const struct target *to = arg;

	if (to->checkpoint)
		return ck_checkpoint_find_key(to->checkpoint, path, len);
	for (size_t i = 0; i < to->items->count; i++)
		if (to->tensors[i].key_len == len && memcmp(to->tensors[i].key, path, len) == 0)
			return (int64_t)i;
	return -1;
}

static void set_flags(void *arg, int64_t index, bool requires_grad, bool parameter)
{
	const struct target *to = arg;

	to->tensors[index].requires_grad = requires_grad;
	to->tensors[index].parameter = parameter;
}

static int write_out(struct ck_save *save, const char *out, struct ck_error *err)
{
	const char *slash = strrchr(out, '/');
	char top[256];
	int fd = open(out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), rc;

	if (fd < 0)
		return ck_fail_sys(err, "open");
	snprintf(top, sizeof(top), "%s", slash ? slash + 1 : out);
	if (strrchr(top, '.'))
		*strrchr(top, '.') = '\0';
	save->top = top;
	rc = ck_serialize(save, fd, err);
	close(fd);
	return rc;
}

static int repack_pt(const char *in, const char *out, struct ck_error *err)
{
	const struct ck_patch as_stored = { .keep_bfloat16 = true, .n_layer = -1 };
	struct ck_checkpoint *c = NULL;
	struct ck_arena *arena = NULL;
	struct ck_file *file = NULL;
	struct ck_value root;
	int rc = ck_file_open(in, &file, err);

	if (!rc)
		rc = ck_checkpoint_open(file, &as_stored, &c, err);
	if (!rc) {
		struct target to = { .checkpoint = c, .tensors = c->tensors };
		struct ck_save save = { .root = &root, .tensors = c->tensors, .count = c->count,
					.open = ck_save_open_tensor, .arg = c->tensors };

		arena = ck_arena_new(ck_outline_budget(c->outline.len));
		rc = arena ? CK_OK : ck_fail_nomem(err);
		if (!rc)
			rc = ck_outline_read(c->outline.data, c->outline.len, arena, find_tensor, set_flags, &to, &root,
					     err);
		if (!rc)
			rc = write_out(&save, out, err);
	}
	ck_arena_free(arena);
	ck_checkpoint_unref(c);
	ck_file_unref(file);
	return rc;
}

/* Reads the header of item I; *FILE is open then, and the caller's. */
static int read_item(struct items *all, size_t i, struct ck_file **file, struct ck_error *err)
{
	struct item *item = all->items[i];
	struct ck_tensor *t = &all->tensors[i], flags = *t;
	int rc = ck_file_open(item->path, file, err);

	if (rc)
		return rc;
	rc = ck_npy_read(*file, t, item->shape, item->strides, err);
	t->key = item->key;
	t->key_len = (uint32_t)strlen(item->key);
	t->requires_grad = flags.requires_grad;
	t->parameter = flags.parameter;
	if (rc)
		ck_file_unref(*file);
	return rc;
}

static void release_file(void *file)
{
	ck_file_unref(file);
}

static int open_item(void *arg, size_t i, struct ck_view **out, struct ck_error *err)
{
	struct items *all = arg;
	struct ck_file *file;
	int rc = read_item(all, i, &file, err);

	if (rc)
		return rc;
	rc = ck_save_open_tensor(all->tensors, i, out, err);
	if (rc)
		ck_file_unref(file);
	else
		ck_view_own(*out, file, release_file);
	return rc;
}

static int read_items(struct items *all, struct ck_error *err)
{
	char key[4096], path[4096];
	int rc = CK_OK;

	while (!rc && scanf("%4095s %4095s", key, path) == 2) {
		struct item *item = calloc(1, sizeof(*item));
		struct ck_file *file;

		item->key = strdup(key);
		item->path = strdup(path);
		all->items = realloc(all->items, (all->count + 1) * sizeof(struct item *));
		all->tensors = realloc(all->tensors, (all->count + 1) * sizeof(*all->tensors));
		all->items[all->count] = item;
		all->tensors[all->count] = (struct ck_tensor){ 0 };
		rc = read_item(all, all->count++, &file, err);
		if (!rc)
			ck_file_unref(file);
	}
	return rc;
}

static int read_outline(const char *path, struct items *all, struct ck_arena *arena, struct ck_value *root,
			struct ck_error *err)
{
	struct target to = { .items = all, .tensors = all->tensors };
	struct ck_file *file = NULL;
	char *text = NULL;
	size_t len;
	int rc = ck_file_open(path, &file, err);

	if (!rc)
		rc = ck_file_load(file, CK_OUTLINE_MAX_BYTES, &text, &len, err);
	if (!rc)
		rc = ck_outline_read(text, len, arena, find_tensor, set_flags, &to, root, err);
	free(text);
	ck_file_unref(file);
	return rc;
}

static int ordered_dict(const struct items *all, struct ck_arena *arena, struct ck_value *root, struct ck_error *err)
{
	int rc = ck_dict_new(arena, root, err);

	for (size_t i = 0; i < all->count && !rc; i++)
		rc = ck_dict_set(arena, root->dict, ck_str(all->tensors[i].key, all->tensors[i].key_len),
				 (struct ck_value){ .kind = CK_TENSOR, .i = (int64_t)i }, err);
	if (!rc)
		root->dict->ordered = true;
	return rc;
}

static int repack_npy(const char *out, const char *outline, struct ck_error *err)
{
	struct ck_arena *arena = ck_arena_new(SIZE_MAX);
	struct items all = { 0 };
	struct ck_value root;
	int rc = arena ? read_items(&all, err) : ck_fail_nomem(err);

	if (!rc)
		rc = outline ? read_outline(outline, &all, arena, &root, err) : ordered_dict(&all, arena, &root, err);
	if (!rc) {
		struct ck_save save = { .root = &root, .tensors = all.tensors, .count = all.count,
					.open = open_item, .arg = &all };

		rc = write_out(&save, out, err);
	}
	for (size_t i = 0; i < all.count; i++) {
		free(all.items[i]->key);
		free(all.items[i]->path);
		free(all.items[i]);
	}
	free(all.items);
	free(all.tensors);
	ck_arena_free(arena);
	return rc;
}

int main(int argc, char **argv)
{
	struct ck_error err = CK_ERROR_INIT;
	char line[800];
	int rc;

	if (argc == 4 && strcmp(argv[1], "pt") == 0) {
		rc = repack_pt(argv[2], argv[3], &err);
	} else if ((argc == 3 || argc == 4) && strcmp(argv[1], "npy") == 0) {
		rc = repack_npy(argv[2], argv[3], &err);
	} else {
		fprintf(stderr, "usage: repack pt IN OUT | repack npy OUT [OUTLINE] < LINES\n");
		return CK_ERR_INVALID;
	}
	if (rc)
		fprintf(stderr, "%s\n", ck_error_line(&err, line, sizeof(line)));
	return rc;
}
