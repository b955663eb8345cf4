/*
 * private - the structs of the tree, for the files of this folder. Functions are in the headers beside it, from the
 * bottom: contain.h, key.h, node.h, node_load.h, history_read.h, history.h, form.h, choice.h, count.h, attr.h.
 */
#ifndef CK_TREE_PRIVATE_H
#define CK_TREE_PRIVATE_H

#include "core/base/buf.h"
#include "core/file/moves.h"
#include "core/pt/checkpoint.h"
#include "core/tree/names.h"
#include "core/tree/store.h"
#include "core/tree/types.h"

#include <pthread.h>
#include <stdatomic.h>

/* NATIVE is a stored file under nanochat's own name, FILE the same bytes as a view of its step:
   they differ in what may be done to them. HUB is a tokenizer's file, shown in hf/. */
enum node_type {
	NODE_BASE,
	NODE_SOURCE,
	NODE_TAG,
	NODE_STEP,
	NODE_META,
	NODE_MODEL,
	NODE_OPTIM,
	NODE_FILE,
	NODE_NATIVE,
	NODE_HUB,
	/* of all shards of a step: the joined state; the shard of a rank as -o ranks=N cuts it; the .pt of that, under
	   both its names. Their path and identity are those of the stored rank 0, and meta has all the others'. */
	NODE_ALL,
	NODE_CUT,
	NODE_CUT_FILE
};
static inline bool is_joined(enum node_type type) { return type == NODE_ALL || type == NODE_CUT; }
/* What is shown as tensors. */
static inline bool is_checkpoint(enum node_type type)
{
	return type == NODE_MODEL || type == NODE_OPTIM || is_joined(type);
}

/* What a node shows: the low bits of an inode number. */
enum local {
	/* the directory, or the file itself; with base 0 the kernel's root inode */
	LOCAL_SELF = 1,
	/* SOURCE: largest; TAG: latest; BASE: + its place in ck_sources, nanochat's name for it */
	LOCAL_LINK = 2,
	LOCAL_BEST = 3,         /* TAG */
	LOCAL_TRASH = 4,        /* TAG: the directory .trash/ */
	/* TAG: history.tsv, + a number that is another one where its text is another (history.h); to LOCAL_END */
	LOCAL_HISTORY = 5,
	LOCAL_OPTIM = 2,        /* STEP: the directory optim/ */
	LOCAL_ERROR = 2,        /* META, MODEL, OPTIM: the .error file */
	LOCAL_OUTLINE = 3,      /* these in the order of a step's listing */
	/* MODEL, OPTIM: the directory of bare tensors (LOCAL_SELF: the one of .npy files) */
	LOCAL_RAW = 4,
	LOCAL_SAFETENSORS = 5,
	LOCAL_TSV = 6,
	LOCAL_HF = 7,           /* MODEL: the directory hf/, or its .error file, and what is made in it */
	LOCAL_HF_ERROR = 8,
	LOCAL_HF_CONFIG = 9,
	LOCAL_HF_GENERATION = 10,
	LOCAL_HF_SAFETENSORS = 11,
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
	/* MODEL, OPTIM, for tree/shown.c: a thread asks now; that takes long; the last answer was that
	   the file can't be shown */
	bool asked, slow, bad;
	/* A bit for each of the node's files: opened then, so that the kernel may have pages of then.
	   NEVER_KEEPS: there was no memory to note it. */
	uint8_t *young_pages;
	uint32_t young_bytes;
	bool never_keeps;
	/* STEP: its step; META, MODEL, OPTIM, FILE: nanochat's name, taken apart */
	struct ck_file_name name;
	/* A bit (local_bit) for each file and directory that was removed from a retired step; the node is referenced
	   then. NULL: none. */
	uint8_t *hidden;
	uint32_t hidden_bytes;
	struct ck_ident ident;          /* META, MODEL, OPTIM, FILE: of the stored file */
	/* MODEL: of its meta.json, zeros without one; ALL, CUT, CUT_FILE: of all shards and the model (joined.h) */
	struct ck_ident meta;
	/* as last seen: what is shown when the stored file is gone */
	struct stat st;
	int64_t seen_ms;                /* when (monotonic clock) */
	struct ck_checkpoint *checkpoint;       /* READY: MODEL, OPTIM */
	struct ck_view *text;           /* READY: META; FILE, NATIVE: the bytes */
	bool has_config, has_score;     /* READY, META: see meta.h */
	struct ck_error *error;         /* FAILED */
	size_t memory;                  /* of the content */
	int64_t used_ms;                /* when that was last asked for (monotonic clock) */
	/* what was read while the file was young, where someone still reads it */
	struct content *before;
	/* Of the directory or the stored file. STEP: of its model file; of the directory, and a dot, where only shards
	   are retired. */
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
	uint64_t loaded_count, failed_count;    /* checkpoints since the start, for status.h */
	/* Loads ALL, CUT and CUT_FILE, in joined.c: which stands above the loading of the shards that it needs. */
	int (*load_joined)(struct ck_tree *tree, struct node *n, struct ck_error *err);
	unsigned asked;                 /* nodes that threads ask whether they are shown */
	struct node **buckets;
	size_t bucket_count, node_count;
	struct node *newest, *oldest;   /* contents in the order of use */
	/* The names of one tag, as last read (tag.h); under LOCK. */
	struct tag_memo {
		char *tag;
		int64_t seen_ms;
		struct stat st;         /* of its directory */
		struct ck_tag_names names;
	} tag;
	_Atomic int64_t wrote_ms;       /* when this mount last changed the store (monotonic clock) */
	/* With options.ranks: the steps that had no shard when they were first looked at (cut.h); under LOCK. */
	struct ck_coming *coming;
	/* What was read of the metadata of tags (history.h), the one that was asked for last first. */
	struct history *histories;
	uint32_t next_history;          /* the number of the text of one that is made now */
};

/* An open directory: dir.h. */
struct listed;

struct ck_dir {
	ck_ino self, parent;
	struct listed *items;
	size_t count, cap;
	struct ck_buf names;    /* each with its NUL */
	/* A directory of tensors isn't copied: its entries are made from the checkpoint. */
	struct ck_checkpoint *tensors;
	uint32_t first;         /* LOCAL_NPY_0 or LOCAL_RAW_0 */
	char name[256];         /* of the entry asked for last */
};

/* The cache of contents keeps at most so many that nobody uses, and so much memory, for so long. */
#define CACHE_COUNT 64
#define CACHE_MS 20000
#define CACHE_MEMORY ((size_t)24 << 20)

/* So many contents are loaded at the same time, each in at most CK_OPEN_BYTES; others wait their turn. */
#define MAX_LOADS 4u

static inline ck_ino ino_of(const struct node *n, uint32_t local) { return n->base << LOCAL_BITS | local; }
static inline uint32_t local_of(ck_ino ino) { return (uint32_t)(ino & ((1u << LOCAL_BITS) - 1)); }

/* The place of a file's bit among those of its node: next to each other, so that they take no more room than the node
   has files. */
static inline uint32_t local_bit(uint32_t local)
{
	if (local < LOCAL_NPY_0)
		return local;
	return local < LOCAL_RAW_0 ? LOCAL_FEW + 2 * (local - LOCAL_NPY_0) : LOCAL_FEW + 2 * (local - LOCAL_RAW_0) + 1;
}

#endif
