/* Publishing where an earlier try had got as far as the renames: the next one finishes it. */
#include "core/draft/intent.h"
#include "core/draft/publish.h"
#include "core/file/real.h"
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char tag[] = "/tmp/test_publish.XXXXXX";

static const char *at(const char *name)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/%s", tag, name);
	return path;
}

static void put(const char *name)
{
	int fd = open(at(name), O_CREAT | O_EXCL | O_WRONLY, 0644);

	CHECK(fd >= 0 && write(fd, name, strlen(name)) == (ssize_t)strlen(name));
	close(fd);
}

static void move(const char *from, const char *to)
{
	char old[160];

	strcpy(old, at(from));
	CHECK(rename(old, at(to)) == 0);
}

static bool is_there(const char *name) { return access(at(name), F_OK) == 0; }

/* The draft of step 600, whose files are made and whose intent is written. */
static void begin(void)
{
	static const char *const dirs[] = { ".ckptfs", ".ckptfs/000600", ".ckptfs/000600/files", ".ckptfs/000600/publish" };
	static const char *const names[] = { "meta_000600.json", "model_000600.pt" };
	char made[160], intent[160], name[160];
	struct ck_intent in = { .made = made, .tag = tag };
	struct ck_file_name file;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		CHECK(mkdir(at(dirs[i]), 0755) == 0 || errno == EEXIST);
	put(".ckptfs/000600/files/meta.json");
	put(".ckptfs/000600/files/model.pt");
	strcpy(made, at(".ckptfs/000600/publish"));
	strcpy(intent, at(".ckptfs/000600/intent"));
	for (size_t i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), ".ckptfs/000600/publish/%s", names[i]);
		put(name);
		CHECK(ck_file_name_parse(names[i], &file) && ck_intent_add(&in, &file, NULL) == CK_OK);
	}
	CHECK(ck_intent_save(&in, intent, NULL) == CK_OK);
	ck_intent_free(&in);
}

static int publish(void)
{
	char dir[160];

	strcpy(dir, at(".ckptfs/000600"));
	return ck_publish(tag, dir, CK_DRAFT_STEP, 600, -1, 0, NULL, NULL);
}

/* The step is there, and the draft isn't. */
static void is_published(void)
{
	CHECK(is_there("model_000600.pt") && is_there("meta_000600.json"));
	CHECK(!is_there(".ckptfs/000600") && !is_there(".ckptfs/000600.trash"));
	CHECK(publish() == CK_ERR_STALE);
	CHECK(unlink(at("model_000600.pt")) == 0 && unlink(at("meta_000600.json")) == 0);
}

static void test_all_in_place(void)
{
	begin();
	move(".ckptfs/000600/publish/meta_000600.json", "meta_000600.json");
	move(".ckptfs/000600/publish/model_000600.pt", "model_000600.pt");
	CHECK(publish() == CK_OK);
	is_published();
}

/* The disk knew of the last rename alone. */
static void test_the_model_in_place(void)
{
	begin();
	move(".ckptfs/000600/publish/model_000600.pt", "model_000600.pt");
	CHECK(publish() == CK_OK);
	is_published();
}

/* Nothing was in place: it is taken back, and this draft is no step. */
static void test_nothing_in_place(void)
{
	begin();
	CHECK(publish() == CK_ERR_INVALID);
	CHECK(!is_there("model_000600.pt") && !is_there("meta_000600.json"));
	CHECK(is_there(".ckptfs/000600/files/model.pt") && !is_there(".ckptfs/000600/intent"));
	CHECK(!is_there(".ckptfs/000600/publish"));
}

int main(void)
{
	CHECK(mkdtemp(tag) != NULL);
	RUN(test_all_in_place);
	RUN(test_the_model_in_place);
	RUN(test_nothing_in_place);
	ck_remove_tree(tag);
	CHECK_EXIT();
}
