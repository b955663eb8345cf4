/*
 * dnode - the inodes of drafts that the kernel or an open file holds, found by number and by file.
 *
 * An inode dies when its file is unlinked, replaced or published. It stays in the table until nobody holds it, and
 * can't be found by its file any more.
 */
#ifndef CK_DRAFT_DNODE_H
#define CK_DRAFT_DNODE_H

#include "core/draft/private.h"

/* The draft was published or removed: its inodes are dead. */
void draft_set_gone(struct ck_drafts *d, struct draft *draft);

/* The inode of NAME in PARENT (NULL: the draft's own directory), whose attributes are ST; a
   reference. NULL when out of memory. */
struct dnode *dnode_get(struct ck_drafts *d, struct draft *draft, struct dnode *parent, const char *name,
			const struct stat *st);
/*
 * The same for a lookup, which no lock of the kernel's keeps apart from a rename: ST was taken while there had been
 * MOVES renames. NULL, too, when there were others since, one of which may have given the file another name.
 */
struct dnode *dnode_get_unmoved(struct ck_drafts *d, struct draft *draft, struct dnode *parent, const char *name,
				const struct stat *st, uint64_t moves);
uint64_t dnode_moves(struct ck_drafts *d);
struct dnode *dnode_find(struct ck_drafts *d, ck_ino ino);      /* a reference; NULL when unknown */
void dnode_put(struct ck_drafts *d, struct dnode *node);
/* counts one of the kernel's lookups */
void dnode_look_up(struct ck_drafts *d, struct dnode *node);
/*
 * The file whose attributes are ST is about to go: its inode, if the kernel knows it, is dead (its
 * number may be given to another file at once). A reference, or NULL. When the file stays after
 * all, it lives on.
 */
struct dnode *dnode_kill(struct ck_drafts *d, const struct stat *st);
void dnode_revive(struct ck_drafts *d, struct dnode *node);
void dnode_move(struct ck_drafts *d, const struct stat *st, struct draft *draft, struct dnode *parent,
		const char *name);

/* The inode number of the file whose attributes are ST. */
ck_ino dnode_number(struct ck_drafts *d, const struct stat *st);

#endif
