#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# What `make install` and `make dist` make, and that options, version and their descriptions agree wherever they stand.

load ../lib/helpers

setup() { cd "$REPO" || return; }

# installed - a tree of `make install`, made once for the file.
installed() {
	ROOT=$BATS_FILE_TMPDIR/root
	[[ -d $ROOT ]] || make -s install PREFIX="$ROOT/usr" WITH_LIB=1 BIN="$CKPTFS" BUILD="$BUILD" -o all >/dev/null
}

# table - the names of fs/options.c's table that a person may give, without the value.
table() {
	sed -nE 's/^\tOPT\("([^"=]*).*/\1/p' fs/options.c | grep -vx debug
}

@test "the version is the changelog's, wherever it stands" {
	local version
	version=$(sed -n 's/^## \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)
	[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]
	[[ $("$CKPTFS" --version) == "ckptfs $version (libfuse "* ]]
	head -n 1 debian/changelog | grep -F "ckptfs ($version-"
	grep -x "Version: *$version" packaging/ckptfs.spec
	grep -x "pkgver=$version" packaging/PKGBUILD
	grep -F "version = \"$version\";" packaging/ckptfs.nix
	installed
	grep -x "Version: $version" "$ROOT/usr/lib/pkgconfig/ckpt.pc"
}

@test "every option is in --help, the man page, and the completion of each shell" {
	installed
	local name shell n=0 share=$ROOT/usr/share status=0
	"$CKPTFS" --help >"$BATS_TEST_TMPDIR/help"
	[[ $(wc -l <"$BATS_TEST_TMPDIR/help") -le 25 && $(wc -L <"$BATS_TEST_TMPDIR/help") -le 80 ]]
	mandoc -Tutf8 fs/ckptfs.1 | col -b >"$BATS_TEST_TMPDIR/man"
	while read -r name; do
		n=$((n + 1))
		grep -qE -- "(^|[ ,])(-o )?$name([=, ]|$)" "$BATS_TEST_TMPDIR/help" || { echo "not in --help: $name"; status=1; }
		grep -qE -- "^ +(-. *, )?(-o )?$name([=,[:space:]]|$)" "$BATS_TEST_TMPDIR/man" || { echo "has no place of its own in the man page: $name"; status=1; }
		grep -qE -- "[\" ]${name}[=\" ]" "$share/bash-completion/completions/ckptfs" || { echo "not in bash's: $name"; status=1; }
		grep -qF -- "'${name}[" "$share/zsh/site-functions/_ckptfs" || { echo "not in zsh's: $name"; status=1; }
		case $name in
		--*) shell="-l ${name#--} " ;;
		-*) shell="-s ${name#-} " ;;
		*) shell="'$name" ;;
		esac
		grep -qF -- "$shell" "$share/fish/vendor_completions.d/ckptfs.fish" || { echo "not in fish's: $name"; status=1; }
	done < <(table)
	[[ $n -ge 16 && $status -eq 0 ]]
}

@test "an option that --help lacks fails the build" {
	sed 's/^\tOPT("native", /\tOPT("forgotten", follow, true),\n&/' fs/options.c >"$BATS_TEST_TMPDIR/options.c"
	refuses '--help lacks forgotten' awk -v shell=bash -f packaging/completion.awk "$BATS_TEST_TMPDIR/options.c" fs/help.c
}

# completed LINE - what bash offers for it, one a line.
completed() {
	bash -c '
		. "$1"
		compopt() { :; }
		COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDBREAKS=$'\'' \t\n"><=;|&(:'\''
		_ckptfs
		printf "%s\n" "${COMPREPLY[@]}"' _ "$ROOT/usr/share/bash-completion/completions/ckptfs" "$1"
}

