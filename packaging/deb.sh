#!/bin/sh
# deb.sh VERSION DIR - builds the source and binary packages in DIR, from the tarball that `make dist` makes. The version of debian/changelog must
# be the same.
set -eu
version=$1 dir=$2
cd "$(dirname "$0")/.."
command -v dpkg-buildpackage >/dev/null || { echo "deb: no dpkg-buildpackage: apt-get install build-essential debhelper" >&2; exit 1; }
packaged=$(dpkg-parsechangelog -S Version)
[ "${packaged%-*}" = "$version" ] || { echo "deb: debian/changelog has $packaged, CHANGELOG.md $version" >&2; exit 1; }
rm -rf "$dir"
packaging/dist.sh "ckptfs-$version" "$dir"
cd "$dir"
mv "ckptfs-$version.tar.gz" "ckptfs_$version.orig.tar.gz"
rm "ckptfs-$version.sha256"
tar -xf "ckptfs_$version.orig.tar.gz"
cd "ckptfs-$version"
dpkg-buildpackage -us -uc
cd ..
rm -rf "ckptfs-$version"
ls -l ./*.deb
