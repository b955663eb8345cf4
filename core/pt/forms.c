/* The files that a checkpoint is shown as. Implements forms.h with names.c; see private.h for the table. */
#include "core/pt/private.h"

#include "core/format/npy.h"
#include "core/format/safetensors.h"
#include "core/pt/forms.h"
#include "core/pt/hf.h"
#include "core/zip/ends.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TOO_LARGE UINT64_MAX    /* in place of a size: computing the size failed, and would take long to try again */

/* Appends a key as a cell of the table. Tabs, newlines and the like are escaped as in C. */
static void tsv_key(struct ck_buf *out, const struct ck_tensor *t)
{
	for (uint32_t i = 0; i < t->key_len; i++) {
		switch (t->key[i]) {
		case '\t': ck_buf_str(out, "\\t"); break;
		case '\n': ck_buf_str(out, "\\n"); break;
		case '\r': ck_buf_str(out, "\\r"); break;
		case '\\': ck_buf_str(out, "\\\\"); break;
		case '\0': ck_buf_str(out, "\\0"); break;
		default: ck_buf_byte(out, (unsigned char)t->key[i]);
		}
	}
}

/* Whether the table has T's offset in the .pt: of a storage that is stored. A deflated one has none. */
static bool has_offset(const struct ck_checkpoint *c, const struct ck_tensor *t)
{
	return !t->unshown && c->archive && t->source == CK_SRC_ARCHIVE &&
	       ck_archive_entry(t->archive, t->entry)->method == 0;
}

static int tsv_offset(struct ck_buf *out, const struct ck_checkpoint *c, const struct ck_tensor *t, bool expect,
		      struct ck_error *err)
{
	struct ck_origin origin = { 0 };
	int rc = CK_OK;

	if (!has_offset(c, t)) {
		ck_buf_byte(out, '-');
		return CK_OK;
	}
	if (!expect || !ck_archive_expect(c->archive, t->entry, &origin.byte))
		rc = ck_archive_locate(c->archive, t->entry, &origin, err);
	if (!rc)
		ck_buf_printf(out, "%" PRIu64, origin.byte + t->offset * ck_dtype_info(t->stored_dtype)->width);
	return rc;
}

/* The bytes of the elements as stored, and the zip's CRC-32 of them where they are a whole record. */
static void tsv_stored(struct ck_buf *out, const struct ck_checkpoint *c, const struct ck_tensor *t)
{
	const struct ck_entry *entry;
	uint64_t nbytes;

	if (t->unshown || t->source != CK_SRC_ARCHIVE || !c->archive) {
		ck_buf_str(out, "\t-\t-");
		return;
	}
	entry = ck_archive_entry(t->archive, t->entry);
	nbytes = t->numel * ck_dtype_info(t->stored_dtype)->width;
	ck_buf_printf(out, "\t%" PRIu64, nbytes);
	if (ck_archive_has_crcs(c->archive) && t->offset == 0 && nbytes == entry->size && ck_tensor_contiguous(t))
		ck_buf_printf(out, "\t%08" PRIx32, entry->crc);
	else
		ck_buf_str(out, "\t-");
}

/* So many tensors' local headers are looked at before the offsets of all are taken from the zip's directory. */
#define SAMPLES 4u

/*
 * Whether this zip is laid out as torch lays it out, so that its directory tells where each storage begins. A read of
 * each local header would tell for certain, but a store behind a network answers each late. A header that lies fails
 * the tensor's own reader, who reads it.
 */
static bool is_as_expected(const struct ck_checkpoint *c)
{
	size_t step = c->count > SAMPLES ? c->count / SAMPLES : 1;
	struct ck_origin origin = { 0 };
	uint64_t offset;

	for (size_t i = 0; i < c->count; i += step) {
		const struct ck_tensor *t = &c->tensors[i];

		if (has_offset(c, t) && ck_archive_expect(c->archive, t->entry, &offset) &&
		    (ck_archive_locate(c->archive, t->entry, &origin, NULL) || origin.byte != offset))
			return false;
	}
	return true;
}

