/*
 * layout - a .pt that is nowhere stored: the zip that torch.save writes with CRCs turned off, as a view whose records
 * are the tensors' own extents. Its size is known without reading a tensor.
 *
 * Source: caffe2/serialize/inline_container.cc; APPNOTE.TXT 4.3 and 4.5.3 (zip64).
 */
#ifndef CK_LAYOUT_H
#define CK_LAYOUT_H

#include "core/pt/serializer.h"

/*
 * Appends the file that SAVE describes to VIEW, which is empty. SAVE's tensors have their sources, and stay the view's
 * owner's; SAVE->open is not called. Every record has CRC 0: torch checks none, other zip programs find them wrong.
 * CK_ERR_INVALID and CK_ERR_LIMIT as ck_serialize; CK_ERR_NOMEM.
 */
int ck_layout_add(struct ck_view *view, const struct ck_save *save, struct ck_error *err);

#endif
