/* What a node is: its key and the inode number that the key gives. Implements key.h. */
#include "core/tree/key.h"

#include "core/base/keyname.h"
#include "core/file/dir.h"
#include "core/tree/contain.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define BASE_END (CK_INO_DRAFT >> LOCAL_BITS)

/*
 * A step's nodes have their numbers next to each other, in the order in which the step is listed: 22 bits that the tag
 * and the step give, 3 that are the node's rank in the listing, 18 of its hash. A shard's number has its rank in it.
 */
#define REST_BITS 18
#define GROUP_MASK ((UINT64_C(1) << 22) - 1)
#define RANK_SHIFT 10
#define RANK_MAX 255
#define HUB_SHIFT 16    /* four tokenizer's files */

static uint64_t fold(uint64_t h) { return h ^ h >> 32; }

static uint64_t base_in_step(const struct node_key *key, uint64_t h)
{
	/* optim/ has the number of STEP, and comes behind model.pt. */
	static const uint8_t order[] = {
		[NODE_META] = 0, [NODE_MODEL] = 1, [NODE_HUB] = 2, [NODE_FILE] = 3,
		[NODE_STEP] = 4, [NODE_OPTIM] = 5, [NODE_NATIVE] = 6, [NODE_ALL] = 7,
		[NODE_CUT] = 5, [NODE_CUT_FILE] = 5,
	};
	const char *slash = strrchr(key->path, '/');
	uint64_t group = fold(ck_hash(key->path, slash ? (size_t)(slash - key->path) : 0, 0)) + key->name.step;
	bool file = key->type == NODE_FILE || key->type == NODE_CUT_FILE;
	bool shard = key->name.kind == CK_FILE_OPTIM && (key->type == NODE_OPTIM || key->type == NODE_CUT || file);
	uint64_t rest = fold(h) & ((1u << REST_BITS) - 1), rank = key->name.rank;

	if (shard) {
		rest &= (1u << (RANK_SHIFT - 1)) - 1;
		rest |= (uint64_t)file << (RANK_SHIFT - 1);
		rest |= (rank < RANK_MAX ? rank : RANK_MAX) << RANK_SHIFT;
	}
	if (key->type == NODE_HUB)
		rest = (rest & ((1u << HUB_SHIFT) - 1)) | rank << HUB_SHIFT;
	return ((group & GROUP_MASK) << 3 | order[shard ? NODE_OPTIM : key->type]) << REST_BITS | rest;
}

uint64_t node_base(const struct node_key *key)
{
	uint64_t type = key->type, h;

	h = ck_hash(&type, sizeof(type), 0);
	h = ck_hash(key->path, strlen(key->path), h);
	h = ck_hash(&key->name.step, sizeof(key->name.step), h);
	if (key->type >= NODE_ALL)
		h = ck_hash(&key->name.rank, sizeof(key->name.rank), h);
	h = ck_hash(&key->ident, sizeof(key->ident), h);
	h = ck_hash(&key->meta, sizeof(key->meta), h);
	h = key->type >= NODE_STEP ? base_in_step(key, h) : (h ^ h >> 43) & (BASE_END - 1);
	return h ? h : 1;       /* 0 is the root's */
}

void path_of_tag(const struct node *n, char *path)
{
	size_t len = strlen(n->path);

	if (n->type != NODE_TAG)
		len = (size_t)(strrchr(n->path, '/') - n->path);
	memcpy(path, n->path, len);
	path[len] = '\0';
}

/* PATH and *ST of the file NAME in DIR. Where rank 0 isn't there, it may have its old name, which *NAME becomes. */
static int stat_stored(const struct ck_tree *tree, const char *dir, bool exact, struct ck_file_name *name, char *path,
		       struct stat *st, struct ck_error *err)
{
	char text[64];

	if (!ck_path_join(path, dir, ck_file_name_format(name, text, sizeof(text))))
		return ck_fail_long_path(err);
	if (tree_stat(tree, path, st) == 0)
		return S_ISREG(st->st_mode) ? CK_OK : ck_fail(err, CK_ERR_NOENT, "no such name");
	if (errno == ENOENT && !exact && name->kind == CK_FILE_OPTIM && name->rank == 0 && !name->bare) {
		name->bare = true;
		return stat_stored(tree, dir, true, name, path, st, err);
	}
	if (errno == ENOENT || errno == ENOTDIR)
		return ck_fail(err, CK_ERR_NOENT, "no such name");
	return ck_fail_sys(err, "stat");
}

