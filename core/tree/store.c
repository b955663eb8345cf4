/* What lies in a store, by the names in its directories. Implements store.h. */
#include "core/tree/store.h"

#include "core/file/follow.h"
#include "core/file/real.h"
#include "core/tree/names.h"
#include "core/tree/plain.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether the entry, or what it links to, is of TYPE (DT_DIR, DT_REG). */
static bool is_type(const char *dir, const struct dirent *entry, unsigned char type)
{
	char path[PATH_MAX];
	struct stat st;

	if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK)
		return entry->d_type == type;
	return ck_path_join(path, dir, entry->d_name) && ck_follow_stat(path, &st) == 0 && IFTODT(st.st_mode) == type;
}

bool ck_store_has_model(const char *tag_path, uint64_t step)
{
	struct ck_file_name model = { .kind = CK_FILE_MODEL, .step = step };
	char path[PATH_MAX], name[64];
	struct stat st;

	return ck_path_join(path, tag_path, ck_file_name_format(&model, name, sizeof(name))) &&
	       ck_real_stat(path, &st) == 0;
}

/* What is read of a tag's directory, and the room for it. */
struct look {
	struct ck_tag_names *names;
	size_t step_room, shard_room;
};

/* Room for one more behind COUNT of SIZE bytes at *DATA. */
static bool grow(void **data, size_t count, size_t *room, size_t size)
{
	size_t more = *room ? 2 * *room : 16;
	void *grown = count < *room ? *data : reallocarray(*data, more, size);

	if (!grown)
		return false;
	*data = grown;
	*room = count < *room ? *room : more;
	return true;
}

static int see(const char *dir, const struct dirent *entry, void *arg)
{
	struct look *l = arg;
	struct ck_tag_names *n = l->names;
	struct ck_file_name name;

	if (!ck_file_name_parse(entry->d_name, &name)) {
		n->home |= strcmp(entry->d_name, CK_DRAFT_DIR) == 0;
		n->plain_dirs += ck_plain_is_dir(dir, entry, CK_LEVEL_TAG);
		return CK_OK;
	}
	if (name.kind == CK_FILE_META || !is_type(dir, entry, DT_REG))
		return CK_OK;
	if (name.kind == CK_FILE_MODEL) {
		if (!grow((void **)&n->steps, n->step_count, &l->step_room, sizeof(*n->steps)))
			return CK_ERR_NOMEM;
		n->steps[n->step_count++] = name.step;
		return CK_OK;
	}
	if (!grow((void **)&n->shards, n->shard_count, &l->shard_room, sizeof(*n->shards)))
		return CK_ERR_NOMEM;
	n->shards[n->shard_count++] = (struct ck_shard){ name.step, name.rank };
	return CK_OK;
}

