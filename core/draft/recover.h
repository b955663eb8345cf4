/*
 * recover - what a crash leaves in a tag.
 *
 * A publication that had begun is finished or taken back (publish.h), files that were staged and what was being removed
 * go, drafts stay. The caller holds the tag's lock alone: no living mount has anything under way there.
 */
#ifndef CK_RECOVER_H
#define CK_RECOVER_H

/* The lock of version 0.1.0, which everyone could open. */
#define CK_OLD_LOCK_NAME "lock"

/* Clears leftovers in HOME, which is TAG/.ckptfs. What can't be cleared is a line for LOG, as in ck_tree_options. */
void ck_recover_tag(const char *tag, const char *home, void (*log)(void *arg, const char *line), void *log_arg);

#endif
