/* Values and tensors to a .pt, as torch.save writes one. Implements serializer.h. */
#include "core/pt/serializer.h"

#include "core/file/fd.h"
#include "core/pickle/pickle.h"
#include "core/pt/checkpoint.h"
#include "core/zip/archive.h"
#include "core/zip/sink.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_AHEAD ((size_t)1 << 20)
#define ALIGNMENT 64u                   /* the alignment of each entry's bytes in the file, as in torch's files */

/*
 * Where an entry's bytes will lie must be known before libzip writes it. The code relies on what libzip 1.7.3 does: it
 * writes entries in the order in which they were added, without gaps. Each has a local header of 30 bytes, its name, a
 * zip64 field of 20 bytes where its size passes 32 bits, and the extra fields that were set. There is no data
 * descriptor, as sizes are known beforehand. If another libzip differs, the file is valid but not aligned, which torch
 * accepts too.
 */
#define LOCAL_HEADER 30u
#define ZIP64_FIELD 20u
#define FIELD_HEADER 4u
#define PADDING_ID 0x4246u              /* "FB", torch's */

/* The earliest date, so that equal saves are equal files. libzip can't write torch's date, which is all zeros. */
#define DOS_DATE 0x21u

struct job;

/* The source of an entry for libzip. Its position in the array is the tensor's index. */
struct storage {
	struct job *job;
};

struct job {
	const struct ck_save *save;
	struct ck_error *err;           /* never NULL */
	struct ck_buf pickle;
	struct ck_zipsink *sink;
	zip_t *zip;
	struct ck_buf path;             /* of the entry being added */
	uint64_t end;                   /* the end of the entries added so far, in the file */
	struct storage *storages;
	zip_error_t error;              /* the last failure of a storage, which libzip can't carry */

	/* The one storage being read: its view, and bytes [start, start + filled) of it. */
	struct ck_view *view;
	uint64_t pos, start;
	size_t filled;
	char *window;
};

static struct ck_value global(int g)
{
	return (struct ck_value){ .kind = CK_GLOBAL, .i = g };
}

static struct ck_value tuple(struct ck_value *items, uint32_t len)
{
	return (struct ck_value){ .kind = CK_TUPLE, .len = len, .items = items };
}

static bool is_differentiable(enum ck_dtype dtype)
{
	switch (dtype) {
	case CK_BOOL8:
	case CK_U8: case CK_U16: case CK_U32: case CK_U64:
	case CK_I8: case CK_I16: case CK_I32: case CK_I64:
		return false;
	default:
		return true;
	}
}

/* Sizes, and the strides that torch gives to a contiguous tensor, an empty one included. */
static int put_shape(const struct ck_tensor *t, struct ck_value *size, struct ck_value *stride, struct ck_error *err)
{
	int64_t step = 1;

	if (t->ndim > CK_MAX_DIMS)
		return ck_fail(err, CK_ERR_INVALID, "%u dimensions, at most %d are written", t->ndim, CK_MAX_DIMS);
	for (unsigned i = t->ndim; i-- > 0;) {
		size[i] = ck_int(t->shape[i]);
		stride[i] = ck_int(step);
		if (t->shape[i] > 1 && __builtin_mul_overflow(step, t->shape[i], &step))
			return ck_fail(err, CK_ERR_INVALID, "strides that pass 2^63");
	}
	return CK_OK;
}

/*
 * Writes a tensor that has its own storage, as torch.save does: a call of torch._utils._rebuild_tensor_v2, or of v3
 * where the dtype has no storage class.
 */
