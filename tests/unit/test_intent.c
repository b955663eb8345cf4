/* The note of the files that are about to be renamed into a tag: written, read, carried out, taken back. */
#include "core/draft/intent.h"
#include "core/file/real.h"
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/test_intent.XXXXXX";
static char made[64], tag[64], note[64];
static bool shared;     /* as in a store where a file has another inode number after a while */

static const char *const names[] = { "optim_000500_rank0.pt", "meta_000500.json", "model_000500.pt" };
#define COUNT (sizeof(names) / sizeof(names[0]))

static const char *in(const char *dir, const char *name)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* Whether PATH holds TEXT; NULL: whether nothing is there. */
static bool has(const char *path, const char *text)
{
	char got[200] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return !text && errno == ENOENT;
	CHECK(read(fd, got, sizeof(got) - 1) >= 0);
	close(fd);
	return text && strcmp(got, text) == 0;
}

static bool is_in_place(const struct ck_intent *intent, size_t i)
{
	bool yes;

	CHECK(ck_intent_in_place(intent, i, &yes, NULL) == CK_OK);
	return yes;
}

/* The files, made anew, and the note of them as it comes back from the disk. */
static struct ck_intent begun(void)
{
	struct ck_intent in_memory = { .made = made, .tag = tag, .looked = true, .shared = shared }, read = in_memory;
	struct ck_file_name name;

	for (size_t i = 0; i < COUNT; i++) {
		unlink(in(tag, names[i]));
		unlink(in(made, names[i]));
		put(in(made, names[i]), names[i]);
		CHECK(ck_file_name_parse(names[i], &name) && ck_intent_add(&in_memory, &name, NULL) == CK_OK);
	}
	CHECK(ck_intent_save(&in_memory, note, NULL) == CK_OK && ck_intent_load(&read, note, NULL) == CK_OK);
	CHECK(in_memory.count == COUNT && read.count == COUNT);
	CHECK(memcmp(&read.files[0].ident, &in_memory.files[0].ident, sizeof(read.files[0].ident)) == 0);
	ck_intent_free(&in_memory);
	return read;
}

static void all_are_renamed(void)
{
	struct ck_intent intent = begun();

	CHECK(!is_in_place(&intent, 0));
	/* The second time there is nothing to do. */
	for (int i = 0; i < 2; i++) {
		CHECK(ck_intent_carry_out(&intent, NULL) == CK_OK);
		for (size_t k = 0; k < COUNT; k++)
			CHECK(is_in_place(&intent, k) && has(in(tag, names[k]), names[k]) && has(in(made, names[k]), NULL));
	}
	CHECK(ck_intent_take_back(&intent, NULL) == CK_OK);
	for (size_t k = 0; k < COUNT; k++)
		CHECK(has(in(tag, names[k]), NULL));
	ck_intent_free(&intent);
	CHECK(intent.count == 0);
}

/* However many renames came before the crash, what is left of them is done or undone. */
static void a_crash_between_two_renames(void)
{
	for (size_t done = 0; done <= COUNT; done++) {
		for (int finish = 0; finish < 2; finish++) {
			struct ck_intent intent = begun();
			char to[160];

			for (size_t k = 0; k < done; k++) {
				strcpy(to, in(tag, names[k]));
				if (shared) {
					put(to, names[k]);
					CHECK(unlink(in(made, names[k])) == 0);
				} else {
					CHECK(rename(in(made, names[k]), to) == 0);
				}
			}
			CHECK((finish ? ck_intent_carry_out(&intent, NULL) : ck_intent_take_back(&intent, NULL)) == CK_OK);
			for (size_t k = 0; k < COUNT; k++) {
				CHECK(has(in(tag, names[k]), finish ? names[k] : NULL));
				CHECK(has(in(made, names[k]), finish || k < done ? NULL : names[k]));
			}
			ck_intent_free(&intent);
		}
	}
}

static void another_file_of_the_name_stays(void)
{
	struct ck_intent intent = begun();
	struct ck_error err = CK_ERROR_INIT;

	put(in(tag, names[1]), "another's");
	CHECK(ck_intent_carry_out(&intent, &err) == CK_ERR_EXIST && strstr(err.text, names[1]));
	CHECK(has(in(tag, names[0]), names[0]) && has(in(tag, names[1]), "another's") && has(in(tag, names[2]), NULL));
	CHECK(!is_in_place(&intent, 1) && ck_intent_take_back(&intent, NULL) == CK_OK);
	CHECK(has(in(tag, names[0]), NULL) && has(in(tag, names[1]), "another's") && has(in(made, names[1]), names[1]));
	/* It was in place, and was saved again since: a file of the step all the same. */
	CHECK(unlink(in(made, names[1])) == 0);
	put(in(tag, names[0]), "saved again");
	CHECK(ck_intent_carry_out(&intent, NULL) == CK_OK);
	CHECK(has(in(tag, names[0]), "saved again") && has(in(tag, names[2]), names[2]));
	ck_intent_free(&intent);
}

