/*
 * core/serializer and core/zipsink: the layout, and what goes wrong. What torch makes of the files is the business of
 * tests/oracle/serializer_oracle.py.
 */
#include "core/file/scratch.h"
#include "core/pickle/pickle.h"
#include "core/pt/serializer.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define BIG ((3u << 20) + 5)            /* bytes of the larger tensor: it passes the buffers of both sides */
#define MANY 70000u                     /* entries that need a zip64 end record */

/* A save of a list of all its tensors; what OPEN gives can be bent. */
struct fixture {
	struct ck_tensor tensors[2];
	int64_t shapes[2][3];
	struct ck_value items[2], root;
	struct ck_list list;
	struct ck_save save;
	int64_t extra;                  /* bytes by which the last view is longer than its tensor */
	enum ck_code fail;              /* OPEN of the last one fails with this */
	struct ck_file *changing;       /* the last view is this file, which is cut once the view is made */
	size_t opened;
};

static char *bytes_of(size_t i, size_t len)
{
	char *data = malloc(len + 1);

	for (size_t k = 0; k < len; k++)
		data[k] = (char)(k * 7 + k / 251 + i);
	return data;
}

static int open_bytes(void *arg, size_t i, struct ck_view **out, struct ck_error *err)
{
	struct fixture *f = arg;
	bool last = i + 1 == f->save.count;
	size_t len = (size_t)((int64_t)ck_tensor_nbytes(&f->tensors[i]) + (last ? f->extra : 0));
	char *data;
	int rc;

	CHECK(f->opened++ == i);
	if (last && f->fail)
		return ck_fail(err, f->fail, "bent");
	*out = ck_view_new();
	if (last && f->changing) {
		rc = ck_view_add_range(*out, f->changing, 0, len, err);
		CHECK(ftruncate(ck_file_fd(f->changing), (off_t)len / 2) == 0);
	} else {
		data = bytes_of(i, len);
		rc = ck_view_add_bytes(*out, data, len, err);
		free(data);
	}
	if (rc)
		ck_view_unref(*out);
	return rc;
}

static void set_up(struct fixture *f)
{
	*f = (struct fixture){ .shapes = { { 2, 3, 4 }, { BIG } } };
	f->tensors[0] = (struct ck_tensor){ .key = "first", .key_len = 5, .dtype = CK_F32, .ndim = 3,
					    .shape = f->shapes[0], .numel = 24 };
	f->tensors[1] = (struct ck_tensor){ .key = "last", .key_len = 4, .dtype = CK_U8, .ndim = 1,
					    .shape = f->shapes[1], .numel = BIG };
	for (int64_t i = 0; i < 2; i++)
		f->items[i] = (struct ck_value){ .kind = CK_TENSOR, .i = i };
	f->list = (struct ck_list){ .items = f->items, .len = 2, .cap = 2 };
	f->root = (struct ck_value){ .kind = CK_LIST, .list = &f->list };
	f->save = (struct ck_save){ .top = "model_000600", .root = &f->root, .tensors = f->tensors, .count = 2,
				    .open = open_bytes, .arg = f };
}

static int temporary(void)
{
	char name[] = "/tmp/test_serializer-XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);

	unlink(name);
	return fd;
}

/* Saves into an unlinked file and closes it. */
static int save(struct fixture *f, struct ck_error *err)
{
	int fd = temporary(), rc = ck_serialize(&f->save, fd, err);

	close(fd);
	return rc;
}

static struct ck_archive *archive_of(int fd)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_archive *archive = NULL;
	struct ck_file *file = NULL;

	if (!ck_file_from_fd(fd, "saved", &file, &err))
		ck_archive_open(file, &archive, &err);
	CHECK_STR(err.text, "");
	ck_file_unref(file);
	return archive;
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

static void check_entry(struct ck_archive *archive, size_t i, const char *name, const char *bytes, size_t size)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_file *file;
	uint64_t offset = 1;
	char *data = NULL;
	size_t len = 0;

	CHECK_STR(ck_archive_entry(archive, i)->name, name);
	CHECK(locate(archive, i, &file, &offset, &err) == CK_OK);
	CHECK(offset % 64 == 0);
	CHECK(ck_archive_load(archive, i, BIG, &data, &len, &err) == CK_OK);  /* checks the CRC, too */
	CHECK(len == size && (!bytes || memcmp(data, bytes, len) == 0));
	free(data);
}

