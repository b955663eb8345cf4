/*
 * chunks - the tables of ahead.h: streams, stores, and the buffers that hold what was read ahead. The callers of all of
 * these hold the lock.
 */
#ifndef CK_CHUNKS_H
#define CK_CHUNKS_H

#include "core/file/io.h"
#include "core/file/pace.h"
#include "core/file/rclone.h"

#include <pthread.h>
#include <sys/types.h>

#define CHUNK ((uint64_t)1 << 20)       /* bytes of one read ahead */
#define CHUNKS 64               /* with CHUNK bytes each, at most */
#define STREAMS 64
#define STORES 8
/* References that are given back at most while the lock is held once: all that are held, and those of new chunks. */
#define DROPPED (2 * CHUNKS + STREAMS)

/* A store, known by its device number, and how it is read best. */
struct store {
	dev_t dev;
	bool known, typed;
	bool single;            /* an open file is one stream, as is known: rclone.h */
	bool direct;            /* its files take O_DIRECT while they are read ahead */
	struct ck_pace pace;
};

/* A call of ck_ahead_read(), on the caller's stack while it lasts. */
struct reader {
	uint64_t offset;        /* what it wants next */
	uint64_t number;        /* the order in which readers came */
	bool queued;            /* it waits until it may read for itself: turns_is_mine() */
	bool reads;             /* it reads for itself */
	struct reader *next;
};

struct stream {
	struct ck_file *file;   /* NULL: free. Held while it is active: else just a number */
	struct store *store;
	uint64_t next;          /* where its reader goes on */
	uint64_t len;           /* of its last read */
	uint64_t run;           /* bytes that were read in order */
	unsigned steps;         /* reads that went on in order */
	uint64_t ahead;         /* the end of what was asked for */
	int64_t used_ms;
	uint64_t used;          /* the order in which streams were read last */
	unsigned fast;          /* reads ahead in a row that came from memory */
	struct reader *readers; /* in no order; with any it is not given to another file */
	bool waits;             /* a read had to wait for the store */
	bool active;            /* it is read ahead */
};

enum chunk_state { CHUNK_FREE, CHUNK_ASKED, CHUNK_READING, CHUNK_READY };

/* Bytes [OFFSET, OFFSET + LEN) of a file. */
struct chunk {
	enum chunk_state state;
	struct ck_file *file;   /* a reference */
	struct stream *stream;  /* NULL: the stream has stopped, and the last user frees the chunk */
	struct store *store;
	uint64_t offset, len;
	uint64_t taken;         /* so many from its beginning readers have copied, some perhaps twice */
	uint64_t number;        /* the order in which chunks were asked for */
	unsigned users;         /* readers that copy from it */
	char *data;             /* CHUNK bytes; kept when it is free, until it is tidied up */
};

struct ck_ahead {
	/* Guards all of it, except the data of a chunk that is being read or has users. Held for as long as it takes to
	   look through the tables. */
	pthread_mutex_t lock;
	pthread_cond_t work;    /* a chunk was asked for, or it all ends */
	pthread_cond_t done;    /* a chunk was read, or a thread ended */
	const struct ck_rclone *rclone; /* set once */
	struct stream streams[STREAMS];
	struct chunk chunks[CHUNKS];
	struct store stores[STORES];
	struct store *last;     /* that was read ahead */
	unsigned next_store;
	uint64_t number, read_bytes;
	size_t most_bytes;
	unsigned threads, idle;
	bool ends;
	struct ck_file *dropped[DROPPED];       /* references to give back without the lock: close(2) may wait */
	unsigned dropped_count;
};

#define FOR_CHUNKS(a, c) for (struct chunk *c = (a)->chunks; c < (a)->chunks + CHUNKS; c++)
#define FOR_STREAMS(a, s) for (struct stream *s = (a)->streams; s < (a)->streams + STREAMS; s++)

/* Gives back the lock, and then what was dropped under it. */
void chunks_unlock(struct ck_ahead *a);

/* Reads on FILE's descriptor bypass the page cache from now on, or no longer. */
void chunks_set_direct(const struct ck_file *file, bool on);

/* Gives C up: at once, or when its last user is done. */
void chunk_give_up(struct ck_ahead *a, struct chunk *c);
/* A user of C is done. */
void chunk_done(struct ck_ahead *a, struct chunk *c);
/* A free chunk with memory: for the caller to fill in. NULL: there is none. */
struct chunk *chunk_free(struct ck_ahead *a);

/* Whether there is a chunk of FILE. */
bool chunks_have(struct ck_ahead *a, const struct ck_file *file);
/* The chunk that holds the byte at OFFSET, or will; or NULL. */
struct chunk *chunk_at(struct ck_ahead *a, const struct ck_file *file, uint64_t offset);
/* Where the next chunk behind OFFSET begins, if that is before END; or END. */
uint64_t chunk_behind(struct ck_ahead *a, const struct ck_file *file, uint64_t offset, uint64_t end);
/* How many S has; how many reads of FILE are asked for and not back yet. */
unsigned chunks_of(struct ck_ahead *a, const struct stream *s);
unsigned chunks_flying(struct ck_ahead *a, const struct ck_file *file);

#endif
