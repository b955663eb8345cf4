/*
 * check - looks after a store: opens every checkpoint as the mount does, and says what is wrong with the files.
 *
 * The reader is that of the mount (pt, format): what is called sound here is shown there, and the other way round. It
 * only reads. Files are checked side by side, one thread a processor; what was found is reported in the store's order.
 *
 * A training run may write to the store during the check. So a fault counts only where the file has stood still for two
 * seconds; a file that is still changing gets a note.
 */
#ifndef CK_CHECK_H
#define CK_CHECK_H

#include "core/check/found.h"
#include "core/tree/level.h"

struct ck_scratch;

struct ck_check_progress {
	uint64_t files, all_files;
	uint64_t bytes, all_bytes;      /* that are done, and of all files */
};

struct ck_check_options {
	const char *store;              /* absolute path */
	enum ck_level level;
	bool one_step;                  /* level TAG: STEP alone */
	uint64_t step;
	bool read_data;                 /* the CRC of every record */
	bool finite;                    /* NaN and infinities of every tensor */
	bool verbose;                   /* SOUND is called, too; with FINITE there is a ROW for each tensor */
	unsigned threads;
	struct ck_scratch *scratch;     /* where deflated entries are unpacked; borrowed */
	/* The thread that calls ck_check calls all three: SOUND with the path of a file without a finding; TICK some
	   times a second, and it returns whether to go on. */
	void (*report)(void *arg, const struct ck_finding *finding);
	void (*sound)(void *arg, const char *path);
	bool (*tick)(void *arg, const struct ck_check_progress *progress);
	void *arg;
};

struct ck_check_result {
	uint64_t files;                         /* that were looked at */
	uint64_t found[CK_SEVERITIES];          /* how many findings of each kind */
	bool stopped;
};

/* Faults of a file are findings. It fails where the store can't be listed (CK_ERR_SYS), where ONE_STEP has no file
   (CK_ERR_NOENT), for want of memory or threads. */
int ck_check(const struct ck_check_options *options, struct ck_check_result *result, struct ck_error *err);

#endif