static void lays_out_as_torch(void)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_archive *archive;
	struct fixture f;
	char *first = bytes_of(0, 96), *last = bytes_of(1, BIG), top[13] = "";
	int fd = temporary();

	set_up(&f);
	CHECK(ck_serialize(&f.save, fd, &err) == CK_OK);
	CHECK_STR(err.text, "");
	CHECK(f.opened == 2);
	CHECK(pread(fd, top, 12, 30) == 12);
	CHECK_STR(top, "model_000600");
	archive = archive_of(fd);
	if (archive) {
		CHECK(ck_archive_count(archive) == 5);
		CHECK_STR(ck_archive_entry(archive, 0)->name, "data.pkl");
		check_entry(archive, 1, "byteorder", "little", 6);
		check_entry(archive, 2, "data/0", first, 96);
		check_entry(archive, 3, "data/1", last, BIG);
		check_entry(archive, 4, "version", "3\n", 2);
	}
	ck_archive_unref(archive);
	free(first);
	free(last);
}

static int open_empty(void *arg, size_t i, struct ck_view **out, struct ck_error *err)
{
	(void)arg, (void)i, (void)err;
	*out = ck_view_new();
	return CK_OK;
}

static void writes_many(void)
{
	struct ck_tensor *tensors = calloc(MANY, sizeof(*tensors));
	struct ck_error err = CK_ERROR_INIT;
	struct ck_archive *archive;
	const int64_t none = 0;
	struct fixture f;
	int fd = temporary();

	set_up(&f);
	for (size_t i = 0; i < MANY; i++)
		tensors[i] = (struct ck_tensor){ .key = "", .dtype = CK_BF16, .ndim = 1, .shape = &none };
	f.save.tensors = tensors;
	f.save.count = MANY;
	f.save.open = open_empty;
	CHECK(ck_serialize(&f.save, fd, &err) == CK_OK);
	CHECK_STR(err.text, "");
	archive = archive_of(fd);
	if (archive) {
		CHECK(ck_archive_count(archive) == MANY + 3);
		check_entry(archive, MANY + 1, "data/69999", NULL, 0);
	}
	ck_archive_unref(archive);
	free(tensors);
}

static void names_the_tensor(void)
{
	static const int64_t extra[] = { 1, -1, -(int64_t)BIG };
	struct ck_error err = CK_ERROR_INIT;
	struct fixture f;

	for (size_t i = 0; i < 3; i++) {
		set_up(&f);
		f.extra = extra[i];
		ck_error_clear(&err);
		CHECK(save(&f, &err) == CK_ERR_INVALID);
		CHECK_STR(err.subject, "last");
	}
	CHECK_STR(err.text, "0 bytes, its shape and dtype make 3145733");
	set_up(&f);
	f.fail = CK_ERR_STALE;
	ck_error_clear(&err);
	CHECK(save(&f, &err) == CK_ERR_STALE);
	CHECK_STR(err.text, "bent");
	CHECK_STR(err.subject, "last");
	set_up(&f);
	f.fail = CK_ERR_STALE;
	CHECK(save(&f, NULL) == CK_ERR_STALE);
}

static void sees_a_change(void)
{
	struct ck_error err = CK_ERROR_INIT;
	struct fixture f;
	int fd = temporary();

	set_up(&f);
	CHECK(ftruncate(fd, BIG) == 0);
	CHECK(ck_file_from_fd(fd, "draft", &f.changing, NULL) == CK_OK);
	CHECK(save(&f, &err) == CK_ERR_CHANGED);
	CHECK_STR(err.file, "draft");
	CHECK_STR(err.subject, "last");
	ck_file_unref(f.changing);
}

/* The store is full, or the file may not grow, at many points of the write. */
static void reports_the_store(void)
{
	static const rlim_t limits[] = { 0, 1, 100, (1 << 20) - 1, 1 << 20, (2 << 20) + 7, 3 << 20, BIG, BIG + 500,
					 BIG + 900 };
	struct ck_error err = CK_ERROR_INIT;
	struct rlimit before, limit;
	struct fixture f;
	int fd = open("/dev/full", O_RDWR | O_CLOEXEC), rc;

	set_up(&f);
	CHECK(ck_serialize(&f.save, fd, &err) == CK_ERR_SYS);
	CHECK(err.sys == ENOSPC);
	close(fd);
	set_up(&f);
	CHECK(ck_serialize(&f.save, fd, NULL) == CK_ERR_SYS);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		set_up(&f);
		ck_error_clear(&err);
		limit = (struct rlimit){ limits[i], before.rlim_max };
		setrlimit(RLIMIT_FSIZE, &limit);
		rc = save(&f, &err);
		setrlimit(RLIMIT_FSIZE, &before);
		CHECK(rc == CK_ERR_SYS && err.sys == EFBIG);
	}
}

