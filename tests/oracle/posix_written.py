#!/usr/bin/python3
"""posix_written.py DIRECTORY [ordinary]: what a draft's directory does, call by call, as a plain file system does. Also runs on one, given a directory of it."""
import contextlib
import errno
import mmap
import os
import stat
import sys
import threading


@contextlib.contextmanager
def fails(code):
    try:
        yield
    except OSError as e:
        assert e.errno == code, (e, errno.errorcode[code])
    else:
        raise AssertionError("no " + errno.errorcode[code])


def open_flags():
    fd = os.open("f", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    assert os.write(fd, b"hello") == 5 and os.fstat(fd).st_size == 5 and os.stat("f").st_size == 5
    with fails(errno.EBADF):
        os.read(fd, 1)
    os.close(fd)
    with fails(errno.EEXIST):
        os.open("f", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with fails(errno.ENOENT):
        os.open("g", os.O_RDWR)
    with fails(errno.ENOTDIR):
        os.open("f/x", os.O_RDONLY)
    with fails(errno.EISDIR):
        os.open(".", os.O_WRONLY)
    fd = os.open("f", os.O_WRONLY | os.O_APPEND)
    os.write(fd, b" and")
    with open("f", "ab") as other:
        other.write(b" then")
    os.write(fd, b" more")
    os.close(fd)
    assert open("f", "rb").read() == b"hello and then more"
    fd = os.open("f", os.O_RDWR | os.O_TRUNC)
    assert os.fstat(fd).st_size == 0
    os.pwrite(fd, b"x", 10000)
    assert os.pread(fd, 20000, 0) == bytes(10000) + b"x" and os.lseek(fd, 0, os.SEEK_END) == 10001
    os.ftruncate(fd, 3)
    assert os.pread(fd, 10, 0) == bytes(3) and os.stat("f").st_size == 3
    os.truncate("f", 5)
    assert os.fstat(fd).st_size == 5
    os.fsync(fd)
    os.fdatasync(fd)
    os.close(fd)
    os.unlink("f")


def unlink_and_rename_while_open():
    fd = os.open("f", os.O_RDWR | os.O_CREAT, 0o600)
    os.write(fd, b"data")
    os.unlink("f")
    assert os.fstat(fd).st_nlink == 0 and os.fstat(fd).st_size == 4
    os.write(fd, b"more")
    assert os.pread(fd, 10, 0) == b"datamore"
    os.ftruncate(fd, 2)
    os.fchmod(fd, 0o644)
    assert os.pread(fd, 10, 0) == b"da" and os.fstat(fd).st_mode & 0o777 == 0o644
    # Its number may be given to another file at once.
    for i in range(20):
        with open("g", "w") as g:
            g.write(str(i))
        assert open("g").read() == str(i) and os.stat("g").st_size == len(str(i))
        os.unlink("g")
    os.close(fd)
    with fails(errno.ENOENT):
        os.stat("f")
    fd = os.open("a", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"old")
    with open("b", "w") as b:
        b.write("newer")
    os.rename("b", "a")
    assert os.pread(fd, 10, 0) == b"old" and open("a").read() == "newer" and os.fstat(fd).st_nlink == 0
    os.close(fd)
    fd = os.open("a", os.O_RDWR)
    os.rename("a", "c")
    os.write(fd, b"N")
    assert open("c").read() == "Newer" and os.fstat(fd).st_nlink == 1
    os.close(fd)
    os.unlink("c")


def many_short_lives():
    """Names and inode numbers come and go: each stat is of the file that has the name."""
    for i in range(300):
        name, other = "t%d" % (i % 7), "u%d" % (i % 3)
        with open(name, "wb") as f:
            f.write(bytes(i))
        assert os.stat(name).st_size == i and len(open(name, "rb").read()) == i
        if i % 2:
            os.rename(name, other)
            assert os.stat(other).st_size == i and not os.path.exists(name)
        elif i % 3:
            os.unlink(name)
    for name in os.listdir("."):
        os.unlink(name)


def directories():
    os.mkdir("d", 0o750)
    assert stat.S_IMODE(os.stat("d").st_mode) == 0o750
    links = os.stat(".").st_nlink
    os.mkdir("d/e")
    assert os.stat("d").st_nlink in (3, 1) and os.stat(".").st_nlink == links
    with fails(errno.EEXIST):
        os.mkdir("d")
    with fails(errno.ENOTEMPTY):
        os.rmdir("d")
    open("d/f", "w").close()
    with fails(errno.ENOTDIR):
        os.rmdir("d/f")
    with fails(errno.EISDIR):
        os.unlink("d/e")
    os.mkdir("empty")
    with fails(errno.ENOTEMPTY):
        os.rename("empty", "d")
    os.rename("d", "empty")
    assert sorted(os.listdir("empty")) == ["e", "f"] and not os.path.exists("d")
    with fails(errno.EINVAL):
        os.rename("empty", "empty/e/x")
    with fails(errno.EISDIR):
        os.rename("empty/f", "empty/e")
    os.rename("empty/f", "f")
    open("f", "a").close()
    fd = os.open("empty/e", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)
    os.rmdir("empty/e")
    os.rmdir("empty")
    os.unlink("f")
    assert [n for n in os.listdir(".") if n != "DRAFT.error"] == []


def names():
    long = "n" * 255
    open(long, "w").close()
    os.unlink(long)
    for call in (lambda n: open(n, "w"), os.mkdir, os.stat):
        with fails(errno.ENAMETOOLONG):
            call("n" * 256)
    for name in (b"\xff\xfe", "snö ☃".encode(), b"new\nline", b" "):
        with open(name, "wb") as f:
            f.write(name)
        assert name in os.listdir(b".") and open(name, "rb").read() == name
        os.unlink(name)


def attributes():
    old = os.umask(0o027)
    open("f", "w").close()
    os.mkdir("d")
    assert stat.S_IMODE(os.stat("f").st_mode) == 0o640 and stat.S_IMODE(os.stat("d").st_mode) == 0o750
    os.umask(0)
    open("g", "w").close()
    assert stat.S_IMODE(os.stat("g").st_mode) == 0o666
    os.umask(old)
    os.chmod("f", 0o604)
    os.utime("f", ns=(1_500_000_000_123456789, 1_600_000_000_987654321))
    s = os.stat("f")
    assert stat.S_IMODE(s.st_mode) == 0o604 and s.st_mtime_ns == 1_600_000_000_987654321 and s.st_atime_ns == 1_500_000_000_123456789
    assert s.st_nlink == 1 and s.st_uid == os.geteuid() and stat.S_ISREG(s.st_mode)
    os.utime("f")
    assert abs(os.stat("f").st_mtime - __import__("time").time()) < 60
    with open("f", "wb") as f:
        f.write(bytes(100000))
        f.flush()
        assert os.stat("f").st_size == 100000
        os.fchmod(f.fileno(), 0o600)
    assert os.stat("f").st_blocks * 512 >= 100000 and stat.S_IMODE(os.stat("f").st_mode) == 0o600
    if os.geteuid() == 0:
        os.chown("f", 12, 34)
        assert (os.stat("f").st_uid, os.stat("f").st_gid) == (12, 34)
    os.unlink("f")
    os.unlink("g")
    os.rmdir("d")


def mappings():
    with open("f", "w+b", buffering=0) as f, open("f", "rb", buffering=0) as reader:
        f.write(bytes(range(256)) * 64)
        m = mmap.mmap(reader.fileno(), 0, access=mmap.ACCESS_READ)
        assert m[:] == bytes(range(256)) * 64
        f.seek(5000)
        f.write(b"written")
        assert m[5000:5007] == b"written" and reader.read(1) == b"\0"
        w = mmap.mmap(f.fileno(), 0)
        w[10000:10003] = b"map"
        w.flush()
        reader.seek(10000)
        assert reader.read(3) == b"map" and m[10000:10003] == b"map"
        w.close()
        m.close()
    assert open("f", "rb").read()[10000:10003] == b"map"
    os.unlink("f")


def refused():
    open("f", "w").close()
    with fails(errno.EPERM):
        os.symlink("f", "s")
    with fails(errno.EPERM):
        os.link("f", "l")
    with fails(errno.EPERM):
        os.mkfifo("p")
    os.unlink("f")


def links():
    """In the store's ordinary directories."""
    with open("f", "w") as f:
        f.write("data")
    os.symlink("f", "s")
    assert os.readlink("s") == "f" and open("s").read() == "data" and stat.S_ISLNK(os.lstat("s").st_mode)
    os.symlink("nowhere/at/all", "t")
    with fails(errno.ENOENT):
        open("t")
    with fails(errno.EEXIST):
        os.symlink("x", "s")
    os.rename("t", "s")
    assert os.readlink("s") == "nowhere/at/all"
    os.unlink("s")
    os.link("f", "g")
    assert os.stat("f").st_ino == os.stat("g").st_ino and os.stat("f").st_nlink == 2
    fd = os.open("g", os.O_RDWR)
    os.write(fd, b"D")
    assert open("f").read() == "Data"
    number = os.fstat(fd).st_ino
    os.unlink("g")
    assert os.fstat(fd).st_nlink == 1 and os.fstat(fd).st_ino == number and os.stat("f").st_ino == number
    os.write(fd, b"A")
    assert open("f").read() == "DAta"
    os.link("f", "g")
    os.unlink("f")
    assert open("g").read() == "DAta" and os.fstat(fd).st_nlink == 1 and os.stat("g").st_ino == number
    with open("h", "w") as h:
        h.write("other")
    os.link("h", "i")
    os.rename("g", "i")
    assert open("h").read() == "other" and open("i").read() == "DAta" and os.stat("h").st_nlink == 1
    os.close(fd)
    for name in "h", "i":
        os.unlink(name)
    with fails(errno.EPERM):
        os.mkfifo("p")


def threads():
    """Many writers of many files in one directory: each finds what it wrote."""
    errors = []

    def work(n):
        try:
            for i in range(20):
                name = "w%d.%d" % (n, i)
                with open(name + ".tmp", "wb") as f:
                    f.write(name.encode() * 1000)
                os.rename(name + ".tmp", name)
                assert open(name, "rb").read() == name.encode() * 1000
                os.listdir(".")
                os.unlink(name)
        except Exception as e:
            errors.append(e)
    workers = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not errors, errors
    with open("shared", "wb") as f:
        f.truncate(8 * 4096)
        workers = [threading.Thread(target=lambda n=n: os.pwrite(f.fileno(), bytes([n]) * 4096, n * 4096)) for n in range(8)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
    assert open("shared", "rb").read() == b"".join(bytes([n]) * 4096 for n in range(8))
    os.unlink("shared")


def main():
    os.chdir(sys.argv[1])
    ordinary = len(sys.argv) > 2
    for check in (open_flags, unlink_and_rename_while_open, many_short_lives, directories, names, attributes, mappings, threads) + \
            ((links,) if ordinary else (refused,)):
        check()
        left = [n for n in os.listdir(".") if n != "DRAFT.error"]  # always there in a draft
        assert left == [], left
        print(check.__name__ + ": ok")


if __name__ == "__main__":
    main()
