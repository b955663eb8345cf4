"""Mounts that never outlive the benchmark, and the bytes of their pages."""
import os
import signal
import subprocess
import time


class Mount:
    """A program that mounts something at DIRECTORY and stays in the foreground."""

    def __init__(self, command, directory, env=None):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(command + [directory], env=dict(os.environ, **(env or {})),
                                        stdin=null, stdout=null, stderr=null)

    def __enter__(self):
        """Returns once it is mounted."""
        end = time.monotonic() + 60
        device = os.stat(os.path.dirname(self.directory)).st_dev
        try:
            while os.stat(self.directory).st_dev == device:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("%s did not mount" % self.process.args[0])
                time.sleep(0.0002)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        for lazy in ([],) * 50 + (["-z"],):
            if not os.path.ismount(self.directory):
                break
            unmount = ["fusermount3", "-u", *lazy, self.directory]
            if subprocess.run(unmount, stderr=subprocess.DEVNULL, check=False).returncode:
                time.sleep(0.05)
        try:
            self.process.wait(10 if self.process.poll() is None else 0)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def memory(self):
        """(resident now, resident at most) in bytes."""
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as f:
            fields = dict(line.split(":", 1) for line in f)
        return tuple(int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))

    def has_read(self):
        """Bytes that the program has read so far, of the store and of the kernel's requests, which are small."""
        with open("/proc/%d/io" % self.process.pid, encoding="ascii") as f:
            return int(dict(line.split(":", 1) for line in f)["rchar"])


def forget(path):
    """Drops the pages of PATH, or of the files in it, from the kernel's cache: the next read is a first one."""
    for name in files(path):
        fd = os.open(name, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def set_readahead(mountpoint, kib):
    """Makes the kernel read so much ahead in a mount, which takes root; whether it could."""
    try:
        with open("/sys/class/bdi/0:%d/read_ahead_kb" % os.minor(os.stat(mountpoint).st_dev), "w", encoding="ascii") as f:
            f.write(str(kib))
    except OSError:
        return False
    return True


def files(path):
    """PATH, or the files in it."""
    return sorted(os.path.join(path, n) for n in os.listdir(path)) if os.path.isdir(path) else [path]


def size_of(path):
    return sum(map(os.path.getsize, files(path)))


def timed(function, *args, **named):
    start = time.perf_counter()
    function(*args, **named)
    return time.perf_counter() - start


def run(*command, env=None, cwd=None):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, **(env or {})), cwd=cwd)


def cat(path, env=None):
    run("cat", *files(path), env=env)


def rate(path, env=None):
    """GB/s of cat."""
    return size_of(path) / timed(cat, path, env) / 1e9
