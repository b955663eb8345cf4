#!/bin/bash
# Runs commands in a clone of HEAD on a Debian that has nothing else: debootstrap's minbase, make and git, in a chroot.
# Usage: tests/fresh-root.sh [-u] SUITE COMMAND... (each a line of shell, counted as one test; a 'make test' counts what it counts)
#   -u  as a user with sudo, else as root
# Needs root and debootstrap. Environment: DEBIAN_MIRROR (default: the machine's own), FRESH_TARS a directory that keeps SUITE.tar for the next
# call, FRESH_SHARE a directory that is seen as /share, TMPDIR (default /var/tmp; about 4 GB), CI. Nothing stays: the mounts live in a mount namespace that ends with the commands.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/lib/tally.bash
. tests/lib/tally.bash

who=root
[[ ${1:-} != -u ]] || { who=newcomer; shift; }
[[ $# -ge 2 ]] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
suite=$1

# skip WHY - says why nothing could be proved; in CI that is a failure.
skip() {
	echo "fresh-root: $suite skipped: $*" >&2
	skipped=1
	printf '0 passed, 0 failed, 1 skipped\n'
	[[ ${CI:-} != true ]]
	exit
}

# apt_proxy SCHEME - the proxy of the machine's apt, or of the environment; nothing where there is none.
apt_proxy() {
	local proxy name=$1_proxy
	eval "$(apt-config shell proxy "Acquire::$1::Proxy")"
	proxy=${proxy:-${!name:-}}
	[[ ${proxy,,} == direct* ]] || printf '%s' "$proxy"
}

# mirror - where the machine's apt has Debian from, else nothing.
mirror() {
	[[ -z ${DEBIAN_MIRROR:-} ]] || { echo "$DEBIAN_MIRROR"; return; }
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
		sed -nE "s,^(Debian)?\|($(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")|(old)?stable|testing|unstable)\|main\|(https?://),\4,p" | head -n 1
}

# make_tar FILE - a tar of the root file system, with the ways of this machine to its packages.
make_tar() {
	local root=$dir/base from scheme proxy include=make,git
	from=$([[ $(. /etc/os-release && echo "$ID") != debian && -z ${DEBIAN_MIRROR:-} ]] || mirror)
	[[ $from != https:* ]] || include+=,ca-certificates
	http_proxy=$(apt_proxy http) https_proxy=$(apt_proxy https) \
		debootstrap --variant=minbase --include="$include" "$suite" "$root" ${from:+"$from"} >"$dir/debootstrap" 2>&1 || {
		tail -n 20 "$dir/debootstrap" "$root/debootstrap/debootstrap.log" >&2 2>/dev/null
		return 1
	}
	for scheme in http https; do
		proxy=$(apt_proxy "$scheme")
		[[ -z $proxy ]] || printf 'Acquire::%s::Proxy "%s";\n' "$scheme" "$proxy" >>"$root/etc/apt/apt.conf.d/80proxy"
	done
	[[ $from != https:* || ! -e /etc/ssl/certs/ca-certificates.crt ]] || cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
	cp /etc/hosts "$root/etc/hosts"
	tar -C "$root" --exclude='./var/cache/apt/archives/*.deb' -cf "$1.new" . && mv "$1.new" "$1" && rm -rf "$root"
}

# set_up - the mounts, the user, the clone; in_clone begins a command there. The caller is in namespaces of its own.
set_up() {
	local root=$dir/root home=/root
	mkdir -m 755 "$root" && tar -C "$root" -xpf "$tar" && chmod 755 "$root" || return
	# unshare -m in the chroot wants its / to be a mount point.
	mount --bind "$root" "$root" && mount --rbind /dev "$root/dev" && mount --rbind /sys "$root/sys" && mount -t proc proc "$root/proc" || return
	[[ -z ${FRESH_SHARE:-} ]] || { mkdir "$root/share" && mount --bind "$FRESH_SHARE" "$root/share"; } || return
	# The mode that distributions give it; a container's own may be closed to users.
	[[ $(stat -c %a /dev/fuse) == 666 ]] || { mknod -m 666 "$dir/fuse" c 10 229 && mount --bind "$dir/fuse" "$root/dev/fuse"; } || return
	# The environment of a login, and no more.
	local -a in_root=(chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 ${CI:+CI="$CI"})
	if [[ $who != root ]]; then
		home=/home/$who
		# shellcheck disable=SC2016 # the words of the inner shell
		"${in_root[@]}" sh -euc '
			apt-get update -qq
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends sudo >/dev/null 2>&1
			useradd -m -s /bin/bash "$1"
			echo "$1 ALL=(ALL) NOPASSWD: ALL" >"/etc/sudoers.d/$1"' _ "$who" || return
	fi
	git -c safe.directory='*' clone -q --no-local "$PWD" "$root$home/ckptfs" && "${in_root[@]}" chown -R "$who:" "$home/ckptfs" || return
	# shellcheck disable=SC2016 # the words of the inner shell
	in_clone=("${in_root[@]}" runuser -u "$who" -- env HOME="$home" bash -c 'cd "$HOME/ckptfs" && eval "$1"' _)
}

# prove COMMAND... - each in the clone, counted.
prove() {
	local command
	if ! set_up; then
		echo "fresh-root: $suite: the root could not be set up" >&2
		failed=1
	else
		for command; do
			printf '\n== Debian %s (%s), as %s: %s\n' "$suite" "$(<"$dir/root/etc/debian_version")" "$who" "$command"
			tally "Debian $suite, as $who: $command" "${in_clone[@]}" "$command" || true
		done
	fi
	total
}

# in_namespaces COMMAND... - with mounts and processes of its own, all of which end with it.
in_namespaces() {
	# unshare itself leaves a SIGTERM to its child, which as the first process takes none.
	stop_with=KILL
	TMPDIR=$dir setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc --propagation private "$@" 7>&- &
	child=$!
	wait "$child"
}

main() {
	# The script calls itself in its namespaces, where nothing outlives it.
	if [[ -n ${FRESH_INSIDE:-} ]]; then
		dir=$FRESH_INSIDE tar=${FRESH_TARS:-$FRESH_INSIDE}/$suite.tar
		unset FRESH_INSIDE
		[[ -e $tar ]] || make_tar "$tar" || skip "debootstrap failed"
		prove "${@:2}"
		exit
	fi

	[[ $EUID -eq 0 ]] || skip "debootstrap and chroot need root"
	command -v debootstrap >/dev/null || skip "no debootstrap: tests/deps.sh fresh"
	unshare -m -p -f true 2>/dev/null || skip "no namespaces here (unshare -m -p)"
	dir=$(mktemp -d "${TMPDIR:-/var/tmp}/fresh-root.XXXXXX") || exit 1
	# A process of its own clears up as soon as this one is gone, even if it was killed. All mounts are in the namespace of processes that are gone
	# or going: nothing of them is seen from here.
	# shellcheck disable=SC2016 # the words of the inner shell
	exec 7> >(exec setsid bash -c 'cat; for ((i = 0; i < 100; i++)); do rm -rf --one-file-system "$1" && break; sleep 0.1; done' _ "$dir" >/dev/null 2>&1)
	cleaner=$!
	trap 'exec 7>&-; wait "$cleaner"' EXIT

	[[ $who == root ]] || set -- -u "$@"
	FRESH_INSIDE=$dir in_namespaces "$0" "$@"
}
main "$@"; exit
