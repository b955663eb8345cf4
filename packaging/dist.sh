#!/bin/sh
# dist.sh NAME DIR - makes DIR/NAME.tar.gz of HEAD and DIR/NAME.sha256. The same commit gives the same bytes: names are sorted, all times
# are SOURCE_DATE_EPOCH (default: the commit's), owners are 0, gzip keeps no name and no time.
# In an unpacked tarball, where there is no git, what the tarball held is packed again.
set -eu
name=$1 dir=$2
cd "$(dirname "$0")/.."
mkdir -p "$dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/$name"
if [ -e .git ]; then
	git -c safe.directory='*' archive --format=tar HEAD | tar -x -C "$work/$name"
	epoch=$(git -c safe.directory='*' log -1 --format=%ct)
	[ -z "$(git -c safe.directory='*' status --porcelain --untracked-files=no)" ] || echo "dist: changes that are not committed stay out" >&2
else
	tar -c --exclude='./build' --exclude='./build-*' --exclude=./ckptfs --exclude=__pycache__ --exclude='./debian/.debhelper' . | tar -x -C "$work/$name"
	epoch=$(stat -c %Y CHANGELOG.md)
fi
epoch=${SOURCE_DATE_EPOCH:-$epoch}
tar --format=gnu --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' -C "$work" -cf "$work/tar" "$name"
gzip -9nc "$work/tar" >"$work/tar.gz"
mv "$work/tar.gz" "$dir/$name.tar.gz"
(cd "$dir" && sha256sum "$name.tar.gz" >"$name.sha256" && cat "$name.sha256")
