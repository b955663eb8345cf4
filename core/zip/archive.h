/*
 * archive - the entries of a .pt and where their bytes lie.
 *
 * A .pt is a zip with everything below one directory ("archive/", "model_000500/"); names here are
 * without it: "data.pkl", "data/0". Opening reads the end of the file, its central directory and no
 * entry. An archive is immutable, except for the places of entries, which are found when first asked
 * for and remembered.
 */
#ifndef CK_ARCHIVE_H
#define CK_ARCHIVE_H

#include "core/file/origin.h"

struct ck_archive;
struct ck_scratch;

struct ck_entry {
	const char *name;        /* below the archive's directory; NUL-terminated */
	uint64_t size;           /* bytes, uncompressed */
	uint64_t stored_size;    /* bytes, as stored */
	uint64_t header_offset;  /* of the local header, in the file */
	uint32_t crc;
	uint16_t method;         /* 0 stored, 8 deflated */
};

/*
 * The memory for opening a .pt: the zip's directory, the pickle and its values, the table of tensors, the outline.
 * 144 MiB are promised. The rest is for what is not counted: the rounding of malloc and of pages, stacks, the window
 * through which the zip is read. A model of 100,000 tensors needs about 90 MB.
 */
#define CK_OPEN_BYTES ((size_t)128 << 20)

/* Limits on what a zip may ask for. */
#define CK_ARCHIVE_MAX_ENTRIES (1u << 17)
#define CK_ARCHIVE_MAX_INFLATED (UINT64_C(64) << 30)  /* bytes of one deflated entry */

/*
 * Opens FILE (a reference is taken), which may have up to 64 KiB behind the zip's end. CK_ERR_CORRUPT: no zip, an entry
 * outside the file, two entries of one name, entries that overlap, not exactly one directory with a data.pkl;
 * CK_ERR_UNSUPPORTED: encryption, a method other than stored and deflated, a legacy torch file (a pickle or a tar:
 * named in the message); CK_ERR_LIMIT; CK_ERR_SYS; CK_ERR_CHANGED. *OUT is the caller's reference.
 */
int ck_archive_open(struct ck_file *file, struct ck_archive **out, struct ck_error *err);
struct ck_archive *ck_archive_ref(struct ck_archive *archive);
/* returns NULL; NULL is allowed */
struct ck_archive *ck_archive_unref(struct ck_archive *archive);

size_t ck_archive_count(const struct ck_archive *archive);
size_t ck_archive_memory(const struct ck_archive *archive);     /* bytes that it holds, about */
const struct ck_entry *ck_archive_entry(const struct ck_archive *archive, size_t i);

/* The index of the entry NAME, or -1. Constant time. */
int64_t ck_archive_find(const struct ck_archive *archive, const char *name);

struct ck_file *ck_archive_file(const struct ck_archive *archive);  /* borrowed: the .pt */

/* Whether the file has CRCs: torch.save can be told to compute none, and then each is 0. */
bool ck_archive_has_crcs(const struct ck_archive *archive);

/* The whole entry I of at most MAX bytes, its CRC checked where there are any. *OUT is malloc'ed (free()), with a NUL
   behind it. */
int ck_archive_load(struct ck_archive *archive, size_t i, size_t max, char **out, size_t *len,
		    struct ck_error *err);

/* Where deflated entries are unpacked: SCRATCH is borrowed, and must outlive the archive. Before any is read. An
   archive without this call has its own. */
void ck_archive_set_scratch(struct ck_archive *archive, struct ck_scratch *scratch);

/*
 * Where the uncompressed bytes of entry I lie: ORIGIN's file and byte. The caller ends with ck_origin_release(). A
 * stored entry lies in the .pt itself; its local header is read and compared with the central directory now, once. A
 * deflated one is inflated into a block of temporary space, unless it is there already, and its CRC checked. With
 * origin->now: CK_ERR_AGAIN where something would have to be read. CK_ERR_CORRUPT is remembered; CK_ERR_SYS (no
 * temporary space), CK_ERR_LIMIT and CK_ERR_CHANGED are looked at each time. Thread-safe.
 */
int ck_archive_locate(struct ck_archive *archive, size_t i, struct ck_origin *origin, struct ck_error *err);

#endif