/* Asking the kernel for all local headers that are read at once pays off where the store is far away. */
static void fetch_headers(const struct ck_checkpoint *c, bool expect)
{
	int fd = ck_file_fd(ck_checkpoint_file(c));
	uint64_t offset;

	for (size_t i = 0; c->archive && i < ck_archive_count(c->archive); i++)
		if (!expect || !ck_archive_expect(c->archive, i, &offset))
			posix_fadvise(fd, (off_t)ck_archive_entry(c->archive, i)->header_offset, 4096,
				      POSIX_FADV_WILLNEED);
}

static int tsv_text(struct ck_buf *out, const struct ck_checkpoint *c, struct ck_error *err)
{
	bool expect = is_as_expected(c);
	int rc = CK_OK;

	fetch_headers(c, expect);
	ck_buf_str(out, "key\tdtype\tshape\tnbytes\tstored_dtype\tfile_offset\tstored_nbytes\tcrc32\n");
	for (size_t i = 0; i < c->count && !rc; i++) {
		const struct ck_tensor *t = &c->tensors[i];

		tsv_key(out, t);
		ck_buf_printf(out, "\t%s\t", ck_dtype_info(t->dtype)->torch);
		ck_tensor_shape_text(out, t);
		if (t->unshown)
			ck_buf_str(out, "\t-");
		else
			ck_buf_printf(out, "\t%" PRIu64, ck_tensor_nbytes(t));
		ck_buf_printf(out, "\t%s\t", ck_dtype_info(t->stored_dtype)->torch);
		rc = tsv_offset(out, c, t, expect, err);
		tsv_stored(out, c, t);
		ck_buf_byte(out, '\n');
	}
	return rc ? rc : out->failed ? ck_fail_nomem(err) : CK_OK;
}

static void release_checkpoint(void *c)
{
	ck_checkpoint_unref(c);
}

/* The line of KEY.error. */
static void error_text(struct ck_buf *out, const struct ck_checkpoint *c, const struct ck_tensor *t)
{
	struct ck_error why = CK_ERROR_INIT;
	char line[768];

	ck_error_set(&why, CK_ERR_UNSUPPORTED, "%s: torch.load gives it", ck_tensor_unshown(t));
	ck_error_file(&why, ck_file_name(ck_checkpoint_file(c)));
	ck_error_subject(&why, t->key, t->key_len);
	ck_buf_str(out, ck_error_line(&why, line, sizeof(line)));
	ck_buf_byte(out, '\n');
}

static int add_npy(struct ck_view *view, const struct ck_checkpoint *c, const struct ck_tensor *t, struct ck_buf *text,
		   struct ck_error *err)
{
	if (!t->unshown)
		return ck_npy_view(view, t, err);
	error_text(text, c, t);
	return ck_view_add_buf(view, text, err);
}

/* The small files of hf/, and hf.error. */
static int add_hf(struct ck_view *view, const struct ck_hf *hf, enum ck_form form, struct ck_error *err)
{
	const struct ck_buf *text = form == CK_FORM_HF_CONFIG ? &hf->config : &hf->generation;
	char line[768];

	if (form != CK_FORM_HF_ERROR)
		return ck_view_add_bytes(view, text->data, text->len, err);
	ck_error_line(&hf->why, line, sizeof(line) - 1);
	strcat(line, "\n");
	return ck_view_add_bytes(view, line, strlen(line), err);
}

