/* Where an inode's file lies, and its attributes. Implements dnode_path.h. */
#include "core/draft/dnode_path.h"

#include "core/draft/table.h"
#include "core/file/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

/* cp and others write as much at once: each write is a request, and brings another along (the
   kernel asks for security.capability before it). */
#define DRAFT_BLOCK (1 << 20)

int dnode_dup(struct ck_drafts *d, struct dnode *node, bool dead)
{
	int fd = -1;

	pthread_mutex_lock(&d->lock);
	if ((node->dead || !dead) && node->open)
		fd = fcntl(node->open->fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&d->lock);
	return fd;
}

/* Prepends "/NAME" to the path that ends at *AT. */
static bool prepend(char *path, size_t *at, const char *name)
{
	size_t len = strlen(name);

	if (len + 1 > *at)
		return false;
	*at -= len;
	memcpy(path + *at, name, len);
	path[--*at] = '/';
	return true;
}

bool dnode_path(struct ck_drafts *d, struct dnode *node, const char *name, char *path)
{
	char tail[PATH_MAX], base[PATH_MAX];
	size_t at = sizeof(tail) - 1;
	const struct draft *draft = node->draft;
	bool fits;

	tail[at] = '\0';
	fits = !name || prepend(tail, &at, name);
	pthread_mutex_lock(&d->lock);
	for (; node->parent && fits; node = node->parent)
		fits = prepend(tail, &at, node->name);
	/* A staged file has a name and no parent. An ordinary file in a tag or a source has its path for a name. */
	if (fits && (draft->kind == DRAFT_STAGED || draft->kind == DRAFT_PLAIN))
		fits = prepend(tail, &at, node->name);
	pthread_mutex_unlock(&d->lock);
	if (!fits)
		errno = ENAMETOOLONG;
	if (!fits || !draft_files_path(d, draft, base))
		return false;
	/* TAIL begins with a slash, where there is one. */
	return tail[at] ? ck_path_join(path, base, tail + at + 1) : strcpy(path, base) != NULL;
}

ck_ino dnode_parent_number(struct ck_drafts *d, const struct dnode *node)
{
	ck_ino ino;

	pthread_mutex_lock(&d->lock);
	ino = node->parent ? node->parent->ino : 0;
	pthread_mutex_unlock(&d->lock);
	return ino;
}

void dnode_attr(struct ck_drafts *d, const struct dnode *node, const struct stat *st, struct ck_attr *out)
{
	bool entrance, ours;
	double timeout;

	pthread_mutex_lock(&d->lock);
	entrance = !node->parent && node->draft->kind != DRAFT_PLAIN;
	ours = entrance || node->report;
	pthread_mutex_unlock(&d->lock);
	/* The kernel asks for a draft's own directory each time, since publishing turns it into a step. It asks for
	   DRAFT.error each time, too. */
	timeout = ours ? 0 : CK_TIMEOUT_CHANGING;
	*out = (struct ck_attr){ .st = *st,
				 .entry_timeout = timeout,
				 .attr_timeout = entrance ? CK_TIMEOUT_CHANGING : timeout };
	out->st.st_ino = node->ino;
	out->st.st_blksize = DRAFT_BLOCK;
}
