/*
 * Implements order.h: the order in which a draft's files were created, kept by name, since some file systems (sshfs)
 * make up new inode numbers. DIR/order is a journal of records, each a NUL and then "cPATH" for a file that was made or
 * "rOLD//NEW" for a rename; paths are relative to DIR/files. A record that a full disk cut ends where the next begins.
 */
#include "core/draft/order.h"

#include "core/base/hash.h"
#include "core/draft/owner.h"
#include "core/file/dir.h"
#include "core/file/real.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_RECORD (2 * PATH_MAX + 4)
#define CHUNK (1 << 16)

static int append(const char *dir, const char *record, size_t len, struct ck_error *err)
{
	char path[PATH_MAX];
	int fd = -1, rc = CK_OK;
	struct stat st;
	ssize_t n;

	if (ck_path_join(path, dir, "order"))
		fd = ck_real_open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
	if (fd < 0)
		return ck_fail_sys(err, "open of the draft's order");
	/* A new journal is for everyone who may write to the draft. */
	if (fstat(fd, &st) == 0 && st.st_size == 0 && ck_real_stat(dir, &st) == 0)
		ck_give_file(fd, &st, (st.st_mode & 0666) | 0600);
	/* Writers with O_APPEND don't mix their records. */
	n = write(fd, record, len);
	if (n >= 0 && (size_t)n != len)
		errno = ENOSPC;
	if (n < 0 || (size_t)n != len)
		rc = ck_fail_sys(err, "write to the draft's order");
	close(fd);
	return rc;
}

int ck_order_append(const char *dir, const char *name, struct ck_error *err)
{
	char record[MAX_RECORD];
	int n = snprintf(record, sizeof(record), "%cc%s", '\0', name);

	return append(dir, record, (size_t)n, err);
}

int ck_order_rename(const char *dir, const char *old_name, const char *new_name, struct ck_error *err)
{
	char record[MAX_RECORD];
	int n = snprintf(record, sizeof(record), "%cr%s//%s", '\0', old_name, new_name);

	return append(dir, record, (size_t)n, err);
}

int ck_order_sync(const char *dir, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	char path[PATH_MAX];
	int rc = ck_path_join(path, dir, "order") ? ck_real_sync(path, &why) : CK_OK;

	if (rc && why.sys == ENOENT)
		return CK_OK;
	if (rc)
		ck_error_copy(err, &why);
	return rc;
}

/* ---- the journal, read from its end ---- */

struct journal {
	struct ck_file *file;
	uint64_t begin;         /* where DATA lies in the file */
	size_t len;             /* of DATA that wasn't given out yet */
	char data[CHUNK + MAX_RECORD + 1];
};

/* Puts the bytes that lie before the rest in front of it. */
static int read_before(struct journal *j, struct ck_error *err)
{
	size_t n = j->begin < CHUNK ? (size_t)j->begin : CHUNK;

	memmove(j->data + n, j->data, j->len);
	j->begin -= n;
	j->len += n;
	return ck_file_read(j->file, j->begin, j->data, n, err);
}

/* The record before the last one, NUL-terminated in the journal's buffer; NULL at the begin of the file. */
static int record_before(struct journal *j, char **record, struct ck_error *err)
{
	char *nul;
	int rc;

	while (!(nul = memrchr(j->data, '\0', j->len))) {
		/* A record is shorter than this: bytes without a NUL for so long are not one. */
		if (j->len > MAX_RECORD)
			j->len = 0;
		if (j->begin == 0) {
			*record = NULL;
			return CK_OK;
		}
		rc = read_before(j, err);
		if (rc)
			return rc;
	}
	/* Its end is the begin of the record behind it, or of nothing: there is room for one byte more. */
	j->data[j->len] = '\0';
	*record = nul + 1;
	j->len = (size_t)(nul - j->data);
	return CK_OK;
}

/* ---- places ---- */

struct placed {
	const char *name;       /* as it is now */
	char *was;              /* by this name the records before know it; NULL once its place is known */
	struct placed *chain;
	uint64_t place;         /* counted from the journal's end: UINT64_MAX where it has none */
};

struct sequence {
	struct placed *files;
	size_t count, buckets;
	struct placed **table;  /* by WAS */
	struct ck_hash_key key;
	char sub[PATH_MAX];     /* the directory, as the records at hand know it */
};

static struct placed **find(struct sequence *p, const char *name)
{
	struct placed **at = &p->table[ck_hash_keyed(&p->key, name, strlen(name)) & (p->buckets - 1)];

	while (*at && strcmp((*at)->was, name) != 0)
		at = &(*at)->chain;
	return at;
}

/* The name in the directory at hand, or NULL: PATH lies elsewhere. */
static const char *name_in(const struct sequence *p, const char *path)
{
	size_t len = strlen(p->sub);

	if (len == 0)
		return strchr(path, '/') ? NULL : path;
	return strncmp(path, p->sub, len) == 0 && path[len] == '/' && !strchr(path + len + 1, '/') ? path + len + 1
												     : NULL;
}

static void set_place(struct placed **at, uint64_t place)
{
	struct placed *file = *at;

	if (!file)
		return;
	*at = file->chain;
	free(file->was);
	file->was = NULL;
	file->place = place;
}

/* Before this record the directory, or one above it, had the name OLD. */
static void rename_directory(struct sequence *p, const char *old_name, const char *new_name)
{
	size_t len = strlen(new_name);
	char path[PATH_MAX];

	if (strncmp(p->sub, new_name, len) == 0 && (p->sub[len] == '/' || p->sub[len] == '\0') &&
	    (size_t)snprintf(path, sizeof(path), "%s%s", old_name, p->sub + len) < sizeof(path))
		strcpy(p->sub, path);
}

