/* What was read of the metadata of tags, kept for the next look. Implements history.h; begin with refresh(). */
#include "core/tree/history.h"

#include "core/base/clock.h"
#include "core/base/keyname.h"
#include "core/tree/history_read.h"
#include "core/tree/node_load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Less than what an answer holds (CK_TIMEOUT_CHANGING): both together pass no second. */
#define KEPT_MS 250
/* Of the tags that were asked for last so much is kept. */
#define KEPT_MEMORY ((size_t)48 << 20)

/* A former text that somebody has open. */
struct former {
	struct ck_view *text;
	uint32_t number;
};

/* Under the tree's lock, except ROWS while RUNNING: the thread that looks has them then. */
struct history {
	struct history *next;
	bool running;           /* a thread looks at the files */
	unsigned waiting;       /* threads that have the pointer */
	int64_t seen_ms;        /* when it was found to be true; 0: never, or it isn't */
	struct step_rows rows;
	size_t memory;          /* of the rows and the text */
	struct history_score *scores;
	size_t score_count;
	struct ck_view *text;   /* NULL before the first look */
	uint64_t hash;          /* of the text */
	uint32_t number;
	struct former *former;
	size_t former_count;
	struct timespec mtime;
	mode_t read;
	char tag[];
};

/* ---- the list of histories ---- */

static void free_history(struct history *h)
{
	for (size_t i = 0; i < h->former_count; i++)
		ck_view_unref(h->former[i].text);
	ck_view_unref(h->text);
	step_rows_free(&h->rows);
	free(h->former);
	free(h->scores);
	free(h);
}

void tree_history_free(struct ck_tree *tree)
{
	struct history *next;

	for (struct history *h = tree->histories; h; h = next) {
		next = h->next;
		free_history(h);
	}
}

static struct history *find(const struct ck_tree *tree, const char *tag)
{
	struct history *h = tree->histories;

	while (h && strcmp(h->tag, tag) != 0)
		h = h->next;
	return h;
}

/* Forgets the former texts that nobody has open any more. */
static void drop_former(struct history *h)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->former_count; i++) {
		if (ck_view_is_shared(h->former[i].text))
			h->former[kept++] = h->former[i];
		else
			ck_view_unref(h->former[i].text);
	}
	h->former_count = kept;
}

static bool is_in_use(struct history *h)
{
	drop_former(h);
	return h->running || h->waiting || h->former_count || (h->text && ck_view_is_shared(h->text));
}

/* Forgets the tags beyond what is kept, but not SPARED; a number that one of them had is not given again. */
static void shrink(struct ck_tree *tree, const struct history *spared)
{
	struct history **at = &tree->histories, *h;
	size_t memory = 0;

	while ((h = *at)) {
		memory += sizeof(*h) + h->memory;
		if (memory <= KEPT_MEMORY || h == spared || is_in_use(h)) {
			at = &h->next;
			continue;
		}
		if (tree->next_history <= h->number)
			tree->next_history = h->number + 1;
		*at = h->next;
		free_history(h);
	}
}

/* The tag's, which is made if need be, at the front. NULL without memory. */
static struct history *get(struct ck_tree *tree, const char *tag)
{
	struct history **at = &tree->histories, *h;

	while (*at && strcmp((*at)->tag, tag) != 0)
		at = &(*at)->next;
	h = *at;
	if (h) {
		*at = h->next;
	} else {
		h = calloc(1, sizeof(*h) + strlen(tag) + 1);
		if (!h)
			return NULL;
		strcpy(h->tag, tag);
		h->number = tree->next_history;
	}
	h->next = tree->histories;
	tree->histories = h;
	return h;
}

/* ---- a look at the files ---- */

static int by_score(const void *left, const void *right)
{
	const struct history_score *a = left, *b = right;

	if (a->has_config != b->has_config)
		return a->has_config ? -1 : 1;
	if (a->by_loss != b->by_loss)
		return a->by_loss ? 1 : -1;
	if (a->value != b->value)
		return a->value < b->value ? -1 : 1;
	return (a->step > b->step) - (a->step < b->step);
}

static struct history_score *make_scores(const struct step_rows *rows, size_t *count)
{
	struct history_score *scores = malloc((rows->count + 1) * sizeof(*scores));

	*count = 0;
	for (size_t i = 0; i < rows->count && scores; i++) {
		const struct ck_history_row *row = &rows->rows[i].row;
		bool by_loss = isnan(row->val_bpb);
		double value = by_loss ? row->val_loss : row->val_bpb;

		if (!isnan(value))
			scores[(*count)++] = (struct history_score){ row->has_config, by_loss, value, row->step };
	}
	if (*count)
		qsort(scores, *count, sizeof(*scores), by_score);
	return scores;
}

