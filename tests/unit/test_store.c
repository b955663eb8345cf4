#include "core/tree/level.h"
#include "core/tree/store.h"
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory of its own for each test; every path below is relative to it. */
static char root[] = "/tmp/test_store.XXXXXX";
static char at[512];

static const char *path(const char *name)
{
	snprintf(at, sizeof(at), "%s/%s", root, name);
	return at;
}

static void make_dir(const char *name)
{
	CHECK(mkdir(path(name), 0755) == 0);
}

static void make_file(const char *name)
{
	int fd = open(path(name), O_CREAT | O_WRONLY, 0644);

	CHECK(fd >= 0);
	close(fd);
}

static void names_both_ways(void)
{
	static const struct {
		const char *name;
		struct ck_file_name n;
	} good[] = {
		{ "model_000500.pt", { CK_FILE_MODEL, 500, 0, false } },
		{ "model_000000.pt", { CK_FILE_MODEL, 0, 0, false } },
		{ "model_1234567.pt", { CK_FILE_MODEL, 1234567, 0, false } },
		{ "meta_000500.json", { CK_FILE_META, 500, 0, false } },
		{ "optim_000500_rank0.pt", { CK_FILE_OPTIM, 500, 0, false } },
		{ "optim_999999_rank12.pt", { CK_FILE_OPTIM, 999999, 12, false } },
		{ "optim_000500.pt", { CK_FILE_OPTIM, 500, 0, true } },
		{ "model_18446744073709551615.pt", { CK_FILE_MODEL, UINT64_MAX, 0, false } },
	};
	struct ck_file_name n;
	char buf[64];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CHECK(ck_file_name_parse(good[i].name, &n));
		CHECK(n.kind == good[i].n.kind && n.step == good[i].n.step && n.rank == good[i].n.rank &&
		      n.bare == good[i].n.bare);
		CHECK_STR(ck_file_name_format(&good[i].n, buf, sizeof(buf)), good[i].name);
	}
}

static void other_spellings_are_no_names(void)
{
	static const char *const bad[] = {
		"model_500.pt", "model_0000500.pt", "model_00050a.pt", "model_000500.pt.tmp", "model_000500",
		"model_.pt",
		"model_-00500.pt", "model_ 00500.pt", "model_+00500.pt", "Model_000500.pt", "model_000500.json",
		"meta_000500.pt", "optim_500.pt", "optim_000500_.pt", "optim_000500_rank.pt", "optim_000500_rank01.pt",
		"optim_000500_rank-1.pt", "optim_500_rank0.pt", "model_000500_rank0.pt", "",
		"model_18446744073709551616.pt",
		".model_000500.pt",
	};
	struct ck_file_name n;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (ck_file_name_parse(bad[i], &n)) {
			printf("FAIL: %s was taken\n", bad[i]);
			check_failures++;
		}
}

static void steps_both_ways(void)
{
	uint64_t step;
	char buf[32];

	CHECK(ck_step_parse("000500", &step) && step == 500);
	CHECK(ck_step_parse("1000000", &step) && step == 1000000);
	CHECK(!ck_step_parse("500", &step));
	CHECK(!ck_step_parse("0000500", &step));
	CHECK(!ck_step_parse("000500.partial", &step));
	CHECK(!ck_step_parse("", &step));
	CHECK_STR(ck_step_format(500, buf, sizeof(buf)), "000500");
	CHECK_STR(ck_step_format(1000000, buf, sizeof(buf)), "1000000");
}

/* Which level PATH is taken for; SURE as ck_level_detect's FOUND. */
static enum ck_level level_of(const char *name, bool sure)
{
	struct ck_error err = CK_ERROR_INIT;
	enum ck_level level = CK_LEVEL_BASE;
	bool found = !sure;

	CHECK(ck_level_detect(path(name), &level, &found, &err) == CK_OK);
	CHECK(found == sure);
	return level;
}

