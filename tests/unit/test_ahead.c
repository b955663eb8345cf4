/* Reading ahead: many readers of one file, in order and here and there, get its bytes, and none of them waits for ever. */
#include "core/file/ahead.h"
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SIZE ((uint64_t)4 << 30)
#define PIECE ((size_t)1 << 20)
#define PIECES ((size_t)24)     /* what is read in order */
#define READERS 24u
#define LONGEST_S 240           /* who isn't back by then hangs */

static struct ck_file *file;
static struct ck_ahead *ahead;
static atomic_uint_fast64_t wrong;
static atomic_uint reading, most_reading;
/* A store that has one stream for each open file: a read takes longer beside another, or elsewhere. */
static atomic_bool seeks;
static atomic_long slower_us;
static atomic_uint_fast64_t stream_at;

static uint64_t word_at(uint64_t offset) { return (offset / 8 + 1) * 6364136223846793005u; }

/* The bytes of the file at OFFSET. */
static void fill(uint64_t offset, uint8_t *buf, size_t len)
{
	uint64_t word = word_at(offset);

	for (size_t i = 0; i < len; i++, offset++) {
		if (offset % 8 == 0)
			word = word_at(offset);
		buf[i] = (uint8_t)(word >> 8 * (offset % 8));
	}
}

/* The store's reads: all of the program's are. */
ssize_t pread64(int fd, void *buf, size_t len, off64_t at)
{
	const unsigned now = atomic_fetch_add(&reading, 1) + 1;
	unsigned most = atomic_load(&most_reading);
	long us = atomic_load(&slower_us) + 300 + (long)((uint64_t)at / 4096 * 2654435761u % 1500);

	(void)fd;
	while (now > most && !atomic_compare_exchange_weak(&most_reading, &most, now))
		;
	if (atomic_load(&seeks) && (now > 1 || atomic_load(&stream_at) != (uint64_t)at))
		us += 2000;
	nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
	fill((uint64_t)at, buf, len);
	atomic_store(&stream_at, (uint64_t)at + len);
	atomic_fetch_sub(&reading, 1);
	return (ssize_t)len;
}

/* BUF has room for two pieces. */
static void read_at(uint64_t offset, size_t len, uint8_t *buf)
{
	struct ck_error err = CK_ERROR_INIT;

	if (len > SIZE - offset)
		len = (size_t)(SIZE - offset);
	fill(offset, buf + PIECE, len);
	if ((ck_ahead_read_now(ahead, file, offset, buf, len) && ck_ahead_read(ahead, file, offset, buf, len, &err)) ||
	    memcmp(buf, buf + PIECE, len) != 0)
		atomic_fetch_add(&wrong, 1);
}

/* Of four kinds, by its number: in order, as the kernel does by two threads; tensors in another order than the file's;
   large pieces here and there; small ones. */
static void *reader(void *arg)
{
	const unsigned number = *(unsigned *)arg;
	uint8_t *buf = malloc(2 * PIECE);
	uint64_t state = number + 1;

	for (size_t i = 0; i < PIECES; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		switch (number % 4) {
		case 0:
			read_at((2 * i + number / 4 % 2) % PIECES * PIECE, PIECE, buf);
			break;
		case 1:
			read_at((i / 8 * 8 + i % 8 * 3 % 8) * PIECE + 1000, PIECE - 1000, buf);
			break;
		case 2:
			read_at((state >> 33) % SIZE, ((size_t)64 << 10) + (state >> 20) % (PIECE - ((size_t)64 << 10)), buf);
			break;
		default:
			read_at((state >> 33) % SIZE, 1 + (state >> 20) % 8192, buf);
			break;
		}
		if (i % 8 == 0)
			ck_ahead_tidy(ahead);
	}
	free(buf);
	return NULL;
}

/* READERS threads, of all four kinds or, with ONLY below 4, of one. */
static void run_readers(unsigned only)
{
	pthread_t threads[READERS];
	unsigned numbers[READERS];

	ahead = ck_ahead_new(NULL);
	CHECK(ahead);
	atomic_store(&most_reading, 0);
	for (unsigned i = 0; i < READERS; i++) {
		numbers[i] = only < 4 ? 4 * i + only : i;
		CHECK(pthread_create(&threads[i], NULL, reader, &numbers[i]) == 0);
	}
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	ck_ahead_free(ahead);
	CHECK(atomic_load(&wrong) == 0);
}

static void all_kinds_of_readers_at_once(void)
{
	atomic_store(&seeks, false);
	for (int i = 0; i < 8; i++)
		run_readers(4);
}

static void the_same_of_a_store_that_seeks(void)
{
	atomic_store(&seeks, true);
	for (int i = 0; i < 4; i++)
		run_readers(4);
	run_readers(1);
}

static void readers_here_and_there_dont_wait_for_each_other(void)
{
	atomic_store(&seeks, false);
	/* Much longer than making the bytes takes, on two processors that have other work. */
	atomic_store(&slower_us, 30000);
	run_readers(2);
	CHECK(atomic_load(&most_reading) > READERS / 3);
}

int main(void)
{
	char path[] = "/tmp/test_ahead.XXXXXX";
	struct ck_error err = CK_ERROR_INIT;
	int fd = mkstemp(path);

	alarm(LONGEST_S);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)SIZE) == 0);
	unlink(path);
	CHECK(ck_file_from_fd(fd, "a file", &file, &err) == CK_OK);
	RUN(all_kinds_of_readers_at_once);
	RUN(the_same_of_a_store_that_seeks);
	RUN(readers_here_and_there_dont_wait_for_each_other);
	ck_file_unref(file);
	CHECK_EXIT();
}
