/* Which tensors a nanochat GPT lacks. Implements required.h. */
#include "core/pt/required.h"

#include <stdlib.h>

static bool has_layers(const struct ck_tensor *tensors, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ck_gpt_in_layers(tensors[i].key))
			return true;
	return false;
}

int ck_required_lacking(const struct ck_tensor *tensors, size_t count, int64_t n_layer, struct ck_lacking *out,
			struct ck_error *err)
{
	size_t place, first = 0, found = 0;
	bool *seen;

	*out = (struct ck_lacking){0};
	if (n_layer < 0 || !has_layers(tensors, count))
		return CK_OK;
	out->wanted = ck_gpt_count((uint64_t)n_layer);
	seen = calloc(out->wanted, sizeof(*seen));
	if (!seen)
		return ck_fail_nomem(err);
	for (size_t i = 0; i < count; i++) {
		place = ck_gpt_place(tensors[i].key, (uint64_t)n_layer);
		if (place >= out->wanted || seen[place])
			continue;
		seen[place] = true;
		found++;
	}
	while (first < out->wanted && seen[first])
		first++;
	free(seen);
	out->missing = out->wanted - found;
	if (out->missing)
		ck_gpt_name(first, out->first);
	return CK_OK;
}
