# dist: what is published of a version. deb: Debian packages, for the release that it runs on.

DIST := ckptfs-$(VERSION)

.PHONY: dist deb deb-roots
dist: ## build-dist/ckptfs-VERSION.tar.gz of HEAD, the same bytes each time, and its checksums
	@packaging/dist.sh $(DIST) build-dist

deb: ## build-deb/*.deb of HEAD, by dpkg-buildpackage (needs what debian/control says)
	@packaging/deb.sh $(VERSION) build-deb

deb-roots: ## prove the packages in fresh Debian 12 and 13: build, lintian, install, use, remove (root, debootstrap)
	@tests/deps.sh fresh
	@packaging/deb-roots.sh
