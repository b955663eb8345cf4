/* The command: options, sandbox, mount, loop and the end of it. Begin with main(). */
#include "fs.h"
#include "check.h"
#include "core/base/clock.h"
#include "options.h"
#include "readahead.h"
#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* libfuse's log function takes no argument: hence the only global of the program. */
static struct log *fuse_log_target;

static void on_fuse_log(enum fuse_log_level level, const char *format, va_list args)
{
	char line[512];
	size_t len;

	if (level == FUSE_LOG_DEBUG) {
		vfprintf(stderr, format, args);
		return;
	}
	vsnprintf(line, sizeof(line), format, args);
	len = strlen(line);
	if (len && line[len - 1] == '\n')
		line[len - 1] = '\0';
	log_line(fuse_log_target, line);
}

static void on_tree_log(void *arg, const char *line)
{
	log_line(arg, line);
}

static void on_unusable(void *arg, const char *line)
{
	log_unusable(arg, line);
}

static bool on_tree_wait(void *arg)
{
	const struct fs *fs = arg;

	return fs->loop && loop_is_interrupted(fs->loop);
}

/* A mount may have many files open, and hard limits allow for that. It goes on where the limit can't be raised. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Large blocks go back to the system as soon as they are freed: opening a checkpoint leaves nothing
   behind. */
static void tune_malloc(void)
{
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
	mallopt(M_TRIM_THRESHOLD, 1 << 20);
	mallopt(M_ARENA_MAX, 4);
}

/*
 * Forks; the parent stays until the child writes a byte (the mount answers: exit status 0) or ends
 * (it said why on stderr). Returns in the child, with the descriptor to write to, or -1.
 */
static int go_background(void)
{
	int pipes[2], status;
	char byte;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		fprintf(stderr, "ckptfs: going to the background: %s\n", strerror(errno));
		return -1;
	}
	if (pid == 0) {
		close(pipes[0]);
		setsid();
		return pipes[1];
	}
	close(pipes[1]);
	if (read(pipes[0], &byte, 1) == 1)
		_exit(EXIT_SUCCESS);
	_exit(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status)
											  : EXIT_FAILURE);
}

