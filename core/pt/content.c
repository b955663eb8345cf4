/* Tells models from optimizer states by their outermost values. Implements content.h. */
#include "core/pt/content.h"

#include "core/pt/rebuild.h"

static bool is_model(const struct ck_value *v)
{
	bool all = v->kind == CK_DICT && v->dict->len;

	for (uint32_t i = 0; all && i < v->dict->len; i++)
		all = v->dict->pairs[i].value.kind == CK_TENSOR || ck_is_tensor(&v->dict->pairs[i].value);
	return all;
}

static bool is_optim(const struct ck_value *v)
{
	return v->kind == CK_DICT && ck_dict_get(v->dict, "state") && ck_dict_get(v->dict, "param_groups");
}

static bool is_optims(const struct ck_value *v)
{
	bool all = v->kind == CK_LIST && v->list->len;

	for (uint32_t i = 0; all && i < v->list->len; i++)
		all = is_optim(&v->list->items[i]);
	return all;
}

enum ck_content ck_content_of(const struct ck_value *root)
{
	bool model = is_model(root), optim = is_optim(root) || is_optims(root);

	if (model == optim)
		return CK_CONTENT_OTHER;
	return model ? CK_CONTENT_MODEL : CK_CONTENT_OPTIM;
}
