/* core/zip/archive.h and the files below it, on zips that tests/gen/make_zips.py writes with Python's zipfile and zlib. */
#include "core/file/scratch.h"
#include "core/zip/archive.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

static char dir[] = "/tmp/test_archive-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[sizeof(dir) + 64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static struct ck_archive *open_zip(const char *name, struct ck_error *err)
{
	struct ck_archive *archive = NULL;
	struct ck_file *file = NULL;

	if (!ck_file_open(path_of(name), &file, err))
		ck_archive_open(file, &archive, err);
	ck_file_unref(file);
	return archive;
}

static void finds_entries(void)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_archive *archive = open_zip("plain.pt", &err);
	const struct ck_entry *e;

	CHECK(archive);
	if (!archive)
		return;
	CHECK(ck_archive_count(archive) == 3);
	CHECK(ck_archive_find(archive, "data.pkl") == 0);
	CHECK(ck_archive_find(archive, "data/0") == 1);
	CHECK(ck_archive_find(archive, "version") == 2);
	CHECK(ck_archive_find(archive, "data/00") == -1);
	CHECK(ck_archive_find(archive, "archive/data.pkl") == -1);
	CHECK(ck_archive_find(archive, "") == -1);
	e = ck_archive_entry(archive, 1);
	CHECK_STR(e->name, "data/0");
	CHECK(e->size == 64 && e->stored_size == 64 && e->method == 0);
	CHECK(e->header_offset == 30 + 16 + 6);  /* behind a header, "archive/data.pkl" and 6 bytes of pickle */
	ck_archive_unref(ck_archive_ref(archive));
	ck_archive_unref(archive);
}

static void loads(void)
{
	static const char *const names[] = { "plain.pt", "deflated.pt" };

	for (size_t i = 0; i < 2; i++) {
		struct ck_error err = CK_ERROR_INIT;
		struct ck_archive *archive = open_zip(names[i], &err);
		char *data = NULL;
		size_t len = 0;

		CHECK(archive);
		if (!archive)
			continue;
		CHECK(ck_archive_load(archive, 0, 5, &data, &len, &err) == CK_ERR_LIMIT);
		CHECK_STR(err.text, "6 bytes; at most 5 are read");
		CHECK_STR(err.subject, "data.pkl");
		CHECK(ck_archive_load(archive, 0, 6, &data, &len, NULL) == CK_OK);
		CHECK(len == 6 && data && memcmp(data, "\x80\x02}q\0.", 7) == 0);
		free(data);
		ck_archive_unref(archive);
	}
}

static void check_pattern(const struct ck_file *file, uint64_t offset, size_t size)
{
	unsigned char *data = malloc(size);

	CHECK(data && ck_file_read(file, offset, data, size, NULL) == CK_OK);
	for (size_t i = 0; data && i < size; i++)
		if (data[i] != (unsigned char)i) {
			CHECK(data[i] == (unsigned char)i);
			break;
		}
	free(data);
}

static int locate(struct ck_archive *archive, size_t i, struct ck_file **file, uint64_t *offset, struct ck_error *err)
{
	struct ck_origin origin = { 0 };
	int rc = ck_archive_locate(archive, i, &origin, err);

	*file = origin.file;
	*offset = origin.byte;
	ck_origin_release(&origin);
	return rc;
}

/* data/1 of deflated.pt is bytes(range(256)) * 999. */
static void inflates_once(void)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_archive *archive = open_zip("deflated.pt", &err);
	struct ck_file *file, *again;
	uint64_t offset;
	size_t i;

	CHECK(archive);
	if (!archive)
		return;
	i = (size_t)ck_archive_find(archive, "data/1");
	CHECK(locate(archive, i, &file, &offset, &err) == CK_OK);
	CHECK(file != ck_archive_file(archive));
	check_pattern(file, offset, 256 * 999);
	CHECK(locate(archive, i, &again, &offset, &err) == CK_OK);
	CHECK(again == file && ck_file_verify(file, &err) == CK_OK);
	CHECK(locate(archive, (size_t)ck_archive_find(archive, "data/2"), &file, &offset, &err) == CK_OK);
	ck_archive_unref(archive);
}

struct racer {
	pthread_t thread;
	struct ck_archive *archive;
	struct ck_file *files[8];
	uint64_t offsets[8];
};

static void *race(void *arg)
{
	struct racer *r = arg;

	for (size_t i = 0; i < ck_archive_count(r->archive) && i < 8; i++)
		locate(r->archive, i, &r->files[i], &r->offsets[i], NULL);
	return NULL;
}

static void threads_agree(void)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_archive *archive = open_zip("deflated.pt", &err);
	struct racer racers[4] = { 0 };

	CHECK(archive);
	if (!archive)
		return;
	for (size_t i = 0; i < 4; i++) {
		racers[i].archive = archive;
		CHECK(pthread_create(&racers[i].thread, NULL, race, &racers[i]) == 0);
	}
	for (size_t i = 0; i < 4; i++)
		pthread_join(racers[i].thread, NULL);
	for (size_t i = 1; i < 4; i++) {
		CHECK(memcmp(racers[0].files, racers[i].files, sizeof(racers[0].files)) == 0);
		CHECK(memcmp(racers[0].offsets, racers[i].offsets, sizeof(racers[0].offsets)) == 0);
	}
	ck_archive_unref(archive);
}

