/*
 * pickle_ops - the machine that a pickle is a program for: what each opcode is, and what it does.
 */
#ifndef CK_PICKLE_OPS_H
#define CK_PICKLE_OPS_H

#include "core/base/cursor.h"
#include "core/pickle/pickle.h"
#include "core/pickle/build.h"
#include "core/pickle/memo.h"
#include "core/pickle/stack.h"

struct ck_pickle_machine;

/* How the argument of an opcode is written behind it. */
enum ck_operand {
	CK_OPERAND_NONE,
	CK_OPERAND_NUMBER,  /* `width` bytes, little-endian: m->number */
	CK_OPERAND_COUNTED, /* a number of bytes, in `width` bytes, and these: m->text */
	CK_OPERAND_LINE,    /* up to a newline: m->text */
	CK_OPERAND_LINES,   /* two of these: m->text, m->more */
};

struct ck_opcode {
	const char *name;
	/* NULL: nothing that plain data or torch.save needs, refused. */
	int (*run)(struct ck_pickle_machine *m, struct ck_error *err);
	/* What it does on the first pass, which finds out what the memo must keep: GETs alone do something. */
	int (*scan)(struct ck_pickle_machine *m, struct ck_error *err);
	enum ck_operand operand;
	unsigned width;
	bool last;
	int64_t arg;        /* for `run` */
};

struct ck_span {
	const char *s;
	size_t len;
};

struct ck_pickle_machine {
	struct ck_cursor in;
	struct ck_pickle_build build;
	const struct ck_opcode *op;     /* the one that runs; its offset; its argument */
	size_t at;
	uint64_t number;
	struct ck_span text, more;
	size_t frame_end;               /* 0 outside a frame */
	struct ck_pickle_stack stack;
	struct ck_pickle_memo memo;
	const struct ck_pickle_user *user;
	size_t pinned;                  /* the memo holds something of what the arena had given out by then */
	bool aliased;                   /* a container was fetched: what is filled may be it */
	bool stopped;
};

/* The opcodes of the memo, in pickle/ops_memo.c. */
int ck_op_put(struct ck_pickle_machine *m, struct ck_error *err);
int ck_op_put_text(struct ck_pickle_machine *m, struct ck_error *err);
int ck_op_memoize(struct ck_pickle_machine *m, struct ck_error *err);
int ck_op_get(struct ck_pickle_machine *m, struct ck_error *err);
int ck_op_get_text(struct ck_pickle_machine *m, struct ck_error *err);
int ck_scan_get(struct ck_pickle_machine *m, struct ck_error *err);
int ck_scan_get_text(struct ck_pickle_machine *m, struct ck_error *err);

/* What the arena has given out so far stays, whatever becomes of the call that is being read. */
void ck_op_pin(struct ck_pickle_machine *m);

/* Pushes a CK_GLOBAL. If it is called: what the arena gives out from then on is of the call, so the mark is noted in
   its .len, UINT32_MAX where it doesn't fit. */
int ck_op_push_global(struct ck_pickle_machine *m, int64_t global, struct ck_error *err);

/* By code. No protocol has those without a name. */
extern const struct ck_opcode ck_opcodes[256];

#endif
