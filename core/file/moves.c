/* Implements moves.h. */
#include "core/file/moves.h"

#include <pthread.h>
#include <stdlib.h>

#define FILES 1024

/* A file whose mtime was set here: what it was before, and what it became. */
struct move {
	struct ck_ident before, now;
};

struct ck_moves {
	/* Held exclusively from before the times are set until they are noted: a reader that sees the new time finds
	   the note. */
	pthread_rwlock_t lock;
	struct move files[FILES];
	size_t count, next;
};

struct ck_moves *ck_moves_new(void)
{
	struct ck_moves *m = calloc(1, sizeof(*m));

	if (m)
		pthread_rwlock_init(&m->lock, NULL);
	return m;
}

void ck_moves_free(struct ck_moves *m)
{
	if (!m)
		return;
	pthread_rwlock_destroy(&m->lock);
	free(m);
}

/* With the lock held. */
static struct move *find(struct ck_moves *m, const struct ck_ident *now)
{
	for (size_t i = 0; i < m->count; i++)
		if (ck_ident_equal(&m->files[i].now, now))
			return &m->files[i];
	return NULL;
}

void ck_moves_ident(struct ck_moves *m, struct ck_ident *ident)
{
	const struct move *move;

	pthread_rwlock_rdlock(&m->lock);
	move = find(m, ident);
	if (move)
		*ident = move->before;
	pthread_rwlock_unlock(&m->lock);
}

/* With the lock held. */
static void note(struct ck_moves *m, const struct ck_ident *was, const struct ck_ident *now)
{
	struct move *move = find(m, was);

	if (!move) {
		move = &m->files[m->next];
		m->next = (m->next + 1) % FILES;
		if (m->count < FILES)
			m->count++;
		move->before = *was;
	}
	move->now = *now;
}

void ck_moves_begin(struct ck_moves *m) { pthread_rwlock_wrlock(&m->lock); }

void ck_moves_end(struct ck_moves *m, const struct stat *was, const struct stat *now)
{
	struct ck_ident before, after;

	if (was && now) {
		before = ck_ident_of(was);
		after = ck_ident_of(now);
		/* Another size, or another file: it was written to, or replaced, at the same time. */
		if (after.dev == before.dev && after.ino == before.ino && after.size == before.size &&
		    after.mtime_ns != before.mtime_ns)
			note(m, &before, &after);
	}
	pthread_rwlock_unlock(&m->lock);
}