/* What libzip reads of each stored entry lies where ck_archive_locate() says. */
static void libzip_reads_there(void)
{
	static const char *const names[] = { "plain.pt", "padding.pt", "descriptor.pt", "zip64-sizes.pt",
					     "zip64-offset.pt", "long-name.pt" };

	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		struct ck_error err = CK_ERROR_INIT;
		struct ck_archive *archive = open_zip(names[n], &err);
		zip_t *zip = zip_open(path_of(names[n]), ZIP_RDONLY, NULL);

		CHECK(archive && zip);
		for (size_t i = 0; archive && zip && i < ck_archive_count(archive); i++) {
			zip_file_t *entry = zip_fopen_index(zip, i, 0);
			char theirs[256], ours[256];
			zip_int64_t len = zip_fread(entry, theirs, sizeof(theirs));
			struct ck_file *file;
			uint64_t offset;

			CHECK(len >= 0 && (uint64_t)len == ck_archive_entry(archive, i)->size);
			CHECK(locate(archive, i, &file, &offset, &err) == CK_OK);
			CHECK(ck_file_read(file, offset, ours, (size_t)len, &err) == CK_OK);
			CHECK(memcmp(ours, theirs, (size_t)len) == 0);
			zip_fclose(entry);
		}
		if (zip)
			zip_discard(zip);
		ck_archive_unref(archive);
	}
}

/* A bad entry is found when it is asked for, says the same each time, and leaves the others alone. */
static void refusals_are_remembered(void)
{
	struct ck_error err = CK_ERROR_INIT, again = CK_ERROR_INIT;
	struct ck_archive *archive = open_zip("local-name-longer.pt", &err);
	struct ck_file *file;
	uint64_t offset;
	size_t i;

	CHECK(archive);
	if (!archive)
		return;
	i = (size_t)ck_archive_find(archive, "a");
	CHECK(locate(archive, i, &file, &offset, NULL) == CK_ERR_CORRUPT);
	CHECK(locate(archive, i, &file, &offset, &err) == CK_ERR_CORRUPT);
	CHECK(locate(archive, i, &file, &offset, &again) == CK_ERR_CORRUPT);
	CHECK_STR(err.file, path_of("local-name-longer.pt"));
	CHECK_STR(err.subject, "a");
	CHECK(memcmp(&err, &again, sizeof(err)) == 0);
	CHECK(locate(archive, 0, &file, &offset, NULL) == CK_OK);
	ck_archive_unref(archive);
}

static void no_room_is_not_remembered(void)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_archive *archive = open_zip("deflated.pt", &err);
	struct ck_file *file;
	uint64_t offset;

	CHECK(archive);
	if (!archive)
		return;
	setenv("TMPDIR", "/nonexistent", 1);
	CHECK(locate(archive, 1, &file, &offset, &err) == CK_ERR_SYS);
	CHECK(err.sys == ENOENT);
	setenv("TMPDIR", dir, 1);
	CHECK(locate(archive, 1, &file, &offset, NULL) == CK_OK);
	unsetenv("TMPDIR");
	ck_archive_unref(archive);
}

/* A rewrite in place is told from a corrupt file, and nothing of it is remembered as the entry's fault. */
static void rewrites_are_changes(void)
{
	struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	struct ck_error err = CK_ERROR_INIT;
	struct ck_archive *archive;
	struct ck_file *file;
	uint64_t offset;
	int fd;

	archive = open_zip("only-pickle.pt", &err);
	fd = open(path_of("only-pickle.pt"), O_WRONLY);
	CHECK(archive && fd >= 0);
	if (!archive || fd < 0)
		return;
	CHECK(pwrite(fd, "XX", 2, 0) == 2 && futimens(fd, times) == 0);
	CHECK(locate(archive, 0, &file, &offset, &err) == CK_ERR_CHANGED);
	CHECK(ftruncate(fd, 3) == 0);
	ck_error_clear(&err);
	CHECK(locate(archive, 0, &file, &offset, &err) == CK_ERR_CHANGED);
	close(fd);
	ck_archive_unref(archive);
}

/* A zip tool may write a name a second time, in an extra field; a name that is the same says nothing new. */
static void second_names_agree(void)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_archive *archive = open_zip("unicode-path-same.pt", &err);

	CHECK(archive && ck_archive_find(archive, "a") == 3);
	ck_archive_unref(archive);
	CHECK(!open_zip("unicode-path.pt", &err));
	CHECK(err.code == CK_ERR_CORRUPT);
	CHECK_STR(err.text, "its Unicode path extra field has another name");
	CHECK_STR(err.subject, "archive/a");
}

/* The last end of a central directory is the zip's, not one that a tensor's bytes hold. */
static void ends_in_data_are_data(void)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_archive *archive = open_zip("end-in-data.pt", &err);

	CHECK(archive && ck_archive_count(archive) == 4);
	ck_archive_unref(archive);
}

static void no_zip_is_named(void)
{
	struct ck_error err = CK_ERROR_INIT;

	CHECK(!open_zip("legacy.pt", &err));
	CHECK(err.code == CK_ERR_UNSUPPORTED);
	ck_error_clear(&err);
	CHECK(!open_zip("cut-08.pt", &err));
	CHECK(err.code == CK_ERR_CORRUPT);
	CHECK_STR(err.text, "no end of central directory: the file is truncated or half-written");
	CHECK(!open_zip("empty.pt", NULL));
}

int main(void)
{
	char command[256];

	if (!mkdtemp(dir))
		return 1;
	snprintf(command, sizeof(command), "python3 tests/gen/make_zips.py %s good no_zips names fields unrecorded", dir);
	if (system(command) != 0)
		return 1;
	RUN(finds_entries);
	RUN(loads);
	RUN(inflates_once);
	RUN(threads_agree);
	RUN(libzip_reads_there);
	RUN(refusals_are_remembered);
	RUN(no_room_is_not_remembered);
	RUN(second_names_agree);
	RUN(ends_in_data_are_data);
	RUN(no_zip_is_named);
	RUN(rewrites_are_changes);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		return 1;
	CHECK_EXIT();
}
