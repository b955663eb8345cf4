/*
 * log - lines for a person: to stderr in the foreground, to syslog in the background. A line that
 * repeats is held back, so that a broken store can't flood the log.
 */
#ifndef CKPTFS_LOG_H
#define CKPTFS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct log;

struct log *log_new(bool to_syslog);            /* NULL when out of memory */
void log_free(struct log *log);
/* Opens the socket to syslog, which a sandboxed process can't do. A syslogd that makes its socket
   again is not found again; systemd's journal keeps its socket. */
void log_connect_syslog(void);
/* From now on to syslog: the daemon goes to the background. Before any other thread logs. */
void log_to_syslog(struct log *log);
/* One line. The same line again within LOG_QUIET_SECONDS is counted, not written. Thread-safe. */
void log_line(struct log *log, const char *line);
/* The same for a stored file that can't be shown: remembered apart, so that other lines don't push it out. */
void log_unusable(struct log *log, const char *line);

/* The last lines, for a person who finds something odd. */
#define LOG_KEPT 10
struct log_entry {
	uint64_t hash;
	time_t at;              /* when it came last */
	unsigned count;         /* how often it came, since it is remembered */
	char line[256];         /* cut to fit */
};
enum log_kind { LOG_LINES, LOG_UNUSABLE };
/* Those of KIND, the newest first, into OUT; how many. Thread-safe. */
size_t log_recent(struct log *log, enum log_kind kind, struct log_entry out[LOG_KEPT]);

#define LOG_QUIET_SECONDS 10

#endif