static int put_tensor(struct ck_pickle_writer *w, const struct ck_tensor *t, size_t i, struct ck_error *err)
{
	const bool typed = ck_dtype_info((enum ck_dtype)t->dtype)->storage;
	const uint64_t numel = typed ? t->numel : ck_tensor_nbytes(t);
	struct ck_value size[CK_MAX_DIMS], stride[CK_MAX_DIMS];
	char key[24];
	int len = snprintf(key, sizeof(key), "%zu", i);
	struct ck_value id[] = { ck_str("storage", 7), global(typed ? CK_G_STORAGE + t->dtype : CK_G_UNTYPED_STORAGE),
				 ck_str(key, (size_t)len), ck_str("cpu", 3), ck_int((int64_t)numel) };
	struct ck_value id_tuple = tuple(id, 5);
	struct ck_dict no_hooks = { .ordered = true };
	struct ck_value hooks = { .kind = CK_DICT, .dict = &no_hooks };
	struct ck_value args[] = { { .kind = CK_PERSID, .items = &id_tuple }, ck_int(0), tuple(size, t->ndim),
				   tuple(stride, t->ndim), ck_bool(t->requires_grad && !t->parameter), hooks,
				   global(CK_G_DTYPE + t->dtype) };
	struct ck_call rebuild = { .callee = global(typed ? CK_G_REBUILD_TENSOR_V2 : CK_G_REBUILD_TENSOR_V3),
				   .args = tuple(args, typed ? 6 : 7) };
	struct ck_value value = { .kind = CK_CALL, .call = &rebuild };
	struct ck_value wrapped[] = { value, ck_bool(t->requires_grad), hooks };
	struct ck_call parameter = { .callee = global(CK_G_REBUILD_PARAMETER), .args = tuple(wrapped, 3) };
	int rc = put_shape(t, size, stride, err);

	if (rc)
		return rc;
	if (t->requires_grad && !is_differentiable((enum ck_dtype)t->dtype))
		return ck_fail(err, CK_ERR_INVALID, "requires_grad of a tensor of %s, which torch does not have",
			       ck_dtype_info((enum ck_dtype)t->dtype)->torch);
	if (t->parameter)
		value.call = &parameter;
	return ck_pickle_put(w, &value, err);
}

/* ck_pickle_tensor_fn */
static int pickle_tensor(struct ck_pickle_writer *w, int64_t index, void *arg, struct ck_error *err)
{
	const struct ck_save *save = arg;
	const struct ck_tensor *t;
	int rc;

	if (index < 0 || (uint64_t)index >= save->count)
		return ck_fail(err, CK_ERR_INVALID, "tensor %" PRId64 " of %zu", index, save->count);
	t = &save->tensors[index];
	rc = put_tensor(w, t, (size_t)index, err);
	ck_error_subject(err, t->key, t->key_len);
	return rc;
}

int ck_save_pickle(const struct ck_save *save, struct ck_buf *out, struct ck_error *err)
{
	return ck_pickle_write(out, save->root, pickle_tensor, (void *)save, err);
}

static int storage_open(struct job *job, size_t i)
{
	const struct ck_save *save = job->save;
	const struct ck_tensor *t = &save->tensors[i];
	int rc = save->open(save->arg, i, &job->view, job->err);

	if (!rc && ck_view_size(job->view) != ck_tensor_nbytes(t))
		rc = ck_fail(job->err, CK_ERR_INVALID, "%" PRIu64 " bytes, its shape and dtype make %" PRIu64,
			     ck_view_size(job->view), ck_tensor_nbytes(t));
	ck_error_subject(job->err, t->key, t->key_len);
	job->pos = job->start = 0;
	job->filled = 0;
	return rc;
}

static void storage_close(struct job *job)
{
	job->view = ck_view_unref(job->view);
}

/* Reads as libzip asks: LEN bytes, fewer only at the end. */
static zip_int64_t storage_read(struct job *job, const struct ck_tensor *t, char *data, uint64_t len)
{
	uint64_t done = 0;

	if (len > ck_view_size(job->view) - job->pos)
		len = ck_view_size(job->view) - job->pos;
	while (done < len) {
		size_t at = (size_t)(job->pos - job->start), part;

		if (at == job->filled) {
			job->start = job->pos;
			at = 0;
			if (ck_view_read(job->view, job->pos, job->window, READ_AHEAD, &job->filled, job->err)) {
				ck_error_subject(job->err, t->key, t->key_len);
				return -1;
			}
		}
		part = len - done < job->filled - at ? (size_t)(len - done) : job->filled - at;
		memcpy(data + done, job->window + at, part);
		done += part;
		job->pos += part;
	}
	return (zip_int64_t)done;
}

static zip_int64_t storage_stat(struct job *job, const struct ck_tensor *t, void *data, uint64_t len)
{
	zip_stat_t *st = data;

	if (len < sizeof(*st)) {
		zip_error_set(&job->error, ZIP_ER_INVAL, 0);
		return -1;
	}
	zip_stat_init(st);
	st->size = ck_tensor_nbytes(t);
	st->valid = ZIP_STAT_SIZE;
	return sizeof(*st);
}

