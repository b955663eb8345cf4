/* The check of a store: threads that take one job after the other, and the report in the store's order. Implements
   check.h; begin with ck_check(). */
#include "core/check/check.h"

#include "core/base/clock.h"
#include "core/check/model.h"
#include "core/check/open.h"
#include "core/check/plan.h"
#include "core/check/private.h"
#include "core/check/shard.h"
#include "core/check/step.h"

#include <limits.h>
#include <stdlib.h>

/* As many as the mount would open at the same time: a hostile file costs what it costs the mount. */
#define MOST_OPENS 4
/* Threads are ahead of the report by at most so many jobs: what they found waits in memory. */
#define AHEAD 1024
#define MOST_THREADS 64
#define TICK_NS 200000000

static void work(struct checker *k, struct job *job)
{
	if (job->name.kind == CK_FILE_MODEL)
		check_model(k, job);
	else
		check_shard(k, job);
	atomic_fetch_add_explicit(&k->files, job->has_meta ? 2 : 1, memory_order_relaxed);
	if (job->size > job->counted)
		atomic_fetch_add_explicit(&k->bytes, job->size - job->counted, memory_order_relaxed);
}

static void *run(void *arg)
{
	struct checker *k = arg;

	pthread_mutex_lock(&k->lock);
	while (k->next < k->count && !atomic_load(&k->stop)) {
		struct job *job;

		if (k->next >= k->reported + AHEAD) {
			pthread_cond_wait(&k->moved, &k->lock);
			continue;
		}
		job = &k->jobs[k->next++];
		pthread_mutex_unlock(&k->lock);
		work(k, job);
		pthread_mutex_lock(&k->lock);
		job->done = true;
		pthread_cond_broadcast(&k->moved);
	}
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

static void tick(struct checker *k, uint64_t all_files)
{
	const struct ck_check_progress progress = {
		.files = atomic_load(&k->files),
		.all_files = all_files,
		.bytes = atomic_load(&k->bytes),
		.all_bytes = k->all_bytes,
	};

	if (!k->options->tick(k->options->arg, &progress))
		atomic_store(&k->stop, true);
}

static void report(struct checker *k, struct ck_found *found, struct ck_check_result *result, bool *failed)
{
	for (size_t i = 0; i < found->count; i++) {
		k->options->report(k->options->arg, &found->items[i]);
		result->found[found->items[i].severity]++;
	}
	*failed |= found->failed;
	ck_found_clear(found);
}

static uint64_t files_in(const struct checker *k, size_t from, size_t to)
{
	uint64_t files = 0;

	for (size_t i = from; i < to; i++)
		files += k->jobs[i].has_meta ? 2 : 1;
	return files;
}

/* Waits until the jobs [FROM, TO) are done. False: the check is stopped. */
static bool wait_for(struct checker *k, size_t from, size_t to, uint64_t all_files)
{
	int64_t ticked = ck_now_ms();

	pthread_mutex_lock(&k->lock);
	while (from < to && !atomic_load(&k->stop)) {
		struct timespec until = ck_time_in(TICK_NS);

		if (k->jobs[from].done) {
			from++;
			continue;
		}
		pthread_cond_timedwait(&k->moved, &k->lock, &until);
		pthread_mutex_unlock(&k->lock);
		if (ck_now_ms() - ticked >= TICK_NS / 1000000) {
			tick(k, all_files);
			ticked = ck_now_ms();
		}
		pthread_mutex_lock(&k->lock);
	}
	pthread_mutex_unlock(&k->lock);
	return from == to;
}

static bool is_clean(const struct ck_found *found)
{
	for (int s = CK_NOTE; s <= CK_FAULT; s++)
		if (ck_found_has(found, s))
			return false;
	return true;
}

static void sound(struct checker *k, const struct tag *tag, const struct job *job)
{
	char name[64], shown[PATH_MAX];

	if (k->options->verbose && job->opens && is_clean(&job->found))
		k->options->sound(k->options->arg,
				  check_shown(tag, ck_file_name_format(&job->name, name, sizeof(name)), shown));
}

static void report_tag(struct checker *k, struct tag *tag, struct ck_check_result *result, bool *failed, uint64_t all)
{
	size_t end;

	for (size_t from = tag->from; from < tag->to; from = end) {
		for (end = from + 1; end < tag->to && k->jobs[end].name.step == k->jobs[from].name.step; end++)
			;
		if (!wait_for(k, from, end, all))
			return;
		check_step(k, from, end);
		for (size_t i = from; i < end; i++) {
			sound(k, tag, &k->jobs[i]);
			report(k, &k->jobs[i].found, result, failed);
			ck_buf_free(&k->jobs[i].signature);
		}
		result->files += files_in(k, from, end);
		pthread_mutex_lock(&k->lock);
		k->reported = end;
		pthread_cond_broadcast(&k->moved);
		pthread_mutex_unlock(&k->lock);
	}
	if (!k->options->one_step)
		check_latest(k, tag);
	report(k, &tag->found, result, failed);
}

static void report_all(struct checker *k, struct ck_check_result *result, bool *failed)
{
	uint64_t all = files_in(k, 0, k->count);

	tick(k, all);
	for (size_t i = 0; i < k->tag_count && !atomic_load(&k->stop); i++)
		report_tag(k, &k->tags[i], result, failed, all);
	result->stopped = atomic_load(&k->stop);
	tick(k, all);
}

static int run_all(struct checker *k, struct ck_check_result *result, struct ck_error *err)
{
	unsigned wanted = k->options->threads < MOST_THREADS ? k->options->threads : MOST_THREADS, started = 0;
	pthread_t threads[MOST_THREADS];
	bool failed = false;
	int rc = CK_OK;

	while (started < (wanted ? wanted : 1) && !rc) {
		errno = pthread_create(&threads[started], NULL, run, k);
		rc = errno ? ck_fail_sys(err, "a thread") : CK_OK;
		started += !rc;
	}
	/* Fewer threads do as well. */
	if (started > 0) {
		ck_error_clear(err);
		rc = CK_OK;
		report_all(k, result, &failed);
	}
	pthread_mutex_lock(&k->lock);
	atomic_store(&k->stop, true);
	pthread_cond_broadcast(&k->moved);
	pthread_mutex_unlock(&k->lock);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	return rc || !failed ? rc : ck_fail_nomem(err);
}

int ck_check(const struct ck_check_options *options, struct ck_check_result *result, struct ck_error *err)
{
	struct checker k = {.options = options, .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};
	int rc;

	*result = (struct ck_check_result){0};
	sem_init(&k.opens, 0, MOST_OPENS);
	rc = check_plan(&k, err);
	if (!rc)
		rc = run_all(&k, result, err);
	check_plan_free(&k);
	sem_destroy(&k.opens);
	return rc;
}
