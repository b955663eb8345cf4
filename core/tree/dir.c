/* Open directories. Implements dir.h. */
#include "core/tree/dir.h"

#include "core/pt/forms.h"
#include "core/tree/private.h"

#include <stdlib.h>
#include <string.h>

/* A name that was read when the directory was opened. */
struct listed {
	size_t name;            /* offset into the names */
	ck_ino ino;
	mode_t type;
	bool cheap;
};

int dir_add(struct ck_dir *dir, const char *name, ck_ino ino, mode_t type, bool cheap, struct ck_error *err)
{
	struct listed *items;

	if (dir->count == dir->cap) {
		dir->cap = dir->cap ? dir->cap * 2 : 16;
		items = realloc(dir->items, dir->cap * sizeof(*items));
		if (!items)
			return ck_fail_nomem(err);
		dir->items = items;
	}
	dir->items[dir->count++] = (struct listed){ dir->names.len, ino, type, cheap };
	ck_buf_append(&dir->names, name, strlen(name) + 1);
	return dir->names.failed ? ck_fail_nomem(err) : CK_OK;
}

int ck_dir_new(ck_ino self, ck_ino parent, struct ck_dir **out, struct ck_error *err)
{
	struct ck_dir *dir = calloc(1, sizeof(*dir));

	if (!dir)
		return ck_fail_nomem(err);
	dir->self = self;
	dir->parent = parent;
	*out = dir;
	return CK_OK;
}

int ck_dir_add(struct ck_dir *dir, const char *name, ck_ino ino, mode_t type, struct ck_error *err)
{
	return dir_add(dir, name, ino, type, true, err);
}

int ck_dir_add_dear(struct ck_dir *dir, const char *name, ck_ino ino, mode_t type, struct ck_error *err)
{
	return dir_add(dir, name, ino, type, false, err);
}

bool ck_dir_entry(struct ck_dir *dir, uint64_t position, struct ck_dirent *out)
{
	const struct listed *item;
	enum ck_form form;

	if (position < 2) {
		*out = (struct ck_dirent){ position ? ".." : ".", position ? dir->parent : dir->self, S_IFDIR, false };
		return true;
	}
	position -= 2;
	if (dir->tensors) {
		form = dir->first == LOCAL_NPY_0 ? CK_FORM_NPY : CK_FORM_RAW;
		if (position >= ck_checkpoint_files(dir->tensors, form))
			return false;
		position = ck_checkpoint_at(dir->tensors, form, position);
		ck_checkpoint_name(dir->tensors, position, form, dir->name);
		*out = (struct ck_dirent){
			dir->name,
			(dir->self & ~(ck_ino)((1u << LOCAL_BITS) - 1)) | (dir->first + position),
			S_IFREG,
			true,
		};
		return true;
	}
	if (position >= dir->count)
		return false;
	item = &dir->items[position];
	*out = (struct ck_dirent){ dir->names.data + item->name, item->ino, item->type, item->cheap };
	return true;
}

void ck_dir_close(struct ck_dir *dir)
{
	ck_checkpoint_unref(dir->tensors);
	ck_buf_free(&dir->names);
	free(dir->items);
	free(dir);
}
