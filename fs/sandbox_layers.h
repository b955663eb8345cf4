/*
 * sandbox_layers - the layers of the sandbox that have a file of their own. Each returns NULL, or
 * why the system lacks it.
 */
#ifndef CKPTFS_SANDBOX_LAYERS_H
#define CKPTFS_SANDBOX_LAYERS_H

struct sandbox_options;

const char *sandbox_files(const struct sandbox_options *o);     /* Landlock */
const char *sandbox_calls(const struct sandbox_options *o);     /* seccomp */

/*
 * LeakSanitizer looks at the process with ptrace from a child, and at /proc: under a sanitizer the
 * sandbox leaves it that.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

#endif
