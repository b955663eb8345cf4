#!/usr/bin/python3
"""check_keys.py STEPDIR STORED.pt: the names of strange keys (make_case.py's 'keys'), and the tensors behind them."""
import os
import sys

import ckpt
import views


def main():
    step, pt = sys.argv[1:]
    tensors = ckpt.load(pt)
    model, raw = os.fsencode(os.path.join(step, "model")), os.fsencode(os.path.join(step, "model.raw"))
    views.check_listing(os.path.join(step, "model"), tensors, ".npy")
    views.check_listing(os.path.join(step, "model.raw"), tensors, "")
    for key, tensor in tensors.items():
        npy = os.path.join(model, views.file_name(key, ".npy"))
        views.check_npy(npy, tensor, repr(key)[:60])
        views.check_raw(os.path.join(raw, views.file_name(key, "")), tensor, repr(key)[:60])
        ckpt.check(os.getxattr(npy, "user.ckptfs.key") == key.encode("utf-8", "surrogatepass"), "xattr of %r" % key[:60])
    ckpt.finish("%d strange keys" % len(tensors))


if __name__ == "__main__":
    main()
