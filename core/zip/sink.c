/* Implements sink.h: libzip's callbacks for writing, on top of core/file/writer.h. */
#include "core/zip/sink.h"

#include "core/file/fd.h"
#include "core/file/io.h"
#include "core/file/writer.h"

#include <stdlib.h>
#include <string.h>

struct ck_zipsink {
	int fd;
	uint64_t pos;           /* libzip's */
	/* the writer's block is [start, start + filled) of the file; what lies before is handed
	   over */
	uint64_t start;
	size_t filled;
	zip_error_t error;      /* the last failure, for libzip */
	struct ck_error *cause; /* and for us: why the file could not be written */
	struct ck_writer *writer;
};

int ck_zipsink_new(int fd, struct ck_error *cause, struct ck_zipsink **out, struct ck_error *err)
{
	struct ck_zipsink *sink = calloc(1, sizeof(*sink));
	int rc;

	if (!sink)
		return ck_fail_nomem(err);
	rc = ck_writer_new(fd, &sink->writer, err);
	if (rc) {
		free(sink);
		return rc;
	}
	sink->fd = fd;
	zip_error_init(&sink->error);
	sink->cause = cause;
	*out = sink;
	return CK_OK;
}

void ck_zipsink_free(struct ck_zipsink *sink)
{
	if (!sink)
		return;
	zip_error_fini(&sink->error);
	ck_writer_free(sink->writer);
	free(sink);
}

static int fail(struct ck_zipsink *sink)
{
	zip_error_set(&sink->error, ZIP_ER_WRITE, sink->cause->sys);
	return -1;
}

static int flush(struct ck_zipsink *sink)
{
	if (ck_writer_submit(sink->writer, sink->start, sink->filled, sink->cause))
		return fail(sink);
	sink->start += sink->filled;
	sink->filled = 0;
	return 0;
}

/* The end: all is in the file. */
static int finish(struct ck_zipsink *sink)
{
	return flush(sink) || ck_writer_drain(sink->writer, sink->cause) ? fail(sink) : 0;
}

/* One piece at the present position: into the buffer as much as it has room for, before it straight
   to the file. */
static int64_t write_piece(struct ck_zipsink *sink, const uint8_t *data, uint64_t len)
{
	size_t at, part;

	if (sink->pos < sink->start) {
		part = len < sink->start - sink->pos ? (size_t)len : (size_t)(sink->start - sink->pos);
		if (ck_writer_drain(sink->writer, sink->cause) ||
		    ck_write_full(sink->fd, sink->pos, data, part, sink->cause))
			return fail(sink);
		return (int64_t)part;
	}
	if (sink->pos == sink->start + CK_WRITER_BLOCK && flush(sink))
		return -1;
	at = (size_t)(sink->pos - sink->start);
	part = len < CK_WRITER_BLOCK - at ? (size_t)len : CK_WRITER_BLOCK - at;
	memcpy(ck_writer_block(sink->writer) + at, data, part);
	if (sink->filled < at + part)
		sink->filled = at + part;
	return (int64_t)part;
}

static zip_int64_t sink_write(struct ck_zipsink *sink, const uint8_t *data, uint64_t len)
{
	uint64_t done = 0;

	while (done < len) {
		int64_t part = write_piece(sink, data + done, len - done);

		if (part < 0)
			return -1;
		done += (uint64_t)part;
		sink->pos += (uint64_t)part;
	}
	return (zip_int64_t)done;
}

/* What libzip wants to see before it writes to a source; in a new archive it neither reads, nor
   seeks, nor removes. */
static zip_int64_t sink_supports(void)
{
	return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
					      ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL,
					      ZIP_SOURCE_SUPPORTS, ZIP_SOURCE_REMOVE, ZIP_SOURCE_BEGIN_WRITE,
					      ZIP_SOURCE_WRITE, ZIP_SOURCE_SEEK_WRITE, ZIP_SOURCE_TELL_WRITE,
					      ZIP_SOURCE_COMMIT_WRITE, ZIP_SOURCE_ROLLBACK_WRITE, -1);
}

/* Within what was written: an archive has no holes. */
static zip_int64_t sink_seek(struct ck_zipsink *sink, void *data, uint64_t len)
{
	zip_int64_t at = zip_source_seek_compute_offset(sink->pos, sink->start + sink->filled, data, len, &sink->error);

	if (at < 0)
		return -1;
	sink->pos = (uint64_t)at;
	return 0;
}

/* Before it is written the archive is there, and empty. */
static zip_int64_t sink_stat(struct ck_zipsink *sink, zip_stat_t *st, uint64_t len)
{
	if (len < sizeof(*st)) {
		zip_error_set(&sink->error, ZIP_ER_INVAL, 0);
		return -1;
	}
	zip_stat_init(st);
	st->size = 0;
	st->valid = ZIP_STAT_SIZE;
	return sizeof(*st);
}

/* libzip's zip_source_callback. */
static zip_int64_t sink_command(void *user, void *data, zip_uint64_t len, zip_source_cmd_t command)
{
	struct ck_zipsink *sink = user;

	switch (command) {
	case ZIP_SOURCE_WRITE:
		return sink_write(sink, data, len);
	case ZIP_SOURCE_SEEK_WRITE:
		return sink_seek(sink, data, len);
	case ZIP_SOURCE_TELL_WRITE:
		return (zip_int64_t)sink->pos;
	case ZIP_SOURCE_COMMIT_WRITE:
		return finish(sink);
	case ZIP_SOURCE_STAT:
		return sink_stat(sink, data, len);
	case ZIP_SOURCE_ERROR:
		return zip_error_to_data(&sink->error, data, len);
	case ZIP_SOURCE_SUPPORTS:
		return sink_supports();
	case ZIP_SOURCE_OPEN:
	case ZIP_SOURCE_BEGIN_WRITE:
	case ZIP_SOURCE_ROLLBACK_WRITE:  /* what is in the file then is the caller's to throw away */
	case ZIP_SOURCE_CLOSE:
	case ZIP_SOURCE_FREE:            /* the sink is its maker's */
		return 0;
	default:
		zip_error_set(&sink->error, ZIP_ER_OPNOTSUPP, 0);
		return -1;
	}
}

int ck_zipsink_open(struct ck_zipsink *sink, zip_t **out, struct ck_error *err)
{
	zip_source_t *source;
	zip_error_t error;
	int rc;

	zip_error_init(&error);
	source = zip_source_function_create(sink_command, sink, &error);
	*out = source ? zip_open_from_source(source, ZIP_CREATE | ZIP_TRUNCATE, &error) : NULL;
	rc = *out ? CK_OK : ck_zipsink_fail(&error, err);
	if (!*out)
		zip_source_free(source);
	zip_error_fini(&error);
	return rc;
}

int ck_zipsink_fail(zip_error_t *error, struct ck_error *err)
{
	if (err && err->code)
		return (int)err->code;
	/* In some places libzip forgets to say that it is out of memory. */
	if (zip_error_code_zip(error) == ZIP_ER_MEMORY || zip_error_code_zip(error) == ZIP_ER_OK)
		return ck_fail_nomem(err);
	return ck_fail(err, CK_ERR_INVALID, "libzip: %s", zip_error_strerror(error));
}
