# What the tests that write steps through the mount share.
# shellcheck shell=bash disable=SC2034,SC2153

# writable [OPTION...] - an own store, mounted for writing; $TAG in the mount and $STORED in the store are the tag d12.
writable() {
	need_torch
	own_store
	mount_store "$STORE" "$@"
	TAG=$MNT/base/d12 STORED=$STORE/base_checkpoints/d12
}

# No trace of a draft N is left, in the mount or in the store.
no_draft() {
	[[ ! -e $TAG/$1.partial && ! -e $STORED/.ckptfs/$1 && ! -e $STORED/.ckptfs/$1.partial ]] || { ls -la "$STORED/.ckptfs"; return 1; }
}

published() {
	[[ -f $STORED/model_$1.pt && -f $STORED/meta_$1.json && -f $TAG/$1/model.pt ]] || { ls -la "$STORED" "$TAG" "$TAG/$1"; return 1; }
	no_draft "$1"
}

unpublished() { [[ ! -e $STORED/model_$1.pt && ! -e $STORED/meta_$1.json ]] || { ls "$STORED"; return 1; }; }
