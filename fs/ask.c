/* ckptfs --status: asks a mount for its status and prints it. Implements a part of status.h. */
#include "status.h"

#include "core/format/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

/* What the values of a status may take in memory. */
#define BUDGET ((size_t)4 << 20)

static const char *why_not(int error)
{
	switch (error) {
	case ENODATA: case EOPNOTSUPP:
		return "not the mountpoint of a ckptfs";
	case EPERM:
		return "only root and who mounted it may ask";
	case EACCES:
		return "Permission denied; without allow_other nobody else can enter a user's mount";
	case ENOTCONN:
		return "the daemon is gone: fusermount3 -u it";
	default:
		return strerror(error);
	}
}

/* A store's name may hold what a terminal obeys. */
static void print_string(const struct ck_value *v)
{
	for (uint32_t i = 0; i < v->len; i++)
		putchar((unsigned char)v->s[i] < 0x20 || v->s[i] == 0x7f ? '?' : v->s[i]);
}

static void print_bytes(int64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double size = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		printf("%" PRId64, bytes);
		return;
	}
	for (; size >= 1024 && i < 3; i++)
		size /= 1024;
	printf("%.1f %s", size, units[i]);
}

static void print_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		putchar(name[i] == '_' ? ' ' : name[i]);
}

/* The values of an object in one line. What is false or null is left out; a list's strings need no name. */
static void print_object(const struct ck_dict *dict, bool in_list)
{
	const char *before = "";

	for (uint32_t i = 0; i < dict->len; i++) {
		const struct ck_value *key = &dict->pairs[i].key, *v = &dict->pairs[i].value;
		bool bytes = key->len >= 5 && memcmp(key->s + key->len - 5, "bytes", 5) == 0;

		if (v->kind == CK_NONE || (v->kind == CK_BOOL && !v->i))
			continue;
		fputs(before, stdout);
		before = ", ";
		if (!(in_list && v->kind == CK_STR))
			print_name(key->s, key->len);
		if (v->kind == CK_STR) {
			fputs(in_list ? "" : " ", stdout);
			print_string(v);
		} else if (v->kind == CK_INT) {
			putchar(' ');
			if (bytes)
				print_bytes(v->i);
			else
				printf("%" PRId64, v->i);
		}
	}
	putchar('\n');
}

#define COLUMN 15

static void print_status(const struct ck_dict *dict)
{
	for (uint32_t i = 0; i < dict->len; i++) {
		const struct ck_value *key = &dict->pairs[i].key, *v = &dict->pairs[i].value;

		print_name(key->s, key->len);
		printf("%*s", key->len < COLUMN ? COLUMN - (int)key->len : 1, "");
		if (v->kind == CK_DICT) {
			print_object(v->dict, false);
		} else if (v->kind == CK_LIST) {
			if (!v->list->len)
				puts("none");
			for (uint32_t k = 0; k < v->list->len; k++) {
				printf("%*s", k ? COLUMN : 0, "");
				print_object(v->list->items[k].dict, true);
			}
		} else if (v->kind == CK_STR) {
			print_string(v);
			putchar('\n');
		} else {
			printf("%" PRId64 "\n", v->i);
		}
	}
}

static int parse(const char *text, size_t len, bool json)
{
	struct ck_arena *arena = ck_arena_new(BUDGET);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_value v = ck_none();
	char line[512];
	int rc = arena ? ck_json_read(text, len, arena, &v, &err) : ck_fail_nomem(&err);

	if (rc)
		fprintf(stderr, "ckptfs: status: %s\n", ck_error_line(&err, line, sizeof(line)));
	else if (json)
		fwrite(text, 1, len, stdout);
	else if (v.kind == CK_DICT)
		print_status(v.dict);
	ck_arena_free(arena);
	return rc || fflush(stdout) ? -1 : 0;
}

int status_ask(const char *mountpoint, bool json)
{
	char *text = malloc(STATUS_MAX);
	ssize_t len = text ? getxattr(mountpoint, STATUS_XATTR, text, STATUS_MAX) : -1;
	int rc;

	if (len < 0) {
		fprintf(stderr, "ckptfs: status of '%s': %s\n", mountpoint, why_not(errno));
		free(text);
		return -1;
	}
	rc = parse(text, (size_t)len, json);
	free(text);
	return rc;
}
