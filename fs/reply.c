/* Implements the replies of fs.h: an error as an errno and a line in the log, and the bytes of a read. */
#include "fs.h"

#include "core/tree/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int fs_errno(const struct ck_error *err)
{
	switch (err->code) {
	case CK_OK:              return 0;
	case CK_ERR_NOMEM:       return ENOMEM;
	case CK_ERR_SYS:         return err->sys ? err->sys : EIO;
	case CK_ERR_CORRUPT:     return EIO;
	case CK_ERR_UNSUPPORTED: return EOPNOTSUPP;
	case CK_ERR_LIMIT:       return EFBIG;
	case CK_ERR_NOENT:       return ENOENT;
	case CK_ERR_EXIST:       return EEXIST;
	case CK_ERR_INVALID:     return EINVAL;
	case CK_ERR_PERM:        return EPERM;
	case CK_ERR_ROFS:        return EROFS;
	case CK_ERR_CHANGED:     return EIO;
	case CK_ERR_STALE:       return ESTALE;
	case CK_ERR_AGAIN:       return EAGAIN;
	}
	return EIO;
}

/* An absence is an answer; the errors below are faults that a person should hear of. */
static bool is_fault(const struct ck_error *err)
{
	return err->code == CK_ERR_NOMEM || err->code == CK_ERR_CORRUPT || err->code == CK_ERR_CHANGED ||
	       err->code == CK_ERR_LIMIT ||
	       (err->code == CK_ERR_SYS && err->sys != ENOENT && err->sys != ENOTDIR && err->sys != ENAMETOOLONG);
}

void fs_reply_error(fuse_req_t req, const char *context, const struct ck_error *err)
{
	const char *hint = "";
	char line[900], text[700];

	if (is_fault(err)) {
		fs_count(&fs_of(req)->counts.errors, 1);
		if (err->sys == EACCES && ck_tree_is_replaced(fs_of(req)->tree))
			hint = "; the store's directory was replaced since the mount: unmount it and mount it again";
		snprintf(line, sizeof(line), "%s: %s%s", context, ck_error_line(err, text, sizeof(text)), hint);
		log_line(fs_of(req)->log, line);
	}
	fuse_reply_err(req, fs_errno(err));
}

/* Replies to a read with GOT bytes of BUF, or with ERR where RC says so. BUF goes back to the buffers. */
static void reply_bytes(fuse_req_t req, char *buf, size_t len, size_t got, int rc, const struct ck_error *err)
{
	/* REQ is gone once it has its reply. */
	struct buffers *buffers = &fs_of(req)->buffers;

	fs_count(&fs_of(req)->counts.reads, 1);
	fs_count(&fs_of(req)->counts.read_bytes, got);
	if (rc)
		fs_reply_error(req, "read", err);
	else
		fuse_reply_buf(req, buf, got);
	buffers_put(buffers, buf, len);
}

void fs_reply_view(fuse_req_t req, const struct ck_view *view, uint64_t offset, size_t len)
{
	struct ck_error err = CK_ERROR_INIT;
	uint64_t size = ck_view_size(view);
	size_t got = 0;
	char *buf;
	int rc;

	if (offset >= size) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	if (len > size - offset)
		len = (size_t)(size - offset);
	buf = buffers_get(&fs_of(req)->buffers, len);
	rc = buf ? ck_view_read_now(view, offset, buf, len, &got, &err) : ck_fail_nomem(&err);
	/* Reading from the store may wait, and so may the log. */
	if (rc)
		loop_hand_on(fs_of(req)->loop);
	if (rc == CK_ERR_AGAIN)
		rc = ck_view_read(view, offset, buf, len, &got, &err);
	reply_bytes(req, buf, len, got, rc, &err);
}

void fs_reply_draft(fuse_req_t req, struct ck_draft_file *file, uint64_t offset, size_t len)
{
	char *buf = buffers_get(&fs_of(req)->buffers, len);
	struct ck_error err = CK_ERROR_INIT;
	size_t got = 0;
	int rc;

	loop_hand_on(fs_of(req)->loop);
	rc = buf ? ck_draft_read(file, offset, buf, len, &got, &err) : ck_fail_nomem(&err);
	reply_bytes(req, buf, len, got, rc, &err);
}