static void levels_are_detected(void)
{
	make_dir("detect");
	CHECK(level_of("detect", false) == CK_LEVEL_BASE);
	make_file("detect/meta_000001.json");
	make_dir("detect/.git");
	make_file("detect/.git/model_000001.pt");
	CHECK(level_of("detect", false) == CK_LEVEL_BASE);
	make_dir("detect/d12");
	make_file("detect/d12/model_1.pt");
	make_dir("detect/d12/model_000001.pt");
	CHECK(level_of("detect", false) == CK_LEVEL_BASE);
	make_file("detect/d12/model_000002.pt");
	CHECK(level_of("detect", true) == CK_LEVEL_SOURCE);
	make_dir("detect/model_000002.pt");
	make_file("detect/model_1.pt");
	CHECK(level_of("detect", true) == CK_LEVEL_SOURCE);
	CHECK(symlink("meta_000001.json", path("detect/model_000001.pt")) == 0);
	CHECK(level_of("detect", true) == CK_LEVEL_TAG);
	make_file("detect/base_checkpoints");
	CHECK(level_of("detect", true) == CK_LEVEL_TAG);
	CHECK(symlink("d12", path("detect/chatrl_checkpoints")) == 0);
	CHECK(level_of("detect", true) == CK_LEVEL_BASE);
}

static void young_stores_are_detected(void)
{
	make_dir("young");
	make_dir("young/tokenizer");
	CHECK(level_of("young", true) == CK_LEVEL_BASE);
	make_dir("young/mid_checkpoints");
	CHECK(level_of("young", true) == CK_LEVEL_BASE);
	CHECK(level_of("young/mid_checkpoints", true) == CK_LEVEL_SOURCE);
	CHECK(level_of("young/mid_checkpoints/", true) == CK_LEVEL_SOURCE);
	make_dir("young/mid_checkpoints/d4");
	CHECK(level_of("young/mid_checkpoints/d4", false) == CK_LEVEL_BASE);
	make_dir("young/mid_checkpoints/d4/.ckptfs");
	CHECK(level_of("young/mid_checkpoints/d4", true) == CK_LEVEL_TAG);
	make_dir("shards");
	make_file("shards/optim_500.pt");
	CHECK(level_of("shards", false) == CK_LEVEL_BASE);
	make_file("shards/optim_000500.pt");
	CHECK(level_of("shards", true) == CK_LEVEL_TAG);
}

static void missing_directories_are_told(void)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_names names = { 0 };
	enum ck_level level;
	uint64_t *steps;
	bool found;
	size_t count;

	CHECK(ck_level_detect(path("none"), &level, &found, &err) == CK_ERR_SYS);
	CHECK(err.code == CK_ERR_SYS && err.sys == ENOENT && strstr(err.file, "none"));
	CHECK(ck_store_tags(path("none"), &names, NULL) == CK_ERR_SYS);
	CHECK(ck_store_steps(path("none"), &steps, &count, NULL) == CK_ERR_SYS);
	CHECK(ck_store_ranks(path("none"), 1, &steps, &count, NULL) == CK_ERR_SYS);
}

static void steps_and_ranks_are_listed(void)
{
	static const char *const files[] = {
		"model_000500.pt", "model_1000000.pt", "model_000020.pt", "model_9.pt", "meta_000777.json",
		"model_000888.pt.tmp", "optim_000500_rank10.pt", "optim_000500_rank2.pt", "optim_000500_rank0.pt",
		"optim_000020_rank5.pt",
	};
	struct ck_error err = CK_ERROR_INIT;
	uint64_t *list = NULL;
	size_t count = 0;
	char name[64];

	make_dir("tag");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(name, sizeof(name), "tag/%s", files[i]);
		make_file(name);
	}
	make_dir("tag/model_000999.pt");
	CHECK(symlink("gone", path("tag/model_000998.pt")) == 0);

	CHECK(ck_store_steps(path("tag"), &list, &count, &err) == CK_OK);
	CHECK(count == 3 && list[0] == 20 && list[1] == 500 && list[2] == 1000000);
	free(list);
	CHECK(ck_store_ranks(path("tag"), 500, &list, &count, &err) == CK_OK);
	CHECK(count == 3 && list[0] == 0 && list[1] == 2 && list[2] == 10);
	free(list);
	CHECK(ck_store_ranks(path("tag"), 1000000, &list, &count, &err) == CK_OK);
	CHECK(count == 0);
	free(list);
}