/* Builds the view of FORM. On failure *OUT is not set. */
static int build(struct ck_checkpoint *c, enum ck_form form, size_t i, struct ck_view **out, struct ck_error *err)
{
	struct ck_view *view = ck_view_new();
	struct ck_buf text = CK_BUF_INIT;
	int rc = CK_OK;

	if (!view)
		return ck_fail_nomem(err);
	ck_view_own(view, ck_checkpoint_ref(c), release_checkpoint);
	switch (form) {
	case CK_FORM_NPY:
		rc = add_npy(view, c, &c->tensors[i], &text, err);
		break;
	case CK_FORM_RAW:
		rc = ck_view_add_tensor(view, &c->tensors[i], err);
		break;
	case CK_FORM_SAFETENSORS:
		rc = ck_safetensors_view(view, c->tensors, c->count, err);
		break;
	case CK_FORM_TSV:
		rc = tsv_text(&text, c, err);
		if (!rc)
			rc = ck_view_add_buf(view, &text, err);
		break;
	case CK_FORM_OUTLINE:
		rc = ck_view_add_bytes(view, c->outline.data, c->outline.len, err);
		break;
	case CK_FORM_HF_SAFETENSORS:
		rc = ck_safetensors_view(view, c->hf->tensors, c->hf->count, err);
		break;
	default:
		rc = add_hf(view, c->hf, form, err);
	}
	ck_buf_free(&text);
	if (rc) {
		ck_error_file(err, ck_file_name(ck_checkpoint_file(c)));
		ck_view_unref(view);
		return rc;
	}
	*out = view;
	return CK_OK;
}

int ck_checkpoint_view(struct ck_checkpoint *c, enum ck_form form, size_t i, struct ck_view **out, struct ck_error *err)
{
	return build(c, form, i, out, err);
}

bool ck_checkpoint_has(const struct ck_checkpoint *c, enum ck_form form)
{
	if (form < CK_FORM_HF_CONFIG)
		return form != CK_FORM_OUTLINE || !c->model;
	return c->hf && (form == CK_FORM_HF_ERROR) == (c->hf->why.code != CK_OK);
}

int ck_checkpoint_size(struct ck_checkpoint *c, enum ck_form form, size_t i, uint64_t *size, struct ck_error *err)
{
	_Atomic uint64_t *known = form == CK_FORM_TSV ? &c->tsv_size
				  : form == CK_FORM_SAFETENSORS ? &c->safetensors_size : &c->hf_size;
	struct ck_buf text = CK_BUF_INIT;
	struct ck_view *view;
	char line[768];
	int rc;

	switch (form) {
	case CK_FORM_NPY:
		if (c->tensors[i].unshown)
			error_text(&text, c, &c->tensors[i]);
		*size = c->tensors[i].unshown ? text.len : ck_npy_size(&c->tensors[i]);
		rc = text.failed ? ck_fail_nomem(err) : CK_OK;
		ck_buf_free(&text);
		return rc;
	case CK_FORM_RAW:
		*size = ck_tensor_nbytes(&c->tensors[i]);
		return CK_OK;
	case CK_FORM_OUTLINE:
		*size = c->outline.len;
		return CK_OK;
	case CK_FORM_HF_CONFIG:
		*size = c->hf->config.len;
		return CK_OK;
	case CK_FORM_HF_GENERATION:
		*size = c->hf->generation.len;
		return CK_OK;
	case CK_FORM_HF_ERROR:
		*size = strlen(ck_error_line(&c->hf->why, line, sizeof(line) - 1)) + 1;
		return CK_OK;
	default:
		*size = atomic_load(known);
		if (*size == TOO_LARGE) {
			rc = ck_fail(err, CK_ERR_LIMIT, "its text is too large to be made");
			ck_error_file(err, ck_file_name(ck_checkpoint_file(c)));
			return rc;
		}
		if (*size) {
			--*size;
			return CK_OK;
		}
	}
	rc = build(c, form, i, &view, err);
	if (rc == CK_ERR_LIMIT)
		atomic_store(known, TOO_LARGE);
	if (rc)
		return rc;
	*size = ck_view_size(view);
	atomic_store(known, *size + 1);
	ck_view_unref(view);
	return CK_OK;
}
