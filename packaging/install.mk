# install and uninstall: the program, its man page, completion and examples; with WITH_LIB=1 core as a library, too.

BINDIR   ?= $(PREFIX)/bin
DATADIR  ?= $(PREFIX)/share
LIBDIR   ?= $(PREFIX)/lib
INCDIR   ?= $(PREFIX)/include
DOCDIR   ?= $(DATADIR)/doc/ckptfs
ZSHDIR   ?= $(DATADIR)/zsh/site-functions
FISHDIR  ?= $(DATADIR)/fish/vendor_completions.d

COMPLETION := $(addprefix $(BUILD)/completion/,ckptfs _ckptfs ckptfs.fish)
$(BUILD)/completion/ckptfs: shell = bash
$(BUILD)/completion/_ckptfs: shell = zsh
$(BUILD)/completion/ckptfs.fish: shell = fish
$(COMPLETION): packaging/completion.awk fs/options.c fs/help.c
	@mkdir -p $(@D)
	$(say) AWK $@
	$(Q)awk -v shell=$(shell) -f packaging/completion.awk fs/options.c fs/help.c >$@.new && mv $@.new $@

# What a program needs that opens a .pt and reads its tensors. A test asks the compiler whether the list is closed.
LIB_HEADERS := $(addprefix core/,base/error.h base/buf.h base/arena.h base/value.h file/io.h file/ident.h file/origin.h zip/archive.h \
	tensor/convert.h tensor/dtype.h tensor/tensor.h tensor/view.h format/npy.h pt/content.h pt/checkpoint.h)

INSTALL_SCRIPTS := $(addprefix examples/,tour.sh read_numpy.py read_safetensors.py)
INSTALL_EXAMPLES := $(addprefix examples/,mmap_tensor.c list_pt.c) $(wildcard examples/*.md)

.PHONY: completion install uninstall
completion: $(COMPLETION)

install: all completion $(if $(WITH_LIB),$(LIB)) ## into $(DESTDIR)$(PREFIX); WITH_LIB=1: libckpt.a, its headers and ckpt.pc too
	install -d $(addprefix $(DESTDIR),$(BINDIR) $(DATADIR)/man/man1 $(FISHDIR) $(ZSHDIR) $(DOCDIR)/examples/systemd/user \
		$(DATADIR)/bash-completion/completions)
	install -m 755 $(BIN) $(DESTDIR)$(BINDIR)/ckptfs
	install -m 644 fs/ckptfs.1 $(DESTDIR)$(DATADIR)/man/man1/ckptfs.1
	install -m 644 $(BUILD)/completion/ckptfs $(DESTDIR)$(DATADIR)/bash-completion/completions/ckptfs
	install -m 644 $(BUILD)/completion/_ckptfs $(DESTDIR)$(ZSHDIR)/_ckptfs
	install -m 644 $(BUILD)/completion/ckptfs.fish $(DESTDIR)$(FISHDIR)/ckptfs.fish
	install -m 644 README.md SECURITY.md CHANGELOG.md $(DESTDIR)$(DOCDIR)
	install -m 755 $(INSTALL_SCRIPTS) $(DESTDIR)$(DOCDIR)/examples
	install -m 644 $(INSTALL_EXAMPLES) $(DESTDIR)$(DOCDIR)/examples
	install -m 644 examples/systemd/ckptfs@.service $(DESTDIR)$(DOCDIR)/examples/systemd
	install -m 644 examples/systemd/user/ckptfs.service $(DESTDIR)$(DOCDIR)/examples/systemd/user
ifneq ($(WITH_LIB),)
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 $(LIB) $(DESTDIR)$(LIBDIR)/libckpt.a
	for header in $(LIB_HEADERS); do install -D -m 644 $$header $(DESTDIR)$(INCDIR)/ckpt/$$header || exit; done
	install -m 644 packaging/ckpt.h $(DESTDIR)$(INCDIR)/ckpt/ckpt.h
	sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCDIR@|$(INCDIR)|; s|@VERSION@|$(VERSION)|; s|@REQUIRES@|$(CORE_PKG)|' \
		packaging/ckpt.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/ckpt.pc
endif

uninstall: ## take away what install put there
	rm -f $(addprefix $(DESTDIR),$(BINDIR)/ckptfs $(DATADIR)/man/man1/ckptfs.1 $(FISHDIR)/ckptfs.fish \
		$(DATADIR)/bash-completion/completions/ckptfs $(ZSHDIR)/_ckptfs \
		$(LIBDIR)/libckpt.a $(LIBDIR)/pkgconfig/ckpt.pc)
	rm -rf $(addprefix $(DESTDIR),$(DOCDIR) $(INCDIR)/ckpt)
