# ckptfs - mount a nanochat checkpoint store. `make help` lists the targets.
# Variables: CC, CFLAGS, PREFIX, DESTDIR, WITH_LIB=1 (install core as a library), V=1 (show commands), SAN=address,undefined or SAN=thread.

# The version is that of the changelog's first heading, and stands nowhere else.
VERSION  := $(shell sed -n 's/^.. \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)
PREFIX   ?= /usr/local
DESTDIR  ?=
CC       ?= cc
CFLAGS   ?= -O2 -g
PKG_CONFIG ?= pkg-config
PKG      := fuse3 libzip jansson zlib libdeflate
PYTHON   ?= /usr/bin/python3

comma    := ,
BUILD    := build$(if $(SAN),-$(subst $(comma),-,$(SAN)))
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)

WARN     := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef $(WERROR)
HARDEN   := $(if $(SAN)$(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS)),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
override CPPFLAGS += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DCKPTFS_VERSION='"$(VERSION)"'
override CFLAGS   += -std=gnu11 -pthread $(WARN) $(HARDEN) $(SANFLAGS)
override LDFLAGS  += -pie -Wl,-z,relro,-z,now -pthread $(SANFLAGS)

CORE_PKG := libzip jansson zlib libdeflate
core_cflags = $(shell $(PKG_CONFIG) --cflags $(CORE_PKG))
core_libs   = $(shell $(PKG_CONFIG) --libs $(CORE_PKG)) -lm
fs_cflags   = $(shell $(PKG_CONFIG) --cflags $(PKG)) $(seccomp_cflags) -DFUSE_USE_VERSION=314
fs_libs     = $(shell $(PKG_CONFIG) --libs fuse3) $(seccomp_libs) $(core_libs)
# Without libseccomp it builds too; -o sandbox=require then refuses to mount.
seccomp_cflags = $(shell $(PKG_CONFIG) --exists libseccomp && $(PKG_CONFIG) --cflags libseccomp && echo -DHAVE_SECCOMP)
seccomp_libs   = $(shell $(PKG_CONFIG) --exists libseccomp && $(PKG_CONFIG) --libs libseccomp)

