/* open - reads and checks the directory of a .pt. Implements ck_archive_open of core/zip/archive.h. */
#include "core/zip/impl.h"
#include "core/zip/dir.h"
#include "core/zip/ends.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Where one entry lies at least: a local header without extra field, and the stored bytes. */
struct extent {
	uint64_t start, end;
	uint32_t slot;                  /* CK_NO_SLOT for a directory */
};

/* Memory that an entry takes while its archive is opened, besides its name: its slot, its extent, and up to four places
   in the index. */
#define ENTRY_COST (sizeof(struct ck_slot) + sizeof(struct extent) + 4 * sizeof(uint32_t))
/* What a directory may take of the memory for opening a .pt. The rest is the pickle's. */
#define MOST_MEMORY ((size_t)29 << 20)

/* What exists only while an archive is opened. */
struct opening {
	struct ck_archive *archive;
	struct ck_zipdir *dir;
	struct extent *extents;         /* dir->count of them */
	char *name_to;                  /* where the next name goes */
};

static bool part_is_plain(const char *part, size_t len)
{
	return len > 0 && !(len == 1 && part[0] == '.') && !(len == 2 && part[0] == '.' && part[1] == '.');
}

/* A relative path without empty parts, ".", ".." and NUL; one '/' may end it. */
static int check_name(const char *name, size_t len, struct ck_error *err)
{
	const char *end = name + len, *part = name, *slash;

	if (len == 0 || memchr(name, '\0', len))
		return ck_fail(err, CK_ERR_CORRUPT, "expected a name of an entry, found an empty one or a NUL");
	do {
		slash = memchr(part, '/', (size_t)(end - part));
		if (!part_is_plain(part, (size_t)((slash ? slash : end) - part)))
			return ck_fail(err, CK_ERR_CORRUPT,
				       "expected a relative name of an entry, found one with empty, '.' or '..' parts");
		part = slash ? slash + 1 : end;
	} while (part < end);
	return CK_OK;
}

/* Refuses what we don't read. */
static int check_record(const struct ck_ziprecord *rec, struct ck_error *err)
{
	if (rec->flags & (CK_ZIP_ENCRYPTED | CK_ZIP_STRONG | CK_ZIP_MASKED))
		return ck_fail(err, CK_ERR_UNSUPPORTED, "an encrypted entry");
	if (rec->flags & CK_ZIP_PATCHED)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "an entry of patch data");
	if (rec->method != CK_ZIP_STORED && rec->method != CK_ZIP_DEFLATED)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "compression method %u; only stored and deflated are read",
			       rec->method);
	if (rec->method == CK_ZIP_STORED && rec->size != rec->stored_size)
		return ck_fail(err, CK_ERR_CORRUPT,
			       "expected two equal sizes of a stored entry, found %" PRIu64 " and %" PRIu64, rec->size,
			       rec->stored_size);
	return CK_OK;
}

/* The entry's extent, checked to lie in front of the central directory. */
static int make_extent(const struct opening *o, const struct ck_ziprecord *rec, struct extent *extent,
		       struct ck_error *err)
{
	uint64_t head = CK_ZIP_LOCAL_SIZE + rec->name_len;

	if (rec->header_offset > o->dir->offset || head > o->dir->offset - rec->header_offset ||
	    rec->stored_size > o->dir->offset - rec->header_offset - head)
		return ck_fail(err, CK_ERR_CORRUPT,
			       "%" PRIu64 " bytes at %" PRIu64 " do not end before the central directory at %" PRIu64,
			       rec->stored_size, rec->header_offset, o->dir->offset);
	extent->start = rec->header_offset;
	extent->end = rec->header_offset + head + rec->stored_size;
	extent->slot = CK_NO_SLOT;
	return CK_OK;
}