@test "bash completes options, their values, lists of them, and directories" {
	installed
	[[ $(completed 'ckptfs -o nat') == native ]]
	[[ $(completed 'ckptfs -o ro,nat') == ro,native ]]
	[[ $(completed 'ckptfs -oro,nat') == -oro,native ]]
	[[ $(completed 'ckptfs -o ro,dev' | sort | tr '\n' ' ') == "ro,dev ro,device= " ]]
	# Behind '=' bash replaces the value alone.
	[[ $(completed 'ckptfs -o ro,device=' | tr '\n' ' ') == "cpu mps cuda " ]]
	[[ $(completed 'ckptfs -o device=cuda,sandbox=re') == require ]]
	[[ $(completed 'ckptfs --he') == --help ]]
	mkdir "$BATS_TEST_TMPDIR/here"
	[[ $(completed "ckptfs -o ro $BATS_TEST_TMPDIR/he") == "$BATS_TEST_TMPDIR/here" ]]
}

@test "the example is built with the installed library by pkg-config, and lists the same" {
	installed
	local -a flags
	read -ra flags <<<"$(PKG_CONFIG_PATH=$ROOT/usr/lib/pkgconfig pkg-config --cflags --libs ckpt)"
	[[ $BUILD != *address* ]] || flags+=("-fsanitize=address,undefined")
	[[ $BUILD != *thread* ]] || flags+=(-fsanitize=thread)
	cp examples/list_pt.c "$BATS_TEST_TMPDIR"
	# Elsewhere, so that no header is found in the source.
	(cd "$BATS_TEST_TMPDIR" && cc -std=gnu11 -Wall -Wextra -Werror -o list_pt list_pt.c "${flags[@]}")
	diff <("$BATS_TEST_TMPDIR/list_pt" examples/store/base_checkpoints/d2/*.pt) <("$BUILD/examples/list_pt" examples/store/base_checkpoints/d2/*.pt)
	echo '#include "ckpt.h"' | cc -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -D_GNU_SOURCE -I"$ROOT/usr/include/ckpt" -x c -
	# No header is installed that ckpt.h doesn't need.
	[[ $(cc -MM -I"$ROOT/usr/include/ckpt" -D_GNU_SOURCE -x c "$ROOT/usr/include/ckpt/ckpt.h" | tr ' ' '\n' | sort -u | grep -c 'ckpt/core/') == $(find "$ROOT/usr/include/ckpt/core" -type f | wc -l) ]]
}

@test "uninstall takes all of it away" {
	local root=$BATS_TEST_TMPDIR/root
	make -s install DESTDIR="$root" PREFIX=/usr WITH_LIB=1 BIN="$CKPTFS" BUILD="$BUILD" -o all
	[[ $(find "$root" -type f | wc -l) -gt 20 ]]
	make -s uninstall DESTDIR="$root" PREFIX=/usr
	[[ -z $(find "$root" -type f) ]]
}

@test "make dist gives the same bytes twice, and what it packs again without git is the same tree" {
	local d=$BATS_TEST_TMPDIR
	packaging/dist.sh ckptfs-x "$d/a"
	TZ=Asia/Tokyo LC_ALL=C packaging/dist.sh ckptfs-x "$d/b"
	cmp "$d"/{a,b}/ckptfs-x.tar.gz
	(cd "$d/a" && sha256sum -c ckptfs-x.sha256)
	[[ $(tar -tvf "$d/a/ckptfs-x.tar.gz" | awk '{ print $2, $4, $5 }' | sort -u | wc -l) -eq 1 ]]
	tar -C "$d" -xf "$d/a/ckptfs-x.tar.gz"
	[[ -x $d/ckptfs-x/examples/demo.sh && -e $d/ckptfs-x/Makefile && ! -e $d/ckptfs-x/.git ]]
	SOURCE_DATE_EPOCH=1000000000 "$d/ckptfs-x/packaging/dist.sh" ckptfs-x "$d/c"
	SOURCE_DATE_EPOCH=1000000000 packaging/dist.sh ckptfs-x "$d/e"
	cmp "$d"/{c,e}/ckptfs-x.tar.gz
}

@test "the systemd units are accepted" {
	grep -x Type=forking examples/systemd/ckptfs@.service examples/systemd/user/ckptfs.service
	run -0 systemd-analyze --man=no verify examples/systemd/ckptfs@.service
	[[ -z $output ]]
	XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR run -0 systemd-analyze --man=no --user verify examples/systemd/user/ckptfs.service
	[[ -z $output ]]
}
