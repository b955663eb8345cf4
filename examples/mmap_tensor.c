/*
 * mmap_tensor FILE.npy - maps a tensor and looks at its elements, with nothing but libc:
 *
 *	cc -O2 -o mmap_tensor examples/mmap_tensor.c
 *	./mmap_tensor mnt/base/d12/latest/model/lm_head.weight.npy
 *
 * A .npy file is the magic "\x93NUMPY", two bytes of version, the length of a header (two bytes, from version 2 on four), the header, which is a
 * Python dict in text and padded so that the elements start at a multiple of 64, and the elements. For little-endian machines.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct npy {
	char *header;           /* a copy, NUL-terminated */
	const uint8_t *data;
	size_t nbytes;
};

static double load_f4(const uint8_t *at) { float v; memcpy(&v, at, sizeof(v)); return v; }
static double load_f8(const uint8_t *at) { double v; memcpy(&v, at, sizeof(v)); return v; }
static double load_i4(const uint8_t *at) { int32_t v; memcpy(&v, at, sizeof(v)); return v; }
static double load_i8(const uint8_t *at) { int64_t v; memcpy(&v, at, sizeof(v)); return (double)v; }
static double load_u1(const uint8_t *at) { return *at; }

/* bfloat16, as a mount with device=cuda shows it: the upper half of a float. */
static double load_bf16(const uint8_t *at)
{
	uint32_t bits = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 24;
	float v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

static const struct {
	const char *descr;
	size_t width;
	double (*load)(const uint8_t *at);
} types[] = {
	{ "'<f4'", 4, load_f4 }, { "'<f8'", 8, load_f8 }, { "'<V2'", 2, load_bf16 },
	{ "'<i4'", 4, load_i4 }, { "'<i8'", 8, load_i8 }, { "'|u1'", 1, load_u1 },
};

/* Finds header and elements in the SIZE bytes at MAP. False where they are no .npy file. */
static int parse(const uint8_t *map, size_t size, struct npy *out)
{
	size_t start, len;

	if (size < 12 || memcmp(map, "\x93NUMPY", 6) != 0 || map[6] < 1 || map[6] > 3)
		return 0;
	start = map[6] == 1 ? 10 : 12;
	len = (size_t)map[8] | (size_t)map[9] << 8;
	if (map[6] > 1)
		len |= (size_t)map[10] << 16 | (size_t)map[11] << 24;
	if (len > size - start)
		return 0;
	out->header = strndup((const char *)map + start, len);
	out->data = map + start + len;
	out->nbytes = size - start - len;
	return out->header != NULL;
}

static int print_mean(const struct npy *npy)
{
	const char *descr = strstr(npy->header, "'descr': "), *shape = strstr(npy->header, "'shape': ");
	double sum = 0;
	size_t i, k, n;

	if (!descr || !shape)
		return 0;
	descr += strlen("'descr': ");
	shape += strlen("'shape': ");
	for (i = 0; i < sizeof(types) / sizeof(*types) && strncmp(descr, types[i].descr, strlen(types[i].descr)) != 0; i++)
		;
	if (i == sizeof(types) / sizeof(*types))
		return 0;
	n = npy->nbytes / types[i].width;
	for (k = 0; k < n; k++)
		sum += types[i].load(npy->data + k * types[i].width);
	printf("%.5s  shape %.*s  %zu elements  mean %.9g\n", descr, (int)strcspn(shape, ")") + 1, shape, n, n ? sum / (double)n : 0);
	return 1;
}

int main(int argc, char **argv)
{
	struct npy npy = { 0 };
	struct stat st;
	void *map;
	int fd, ok;

	if (argc != 2) {
		fprintf(stderr, "usage: mmap_tensor FILE.npy\n");
		return 2;
	}
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		perror(argv[1]);
		return 1;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED) {
		perror(argv[1]);
		return 1;
	}
	ok = parse(map, (size_t)st.st_size, &npy) && print_mean(&npy);
	if (!ok)
		fprintf(stderr, "%s: no .npy file of a type that this example knows\n", argv[1]);
	free(npy.header);
	munmap(map, (size_t)st.st_size);
	return ok ? 0 : 1;
}
