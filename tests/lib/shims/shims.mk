# Shared objects that tests preload into the daemon; with its plain build only.
SHIMS := $(patsubst tests/lib/shims/%.c,$(BUILD)/shims/%.so,$(sort $(wildcard tests/lib/shims/*.c)))

tests: $(SHIMS)

$(BUILD)/shims/%.so: tests/lib/shims/%.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) -std=gnu11 -O1 -g -fPIC -shared -pthread -Wall -Wextra -Wshadow -o $@ $<
