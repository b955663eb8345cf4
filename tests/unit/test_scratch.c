#include "core/file/scratch.h"
#include "core/file/fd.h"
#include "check.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB UINT64_C(1024)

/* What the file system says that the file of BLOCK takes. */
static uint64_t taken(const struct ck_block *block)
{
	struct stat st;

	return fstat(ck_file_fd(ck_block_file(block)), &st) == 0 ? (uint64_t)st.st_blocks * 512 : UINT64_MAX;
}

/* A held block of SIZE bytes, each of them BYTE; NULL with WHY set. */
static struct ck_block *filled(struct ck_scratch *s, uint64_t size, char byte, struct ck_error *why)
{
	struct ck_block *b = NULL;
	char *bytes = malloc(size);

	memset(bytes, byte, size);
	ck_error_clear(why);
	if (ck_scratch_make(s, size, &b, why) == CK_OK)
		CHECK(ck_write_full(ck_file_fd(ck_block_file(b)), ck_block_offset(b), bytes, size, why) == CK_OK);
	free(bytes);
	return b;
}

/* Puts B at *PLACE and lets it go. */
static void keep(struct ck_scratch *s, struct ck_block *b, struct ck_block **place)
{
	ck_scratch_put(s, b, place);
	ck_block_release(b);
}

/* Whether the SIZE bytes of B are BYTE. */
static bool holds(const struct ck_block *b, uint64_t size, char byte)
{
	char *bytes = malloc(size);
	bool same = pread(ck_file_fd(ck_block_file(b)), bytes, size, (off_t)ck_block_offset(b)) == (ssize_t)size;

	for (uint64_t i = 0; i < size; i++)
		same &= bytes[i] == byte;
	free(bytes);
	return same;
}

static void blocks_do_not_overlap(void)
{
	struct ck_scratch *s = ck_scratch_new(1024 * KIB);
	struct ck_block *places[5] = { NULL }, *b;
	struct ck_error why = CK_ERROR_INIT;
	static const uint64_t sizes[] = { 1, 4095, 4096, 4097, 100 * KIB };

	for (size_t i = 0; i < 5; i++)
		keep(s, filled(s, sizes[i], (char)('a' + i), &why), &places[i]);
	for (size_t i = 0; i < 5; i++) {
		b = ck_scratch_hold(s, &places[i]);
		CHECK(b && b == places[i] && holds(b, sizes[i], (char)('a' + i)));
		ck_block_release(b);
	}
	for (size_t i = 0; i < 5; i++) {
		ck_scratch_drop(s, &places[i]);
		CHECK(!places[i] && !ck_scratch_hold(s, &places[i]));
	}
	ck_scratch_free(s);
}

static void dropping_gives_room_back(void)
{
	struct ck_scratch *s = ck_scratch_new(0);
	struct ck_block *places[2] = { NULL }, *b;
	struct ck_error why = CK_ERROR_INIT;

	keep(s, filled(s, 256 * KIB, 'a', &why), &places[0]);
	b = filled(s, 64 * KIB, 'b', &why);
	CHECK(taken(b) >= 320 * KIB);
	ck_scratch_drop(s, &places[0]);
	CHECK(taken(b) < 128 * KIB && holds(b, 64 * KIB, 'b'));
	/* One that was put nowhere goes when it is released. */
	ck_block_release(b);
	ck_scratch_drop(s, &places[1]);
	ck_block_release(NULL);
	ck_scratch_free(s);
	ck_scratch_free(NULL);
}

static void held_blocks_stay_and_the_budget_holds(void)
{
	struct ck_scratch *s = ck_scratch_new(128 * KIB);
	struct ck_block *places[3] = { NULL }, *held, *b = NULL;
	struct ck_error why = CK_ERROR_INIT;

	held = filled(s, 64 * KIB, 'a', &why);
	ck_scratch_put(s, held, &places[0]);
	CHECK(!filled(s, 128 * KIB + 1, 'x', &why) && why.code == CK_ERR_SYS && why.sys == ENOSPC);
	CHECK(!filled(s, 64 * KIB + 1, 'x', &why) && why.code == CK_ERR_SYS && why.sys == ENOSPC);
	CHECK(ck_scratch_make(s, UINT64_MAX, &b, &why) != CK_OK && !b);
	keep(s, filled(s, 64 * KIB, 'b', &why), &places[1]);
	/* The second is given up for the third, once nobody has just read it; the first is held. */
	keep(s, filled(s, 64 * KIB, 'c', &why), &places[2]);
	CHECK(!why.code && places[0] && !places[1] && places[2]);
	CHECK(taken(held) <= 128 * KIB && holds(held, 64 * KIB, 'a'));
	ck_scratch_tidy(s);
	CHECK(places[2]);       /* it was just read */
	ck_block_release(held);
	ck_scratch_drop(s, &places[0]);
	ck_scratch_drop(s, &places[2]);
	ck_scratch_free(s);
}

static void without_a_directory_it_fails(void)
{
	struct ck_scratch *s = ck_scratch_new(0);
	struct ck_error why = CK_ERROR_INIT;
	struct ck_block *place = NULL;

	setenv("TMPDIR", "/nonexistent/ckptfs", 1);
	CHECK(!filled(s, 10, 'a', &why) && why.code == CK_ERR_SYS && why.sys == ENOENT);
	unsetenv("TMPDIR");
	keep(s, filled(s, 10, 'a', &why), &place);
	CHECK(place && !why.code);
	ck_scratch_drop(s, &place);
	ck_scratch_free(s);
}

/* Threads that fill, read and give back the same few places. A block that one reads has the bytes of its place. */
#define PLACES 6
#define THREADS 4
#define ROUNDS 400

struct shared {
	struct ck_scratch *scratch;
	struct ck_block *places[PLACES];
	pthread_mutex_t making[PLACES];         /* as the archive has it: one fills, others wait */
};

static void *use(void *arg)
{
	struct shared *sh = arg;
	struct ck_error why = CK_ERROR_INIT;
	struct ck_block *b;

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned at = i * 7 % PLACES;

		pthread_mutex_lock(&sh->making[at]);
		b = ck_scratch_hold(sh->scratch, &sh->places[at]);
		if (!b) {
			b = filled(sh->scratch, 8 * KIB, (char)('a' + at), &why);
			if (b)
				ck_scratch_put(sh->scratch, b, &sh->places[at]);
		}
		CHECK(b && holds(b, 8 * KIB, (char)('a' + at)));
		ck_block_release(b);
		pthread_mutex_unlock(&sh->making[at]);
		if (i % 16 == 0)
			ck_scratch_tidy(sh->scratch);
	}
	return NULL;
}

static void threads_share_it(void)
{
	struct shared sh = { .scratch = ck_scratch_new(PLACES * 8 * KIB) };
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < PLACES; i++)
		pthread_mutex_init(&sh.making[i], NULL);
	for (unsigned i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, use, &sh) == 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < PLACES; i++) {
		ck_scratch_drop(sh.scratch, &sh.places[i]);
		pthread_mutex_destroy(&sh.making[i]);
	}
	ck_scratch_free(sh.scratch);
}

int main(void)
{
	RUN(blocks_do_not_overlap);
	RUN(dropping_gives_room_back);
	RUN(held_blocks_stay_and_the_budget_holds);
	RUN(without_a_directory_it_fails);
	RUN(threads_share_it);
	CHECK_EXIT();
}
