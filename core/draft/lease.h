/*
 * lease - the right to publish a step in a store of several machines, whose locks may end at each machine.
 *
 * It is a file that only one can make, TAG/.ckptfs/lease-000600, or lease-000600.optim for shards. It says who has it:
 * host, boot, namespace of process numbers, process, and a number of its own. That is in the file when it gets its name
 * (link), or a moment later where a store has no hard links. A thread that lives as long as the lease writes it again
 * every CK_LEASE_RENEW seconds. A lease is taken over, and that is logged, when by the store's clock it wasn't renewed
 * for CK_LEASE_SECONDS, when its process has ended on this machine, or when it is empty for CK_LEASE_EMPTY seconds: its
 * maker was killed before it wrote. So the holder of a lease asks ck_lease_check before what can't be taken back.
 *
 * Clients that keep attributes longer than CK_LEASE_SECONDS - 2 * CK_LEASE_RENEW see no renewals in time.
 */
#ifndef CK_LEASE_H
#define CK_LEASE_H

#include "core/base/error.h"
#include "core/tree/names.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define CK_LEASE_PREFIX "lease-"
#define CK_LEASE_SECONDS 60
#define CK_LEASE_RENEW 15
#define CK_LEASE_EMPTY 5

struct ck_lease;

/* Who this mount is on this machine: for all its leases. */
struct ck_lease_self {
	char text[192];
	void (*log)(void *arg, const char *line);       /* as in ck_tree_options */
	void *log_arg;
};
void ck_lease_introduce(struct ck_lease_self *self);
/* What is in a lease of this process. A file of a name with CK_LEASE_PREFIX that holds it is dealt with as a lease. */
#define CK_LEASE_TEXT 256
int ck_lease_text(const struct ck_lease_self *self, char text[CK_LEASE_TEXT], struct ck_error *err);

/* The name of the lease for publishing STEP, a draft of that kind. */
#define CK_LEASE_NAME 80
const char *ck_lease_name(enum ck_draft_kind kind, uint64_t step, char name[CK_LEASE_NAME]);

/* The lease HOME/NAME, HOME a real path; waits up to SECONDS while another has it: CK_ERR_SYS EBUSY. *OUT is the
   caller's. */
int ck_lease_take(const struct ck_lease_self *self, const char *home, const char *name, unsigned seconds,
		  struct ck_lease **out, struct ck_error *err);
/* CK_ERR_SYS EBUSY: another has taken it over. NULL is a lease that nobody needs. */
int ck_lease_check(struct ck_lease *lease, struct ck_error *err);
void ck_lease_drop(struct ck_lease *lease);     /* NULL is allowed */

/* The time by the store's clock: that of a file which is written in HOME and removed again. CK_ERR_SYS EAGAIN: the
   client doesn't tell it before it has sent the file. */
int ck_lease_now(const char *home, time_t *now, struct ck_error *err);
/* Whether T may be when a file was written. rclone shows files that it hasn't sent yet as of 1999 or 2000, where the
   server keeps no times for its clients. */
bool ck_lease_is_time(time_t t);

#endif
