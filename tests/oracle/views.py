"""The checks that a model and an optimizer shard share: DIR/, DIR.raw/, DIR.safetensors and DIR.tsv against named tensors."""
import json
import os

import numpy as np

import ckpt
from ckpt import check, read, torch

try:
    import safetensors.torch as safetensors_library
except ImportError:
    safetensors_library = None


def fnv1a(data):
    h = 0xcbf29ce484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return h


def file_name(key, suffix):
    """core/base/keyname.h's rule, spelled again."""
    stem = b"".join({0x2f: b"%2F", 0: b"%00", 0x25: b"%25"}.get(c, bytes([c])) for c in key.encode("utf-8", "surrogatepass"))
    stem = {b".": b"%2E", b"..": b"%2E%2E", b"": b"%"}.get(stem, stem)
    if len(stem) + len(suffix) > 255:
        cut = stem[:255 - len(suffix) - 17]
        if b"%" in cut[-2:]:
            cut = cut[:cut.rindex(b"%")]
        while (cut + stem[len(cut):])[len(cut)] & 0xc0 == 0x80:
            cut = cut[:-1]
        stem = cut + b"~%016x" % fnv1a(key.encode("utf-8", "surrogatepass"))
    return stem + suffix.encode()


def check_listing(directory, keys, suffix):
    """Key order, and inode numbers that rise with it (cp -r copies by inode)."""
    with os.scandir(os.fsencode(directory)) as entries:
        listed = [(e.name, e.inode()) for e in entries]
    check([n for n, _ in listed] == [file_name(k, suffix) for k in keys], "%s: names or order: %r" % (directory, [n for n, _ in listed][:5]))
    inodes = [i for _, i in listed]
    check(inodes == sorted(set(inodes)), directory + ": inode numbers don't rise")
    for name, inode in listed[:3] + listed[-3:]:
        check(os.lstat(os.path.join(os.fsencode(directory), name)).st_ino == inode, "%s/%r: d_ino is not st_ino" % (directory, name))


def check_xattrs(path, key, tensor, stored):
    want = {"key": key.encode("utf-8", "surrogatepass"), "dtype": shown_dtype(tensor).encode(),
            "shape": shape_text(tensor).encode(), "stored_dtype": stored.encode()}
    names = os.listxattr(path)
    for name, value in want.items():
        check("user.ckptfs." + name in names, "%r: no xattr %s in %r" % (path, name, names))
        got = os.getxattr(path, "user.ckptfs." + name)
        check(got == value, "%r: xattr %s is %r, want %r" % (path, name, got, value))


def shown_dtype(tensor):
    return ckpt.dtype_name(tensor.dtype)


def element_size(dtype):
    return torch.empty(0, dtype=getattr(torch, dtype)).element_size()


def shape_text(tensor):
    return "[" + ",".join(str(n) for n in tensor.shape) + "]"


def check_npy(path, tensor, where):
    array = ckpt.as_numpy(tensor)
    data = read(path)
    check(data == ckpt.npy_bytes(array), where + ": not the bytes of numpy.save")
    loaded = np.load(path)
    check(loaded.shape == array.shape and loaded.dtype == array.dtype and loaded.tobytes() == array.tobytes(), where + ": numpy.load differs")
    check(os.stat(path).st_size == len(data), where + ": st_size")


def check_raw(path, tensor, where):
    want = ckpt.as_numpy(tensor).tobytes()
    check(os.stat(path).st_size == len(want), where + ": st_size")
    check(read(path) == want, where + ": raw bytes differ")


def check_metadata(path, metadata, left_out):
    """LEFT_OUT: the keys of the tensors that the format can't hold."""
    metadata = dict(metadata)
    listed = json.loads(metadata.pop("ckptfs.left_out", "[]"))
    check(metadata == {"format": "pt"}, "%s: __metadata__ %r" % (path, metadata))
    check(listed == left_out, "%s: left out %r, want %r" % (path, listed, left_out))


def check_safetensors(path, tensors):
    """Against a reader written from the description; against the library too where it is installed."""
    left_out = [k for k, t in tensors.items() if shown_dtype(t) not in ckpt.SAFETENSORS]
    tensors = {k: t for k, t in tensors.items() if k not in left_out}
    data = read(path)
    try:
        metadata, got = ckpt.read_safetensors(data)
    except ValueError as e:
        check(False, "%s: %s" % (path, e))
        return
    check_metadata(path, metadata, left_out)
    check(os.stat(path).st_size == len(data), path + ": st_size")
    order = sorted(tensors, key=lambda k: (-ckpt.SAFETENSORS_ORDER.index(ckpt.SAFETENSORS[shown_dtype(tensors[k])]), k.encode()))
    check(list(got) == order, "%s: order %r, want %r" % (path, list(got)[:8], order[:8]))
    for key, tensor in tensors.items():
        want = (ckpt.SAFETENSORS[shown_dtype(tensor)], tuple(tensor.shape), ckpt.as_numpy(tensor).tobytes())
        check(got.get(key) == want, "%s: %s differs" % (path, key))
    # An old library knows fewer dtypes, and then refuses the file.
    if safetensors_library and all(ckpt.SAFETENSORS[shown_dtype(t)] in safetensors_library._TYPES for t in tensors.values()):
        loaded = safetensors_library.load_file(path)
        check(set(loaded) == set(tensors), path + ": the library's keys")
        for key, tensor in tensors.items():
            same = loaded[key].dtype == tensor.dtype and ckpt.as_numpy(loaded[key]).tobytes() == ckpt.as_numpy(tensor).tobytes()
            check(same, "%s: %s differs in the library" % (path, key))


