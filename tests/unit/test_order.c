/* The order in which a draft's files were made: as the journal tells it, whatever was renamed or cut. */
#include "core/draft/order.h"
#include "check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/test_order.XXXXXX";

static const char *path(const char *name)
{
	static char text[300];

	snprintf(text, sizeof(text), "%s/%s", root, name);
	return text;
}

static void forget(void)
{
	CHECK(unlink(path("order")) == 0);
}

static void made(const char *name)
{
	CHECK(ck_order_append(root, name, NULL) == CK_OK);
}

static void renamed(const char *from, const char *to)
{
	CHECK(ck_order_rename(root, from, to, NULL) == CK_OK);
}

/* The NAMES in the directory SUB, which come sorted by name, one blank between them, are WANT in order. */
static void in_order(const char *sub, const char *names, const char *want, int line)
{
	char text[300], *list[40], got[300] = "";
	struct ck_names sorted = { .names = list };

	strcpy(text, names);
	for (char *name = strtok(text, " "); name; name = strtok(NULL, " "))
		list[sorted.count++] = name;
	CHECK(ck_order_sort(root, sub, &sorted, NULL) == CK_OK);
	for (size_t i = 0; i < sorted.count; i++)
		sprintf(got + strlen(got), "%s%s", i ? " " : "", sorted.names[i]);
	if (strcmp(got, want) != 0) {
		printf("FAIL line %d: got %s, want %s\n", line, got, want);
		check_failures++;
	}
}

#define ORDER(sub, names, want) in_order(sub, names, want, __LINE__)

static void as_made(void)
{
	ORDER("model", "a b c", "a b c");       /* no journal: by name */
	made("model/c");
	made("meta.json");
	made("model/a");
	made("model/b");
	ORDER("model", "a b c", "c a b");
	ORDER("model", "a b c d e", "c a b d e");
	ORDER("", "meta.json model.pt", "meta.json model.pt");
	ORDER("optim/rank0", "a b c", "a b c");
	ORDER("mode", "a b c", "a b c");
	ORDER("model", "", "");
	/* Removed and made again: the last time counts. */
	made("model/c");
	ORDER("model", "a b c", "a b c");
	forget();
}

static void renames_keep_the_place(void)
{
	made("model/a.tmp");
	made("model/b.tmp");
	made("model/c");
	renamed("model/b.tmp", "model/b");
	renamed("model/a.tmp", "model/z");
	ORDER("model", "b c z", "z b c");
	/* Its old name was given to another since. */
	made("model/a.tmp");
	ORDER("model", "a.tmp b c z", "z b c a.tmp");
	/* Two that swap their names. */
	renamed("model/z", "model/tmp");
	renamed("model/c", "model/z");
	renamed("model/tmp", "model/c");
	ORDER("model", "a.tmp b c z", "c b z a.tmp");
	/* Renamed over another: one file is left, the one that was renamed. */
	renamed("model/a.tmp", "model/c");
	ORDER("model", "b c z", "b z c");
	forget();
	/* A file that was made under the old name, and not noted, is the later one. */
	made("model/b");
	renamed("model/b", "model/c");
	ORDER("model", "b c", "c b");
	forget();
}

static void directories_are_renamed_with_their_files(void)
{
	made("optim/rank1/b");
	made("optim/rank1/a");
	renamed("optim/rank1", "optim/rank3");
	made("optim/rank3/0");
	made("optim/rank1/a");
	made("optim/rank1/b");
	ORDER("optim/rank3", "0 a b", "b a 0");
	ORDER("optim/rank1", "a b", "a b");
	renamed("optim", "o");
	ORDER("o/rank3", "0 a b", "b a 0");
	ORDER("o/rank1", "a b", "a b");
	/* Moved in from another directory: made when it came. */
	renamed("o/rank1/a", "o/rank3/c");
	ORDER("o/rank3", "0 a b c", "b a 0 c");
	forget();
}

static void a_cut_record_spoils_no_other(void)
{
	static const char cut[] = "\0cmodel/hal";
	int fd;

	made("model/b");
	fd = open(path("order"), O_WRONLY | O_APPEND);
	CHECK(write(fd, cut, sizeof(cut) - 1) == sizeof(cut) - 1);
	close(fd);
	made("model/a");
	ORDER("model", "a b half", "b a half");
	/* Nor do bytes that are no record. */
	fd = open(path("order"), O_WRONLY | O_APPEND);
	CHECK(write(fd, "\0\0rmodel/a\0q", 12) == 12);
	close(fd);
	made("model/0");
	ORDER("model", "0 a b", "b a 0");
	forget();
}

/* More than one read of the journal takes in, with records across every border. */
static void a_long_journal(void)
{
	char name[64], *list[5000];
	struct ck_names names = { .names = list, .count = 5000 };

	for (int i = 0; i < 5000; i++) {
		sprintf(name, "model/%040d.npy", 4999 - i);
		made(name);
		CHECK((list[i] = malloc(64)) != NULL);
		sprintf(list[i], "%040d.npy", i);
	}
	CHECK(ck_order_sort(root, "model", &names, NULL) == CK_OK);
	for (int i = 0; i < 5000; i++) {
		sprintf(name, "%040d.npy", 4999 - i);
		CHECK(strcmp(list[i], name) == 0);
		free(list[i]);
	}
	forget();
}

static void what_a_kill_left_unnoted_is_noted(void)
{
	static const char *const files[] = { "files/model/a", "files/model/b", "files/model/c" };
	struct stat st, again;

	CHECK(ck_order_complete(root, "model", NULL) == CK_OK && access(path("order"), F_OK) < 0);
	CHECK(mkdir(path("files"), 0700) == 0 && mkdir(path("files/model"), 0700) == 0);
	for (int i = 0; i < 3; i++)
		close(open(path(files[i]), O_CREAT | O_WRONLY, 0600));
	made("model/c");
	CHECK(ck_order_complete(root, "model", NULL) == CK_OK && stat(path("order"), &st) == 0);
	CHECK(ck_order_complete(root, "model", NULL) == CK_OK && stat(path("order"), &again) == 0);
	CHECK(st.st_size == again.st_size);
	made("model/0");
	ORDER("model", "0 a b c", "c a b 0");
	CHECK(ck_order_sync(root, NULL) == CK_OK);
	forget();
	CHECK(ck_order_sync(root, NULL) == CK_OK);
	for (int i = 0; i < 3; i++)
		CHECK(unlink(path(files[i])) == 0);
	CHECK(rmdir(path("files/model")) == 0 && rmdir(path("files")) == 0);
}

static void no_link_is_followed(void)
{
	CHECK(symlink("elsewhere", path("order")) == 0);
	CHECK(ck_order_append(root, "model/a", NULL) == CK_ERR_SYS && access(path("elsewhere"), F_OK) < 0);
	forget();
}

int main(void)
{
	CHECK(mkdtemp(root));
	RUN(as_made);
	RUN(renames_keep_the_place);
	RUN(directories_are_renamed_with_their_files);
	RUN(a_cut_record_spoils_no_other);
	RUN(a_long_journal);
	RUN(what_a_kill_left_unnoted_is_noted);
	RUN(no_link_is_followed);
	CHECK(rmdir(root) == 0);
	CHECK_EXIT();
}
