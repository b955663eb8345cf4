"""Arrays and files that the writing tests make, and what must become of them."""
import json
import struct
import urllib.parse

import numpy as np


def bfloat16(bits):
    return np.array(bits, dtype="<u2").view("V2")


def arrays():
    """(key, array, keywords) of every dtype that .npy can say for a tensor, and of every layout. The array is what a reader must get."""
    grid = np.arange(-12, 12).reshape(4, 6)
    cases = [("dtype." + name, grid.astype(name)) for name in ("f8", "f4", "f2", "i8", "i4", "i2", "i1")]
    cases += [("dtype." + name, np.arange(24).reshape(2, 3, 4).astype(name)) for name in ("u1", "?")]
    cases += [("dtype." + name, (grid + 1j * grid[::-1]).astype(name)) for name in ("c8", "c16")]
    cases.append(("dtype.bfloat16", bfloat16([[0x3f80, 0xc000, 0x7fc1], [0x7f80, 0x8000, 0x0001]])))
    cases.append(("nan", np.array([0x7fc00001, 0xff800000, 0x80000000, 0x00000001], dtype="<u4").view("<f4")))
    cases.append(("shape.scalar", np.array(2.5, dtype="f4")))
    cases.append(("shape.empty", np.zeros((0, 3), dtype="f4")))
    cases.append(("shape.empty_inside", np.zeros((2, 0, 3), dtype="i8")))
    cases.append(("shape.deep", np.arange(64, dtype="i2").reshape((2,) * 6)))
    cases.append(("shape.one", np.array([7], dtype="i8")))
    cases.append(("order.fortran", np.asfortranarray(np.arange(120, dtype="f4").reshape(4, 5, 6))))
    cases.append(("order.big_endian", np.arange(24, dtype=">f4").reshape(4, 6)))
    cases.append(("order.big_endian_fortran", np.asfortranarray(np.arange(24, dtype=">i2").reshape(4, 6))))
    cases.append(("order.big_endian_complex", (grid + 1j).astype(">c8")))
    cases += [(key, np.arange(3, dtype="f4") + i) for i, key in enumerate(
        ("a/b/../c", "100%", ".", "..", ".hidden", "sn\u00f6 \u2603 \U0001f600", "tab\tand\nline", "_orig_mod.kept", "~", " "))]
    return cases


def unsigned():
    """What torch has since 2.3."""
    return [("dtype." + name, np.arange(250, 262).reshape(3, 4).astype(name)) for name in ("u2", "u4", "u8")]


def file_name(key):
    """KEY.npy as the contract encodes it."""
    if key in (".", ".."):
        return key.replace(".", "%2E") + ".npy"
    return key.replace("%", "%25").replace("/", "%2F").replace("\0", "%00") + ".npy"


def npy(array, version=(1, 0), fortran=None):
    """The format by its description: NumPy itself picks the version by need."""
    if fortran is None:
        fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    descr = "<V2" if array.dtype == np.dtype("V2") else array.dtype.str
    header = "{'descr': %r, 'fortran_order': %r, 'shape': %r, }" % (descr, fortran, array.shape)
    header = header.encode("utf-8" if version[0] == 3 else "latin-1")
    prefix = 8 + (2 if version[0] == 1 else 4)
    header += b" " * (-(prefix + len(header) + 1) % 64) + b"\n"
    return (b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version[0] == 1 else "<I", len(header)) + header +
            array.tobytes("F" if fortran else "C"))


SAFETENSORS_NAMES = {"f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8", "u1": "U8", "b1": "BOOL",
                     "c8": "C64", "V2": "BF16", "u2": "U16", "u4": "U32", "u8": "U64"}


def safetensors(cases, metadata=None, names=None):
    """A file by the format's description, tensors in the given order; NAMES overrides dtypes."""
    header, body = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for key, array in cases:
        data = little(array).tobytes("C")
        dtype = (names or {}).get(key) or SAFETENSORS_NAMES[array.dtype.str[1:]]
        header[key] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    return pack_safetensors(json.dumps(header).encode(), body)


def pack_safetensors(header, body):
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + body


def little(array):
    return array.astype(array.dtype.newbyteorder("<")) if array.dtype.kind != "V" else array


def unquoted(name):
    return urllib.parse.unquote(name[:-len(".npy")])