/* libzip's zip_source_callback: the bytes of one tensor, once, from start to end. */
static zip_int64_t storage_command(void *user, void *data, zip_uint64_t len, zip_source_cmd_t command)
{
	struct storage *storage = user;
	struct job *job = storage->job;
	size_t i = (size_t)(storage - job->storages);
	const struct ck_tensor *t = &job->save->tensors[i];
	zip_int64_t n = 0;

	switch (command) {
	case ZIP_SOURCE_OPEN:
		n = storage_open(job, i) ? -1 : 0;
		break;
	case ZIP_SOURCE_READ:
		n = storage_read(job, t, data, len);
		break;
	case ZIP_SOURCE_STAT:
		return storage_stat(job, t, data, len);
	case ZIP_SOURCE_CLOSE:
		storage_close(job);
		return 0;
	case ZIP_SOURCE_ERROR:
		return zip_error_to_data(&job->error, data, len);
	case ZIP_SOURCE_SUPPORTS:
		return ZIP_SOURCE_SUPPORTS_READABLE | ZIP_SOURCE_MAKE_COMMAND_BITMASK(ZIP_SOURCE_SUPPORTS);
	case ZIP_SOURCE_FREE:
		return 0;
	default:
		zip_error_set(&job->error, ZIP_ER_OPNOTSUPP, 0);
		return -1;
	}
	if (n < 0)
		zip_error_set(&job->error, ZIP_ER_READ, job->err->sys);
	return n;
}

/*
 * Returns how many bytes of padding align SIZE bytes behind a name of NAME_LEN to ALIGNMENT, and moves the end of the
 * entries past them.
 */
static int place(struct job *job, size_t name_len, uint64_t size, uint16_t *padding)
{
	uint64_t data, end;

	if (size == UINT32_MAX)
		return ck_fail(job->err, CK_ERR_UNSUPPORTED, "%u bytes, the one size that libzip can't store",
			       UINT32_MAX);
	data = LOCAL_HEADER + name_len + (size > UINT32_MAX ? ZIP64_FIELD : 0) + FIELD_HEADER;
	if (__builtin_add_overflow(data, job->end, &data) || __builtin_add_overflow(data, 2 * ALIGNMENT, &end) ||
	    __builtin_add_overflow(end, size, &end) || end > INT64_MAX)
		return ck_fail(job->err, CK_ERR_LIMIT, "the file would pass 2^63 bytes");
	*padding = (uint16_t)(-data % ALIGNMENT);
	/* An offset has a zip64 field too: where the next header would lie at 0xffffffff, it lies further on. */
	if (data + *padding + size == UINT32_MAX)
		*padding = (uint16_t)(*padding + ALIGNMENT);
	job->end = data + *padding + size;
	return CK_OK;
}

/* Adds the entry NAME of SIZE bytes from SOURCE, and takes ownership of SOURCE. NULL stands for a source that could
   not be made. */
static int add_entry(struct job *job, const char *name, zip_source_t *source, uint64_t size)
{
	static const uint8_t zeros[2 * ALIGNMENT];
	uint16_t padding = 0;
	zip_int64_t i;
	int rc;

	job->path.len = 0;
	ck_buf_printf(&job->path, "%s/%s", job->save->top, name);
	ck_buf_byte(&job->path, '\0');
	if (!source || job->path.failed) {
		zip_source_free(source);
		return ck_fail_nomem(job->err);
	}
	rc = place(job, job->path.len - 1, size, &padding);
	if (rc) {
		zip_source_free(source);
		return rc;
	}
	i = zip_file_add(job->zip, job->path.data, source, ZIP_FL_ENC_UTF_8);
	if (i < 0)
		zip_source_free(source);
	if (i < 0 || zip_set_file_compression(job->zip, (zip_uint64_t)i, ZIP_CM_STORE, 0) < 0 ||
	    zip_file_set_dostime(job->zip, (zip_uint64_t)i, 0, DOS_DATE, 0) < 0 ||
	    zip_file_extra_field_set(job->zip, (zip_uint64_t)i, PADDING_ID, ZIP_EXTRA_FIELD_NEW, zeros, padding,
				     ZIP_FL_LOCAL) < 0)
		return ck_zipsink_fail(zip_get_error(job->zip), job->err);
	return CK_OK;
}

static int add_bytes(struct job *job, const char *name, const char *data, size_t len)
{
	return add_entry(job, name, zip_source_buffer(job->zip, data, len, 0), len);
}

