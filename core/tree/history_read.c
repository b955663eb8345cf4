/* Reads the metadata of a tag's steps, several files side by side. Implements history_read.h. */
#include "core/tree/history_read.h"

#include "core/file/follow.h"
#include "core/tree/contain.h"
#include "core/tree/node_load.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* So many threads look at files, one for each FEW_STEPS. */
#define MAX_THREADS 8u
#define FEW_STEPS 4u
/* A larger file may need much memory. Of those one is read at a time. */
#define LARGE ((uint64_t)64 << 10)

struct reading {
	struct ck_tree *tree;
	const char *tag;
	DIR *dir;               /* the tag's directory, which is looked up once */
	struct step_rows *old, *new;
	struct ck_shard *shards;
	size_t shard_count;
	size_t next;            /* the first step that no thread has taken; atomic */
	size_t memory;          /* of the cells; atomic */
	bool changed;           /* atomic */
	bool failed;            /* atomic; once it is set, nobody takes a step */
	/* Guards ERR. */
	pthread_mutex_t lock;
	struct ck_error err;
	/* Held while a large file is read. */
	pthread_mutex_t large;
};

static void fail(struct reading *r, const struct ck_error *why)
{
	pthread_mutex_lock(&r->lock);
	ck_error_copy(&r->err, why);
	pthread_mutex_unlock(&r->lock);
	__atomic_store_n(&r->failed, true, __ATOMIC_RELAXED);
}

static void note_memory(struct reading *r, size_t memory)
{
	struct ck_error why = CK_ERROR_INIT;

	if (__atomic_add_fetch(&r->memory, memory, __ATOMIC_RELAXED) <= HISTORY_MAX_MEMORY)
		return;
	ck_error_set(&why, CK_ERR_LIMIT, "the metadata's numbers take more than %zu MiB", HISTORY_MAX_MEMORY >> 20);
	ck_error_file(&why, r->tag);
	fail(r, &why);
}

