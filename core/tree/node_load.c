/* Loads the content of a node, and loads it again. Implements node_load.h; begin with ensure_loaded(). */
#include "core/tree/node_load.h"

#include "core/base/clock.h"
#include "core/file/dir.h"
#include "core/file/fd.h"
#include "core/format/meta.h"
#include "core/tree/contain.h"
#include "core/tree/content.h"
#include "core/zip/ends.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool node_error_is_shown(const struct ck_error *err)
{
	switch (err->code) {
	case CK_ERR_NOMEM: case CK_ERR_STALE: case CK_ERR_CHANGED:
		return false;
	case CK_ERR_SYS:
		return err->sys != EMFILE && err->sys != ENFILE && err->sys != ENOMEM && err->sys != EINTR;
	default:
		return true;
	}
}

/* A fault in the bytes lasts as long as the bytes. A failed system call may succeed the next time. */
static bool is_lasting(const struct ck_error *err)
{
	return node_error_is_shown(err) && err->code != CK_ERR_SYS;
}

static bool is_short_of_descriptors(const struct ck_error *err)
{
	return err->code == CK_ERR_SYS && (err->sys == EMFILE || err->sys == ENFILE);
}

/* Opens the stored file at PATH, to stay open. Contents that nobody uses give up their descriptors for it. */
static int open_to_stay(struct ck_tree *tree, const char *path, struct ck_file **out, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	int rc;

	for (bool again = true;; again = false) {
		ck_error_clear(&why);
		rc = tree_open(tree, path, out, &why);
		if (!rc && (rc = ck_fd_may_stay(ck_file_fd(*out), &why)))
			ck_file_unref(*out);
		if (!again || !is_short_of_descriptors(&why))
			break;
		node_drop_unused(tree, 0);
	}
	if (rc)
		ck_error_copy(err, &why);
	return rc;
}

/* Opens the stored file that IDENT stands for. */
static int open_same(struct ck_tree *tree, const char *path, const struct ck_ident *ident, struct ck_file **out,
		     struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	int rc = open_to_stay(tree, path, out, &why);

	if (!rc && ck_ident_equal(ck_file_ident(*out), ident))
		return CK_OK;
	if (!rc)
		ck_file_unref(*out);
	if (!rc || (rc == CK_ERR_SYS && why.sys == ENOENT)) {
		ck_error_clear(&why);
		rc = ck_fail(&why, CK_ERR_STALE, "the file was replaced");
		ck_error_file(&why, path);
	}
	ck_error_copy(err, &why);
	return rc;
}

static int node_open(struct ck_tree *tree, const struct node *n, struct ck_file **out, struct ck_error *err)
{
	return open_same(tree, n->path, &n->ident, out, err);
}

/*
 * What the step's meta.json says, n_layer -1 without a usable one: then nothing is patched. A failure of the moment
 * (EIO, too many open files) fails the load instead, since the content would be kept. *HELD: config_file, or NULL.
 */
static int read_config(struct ck_tree *tree, const struct node *n, struct ck_meta_info *info, struct ck_file **held,
		       struct ck_error *err)
{
	struct ck_file_name name = { .kind = CK_FILE_META, .step = n->name.step };
	struct ck_error why = CK_ERROR_INIT;
	char path[PATH_MAX], dir[PATH_MAX], text[64];
	struct ck_file *file;
	int rc;

	*info = (struct ck_meta_info){ .n_layer = -1, .config = CK_MODEL_CONFIG_NONE };
	path_of_tag(n, dir);
	if (n->meta.ino == 0 || !ck_path_join(path, dir, ck_file_name_format(&name, text, sizeof(text))))
		return CK_OK;
	rc = open_same(tree, path, &n->meta, &file, &why);
	if (!rc) {
		rc = ck_meta_read(file, NULL, info, &why);
		*held = ck_file_ahead(file) ? ck_file_ref(file) : NULL;
		ck_file_unref(file);
	}
	if (!rc || (node_error_is_shown(&why) && (rc != CK_ERR_SYS || why.sys == EACCES)))
		return CK_OK;
	ck_error_copy(err, &why);
	return rc;
}

