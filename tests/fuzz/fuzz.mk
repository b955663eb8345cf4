# Fuzzing: libFuzzer targets for the parsers and writers of core, which need clang, and their corpus, which doesn't.
# Variables: TIME seconds for each target (60), FUZZ the targets, FUZZ_CC, FUZZ_ARGS (more of libFuzzer's options).

FUZZ      ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
TIME      ?= 60
FUZZ_CC   ?= clang
FUZZ_MEM  := -rss_limit_mb=1024 -malloc_limit_mb=600
FUZZ_SAN  := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_ALL  := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_DIR  := build/fuzzer

# libFuzzer's programs, each from core's objects with its instrumentation. New inputs are kept in $(FUZZ_DIR)/corpus;
# what crashes, leaks, takes more than 10 seconds or more memory than FUZZ_MEM is written to $(FUZZ_DIR)/found and
# ends the run.
FUZZ_OBJ  := $(patsubst %.c,$(FUZZ_DIR)/%.o,$(sort $(wildcard core/*/*.c)) tests/fuzz/common.c)

$(FUZZ_DIR)/%.o: %.c
	@mkdir -p $(@D)
	$(say) FUZZ $<
	$(Q)$(FUZZ_CC) $(CPPFLAGS) $(core_cflags) -I. -std=gnu11 -O1 -g $(FUZZ_SAN) -MMD -MP -c -o $@ $<

$(FUZZ_DIR)/libckpt.a: $(FUZZ_OBJ)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(FUZZ_DIR)/fuzz_%: $(FUZZ_DIR)/tests/fuzz/fuzz_%.o $(FUZZ_DIR)/libckpt.a
	$(say) LD $@
	$(Q)$(FUZZ_CC) -pthread -fsanitize=fuzzer,address,undefined -o $@ $^ $(core_libs)

.SECONDARY: $(patsubst %,$(FUZZ_DIR)/tests/fuzz/fuzz_%.o,$(FUZZ_ALL))

.PHONY: fuzz fuzz-regress
fuzz: $(FUZZ:%=$(FUZZ_DIR)/fuzz_%) ## fuzz core's parsers for TIME=60 seconds each (clang)
	@for t in $(FUZZ); do \
		mkdir -p $(FUZZ_DIR)/corpus/$$t $(FUZZ_DIR)/found || exit 1; \
		echo "fuzz $$t: $(TIME) s"; \
		$(FUZZ_DIR)/fuzz_$$t -max_total_time=$(TIME) -timeout=10 $(FUZZ_MEM) -print_final_stats=1 -verbosity=0 \
			-dict=tests/fuzz/$$t.dict -artifact_prefix=$(FUZZ_DIR)/found/$$t- $(FUZZ_ARGS) \
			$(FUZZ_DIR)/corpus/$$t tests/fuzz/corpus/$$t || exit 1; \
	done

# The corpus, given once to the same targets: gcc will do, and SAN is obeyed.
FUZZ_REPLAY := $(patsubst %,$(BUILD)/fuzz/%,$(FUZZ_ALL))

$(BUILD)/fuzz/%: tests/fuzz/fuzz_%.c tests/fuzz/common.c tests/fuzz/replay.c tests/fuzz/fuzz.h $(LIB)
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(core_cflags) -I. $(CFLAGS) $(LDFLAGS) -o $@ $< tests/fuzz/common.c tests/fuzz/replay.c $(LIB) \
		$(core_libs)

fuzz-regress: $(FUZZ_REPLAY) ## replay the corpus of the fuzz targets
	@for t in $(FUZZ_ALL); do \
		$(BUILD)/fuzz/$$t tests/fuzz/corpus/$$t/* 2>$(BUILD)/fuzz/$$t.log || { cat $(BUILD)/fuzz/$$t.log; exit 1; }; \
		printf '%s: %d inputs\n' $$t $$(wc -l <$(BUILD)/fuzz/$$t.log); \
	done

tests: $(FUZZ_REPLAY)

-include $(FUZZ_OBJ:.o=.d) $(patsubst %,$(FUZZ_DIR)/tests/fuzz/fuzz_%.d,$(FUZZ_ALL))