/* Refuses before it opens or writes anything. */
static void refuse(struct fixture *f, enum ck_code code, const char *text)
{
	struct ck_error err = CK_ERROR_INIT;
	int fd = temporary();

	CHECK(ck_serialize(&f->save, fd, &err) == (int)code);
	CHECK_STR(err.text, text);
	CHECK(f->opened == 0);
	CHECK(lseek(fd, 0, SEEK_END) == 0);
	close(fd);
}

static void refuses_values(void)
{
	struct fixture f;

	set_up(&f);
	f.items[0].i = 2;
	refuse(&f, CK_ERR_INVALID, "tensor 2 of 2");
	f.items[0].i = -1;
	refuse(&f, CK_ERR_INVALID, "tensor -1 of 2");
	set_up(&f);
	f.items[0] = ck_str("\xff", 1);
	refuse(&f, CK_ERR_INVALID, "expected a string in UTF-8, found other bytes");
	set_up(&f);
	f.tensors[1].requires_grad = true;
	refuse(&f, CK_ERR_INVALID, "requires_grad of a tensor of uint8, which torch does not have");
	set_up(&f);
	f.tensors[0].ndim = CK_MAX_DIMS + 1;
	refuse(&f, CK_ERR_INVALID, "65 dimensions, at most 64 are written");
	set_up(&f);
	memcpy(f.shapes[0], (int64_t[]){ 0, INT64_C(1) << 40, INT64_C(1) << 40 }, sizeof(f.shapes[0]));
	f.tensors[0].numel = 0;
	refuse(&f, CK_ERR_INVALID, "strides that pass 2^63");
}

/* Nine million Nones are 9 MB of pickle and more than 128 MiB of values: what can't be opened is not saved. */
static void refuses_what_would_not_open(void)
{
	struct ck_list nones = { .len = 9u << 20 };
	struct ck_error err = CK_ERROR_INIT;
	struct fixture f;

	set_up(&f);
	nones.items = calloc(nones.len, sizeof(*nones.items));
	f.items[1] = (struct ck_value){ .kind = CK_LIST, .list = &nones };
	CHECK(save(&f, &err) == CK_ERR_LIMIT);
	CHECK(strstr(err.text, "more memory") != NULL);
	set_up(&f);
	nones.len = 1u << 20;
	f.items[1] = (struct ck_value){ .kind = CK_LIST, .list = &nones };
	CHECK(save(&f, NULL) == CK_OK);
	free(nones.items);
}

static void refuses_sizes(void)
{
	struct fixture f;

	set_up(&f);
	f.shapes[1][0] = (int64_t)(f.tensors[1].numel = UINT32_MAX);
	refuse(&f, CK_ERR_UNSUPPORTED, "4294967295 bytes, the one size that libzip can't store");
	f.shapes[1][0] = (int64_t)(f.tensors[1].numel = INT64_MAX);
	refuse(&f, CK_ERR_LIMIT, "the file would pass 2^63 bytes");
	f.shapes[1][0] = (int64_t)(f.tensors[1].numel = UINT64_C(1) << 62);
	f.tensors[0].dtype = CK_U8;
	f.tensors[0].numel = UINT64_C(1) << 62;
	refuse(&f, CK_ERR_LIMIT, "the file would pass 2^63 bytes");
}

static void opens_plain_tensors(void)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_view *view = NULL;
	const int64_t shape = 3;
	struct ck_tensor t = { .dtype = CK_F32, .source = CK_SRC_FILL, .ndim = 1, .shape = &shape, .numel = 3,
			       .fill = 1 };

	CHECK(ck_save_open_tensor(&t, 0, &view, &err) == CK_OK);
	CHECK(ck_view_size(view) == 12);
	ck_view_unref(view);
	t.dtype = CK_C128;
	t.numel = UINT64_C(1) << 59;
	view = NULL;
	CHECK(ck_save_open_tensor(&t, 0, &view, &err) == CK_ERR_LIMIT);
	CHECK(!view);
}

int main(void)
{
	RUN(lays_out_as_torch);
	RUN(writes_many);
	RUN(names_the_tensor);
	RUN(sees_a_change);
	RUN(reports_the_store);
	RUN(refuses_values);
	RUN(refuses_sizes);
	RUN(refuses_what_would_not_open);
	RUN(opens_plain_tensors);
	CHECK_EXIT();
}
