/*
 * replay FILE... - a target without libFuzzer: gives it each file once. Links with any fuzz_*.c, needs no clang.
 */
#include "fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Only targets with a mutator of their own ask for it, and only libFuzzer calls that. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
	(void)data;
	return size < max_size ? size : max_size;
}

static void replay(const char *path)
{
	struct ck_file *file;
	char *data;
	size_t len;

	fprintf(stderr, "%s\n", path);
	MUST(ck_file_open(path, &file, NULL) == CK_OK);
	MUST(ck_file_load(file, (size_t)64 << 20, &data, &len, NULL) == CK_OK);
	/* In a block of its own size, so that a sanitizer sees a read past it. */
	LLVMFuzzerTestOneInput((const uint8_t *)data, len);
	free(data);
	ck_file_unref(file);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	return 0;
}
