/*
 * pickle_ops - the machine that a pickle is a program for: what each opcode is, and what it does.
 */
#ifndef CK_PICKLE_OPS_H
#define CK_PICKLE_OPS_H

#include "cursor.h"
#include "pickle_build.h"
#include "pickle_stack.h"

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
	const struct ck_opcode *op;     /* the one that runs; its offset; its argument */
	size_t at;
	uint64_t number;
	struct ck_span text, more;
	size_t frame_end;               /* 0 outside a frame */
	struct ck_pickle_stack stack;
	bool stopped;
};

/* By code; those without a name are none in any protocol. */
extern const struct ck_opcode ck_opcodes[256];

#endif
