#!/bin/sh
# deps.sh build|test|network|lint|fresh - installs the Debian packages that are missing for that; says so and does nothing where none are.
# deps.sh -n build|test|network|lint|fresh - only says which packages these are.
set -eu

build='gcc make pkg-config libc6-dev libfuse3-dev fuse3 libzip-dev libjansson-dev zlib1g-dev libdeflate-dev libseccomp-dev uthash-dev python3 python3-numpy'
tests="$build bats jq rsync attr acl tar coreutils util-linux procps psmisc man-db mandoc strace python3-torch python3-hypothesis fio vim openssh-client openssh-sftp-server unzip systemd gnuplot-nox sshfs rclone"
network="$tests openssh-server glusterfs-client nfs-common nfs-ganesha nfs-ganesha-vfs kmod"
lint='clang-tidy cppcheck shellcheck'
fresh='debootstrap git parallel'

only_say=
[ "${1:-}" != -n ] || { only_say=yes; shift; }
case ${1:-} in
build) want=$build ;;
test) want=$tests ;;
network) want=$network ;;
lint) want="$build $lint" ;;
fresh) want=$fresh ;;
*) echo "usage: $0 [-n] build|test|network|lint|fresh" >&2; exit 2 ;;
esac
[ -z "$only_say" ] || { echo "$want"; exit; }

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
# fusermount3 looks there whose mount it is, before a user may unmount it. Containers often lack it.
mtab=
case ${1:-} in
build | test | network) [ -e /etc/mtab ] || [ -L /etc/mtab ] || mtab=/etc/mtab ;;
esac
[ -n "$missing$mtab" ] || exit 0

root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || {
		echo "as root:${missing:+ apt-get install$missing}${missing:+${mtab:+ &&}}${mtab:+ ln -s ../proc/self/mounts $mtab}" >&2
		exit 1
	}
	root=sudo
fi
if [ -n "$mtab" ]; then
	echo "making $mtab, without which a user can't unmount"
	$root ln -s ../proc/self/mounts "$mtab"
fi
[ -n "$missing" ] || exit 0
echo "installing:$missing"
$root apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
