/*
 * form - what a stored file is shown as, and which local number stands for it.
 */
#ifndef CK_TREE_FORM_H
#define CK_TREE_FORM_H

#include "core/pt/forms.h"
#include "core/tree/private.h"

/* What a stored file is shown as: the suffix behind its stem ("model", "rank0"), the local number,
   the type, and the form that must be there (or -1). */
struct tree_form {
	const char *suffix;
	uint32_t local;
	mode_t type;
	int form;
};
#define TREE_FORMS 6
extern const struct tree_form tree_forms[TREE_FORMS];

/* What a local number of MODEL or OPTIM stands for: the checkpoint (a reference), which form of it, of which tensor.
   CK_ERR_STALE, and what node_checkpoint() fails with. */
int tree_form_of(struct ck_tree *tree, struct node *n, uint32_t local, struct ck_checkpoint **out, enum ck_form *form,
		 size_t *i, struct ck_error *err);
/* The line of an .error file: what loading the node says. CK_ERR_NOENT when it loads after all. */
int tree_error_text(struct ck_tree *tree, struct node *n, char *line, size_t size, struct ck_error *err);

#endif
