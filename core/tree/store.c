#include "core/tree/store.h"

#include "core/file/real.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct ck_source_dir ck_sources[4] = {
	{ "base", "base_checkpoints", true },
	{ "sft", "chatsft_checkpoints", true },
	{ "rl", "chatrl_checkpoints", true },
	{ "mid", "mid_checkpoints", false },  /* older nanochat */
};

bool ck_path_join(char *path, const char *dir, const char *name)
{
	size_t a = strlen(dir), b = strlen(name);

	if (a + 1 + b >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return false;
	}
	memmove(path, dir, a);
	path[a] = '/';
	memcpy(path + a + 1, name, b + 1);
	return true;
}

/* Passes over PREFIX at *AT. */
static bool take(const char **at, const char *prefix)
{
	size_t len = strlen(prefix);

	if (strncmp(*at, prefix, len) != 0)
		return false;
	*at += len;
	return true;
}

/* Passes over a number of at least WIDTH digits, more only without a leading zero, as printf's
   "%0*d" writes it. */
static bool take_number(const char **at, size_t width, uint64_t *out)
{
	size_t len = strspn(*at, "0123456789");
	uint64_t n = 0;

	if (len < width || (len > width && **at == '0'))
		return false;
	for (size_t i = 0; i < len; i++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)((*at)[i] - '0'), &n))
			return false;
	*at += len;
	*out = n;
	return true;
}

bool ck_file_name_parse(const char *name, struct ck_file_name *out)
{
	struct ck_file_name n = { 0 };

	if (take(&name, "model_"))
		n.kind = CK_FILE_MODEL;
	else if (take(&name, "meta_"))
		n.kind = CK_FILE_META;
	else if (take(&name, "optim_"))
		n.kind = CK_FILE_OPTIM;
	else
		return false;
	if (!take_number(&name, 6, &n.step))
		return false;
	if (n.kind == CK_FILE_OPTIM) {
		n.bare = strcmp(name, ".pt") == 0;
		if (!n.bare && !(take(&name, "_rank") && take_number(&name, 1, &n.rank)))
			return false;
	}
	if (strcmp(name, n.kind == CK_FILE_META ? ".json" : ".pt") != 0)
		return false;
	*out = n;
	return true;
}

const char *ck_file_name_format(const struct ck_file_name *n, char *buf, size_t size)
{
	switch (n->kind) {
	case CK_FILE_MODEL:
		snprintf(buf, size, "model_%06" PRIu64 ".pt", n->step);
		break;
	case CK_FILE_META:
		snprintf(buf, size, "meta_%06" PRIu64 ".json", n->step);
		break;
	case CK_FILE_OPTIM:
		if (n->bare)
			snprintf(buf, size, "optim_%06" PRIu64 ".pt", n->step);
		else
			snprintf(buf, size, "optim_%06" PRIu64 "_rank%" PRIu64 ".pt", n->step, n->rank);
		break;
	}
	return buf;
}

bool ck_step_parse(const char *name, uint64_t *step)
{
	uint64_t n;

	if (!take_number(&name, 6, &n) || *name != '\0')
		return false;
	*step = n;
	return true;
}

bool ck_rank_parse(const char *name, uint64_t *rank, size_t *len)
{
	const char *at = name;

	if (!take(&at, "rank") || !take_number(&at, 1, rank))
		return false;
	*len = (size_t)(at - name);
	return true;
}

const char *ck_step_format(uint64_t step, char *buf, size_t size)
{
	snprintf(buf, size, "%06" PRIu64, step);
	return buf;
}

static const char *const draft_suffixes[] = {
	[CK_DRAFT_STEP] = "", [CK_DRAFT_PARTIAL] = ".partial", [CK_DRAFT_OPTIM] = ".optim"};

bool ck_draft_parse(const char *name, enum ck_draft_kind *kind, uint64_t *step)
{
	if (!take_number(&name, 6, step))
		return false;
	for (size_t i = 0; i < sizeof(draft_suffixes) / sizeof(*draft_suffixes); i++) {
		if (strcmp(name, draft_suffixes[i]) == 0) {
			*kind = (enum ck_draft_kind)i;
			return true;
		}
	}
	return false;
}

