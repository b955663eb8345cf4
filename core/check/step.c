/* What files tell together. Implements step.h. */
#include "core/check/step.h"

#include "core/check/open.h"
#include "core/check/shard.h"
#include "core/file/dir.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The most ranks that one finding each is worth. */
#define MOST_RANKS 4096

/* Whether the shards that are there stood still for so long that those that are not will not come any more. */
static bool step_stands_still(struct checker *k, size_t from, size_t to)
{
	char path[PATH_MAX], shown[PATH_MAX], name[64];

	for (size_t i = from; i < to; i++) {
		struct job *job = &k->jobs[i];
		struct ck_still still;

		ck_file_name_format(&job->name, name, sizeof(name));
		if (job->gone || job->unsure || !check_path(k, job, name, path, shown) ||
		    ck_still_begin(&still, path, NULL) || ck_still_end(&still, CK_STILL_STEP) != CK_STILL)
			return false;
	}
	return true;
}

/* How many ranks the shard was cut for: the rows of a parameter over those of its state here. 0: that can't be told.
   nanochat cuts no parameter of fewer than 1024 elements. */
static int64_t ranks_of(const struct job *model, const struct job *shard)
{
	if (model->rows <= 0 || shard->rows <= 0 || model->columns != shard->columns || model->columns <= 0 ||
	    model->rows > INT32_MAX || model->columns > INT32_MAX || model->rows * model->columns < 1024 ||
	    model->rows % shard->rows != 0 || model->rows / shard->rows > MOST_RANKS)
		return 0;
	return model->rows / shard->rows;
}

static void report_missing(struct checker *k, size_t from, size_t to, uint64_t rank, uint64_t ranks)
{
	struct ck_file_name name = {.kind = CK_FILE_OPTIM, .step = k->jobs[from].name.step, .rank = rank};
	char path[PATH_MAX], shown[PATH_MAX], text[64];
	struct job *last = &k->jobs[to - 1];
	struct ck_still still;

	ck_file_name_format(&name, text, sizeof(text));
	if (!check_path(k, last, text, path, shown) || ck_still_begin(&still, path, NULL) || still.there)
		return;
	if (step_stands_still(k, from, to))
		ck_found_add(&last->found, CK_ERROR, shown,
			     "missing, of %" PRIu64 " ranks: restore it or resume from another step", ranks);
	else
		ck_found_add(&last->found, CK_NOTE, shown, "not there yet: its step is being written");
}

/* The ranks that are missing below the highest one, or below the number for which the first shard was cut. */
static void check_ranks(struct checker *k, size_t from, size_t to)
{
	const struct job *first = &k->jobs[from + 1], *last = &k->jobs[to - 1];
	int64_t cut = first->opens && !first->name.bare ? ranks_of(&k->jobs[from], first) : 0;
	uint64_t ranks = last->name.rank + 1, told = 0;
	size_t i = from + 1;

	if (cut > 0 && (uint64_t)cut > ranks)
		ranks = (uint64_t)cut;
	for (uint64_t rank = 0; rank < ranks && told < 8; rank++) {
		if (i < to && k->jobs[i].name.rank == rank) {
			i++;
			continue;
		}
		report_missing(k, from, to, rank, ranks);
		/* A hostile name may leave more ranks out than there is time to name. */
		told++;
	}
}

/* A later rank against the first one that opens. */
static void check_agreement(struct checker *k, size_t first, size_t i)
{
	char path[PATH_MAX], shown[PATH_MAX], name[64], other[64], key[160];
	const struct job *a = &k->jobs[first];
	struct job *b = &k->jobs[i];
	struct ck_error why = CK_ERROR_INIT;

	if (!check_shards_differ(&a->signature, &b->signature, key, sizeof(key)))
		return;
	ck_file_name_format(&b->name, name, sizeof(name));
	ck_file_name_format(&a->name, other, sizeof(other));
	if (!check_path(k, b, name, path, shown))
		return;
	ck_error_set(
		&why, CK_ERR_CORRUPT,
		"expected what %s has, found another: the two are of different runs or steps; resume from another step",
		other);
	ck_error_subject(&why, key, strlen(key));
	ck_found_error(&b->found, shown, &why, "");
}

void check_step(struct checker *k, size_t from, size_t to)
{
	size_t first = to;

	for (size_t i = from; i < to; i++)
		if (k->jobs[i].gone)
			return;
	if (to - from < 2 || k->jobs[from].name.kind != CK_FILE_MODEL)
		return;
	check_ranks(k, from, to);
	for (size_t i = from + 1; i < to; i++) {
		if (!k->jobs[i].opens || k->jobs[i].unsure)
			continue;
		if (first == to)
			first = i;
		else
			check_agreement(k, first, i);
	}
}

void check_latest(const struct checker *k, struct tag *tag)
{
	const struct job *newest = NULL, *loads = NULL, *opens = NULL, *latest;
	char theirs[32], ours[32];

	/* The jobs are in the order of steps: from the last one back. Which one can be loaded is not known while one of
	   them is being written. */
	for (size_t i = tag->to; i-- > tag->from && !loads;) {
		const struct job *job = &k->jobs[i];

		if (job->name.kind != CK_FILE_MODEL || job->gone)
			continue;
		newest = newest ? newest : job;
		if (job->unsure)
			return;
		loads = job->loads ? job : NULL;
		opens = opens || !job->opens ? opens : job;
	}
	latest = loads ? loads : opens;
	if (!newest || latest == newest)
		return;
	ck_step_format(newest->name.step, theirs, sizeof(theirs));
	if (latest)
		ck_found_add(&tag->found, CK_WARNING, tag->shown[0] ? tag->shown : ".",
			     "nanochat's find_last_step names %s, which can't be loaded; latest is %s: retire %s",
			     theirs, ck_step_format(latest->name.step, ours, sizeof(ours)), theirs);
	else
		ck_found_add(&tag->found, CK_WARNING, tag->shown[0] ? tag->shown : ".",
			     "nanochat's find_last_step names %s, which can't be loaded; nor can another step", theirs);
}
