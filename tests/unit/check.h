/* check - the whole test framework for core's unit tests: run named cases, count failures. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <string.h>

static int check_failures;

#define CHECK(expr)                                                                       \
	do {                                                                              \
		if (!(expr)) {                                                            \
			printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #expr);            \
			check_failures++;                                                 \
		}                                                                         \
	} while (0)

#define CHECK_STR(got, want)                                                              \
	do {                                                                              \
		const char *got_ = (got), *want_ = (want);                                \
		if (strcmp(got_, want_) != 0) {                                           \
			printf("FAIL %s:%d: %s\n  got:  %s\n  want: %s\n", __FILE__,      \
			       __LINE__, #got, got_, want_);                              \
			check_failures++;                                                 \
		}                                                                         \
	} while (0)

#define RUN(name)                                                                         \
	do {                                                                              \
		int before_ = check_failures;                                             \
		name();                                                                   \
		if (check_failures == before_)                                            \
			printf("ok %s\n", #name);                                         \
	} while (0)

#define CHECK_EXIT() return check_failures ? 1 : 0

#endif
