/*
 * progress - how far a check is: a line on stderr that is written over, where stderr is a terminal.
 */
#ifndef CKPTFS_PROGRESS_H
#define CKPTFS_PROGRESS_H

#include "core/check/check.h"

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool on_terminal;
	bool shown;             /* the line stands there */
	int64_t start_ms;
};

void progress_begin(struct progress *p);
void progress_show(struct progress *p, const struct ck_check_progress *now);    /* on a terminal alone */
void progress_say(struct progress *p, const struct ck_check_progress *now);     /* a line that stays, anywhere */
void progress_clear(struct progress *p);        /* before other lines are written */

#endif
