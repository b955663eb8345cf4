/*
 * ckpt.h - libckpt, the library of ckptfs: the tensors of a PyTorch checkpoint (.pt), without torch and without running its pickle.
 *
 * Before version 1.0 neither the interface nor the ABI is promised: link statically, and read CHANGELOG.md before an upgrade. What other
 * headers than these declare is not installed, and may change with any version.
 *
 *	struct ck_error err = CK_ERROR_INIT;
 *	struct ck_file *file = NULL;
 *	struct ck_checkpoint *c = NULL;
 *	const struct ck_patch as_stored = { .model = true, .keep_bfloat16 = true, .n_layer = -1 };
 *
 *	if (ck_file_open(path, &file, &err) || ck_checkpoint_open(file, &as_stored, &c, &err))
 *		... ck_error_line(&err, line, sizeof(line)) says why ...
 *	for (size_t i = 0; i < ck_checkpoint_count(c); i++)
 *		... ck_checkpoint_tensor(c, i): key, dtype, shape ...
 *	ck_checkpoint_unref(c);
 *	ck_file_unref(file);
 *
 * To read the elements of a tensor T: an empty view (ck_view_new), ck_view_add_tensor(view, T, &err), then ck_view_read() at any offset;
 * with ck_npy_header() in front the view is a .npy file. The view borrows T: keep the checkpoint until the view's last reference is gone.
 *
 * Rules that hold everywhere. Functions that can fail return an enum ck_code (0 is success), and describe the fault in the last argument,
 * which may be NULL. NAME_new and NAME_open give the caller one reference; NAME_unref gives it back, and takes NULL. "Borrowed" means: not
 * the caller's to free. Checkpoints, sealed views and files are immutable and may be read from any thread. The library never prints,
 * never exits, and keeps no global state.
 */
#ifndef CKPT_H
#define CKPT_H

#include "core/base/buf.h"
#include "core/base/error.h"
#include "core/file/io.h"
#include "core/format/npy.h"
#include "core/pt/checkpoint.h"
#include "core/tensor/tensor.h"
#include "core/tensor/view.h"

#endif
