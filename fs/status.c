/* Makes the value of user.ckptfs.status. Implements status.h with ask.c, which prints it. */
#include "status.h"

#include "core/base/clock.h"
#include "core/draft/status.h"
#include "core/format/json.h"
#include "core/tree/status.h"
#include "options.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define DRAFTS_SHOWN 6

static void put_key(struct ck_json_out *o, const char *key) { ck_json_key(o, key, strlen(key)); }

static void put_string(struct ck_json_out *o, const char *key, const char *value)
{
	put_key(o, key);
	ck_json_string(o->buf, value, strlen(value));
}

static void put_number(struct ck_json_out *o, const char *key, uint64_t value)
{
	put_key(o, key);
	ck_buf_printf(o->buf, "%" PRIu64, value);
}

static void put_bool(struct ck_json_out *o, const char *key, bool value)
{
	put_key(o, key);
	ck_buf_str(o->buf, value ? "true" : "false");
}

static void put_time(struct ck_json_out *o, const char *key, time_t at)
{
	char text[32] = "";
	struct tm tm;

	if (gmtime_r(&at, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	put_string(o, key, text);
}

static void open_object(struct ck_json_out *o, const char *key)
{
	put_key(o, key);
	ck_json_open(o, '{');
}

static void open_list(struct ck_json_out *o, const char *key)
{
	put_key(o, key);
	ck_json_open(o, '[');
}

static void put_daemon(struct ck_json_out *o, const struct fs *fs)
{
	const struct options *options = fs->options;

	put_string(o, "store", options->store);
	put_string(o, "level", option_levels[options->level]);
	open_object(o, "daemon");
	put_string(o, "version", CKPTFS_VERSION);
	put_number(o, "pid", (uint64_t)getpid());
	put_time(o, "started", fs->started);
	put_number(o, "uptime_seconds", (uint64_t)(ck_now_ms() - fs->started_ms) / 1000);
	ck_json_close(o, '}');
	open_object(o, "options");
	put_string(o, "device", option_devices[options->device]);
	put_string(o, "sandbox", option_sandboxes[options->sandbox]);
	put_key(o, "tmp_max_bytes");
	if (options->tmp_max_size)
		ck_buf_printf(o->buf, "%" PRIu64, options->tmp_max_size);
	else
		ck_buf_str(o->buf, "null");
	put_bool(o, "ro", options->read_only);
	put_bool(o, "native", options->native);
	put_bool(o, "inplace", options->in_place);
	put_bool(o, "delete", options->may_delete);
	put_bool(o, "follow", options->follow);
	put_bool(o, "allow_other", options->allow_other);
	ck_json_close(o, '}');
}

static void put_ahead(struct ck_json_out *o, const struct fs *fs)
{
	struct ck_ahead_status ahead;

	ck_ahead_status(fs->ahead, &ahead);
	open_object(o, "ahead");
	put_number(o, "streams", ahead.streams);
	put_number(o, "threads", ahead.threads);
	put_number(o, "side_by_side", ahead.side_by_side);
	put_number(o, "bytes", ahead.bytes);
	put_number(o, "most_bytes", ahead.most_bytes);
	put_number(o, "max_bytes", CK_AHEAD_MAX);
	put_number(o, "read_bytes", ahead.read_bytes);
	ck_json_close(o, '}');
}

static void put_requests(struct ck_json_out *o, struct fs *fs)
{
	struct loop_status loop;

	loop_status(fs->loop, &loop);
	open_object(o, "requests");
	put_number(o, "served", loop.served);
	put_number(o, "waiting", loop.parked);
	put_number(o, "threads", loop.workers);
	put_number(o, "errors", fs->counts.errors);
	ck_json_close(o, '}');
	open_object(o, "reads");
	put_number(o, "count", fs->counts.reads);
	put_number(o, "bytes", fs->counts.read_bytes);
	put_number(o, "readahead_bytes", fs->readahead);
	ck_json_close(o, '}');
	put_ahead(o, fs);
	open_object(o, "writes");
	put_number(o, "count", fs->counts.writes);
	put_number(o, "bytes", fs->counts.written_bytes);
	ck_json_close(o, '}');
}

static void put_contents(struct ck_json_out *o, struct fs *fs)
{
	struct ck_tree_status tree;
	uint64_t used;
	size_t blocks;

	ck_tree_status(fs->tree, &tree);
	open_object(o, "checkpoints");
	put_number(o, "open", tree.open);
	put_number(o, "in_use", tree.in_use);
	put_number(o, "loading", tree.loading);
	put_number(o, "loaded", tree.loaded);
	put_number(o, "failed", tree.failed);
	ck_json_close(o, '}');
	open_object(o, "cache");
	put_number(o, "bytes", tree.cached_bytes);
	put_number(o, "max_bytes", tree.max_bytes);
	put_number(o, "nodes", tree.nodes);
	ck_json_close(o, '}');
	ck_scratch_status(fs->scratch, &used, &blocks);
	open_object(o, "temporary");
	put_number(o, "bytes", used);
	put_number(o, "blocks", blocks);
	ck_json_close(o, '}');
}

static void put_drafts(struct ck_json_out *o, struct fs *fs)
{
	struct ck_draft_status drafts[DRAFTS_SHOWN];
	size_t count = ck_drafts_status(fs->drafts, drafts, DRAFTS_SHOWN);
	char why[288];

	ck_drafts_unable(fs->drafts, why, sizeof(why));
	if (why[0])
		put_string(o, "read_only", why);
	if (ck_drafts_alone(fs->drafts))
		put_string(o, "one_machine", ck_drafts_alone(fs->drafts));
	put_number(o, "drafts_in_use", count);
	open_list(o, "drafts");
	for (size_t i = 0; i < count && i < DRAFTS_SHOWN; i++) {
		ck_json_item(o);
		ck_json_open(o, '{');
		put_string(o, "name", drafts[i].name);
		put_number(o, "writers", drafts[i].writers);
		put_bool(o, "waiting", drafts[i].waiting);
		if (drafts[i].failure[0])
			put_string(o, "failure", drafts[i].failure);
		ck_json_close(o, '}');
	}
	ck_json_close(o, ']');
}

static void put_lines(struct ck_json_out *o, const char *key, struct fs *fs, enum log_kind kind)
{
	struct log_entry entries[LOG_KEPT];
	size_t count = log_recent(fs->log, kind, entries);

	open_list(o, key);
	for (size_t i = 0; i < count; i++) {
		ck_json_item(o);
		ck_json_open(o, '{');
		put_time(o, "time", entries[i].at);
		put_number(o, "count", entries[i].count);
		put_string(o, "line", entries[i].line);
		ck_json_close(o, '}');
	}
	ck_json_close(o, ']');
}

int status_make(struct fs *fs, uid_t uid, char **value, size_t *len, struct ck_error *err)
{
	struct ck_buf buf = { .max = STATUS_MAX };
	struct ck_json_out o = { .buf = &buf, .indent = 2 };

	if (uid != 0 && uid != getuid())
		return ck_fail(err, CK_ERR_PERM, "another user's mount");
	ck_json_open(&o, '{');
	put_daemon(&o, fs);
	put_requests(&o, fs);
	put_contents(&o, fs);
	put_drafts(&o, fs);
	put_lines(&o, "unusable", fs, LOG_UNUSABLE);
	put_lines(&o, "log", fs, LOG_LINES);
	ck_json_close(&o, '}');
	ck_buf_byte(&buf, '\n');
	*value = ck_buf_steal(&buf, len);
	return *value ? CK_OK : ck_fail_nomem(err);
}
