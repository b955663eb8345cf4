/*
 * safetensors - the safetensors format, both ways. Source: its format description and the library's
 * tensor.rs: an 8-byte little-endian header length, a JSON header padded with spaces to 8 bytes,
 * the data without holes, in the library's order.
 */
#ifndef CK_SAFETENSORS_H
#define CK_SAFETENSORS_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/tensor/tensor.h"
#include "core/tensor/view.h"

/* The longest header, read or written; it is held in memory. The format allows 100 MB; 262,144 tensors take 30. */
#define CK_SAFETENSORS_MAX_HEADER ((size_t)32 << 20)

/* Whether the format can hold T: it is shown as an array, its dtype has a name there and its key is UTF-8 without
   surrogates, other than "__metadata__". */
bool ck_safetensors_can(const struct ck_tensor *t);

/*
 * Appends the length and the header for COUNT tensors as shown to OUT, and sets ORDER (room for COUNT
 * entries, the caller's) to the indexes of the *HELD ones that the format can hold, in file order: dtype rank from high
 * to low, then key bytes. The keys of the others are in the metadata as "ckptfs.left_out", a JSON list.
 * CK_ERR_LIMIT for the header.
 */
int ck_safetensors_header(struct ck_buf *out, const struct ck_tensor *tensors, size_t count, uint32_t *order,
			  size_t *held, struct ck_error *err);

/* Appends the whole file, the header and the tensors it lists, to VIEW. TENSORS are borrowed as in
   ck_view_add_tensor. */
int ck_safetensors_view(struct ck_view *view, const struct ck_tensor *tensors, size_t count, struct ck_error *err);

/*
 * Reads the header of FILE (CK_SRC_FILE tensors that borrow it), allocating tensors, keys and
 * shapes in ARENA, in the order of the header. The library's checks, all of them: header length,
 * JSON object, no duplicate keys, known dtypes, offsets that are ordered, contiguous, cover the
 * rest of the file and fit shape x dtype. `__metadata__` is checked (strings) and left out.
 * CK_ERR_INVALID; CK_ERR_LIMIT where the arena has no room.
 */
int ck_safetensors_read(struct ck_file *file, struct ck_arena *arena, struct ck_tensor **tensors, size_t *count,
			struct ck_error *err);

#endif
