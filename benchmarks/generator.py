"""The process that makes open-loop load: one epoll loop over plain sockets, with a timer that is not rounded.

Run by ``openloop.run``: a Plan comes in on stdin, a Report goes out on stdout.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import select
import socket
import struct
import sys
import time
from array import array
from collections import deque

import msgspec
import numpy as np

from benchmarks.client import Answer, Target, request, target

MAX_CONNECTIONS = 4_096
DRAIN_SECONDS = 10.0
"""How long the last answers may take; what has not come by then counts as an error."""

OK, DEFAULT, ERROR = 0, 1, 2


class Plan(msgspec.Struct):
    url: str
    bodies: list[bytes]
    content_type: str
    rate: float
    seconds: float
    connections: int
    seed: int


class Report(msgspec.Struct):
    """What the generator's process gives back: arrays of doubles (seconds) and of bytes."""

    latencies: bytes
    lags: bytes
    outcomes: bytes
    completed: int
    connections: int


class Alarm:
    """A file descriptor that becomes readable at a time of the monotonic clock, to the nanosecond."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.timerfd_settime.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
        self.fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")

    def set(self, when: float) -> None:
        nanoseconds = max(1, int(when * 1e9))
        absolute = 1
        self._libc.timerfd_settime(
            self.fd, absolute, struct.pack("qqqq", 0, 0, *divmod(nanoseconds, 1_000_000_000)), None
        )


class Connection:
    """One keep-alive connection, with at most one request under way: ``number``, or -1."""

    __slots__ = ("answer", "blocked", "number", "outgoing", "socket")

    def __init__(self, to: Target) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex((to.host, to.port))
        self.answer = Answer()
        self.number = -1
        self.outgoing: bytes | memoryview = b""
        self.blocked = False

    def push(self) -> bool:
        """Sends what the socket takes; False if something is left. OSError if the connection is broken."""
        try:
            sent = self.socket.send(self.outgoing)
        except BlockingIOError:
            return False
        if sent == len(self.outgoing):
            return True
        self.outgoing = memoryview(self.outgoing)[sent:]
        return False


class Pool:
    """The connections: the longest idle first, so that all are used and a server of many processes uses them all."""

    def __init__(self, to: Target, size: int) -> None:
        socket.create_connection((to.host, to.port), timeout=5).close()  # fails at once where nothing listens
        self._target = to
        self._idle: deque[Connection] = deque()
        self.open: dict[int, Connection] = {}
        self.most = 0
        self.epoll = select.epoll()
        for _ in range(size):
            self._idle.append(self._connect())

    def take(self) -> Connection | None:
        """An idle connection, else a new one; None at the bound."""
        if self._idle:
            return self._idle.popleft()
        return self._connect() if len(self.open) < MAX_CONNECTIONS else None

    def give_back(self, connection: Connection) -> None:
        self._idle.append(connection)

    def drop(self, connection: Connection) -> None:
        self.open.pop(connection.socket.fileno(), None)
        if connection.number < 0 and connection in self._idle:
            self._idle.remove(connection)
        connection.socket.close()

    def watch_sending(self, connection: Connection, blocked: bool) -> None:
        if blocked != connection.blocked:
            connection.blocked = blocked
            self.epoll.modify(connection.socket.fileno(), select.EPOLLIN | (select.EPOLLOUT if blocked else 0))

    def _connect(self) -> Connection:
        connection = Connection(self._target)
        self.open[connection.socket.fileno()] = connection
        self.most = max(self.most, len(self.open))
        self.epoll.register(connection.socket.fileno(), select.EPOLLIN)
        return connection


class Generator:
    """The loop: sends what is due, takes what has come, sleeps until either."""

    def __init__(self, plan: Plan) -> None:
        to = target(plan.url)
        self._requests = [request(to, body, plan.content_type) for body in plan.bodies]
        self._due = arrivals(plan.rate, plan.seconds, plan.seed)
        self._latencies, self._lags = array("d", [-1.0]) * len(self._due), array("d", [0.0]) * len(self._due)
        self._outcomes = bytearray([ERROR]) * len(self._due)
        self._waiting: deque[int] = deque()
        self._pool = Pool(to, plan.connections)
        self._completed = self._settled = 0

    def run(self) -> Report:
        alarm, epoll = Alarm(), self._pool.epoll
        epoll.register(alarm.fd, select.EPOLLIN)
        start = time.monotonic() + 0.05
        self._due = [start + each for each in self._due]
        end = self._due[-1] + DRAIN_SECONDS
        count, following, now = len(self._due), 0, start
        while self._settled < count and now < end:
            alarm.set(self._due[following] if following < count else end)
            for fd, events in epoll.poll(DRAIN_SECONDS):
                if fd != alarm.fd:
                    self._handle(self._pool.open[fd], events)
            now = time.monotonic()
            while following < count and self._due[following] <= now:
                self._waiting.append(following)
                following += 1
            self._send()
        return self._report(time.monotonic())

    def _send(self) -> None:
        while self._waiting:
            connection = self._pool.take()
            if connection is None:
                return
            number = connection.number = self._waiting.popleft()
            connection.outgoing = self._requests[number % len(self._requests)]
            self._lags[number] = time.monotonic() - self._due[number]
            self._push(connection)

    def _push(self, connection: Connection) -> None:
        try:
            self._pool.watch_sending(connection, blocked=not connection.push())
        except OSError:
            self._break(connection)

    def _handle(self, connection: Connection, events: int) -> None:
        if events & select.EPOLLOUT:
            self._push(connection)
        else:
            self._receive(connection)

    def _receive(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(262_144)
            if not data or connection.number < 0:
                raise ConnectionResetError
            if connection.answer.feed(data):
                self._settle(connection)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            self._break(connection)

    def _settle(self, connection: Connection) -> None:
        answer, number = connection.answer, connection.number
        self._latencies[number] = time.monotonic() - self._due[number]
        if answer.status == 200:
            self._outcomes[number] = DEFAULT if answer.is_default else OK
        self._completed += 1
        self._settled += 1
        connection.number = -1
        self._pool.give_back(connection)

    def _break(self, connection: Connection) -> None:
        """The connection is of no use any more; the request on it, if there is one, is an error."""
        if connection.number >= 0:
            self._latencies[connection.number] = time.monotonic() - self._due[connection.number]
            self._settled += 1
        self._pool.drop(connection)

    def _report(self, now: float) -> Report:
        for number, latency in enumerate(self._latencies):
            if latency < 0:  # never answered, or never sent
                self._latencies[number] = now - self._due[number]
        return Report(
            self._latencies.tobytes(), self._lags.tobytes(), bytes(self._outcomes), self._completed, self._pool.most
        )


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Times of a Poisson process from 0 to ``seconds``; at least one."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds + 10 * (rate * seconds) ** 0.5) + 10)
    times = np.cumsum(gaps)
    return list(times[times < seconds].tolist()) or [0.0]


def allow_open_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    allow_open_files()
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Plan)
    generator = Generator(plan)
    gc.disable()  # bounded: what a run allocates and does not free is a few bytes a request
    sys.stdout.buffer.write(msgspec.msgpack.encode(generator.run()))


if __name__ == "__main__":
    main()
