/* The state of all ranks from the shards of a step. Implements joined.h; core/pt/join.h does the joining. */
#include "core/tree/joined.h"

#include "core/base/hash.h"
#include "core/base/keyname.h"
#include "core/file/dir.h"
#include "core/pt/join.h"
#include "core/tree/contain.h"
#include "core/tree/node_load.h"
#include "core/tree/tag.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Takes one more file's identity into that of all. */
static void fold_ident(struct ck_ident *all, const struct ck_ident *one)
{
	all->dev = ck_hash(one, sizeof(*one), all->dev);
	/* Not 0, which stands for no file. */
	all->ino = all->dev | 1;
	all->size += one->size;
	if (one->mtime_ns > all->mtime_ns)
		all->mtime_ns = one->mtime_ns;
}

int key_of_joined(struct ck_tree *tree, const char *tag, uint64_t step, enum node_type type, uint64_t rank,
		  ck_ino parent, char *path, struct node_key *key, struct ck_error *err)
{
	struct ck_file_name name = { .kind = CK_FILE_OPTIM, .step = step };
	struct ck_ident one;
	char other[PATH_MAX];
	uint64_t *ranks;
	size_t count;
	int rc = tree_ranks(tree, tag, step, &ranks, &count, err);

	if (rc)
		return rc;
	if (count == 0)
		return ck_fail(err, CK_ERR_NOENT, "no such name");
	*key = (struct node_key){ .type = type, .path = path, .name = name, .parent = parent };
	key->name.rank = rank;
	for (size_t i = 0; i < count && !rc; i++) {
		name.rank = ranks[i];
		name.bare = false;
		rc = ident_of_stored(tree, tag, &name, i ? other : path, &one, err);
		if (!rc && i == 0)
			key->ident = one;
		if (!rc)
			fold_ident(&key->meta, &one);
	}
	free(ranks);
	name = (struct ck_file_name){ .kind = CK_FILE_MODEL, .step = step };
	if (!rc)
		rc = ident_of_stored(tree, tag, &name, other, &one, err);
	if (!rc)
		fold_ident(&key->meta, &one);
	return rc;
}

bool joined_is_current(struct ck_tree *tree, const struct node *n)
{
	char tag[PATH_MAX], path[PATH_MAX];
	struct node_key key;

	path_of_tag(n, tag);
	return key_of_joined(tree, tag, n->name.step, n->type, n->name.rank, n->parent, path, &key, NULL) == CK_OK &&
	       ck_ident_equal(&key.ident, &n->ident) && ck_ident_equal(&key.meta, &n->meta);
}

/* ---- loading ---- */

/* What a joined node is made of. */
struct parts {
	struct ck_checkpoint *model;
	struct ck_checkpoint **shards;
	size_t count;
	struct ck_ident found;  /* of the files that were loaded */
};

static void free_parts(struct parts *parts)
{
	for (size_t i = 0; i < parts->count; i++)
		ck_checkpoint_unref(parts->shards[i]);
	free(parts->shards);
	ck_checkpoint_unref(parts->model);
}

/* The checkpoint of one stored file, whose identity goes into that of all. */
static int load_part(struct ck_tree *tree, struct node *n, enum node_type type, const struct ck_file_name *name,
		     struct parts *parts, struct ck_checkpoint **out, struct ck_error *err)
{
	struct node *part;
	int rc = node_of_stored(tree, n, type, name, &part, out, err);

	if (part) {
		fold_ident(&parts->found, &part->ident);
		if (!rc && part->name.bare) {
			rc = ck_fail(err, CK_ERR_UNSUPPORTED,
				     "expected the shard of each rank, found a name of nanochat "
				     "before 13 November 2025, which saved rank 0's alone");
			ck_error_file(err, part->path);
			ck_checkpoint_unref(*out);
			*out = NULL;
		}
		node_put(tree, part, 1);
	}
	return rc;
}

