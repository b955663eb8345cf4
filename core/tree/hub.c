/* Which files hf/ has, and where a tokenizer's lie. Implements hub.h. */
#include "core/tree/hub.h"

#include "core/file/dir.h"
#include "core/tree/contain.h"

#include <limits.h>

const struct tree_form hub_files[HUB_FILES] = {
	{ "config.json", LOCAL_HF_CONFIG, S_IFREG, CK_FORM_HF_CONFIG },
	{ "generation_config.json", LOCAL_HF_GENERATION, S_IFREG, CK_FORM_HF_GENERATION },
	{ "model.safetensors", LOCAL_HF_SAFETENSORS, S_IFREG, CK_FORM_HF_SAFETENSORS },
};

const char *const hub_tokenizer[HUB_TOKENIZER] = {
	"chat_template.jinja", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
};

static bool is_file(const struct ck_tree *tree, const char *dir, const char *name, char *path, struct stat *st)
{
	return ck_path_join(path, dir, name) && tree_stat(tree, path, st) == 0 && S_ISREG(st->st_mode);
}

int key_of_tokenizer(const struct ck_tree *tree, const struct node *model, size_t i, char *path, struct node_key *key,
		     struct ck_error *err)
{
	const char *name = hub_tokenizer[i];
	char dir[PATH_MAX];
	struct stat st;
	bool found;

	path_of_tag(model, dir);
	found = is_file(tree, dir, name, path, &st);
	if (!found && tree->options.level == CK_LEVEL_BASE)
		found = (ck_path_join(dir, tree->store, "tokenizer") && is_file(tree, dir, name, path, &st)) ||
			is_file(tree, tree->store, name, path, &st);
	if (!found)
		return ck_fail(err, CK_ERR_NOENT, "no such name");
	/* The rank is its place in the listing (key.c). */
	*key = (struct node_key){ .type = NODE_HUB, .path = path, .ident = tree_ident(tree, &st),
				  .name = { .kind = CK_FILE_META, .step = model->name.step, .rank = i },
				  .parent = ino_of(model, LOCAL_HF) };
	return CK_OK;
}
