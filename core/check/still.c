/* Whether a file stood still. Implements still.h. */
#include "core/check/still.h"

#include <time.h>

int ck_still_begin(struct ck_still *still, const char *path, struct ck_error *err)
{
	struct stat st;

	*still = (struct ck_still){.path = path};
	if (stat(path, &st) < 0)
		return errno == ENOENT ? CK_OK : ck_fail_sys(err, "stat");
	still->there = true;
	still->before = ck_ident_of(&st);
	return CK_OK;
}

/* The clock of a store behind a network may be ahead of ours by a little. */
#define AHEAD 60

static bool is_young(const struct stat *st, int seconds)
{
	int64_t age;

	return !__builtin_sub_overflow((int64_t)time(NULL), (int64_t)st->st_mtim.tv_sec, &age) && age > -AHEAD &&
	       age <= seconds;
}

enum ck_stillness ck_still_end(const struct ck_still *still, int seconds)
{
	struct stat st;
	struct ck_ident now;

	if (stat(still->path, &st) < 0)
		return errno == ENOENT ? CK_GONE : CK_MOVED;
	now = ck_ident_of(&st);
	return still->there && ck_ident_equal(&now, &still->before) && !is_young(&st, seconds) ? CK_STILL : CK_MOVED;
}
