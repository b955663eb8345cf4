/*
 * ends - what is known of a .pt without a read for each of its entries: stores behind a network answer each read late.
 *
 * torch puts its small records at both ends of the file: the pickle and those behind it at the beginning, `version` in
 * front of the central directory. So opening a .pt reads its two ends at once, and finds the records in what it has.
 */
#ifndef CK_ENDS_H
#define CK_ENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ck_archive;

/* Asks the kernel for both ends of FILE, and doesn't wait for them. */
struct ck_file;
void ck_archive_prefetch(const struct ck_file *file);
/* The bytes of the entry I are read next: if its local header must be read first, both are asked for together. */
void ck_archive_prefetch_entry(const struct ck_archive *archive, size_t i);

/*
 * Reads the file's beginning, if PICKLE, the entry data.pkl, is small enough to come with it. The archive keeps that,
 * and the file's end from its opening: what is read of it from now on is taken from there. Only while no other thread
 * has the archive. CK_ERR_SYS, CK_ERR_CHANGED, CK_ERR_NOMEM.
 */
struct ck_error;
int ck_archive_read_beginning(struct ck_archive *archive, size_t pickle, struct ck_error *err);
/* For those who open and read an archive: what is kept of the ends and has the byte at OFFSET, else NULL; and that the
   LEN bytes from OFFSET, which BYTES has, are kept as the end (0) or the beginning (1). Without memory they aren't. */
struct ck_zipbytes;
const struct ck_zipbytes *ck_archive_end_at(const struct ck_archive *archive, uint64_t offset);
void ck_archive_keep_end(struct ck_archive *archive, size_t which, uint64_t offset, const void *bytes, size_t len);
/* Frees both. */
void ck_archive_forget_ends(struct ck_archive *archive);

/*
 * Where the bytes of the stored entry I begin, by the directory alone: torch begins them at a multiple of 64, and puts
 * nothing behind them but the data descriptor, up to the next entry. False where they can't lie so. Where they do lie
 * is for ck_archive_locate() to say, which reads the local header: this is good for a table, and for no read.
 */
bool ck_archive_expect(const struct ck_archive *archive, size_t i, uint64_t *offset);

#endif