static int load_checkpoint(struct ck_tree *tree, struct node *n, struct ck_error *err)
{
	struct ck_meta_info info;
	struct ck_patch patch = {
		.model = n->type == NODE_MODEL,
		.keep_bfloat16 = tree->options.device == CK_DEVICE_CUDA,
		.n_layer = -1,
		.scratch = tree->options.scratch,
	};
	struct ck_checkpoint *c;
	struct ck_file *file;
	int rc = node_open(tree, n, &file, err);

	if (rc)
		return rc;
	if (n->type == NODE_MODEL) {
		/* A store that is far away sends both ends of the file while meta.json is read. */
		ck_archive_prefetch(file);
		rc = read_config(tree, n, &info, &patch.config_file, err);
		patch.n_layer = info.n_layer;
		patch.config = &info.config;
	}
	if (!rc)
		rc = ck_checkpoint_open(file, &patch, &c, err);
	ck_file_unref(patch.config_file);
	ck_file_unref(file);
	if (rc)
		return rc;
	n->memory = ck_checkpoint_memory(c);
	n->checkpoint = c;
	return CK_OK;
}

/* The stored file as it is. Programs that have it open at the same time share its descriptor. */
static int load_file(struct ck_tree *tree, struct node *n, struct ck_error *err)
{
	struct ck_view *view = ck_view_new();
	struct ck_file *file;
	int rc = view ? node_open(tree, n, &file, err) : ck_fail_nomem(err);

	if (!rc) {
		rc = ck_view_add_range(view, file, 0, ck_file_size(file), err);
		ck_file_unref(file);
	}
	if (rc) {
		ck_view_unref(view);
		return rc;
	}
	n->memory = sizeof(*n);
	n->text = view;
	return CK_OK;
}

static int load_text(struct ck_tree *tree, struct node *n, struct ck_error *err)
{
	struct ck_buf text = CK_BUF_INIT;
	struct ck_meta_info info;
	struct ck_view *view = NULL;
	struct ck_file *file;
	int rc;

	rc = node_open(tree, n, &file, err);
	if (rc)
		return rc;
	rc = ck_meta_read(file, &text, &info, err);
	ck_file_unref(file);
	if (!rc)
		rc = (view = ck_view_new()) ? ck_view_add_buf(view, &text, err) : ck_fail_nomem(err);
	ck_buf_free(&text);
	if (rc) {
		ck_view_unref(view);
		return rc;
	}
	n->memory = sizeof(*n) + (size_t)ck_view_size(view);
	n->text = view;
	n->has_config = info.has_config;
	n->has_score = info.has_score;
	return CK_OK;
}

#define YOUNG_NS INT64_C(2000000000)

bool ident_is_young(const struct ck_ident *ident)
{
	struct timespec t;
	int64_t age;

	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	/* A time in the future tells nothing about the age. */
	return ident->ino &&
	       !__builtin_sub_overflow((int64_t)t.tv_sec * 1000000000 + t.tv_nsec, ident->mtime_ns, &age) &&
	       age > -YOUNG_NS && age < YOUNG_NS;
}

bool node_is_young(const struct node *n) { return ident_is_young(&n->ident) || ident_is_young(&n->meta); }

/* Whether loading costs memory, and what is loaded may be found bad. What is made of other nodes' contents costs
   little, and must not wait for a turn: those may need it. */
static bool parses(const struct node *n)
{
	return n->type != NODE_FILE && n->type != NODE_NATIVE && n->type < NODE_HUB;
}

/* Makes the content of a node whose state was set to LOAD_RUNNING: nobody else touches it. */
static int load(struct ck_tree *tree, struct node *n, struct ck_error *err)
{
	char line[768];
	int rc = n->type == NODE_META    ? load_text(tree, n, err)
		 : n->type >= NODE_ALL   ? tree->load_joined(tree, n, err)
		 : !parses(n)            ? load_file(tree, n, err)
					 : load_checkpoint(tree, n, err);

	if (rc && parses(n) && tree->options.log && node_error_is_shown(err))
		tree->options.log(tree->options.log_arg, ck_error_line(err, line, sizeof(line)));
	return rc;
}

int tree_wait(struct ck_tree *tree, struct ck_error *err)
{
	struct timespec until;

	if (tree->options.gave_up && tree->options.gave_up(tree->options.gave_up_arg)) {
		errno = EINTR;
		return ck_fail_sys(err, "waiting for a file to be read");
	}
	until = ck_time_in(CK_LOOK_NS);
	pthread_cond_timedwait(&tree->loaded, &tree->lock, &until);
	return CK_OK;
}

