/*
 * tree_private - the inside of the tree, for the files that make it up: node.c (the table and the
 * cache of contents), tree.c (attributes), tree/open.c, tree/lookup.c (names to nodes), tree/list.c
 * (listing), tree/choice.c (latest and largest), tree/count.c (link counts), tree/xattr.c.
 */
#ifndef CK_TREE_PRIVATE_H
#define CK_TREE_PRIVATE_H

#include "core/file/moves.h"
#include "core/pt/checkpoint.h"
#include "core/tree/tree.h"

#include <pthread.h>
#include <time.h>

/* NATIVE is a stored file under nanochat's own name, FILE the same bytes as a view of its step:
   they differ in what may be done to them. */
enum node_type {
	NODE_BASE,
	NODE_SOURCE,
	NODE_TAG,
	NODE_STEP,
	NODE_META,
	NODE_MODEL,
	NODE_OPTIM,
	NODE_FILE,
	NODE_NATIVE
};

/* What a node shows: the low bits of an inode number. */
enum local {
	/* the directory, or the file itself; with base 0 the kernel's root inode */
	LOCAL_SELF = 1,
	LOCAL_LINK = 2,         /* SOURCE: largest; TAG: latest */
	LOCAL_OPTIM = 2,        /* STEP: the directory optim/ */
	LOCAL_ERROR = 2,        /* META, MODEL, OPTIM: the .error file */
	LOCAL_OUTLINE = 3,      /* these in the order of a step's listing */
	/* MODEL, OPTIM: the directory of bare tensors (LOCAL_SELF: the one of .npy files) */
	LOCAL_RAW = 4,
	LOCAL_SAFETENSORS = 5,
	LOCAL_TSV = 6,
	LOCAL_FEW,              /* behind the last of those that a node has one of */
	LOCAL_NPY_0 = 1 << 18,  /* + the tensor's index: KEY.npy */
	LOCAL_RAW_0 = 2 << 18,  /* + the tensor's index: the bare tensor */
	LOCAL_END = 3 << 18,
};
#define LOCAL_BITS 20
_Static_assert(CK_MAX_TENSORS <= LOCAL_NPY_0 && LOCAL_END <= 1 << LOCAL_BITS, "tensor indexes fit the inode number");

enum load_state { LOAD_NONE, LOAD_RUNNING, LOAD_READY, LOAD_FAILED };

struct node {
	struct node *chain;             /* next in its hash bucket */
	struct node *newer, *older;     /* in the cache of contents; NULL outside of it */
	uint64_t base;
	uint64_t refs;                  /* the kernel's lookups, and uses under way */
	ck_ino parent;                  /* for ".." */
	enum node_type type;
	enum load_state state;
	bool young;                     /* its content was loaded while the stored file was young */
	/* A bit for each of the node's files: opened then, so that the kernel may have pages of then.
	   NEVER_KEEPS: there was no memory to note it. */
	uint8_t *young_pages;
	uint32_t young_bytes;
	bool never_keeps;
	/* STEP: its step; META, MODEL, OPTIM, FILE: nanochat's name, taken apart */
	struct ck_file_name name;
	struct ck_ident ident;          /* META, MODEL, OPTIM, FILE: of the stored file */
	struct ck_ident meta;           /* MODEL: of its meta.json, zeros without one */
	/* as last seen: what is shown when the stored file is gone */
	struct stat st;
	int64_t seen_ms;                /* when (monotonic clock) */
	struct ck_checkpoint *checkpoint;       /* READY: MODEL, OPTIM */
	struct ck_view *text;           /* READY: META; FILE, NATIVE: the bytes */
	bool has_config;                /* READY, META: see meta.h */
	struct ck_error *error;         /* FAILED */
	size_t memory;                  /* of the content */
	int64_t used_ms;                /* when that was last asked for (monotonic clock) */
	/* what was read while the file was young, where someone still reads it */
	struct content *before;
	/* of the directory or the stored file; STEP: of its model file */
	char path[];
};

