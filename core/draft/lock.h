/*
 * lock - which mounts write to a tag, and which one publishes a step.
 *
 * TAG/.ckptfs/writers is an empty file that only those may open who may write to the tag: 0600, 0660 where the tag is
 * writable for its group, 0666 where it is for all. So nobody who can only read the store can hold a lock of it. A
 * mount holds byte 0 shared while it changes something in the tag; a mount that gets byte 0 alone knows that no other
 * mount has anything under way, and clears leftovers. One more byte stands for each step: the mount that publishes a
 * step holds the step's byte alone. The locks are of the open file (F_OFD_SETLK): they end with it, also when a mount
 * is killed, and two descriptors of one process exclude each other. In a store of several machines (shared.h), whose
 * locks may end at each machine, who publishes a step has its lease as well (lease.h), and what is cleared are the
 * leftovers of publications, each under its lease; before the first use the store is asked what it can do (able.h).
 *
 * Every wait for another mount ends after CK_LOCK_SECONDS with EBUSY, and has a line in the log. Every call is
 * thread-safe.
 */
#ifndef CK_LOCK_H
#define CK_LOCK_H

#include "core/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct ck_lease;
struct ck_rclone;

#define CK_LOCK_NAME "writers"
#define CK_LOCK_SECONDS 10

struct ck_locks;        /* the tags' locks of one mount */
struct ck_lock;         /* the lock of one tag */

/* RCLONE, which outlives them, and LOG as in ck_tree_options. NULL when out of memory. */
struct ck_locks *ck_locks_new(const struct ck_rclone *rclone, void (*log)(void *arg, const char *line), void *log_arg);
void ck_locks_free(struct ck_locks *locks);     /* NULL is allowed */

/* The lock of the tag whose directory is TAG, a real path; borrowed, it lives as long as LOCKS. Opens nothing. NULL
   when out of memory. */
struct ck_lock *ck_lock_of(struct ck_locks *locks, const char *tag);

/*
 * Holds the lock shared until the same number of ck_lock_drop. CREATE makes TAG/.ckptfs where there is none; it belongs
 * to the tag's owner and group. The first time, leftovers are cleared if no other mount holds the lock. A lock that
 * nobody in this mount uses stays taken, for the next use, as long as there are few of them.
 */
int ck_lock_hold(struct ck_lock *lock, bool create, struct ck_error *err);
void ck_lock_drop(struct ck_lock *lock);

/* Clears leftovers of the tag now, if no mount holds its lock. Keeps nothing open. */
int ck_lock_clear(struct ck_lock *lock, struct ck_error *err);

/* The right to publish a step's draft, or that of its shards. */
struct ck_step_lock {
	int fd;                 /* -1: not had */
	struct ck_lease *lease; /* NULL where none is needed */
};
/* Waits while another mount has it. CK_ERR_SYS EBUSY: the other is not done yet. On failure it isn't had. */
int ck_lock_step(struct ck_lock *lock, uint64_t step, bool shards, struct ck_step_lock *out, struct ck_error *err);
void ck_unlock_step(struct ck_step_lock *held);         /* one that isn't had is allowed */

/* WHY, of SIZE bytes: why nothing can be written where it was tried last that nothing can; "" if that was nowhere. */
void ck_locks_unable(struct ck_locks *locks, char *why, size_t size);

/* Why only one machine should write to a store that was written to; NULL: several may. */
const char *ck_locks_alone(struct ck_locks *locks);

/* The tag is being removed, and its directory HOME, which holds nothing but the lock. */
void ck_lock_remove(const char *home);

#endif
