/* The table of nodes and the cache of their contents. Implements node.h and status.h; node_load.c makes the
 * contents. */
#include "core/tree/node.h"

#include "core/base/clock.h"
#include "core/tree/content.h"
#include "core/tree/key.h"
#include "core/tree/status.h"

#include <stdlib.h>
#include <string.h>

/* ---- the table ---- */

#define FIRST_BUCKETS 64u
#define BASE_END (CK_INO_DRAFT >> LOCAL_BITS)

static bool node_is(const struct node *n, const struct node_key *key)
{
	return n->type == key->type && n->name.step == key->name.step && n->name.rank == key->name.rank &&
	       ck_ident_equal(&n->ident, &key->ident) &&
	       ck_ident_equal(&n->meta, &key->meta) && strcmp(n->path, key->path) == 0;
}

static struct node **bucket(struct ck_tree *tree, uint64_t base)
{
	return &tree->buckets[base & (tree->bucket_count - 1)];
}

static struct node *find_base(struct ck_tree *tree, uint64_t base)
{
	struct node *n = tree->root;

	if (base == 0)
		return n;
	for (n = *bucket(tree, base); n && n->base != base; n = n->chain)
		;
	return n;
}

static void grow_table(struct ck_tree *tree)
{
	size_t count = tree->bucket_count * 2;
	struct node **buckets = calloc(count, sizeof(*buckets)), *n, *next;

	/* Without memory the chains get longer; nothing else. */
	if (!buckets)
		return;
	for (size_t i = 0; i < tree->bucket_count; i++) {
		for (n = tree->buckets[i]; n; n = next) {
			next = n->chain;
			n->chain = buckets[n->base & (count - 1)];
			buckets[n->base & (count - 1)] = n;
		}
	}
	free(tree->buckets);
	tree->buckets = buckets;
	tree->bucket_count = count;
}

static struct node *new_node(const struct node_key *key, uint64_t base)
{
	struct node *n = calloc(1, sizeof(*n) + strlen(key->path) + 1);

	if (!n)
		return NULL;
	n->base = base;
	n->type = key->type;
	n->name = key->name;
	n->ident = key->ident;
	n->meta = key->meta;
	n->parent = key->parent;
	strcpy(n->path, key->path);
	return n;
}

struct node *node_get(struct ck_tree *tree, const struct node_key *key)
{
	uint64_t base = node_base(key);
	struct node *n;

	pthread_mutex_lock(&tree->lock);
	/* Two things of one hash: the later one takes the next free number. */
	while ((n = find_base(tree, base)) && !node_is(n, key))
		base = base + 1 < BASE_END ? base + 1 : 1;
	if (!n) {
		n = new_node(key, base);
		if (n) {
			if (++tree->node_count > tree->bucket_count)
				grow_table(tree);
			n->chain = *bucket(tree, base);
			*bucket(tree, base) = n;
		}
	}
	if (n)
		n->refs++;
	pthread_mutex_unlock(&tree->lock);
	return n;
}

struct node *node_root(struct ck_tree *tree, const struct node_key *key)
{
	struct node *n;

	tree->bucket_count = FIRST_BUCKETS;
	tree->buckets = calloc(FIRST_BUCKETS, sizeof(struct node *));
	if (!tree->buckets)
		return NULL;
	n = new_node(key, 0);
	if (n)
		n->refs = 1;
	return n;
}

struct node *node_find(struct ck_tree *tree, ck_ino ino)
{
	struct node *n;

	pthread_mutex_lock(&tree->lock);
	n = find_base(tree, ino >> LOCAL_BITS);
	pthread_mutex_unlock(&tree->lock);
	return n;
}

/* ---- the cache of contents ---- */

static void unlink_content(struct ck_tree *tree, struct node *n)
{
	if (n->newer)
		n->newer->older = n->older;
	else
		tree->newest = n->older;
	if (n->older)
		n->older->newer = n->newer;
	else
		tree->oldest = n->newer;
	n->newer = n->older = NULL;
}

