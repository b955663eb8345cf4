/* Implements check.h; begin with check_run(). */
#include "check.h"

#include "core/base/buf.h"
#include "core/check/check.h"
#include "core/file/scratch.h"
#include "core/format/json.h"
#include "log.h"
#include "progress.h"

#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct printer {
	const struct options *o;
	struct progress progress;
	sigset_t signals;
	char *table; /* the file whose tensors are being listed */
	bool failed; /* a line that memory was wanted for */
};

static const char *const words[CK_SEVERITIES] = {
	[CK_NOTE] = "note",
	[CK_WARNING] = "warning",
	[CK_ERROR] = "error",
	[CK_FAULT] = "error",
};

/* PATH below the store, with the store as it was given in front, as find(1) prints it. */
static void append_path(struct ck_buf *out, const struct printer *p, const char *path)
{
	size_t len;

	ck_buf_str(out, p->o->check_given);
	if (strcmp(path, ".") == 0)
		return;
	len = out->len;
	if (len > 0 && out->data[len - 1] != '/')
		ck_buf_byte(out, '/');
	ck_buf_str(out, path);
}

/* Names come from strangers: no byte of theirs is to steer a terminal or to end a line. */
static void print_line(struct printer *p, struct ck_buf *line)
{
	for (size_t i = 0; i < line->len; i++)
		if ((unsigned char)line->data[i] < ' ' || line->data[i] == 0x7f)
			line->data[i] = '?';
	ck_buf_byte(line, '\n');
	progress_clear(&p->progress);
	if (line->failed)
		p->failed = true;
	else
		fwrite(line->data, 1, line->len, stdout);
	ck_buf_free(line);
}

/* A member of an object, behind others unless it is the first. */
static void member(struct ck_buf *line, const char *key, const char *value, size_t len)
{
	ck_buf_str(line, line->len > 1 ? ", " : "");
	ck_json_string(line, key, strlen(key));
	ck_buf_str(line, ": ");
	ck_json_string(line, value, len);
}

static void print_finding(struct printer *p, const char *path, const char *word, const char *text)
{
	struct ck_buf line = CK_BUF_INIT, shown = CK_BUF_INIT;

	append_path(&shown, p, path);
	if (p->o->json) {
		ck_buf_byte(&line, '{');
		member(&line, "path", shown.data ? shown.data : "", shown.len);
		member(&line, "severity", word, strlen(word));
		if (text[0])
			member(&line, "text", text, strlen(text));
		ck_buf_byte(&line, '}');
	} else {
		ck_buf_append(&line, shown.data, shown.len);
		ck_buf_printf(&line, ": %s%s%s", word, text[0] ? ": " : "", text);
	}
	line.failed |= shown.failed;
	ck_buf_free(&shown);
	print_line(p, &line);
}

/* A number with six digits, as C and NumPy print it; where there is none (no finite element, a type without statistics)
   "-", in JSON null. */
static void number(struct ck_buf *line, const struct printer *p, bool known, int width, double x)
{
	if (known && isfinite(x))
		ck_buf_printf(line, "%*.6g", width, x);
	else
		ck_buf_printf(line, "%*s", width, p->o->json ? "null" : "-");
}

static const struct column {
	const char *name;
	double (*of)(const struct ck_stats *s);
} columns[] = {
	{"min", ck_stats_min}, {"max", ck_stats_max}, {"mean", ck_stats_mean},
	{"std", ck_stats_std}, {"l2", ck_stats_norm},
};
#define COLUMNS (sizeof(columns) / sizeof(*columns))

static void print_heads(struct printer *p, const char *path)
{
	struct ck_buf line = CK_BUF_INIT;

	if (p->table && strcmp(p->table, path) == 0)
		return;
	free(p->table);
	p->table = strdup(path);
	append_path(&line, p, path);
	ck_buf_byte(&line, ':');
	print_line(p, &line);
	ck_buf_printf(&line, "  %-44s %-14s %-16s", "tensor", "dtype", "shape");
	for (size_t i = 0; i < COLUMNS; i++)
		ck_buf_printf(&line, " %12s", columns[i].name);
	ck_buf_printf(&line, " %10s %8s %8s", "zeros", "nan", "inf");
	print_line(p, &line);
}

static void print_row(struct printer *p, const char *path, const struct ck_row *row)
{
	const struct ck_stats *s = &row->stats;
	const char *dtype = ck_dtype_info(s->stored)->torch;
	struct ck_buf line = CK_BUF_INIT, shown = CK_BUF_INIT;

	if (p->o->json) {
		append_path(&shown, p, path);
		ck_buf_byte(&line, '{');
		member(&line, "path", shown.data ? shown.data : "", shown.len);
		member(&line, "tensor", row->key, strlen(row->key));
		member(&line, "dtype", dtype, strlen(dtype));
		member(&line, "shape", row->shape, strlen(row->shape));
		for (size_t i = 0; i < COLUMNS; i++) {
			ck_buf_printf(&line, ", \"%s\": ", columns[i].name);
			number(&line, p, s->full, 0, columns[i].of(s));
		}
		ck_buf_printf(&line, ", \"zeros\": %" PRIu64 ", \"nan\": %" PRIu64 ", \"inf\": %" PRIu64 "}", s->zeros,
			      s->nan, s->inf);
	} else {
		print_heads(p, path);
		ck_buf_printf(&line, "  %-44s %-14s %-16s", row->key, dtype, row->shape);
		for (size_t i = 0; i < COLUMNS; i++) {
			ck_buf_byte(&line, ' ');
			number(&line, p, s->full, 12, columns[i].of(s));
		}
		ck_buf_printf(&line, " %10" PRIu64 " %8" PRIu64 " %8" PRIu64, s->zeros, s->nan, s->inf);
	}
	line.failed |= shown.failed;
	ck_buf_free(&shown);
	print_line(p, &line);
}

