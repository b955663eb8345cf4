/*
 * view - a file as a list of extents.
 *
 * A view is built once, by a recipe (npy.h, safetensors.h, ...), sealed, and immutable from then
 * on: reads take no lock. It covers [0, size) without a gap by extents of four kinds: literal
 * bytes, a range of a stored file, a tensor to convert or gather, a constant fill. Its size is
 * known without touching data. One function maps an offset to its extent and one loop trims and
 * dispatches; formats and FUSE handlers do no offset arithmetic.
 */
#ifndef CK_VIEW_H
#define CK_VIEW_H

#include "core/tensor/tensor.h"

struct ck_view;

/* An empty view, one reference. NULL when out of memory. */
struct ck_view *ck_view_new(void);
struct ck_view *ck_view_ref(struct ck_view *view);
struct ck_view *ck_view_unref(struct ck_view *view);    /* returns NULL; NULL is allowed */
/* whether there are references beside the caller's */
bool ck_view_is_shared(struct ck_view *view);

/* The view keeps OWNER (one reference of the caller's, taken over also on failure) and gives it
   back with RELEASE when it ends: the checkpoint whose tensors the extents point to. At most one. */
void ck_view_own(struct ck_view *view, void *owner, void (*release)(void *));

/* Appends an extent. Bytes are copied. The file gets a reference; a tensor is borrowed from the
   owner. */
int ck_view_add_bytes(struct ck_view *view, const void *data, size_t len, struct ck_error *err);
int ck_view_add_range(struct ck_view *view, struct ck_file *file, uint64_t offset, uint64_t len, struct ck_error *err);
int ck_view_add_tensor(struct ck_view *view, const struct ck_tensor *tensor, struct ck_error *err);

/* The same as add_bytes, the buffer's memory taken over (the buffer is empty then). Fails when the
   buffer has failed. */
struct ck_buf;
int ck_view_add_buf(struct ck_view *view, struct ck_buf *buf, struct ck_error *err);

uint64_t ck_view_size(const struct ck_view *view);

/*
 * Reads up to LEN bytes at OFFSET; *GOT is less than LEN only at the end of the view. The bytes are
 * those of the stored file as it was when it was opened, or the call fails: CK_ERR_CHANGED. Other
 * errors: CK_ERR_SYS, CK_ERR_CORRUPT (a local header lies), CK_ERR_NOMEM. Thread-safe.
 */
int ck_view_read(const struct ck_view *view, uint64_t offset, void *buf, size_t len, size_t *got, struct ck_error *err);

/* The same from memory: CK_ERR_AGAIN, and ERR untouched, when it would have to wait for the store. */
int ck_view_read_now(const struct ck_view *view, uint64_t offset, void *buf, size_t len, size_t *got,
		     struct ck_error *err);

/* Writes the whole view to the descriptor FD from OFFSET on. If CRC is not NULL it gets the CRC-32
   of the bytes. */
int ck_view_save(const struct ck_view *view, int fd, uint64_t offset, uint32_t *crc, struct ck_error *err);

#endif
