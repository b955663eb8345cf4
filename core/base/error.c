/* Implements error.h: how an error keeps its first message, and how a message becomes a printable line. */
#include "core/base/error.h"

#include "core/base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ck_error_clear(struct ck_error *err)
{
	if (err)
		*err = (struct ck_error)CK_ERROR_INIT;
}

/* Names and keys come from files: nothing of theirs may end a line, steer a terminal or break its encoding. */
static void make_printable(char *s)
{
	size_t len = strlen(s), step;
	uint32_t cp;

	for (; len; s += step, len -= step) {
		step = ck_utf8_decode(s, len, &cp);
		if (step && cp >= 0x20 && cp != 0x7f && !ck_is_surrogate(cp))
			continue;
		step = 1;
		*s = '?';
	}
}

void ck_error_set(struct ck_error *err, enum ck_code code, const char *format, ...)
{
	va_list args;

	if (!err || err->code)
		return;
	err->code = code;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	make_printable(err->text);
}

void ck_error_set_sys(struct ck_error *err, const char *what)
{
	int sys = errno;

	if (err && !err->code)
		err->sys = sys;
	ck_error_set(err, CK_ERR_SYS, "%s: %s", what, strerrordesc_np(sys));
}

void ck_error_file(struct ck_error *err, const char *file)
{
	static const char held[] = "/proc/self/fd/";
	size_t len;

	if (!err || !err->code || err->file[0])
		return;
	/* Of a store that is held by a descriptor (core/file/real.h) the path in it is what says something. */
	if (strncmp(file, held, strlen(held)) == 0) {
		file += strlen(held);
		file += strspn(file, "0123456789");
		file += strspn(file, "/");
	}
	/* The end of a long path says more than its start. */
	len = strlen(file);
	if (len >= sizeof(err->file))
		file += len - sizeof(err->file) + 1;
	snprintf(err->file, sizeof(err->file), "%s", file);
	make_printable(err->file);
}

void ck_error_subject(struct ck_error *err, const char *subject, size_t len)
{
	if (!err || !err->code || err->subject[0])
		return;
	if (len >= sizeof(err->subject))
		len = sizeof(err->subject) - 1;
	memcpy(err->subject, subject, len);
	err->subject[len] = '\0';
	make_printable(err->subject);
}

void ck_error_offset(struct ck_error *err, uint64_t offset)
{
	if (err && err->code && err->offset < 0 && offset <= INT64_MAX)
		err->offset = (int64_t)offset;
}

const char *ck_error_line(const struct ck_error *err, char *line, size_t size)
{
	char at[40] = "";

	if (err->offset >= 0)
		snprintf(at, sizeof(at), "byte %lld: ", (long long)err->offset);
	snprintf(line, size, "%s%s%s%s%s%s", err->file, err->file[0] ? ": " : "", err->subject,
		 err->subject[0] ? ": " : "", at, err->text);
	return line;
}

void ck_error_refused(struct ck_error *err)
{
	if (err && (err->code == CK_ERR_CORRUPT || err->code == CK_ERR_UNSUPPORTED || err->code == CK_ERR_LIMIT))
		err->refused = true;
}

void ck_error_copy(struct ck_error *err, const struct ck_error *why)
{
	if (err && !err->code)
		*err = *why;
}