static void link_content(struct ck_tree *tree, struct node *n)
{
	n->used_ms = ck_now_ms();
	n->newer = NULL;
	n->older = tree->newest;
	if (n->older)
		n->older->newer = n;
	else
		tree->oldest = n;
	tree->newest = n;
}

bool node_grow_bits(uint8_t **bits, uint32_t *count, uint32_t bit)
{
	uint32_t bytes = (bit / 64 + 1) * 8;
	uint8_t *more = bytes > *count ? realloc(*bits, bytes) : *bits;

	if (!more)
		return false;
	if (bytes > *count) {
		memset(more + *count, 0, bytes - *count);
		*bits = more;
		*count = bytes;
	}
	return true;
}

static void free_node(struct ck_tree *tree, struct node *n)
{
	struct node **at = bucket(tree, n->base);

	while (*at != n)
		at = &(*at)->chain;
	*at = n->chain;
	tree->node_count--;
	free(n->hidden);
	free(n->young_pages);
	free(n);
}

struct content content_take(struct ck_tree *tree, struct node *n)
{
	struct content content = { n->state, n->checkpoint, n->text, n->error, n->memory, n->before };

	unlink_content(tree, n);
	n->checkpoint = NULL;
	n->text = NULL;
	n->error = NULL;
	n->before = NULL;
	n->memory = 0;
	n->state = LOAD_NONE;
	return content;
}

void content_free(struct content *content)
{
	ck_checkpoint_unref(content->checkpoint);
	ck_view_unref(content->text);
	free(content->error);
	if (content->before) {
		ck_checkpoint_unref(content->before->checkpoint);
		ck_view_unref(content->before->text);
		free(content->before);
	}
}

static void drop_content(struct ck_tree *tree, struct node *n)
{
	struct content content = content_take(tree, n);

	content_free(&content);
	if (n->refs == 0 && n->base)
		free_node(tree, n);
}

static bool is_read(struct ck_checkpoint *checkpoint, struct ck_view *text)
{
	return (checkpoint && ck_checkpoint_is_shared(checkpoint)) || (text && ck_view_is_shared(text));
}

/* Whether a program reads the content. Then dropping it would free nothing. And once the stored file is replaced, the
   mount could not tell that program the size of its open file. */
static bool is_in_use(const struct node *n)
{
	return is_read(n->checkpoint, n->text) || (n->before && is_read(n->before->checkpoint, n->before->text));
}

size_t content_drop_unread(struct content *content)
{
	const struct content *before = content->before;
	size_t memory = content->memory;

	if (is_read(content->checkpoint, content->text) || (before && is_read(before->checkpoint, before->text)))
		return 0;
	content_free(content);
	*content = (struct content){ .state = LOAD_NONE };
	return memory;
}

void content_keep(struct node *n, struct content *old)
{
	struct content *before = is_read(old->checkpoint, old->text) ? calloc(1, sizeof(*before)) : NULL;

	if (before) {
		before->checkpoint = old->checkpoint;
		before->text = old->text;
		old->checkpoint = NULL;
		old->text = NULL;
	}
	n->before = before;
	content_free(old);
}

/* Drops what passes the cache's bounds, and returns how many bytes these were. SPARED, if not NULL, stays, however
   large it is: somebody waits for it. */
static size_t shrink_cache(struct ck_tree *tree, const struct node *spared)
{
	size_t count = 0, memory = 0, dropped = 0;
	struct node *n, *older;

	for (n = tree->newest; n; n = older) {
		older = n->older;
		if (is_in_use(n))
			continue;
		count++;
		memory += n->memory;
		if (n == spared || (count <= CACHE_COUNT && memory <= CACHE_MEMORY))
			continue;
		dropped += n->memory;
		drop_content(tree, n);
	}
	return dropped;
}