/* Whether the tag has the regular file NAME: its attributes. */
static bool look(const struct reading *r, const struct ck_file_name *name, struct stat *st)
{
	char text[64], path[PATH_MAX];

	ck_file_name_format(name, text, sizeof(text));
	if (fstatat(dirfd(r->dir), text, st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	/* A link, which may lead out of the store. */
	if (S_ISLNK(st->st_mode) && (!ck_path_join(path, r->tag, text) || tree_stat(r->tree, path, st) < 0))
		return false;
	return S_ISREG(st->st_mode);
}

static void note_time(struct step_row *row, const struct stat *st)
{
	int64_t ns = ck_ident_of(st).mtime_ns;

	if (ns > row->mtime_ns)
		row->mtime_ns = ns;
}

/* Who may read a file, said of the tag's owner and group: where the file is someone else's, they are others. */
static mode_t readers(const struct reading *r, const struct stat *st)
{
	const struct stat *tag = &r->new->tag;
	mode_t mode = st->st_mode & 0444, others = mode & 0004;

	if (st->st_uid != tag->st_uid)
		mode = (mode & ~(mode_t)0400) | others << 6;
	if (st->st_gid != tag->st_gid)
		mode = (mode & ~(mode_t)0040) | others << 3;
	return mode;
}

/* Opens PATH. Contents that nobody uses give up their descriptors for it. */
static int open_file(struct ck_tree *tree, const char *path, struct ck_file **out, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	int rc = tree_open(tree, path, out, &why);

	if (rc == CK_ERR_SYS && (why.sys == EMFILE || why.sys == ENFILE) && node_drop_unused(tree, 0))
		return tree_open(tree, path, out, err);
	if (rc)
		ck_error_copy(err, &why);
	return rc;
}

/* A failure. The file may be closed to the daemon, or just gone; but where the store fails (EIO), or memory or
   descriptors are short, what the table would say of the step isn't known, and the whole look fails. */
static void settle(struct reading *r, struct step_row *row, const struct ck_error *why)
{
	int sys = why->code == CK_ERR_SYS ? why->sys : 0;
	bool closed = sys == EACCES || sys == EPERM || sys == ENOENT || sys == ELOOP;

	row->again = sys || !node_error_is_shown(why);
	if (why->code == CK_ERR_NOMEM || (sys && !closed))
		fail(r, why);
}

static void read_meta(struct reading *r, struct step_row *row, const struct ck_file_name *name)
{
	struct ck_error why = CK_ERROR_INIT;
	char text[64], path[PATH_MAX];
	struct ck_file *file;

	row->young = ident_is_young(&row->meta);
	ck_history_no_meta(&row->row);
	if ((ck_path_join(path, r->tag, ck_file_name_format(name, text, sizeof(text)))
		     ? open_file(r->tree, path, &file, &why)
		     : ck_fail_long_path(&why))) {
		settle(r, row, &why);
		return;
	}
	/* Another file may be there than a moment ago. */
	row->meta = *ck_file_ident(file);
	row->young |= ident_is_young(&row->meta);
	if (ck_file_size(file) > LARGE)
		pthread_mutex_lock(&r->large);
	if (ck_history_read(file, &row->row, &why))
		settle(r, row, &why);
	if (ck_file_size(file) > LARGE)
		pthread_mutex_unlock(&r->large);
	ck_file_unref(file);
	note_memory(r, row->row.cells_len);
}

/* The row of the step as it was read before; NULL without one. */
static struct step_row *find_old(const struct reading *r, uint64_t step)
{
	size_t low = 0, high = r->old->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->old->rows[middle].row.step < step)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->old->count && r->old->rows[low].row.step == step ? &r->old->rows[low] : NULL;
}

static void look_at_meta(struct reading *r, struct step_row *row, struct step_row *old)
{
	struct ck_file_name name = { .kind = CK_FILE_META, .step = row->row.step };
	struct ck_history_row was;
	struct stat st;

	if (!look(r, &name, &st)) {
		ck_history_no_meta(&row->row);
		row->read = 0444;
	} else {
		row->meta = tree_ident(r->tree, &st);
		row->read = readers(r, &st);
		note_time(row, &st);
		if (old && ck_ident_equal(&old->meta, &row->meta) && !old->again &&
		    !(old->young && !ident_is_young(&row->meta))) {
			/* Only the thread that has the step looks at its old row. */
			was = old->row;
			old->row.cells = NULL;
			was.model_bytes = was.optim_bytes = was.ranks = 0;
			row->row = was;
			row->young = old->young;
			note_memory(r, was.cells_len);
			return;
		}
		read_meta(r, row, &name);
	}
	__atomic_store_n(&r->changed, true, __ATOMIC_RELAXED);
}

static void look_at_shards(const struct reading *r, struct step_row *row)
{
	struct stat st;

	for (size_t i = ck_shards_first(r->shards, r->shard_count, row->row.step); i < r->shard_count; i++) {
		struct ck_file_name name = { .kind = CK_FILE_OPTIM, .step = row->row.step, .rank = r->shards[i].rank };

		if (r->shards[i].step != name.step)
			break;
		if (!look(r, &name, &st)) {
			name.bare = name.rank == 0;
			if (!name.bare || !look(r, &name, &st))
				continue;
		}
		row->row.ranks++;
		row->row.optim_bytes += (uint64_t)st.st_size;
		note_time(row, &st);
	}
}

static void look_at_step(struct reading *r, struct step_row *row)
{
	struct ck_file_name name = { .kind = CK_FILE_MODEL, .step = row->row.step };
	struct step_row *old = find_old(r, row->row.step);
	struct stat st;

	row->gone = !look(r, &name, &st);
	if (row->gone) {
		__atomic_store_n(&r->changed, true, __ATOMIC_RELAXED);
		return;
	}
	look_at_meta(r, row, old);
	row->model = tree_ident(r->tree, &st);
	row->row.model_bytes = (uint64_t)st.st_size;
	row->row.saved = st.st_mtim.tv_sec;
	note_time(row, &st);
	look_at_shards(r, row);
	/* Of a change of times through the mount the identity doesn't tell, and the line does. */
	if (!old || old->row.model_bytes != row->row.model_bytes || old->row.saved != row->row.saved ||
	    old->row.ranks != row->row.ranks || old->row.optim_bytes != row->row.optim_bytes)
		__atomic_store_n(&r->changed, true, __ATOMIC_RELAXED);
}

static void *look_at_steps(void *arg)
{
	struct reading *r = arg;
	size_t i;

	while (!__atomic_load_n(&r->failed, __ATOMIC_RELAXED) &&
	       (i = __atomic_fetch_add(&r->next, 1, __ATOMIC_RELAXED)) < r->new->count)
		look_at_step(r, &r->new->rows[i]);
	return NULL;
}

/* This thread takes part; if others can't be had it does all. */
static void look_side_by_side(struct reading *r)
{
	pthread_t threads[MAX_THREADS - 1];
	size_t started = 0, wanted = r->new->count / FEW_STEPS;

	while (started < MAX_THREADS - 1 && started < wanted &&
	       pthread_create(&threads[started], NULL, look_at_steps, r) == 0)
		started++;
	look_at_steps(r);
	while (started > 0)
		pthread_join(threads[--started], NULL);
}

/* Makes room for a row for each step, and takes the shards' list. */
static int list(struct reading *r, struct ck_error *err)
{
	struct step_rows *new = r->new;
	struct ck_tag_names names;
	int rc;

	r->dir = ck_follow_opendir(r->tag);
	if (!r->dir || fstat(dirfd(r->dir), &new->tag) < 0)
		return ck_fail_sys(err, "opendir");
	rc = ck_store_look(r->tag, &names, err);
	if (rc)
		return rc;
	new->count = names.step_count;
	new->rows = calloc(new->count + 1, sizeof(*new->rows));
	for (size_t i = 0; i < new->count && new->rows; i++)
		new->rows[i].row.step = names.steps[i];
	r->shards = names.shards;
	r->shard_count = names.shard_count;
	names.shards = NULL;
	ck_tag_names_free(&names);
	if (!new->rows) {
		new->count = 0;
		return ck_fail_nomem(err);
	}
	note_memory(r, new->count * sizeof(*new->rows));
	return CK_OK;
}

static void drop_gone(struct step_rows *new)
{
	size_t kept = 0;

	for (size_t i = 0; i < new->count; i++)
		if (!new->rows[i].gone)
			new->rows[kept++] = new->rows[i];
	new->count = kept;
}

int step_rows_read(struct ck_tree *tree, const char *tag, struct step_rows *old, struct step_rows *new, bool *changed,
		   struct ck_error *err)
{
	struct reading r = { .tree = tree, .tag = tag, .old = old, .new = new };
	int rc;

	*new = (struct step_rows){ .count = 0 };
	ck_error_clear(&r.err);
	pthread_mutex_init(&r.lock, NULL);
	pthread_mutex_init(&r.large, NULL);
	rc = list(&r, err);
	if (!rc)
		look_side_by_side(&r);
	if (!rc && r.failed) {
		ck_error_copy(err, &r.err);
		rc = (int)r.err.code;
	}
	pthread_mutex_destroy(&r.large);
	pthread_mutex_destroy(&r.lock);
	if (r.dir)
		closedir(r.dir);
	free(r.shards);
	drop_gone(new);
	new->memory = r.memory;
	*changed = r.changed || new->count != old->count;
	step_rows_free(old);
	if (rc)
		step_rows_free(new);
	return rc;
}

void step_rows_free(struct step_rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		free(rows->rows[i].row.cells);
	free(rows->rows);
	*rows = (struct step_rows){ .count = 0 };
}
