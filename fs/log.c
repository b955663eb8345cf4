/* Implements log.h: lines that were written lately are remembered by their hash. */
#include "log.h"

#include "core/base/keyname.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#define REMEMBERED 64

struct log {
	/* Guards the lines remembered, and keeps lines whole on stderr. */
	pthread_mutex_t lock;
	bool to_syslog;
	struct {
		uint64_t hash;
		time_t written;
		unsigned held_back;
	} recent[REMEMBERED];
	/* What log_recent() gives, by enum log_kind. */
	struct {
		size_t count;
		struct log_entry entries[LOG_KEPT];
	} kept[2];
};

struct log *log_new(bool to_syslog)
{
	struct log *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	pthread_mutex_init(&log->lock, NULL);
	if (to_syslog) {
		log_connect_syslog();
		log_to_syslog(log);
	}
	return log;
}

void log_free(struct log *log)
{
	if (!log)
		return;
	pthread_mutex_destroy(&log->lock);
	free(log);
}

void log_connect_syslog(void)
{
	openlog("ckptfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void log_to_syslog(struct log *log)
{
	log->to_syslog = true;
}

static void write_line(const struct log *log, const char *line, unsigned held_back)
{
	char again[48] = "";

	if (held_back)
		snprintf(again, sizeof(again), " (%u more of these)", held_back);
	if (log->to_syslog)
		syslog(LOG_WARNING, "%s%s", line, again);
	else
		fprintf(stderr, "ckptfs: %s%s\n", line, again);
}

/* Puts LINE first. It takes its own place, or that of the oldest. The lock is held. */
static void keep(struct log *log, enum log_kind kind, const char *line, uint64_t hash)
{
	struct log_entry *entries = log->kept[kind].entries, one = { .hash = hash, .at = time(NULL), .count = 1 };
	size_t i = 0;

	while (i < log->kept[kind].count && entries[i].hash != hash)
		i++;
	if (i < log->kept[kind].count)
		one.count += entries[i].count;
	else if (i < LOG_KEPT)
		log->kept[kind].count++;
	else
		i = LOG_KEPT - 1;
	snprintf(one.line, sizeof(one.line), "%s", line);
	memmove(entries + 1, entries, i * sizeof(*entries));
	entries[0] = one;
}

size_t log_recent(struct log *log, enum log_kind kind, struct log_entry out[LOG_KEPT])
{
	size_t count;

	pthread_mutex_lock(&log->lock);
	count = log->kept[kind].count;
	memcpy(out, log->kept[kind].entries, count * sizeof(*out));
	pthread_mutex_unlock(&log->lock);
	return count;
}

static void say(struct log *log, enum log_kind kind, const char *line)
{
	uint64_t hash = ck_hash(line, strlen(line), 0);
	size_t slot = hash % REMEMBERED;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	pthread_mutex_lock(&log->lock);
	keep(log, kind, line, hash);
	if (log->recent[slot].hash == hash && now.tv_sec - log->recent[slot].written < LOG_QUIET_SECONDS) {
		log->recent[slot].held_back++;
	} else {
		write_line(log, line, log->recent[slot].hash == hash ? log->recent[slot].held_back : 0);
		log->recent[slot].hash = hash;
		log->recent[slot].written = now.tv_sec;
		log->recent[slot].held_back = 0;
	}
	pthread_mutex_unlock(&log->lock);
}

void log_line(struct log *log, const char *line)
{
	say(log, LOG_LINES, line);
}

void log_unusable(struct log *log, const char *line)
{
	say(log, LOG_UNUSABLE, line);
}