static int add_storage(struct job *job, size_t i)
{
	const struct ck_tensor *t = &job->save->tensors[i];
	struct storage *storage = &job->storages[i];
	char name[32];
	int rc;

	storage->job = job;
	snprintf(name, sizeof(name), "data/%zu", i);
	rc = add_entry(job, name, zip_source_function(job->zip, storage_command, storage), ck_tensor_nbytes(t));
	ck_error_subject(job->err, t->key, t->key_len);
	return rc;
}

/*
 * Adds the entries that torch 2.6 writes, in its order. Later versions add .format_version and .storage_alignment.
 * These promise torch's own layout, with a data descriptor behind each storage, and let torch compute offsets instead
 * of reading them. In a file written by libzip the promise would be false, and no torch needs these entries.
 */
static int add_entries(struct job *job)
{
	int rc = add_bytes(job, "data.pkl", job->pickle.data, job->pickle.len);

	if (!rc)
		rc = add_bytes(job, "byteorder", "little", 6);
	for (size_t i = 0; i < job->save->count && !rc; i++)
		rc = add_storage(job, i);
	return rc ? rc : add_bytes(job, "version", "3\n", 2);
}

/* A reader has other limits than the pickle's length. */
static int check_open(const struct job *job, struct ck_file *file)
{
	const struct ck_patch patch = { .model = !job->save->shard, .n_layer = -1 };
	struct ck_checkpoint *c = NULL;
	int rc = ck_checkpoint_open(file, &patch, &c, job->err);

	ck_checkpoint_unref(c);
	return rc;
}

/* Reads the file back as the mount will. What the mount would refuse must not be published. */
static int check_file(const struct job *job, int fd)
{
	struct ck_archive *archive = NULL;
	struct ck_file *file = NULL;
	struct ck_origin origin = { 0 };
	size_t count = job->save->count + 3;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), rc;

	if (copy < 0)
		return ck_fail_sys(job->err, "dup");
	rc = ck_file_from_fd(copy, job->save->top, &file, job->err);
	if (!rc)
		rc = ck_archive_open(file, &archive, job->err);
	if (!rc && ck_archive_count(archive) != count)
		rc = ck_fail(job->err, CK_ERR_CORRUPT, "%zu entries written, %zu found", count,
			     ck_archive_count(archive));
	for (size_t i = 0; !rc && i < count; i++)
		rc = ck_archive_locate(archive, i, &origin, job->err);
	ck_archive_unref(archive);
	if (!rc)
		rc = check_open(job, file);
	ck_file_unref(file);
	return rc;
}

/* Makes what the job needs. The pickle comes first: writing it finds most mistakes in the values. */
static int prepare(struct job *job, int fd)
{
	const struct ck_save *save = job->save;
	int rc = ck_save_pickle(save, &job->pickle, job->err);

	if (rc)
		return rc;
	job->storages = calloc(save->count ? save->count : 1, sizeof(*job->storages));
	job->window = malloc(READ_AHEAD);
	if (!job->storages || !job->window)
		return ck_fail_nomem(job->err);
	rc = ck_zipsink_new(fd, job->err, &job->sink, job->err);
	return rc ? rc : ck_zipsink_open(job->sink, &job->zip, job->err);
}

int ck_serialize(const struct ck_save *save, int fd, struct ck_error *err)
{
	struct ck_error own = CK_ERROR_INIT;
	struct job job = { .save = save, .err = err ? err : &own };
	int rc;

	zip_error_init(&job.error);
	rc = prepare(&job, fd);
	if (!rc)
		rc = add_entries(&job);
	if (!rc && zip_close(job.zip) < 0)
		rc = ck_zipsink_fail(zip_get_error(job.zip), job.err);
	else if (!rc)
		job.zip = NULL;
	if (!rc)
		rc = check_file(&job, fd);
	if (!rc)
		rc = ck_sync_fd(fd, job.err);
	if (job.zip)
		zip_discard(job.zip);
	zip_error_fini(&job.error);
	ck_zipsink_free(job.sink);
	ck_view_unref(job.view);
	free(job.window);
	free(job.storages);
	ck_buf_free(&job.path);
	ck_buf_free(&job.pickle);
	return rc;
}

int ck_save_open_tensor(void *arg, size_t i, struct ck_view **out, struct ck_error *err)
{
	const struct ck_tensor *tensors = arg;
	struct ck_view *view = ck_view_new();
	int rc;

	if (!view)
		return ck_fail_nomem(err);
	rc = ck_view_add_tensor(view, &tensors[i], err);
	if (rc) {
		ck_view_unref(view);
		return rc;
	}
	*out = view;
	return CK_OK;
}
