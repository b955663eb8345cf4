#!/usr/bin/env python3
"""A delay line: holds every byte for so many milliseconds, in both directions, and limits nothing else.

delay.py MS [--rate BYTES] run COMMAND [ARG...]     a filter between this process's stdin and stdout and COMMAND's (as for sshfs -o ssh_command)
delay.py MS [--rate BYTES] port LISTEN TARGET       forwards the TCP port LISTEN of loopback to TARGET; LISTEN 0 is any. Says the port on stdout

MS each way, so a round trip takes 2 * MS more. BYTES: so many a second, each way of each connection. A way holds at most 256 MiB; then it reads no more.
"""
import collections
import os
import signal
import socket
import subprocess
import sys
import threading
import time

PIECE, HELD = 1 << 18, 256 << 20


class Way:
    """One direction of a connection: what is read from SOURCE is written to SINK when it is due. CLOSE ends SINK."""

    def __init__(self, source, sink, delay, rate, close):
        self.source, self.sink, self.delay, self.rate, self.close = source, sink, delay, rate, close
        self.queue, self.held = collections.deque(), 0
        self.changed = threading.Condition()        # guards queue and held
        self.threads = [threading.Thread(target=t, daemon=True) for t in (self.fill, self.drain)]
        for t in self.threads:
            t.start()

    def put(self, due, data):
        with self.changed:
            self.changed.wait_for(lambda: self.held < HELD)
            self.queue.append((due, data))
            self.held += len(data)
            self.changed.notify_all()

    def fill(self):
        free = 0.0          # when the link has sent all that came before
        while True:
            try:
                data = os.read(self.source, PIECE)
            except OSError:
                data = b""
            free = max(free, time.monotonic()) + (len(data) / self.rate if self.rate else 0)
            self.put(free + self.delay, data)
            if not data:
                return

    def drain(self):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.queue)
                due, data = self.queue.popleft()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(self.sink, rest):]
            except OSError:
                data = b""
            with self.changed:
                self.held -= len(data) or 1 << 62       # nothing waits for a way that has ended
                self.changed.notify_all()
            if not data:
                self.close()
                return


def end(sock, how):
    try:
        sock.shutdown(how)
    except OSError:
        pass


def run(delay, rate, command):
    """The command's status; ends when the command has closed its output."""
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    Way(0, child.stdin.fileno(), delay, rate, child.stdin.close)
    back = Way(child.stdout.fileno(), 1, delay, rate, lambda: None)
    back.threads[1].join()
    return child.wait()


def serve(client, target, delay, rate):
    with client:
        try:
            server = socket.create_connection(("127.0.0.1", target))
        except OSError:
            return
        with server:
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            there = Way(client.fileno(), server.fileno(), delay, rate, lambda: end(server, socket.SHUT_WR))
            back = Way(server.fileno(), client.fileno(), delay, rate, lambda: end(client, socket.SHUT_RDWR))
            back.threads[1].join()
            end(server, socket.SHUT_RDWR)
            there.threads[1].join()
            for way in (there, back):
                way.threads[0].join()


def port(delay, rate, listen, target):
    with socket.create_server(("127.0.0.1", listen)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0], target, delay, rate), daemon=True).start()


def main():
    delay, args, rate = float(sys.argv[1]) / 1000, sys.argv[2:], 0
    if args[0] == "--rate":
        rate, args = int(args[1]), args[2:]
    if args[0] == "run":
        sys.exit(run(delay, rate, args[1:]))
    port(delay, rate, int(args[1]), int(args[2]))


main()
