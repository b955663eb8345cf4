/* Who may use a draft at the same time: the tag's lock and the draft's own. Implements use.h. */
#include "core/draft/use.h"

#include "core/base/clock.h"
#include "core/draft/lock.h"

#include <errno.h>
#include <time.h>

/* Waits with WAIT, a timed lock, in small steps: the program that asked may give up. */
static int wait_for_lock(struct draft *draft, int (*wait)(pthread_rwlock_t *, const struct timespec *),
			 struct ck_error *err)
{
	const struct ck_drafts *d = draft->drafts;
	struct timespec until;
	int rc;

	do {
		if (d->gave_up && d->gave_up(d->gave_up_arg)) {
			errno = EINTR;
			return ck_fail_sys(err, "waiting for the draft");
		}
		until = ck_time_in(CK_LOOK_NS);
		rc = wait(&draft->lock, &until);
	} while (rc == ETIMEDOUT);
	errno = rc;
	return rc ? ck_fail_sys(err, "locking the draft") : CK_OK;
}

int draft_begin_read(struct draft *draft, struct ck_error *err)
{
	int rc = CK_OK;

	if (pthread_rwlock_tryrdlock(&draft->lock))
		rc = wait_for_lock(draft, pthread_rwlock_timedrdlock, err);
	if (rc || !draft->gone)
		return rc;
	pthread_rwlock_unlock(&draft->lock);
	return ck_fail(err, CK_ERR_STALE, "the draft was published or removed");
}

void draft_end_read(struct draft *draft) { pthread_rwlock_unlock(&draft->lock); }

int draft_hold(struct draft *draft, struct ck_error *err)
{
	return draft->tag_lock ? ck_lock_hold(draft->tag_lock, false, err) : CK_OK;
}

void draft_drop(struct draft *draft)
{
	if (draft->tag_lock)
		ck_lock_drop(draft->tag_lock);
}

int draft_begin(struct draft *draft, struct ck_error *err)
{
	int rc = draft_hold(draft, err);

	if (rc)
		return rc;
	rc = draft_begin_read(draft, err);
	if (rc)
		draft_drop(draft);
	return rc;
}

void draft_end(struct draft *draft)
{
	pthread_rwlock_unlock(&draft->lock);
	draft_drop(draft);
}

int draft_begin_alone(struct draft *draft, struct ck_error *err)
{
	int rc = draft_hold(draft, err);

	if (!rc && pthread_rwlock_trywrlock(&draft->lock)) {
		rc = wait_for_lock(draft, pthread_rwlock_timedwrlock, err);
		if (rc)
			draft_drop(draft);
	}
	return rc;
}