static int make_text(const struct step_rows *rows, uint64_t *hash, struct ck_view **out, struct ck_error *err)
{
	struct ck_buf text = { .max = HISTORY_MAX_MEMORY };
	struct ck_history_row *lines = malloc((rows->count + 1) * sizeof(*lines));
	int rc = lines ? CK_OK : ck_fail_nomem(err);

	for (size_t i = 0; i < rows->count && lines; i++)
		lines[i] = rows->rows[i].row;
	if (!rc)
		rc = ck_history_write(&text, lines, rows->count, err);
	free(lines);
	if (!rc) {
		*hash = ck_hash(text.data, text.len, text.len);
		*out = ck_view_new();
		rc = *out ? ck_view_add_buf(*out, &text, err) : ck_fail_nomem(err);
		if (rc)
			ck_view_unref(*out);
	}
	ck_buf_free(&text);
	return rc;
}

/* Mode and time, which may change where the text doesn't. */
static void take_attributes(struct history *h)
{
	int64_t ns = ck_ident_of(&h->rows.tag).mtime_ns;

	h->read = 0444;
	for (size_t i = 0; i < h->rows.count; i++) {
		h->read &= h->rows.rows[i].read;
		if (h->rows.rows[i].mtime_ns > ns)
			ns = h->rows.rows[i].mtime_ns;
	}
	h->mtime.tv_sec = ns / 1000000000 - (ns % 1000000000 < 0);
	h->mtime.tv_nsec = ns - h->mtime.tv_sec * 1000000000;
}

/* Puts the new text in the place of the former one, which stays for those that have it open. The lock is held. */
static void take_text(struct history *h, struct ck_view *text, uint64_t hash)
{
	struct former *more;

	if (h->text && h->hash == hash) {
		ck_view_unref(text);
		return;
	}
	drop_former(h);
	if (h->text) {
		more = ck_view_is_shared(h->text) ? reallocarray(h->former, h->former_count + 1, sizeof(*more)) : NULL;
		if (more) {
			h->former = more;
			h->former[h->former_count++] = (struct former){ h->text, h->number };
		} else {
			ck_view_unref(h->text);
		}
		h->number++;
	}
	h->text = text;
	h->hash = hash;
}

/* A look that is under way. Guarded by the tree's lock. */
struct looking {
	struct ck_tree *tree;
	struct history *history;
	struct ck_error why;
	int rc;
	bool over;
	bool left;              /* nobody waits for it */
};

/* Called without the lock, returns with it. */
static void look(struct looking *l)
{
	struct ck_tree *tree = l->tree;
	struct history *h = l->history;
	struct history_score *scores = NULL;
	struct ck_view *text = NULL;
	size_t score_count = 0;
	struct step_rows new;
	int64_t began = ck_now_ms();
	uint64_t hash = 0;
	bool changed;

	l->rc = step_rows_read(tree, h->tag, &h->rows, &new, &changed, &l->why);
	if (!l->rc && (changed || !h->text)) {
		scores = make_scores(&new, &score_count);
		l->rc = scores ? make_text(&new, &hash, &text, &l->why) : ck_fail_nomem(&l->why);
	}
	if (l->rc)
		step_rows_free(&new);
	h->rows = new;
	pthread_mutex_lock(&tree->lock);
	h->seen_ms = l->rc ? 0 : began;
	if (!l->rc)
		take_attributes(h);
	if (text) {
		take_text(h, text, hash);
		free(h->scores);
		h->scores = scores;
		h->score_count = score_count;
	} else {
		free(scores);
	}
	h->memory = new.memory + (h->text ? (size_t)ck_view_size(h->text) : 0);
	h->running = false;
	tree->loads--;
	l->over = true;
	pthread_cond_broadcast(&tree->loaded);
}

/* In a thread of its own, so that who asked may give up. */
static void *look_alone(void *arg)
{
	struct looking *l = arg;
	struct ck_tree *tree = l->tree;

	look(l);
	if (l->left)
		free(l);
	pthread_mutex_unlock(&tree->lock);
	return NULL;
}

