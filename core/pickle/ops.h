/*
 * pickle_ops - the unpickler: its state, and what each opcode does to it.
 */
#ifndef CK_PICKLE_OPS_H
#define CK_PICKLE_OPS_H

#include "core/base/cursor.h"
#include "core/pickle/pickle.h"
#include "core/pickle/build.h"
#include "core/pickle/memo.h"
#include "core/pickle/stack.h"

struct ck_pickle_machine;

/* How the argument of an opcode is written after the opcode. */
enum ck_operand {
	CK_OPERAND_NONE,
	CK_OPERAND_NUMBER,  /* `width` bytes, little-endian: m->number */
	CK_OPERAND_COUNTED, /* a length of `width` bytes, then as many bytes: m->text */
	CK_OPERAND_LINES,   /* two, each up to a newline: m->text, m->more */
};

struct ck_opcode {
	const char *name;
	/* NULL: neither plain data nor torch.save needs the opcode. It is refused. */
	int (*run)(struct ck_pickle_machine *m, struct ck_error *err);
	enum ck_operand operand;
	unsigned width;
	int64_t arg;        /* for `run` */
};

struct ck_span {
	const char *s;
	size_t len;
};

struct ck_pickle_machine {
	struct ck_cursor in;
	struct ck_pickle_build build;
	const struct ck_opcode *op;     /* the opcode that runs, its offset, its argument */
	size_t at;
	uint64_t number;
	struct ck_span text, more;
	size_t frame_end;               /* 0 outside a frame */
	struct ck_pickle_stack stack;
	struct ck_pickle_memo memo;
	const struct ck_pickle_user *user;
	bool stopped;
};

/* By code. Codes without a name are opcodes of no protocol. */
extern const struct ck_opcode ck_opcodes[256];

#endif
