/* Implements progress.h. */
#include "progress.h"

#include "core/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

void progress_begin(struct progress *p)
{
	*p = (struct progress){.on_terminal = isatty(STDERR_FILENO) == 1, .start_ms = ck_now_ms()};
}

/* Files, bytes, rate and the time left, into LINE. Nothing can be said of the time before something is done. */
static void describe(const struct progress *p, const struct ck_check_progress *now, char *line, size_t size)
{
	double seconds = (double)(ck_now_ms() - p->start_ms) / 1000;
	double part = now->all_bytes ? (double)now->bytes / (double)now->all_bytes : 0;
	int64_t left = part > 0 ? (int64_t)(seconds / part * (1 - part)) : 0;
	char time_left[32] = "";

	if (part > 0)
		snprintf(time_left, sizeof(time_left), ", %" PRId64 ":%02d left", left / 60, (int)(left % 60));
	snprintf(line, size, "%" PRIu64 " of %" PRIu64 " files, %.2f of %.2f GB, %.2f GB/s%s", now->files,
		 now->all_files, (double)now->bytes / 1e9, (double)now->all_bytes / 1e9,
		 seconds > 0 ? (double)now->bytes / 1e9 / seconds : 0, time_left);
}

void progress_show(struct progress *p, const struct ck_check_progress *now)
{
	char line[160];

	if (!p->on_terminal)
		return;
	describe(p, now, line, sizeof(line));
	fprintf(stderr, "\r%s\033[K", line);
	p->shown = true;
}

void progress_say(struct progress *p, const struct ck_check_progress *now)
{
	char line[160];

	describe(p, now, line, sizeof(line));
	progress_clear(p);
	fprintf(stderr, "%s\n", line);
}

void progress_clear(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
