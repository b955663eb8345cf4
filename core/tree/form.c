/* What a stored file is shown as: the meaning of a local number. Implements form.h. */
#include "core/tree/form.h"

#include "core/pt/forms.h"
#include "core/tree/node_load.h"

#include <string.h>

const struct tree_form tree_forms[TREE_FORMS] = {
	{ "", LOCAL_SELF, S_IFDIR, -1 },
	{ ".json", LOCAL_OUTLINE, S_IFREG, CK_FORM_OUTLINE },
	{ ".raw", LOCAL_RAW, S_IFDIR, -1 },
	{ ".safetensors", LOCAL_SAFETENSORS, S_IFREG, CK_FORM_SAFETENSORS },
	{ ".tsv", LOCAL_TSV, S_IFREG, -1 },
	{ ".error", LOCAL_ERROR, S_IFREG, -1 },
};

int tree_form_of(struct ck_tree *tree, struct node *n, uint32_t local, struct ck_checkpoint **out, enum ck_form *form,
		 size_t *i, struct ck_error *err)
{
	static const enum ck_form forms[] = {
		[LOCAL_SAFETENSORS] = CK_FORM_SAFETENSORS, [LOCAL_TSV] = CK_FORM_TSV, [LOCAL_OUTLINE] = CK_FORM_OUTLINE,
		[LOCAL_HF_ERROR] = CK_FORM_HF_ERROR, [LOCAL_HF_CONFIG] = CK_FORM_HF_CONFIG,
		[LOCAL_HF_GENERATION] = CK_FORM_HF_GENERATION, [LOCAL_HF_SAFETENSORS] = CK_FORM_HF_SAFETENSORS,
	};
	int rc = node_checkpoint(tree, n, out, err);

	if (rc)
		return rc;
	*i = 0;
	if (local < LOCAL_NPY_0) {
		*form = forms[local];
		if (ck_checkpoint_has(*out, *form))
			return CK_OK;
		ck_checkpoint_unref(*out);
		return ck_fail(err, CK_ERR_STALE, "no such file");
	}
	*form = local < LOCAL_RAW_0 ? CK_FORM_NPY : CK_FORM_RAW;
	*i = local - (local < LOCAL_RAW_0 ? LOCAL_NPY_0 : LOCAL_RAW_0);
	if (*i < ck_checkpoint_count(*out) && !(*form == CK_FORM_RAW && ck_checkpoint_tensor(*out, *i)->unshown))
		return CK_OK;
	ck_checkpoint_unref(*out);
	return ck_fail(err, CK_ERR_STALE, "no such tensor");
}

int tree_error_text(struct ck_tree *tree, struct node *n, char *line, size_t size, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	struct ck_checkpoint *c = NULL;
	struct ck_view *text = NULL;
	int rc;

	rc = n->type == NODE_META ? node_text(tree, n, &text, &why) : node_checkpoint(tree, n, &c, &why);
	ck_view_unref(text);
	ck_checkpoint_unref(c);
	if (!rc || !node_error_is_shown(&why))
		return ck_fail(err, rc ? (enum ck_code)rc : CK_ERR_NOENT, "no error to show");
	ck_error_line(&why, line, size - 1);
	strcat(line, "\n");
	return CK_OK;
}