const char *ck_draft_format(enum ck_draft_kind kind, uint64_t step, char *buf, size_t size)
{
	snprintf(buf, size, "%06" PRIu64 "%s", step, draft_suffixes[kind]);
	return buf;
}

/* Whether the entry, or what it links to, is of TYPE (DT_DIR, DT_REG). */
static bool is_type(int dir, const struct dirent *entry, unsigned char type)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK)
		return entry->d_type == type;
	return fstatat(dir, entry->d_name, &st, 0) == 0 && IFTODT(st.st_mode) == type;
}

bool ck_store_has_model(const char *tag_path, uint64_t step)
{
	struct ck_file_name model = { .kind = CK_FILE_MODEL, .step = step };
	char path[PATH_MAX], name[64];
	struct stat st;

	return ck_path_join(path, tag_path, ck_file_name_format(&model, name, sizeof(name))) &&
	       ck_real_stat(path, &st) == 0;
}

/* Calls VISIT for each entry of DIR, the directory at PATH, but "." and ".."; it goes on while VISIT
   gives 0. DIR is closed; NULL says that it couldn't be opened. */
typedef int (*visit_fn)(int dir, const struct dirent *entry, void *arg);

static int each_entry(DIR *dir, const char *path, visit_fn visit, void *arg, struct ck_error *err)
{
	struct dirent *entry = NULL;
	int rc = CK_OK;

	if (!dir) {
		rc = ck_fail_sys(err, "opendir");
		goto out;
	}
	while (!rc) {
		errno = 0;
		entry = readdir(dir);
		if (!entry && errno)
			rc = ck_fail_sys(err, "readdir");
		if (!entry)
			break;
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = visit(dirfd(dir), entry, arg);
	}
	if (rc == CK_ERR_NOMEM)
		ck_fail_nomem(err);
	closedir(dir);
out:
	ck_error_file(err, path);
	return rc;
}

/* The numbers in the names of one kind: steps of models, or ranks of the shards of one step. */
struct numbers {
	enum ck_file_kind kind;
	uint64_t step;              /* OPTIM only */
	bool steps;                 /* OPTIM only: of all steps, their steps */
	uint64_t *data;
	size_t count, cap;
};

static int take_numbers(int dir, const struct dirent *entry, void *arg)
{
	struct numbers *n = arg;
	struct ck_file_name name;

	if (!ck_file_name_parse(entry->d_name, &name) || name.kind != n->kind ||
	    (n->kind == CK_FILE_OPTIM && !n->steps && name.step != n->step) || !is_type(dir, entry, DT_REG))
		return CK_OK;
	if (n->count == n->cap) {
		size_t cap = n->cap ? 2 * n->cap : 16;
		uint64_t *data = reallocarray(n->data, cap, sizeof(*data));

		if (!data)
			return CK_ERR_NOMEM;
		n->data = data;
		n->cap = cap;
	}
	n->data[n->count++] = n->kind == CK_FILE_OPTIM && !n->steps ? name.rank : name.step;
	return CK_OK;
}

