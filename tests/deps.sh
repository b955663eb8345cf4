#!/bin/sh
# deps.sh build|test|lint - installs the Debian packages that are missing for that; says so and does nothing where none are.
set -eu

build='gcc make pkg-config libc6-dev libfuse3-dev fuse3 libzip-dev libjansson-dev zlib1g-dev libseccomp-dev python3 python3-numpy'
tests="$build bats jq rsync attr acl tar coreutils util-linux procps man-db mandoc strace python3-torch python3-hypothesis fio"
lint='clang-tidy cppcheck shellcheck'

case ${1:-} in
build) want=$build ;;
test) want=$tests ;;
lint) want="$build $lint" ;;
*) echo "usage: $0 build|test|lint" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "no apt-get here: what is needed, by Debian's names: $want" >&2
	exit 0
fi
missing=
for package in $want; do
	case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
	*' installed') ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "as root: apt-get install$missing" >&2; exit 1; }
	root=sudo
fi
echo "installing:$missing"
$root apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