static void set_mtime(const char *name, time_t seconds)
{
	struct timespec times[2] = { { .tv_sec = seconds }, { .tv_sec = seconds } };

	CHECK(utimensat(AT_FDCWD, path(name), times, 0) == 0);
}

static void check_names(const struct ck_names *names, const char *const *want, size_t count)
{
	CHECK(names->count == count);
	for (size_t i = 0; i < count && i < names->count; i++)
		CHECK_STR(names->names[i], want[i]);
}

static void tags_are_listed_and_ranked(void)
{
	static const char *const dirs[] = {
		"d12", "d12_long", "d012", "d2", "d20x", "d99999999999999999999999", "d100000000000000000000000", "d",
		"dx7", "old", "new", "D50", "d0", ".hidden",
	};
	/* strcmp order. */
	static const char *const sorted[] = {
		"D50", "d", "d0", "d012", "d100000000000000000000000", "d12", "d12_long", "d2", "d20x",
		"d99999999999999999999999", "dx7", "link", "new", "old",
	};
	/* int(): 10^23, 99999999999999999999999, 20, 12 (the exact name, then by name), 2, 0; the rest by mtime. */
	static const char *const ranked[] = {
		"d100000000000000000000000", "d99999999999999999999999", "d20x", "d12", "d012", "d12_long", "d2", "d0",
		"new", "D50", "dx7", "d", "link", "old",
	};
	struct ck_error err = CK_ERROR_INIT;
	struct ck_names tags = { 0 };
	char name[64];

	make_dir("source");
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(name, sizeof(name), "source/%s", dirs[i]);
		make_dir(name);
		set_mtime(name, 1000);
	}
	CHECK(symlink("old", path("source/link")) == 0);
	CHECK(symlink("nowhere", path("source/d77")) == 0);
	make_file("source/d88");
	set_mtime("source/new", 5000);
	set_mtime("source/D50", 4000);
	set_mtime("source/dx7", 3000);
	set_mtime("source/d", 2000);
	set_mtime("source/d2", 9000);

	CHECK(ck_store_tags(path("source"), &tags, &err) == CK_OK);
	check_names(&tags, sorted, sizeof(sorted) / sizeof(sorted[0]));
	CHECK(ck_store_rank_tags(path("source"), &tags, &err) == CK_OK);
	check_names(&tags, ranked, sizeof(ranked) / sizeof(ranked[0]));
	CHECK(ck_store_rank_tags(path("none"), &tags, &err) == CK_ERR_SYS);
	check_names(&tags, ranked, sizeof(ranked) / sizeof(ranked[0]));
	ck_names_free(&tags);
	CHECK(tags.count == 0 && !tags.names);
}

static void sources_are_nanochats(void)
{
	CHECK_STR(ck_sources[0].dir, "base_checkpoints");
	CHECK_STR(ck_sources[1].dir, "chatsft_checkpoints");
	CHECK_STR(ck_sources[2].dir, "chatrl_checkpoints");
	CHECK_STR(ck_sources[3].dir, "mid_checkpoints");
	CHECK(ck_sources[0].always && ck_sources[1].always && ck_sources[2].always && !ck_sources[3].always);
}

int main(void)
{
	char command[64];

	if (!mkdtemp(root))
		return 1;
	RUN(names_both_ways);
	RUN(other_spellings_are_no_names);
	RUN(steps_both_ways);
	RUN(levels_are_detected);
	RUN(young_stores_are_detected);
	RUN(missing_directories_are_told);
	RUN(steps_and_ranks_are_listed);
	RUN(tags_are_listed_and_ranked);
	RUN(sources_are_nanochats);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	CHECK(system(command) == 0);
	CHECK_EXIT();
}
