/*
 * draft - steps while they are written: drafts, shards for published steps, and files under nanochat's own names.
 *
 * A draft is a directory of plain files in the store's own file system, below TAG/.ckptfs; what
 * programs do in it is done to these files. Publishing (publish.h) makes them a step. So a full
 * disk shows at the write that fills it, and drafts survive a kill and a remount.
 *
 *   TAG/.ckptfs/writers              held shared by a mount while it writes to the tag; who gets it
 *                                    alone may clear leftovers (lock.h)
 *   TAG/.ckptfs/000600/files/...     what the mount shows as TAG/000600/...
 *   TAG/.ckptfs/000600/order         the names of the files in the order of their creation, and
 *                                    their renames
 *   TAG/.ckptfs/000600/publish/      the step's files while they are made; intent: what is being
 *                                    renamed into place
 *   TAG/.ckptfs/staged/              files under nanochat's own names until they are closed, and
 *                                    programs' temporary names
 *   TAG/.ckptfs/trash/000500/        what is retired (retire.h)
 *
 * Inode numbers of all this have CK_INO_DRAFT set. Every call is thread-safe. Directories are named
 * by their inode number, which may be one of the tree's: a tag, a step, its optim/.
 */
#ifndef CK_DRAFT_H
#define CK_DRAFT_H

#include "core/tree/tree.h"

struct ck_drafts;

/*
 * Writing beside TREE (borrowed). Leftovers of a crash are cleared now, in every tag: a publication
 * that had begun is finished or taken back, drafts stay. LOG as in ck_tree_options. With
 * options.read_only drafts are shown and can be read: nothing is cleared, no lock is taken, and nothing
 * below may be called that writes.
 */
int ck_drafts_new(struct ck_tree *tree, const struct ck_tree_options *options, struct ck_drafts **out,
		  struct ck_error *err);
void ck_drafts_free(struct ck_drafts *d);       /* NULL is allowed */

#endif