static int by_number(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static int list_numbers(const char *path, struct numbers *n, uint64_t **out, size_t *count, struct ck_error *err)
{
	int rc = each_entry(opendir(path), path, take_numbers, n, err);

	if (rc) {
		free(n->data);
		return rc;
	}
	if (n->count > 0)
		qsort(n->data, n->count, sizeof(*n->data), by_number);
	*out = n->data;
	/* Rank 0 may be there under two names. */
	*count = 0;
	for (size_t i = 0; i < n->count; i++)
		if (i == 0 || n->data[i] != n->data[i - 1])
			n->data[(*count)++] = n->data[i];
	return CK_OK;
}

int ck_store_steps(const char *tag_path, uint64_t **out, size_t *count, struct ck_error *err)
{
	struct numbers n = { .kind = CK_FILE_MODEL };

	return list_numbers(tag_path, &n, out, count, err);
}

int ck_store_ranks(const char *tag_path, uint64_t step, uint64_t **out, size_t *count, struct ck_error *err)
{
	struct numbers n = { .kind = CK_FILE_OPTIM, .step = step };

	return list_numbers(tag_path, &n, out, count, err);
}

int ck_store_sharded(const char *tag_path, uint64_t **out, size_t *count, struct ck_error *err)
{
	struct numbers n = { .kind = CK_FILE_OPTIM, .steps = true };

	return list_numbers(tag_path, &n, out, count, err);
}

static int take_name(struct ck_names *names, const char *name)
{
	char **grown;

	/* A power of two is full. */
	if ((names->count & (names->count - 1)) == 0) {
		grown = reallocarray(names->names, names->count ? 2 * names->count : 1, sizeof(*grown));
		if (!grown)
			return CK_ERR_NOMEM;
		names->names = grown;
	}
	names->names[names->count] = strdup(name);
	if (!names->names[names->count])
		return CK_ERR_NOMEM;
	names->count++;
	return CK_OK;
}

static int take_tag(int dir, const struct dirent *entry, void *arg)
{
	if (entry->d_name[0] == '.' || !is_type(dir, entry, DT_DIR))
		return CK_OK;
	return take_name(arg, entry->d_name);
}

static int take_draft(int dir, const struct dirent *entry, void *arg)
{
	enum ck_draft_kind kind;
	uint64_t step;

	if (!ck_draft_parse(entry->d_name, &kind, &step) || kind == CK_DRAFT_OPTIM || !is_type(dir, entry, DT_DIR))
		return CK_OK;
	return take_name(arg, entry->d_name);
}

static int by_name(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static int take_any(int dir, const struct dirent *entry, void *arg)
{
	(void)dir;
	return take_name(arg, entry->d_name);
}

static int list_names(DIR *dir, const char *path, visit_fn visit, struct ck_names *out, struct ck_error *err)
{
	struct ck_names names = { 0 };
	int rc = each_entry(dir, path, visit, &names, err);

	if (rc) {
		ck_names_free(&names);
		return rc;
	}
	if (names.count > 0)
		qsort(names.names, names.count, sizeof(*names.names), by_name);
	*out = names;
	return CK_OK;
}

int ck_list_dir(const char *path, struct ck_names *out, struct ck_error *err)
{
	return list_names(opendir(path), path, take_any, out, err);
}

static DIR *open_real_dir(const char *path)
{
	int fd = ck_real_open(path, O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

int ck_list_real_dir(const char *path, struct ck_names *out, struct ck_error *err)
{
	return list_names(open_real_dir(path), path, take_any, out, err);
}

int ck_store_tags(const char *source_path, struct ck_names *out, struct ck_error *err)
{
	return list_names(opendir(source_path), source_path, take_tag, out, err);
}

/* A published step has the name; its draft, if there still is one, is being removed. One without
   files/ is being made. */
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
		rc = list_names(open_real_dir(path), path, take_draft, out, &why);
	/* A link is none of ours. */
	if (rc == CK_ERR_SYS && (why.sys == ENOENT || why.sys == ENOTDIR || why.sys == ELOOP)) {
		*out = (struct ck_names){ 0 };
		return CK_OK;
	}
	if (rc && err && !err->code)
		*err = why;
	if (!rc)
		keep_shown_drafts(tag_path, path, out);
	return rc;
}

void ck_names_free(struct ck_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->names[i]);
	free(names->names);
	*names = (struct ck_names){ 0 };
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

static struct tag rate(int dir, char *name)
{
	struct tag t = { .name = name };
	struct stat st;
	size_t all = name[0] == 'd' ? strspn(name + 1, "0123456789") : 0;
	size_t zeros;

	if (all == 0) {
		if (fstatat(dir, name, &st, 0) == 0)
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
	int dir = open(source_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct tag *rated = NULL;
	int rc = CK_OK;

	if (dir < 0) {
		rc = ck_fail_sys(err, "open");
		goto out;
	}
	rated = calloc(tags->count + 1, sizeof(*rated));
	if (!rated) {
		rc = ck_fail_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < tags->count; i++)
		rated[i] = rate(dir, tags->names[i]);
	qsort(rated, tags->count, sizeof(*rated), by_preference);
	for (size_t i = 0; i < tags->count; i++)
		tags->names[i] = rated[i].name;
out:
	ck_error_file(err, source_path);
	free(rated);
	if (dir >= 0)
		close(dir);
	return rc;
}