/* "PATH: expected ranks 0 to N, ...": RANK is the first that isn't there. */
static int missing(const struct node *n, uint64_t rank, uint64_t last, struct ck_error *err)
{
	struct ck_file_name name = { .kind = CK_FILE_OPTIM, .step = n->name.step, .rank = rank };
	char tag[PATH_MAX], path[PATH_MAX], text[64];

	path_of_tag(n, tag);
	ck_error_set(err, CK_ERR_CORRUPT, "expected the shards of ranks 0 to %" PRIu64 ", found none of rank %" PRIu64,
		     last, rank);
	if (ck_path_join(path, tag, ck_file_name_format(&name, text, sizeof(text))))
		ck_error_file(err, path);
	return CK_ERR_CORRUPT;
}

static int load_shards(struct ck_tree *tree, struct node *n, struct parts *parts, struct ck_error *err)
{
	struct ck_file_name name = { .kind = CK_FILE_OPTIM, .step = n->name.step };
	char tag[PATH_MAX];
	uint64_t *ranks;
	size_t count;
	int rc;

	path_of_tag(n, tag);
	rc = tree_ranks(tree, tag, n->name.step, &ranks, &count, err);
	if (rc)
		return rc;
	if (count > CK_MAX_RANKS)
		rc = ck_fail(err, CK_ERR_LIMIT, "expected at most %u ranks, found %zu", CK_MAX_RANKS, count);
	for (size_t i = 0; i < count && !rc; i++)
		if (ranks[i] != i)
			rc = missing(n, i, ranks[count - 1], err);
	parts->shards = calloc(count ? count : 1, sizeof(struct ck_checkpoint *));
	if (!rc && !parts->shards)
		rc = ck_fail_nomem(err);
	for (size_t i = 0; i < count && !rc; i++) {
		name.rank = i;
		rc = load_part(tree, n, NODE_OPTIM, &name, parts, &parts->shards[i], err);
		parts->count += !rc;
	}
	free(ranks);
	return rc;
}

static int load_parts(struct ck_tree *tree, struct node *n, struct parts *parts, struct ck_error *err)
{
	struct ck_file_name model = { .kind = CK_FILE_MODEL, .step = n->name.step };
	int rc = load_shards(tree, n, parts, err);

	if (!rc)
		rc = load_part(tree, n, NODE_MODEL, &model, parts, &parts->model, err);
	if (rc == CK_ERR_NOENT || (!rc && !ck_ident_equal(&parts->found, &n->meta))) {
		ck_error_clear(err);
		rc = ck_fail(err, CK_ERR_STALE, "one of the step's files was replaced");
	}
	return rc;
}

static int load_file(struct ck_tree *tree, struct node *n, struct ck_error *err)
{
	struct node_key key = { .type = NODE_CUT, .path = n->path, .name = n->name, .ident = n->ident, .meta = n->meta,
				.parent = n->parent };
	struct node *cut = node_get(tree, &key);
	struct ck_checkpoint *c = NULL;
	char top[64];
	int rc = cut ? node_checkpoint(tree, cut, &c, err) : ck_fail_nomem(err);

	/* torch.save names the archive after the file. */
	ck_file_name_format(&n->name, top, sizeof(top));
	*strrchr(top, '.') = '\0';
	if (!rc)
		rc = ck_join_pt(c, top, &n->text, err);
	if (!rc)
		n->memory = sizeof(*n) + 512 * ck_checkpoint_count(c);
	ck_checkpoint_unref(c);
	if (cut)
		node_put(tree, cut, 1);
	return rc;
}

int joined_load(struct ck_tree *tree, struct node *n, struct ck_error *err)
{
	struct parts parts = { 0 };
	struct ck_checkpoint *c;
	struct ck_join *join = NULL;
	int rc;

	if (n->type == NODE_CUT_FILE)
		return load_file(tree, n, err);
	rc = load_parts(tree, n, &parts, err);
	if (!rc)
		rc = ck_join_new(parts.model, parts.shards, parts.count, &join, err);
	if (!rc)
		rc = n->type == NODE_ALL ? ck_join_all(join, &c, err)
					 : ck_join_cut(join, tree->options.ranks, (unsigned)n->name.rank, &c, err);
	ck_join_free(join);
	free_parts(&parts);
	if (rc)
		return rc;
	n->memory = ck_checkpoint_memory(c);
	n->checkpoint = c;
	return CK_OK;
}