static int by_number(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static int by_step_and_rank(const void *left, const void *right)
{
	const struct ck_shard *a = left, *b = right;

	if (a->step != b->step)
		return a->step < b->step ? -1 : 1;
	return (a->rank > b->rank) - (a->rank < b->rank);
}

int ck_store_look(const char *tag_path, struct ck_tag_names *out, struct ck_error *err)
{
	struct look l = { .names = out };
	size_t kept = 0;
	int rc;

	*out = (struct ck_tag_names){ 0 };
	rc = ck_dir_visit(ck_follow_opendir(tag_path), tag_path, see, &l, err);
	if (rc) {
		ck_tag_names_free(out);
		return rc;
	}
	if (out->step_count)
		qsort(out->steps, out->step_count, sizeof(*out->steps), by_number);
	if (out->shard_count)
		qsort(out->shards, out->shard_count, sizeof(*out->shards), by_step_and_rank);
	/* Rank 0 may be there under two names. */
	for (size_t i = 0; i < out->shard_count; i++)
		if (i == 0 || by_step_and_rank(&out->shards[i], &out->shards[i - 1]) != 0)
			out->shards[kept++] = out->shards[i];
	out->shard_count = kept;
	return CK_OK;
}

void ck_tag_names_free(struct ck_tag_names *names)
{
	free(names->steps);
	free(names->shards);
	*names = (struct ck_tag_names){ 0 };
}

int ck_store_steps(const char *tag_path, uint64_t **out, size_t *count, struct ck_error *err)
{
	struct ck_tag_names names;
	int rc = ck_store_look(tag_path, &names, err);

	*out = names.steps;
	*count = names.step_count;
	free(names.shards);
	return rc;
}

int ck_store_ranks(const char *tag_path, uint64_t step, uint64_t **out, size_t *count, struct ck_error *err)
{
	struct ck_tag_names names;
	int rc = ck_store_look(tag_path, &names, err);

	if (!rc)
		rc = ck_tag_names_ranks(&names, step, out, count, err);
	ck_tag_names_free(&names);
	return rc;
}

int ck_tag_names_ranks(const struct ck_tag_names *names, uint64_t step, uint64_t **out, size_t *count,
		       struct ck_error *err)
{
	size_t first = ck_shards_first(names->shards, names->shard_count, step), end = first;

	while (end < names->shard_count && names->shards[end].step == step)
		end++;
	*count = end - first;
	*out = NULL;
	if (end == first)
		return CK_OK;
	*out = malloc(*count * sizeof(**out));
	if (!*out)
		return ck_fail_nomem(err);
	for (size_t i = 0; i < *count; i++)
		(*out)[i] = names->shards[first + i].rank;
	return CK_OK;
}

size_t ck_shards_first(const struct ck_shard *shards, size_t count, uint64_t step)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (shards[middle].step < step)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int add_tag(const char *dir, const struct dirent *entry, void *arg)
{
	if (entry->d_name[0] == '.' || !is_type(dir, entry, DT_DIR))
		return CK_OK;
	return ck_names_add(arg, entry->d_name);
}

static int add_draft(const char *dir, const struct dirent *entry, void *arg)
{
	enum ck_draft_kind kind;
	uint64_t step;

	if (!ck_draft_parse(entry->d_name, &kind, &step) || kind == CK_DRAFT_OPTIM || !is_type(dir, entry, DT_DIR))
		return CK_OK;
	return ck_names_add(arg, entry->d_name);
}

int ck_store_tags(const char *source_path, struct ck_names *out, struct ck_error *err)
{
	return ck_list_visited(ck_follow_opendir(source_path), source_path, add_tag, out, err);
}

/* Where a published step has the name, the draft is being removed. A draft without files/ is being made. */
static bool is_shown_draft(const char *tag_path, const char *home, const char *name)
{
	enum ck_draft_kind kind;
	char path[PATH_MAX];
	struct stat st;
	uint64_t step;

	if (!ck_draft_parse(name, &kind, &step) || (kind == CK_DRAFT_STEP && ck_store_has_model(tag_path, step)))
		return false;
	return ck_path_join(path, home, name) && ck_path_join(path, path, "files") && ck_real_stat(path, &st) == 0 &&
	       S_ISDIR(st.st_mode);
}

static void keep_shown_drafts(const char *tag_path, const char *home, struct ck_names *drafts)
{
	size_t kept = 0;

	for (size_t i = 0; i < drafts->count; i++) {
		if (is_shown_draft(tag_path, home, drafts->names[i]))
			drafts->names[kept++] = drafts->names[i];
		else
			free(drafts->names[i]);
	}
	drafts->count = kept;
}

int ck_store_drafts(const char *tag_path, struct ck_names *out, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	char path[PATH_MAX];
	int rc = CK_OK;

	*out = (struct ck_names){ 0 };
	if (ck_path_join(path, tag_path, CK_DRAFT_DIR))
		rc = ck_list_visited(ck_real_opendir(path), path, add_draft, out, &why);
	/* The mount never makes a link there. */
	if (rc == CK_ERR_SYS && (why.sys == ENOENT || why.sys == ENOTDIR || why.sys == ELOOP)) {
		*out = (struct ck_names){ 0 };
		return CK_OK;
	}
	if (rc)
		ck_error_copy(err, &why);
	if (!rc)
		keep_shown_drafts(tag_path, path, out);
	return rc;
}

/* What a tag is ranked by. */
struct tag {
	char *name;
	/* of the number behind the d, without leading zeros; NULL: not named so */
	const char *digits;
	size_t len;
	bool exact;                 /* nothing but the d and the digits */
	struct timespec mtime;      /* where digits is NULL */
};

static struct tag rate(const char *source, char *name)
{
	char path[PATH_MAX];
	struct tag t = { .name = name };
	struct stat st;
	size_t all = name[0] == 'd' ? strspn(name + 1, "0123456789") : 0;
	size_t zeros;

	if (all == 0) {
		if (ck_path_join(path, source, name) && ck_follow_stat(path, &st) == 0)
			t.mtime = st.st_mtim;
		return t;
	}
	zeros = strspn(name + 1, "0");
	if (zeros == all)
		zeros--;
	t.digits = name + 1 + zeros;
	t.len = all - zeros;
	t.exact = zeros == 0 && name[1 + all] == '\0';
	return t;
}

/* Numbers of any length: Python's ints don't end at 64 bits. */
static int by_preference(const void *left, const void *right)
{
	const struct tag *a = left, *b = right;
	int diff;

	if (!a->digits != !b->digits)
		return a->digits ? -1 : 1;
	if (a->digits) {
		if (a->len != b->len)
			return a->len > b->len ? -1 : 1;
		diff = memcmp(b->digits, a->digits, a->len);
		if (diff)
			return diff;
		if (a->exact != b->exact)
			return a->exact ? -1 : 1;
	} else if (a->mtime.tv_sec != b->mtime.tv_sec) {
		return a->mtime.tv_sec > b->mtime.tv_sec ? -1 : 1;
	} else if (a->mtime.tv_nsec != b->mtime.tv_nsec) {
		return a->mtime.tv_nsec > b->mtime.tv_nsec ? -1 : 1;
	}
	return strcmp(a->name, b->name);
}

int ck_store_rank_tags(const char *source_path, struct ck_names *tags, struct ck_error *err)
{
	DIR *dir = ck_follow_opendir(source_path);
	struct tag *rated = NULL;
	int rc = CK_OK;

	if (!dir) {
		rc = ck_fail_sys(err, "opendir");
		goto out;
	}
	rated = calloc(tags->count + 1, sizeof(*rated));
	if (!rated) {
		rc = ck_fail_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < tags->count; i++)
		rated[i] = rate(source_path, tags->names[i]);
	qsort(rated, tags->count, sizeof(*rated), by_preference);
	for (size_t i = 0; i < tags->count; i++)
		tags->names[i] = rated[i].name;
out:
	ck_error_file(err, source_path);
	free(rated);
	if (dir)
		closedir(dir);
	return rc;
}