CORE_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard core/*/*.c)))
FS_OBJ   := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard fs/*.c)))
UNIT     := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/unit/test_*.c)))
TOOLS    := $(patsubst tests/tools/%.c,$(BUILD)/tools/%,$(sort $(wildcard tests/tools/*.c)))
EXAMPLES := $(patsubst examples/%.c,$(BUILD)/examples/%,$(sort $(wildcard examples/*.c)))
BIN      := $(if $(SAN),$(BUILD)/ckptfs,ckptfs)
LIB      := $(BUILD)/libckpt.a

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-4s %s\n'
endif

.DEFAULT_GOAL := all
.PHONY: all
all: $(BIN) ## build ./ckptfs

$(BIN): $(FS_OBJ) $(LIB)
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(FS_OBJ) $(LIB) $(fs_libs)

$(LIB): $(CORE_OBJ)
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/core/%.o: core/%.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(core_cflags) -I. $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/fs/%.o: fs/%.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(fs_cflags) -I. $(CFLAGS) -MMD -MP -c -o $@ $<

# Programs of one source that link core alone: the proof that core needs no FUSE.
define program
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(core_cflags) -I. $(CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(filter %.o,$^) $(LIB) $(program_libs) $(core_libs)
endef
# But for the one that tries to break out of the daemon's sandbox.
$(BUILD)/tools/confined: $(addprefix $(BUILD)/fs/,sandbox.o sandbox_files.o sandbox_calls.o unmounter.o log.o)
$(BUILD)/tools/confined: program_libs = $(seccomp_libs)
$(BUILD)/tests/%: tests/unit/%.c $(LIB)
	$(program)
$(BUILD)/tools/%: tests/tools/%.c $(LIB)
	$(program)
$(BUILD)/examples/%: examples/%.c $(LIB)
	$(program)

-include tests/fuzz/fuzz.mk tests/lib/shims/shims.mk packaging/install.mk packaging/release.mk
-include $(CORE_OBJ:.o=.d) $(FS_OBJ:.o=.d) $(addsuffix .d,$(UNIT) $(TOOLS) $(EXAMPLES))

.PHONY: help deps deps-build demo test test-network fresh-roots tests unit asan tsan lint check-core check-layers picture bench clean

help: ## this list
	@printf 'ckptfs %s\n\n' '$(VERSION)'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@printf '\nVariables: CC CFLAGS PREFIX DESTDIR WITH_LIB=1 V=1 SAN=address,undefined WERROR=-Werror\n'

deps: ## install what building and testing need (Debian, Ubuntu)
	@tests/deps.sh test

deps-build:
	@tests/deps.sh build

demo: deps-build ## build, make a small store, mount it, show it, unmount
	@$(MAKE) --no-print-directory all
	@examples/demo.sh

test: deps ## build, run every test; ends with 'N passed, N failed, N skipped'
	@$(MAKE) --no-print-directory tests
	@CKPTFS=$(BIN) CKPTFS_BUILD=$(BUILD) tests/run.sh

test-network: ## stores behind a network: sshfs, rclone, GlusterFS, NFS (root; CKPTFS_STORM_SECONDS=600 for longer storms)
	@tests/deps.sh network
	@$(MAKE) --no-print-directory tests
	@CKPTFS=$(BIN) CKPTFS_BUILD=$(BUILD) tests/run.sh tests/network/*.bats

fresh-roots: ## prove 'make demo' and 'make test' in fresh Debian 12 and 13 (root, debootstrap, ~4 GB in TMPDIR=/var/tmp)
	@tests/deps.sh fresh
	@tests/fresh-roots.sh

# All that the tests run.
tests: all $(UNIT) $(TOOLS) $(EXAMPLES) check-core check-layers

# What keeps core honest: no FUSE, no printing, no exit; no path of a store that the kernel resolves.
check-core:
	@! grep -nE 'fuse(_lowlevel|3)?\.h|\b(printf|puts|fprintf|perror|exit|abort)\(' core/*/*.[ch] || \
		{ echo 'core/ must not include FUSE, print or exit'; exit 1; }
	@! grep -nE '(^|[^_a-z])(opendir|realpath|lstat)\(' $(filter-out core/tree/level.c,$(wildcard core/tree/*.c core/draft/*.c)) || \
		{ echo 'links in a store are followed by core/file/follow.h: it may be mounted in place'; exit 1; }

# Who may include whom: core's folders stand one on the other.
check-layers:
	@$(PYTHON) tests/lib/layers.py

asan: deps ## the whole test suite under AddressSanitizer, LeakSanitizer and UBSan
	@$(MAKE) --no-print-directory SAN=address,undefined tests
	@CKPTFS=build-address-undefined/ckptfs CKPTFS_BUILD=build-address-undefined tests/run.sh

tsan: deps ## the mount's tests under ThreadSanitizer
	@$(MAKE) --no-print-directory SAN=thread tests
	@CKPTFS=build-thread/ckptfs CKPTFS_BUILD=build-thread tests/run.sh tests/mount/storm.bats tests/mount/load.bats tests/mount/bounded.bats tests/mount/tree.bats tests/mount/model.bats tests/mount/fresh.bats tests/mount/write.bats

# Any string will do for the version here.
LINT_FLAGS := -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314 -DCKPTFS_VERSION=__FILE__
LINT_C := $(wildcard core/*/*.c fs/*.c)
lint: ## clang-tidy, cppcheck and shellcheck; clean
	@tests/deps.sh lint
	$(Q)printf '%s\n' $(LINT_C) | xargs -P"$$(nproc)" -n4 sh -c \
		'clang-tidy --quiet --warnings-as-errors="*" "$$@" -- -std=gnu11 $(LINT_FLAGS) $(fs_cflags) 2>/dev/null' lint
	$(Q)cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--suppressions-list=.cppcheck $(LINT_FLAGS) core fs
	$(Q)shellcheck -x tests/*.sh packaging/*.sh debian/tests/mount tests/lib/*.bash tests/lib/*.sh tests/mount/*.bats tests/network/*.ba* tests/unit/*.bats examples/*.sh .ci/run
	@echo 'lint: clean'

picture: all ## draw README's pictures of a terminal again, from real runs
	@for p in terminal check; do \
		$(PYTHON) examples/picture.py $$p >$(BUILD)/$$p.svg && mv $(BUILD)/$$p.svg examples/$$p.svg || exit 1; done

bench: all ## compare with cat and others in one run; prints a table
	@tests/bench/bench.sh $(BENCH_ARGS)

clean: ## remove what was built
	rm -rf build build-* ckptfs