size_t node_drop_unused(struct ck_tree *tree, int64_t ms)
{
	int64_t until = ck_now_ms() - ms;
	struct node *n, *newer;
	size_t count = 0;

	pthread_mutex_lock(&tree->lock);
	for (n = tree->oldest; n && n->used_ms <= until; n = newer) {
		newer = n->newer;
		if (is_in_use(n))
			continue;
		drop_content(tree, n);
		count++;
	}
	pthread_mutex_unlock(&tree->lock);
	return count;
}

void ck_tree_status(struct ck_tree *tree, struct ck_tree_status *out)
{
	*out = (struct ck_tree_status){ .max_bytes = CACHE_MEMORY };
	pthread_mutex_lock(&tree->lock);
	out->loading = tree->loads + tree->asked;
	out->loaded = tree->loaded_count;
	out->failed = tree->failed_count;
	out->nodes = tree->node_count;
	for (const struct node *n = tree->newest; n; n = n->older) {
		out->cached_bytes += n->memory;
		out->open += n->checkpoint != NULL;
		out->in_use += n->checkpoint && is_in_use(n);
	}
	pthread_mutex_unlock(&tree->lock);
}

void content_loaded(struct ck_tree *tree, struct node *n)
{
	link_content(tree, n);
	shrink_cache(tree, n);
}

size_t content_make_room(struct ck_tree *tree)
{
	return shrink_cache(tree, NULL);
}

void content_used(struct ck_tree *tree, struct node *n)
{
	unlink_content(tree, n);
	link_content(tree, n);
}

void node_put(struct ck_tree *tree, struct node *n, uint64_t count)
{
	pthread_mutex_lock(&tree->lock);
	/* A kernel that forgets more than it looked up must not free what others hold. */
	n->refs -= count < n->refs ? count : n->refs;
	/* A node with content (or a lasting failure) stays as long as the cache keeps that. */
	if (n->refs == 0 && n->base && n->state == LOAD_NONE)
		free_node(tree, n);
	pthread_mutex_unlock(&tree->lock);
}

bool node_hides(struct ck_tree *tree, ck_ino ino)
{
	const uint32_t bit = local_bit(local_of(ino));
	const struct node *n;
	bool hides;

	pthread_mutex_lock(&tree->lock);
	n = find_base(tree, ino >> LOCAL_BITS);
	hides = n && bit / 8 < n->hidden_bytes && (n->hidden[bit / 8] & 1u << bit % 8);
	pthread_mutex_unlock(&tree->lock);
	return hides;
}

void node_unhide(struct ck_tree *tree, const char *dir)
{
	struct node *n, *next;

	pthread_mutex_lock(&tree->lock);
	for (size_t i = 0; i < tree->bucket_count; i++) {
		for (n = tree->buckets[i]; n; n = next) {
			next = n->chain;
			if (!n->hidden || strncmp(n->path, dir, strlen(dir)) != 0)
				continue;
			free(n->hidden);
			n->hidden = NULL;
			n->hidden_bytes = 0;
			if (--n->refs == 0 && n->state == LOAD_NONE)
				free_node(tree, n);
		}
	}
	pthread_mutex_unlock(&tree->lock);
}

void node_table_free(struct ck_tree *tree)
{
	struct content content;
	struct node *n, *next;

	for (size_t i = 0; i < tree->bucket_count; i++) {
		for (n = tree->buckets[i]; n; n = next) {
			next = n->chain;
			if (n->state != LOAD_NONE) {
				content = content_take(tree, n);
				content_free(&content);
			}
			free(n->hidden);
			free(n->young_pages);
			free(n);
		}
	}
	free(tree->buckets);
	free(tree->root);
}

/* A further name of NODE itself: latest, largest, optim. */
struct node *node_ref(struct ck_tree *tree, struct node *n)
{
	pthread_mutex_lock(&tree->lock);
	n->refs++;
	pthread_mutex_unlock(&tree->lock);
	return n;
}
