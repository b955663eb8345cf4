# Shared objects that tests preload into the daemon; with its plain build only.
SHIMS := $(patsubst tests/shims/%.c,$(BUILD)/shims/%.so,$(sort $(wildcard tests/shims/*.c)))

tests: $(SHIMS)

$(BUILD)/shims/%.so: tests/shims/%.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) -std=gnu11 -O1 -g -fPIC -shared -pthread -Wall -Wextra -Wshadow -o $@ $<