struct ck_tree {
	struct ck_tree_options options;
	char *store;
	dev_t store_dev;                /* which directory that was at the start */
	ino_t store_ino;
	struct node *root;
	/* Guards the table, refs, states, contents and attributes of all nodes, and the cache's
	   list. Never held while a file is read. */
	pthread_mutex_t lock;
	struct ck_moves *moves;         /* times that were set through the mount */
	pthread_cond_t loaded;          /* some node left LOAD_RUNNING: so a load is over */
	unsigned loads;                 /* under way */
	struct node **buckets;
	size_t bucket_count, node_count;
	struct node *newest, *oldest;   /* contents in the order of use */
	/* Which steps of one tag have shards, for link counts; under LOCK. */
	struct ck_sharded {
		char *tag;
		int64_t seen_ms;
		uint64_t *steps;
		size_t count;
	} sharded;
};

/* The cache of contents keeps at most so many that nobody uses, and so much memory, for so long. */
#define CACHE_COUNT 64
#define CACHE_MS 20000
#define CACHE_MEMORY ((size_t)24 << 20)

/* So many contents are loaded at the same time, each in at most CK_OPEN_BYTES; others wait their turn. */
#define MAX_LOADS 8u

/* So often who waits looks whether who asked has given up. */
#define GAVE_UP_NS 50000000

static inline ck_ino ino_of(const struct node *n, uint32_t local) { return n->base << LOCAL_BITS | local; }
static inline uint32_t local_of(ck_ino ino) { return (uint32_t)(ino & ((1u << LOCAL_BITS) - 1)); }

/* A description of a node: what its identity covers. */
struct node_key {
	enum node_type type;
	const char *path;
	struct ck_file_name name;
	struct ck_ident ident, meta;    /* zeros where they don't count */
	ck_ino parent;
};

/* The base that a node of that key has, but for a collision. */
uint64_t node_base(const struct node_key *key);
/* Finds or makes the node and counts one reference. NULL when out of memory. */
struct node *node_get(struct ck_tree *tree, const struct node_key *key);
/* The node of an inode number that the kernel holds, without a reference; NULL when it doesn't. */
struct node *node_find(struct ck_tree *tree, ck_ino ino);
void node_put(struct ck_tree *tree, struct node *n, uint64_t count);
struct node *node_root(struct ck_tree *tree, const struct node_key *key);
void node_table_free(struct ck_tree *tree);

/* The content of a MODEL or OPTIM node (a reference), loaded now if need be; one thread loads,
   others wait. */
int node_checkpoint(struct ck_tree *tree, struct node *n, struct ck_checkpoint **out, struct ck_error *err);
/* The same for META; and for FILE and NATIVE: their bytes. */
int node_text(struct ck_tree *tree, struct node *n, struct ck_view **out, struct ck_error *err);
/* Whether nanochat could build a model by the metadata of a META node. */
bool node_has_config(struct ck_tree *tree, struct node *n);
/*
 * Whether the node's stored file is young: it changed so lately that a write which has moved its
 * mtime may still be moving bytes (a long write, one by mmap, the next one within a tick of the
 * clock). Then its identity doesn't stand for its bytes yet, and what was read of it is read again
 * once the file is older.
 */
bool node_is_young(const struct node *n);
/* Whether an error is about the stored file's bytes or permissions (an .error file shows it), not
   about this moment (ENOMEM, EMFILE). */
bool node_error_is_shown(const struct ck_error *err);

/* Drops the contents that nobody uses and nobody has asked for in MS milliseconds; how many. */
size_t node_drop_unused(struct ck_tree *tree, int64_t ms);

/* For tree/node_load.c, with the lock held: takes a node into the cache, whose content is now there;
   moves it to the front. */
void content_loaded(struct ck_tree *tree, struct node *n);
void content_used(struct ck_tree *tree, struct node *n);
/* What a node has, apart from it. */
struct content {
	enum load_state state;
	struct ck_checkpoint *checkpoint;
	struct ck_view *text;
	struct ck_error *error;
	size_t memory;
	struct content *before;
};
/* Takes its content away from a node, out of the cache and to the caller. */
struct content content_take(struct ck_tree *tree, struct node *n);
void content_free(struct content *content);
/* Makes OLD (taken over) the content that was before NODE's present one, as long as someone reads it. */
void content_keep(struct node *n, struct content *old);

/* ck_file_open() and stat(2) of a path in the store, which mind options.contain (tree/contain.c).
   What lies outside can't be opened (EACCES); a link to it has the attributes of a regular file. */