/* The first entry says what the one directory is; the others must be below it too. */
static int check_top(struct opening *o, const struct ck_ziprecord *rec, struct ck_error *err)
{
	struct ck_archive *archive = o->archive;
	const char *slash = memchr(rec->name, '/', rec->name_len);
	size_t len = slash ? (size_t)(slash - rec->name) + 1 : 0;

	if (len && !archive->top_len) {
		memcpy(o->name_to, rec->name, len);
		o->name_to += len;
		archive->top_len = len;
		return CK_OK;
	}
	if (!len || len != archive->top_len || memcmp(rec->name, archive->names, len) != 0)
		return ck_fail(err, CK_ERR_CORRUPT, "an entry outside the archive's one directory");
	return CK_OK;
}

static int add_slot(struct opening *o, const struct ck_ziprecord *rec, struct extent *extent, struct ck_error *err)
{
	struct ck_archive *archive = o->archive;
	struct ck_slot *slot = &archive->slots[archive->count];
	uint32_t *at;

	memcpy(o->name_to, rec->name, rec->name_len);
	o->name_to[rec->name_len] = '\0';
	slot->entry = (struct ck_entry){
		.name = o->name_to + archive->top_len,
		.size = rec->size,
		.stored_size = rec->stored_size,
		.header_offset = rec->header_offset,
		.crc = rec->crc,
		.method = rec->method,
	};
	o->name_to += rec->name_len + 1;
	slot->flags = rec->flags;
	atomic_init(&slot->offset, CK_UNPLACED);
	atomic_init(&slot->failure, NULL);

	at = ck_archive_index_at(archive, slot->entry.name);
	if (*at != CK_NO_SLOT)
		return ck_fail(err, CK_ERR_CORRUPT, "two entries %s",
			       strcmp(archive->slots[*at].entry.name, slot->entry.name)
				       ? "whose names differ only in capital letters"
				       : "of this name");
	extent->slot = *at = (uint32_t)archive->count++;
	archive->no_crcs &= rec->crc == 0;
	return CK_OK;
}

static int add_entry(struct opening *o, struct extent *extent, const struct ck_ziprecord *rec, struct ck_error *err)
{
	int rc = check_name(rec->name, rec->name_len, err);

	if (!rc)
		rc = check_top(o, rec, err);
	if (!rc)
		rc = check_record(rec, err);
	if (!rc)
		rc = make_extent(o, rec, extent, err);
	if (!rc && rec->name[rec->name_len - 1] != '/')
		rc = add_slot(o, rec, extent, err);
	else if (!rc && rec->size)
		rc = ck_fail(err, CK_ERR_CORRUPT, "expected a directory without bytes, found %" PRIu64, rec->size);
	ck_error_subject(err, rec->name, rec->name_len);
	return rc;
}

static int add_entries(struct opening *o, struct ck_error *err)
{
	struct ck_ziprecord rec;
	int rc = CK_OK;

	for (uint64_t i = 0; i < o->dir->count && !rc; i++) {
		rc = ck_zipdir_next(o->dir, &rec, err);
		if (!rc)
			rc = add_entry(o, &o->extents[i], &rec, err);
	}
	if (!rc && o->dir->next != o->dir->offset + o->dir->size)
		rc = ck_fail(err, CK_ERR_CORRUPT, "the central directory has more than its %" PRIu64 " entries",
			     o->dir->count);
	return rc;
}