/* So many bytes that were freed are worth giving back at once. */
#define MUCH ((size_t)4 << 20)

/* A load that is under way. Guarded by the tree's lock. */
struct job {
	struct ck_tree *tree;
	struct node *node;      /* a reference */
	bool parses;
	struct content old;     /* what was loaded before */
	size_t dropped;         /* bytes that were freed for it */
	struct ck_error why;
	int rc;
	bool over;
	bool left;              /* nobody waits for it */
};

/* The node is in LOAD_RUNNING from now on, for others who want it. The lock is held. */
static void begin(struct job *job, struct ck_tree *tree, struct node *n)
{
	*job = (struct job){ .tree = tree, .node = n, .parses = parses(n), .old = { .state = LOAD_NONE } };
	ck_error_clear(&job->why);
	if (n->state != LOAD_NONE)
		job->old = content_take(tree, n);
	/* Neither what nobody reads of it nor a large content of another file is in memory beside the new one. */
	job->dropped = content_drop_unread(&job->old);
	if (job->parses)
		job->dropped += content_make_room(tree);
	n->state = LOAD_RUNNING;
	n->refs++;
	tree->loads += job->parses;
	n->young = node_is_young(n);
}

/* Puts what was loaded, or why it wasn't, into the node. The lock is held. */
static void settle(struct job *job)
{
	struct ck_tree *tree = job->tree;
	struct node *n = job->node;
	struct ck_error *own = &job->why;
	struct content *old = &job->old;

	tree->loaded_count += !job->rc && n->checkpoint;
	tree->failed_count += job->rc && (n->type == NODE_MODEL || n->type == NODE_OPTIM);
	n->state = job->rc ? LOAD_NONE : LOAD_READY;
	if (job->rc && is_lasting(own) && (n->error = malloc(sizeof(*own)))) {
		*n->error = *own;
		n->memory = sizeof(*own);
		n->state = LOAD_FAILED;
	}
	/* The file can't be read a second time, because another is in its place. Programs that have it open need what
	   was read first. */
	if (job->rc && old->state == LOAD_READY && !node_error_is_shown(own)) {
		n->checkpoint = old->checkpoint;
		n->text = old->text;
		n->memory = old->memory;
		n->before = old->before;
		n->state = LOAD_READY;
		n->young = job->rc != CK_ERR_STALE;
		job->rc = CK_OK;
	} else if (n->state != LOAD_NONE) {
		content_keep(n, old);
	} else {
		content_free(old);
	}
	/* A lasting failure is kept like a content: so that a bad file is read, and complained of, once. */
	if (n->state != LOAD_NONE)
		content_loaded(tree, n);
}

/* Does what JOB says. Called without the lock, returns with it. */
static void run(struct job *job)
{
	/* What one thread has freed malloc doesn't give to another. */
	if (job->dropped > MUCH)
		malloc_trim(0);
	job->rc = load(job->tree, job->node, &job->why);
	pthread_mutex_lock(&job->tree->lock);
	settle(job);
}

/* The tree may be freed as soon as no load is under way. The lock is held. */
static void end(struct job *job)
{
	job->tree->loads -= job->parses;
	job->over = true;
	pthread_cond_broadcast(&job->tree->loaded);
}

static void *run_thread(void *arg)
{
	struct job *job = arg;
	struct ck_tree *tree = job->tree;

	run(job);
	pthread_mutex_unlock(&tree->lock);
	node_put(tree, job->node, 1);
	pthread_mutex_lock(&tree->lock);
	end(job);
	if (job->left)
		free(job);
	pthread_mutex_unlock(&tree->lock);
	return NULL;
}

/* Loads in this thread, with the lock held before and after. */
static int load_here(struct ck_tree *tree, struct node *n, struct ck_error *err)
{
	struct job job;

	begin(&job, tree, n);
	pthread_mutex_unlock(&tree->lock);
	run(&job);
	n->refs--;      /* the caller has one */
	end(&job);
	if (job.rc)
		ck_error_copy(err, &job.why);
	return job.rc;
}

/*
 * Loads in another thread, with the lock held before and after: the store may take long to give the bytes, who reads
 * them can't be interrupted, and who asked shall be able to give up.
 */