/* Looks now, with the lock held before and after. */
static int look_now(struct ck_tree *tree, struct history *h, struct ck_error *err)
{
	struct looking *l = malloc(sizeof(*l));
	pthread_t thread;
	int rc = CK_OK;

	if (!l)
		return ck_fail_nomem(err);
	*l = (struct looking){ .tree = tree, .history = h };
	ck_error_clear(&l->why);
	h->running = true;
	tree->loads++;
	if (!tree->options.gave_up || pthread_create(&thread, NULL, look_alone, l)) {
		pthread_mutex_unlock(&tree->lock);
		look(l);
	} else {
		pthread_detach(thread);
	}
	while (!l->over && !rc)
		rc = tree_wait(tree, err);
	if (!l->over) {
		l->left = true;
		return rc;
	}
	rc = l->rc;
	if (rc)
		ck_error_copy(err, &l->why);
	free(l);
	return rc;
}

/* *OUT: the tag's history as it was a moment ago at most. The lock is held before and after. */
static int refresh(struct ck_tree *tree, const char *tag, struct history **out, struct ck_error *err)
{
	const int64_t since = ck_now_ms() - KEPT_MS;
	struct history *h = get(tree, tag);
	int rc = CK_OK;

	if (!h)
		return ck_fail_nomem(err);
	h->waiting++;
	while (!rc && (h->running || h->seen_ms == 0 || h->seen_ms < since))
		rc = h->running || tree->loads >= MAX_LOADS ? tree_wait(tree, err) : look_now(tree, h, err);
	h->waiting--;
	shrink(tree, h);
	*out = h;
	return rc;
}

/* ---- what is asked ---- */

static uint32_t local_of_number(uint32_t number) { return LOCAL_HISTORY + number % (LOCAL_END - LOCAL_HISTORY); }

int tree_history_local(struct ck_tree *tree, const struct node *tag, uint32_t *local, struct ck_error *err)
{
	struct history *h;
	int rc;

	pthread_mutex_lock(&tree->lock);
	rc = refresh(tree, tag->path, &h, err);
	if (!rc && h->rows.count == 0)
		rc = ck_fail(err, CK_ERR_NOENT, "no steps");
	if (!rc)
		*local = local_of_number(h->number);
	pthread_mutex_unlock(&tree->lock);
	return rc;
}

uint32_t tree_history_known(struct ck_tree *tree, const struct node *tag, bool *read, bool *scored)
{
	const struct history *h;
	uint32_t number;

	pthread_mutex_lock(&tree->lock);
	h = find(tree, tag->path);
	*read = h && h->text;
	*scored = *read && h->score_count > 0;
	number = h ? h->number : tree->next_history;
	pthread_mutex_unlock(&tree->lock);
	return local_of_number(number);
}

/* The text that LOCAL stands for, now or before; NULL where nobody has it any more. The lock is held. */
static struct ck_view *find_text(const struct history *h, uint32_t local)
{
	if (local == local_of_number(h->number))
		return h->text;
	for (size_t i = 0; i < h->former_count; i++)
		if (local == local_of_number(h->former[i].number))
			return h->former[i].text;
	return NULL;
}

int tree_history_attr(struct ck_tree *tree, const struct node *tag, uint32_t local, struct stat *st,
		      struct ck_error *err)
{
	struct ck_view *text;
	struct history *h;
	int rc;

	pthread_mutex_lock(&tree->lock);
	rc = refresh(tree, tag->path, &h, err);
	text = rc ? NULL : find_text(h, local);
	if (text) {
		st->st_size = (off_t)ck_view_size(text);
		st->st_blocks = (st->st_size + 511) / 512;
		st->st_mode = S_IFREG | (st->st_mode & h->read);
		st->st_mtim = h->mtime;
	} else if (!rc) {
		rc = ck_fail(err, CK_ERR_STALE, "the table is another one now");
	}
	pthread_mutex_unlock(&tree->lock);
	return rc;
}

int tree_history_open(struct ck_tree *tree, const struct node *tag, uint32_t local, struct ck_view **out,
		      struct ck_error *err)
{
	struct history *h;
	int rc;

	pthread_mutex_lock(&tree->lock);
	rc = refresh(tree, tag->path, &h, err);
	if (!rc && local != local_of_number(h->number))
		rc = ck_fail(err, CK_ERR_STALE, "the table is another one now");
	if (!rc)
		*out = ck_view_ref(h->text);
	pthread_mutex_unlock(&tree->lock);
	return rc;
}

bool tree_history_score(struct ck_tree *tree, const struct node *tag, size_t i, struct history_score *out)
{
	const struct history *h;
	bool has;

	pthread_mutex_lock(&tree->lock);
	h = find(tree, tag->path);
	has = h && i < h->score_count;
	if (has)
		*out = h->scores[i];
	pthread_mutex_unlock(&tree->lock);
	return has;
}