static void on_report(void *arg, const struct ck_finding *finding)
{
	if (finding->row)
		print_row(arg, finding->path, finding->row);
	else
		print_finding(arg, finding->path, words[finding->severity], finding->text);
}

static void on_sound(void *arg, const char *path) { print_finding(arg, path, "sound", ""); }

/* Asks for the signals that came. They are blocked, so that they need no handler: threads inherit that. */
static bool on_tick(void *arg, const struct ck_check_progress *now)
{
	const struct timespec none = {0};
	struct printer *p = arg;
	bool go_on = true;
	int signal;

	while ((signal = sigtimedwait(&p->signals, NULL, &none)) > 0) {
		if (signal == SIGUSR1)
			progress_say(&p->progress, now);
		else
			go_on = false;
	}
	/* Should a store that hangs keep the check from ending, the next one kills. */
	if (!go_on)
		pthread_sigmask(SIG_UNBLOCK, &p->signals, NULL);
	progress_show(&p->progress, now);
	return go_on;
}

static void count(struct ck_buf *line, uint64_t n, const char *what)
{
	ck_buf_printf(line, "%" PRIu64 " %s%s", n, what, n == 1 ? "" : "s");
}

static void print_end(struct printer *p, const struct ck_check_result *r)
{
	uint64_t errors = r->found[CK_ERROR] + r->found[CK_FAULT];
	struct ck_buf line = CK_BUF_INIT;

	if (p->o->json) {
		ck_buf_printf(&line,
			      "{\"files\": %" PRIu64 ", \"errors\": %" PRIu64 ", \"warnings\": %" PRIu64
			      ", \"notes\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"interrupted\": %s}",
			      r->files, errors, r->found[CK_WARNING], r->found[CK_NOTE], r->found[CK_FAULT],
			      r->stopped ? "true" : "false");
		print_line(p, &line);
		return;
	}
	ck_buf_str(&line, r->stopped ? "interrupted: " : "");
	count(&line, r->files, "file");
	ck_buf_str(&line, " checked: ");
	count(&line, errors, "error");
	ck_buf_str(&line, ", ");
	count(&line, r->found[CK_WARNING], "warning");
	ck_buf_str(&line, ", ");
	count(&line, r->found[CK_NOTE], "note");
	if (r->found[CK_FAULT])
		ck_buf_printf(&line, "; %" PRIu64 " of the errors: could not be checked", r->found[CK_FAULT]);
	print_line(p, &line);
}

static unsigned processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static int complain(const char *what)
{
	fprintf(stderr, "ckptfs: %s\n", what);
	return CHECK_FAILED;
}

/* As a mount with `ro`, before there is a second thread. */
static int confine(const struct options *o)
{
	const struct sandbox_options options = {
		.mode = o->sandbox,
		.store = o->store,
		.level = o->level,
		.read_only = true,
	};
	struct log *log = log_new(false);
	int rc = log ? sandbox_confine(&options, log) : -1;

	log_free(log);
	return rc;
}

static int check(struct printer *p, struct ck_scratch *scratch)
{
	const struct options *o = p->o;
	const struct ck_check_options options = {
		.store = o->store,
		.level = o->level,
		.one_step = o->one_step,
		.step = o->step,
		.read_data = o->read_data,
		.finite = o->finite,
		.verbose = o->verbose,
		.threads = processors(),
		.scratch = scratch,
		.report = on_report,
		.sound = on_sound,
		.tick = on_tick,
		.arg = p,
	};
	struct ck_error err = CK_ERROR_INIT;
	struct ck_check_result result;
	char line[768];
	int rc = ck_check(&options, &result, &err);

	progress_clear(&p->progress);
	if (rc)
		return complain(ck_error_line(&err, line, sizeof(line)));
	print_end(p, &result);
	if (fflush(stdout) || ferror(stdout) || p->failed)
		return complain("the findings could not all be written");
	if (result.stopped)
		return CHECK_INTERRUPTED;
	return (result.found[CK_ERROR] ? CHECK_ERRORS : 0) | (result.found[CK_FAULT] ? CHECK_FAILED : 0);
}

int check_run(const struct options *o)
{
	struct printer p = {.o = o};
	struct ck_scratch *scratch = ck_scratch_new(o->tmp_max_size);
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (o->note)
		fprintf(stderr, "ckptfs: %s\n", o->note);
	sigemptyset(&p.signals);
	sigaddset(&p.signals, SIGINT);
	sigaddset(&p.signals, SIGTERM);
	sigaddset(&p.signals, SIGHUP);
	sigaddset(&p.signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &p.signals, NULL);
	progress_begin(&p.progress);
	if (!scratch)
		status = complain("out of memory");
	else
		status = confine(o) ? CHECK_FAILED : check(&p, scratch);
	ck_scratch_free(scratch);
	free(p.table);
	return status;
}