static int load_beside(struct ck_tree *tree, struct node *n, struct ck_error *err)
{
	struct job *job = malloc(sizeof(*job));
	pthread_t thread;
	int rc = CK_OK;

	if (!job)
		return load_here(tree, n, err);
	begin(job, tree, n);
	if (pthread_create(&thread, NULL, run_thread, job)) {
		pthread_mutex_unlock(&tree->lock);
		run_thread(job);
		pthread_mutex_lock(&tree->lock);
	} else {
		pthread_detach(thread);
	}
	while (!job->over && !rc)
		rc = tree_wait(tree, err);
	if (!job->over) {
		job->left = true;
		return rc;
	}
	rc = job->rc;
	if (rc)
		ck_error_copy(err, &job->why);
	free(job);
	return rc;
}

/* Called with the lock held and gives it back held; the content is there when it returns CK_OK. */
static int ensure_loaded(struct ck_tree *tree, struct node *n, struct ck_error *err)
{
	for (;;) {
		bool loads = n->state == LOAD_NONE || (n->state != LOAD_RUNNING && n->young && !node_is_young(n));
		int rc;

		if (loads && !parses(n))
			return load_here(tree, n, err);
		if (loads && tree->loads < MAX_LOADS) {
			rc = tree->options.gave_up ? load_beside(tree, n, err) : load_here(tree, n, err);
			/* Until this thread has the lock back, what was loaded may have been dropped again. */
			if (rc)
				return rc;
			continue;
		}
		if (!loads && n->state != LOAD_RUNNING)
			break;
		rc = tree_wait(tree, err);
		if (rc)
			return rc;
	}
	content_used(tree, n);
	if (n->state == LOAD_READY)
		return CK_OK;
	ck_error_copy(err, n->error);
	return (int)n->error->code;
}

int node_checkpoint(struct ck_tree *tree, struct node *n, struct ck_checkpoint **out, struct ck_error *err)
{
	int rc;

	pthread_mutex_lock(&tree->lock);
	rc = ensure_loaded(tree, n, err);
	if (!rc)
		*out = ck_checkpoint_ref(n->checkpoint);
	pthread_mutex_unlock(&tree->lock);
	return rc;
}

int node_text(struct ck_tree *tree, struct node *n, struct ck_view **out, struct ck_error *err)
{
	int rc;

	pthread_mutex_lock(&tree->lock);
	rc = ensure_loaded(tree, n, err);
	if (!rc)
		*out = ck_view_ref(n->text);
	pthread_mutex_unlock(&tree->lock);
	return rc;
}

/* Whether the metadata of N can be read, and FLAG, which is then set, is true. */
static bool has(struct ck_tree *tree, struct node *n, const bool *flag)
{
	bool is;

	pthread_mutex_lock(&tree->lock);
	is = ensure_loaded(tree, n, NULL) == CK_OK && *flag;
	pthread_mutex_unlock(&tree->lock);
	return is;
}

bool node_has_config(struct ck_tree *tree, struct node *n) { return has(tree, n, &n->has_config); }
bool node_has_score(struct ck_tree *tree, struct node *n) { return has(tree, n, &n->has_score); }

static int load_once(struct ck_tree *tree, struct node *n, struct ck_checkpoint **checkpoint, struct ck_error *err)
{
	struct ck_view *text = NULL;
	int rc;

	if (n->type != NODE_META)
		return node_checkpoint(tree, n, checkpoint, err);
	rc = node_text(tree, n, &text, err);
	ck_view_unref(text);
	return rc;
}

int node_of_stored(struct ck_tree *tree, const struct node *step, enum node_type type,
		   const struct ck_file_name *name, struct node **out, struct ck_checkpoint **checkpoint,
		   struct ck_error *err)
{
	char path[PATH_MAX];
	struct node_key key;
	int rc;

	for (unsigned tries = 0;; tries++) {
		*out = NULL;
		rc = key_of_stored(tree, step, type, name, path, &key, err);
		if (rc)
			return rc;
		*out = node_get(tree, &key);
		if (!*out)
			return ck_fail_nomem(err);
		rc = load_once(tree, *out, checkpoint, err);
		if (rc != CK_ERR_STALE || tries == STALE_TRIES)
			return rc;
		node_put(tree, *out, 1);
		ck_error_clear(err);
	}
}