int ident_of_stored(const struct ck_tree *tree, const char *tag, struct ck_file_name *name, char *path,
		    struct ck_ident *ident, struct ck_error *err)
{
	struct stat st;
	int rc = stat_stored(tree, tag, false, name, path, &st, err);

	if (!rc)
		*ident = tree_ident(tree, &st);
	return rc;
}

/* The rest of the key of a stored file of the tag's directory DIR, whose PATH is known, and whose attributes are ST. */
static void make_key(const struct ck_tree *tree, const struct node *step, enum node_type type, const char *dir,
		     const struct ck_file_name *name, const char *path, const struct stat *st, struct node_key *key)
{
	struct ck_file_name meta = { .kind = CK_FILE_META, .step = name->step };
	char meta_path[PATH_MAX], text[64];
	uint64_t owner;
	struct stat meta_st;

	*key = (struct node_key){ .type = type, .path = path, .name = *name, .ident = tree_ident(tree, st) };
	/* STEP may be another file of the step: then it stands in the step's directory or in optim/. */
	owner = step->type <= NODE_STEP ? step->base : step->parent >> LOCAL_BITS;
	key->parent = owner << LOCAL_BITS | (type == NODE_OPTIM ? LOCAL_OPTIM : LOCAL_SELF);
	/* What model/ shows depends on meta.json too: it says whether the lambdas are patched. */
	if (type == NODE_MODEL && ck_path_join(meta_path, dir, ck_file_name_format(&meta, text, sizeof(text))) &&
	    tree_stat(tree, meta_path, &meta_st) == 0)
		key->meta = tree_ident(tree, &meta_st);
}

int key_of_stored(const struct ck_tree *tree, const struct node *step, enum node_type type,
		  const struct ck_file_name *name, char *path, struct node_key *key, struct ck_error *err)
{
	struct ck_file_name stored = *name;
	char dir[PATH_MAX];
	struct stat st;
	int rc;

	path_of_tag(step, dir);
	rc = stat_stored(tree, dir, type == NODE_NATIVE, &stored, path, &st, err);
	if (!rc)
		make_key(tree, step, type, dir, &stored, path, &st, key);
	return rc;
}

void key_of_model(const struct ck_tree *tree, const struct node *step, const struct stat *st, struct node_key *key)
{
	char dir[PATH_MAX];

	path_of_tag(step, dir);
	make_key(tree, step, NODE_MODEL, dir, &step->name, step->path, st, key);
}

void key_of_step(const struct node *tag, uint64_t step, char *path, struct node_key *key)
{
	struct ck_file_name name = { .kind = CK_FILE_MODEL, .step = step };
	char text[64];

	/* The path fits: the directory was read before, and the names in it fit. */
	if (!ck_path_join(path, tag->path, ck_file_name_format(&name, text, sizeof(text))))
		path[0] = '\0';
	*key = (struct node_key){ .type = NODE_STEP, .path = path, .name = name, .parent = ino_of(tag, LOCAL_SELF) };
}

void key_of_retired(const struct node *tag, enum ck_draft_kind kind, uint64_t step, char *path, struct node_key *key)
{
	struct ck_file_name name = { .kind = CK_FILE_MODEL, .step = step };
	char text[64], file[64];

	ck_file_name_format(&name, file, sizeof(file));
	if (!ck_path_join(path, tag->path, CK_DRAFT_DIR "/" CK_TRASH_DIR) ||
	    !ck_path_join(path, path, ck_draft_format(kind, step, text, sizeof(text))) ||
	    !ck_path_join(path, path, kind == CK_DRAFT_OPTIM ? "." : file))
		path[0] = '\0';
	*key = (struct node_key){ .type = NODE_STEP, .path = path, .name = name, .parent = ino_of(tag, LOCAL_TRASH) };
}

void key_of_tag(const struct node *source, const char *name, char *path, struct node_key *key)
{
	if (!ck_path_join(path, source->path, name))
		path[0] = '\0';
	*key = (struct node_key){ .type = NODE_TAG, .path = path, .parent = ino_of(source, LOCAL_SELF) };
}

void key_of_source(const struct ck_tree *tree, const struct node *base, size_t i, char *path, struct node_key *key)
{
	if (!ck_path_join(path, tree->store, ck_sources[i].dir))
		path[0] = '\0';
	*key = (struct node_key){ .type = NODE_SOURCE, .path = path, .parent = ino_of(base, LOCAL_SELF) };
}
