/*
 * log - lines for a person: to stderr in the foreground, to syslog in the background. A line that
 * repeats is held back, so that a broken store can't flood the log.
 */
#ifndef CKPTFS_LOG_H
#define CKPTFS_LOG_H

#include <stdbool.h>

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

#define LOG_QUIET_SECONDS 10

#endif
