/* CRCs and elements of a checkpoint. Implements bytes.h; begin with check_bytes(). */
#include "core/check/bytes.h"

#include "core/file/scratch.h"
#include "core/tensor/view.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER ((size_t)1 << 20) /* a multiple of each element's width */
/* Tensors that share a storage are read one by one, up to so many times the storage's bytes. */
#define MOST_SHARED 8

struct pass {
	struct checker *k;
	struct job *job;
	struct ck_checkpoint *c;
	struct ck_archive *archive;
	const char *shown;
	struct ck_found *found;
	uint32_t *whole; /* for each entry: 1 + the tensor that is all of the record, or 0 */
	uint8_t *buffer;
};

static bool stopped(const struct pass *p) { return atomic_load_explicit(&p->k->stop, memory_order_relaxed); }

static void count_bytes(const struct pass *p, size_t n)
{
	p->job->counted += n;
	atomic_fetch_add_explicit(&p->k->bytes, n, memory_order_relaxed);
}

static bool is_whole(const struct ck_tensor *t)
{
	return t->offset == 0 && ck_tensor_contiguous(t) &&
	       t->numel * ck_dtype_info(t->stored_dtype)->width == ck_archive_entry(t->archive, t->entry)->size;
}

static void report_tensor(const struct pass *p, const struct ck_tensor *t, const struct ck_stats *s)
{
	struct ck_error why = CK_ERROR_INIT;

	if (s->nan || s->inf) {
		ck_error_set(&why, CK_ERR_CORRUPT,
			     "%llu NaN and %llu infinite of %llu elements: resume from an earlier step",
			     (unsigned long long)s->nan, (unsigned long long)s->inf, (unsigned long long)s->count);
		ck_error_subject(&why, t->key, t->key_len);
		ck_found_error(p->found, p->shown, &why, "");
	}
	if (p->k->options->verbose)
		ck_found_row(p->found, p->shown, (uint64_t)(t - ck_checkpoint_tensor(p->c, 0)), t, s);
}

static void report_crc(const struct pass *p, size_t i, uint32_t crc)
{
	const struct ck_entry *e = ck_archive_entry(p->archive, i);
	struct ck_error why = CK_ERROR_INIT;

	if (!ck_archive_has_crcs(p->archive) || crc == e->crc)
		return;
	ck_error_set(&why, CK_ERR_CORRUPT,
		     "expected the CRC %08x, found %08x: its bytes have changed since it was saved, which torch.load "
		     "doesn't "
		     "notice: restore it or resume from another step",
		     e->crc, crc);
	if (p->whole[i])
		ck_error_subject(&why, ck_checkpoint_tensor(p->c, p->whole[i] - 1)->key,
				 ck_checkpoint_tensor(p->c, p->whole[i] - 1)->key_len);
	else
		ck_error_subject(&why, e->name, strlen(e->name));
	ck_found_error(p->found, p->shown, &why, "");
}

/* Reads entry I, whose bytes begin at ORIGIN, once for both questions. */
static int read_entry(const struct pass *p, size_t i, const struct ck_origin *origin, struct ck_error *err)
{
	const struct ck_entry *e = ck_archive_entry(p->archive, i);
	const struct ck_tensor *t =
		p->whole[i] && p->k->options->finite ? ck_checkpoint_tensor(p->c, p->whole[i] - 1) : NULL;
	struct ck_stats stats;
	uint32_t crc = 0;
	int rc = CK_OK;

	if (t)
		ck_stats_begin(&stats, t->stored_dtype, p->k->options->verbose);
	for (uint64_t at = 0; at < e->size && !stopped(p); at += BUFFER) {
		size_t n = e->size - at < BUFFER ? (size_t)(e->size - at) : BUFFER;

		rc = ck_origin_read(origin, at, p->buffer, n, err);
		if (rc)
			return rc;
		if (p->k->options->read_data)
			crc = libdeflate_crc32(crc, p->buffer, n);
		if (t) {
			const struct ck_conversion swap = {t->stored_dtype, t->stored_dtype, t->swap, false, false};
			size_t count = n / ck_dtype_info(t->stored_dtype)->width;

			if (t->swap)
				ck_convert(&swap, p->buffer, p->buffer, count);
			ck_stats_add(&stats, p->buffer, count);
		}
		count_bytes(p, n);
	}
	rc = stopped(p) ? CK_OK : ck_file_verify(ck_archive_file(p->archive), err);
	if (rc || stopped(p))
		return rc;
	if (p->k->options->read_data)
		report_crc(p, i, crc);
	if (t)
		report_tensor(p, t, &stats);
	return CK_OK;
}

static int read_entries(const struct pass *p, struct ck_error *err)
{
	int rc = CK_OK;

	for (size_t i = 0; i < ck_archive_count(p->archive) && !rc && !stopped(p); i++) {
		struct ck_origin origin = {0};

		if (!p->k->options->read_data && !p->whole[i])
			continue;
		rc = ck_archive_locate(p->archive, i, &origin, err);
		if (!rc) {
			rc = read_entry(p, i, &origin, err);
			ck_origin_release(&origin);
		}
		if (rc)
			ck_error_subject(err, ck_archive_entry(p->archive, i)->name,
					 strlen(ck_archive_entry(p->archive, i)->name));
	}
	return rc;
}