def tensor_is_record(stored, nbytes, size):
    """Whether a tensor's elements are, in C order, all the bytes of its storage."""
    expected, step = [], 1
    for n in reversed(stored.size):
        expected.insert(0, step)
        step *= n
    ordered = 0 in stored.size or all(n == 1 or have == want for n, have, want in zip(stored.size, stored.stride, expected))
    return ordered and stored.offset == 0 and nbytes == size


def check_tsv(path, tensors, stored_dtypes, stored, pt):
    """STORED has a ckpt.Stored for each key that the file holds; the others (patched ones) have no place.

    file_offset is where the first element lies: the storage's place, and the tensor's offset in it. crc32 is what Python's zipfile
    reads of the record, for a tensor that is the whole record.
    """
    lines = read(path).decode("utf-8").split("\n")
    check(lines[-1] == "", path + ": no newline at the end")
    check(lines[0] == "\t".join(("key", "dtype", "shape", "nbytes", "stored_dtype", "file_offset", "stored_nbytes", "crc32")), path + ": header " + lines[0])
    rows = [line.split("\t") for line in lines[1:-1]]
    check([r[0] for r in rows] == list(tensors), path + ": keys or their order")
    places, crcs, blob = ckpt.storage_places(pt), ckpt.storage_crcs(pt), read(pt)
    for row, (key, tensor) in zip(rows, tensors.items()):
        array, where = ckpt.as_numpy(tensor), "%s: %s" % (path, key)
        check(row[1:5] == [shown_dtype(tensor), shape_text(tensor), str(array.nbytes), stored_dtypes[key]], "%s: %r" % (where, row))
        if key not in stored:
            check(row[6:] == ["-", "-"], "%s: %r, but it isn't stored" % (where, row[6:]))
        else:
            nbytes = tensor.numel() * element_size(stored_dtypes[key])
            whole = tensor_is_record(stored[key], nbytes, places[stored[key].key][1]) and any(crcs.values())
            want = [str(nbytes), "%08x" % crcs[stored[key].key] if whole else "-"]
            check(row[6:] == want, "%s: stored_nbytes and crc32 %r, want %r" % (where, row[6:], want))
        if key not in stored or not places[stored[key].key][2]:
            check(row[5] == "-", "%s: file_offset %s, but it lies nowhere" % (where, row[5]))
            continue
        begin = places[stored[key].key][0] + stored[key].offset * element_size(stored_dtypes[key])
        check(row[5] == str(begin), "%s: file_offset %s, want %d" % (where, row[5], begin))
        if tensor.numel() and stored_dtypes[key] == shown_dtype(tensor) and tensor.is_contiguous() and not (tensor.is_conj() or tensor.is_neg()):
            check(blob[begin:begin + array.nbytes] == array.tobytes(), where + ": other bytes at file_offset")


def check_forms(step, name, tensors, stored_dtypes, stored, pt):
    """All forms of one group of tensors: NAME is 'model', 'optim/rank0' or 'optim/all', TENSORS are in the order of the listing."""
    base = os.path.join(step, name)
    check_listing(base, tensors, ".npy")
    check_listing(base + ".raw", tensors, "")
    for key, tensor in tensors.items():
        npy, raw = os.path.join(os.fsencode(base), file_name(key, ".npy")), os.path.join(os.fsencode(base + ".raw"), file_name(key, ""))
        check_npy(npy, tensor, "%s/%s.npy" % (base, key))
        check_raw(raw, tensor, "%s.raw/%s" % (base, key))
        check_xattrs(npy, key, tensor, stored_dtypes[key])
        check_xattrs(raw, key, tensor, stored_dtypes[key])
    check_safetensors(base + ".safetensors", tensors)
    check_tsv(base + ".tsv", tensors, stored_dtypes, stored, pt)
    check(not os.path.exists(base + ".error"), base + ".error is there")
    for path in [base, base + ".raw"]:
        check(os.stat(path).st_mtime_ns == os.stat(pt).st_mtime_ns, path + ": mtime is not the stored file's")


def check_group(step, name, tensors, stored_dtypes, stored, pt):
    """All forms, and the stored file."""
    base = os.path.join(step, name)
    check_forms(step, name, tensors, stored_dtypes, stored, pt)
    check(read(base + ".pt") == read(pt), base + ".pt: not the stored bytes")
    check(os.getxattr(base + ".pt", "user.ckptfs.pickle") == b"safe", base + ".pt: user.ckptfs.pickle")
    check(os.stat(base + ".pt").st_mtime_ns == os.stat(pt).st_mtime_ns, base + ".pt: mtime is not the stored file's")