/* Neither taken for the publication's own when that fails at once, nor when the next mount takes it back. */
static void the_same_bytes_of_another_stay(void)
{
	struct ck_file_name name;

	for (int crash = 0; crash < 2; crash++) {
		struct ck_intent read = begun(), in_memory = { .made = made, .tag = tag, .looked = true, .shared = shared };

		for (size_t i = 0; i < COUNT; i++)
			CHECK(ck_file_name_parse(names[i], &name) && ck_intent_add(&in_memory, &name, NULL) == CK_OK);
		put(in(tag, names[1]), names[1]);
		put(in(tag, names[2]), "another's");
		if (!crash)
			CHECK(ck_intent_carry_out(&in_memory, NULL) == CK_ERR_EXIST);
		CHECK(ck_intent_take_back(crash ? &read : &in_memory, NULL) == CK_OK);
		CHECK(has(in(tag, names[0]), NULL) && has(in(tag, names[1]), names[1]) && has(in(tag, names[2]), "another's"));
		CHECK(has(in(made, names[1]), names[1]) && has(in(made, names[2]), names[2]));
		ck_intent_free(&read);
		ck_intent_free(&in_memory);
	}
}

/* Between the link and the unlink that stand in for a rename. */
static void a_crash_with_two_names(void)
{
	struct ck_intent intent = begun();
	char to[160];

	strcpy(to, in(tag, names[0]));
	CHECK(link(in(made, names[0]), to) == 0);
	CHECK(ck_intent_take_back(&intent, NULL) == CK_OK);
	CHECK(has(in(tag, names[0]), NULL) && has(in(made, names[0]), names[0]));
	ck_intent_free(&intent);
}

static void a_file_that_is_nowhere(void)
{
	struct ck_intent intent = begun();
	struct ck_file_name name;

	CHECK(unlink(in(made, names[2])) == 0 && ck_intent_carry_out(&intent, NULL) == CK_ERR_NOENT);
	CHECK(has(in(tag, names[1]), names[1]) && ck_intent_take_back(&intent, NULL) == CK_OK);
	CHECK(ck_file_name_parse("model_000999.pt", &name) && ck_intent_add(&intent, &name, NULL) == CK_ERR_SYS);
	CHECK(intent.count == COUNT);
	ck_intent_free(&intent);
}

static void a_note_that_was_cut(void)
{
	struct ck_intent intent = begun(), cut = { .made = made, .tag = tag };
	struct stat st;
	size_t last = COUNT;

	ck_intent_free(&intent);
	CHECK(stat(note, &st) == 0);
	for (off_t len = st.st_size; len >= 0; len--) {
		CHECK(truncate(note, len) == 0 && ck_intent_load(&cut, note, NULL) == CK_OK);
		CHECK(cut.count == last || cut.count + 1 == last);
		last = cut.count;
		ck_intent_free(&cut);
	}
	CHECK(last == 0);
	/* A shorter note in the place of a longer one leaves nothing of it. */
	put(note, "1 2 3 model_000500.pt\n1 2 3 meta_000500.json\n");
	CHECK(ck_intent_save(&cut, note, NULL) == CK_OK && stat(note, &st) == 0 && st.st_size == 0);
	/* A line of something else ends the note; no note is no files. */
	put(note, "1 2 3 model_000500.pt\n1 2 3 ../model_000500.pt\n1 2 3 meta_000500.json\n");
	CHECK(ck_intent_load(&cut, note, NULL) == CK_OK && cut.count == 1 && cut.files[0].ident.mtime_ns == 3);
	ck_intent_free(&cut);
	CHECK(unlink(note) == 0 && ck_intent_load(&cut, note, NULL) == CK_OK && cut.count == 0);
	CHECK(symlink("/etc/passwd", note) == 0 && ck_intent_load(&cut, note, NULL) == CK_ERR_SYS);
	CHECK(ck_intent_save(&cut, note, NULL) == CK_ERR_SYS && unlink(note) == 0);
}

static void clear(void)
{
	for (size_t i = 0; i < COUNT; i++) {
		unlink(in(made, names[i]));
		unlink(in(tag, names[i]));
	}
	CHECK(rmdir(made) == 0 && rmdir(tag) == 0 && rmdir(root) == 0);
}

int main(void)
{
	CHECK(mkdtemp(root));
	snprintf(made, sizeof(made), "%s/made", root);
	snprintf(tag, sizeof(tag), "%s/tag", root);
	snprintf(note, sizeof(note), "%s/intent", root);
	CHECK(mkdir(made, 0700) == 0 && mkdir(tag, 0755) == 0);
	for (int i = 0; i < 2; i++) {
		shared = i;
		RUN(all_are_renamed);
		RUN(a_crash_between_two_renames);
		RUN(another_file_of_the_name_stays);
		RUN(the_same_bytes_of_another_stay);
		RUN(a_crash_with_two_names);
		RUN(a_file_that_is_nowhere);
		RUN(a_note_that_was_cut);
	}
	clear();
	CHECK_EXIT();
}