/* An expanded tensor without its repetitions: OUT, whose shape is SHAPE. Returns how often each element stands in T. */
static uint64_t without_repetitions(const struct ck_tensor *t, int64_t shape[CK_MAX_DIMS], struct ck_tensor *out)
{
	uint64_t times = 1;

	*out = *t;
	if (!t->strides || t->numel == 0)
		return times;
	for (unsigned i = 0; i < t->ndim; i++) {
		shape[i] = t->strides[i] == 0 ? 1 : t->shape[i];
		times *= (uint64_t)(t->shape[i] / shape[i]);
	}
	out->shape = shape;
	out->numel = t->numel / times;
	return times;
}

/* A tensor that is a part of its storage, or lies in it otherwise: through a view. */
static int read_view(const struct pass *p, const struct ck_tensor *t, const struct ck_tensor *distinct, uint64_t times,
		     struct ck_error *err)
{
	struct ck_view *view = ck_view_new();
	struct ck_stats stats;
	size_t got = 1;
	int rc = view ? ck_view_add_tensor(view, distinct, err) : ck_fail_nomem(err);

	if (rc) {
		ck_view_unref(view);
		return rc;
	}
	ck_stats_begin(&stats, t->dtype, p->k->options->verbose);
	stats.stored = t->stored_dtype;
	for (uint64_t at = 0; got > 0 && !rc && !stopped(p); at += got) {
		rc = ck_view_read(view, at, p->buffer, BUFFER, &got, err);
		if (!rc)
			ck_stats_add(&stats, p->buffer, got / ck_dtype_info(t->dtype)->width);
	}
	ck_view_unref(view);
	ck_error_subject(rc ? err : NULL, t->key, t->key_len);
	if (!rc && !stopped(p)) {
		ck_stats_repeat(&stats, times);
		report_tensor(p, t, &stats);
	}
	return rc;
}

static int read_views(const struct pass *p, struct ck_error *err)
{
	uint64_t *used = calloc(ck_archive_count(p->archive), sizeof(*used));
	int rc = used ? CK_OK : ck_fail_nomem(err);

	for (size_t i = 0; i < ck_checkpoint_count(p->c) && !rc && !stopped(p); i++) {
		const struct ck_tensor *t = ck_checkpoint_tensor(p->c, i);
		int64_t shape[CK_MAX_DIMS];
		struct ck_tensor distinct;
		uint64_t nbytes, times;

		if (t->unshown || t->source != CK_SRC_ARCHIVE || p->whole[t->entry] == i + 1)
			continue;
		/* A hostile file could name one storage in every tensor. */
		times = without_repetitions(t, shape, &distinct);
		nbytes = ck_tensor_nbytes(&distinct);
		if (nbytes > MOST_SHARED * ck_archive_entry(p->archive, t->entry)->size - used[t->entry]) {
			ck_found_add(p->found, CK_NOTE, p->shown, "%s: not counted: many tensors have the same storage",
				     t->key);
			continue;
		}
		used[t->entry] += nbytes;
		rc = read_view(p, t, &distinct, times, err);
	}
	free(used);
	return rc;
}

static bool find_whole(struct pass *p)
{
	p->whole = calloc(ck_archive_count(p->archive) + 1, sizeof(*p->whole));
	p->buffer = malloc(BUFFER);
	for (size_t i = 0; p->whole && i < ck_checkpoint_count(p->c); i++) {
		const struct ck_tensor *t = ck_checkpoint_tensor(p->c, i);

		if (!t->unshown && t->source == CK_SRC_ARCHIVE && !p->whole[t->entry] && is_whole(t))
			p->whole[t->entry] = (uint32_t)i + 1;
	}
	return p->whole && p->buffer;
}

void check_bytes(struct checker *k, struct job *job, struct ck_checkpoint *c, const char *shown, struct ck_found *found)
{
	struct pass p = {
		.k = k, .job = job, .c = c, .archive = ck_checkpoint_archive(c), .shown = shown, .found = found};
	struct ck_error err = CK_ERROR_INIT;
	int rc;

	if (!k->options->read_data && !k->options->finite)
		return;
	rc = find_whole(&p) ? CK_OK : ck_fail_nomem(&err);
	if (!rc && k->options->read_data && !ck_archive_has_crcs(p.archive))
		ck_found_add(found, CK_NOTE, shown, "no CRCs recorded: the bytes of its tensors can't be checked");
	if (!rc)
		rc = read_entries(&p, &err);
	if (!rc && k->options->finite)
		rc = read_views(&p, &err);
	if (rc)
		ck_found_error(found, shown, &err, "restore it or resume from another step");
	ck_found_sort(found);
	free(p.whole);
	free(p.buffer);
}
