/* Pickles to values: runs the opcodes one after another. Implements ck_pickle_read of pickle.h. */
#include "core/pickle/pickle.h"

#include "core/pickle/ops.h"

static struct ck_span read_bytes(struct ck_cursor *in, uint64_t len)
{
	return (struct ck_span){ (const char *)ck_cursor_take(in, len), (size_t)len };
}

static struct ck_span read_line(struct ck_cursor *in)
{
	struct ck_span line;

	line.s = (const char *)ck_cursor_line(in, &line.len);
	return line;
}

static int fetch_operand(struct ck_pickle_machine *m, struct ck_error *err)
{
	switch (m->op->operand) {
	case CK_OPERAND_NONE:
		break;
	case CK_OPERAND_NUMBER:
		m->number = ck_cursor_le(&m->in, m->op->width);
		break;
	case CK_OPERAND_COUNTED:
		m->text = read_bytes(&m->in, ck_cursor_le(&m->in, m->op->width));
		break;
	case CK_OPERAND_LINES:
		m->text = read_line(&m->in);
		m->more = read_line(&m->in);
		break;
	}
	if (!m->in.ok)
		return ck_fail(err, CK_ERR_CORRUPT, "the pickle ends inside it");
	if (m->frame_end && m->in.pos > m->frame_end)
		return ck_fail(err, CK_ERR_CORRUPT, "it crosses the end of its frame");
	return CK_OK;
}

static int step(struct ck_pickle_machine *m, struct ck_error *err)
{
	uint8_t code = ck_cursor_u8(&m->in);
	int rc;

	if (!m->in.ok)
		return ck_fail(err, CK_ERR_CORRUPT, "the pickle ends without a STOP");
	m->op = &ck_opcodes[code];
	if (!m->op->name)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "unknown opcode 0x%02x", code);
	if (!m->op->run)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "expected an opcode that torch.save writes, found another");
	rc = fetch_operand(m, err);
	if (!rc)
		rc = m->op->run(m, err);
	if (m->in.pos == m->frame_end)
		m->frame_end = 0;
	return rc;
}

static int run(struct ck_pickle_machine *m, struct ck_value *out, struct ck_error *err)
{
	int rc = CK_OK;

	while (!rc && !m->stopped) {
		m->at = m->in.pos;
		m->op = NULL;
		rc = step(m, err);
	}
	if (!rc)
		rc = ck_pickle_check(&m->stack.values[m->stack.depth - 1], m->in.len, err);
	if (!rc)
		*out = m->stack.values[m->stack.depth - 1];
	return rc;
}

int ck_pickle_read(const void *data, size_t len, struct ck_arena *arena, const struct ck_pickle_user *user,
		   struct ck_value *out, struct ck_error *err)
{
	struct ck_pickle_machine m = {
		.in = ck_cursor(data, len), .build = ck_pickle_build(arena, len),
		.stack.budget = ck_arena_budget(arena), .memo.budget = ck_arena_budget(arena), .user = user,
	};
	struct ck_error why = CK_ERROR_INIT;
	int rc;

	if (len > CK_PICKLE_MAX_BYTES)
		return ck_fail(err, CK_ERR_LIMIT, "a pickle of %zu bytes, at most %zu are read", len,
			       CK_PICKLE_MAX_BYTES);
	rc = run(&m, out, &why);
	if (rc) {
		if (m.op && m.op->name && !m.stopped)
			ck_error_set(err, why.code, "opcode %s: %s", m.op->name, why.text);
		else
			ck_error_set(err, why.code, "%s", why.text);
		ck_error_offset(err, m.at);
		if (m.in.ok)
			ck_error_refused(err);
	}
	ck_pickle_build_end(&m.build);
	ck_memo_free(&m.memo);
	ck_stack_free(&m.stack);
	return rc;
}