/* The mount answers: let the parent go, and leave the terminal and its directory alone from now on. */
static void on_ready(struct fs *fs)
{
	ssize_t ignored;
	int null;

	if (fs->note)
		fprintf(stderr, "ckptfs: %s\n", fs->note);
	/* Once for who mounts, and once for who looks for the reason later. */
	if (fs->in_place && fs->ready_fd >= 0)
		fprintf(stderr, "ckptfs: %s\n", fs->in_place);
	if (fs->ready_fd >= 0)
		log_to_syslog(fs->log);
	if (fs->in_place)
		log_line(fs->log, fs->in_place);
	if (fs->ready_fd < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	ignored = write(fs->ready_fd, "", 1);
	(void)ignored;  /* a parent that is gone needs no answer */
	close(fs->ready_fd);
	fs->ready_fd = -1;
}

/* With allow_other everyone reads with the daemon's rights: a link must not lead them out of the
   store. */
static bool stays_in_store(const struct options *o)
{
	return o->allow_other && !o->follow;
}

static int confine(struct fs *fs, const struct options *o, bool read_only, struct unmounter *unmounter)
{
	const struct sandbox_options options = {
		.mode = o->sandbox,
		.store = o->held ? o->held : o->store,
		.level = o->level,
		.contain = stays_in_store(o),
		.read_only = read_only,
		.links = o->native,
		.auto_unmount = o->auto_unmount,
	};

	if (fs->ready_fd >= 0)
		log_connect_syslog();
	return sandbox_enter(&options, o->mountpoint, unmounter, fs->log);
}

static void log_failure(struct log *log)
{
	char line[128];

	snprintf(line, sizeof(line), "serving the mount: %s", strerror(errno));
	log_line(log, line);
}

/* fusermount3 looks in /etc/mtab whose mount it is, and unmounts for nobody but root without it. */
static void warn_without_mtab(struct log *log)
{
	if (geteuid() != 0 && access("/etc/mtab", F_OK) < 0)
		log_line(log, "no /etc/mtab: fusermount3 needs it to unmount as a user; as root: "
			      "ln -s ../proc/self/mounts /etc/mtab");
}

/* Mounts, serves until the unmount or a signal, and cleans up. */
static int serve(struct fs *fs, struct options *o, bool read_only)
{
	struct loop_hooks hooks = { .thing = fs_thing, .tick = fs_tick, .arg = fs };
	struct unmounter unmounter = { 0 };
	struct fuse_session *se;
	struct stat st;
	int rc = -1;

	se = fuse_session_new(&o->fuse, &fs_ops, sizeof(fs_ops), fs);
	if (!se)
		return -1;
	hooks.reads_in_turn = stat(o->held ? o->held : o->store, &st) == 0 && ck_rclone_has(&fs->rclone, st.st_dev);
	fs->loop = loop_new(se, &hooks);
	if (!fs->loop)
		log_failure(fs->log);
	if (!fs->loop || fuse_set_signal_handlers(se) < 0)
		goto out_session;
	if (fuse_session_mount(se, o->mountpoint) < 0)
		goto out_signals;
	if (fs_use_device(se) < 0) {
		log_failure(fs->log);
		goto out_mount;
	}
	warn_without_mtab(fs->log);
	fs->readahead = readahead_raise(o->mountpoint);
	if (fs->ready_fd >= 0 && chdir("/") < 0)
		goto out_mount;
	if (confine(fs, o, read_only, &unmounter) == 0) {
		rc = loop_run(fs->loop);
		if (rc < 0)
			log_failure(fs->log);
	}
out_mount:
	if (unmounter_finish(&unmounter, fuse_session_fd(se)) < 0)
		log_line(fs->log, "the mount stays: it could not be unmounted");
	fuse_session_unmount(se);
out_signals:
	fuse_remove_signal_handlers(se);
out_session:
	fuse_session_destroy(se);
	loop_free(fs->loop);
	/* An end by a signal that asks for it is a success. */
	return rc < 0 ? -1 : 0;
}

static int run(struct options *o)
{
	struct fs fs = { .ready_fd = -1, .read_only = o->read_only, .note = o->note, .in_place = o->in_place_note,
			 .ready = on_ready, .options = o, .started = time(NULL), .started_ms = ck_now_ms(),
			 .buffers = BUFFERS_INIT };
	struct ck_tree_options tree = {
		.store = o->held ? o->held : o->store,
		.level = o->level,
		.device = o->device,
		.native = o->native,
		.ranks = o->ranks,
		.may_delete = o->may_delete,
		.read_only = o->read_only,
		.contain = stays_in_store(o),
		.log = on_unusable,
		.gave_up = on_tree_wait,
		.gave_up_arg = &fs,
	};
	struct ck_error err = CK_ERROR_INIT;
	char line[512];
	int rc = -1;

	tree.scratch = fs.scratch = ck_scratch_new(o->tmp_max_size);
	ck_rclone_find(&fs.rclone);
	tree.rclone = &fs.rclone;
	tree.ahead = fs.ahead = ck_ahead_new(&fs.rclone);
	fs.log = fuse_log_target = log_new(false);
	if (!fs.log || !fs.scratch || !fs.ahead) {
		fprintf(stderr, "ckptfs: out of memory\n");
		goto out;
	}
	fuse_set_log_func(on_fuse_log);
	tree.log_arg = fs.log;
	if (ck_tree_new(&tree, &fs.tree, &err)) {
		log_line(fs.log, ck_error_line(&err, line, sizeof(line)));
		goto out;
	}
	if (!o->foreground) {
		fs.ready_fd = go_background();
		if (fs.ready_fd < 0)
			goto out;
	}
	tree.log = on_tree_log;
	/* What a crash left is cleared now, before there is a mount. */
	if (ck_drafts_new(fs.tree, &tree, &fs.drafts, &err))
		log_line(fs.log, ck_error_line(&err, line, sizeof(line)));
	else
		rc = serve(&fs, o, tree.read_only);
out:
	ck_ahead_free(fs.ahead);
	ck_drafts_free(fs.drafts);
	ck_tree_free(fs.tree);
	ck_scratch_free(fs.scratch);
	buffers_free(&fs.buffers);
	log_free(fs.log);
	return rc;
}

/* Each mktime (libzip calls it for every entry) looks at the local time zone's file again, unless
   TZ names one; so the sandbox needn't let it. */
static void fix_time_zone(void)
{
	setenv("TZ", ":/etc/localtime", 0);
	tzset();
}

int main(int argc, char **argv)
{
	struct options o;
	int rc, status;

	tune_malloc();
	fix_time_zone();
	raise_descriptors();
	rc = options_parse(&o, argc, argv);
	status = rc < 0 ? o.failure : EXIT_SUCCESS;
	if (rc == 0 && o.help)
		options_help();
	else if (rc == 0 && o.version)
		printf("ckptfs %s (libfuse %s)\n", CKPTFS_VERSION, fuse_pkgversion());
	else if (rc == 0 && o.status)
		status = status_ask(o.positional[0], o.json) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	else if (rc == 0 && o.check)
		status = check_run(&o);
	else if (rc == 0)
		status = run(&o) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	options_free(&o);
	return status;
}
