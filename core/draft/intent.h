/*
 * intent - the note in a draft that says which files are about to be renamed into the tag. It is on
 * disk before the first rename and until the draft is done with, so that what a crash or a fault
 * interrupts can be finished or taken back.
 *
 * A line for each file, in the order of the renames: "INODE SIZE MTIME NAME". The first three tell
 * whether what has the name now is still that file: another may have been saved there since. In a
 * store of several machines (shared.h) inode numbers may not last, and a MARK follows, in hexadecimal,
 * which tells it with the size instead.
 */
#ifndef CK_INTENT_H
#define CK_INTENT_H

#include "core/file/io.h"
#include "core/tree/names.h"

struct ck_intended {
	struct ck_ident ident;          /* dev is 0: it may be another after a remount */
	struct ck_file_name name;
	bool is_new;                    /* this process added it: nothing was renamed before */
	bool tried;                     /* its rename was */
	bool has_mark;
	uint32_t mark;                  /* ck_mark_of */
};

struct ck_intent {
	const char *made;               /* the directory that the files are made in; borrowed */
	const char *tag;                /* the one that they go to; borrowed */
	struct ck_intended *files;
	size_t count;
	bool looked, shared;            /* ck_is_shared of TAG, once it was looked at */
};

/* Adds the file that was made for NAME. */
int ck_intent_add(struct ck_intent *in, const struct ck_file_name *name, struct ck_error *err);

/* Writes it to PATH, fsynced (the directory is the caller's); reads it from there: no files where
   there is none, the whole lines where a crash cut it. */
int ck_intent_save(const struct ck_intent *in, const char *path, struct ck_error *err);
int ck_intent_load(struct ck_intent *in, const char *path, struct ck_error *err);
void ck_intent_free(struct ck_intent *in);

/* *YES: file I is in the tag. CK_ERR_SYS: that can't be told now. */
int ck_intent_in_place(const struct ck_intent *in, size_t i, bool *yes, struct ck_error *err);

/* Renames what is not in place yet, replacing nothing, and fsyncs the tag. CK_ERR_EXIST: a name is
   taken; CK_ERR_NOENT: a file is in neither place. What was renamed stays. */
int ck_intent_carry_out(const struct ck_intent *in, struct ck_error *err);

/* Removes the files from the tag again, the last first, and fsyncs it. */
int ck_intent_take_back(const struct ck_intent *in, struct ck_error *err);

/* For files that are somebody's: renames what is not in place yet, or with BACK all back into MADE, the last first.
   Nothing is replaced (CK_ERR_EXIST), and what is in neither place, as another was saved there since, is passed over.
   Fsyncs both directories. What was renamed stays. */
int ck_intent_move(const struct ck_intent *in, bool back, struct ck_error *err);

#endif
