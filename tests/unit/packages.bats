#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# What the code includes and what the tests call is installed by `make demo` and `make test` themselves: dpkg is asked whose each file is.

load ../lib/helpers

setup() {
	cd "$REPO" || return
	command -v dpkg-query >/dev/null || skip "no dpkg here"
}

# packages WHAT LIST [WITHOUT] - asks whether the packages of that list of deps.sh have it all.
packages() {
	tests/deps.sh -n "$2" | tr ' ' '\n' | grep -vxF -- "${3:-}" | xargs /usr/bin/python3 tests/lib/packages.py "$1" "$2"
}

# lacks WHAT LIST WITHOUT NAME - a list without that package lacks that name.
lacks() {
	run packages "$1" "$2" "$3"
	[[ $status -ne 0 && $output == *": $4: "* ]] || { echo "without $3: $output"; return 1; }
}

@test "every #include <...> comes with a package of tests/deps.sh" {
	packages headers build
	packages headers test
	lacks headers build uthash-dev uthash.h
	lacks headers build libjansson-dev jansson.h
	lacks headers test libseccomp-dev seccomp.h
}

@test "every program that a test calls comes with a package of tests/deps.sh" {
	packages programs build
	packages programs test
	packages programs network
	lacks programs build fuse3 fusermount3
	lacks programs test vim vim
	lacks programs test rsync rsync
	lacks programs test jq jq
	lacks programs test sshfs sshfs
	# It is asked whose a program is, which `make test` didn't install.
	[[ ! -e /usr/sbin/glusterfs ]] || lacks programs network glusterfs-client glusterfs
}

@test "every Python module that a test imports comes with a package of tests/deps.sh" {
	packages modules build
	packages modules test
	lacks modules build python3-numpy numpy
	lacks modules test python3-torch torch
}

@test "the README's packages are enough to build and to mount" {
	local -a words
	read -ra words <<<"$(sed -n '/^ *sudo apt-get install gcc/,/[^\\]$/ { s/^ *sudo apt-get install//; s/\\$//; p }' README.md | tr '\n' ' ')"
	/usr/bin/python3 tests/lib/packages.py headers build "${words[@]}"
	[[ " ${words[*]} " == *" gcc "*" fuse3 "* ]]
}
