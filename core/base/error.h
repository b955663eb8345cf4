/*
 * error - what went wrong, for a caller and for a person.
 *
 * Every core function that can fail returns an enum ck_code (0 is success) and takes, last, a
 * caller-owned struct ck_error that may be NULL. The first message wins: a deep helper describes
 * the fault, outer ones add where it happened (file, subject) and never overwrite.
 * Core never prints; ck_error_line() makes the one line that a log or `model.error` shows.
 */
#ifndef CK_ERROR_H
#define CK_ERROR_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ck_code {
	CK_OK = 0,
	CK_ERR_NOMEM,       /* out of memory */
	CK_ERR_SYS,         /* a system call failed; ck_error.sys is its errno */
	CK_ERR_CORRUPT,     /* the bytes break the format's rules */
	/* well-formed, but nothing that we read (a foreign global, an encrypted entry) */
	CK_ERR_UNSUPPORTED,
	CK_ERR_LIMIT,       /* asks for more than the documented limit */
	CK_ERR_NOENT,       /* no such name */
	CK_ERR_EXIST,       /* the name is taken */
	CK_ERR_INVALID,     /* what the caller asks for or wrote can't be */
	CK_ERR_PERM,        /* never allowed (a change of a published step) */
	CK_ERR_ROFS,        /* the mount or the store is read-only */
	CK_ERR_CHANGED,     /* a stored file was rewritten while it was in use */
	CK_ERR_STALE,       /* the object that a handle or an inode number stood for is gone */
	CK_ERR_AGAIN,       /* not complete yet, and may be later; only from calls that say so */
};

struct ck_error {
	enum ck_code code;
	int sys;            /* errno for CK_ERR_SYS, else 0 */
	bool refused;       /* what a pickle holds is refused: its bytes are whole */
	int64_t offset;     /* byte in the file, or -1 */
	char file[192];     /* which file; "" when not known */
	char subject[160];  /* which entry, tensor or key in it; "" when there is none */
	char text[288];     /* what was expected and what was found */
};

#define CK_ERROR_INIT { .code = CK_OK, .offset = -1 }

/* Makes ERR empty again, so that it can take a new first message. NULL is allowed. */
void ck_error_clear(struct ck_error *err);

/* Records CODE and the message unless ERR already holds one. Control characters and what isn't UTF-8
   in the finished text are shown as '?': text may quote hostile input. */
void ck_error_set(struct ck_error *err, enum ck_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with the present errno, as CK_ERR_SYS; the text is "WHAT: strerror". */
void ck_error_set_sys(struct ck_error *err, const char *what);

/* Makes ERR what WHY is, unless ERR already holds a message: for callers that look at WHY before they hand it on. */
void ck_error_copy(struct ck_error *err, const struct ck_error *why);

/* For `return ck_fail(...)`: the value is CODE itself, so that compilers and analysers, too, see that
   it is an error. CODE is evaluated twice. */
#define ck_fail(err, code, ...) (ck_error_set((err), (code), __VA_ARGS__), (int)(code))

static inline int ck_fail_sys(struct ck_error *err, const char *what)
{
	ck_error_set_sys(err, what);
	return CK_ERR_SYS;
}

/* A path of the store is longer than the system takes. */
static inline int ck_fail_long_path(struct ck_error *err)
{
	errno = ENAMETOOLONG;
	return ck_fail_sys(err, "the path in the store");
}

static inline int ck_fail_nomem(struct ck_error *err)
{
	ck_error_set(err, CK_ERR_NOMEM, "out of memory");
	return CK_ERR_NOMEM;
}

/* Adds the file or the subject where ERR holds an error without one. Return nothing, keep errno. */
void ck_error_file(struct ck_error *err, const char *file);
void ck_error_subject(struct ck_error *err, const char *subject, size_t len);
void ck_error_offset(struct ck_error *err, uint64_t offset);

/* Marks an error of the file's contents as one of what a pickle holds, see `refused`. */
void ck_error_refused(struct ck_error *err);

/* Writes "FILE: SUBJECT: byte N: TEXT" (parts that are not known are left out) without a newline
   into LINE, cut to SIZE and NUL-terminated. Returns LINE. */
const char *ck_error_line(const struct ck_error *err, char *line, size_t size);

#endif
