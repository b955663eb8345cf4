/*
 * ident - what makes a stored file that file. Two files with equal identities hold the same bytes.
 */
#ifndef CK_IDENT_H
#define CK_IDENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct ck_ident {
	uint64_t dev, ino, size;
	int64_t mtime_ns;
};

static inline struct ck_ident ck_ident_of(const struct stat *st)
{
	return (struct ck_ident){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime_ns = (int64_t)((uint64_t)st->st_mtim.tv_sec * UINT64_C(1000000000)) + st->st_mtim.tv_nsec,
	};
}

static inline struct ck_ident ck_ident_of_statx(const struct statx *st)
{
	return (struct ck_ident){
		.dev = makedev(st->stx_dev_major, st->stx_dev_minor),
		.ino = st->stx_ino,
		.size = st->stx_size,
		.mtime_ns = (int64_t)((uint64_t)st->stx_mtime.tv_sec * UINT64_C(1000000000)) + st->stx_mtime.tv_nsec,
	};
}

static inline bool ck_ident_equal(const struct ck_ident *a, const struct ck_ident *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns;
}

#endif