static int read_record(struct sequence *p, char *record, uint64_t place, struct ck_error *err)
{
	char *new_name = strstr(record, "//");
	const char *name, *old_name;
	struct placed **at, *file;

	if (record[0] == 'c' && (name = name_in(p, record + 1)))
		set_place(find(p, name), place);
	if (record[0] != 'r' || !new_name)
		return CK_OK;
	*new_name = '\0';
	new_name += 2;
	name = name_in(p, new_name);
	at = name ? find(p, name) : NULL;
	if (!at || !*at) {
		rename_directory(p, record + 1, new_name);
		return CK_OK;
	}
	old_name = name_in(p, record + 1);
	/* What came from another directory was made when it came. */
	if (!old_name) {
		set_place(at, place);
		return CK_OK;
	}
	file = *at;
	*at = file->chain;
	free(file->was);
	file->was = strdup(old_name);
	if (!file->was)
		return ck_fail_nomem(err);
	at = find(p, old_name);
	/* Two files that had one name: the later record was the later file's. */
	if (*at)
		set_place(at, place);
	file->chain = NULL;
	for (at = &p->table[ck_hash_keyed(&p->key, file->was, strlen(file->was)) & (p->buckets - 1)]; *at;
	     at = &(*at)->chain)
		;
	*at = file;
	return CK_OK;
}

static int read_journal(struct sequence *p, struct ck_file *file, struct ck_error *err)
{
	struct journal *j = malloc(sizeof(*j));
	uint64_t place = 0;
	char *record;
	int rc;

	if (!j)
		return ck_fail_nomem(err);
	j->file = file;
	j->begin = ck_file_size(file);
	j->len = 0;
	while (!(rc = record_before(j, &record, err)) && record)
		if ((rc = read_record(p, record, place++, err)))
			break;
	free(j);
	return rc;
}

static int by_place(const void *left, const void *right)
{
	const struct placed *a = left, *b = right;

	if (a->place == b->place)
		return strcmp(a->name, b->name);
	if (a->place == UINT64_MAX || b->place == UINT64_MAX)
		return a->place == UINT64_MAX ? 1 : -1;
	return a->place < b->place ? 1 : -1;
}

static int sequence_new(struct sequence *p, const char *sub, const struct ck_names *names, struct ck_error *err)
{
	struct placed **at;

	*p = (struct sequence){ .count = names->count, .buckets = 64, .key = ck_hash_key_new() };
	while (p->buckets < p->count)
		p->buckets *= 2;
	snprintf(p->sub, sizeof(p->sub), "%s", sub);
	p->files = calloc(p->count + 1, sizeof(*p->files));
	p->table = calloc(p->buckets, sizeof(struct placed *));
	if (!p->files || !p->table)
		return ck_fail_nomem(err);
	for (size_t i = 0; i < p->count; i++) {
		struct placed *file = &p->files[i];

		*file = (struct placed){ .name = names->names[i], .place = UINT64_MAX };
		at = find(p, file->name);
		file->was = strdup(file->name);
		if (!file->was)
			return ck_fail_nomem(err);
		*at = file;
	}
	return CK_OK;
}

static void sequence_free(struct sequence *p)
{
	for (size_t i = 0; p->files && i < p->count; i++)
		free(p->files[i].was);
	free(p->files);
	free(p->table);
}

/* The places of NAMES, in the directory SUB of DIR/files, in their order. P must be freed also on failure. */
static int place_names(struct sequence *p, const char *dir, const char *sub, const struct ck_names *names,
		       struct ck_error *err)
{
	struct ck_file *file = NULL;
	char path[PATH_MAX];
	struct stat st;
	int rc = sequence_new(p, sub, names, err);

	/* Without a journal (a draft made by hand) the order is by name. */
	if (!rc && ck_path_join(path, dir, "order") && (ck_real_stat(path, &st) == 0 || errno != ENOENT))
		rc = ck_real_file(path, &file, err);
	if (!rc && file)
		rc = read_journal(p, file, err);
	ck_file_unref(file);
	if (!rc && p->count)
		qsort(p->files, p->count, sizeof(*p->files), by_place);
	return rc;
}

int ck_order_sort(const char *dir, const char *sub, struct ck_names *names, struct ck_error *err)
{
	struct sequence p;
	int rc = place_names(&p, dir, sub, names, err);

	for (size_t i = 0; !rc && i < names->count; i++)
		names->names[i] = (char *)(uintptr_t)p.files[i].name;
	sequence_free(&p);
	return rc;
}

int ck_order_complete(const char *dir, const char *sub, struct ck_error *err)
{
	char path[PATH_MAX], file[PATH_MAX];
	struct ck_names names;
	struct sequence p;
	struct stat st;
	int rc;

	if (!ck_path_join(path, dir, "files") || !ck_path_join(path, path, sub) ||
	    (ck_real_stat(path, &st) == 0 ? !S_ISDIR(st.st_mode) : errno == ENOENT))
		return CK_OK;
	rc = ck_list_real_dir(path, &names, err);
	if (rc)
		return rc;
	rc = place_names(&p, dir, sub, &names, err);
	for (size_t i = 0; i < names.count && !rc; i++)
		if (p.files[i].place == UINT64_MAX && ck_path_join(file, sub, p.files[i].name))
			rc = ck_order_append(dir, file, err);
	sequence_free(&p);
	ck_names_free(&names);
	return rc;
}