static int compare_extents(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* Every entry ends before the next one starts, and the first starts the file. */
static int check_extents(struct opening *o, struct ck_error *err)
{
	struct extent *e = o->extents;
	size_t count = (size_t)o->dir->count;

	qsort(e, count, sizeof(*e), compare_extents);
	if (e[0].start != 0)
		return ck_fail(err, CK_ERR_CORRUPT, "%" PRIu64 " bytes in front of the first entry", e[0].start);
	for (size_t i = 0; i < count; i++) {
		uint64_t limit = i + 1 < count ? e[i + 1].start : o->dir->offset;
		struct ck_slot *slot = e[i].slot == CK_NO_SLOT ? NULL : &o->archive->slots[e[i].slot];

		if (e[i].end > limit) {
			ck_error_set(err, CK_ERR_CORRUPT, "entries overlap: this one ends at %" PRIu64
				" at the earliest, the next one starts at %" PRIu64, e[i].end, limit);
			/* A slot has a name, which clang's analyzer doesn't see. */
			if (slot && slot->entry.name)
				ck_error_subject(err, slot->entry.name, strlen(slot->entry.name));
			return CK_ERR_CORRUPT;
		}
		if (slot)
			slot->limit = limit;
	}
	return CK_OK;
}

/* Memory for what the end record promises, which is bounded by the size of the directory. */
static int allocate(struct opening *o, struct ck_error *err)
{
	struct ck_archive *archive = o->archive;
	size_t count = (size_t)o->dir->count, places = 4;
	uint64_t most;

	if (count == 0)
		return ck_fail(err, CK_ERR_CORRUPT, "no entries: not a torch.save file");
	if (count > CK_ARCHIVE_MAX_ENTRIES)
		return ck_fail(err, CK_ERR_LIMIT, "%zu entries; at most %u are read", count, CK_ARCHIVE_MAX_ENTRIES);
	most = MOST_MEMORY - ENTRY_COST * count;
	if (o->dir->size > most)
		return ck_fail(err, CK_ERR_LIMIT, "a central directory of %" PRIu64 " bytes; of %zu entries at most %"
			       PRIu64 " are read", o->dir->size, count, most);
	while (places < 2 * count)
		places *= 2;
	archive->slots = calloc(count, sizeof(*archive->slots));
	archive->index = malloc(places * sizeof(*archive->index));
	/* A record is longer than its name and a NUL; the directory's own name comes first. */
	archive->names = malloc((size_t)o->dir->size + UINT16_MAX);
	o->extents = malloc(count * sizeof(*o->extents));
	if (!archive->slots || !archive->index || !archive->names || !o->extents)
		return ck_fail_nomem(err);
	memset(archive->index, 0xff, places * sizeof(*archive->index));
	archive->mask = places - 1;
	o->name_to = archive->names;
	return CK_OK;
}

static int read_directory(struct opening *o, struct ck_error *err)
{
	int rc = ck_zipdir_open(o->archive->file, &o->dir, err);

	if (!rc)
		rc = allocate(o, err);
	if (!rc)
		o->archive->records_start = o->dir->offset;
	if (!rc)
		rc = add_entries(o, err);
	if (!rc)
		rc = check_extents(o, err);
	o->archive->names_len = (size_t)(o->name_to - o->archive->names);
	if (!rc && o->dir->start < o->dir->offset && o->dir->offset - o->dir->start <= o->dir->filled)
		ck_archive_keep_end(o->archive, 0, o->dir->start, o->dir->window,
				    (size_t)(o->dir->offset - o->dir->start));
	if (!rc && ck_archive_find(o->archive, "data.pkl") < 0)
		rc = ck_fail(err, CK_ERR_CORRUPT, "no data.pkl: not a torch.save file");
	if (!rc && ck_archive_find(o->archive, "constants.pkl") >= 0)
		rc = ck_fail(err, CK_ERR_UNSUPPORTED,
			     "constants.pkl: a TorchScript archive, which torch.load would run");
	return rc;
}

static struct ck_archive *archive_new(struct ck_file *file)
{
	struct ck_archive *archive = calloc(1, sizeof(*archive));

	if (!archive)
		return NULL;
	archive->scratch = ck_scratch_new(0);
	archive->own_scratch = true;
	if (!archive->scratch) {
		free(archive);
		return NULL;
	}
	atomic_init(&archive->refs, 1);
	pthread_mutex_init(&archive->inflating, NULL);
	archive->file = ck_file_ref(file);
	archive->key = ck_hash_key_new();
	archive->no_crcs = true;
	return archive;
}

int ck_archive_open(struct ck_file *file, struct ck_archive **out, struct ck_error *err)
{
	struct opening o = { .archive = archive_new(file) };
	int rc;

	if (!o.archive)
		return ck_fail_nomem(err);
	rc = read_directory(&o, err);
	if (!rc)
		rc = ck_file_verify(file, err);
	ck_zipdir_free(o.dir);
	free(o.extents);
	if (rc) {
		ck_error_file(err, ck_file_name(file));
		ck_archive_unref(o.archive);
		return rc;
	}
	*out = o.archive;
	return CK_OK;
}
