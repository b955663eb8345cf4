#!/bin/bash
# deb-use.sh DIR - installs DIR/ckptfs_*.deb, uses it as the manual says, runs its autopkgtest, and removes it; fails where something is left.
# Changes the system: for a root that is thrown away (packaging/deb-roots.sh).
set -euo pipefail
shopt -s failglob
packages=$1
work=$(mktemp -d)
here=$(cd "$(dirname "$0")/.." && pwd)
export DEBIAN_FRONTEND=noninteractive
say() { printf -- '-- %s\n' "$*"; }

# Every file but those that apt and dpkg keep for themselves, and what caches and logs say.
files() {
	find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /share -o -path /root -o -path /home -o -path /srv -o -path /var/log \
		-o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /run -o -name __pycache__ \) -prune -o -print | sort
}

apt-get update -qq
apt-get install -y -qq --no-install-recommends man-db bash-completion zsh fish attr python3-numpy autopkgtest dpkg-dev systemd adduser >/dev/null
[[ -e /etc/mtab ]] || ln -s ../proc/self/mounts /etc/mtab
files >"$work/before"

say "apt install"
apt-get install -y -qq "$packages"/ckptfs_*_"$(dpkg --print-architecture)".deb >/dev/null
cd /
ckptfs --version
[[ $(dpkg-query -W -f '${Version}' ckptfs) == "$(ckptfs --version | sed 's/^ckptfs \([^ ]*\).*/\1/')"-* ]]

say "mount as a user"
useradd -m ada
cp -r "$here/examples/store" /home/ada/store
chown -R ada: /home/ada/store
runuser -u ada -- bash -ec '
	cd; mkdir mnt; ckptfs -o ro store mnt; trap "fusermount3 -u mnt" EXIT
	python3 -c "import numpy; print(numpy.load(\"mnt/base/d2/latest/model/lm_head.weight.npy\").shape)" | grep -F "(64, 16)"
	cmp mnt/base/d2/latest/model.pt store/base_checkpoints/d2/model_001000.pt'

say "mount -t fuse.ckptfs, and fstab"
mkdir -p /srv/nanochat
mount -t fuse.ckptfs -o ro,allow_other /home/ada/store /srv/nanochat
runuser -u ada -- ls /srv/nanochat/base/d2/latest/model >/dev/null
umount /srv/nanochat
cp /etc/fstab "$work/fstab" 2>/dev/null || : >"$work/fstab"
echo '/home/ada/store  /srv/nanochat  fuse.ckptfs  ro,allow_other,nofail,x-systemd.automount  0  0' >>/etc/fstab
mount /srv/nanochat
[[ $(readlink /srv/nanochat/base/largest) == d2 ]]
umount /srv/nanochat
if [[ -s "$work/fstab" ]]; then cat "$work/fstab" >/etc/fstab; else rm /etc/fstab; fi

say "man"
man ckptfs 2>/dev/null | grep -c 'mount a nanochat checkpoint store'

say "completion"
# shellcheck disable=SC2016 # the words of the inner shells
bash -c '. /usr/share/bash-completion/bash_completion; { _comp_load ckptfs || _completion_loader ckptfs || [[ $? == 124 ]]; } 2>/dev/null; complete -p ckptfs' | grep -F 'complete'
# shellcheck disable=SC2016
zsh -c 'autoload -U compinit; compinit -D; print -r -- $_comps[ckptfs]' | grep -x _ckptfs
fish -c 'complete -C "ckptfs -o nat"' | grep native

say "systemd units"
cd /usr/share/doc/ckptfs/examples/systemd
systemd-analyze verify ./ckptfs@.service
XDG_RUNTIME_DIR=$work systemd-analyze --user verify ./user/ckptfs.service
cd /

say "autopkgtest"
autopkgtest "$packages"/ckptfs_*_"$(dpkg --print-architecture)".deb "$here/" -- null >"$work/log" 2>&1 || { status=$?; tail -n 40 "$work/log"; exit "$status"; }
grep "^mount " "$work/log"
grep -q '^mount *PASS' "$work/log"

say "remove"
apt-get purge -y -qq --auto-remove ckptfs >/dev/null
userdel -r ada 2>/dev/null || true
files >"$work/after"
# What useradd, man-db and ldconfig rewrite has the same names; nothing else may come or go.
diff "$work/before" "$work/after" | grep -vE '^[0-9,]+[acd][0-9,]+$' | grep -vE ' /etc/(passwd|group|shadow|gshadow|subuid|subgid)-$' | tee "$work/left" || true
[[ ! -s "$work/left" ]]
[[ ! -e /usr/bin/ckptfs ]]
echo "installed, used, removed"