int tree_open(const struct ck_tree *tree, const char *path, struct ck_file **out, struct ck_error *err);
int tree_stat(const struct ck_tree *tree, const char *path, struct stat *st);
/* CK_ERR_SYS EACCES when the directory of a SOURCE or a TAG must not be looked into. */
int tree_check_inside(const struct ck_tree *tree, const struct node *n, struct ck_error *err);

/* The identity by which this mount knows the file of attributes ST. */
struct ck_ident tree_ident(const struct ck_tree *tree, const struct stat *st);

/* Attributes of the stored thing at the node's path, at most half a second old. CK_ERR_SYS ENOENT
   for a directory or a step that is gone. */
int node_stat(struct ck_tree *tree, struct node *n, struct stat *st, struct ck_error *err);

/* What a stored file is shown as: the suffix behind its stem ("model", "rank0"), the local number,
   the type, and the form that must be there (or -1). */
struct tree_form {
	const char *suffix;
	uint32_t local;
	mode_t type;
	int form;
};
#define TREE_FORMS 6
extern const struct tree_form tree_forms[TREE_FORMS];

/* Finds the child NAME: its node (a reference) and local part. CK_ERR_NOENT. */
int tree_child(struct ck_tree *tree, struct node *parent, uint32_t local, const char *name, struct node **child,
	       uint32_t *child_local, struct ck_error *err);
/* What a local number of MODEL or OPTIM stands for: the checkpoint (a reference), which form of it, of which tensor.
   CK_ERR_STALE, and what node_checkpoint() fails with. */
int tree_form_of(struct ck_tree *tree, struct node *n, uint32_t local, struct ck_checkpoint **out, enum ck_form *form,
		 size_t *i, struct ck_error *err);
/* The line of an .error file: what loading the node says. CK_ERR_NOENT when it loads after all. */
int tree_error_text(struct ck_tree *tree, struct node *n, char *line, size_t size, struct ck_error *err);
int tree_attr(struct ck_tree *tree, struct node *n, uint32_t local, struct ck_attr *out, struct ck_error *err);

int64_t tree_now_ms(void);      /* of a clock that only goes forward */

/* How many subdirectories a directory shows, for its link count (tree/count.c). A stored file that
   nobody has opened yet, and that ends as a zip does, is taken for one that can be shown. */
int tree_count_subdirs(struct ck_tree *tree, struct node *n, uint32_t local, nlink_t *count, struct ck_error *err);

/* Keys of a node's children; PATH takes PATH_MAX bytes and must outlive KEY. CK_ERR_SYS when the
   stored file can't be had. */
int key_of_stored(const struct ck_tree *tree, const struct node *step, enum node_type type,
		  const struct ck_file_name *name, char *path, struct node_key *key, struct ck_error *err);
/*
 * The content of the stored file that is in its place now: *CHECKPOINT, a reference, for MODEL and
 * OPTIM; that of META is loaded only. A file that is replaced between the look at it and its opening
 * is looked for again. *OUT is the node, a reference, also where its content can't be had; NULL where
 * there is no file (CK_ERR_NOENT).
 */
int node_of_stored(struct ck_tree *tree, const struct node *step, enum node_type type,
		   const struct ck_file_name *name, struct node **out, struct ck_checkpoint **checkpoint,
		   struct ck_error *err);
/* How often the store may replace a file between two looks at it before we give up. */
#define STALE_TRIES 8
void key_of_step(const struct node *tag, uint64_t step, char *path, struct node_key *key);
void key_of_tag(const struct node *source, const char *name, char *path, struct node_key *key);
void key_of_source(const struct ck_tree *tree, const struct node *base, size_t i, char *path, struct node_key *key);
/* The tag's directory of a step or a stored file's node. */
void path_of_tag(const struct node *n, char *path);

/*
 * The highest step of a tag that nanochat can load: its model opens, and its meta.json has a
 * model_config. Where no step of the tag is like that, the highest whose model opens. CK_ERR_NOENT.
 */
int tree_latest(struct ck_tree *tree, struct node *tag, uint64_t *step, struct ck_error *err);
/* The first tag, as find_largest_model prefers them, with a step that nanochat can load; where there
   is none, the first with a step whose model opens. NAME takes NAME_MAX + 1 bytes. CK_ERR_NOENT. */
int tree_largest(struct ck_tree *tree, struct node *source, char *name, struct ck_error *err);

#endif
