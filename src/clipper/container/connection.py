"""One query frontend, from the container's side: connect, present the model, receive batches, send outcomes."""

from __future__ import annotations

import enum
import errno
import math
import os
import selectors
import socket
from collections import deque
from typing import Final

from clipper.container.addresses import Endpoint
from clipper.container.log import log
from clipper.rpc.wire import Frame, FrameReader, Kind, WireError, decode_text, encode_goodbye

FIRST_RETRY: Final = 0.05
SLOWEST_RETRY: Final = 1.0
REFUSED_RETRY: Final = 5.0
GREETING_TIMEOUT: Final = 10.0
MAX_UNSENT: Final = 2
"""A frontend has at most two batches in flight, so one with two answers unread has no reason to send more."""


class Phase(enum.Enum):
    WAITING = "not connected; tries again at the deadline"
    CONNECTING = "the connection is being made"
    GREETING = "HELLO is sent, WELCOME or REFUSED expected"
    SERVING = "batches come"
    LEAVING = "GOODBYE is sent; batches come until the frontend's GOODBYE"
    ENDING = "both said GOODBYE; the last outcomes go out"
    CLOSED = "over for good"


class Connection:
    """A connection that comes back when it breaks. No method waits; ``now`` is in seconds of one monotonic clock."""

    def __init__(self, endpoint: Endpoint, hello: bytes, selector: selectors.BaseSelector, now: float) -> None:
        self.endpoint = endpoint
        self.phase = Phase.WAITING
        self.deadline: float | None = now
        self.receiving_since = now
        """When the first bytes of the last message were there."""
        self._partial = False
        self._hello = hello
        self._selector = selector
        self._socket: socket.socket | None = None
        self._reader = FrameReader()
        self._unsent: deque[memoryview] = deque()
        self._interest = 0
        self._leaving = False
        self._retry = FIRST_RETRY
        self._welcomed_at = math.inf
        self._outage_logged = False
        self._last_refusal = ""

    @property
    def connected(self) -> bool:
        return self.phase not in (Phase.WAITING, Phase.CONNECTING, Phase.CLOSED)

    def tick(self, now: float) -> None:
        """Does what is due at ``deadline``: connects, or gives up on a frontend that does not react."""
        if self.deadline is None or now < self.deadline:
            return
        if self.phase is Phase.WAITING:
            self._connect(now)
        else:
            self.fail(f"no answer within {GREETING_TIMEOUT:g} s", now)

    def ready(self, mask: int, now: float) -> Frame | None:
        """Goes on after the selector said that the socket is ready; a BATCH to answer, if one is complete."""
        try:
            if self.phase is Phase.CONNECTING:
                self._greet(now)
            if mask & selectors.EVENT_WRITE:
                self._flush()
            return self._receive(now) if mask & selectors.EVENT_READ else None
        except (OSError, WireError, MemoryError) as error:
            self.fail(_describe(error), now)
            return None

    def send(self, message: bytes, now: float) -> None:
        """Sends what the socket takes at once, and the rest when it is ready."""
        self._unsent.append(memoryview(message))
        try:
            self._flush()
        except OSError as error:
            self.fail(_describe(error), now)

    def leave(self, now: float) -> None:
        """Says GOODBYE; the connection is CLOSED once the frontend has answered it, at once without a frontend."""
        self._leaving = True
        if self.phase in (Phase.GREETING, Phase.SERVING):
            self.phase, self.deadline = Phase.LEAVING, None
            self.send(encode_goodbye(), now)
        elif not self.connected:
            self.close()

    def fail(self, reason: str, now: float) -> None:
        """Drops the connection, and makes another one later unless the container is leaving."""
        was_connected = self.connected
        self.close()
        if self._leaving:
            return
        if not self._outage_logged:
            what = "Lost" if was_connected else "Can't reach"
            text = f"{what} the frontend at {self.endpoint}: {reason}; connecting again until it works"
            log(text, "warning", frontend=str(self.endpoint))
        self._outage_logged = True
        if now - self._welcomed_at >= SLOWEST_RETRY:  # one that drops us at once is not asked as eagerly
            self._retry = FIRST_RETRY
        self.phase, self.deadline = Phase.WAITING, now + self._retry
        self._retry = min(2 * self._retry, SLOWEST_RETRY)
        self._welcomed_at = math.inf

    def close(self) -> None:
        """Closes the socket without ado. A frontend sends the batches it had in flight to another replica."""
        if self._socket is not None:
            self._set_interest(0)
            self._socket.close()
            self._socket = None
        self._unsent.clear()
        self.phase, self.deadline = Phase.CLOSED, None

    def abandon(self) -> None:
        """In a forked child: closes the child's copy, which would keep the connection open after our death."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self, now: float) -> None:
        self._reader = FrameReader()
        self._partial = False
        try:
            self._socket = _new_socket(self.endpoint.family)
            refusal = self._socket.connect_ex(self.endpoint.target)
        except OSError as error:
            return self.fail(_describe(error), now)
        if refusal not in (0, errno.EINPROGRESS):
            return self.fail(os.strerror(refusal), now)
        self.phase, self.deadline = Phase.CONNECTING, now + GREETING_TIMEOUT
        self._set_interest(selectors.EVENT_WRITE)

    def _greet(self, now: float) -> None:
        assert self._socket is not None
        refusal = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if refusal:
            raise OSError(refusal, os.strerror(refusal))
        self.phase, self.deadline = Phase.GREETING, now + GREETING_TIMEOUT
        self._unsent.append(memoryview(self._hello))

    def _flush(self) -> None:
        assert self._socket is not None
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent[0])
            except BlockingIOError:
                break
            if sent == len(self._unsent[0]):
                self._unsent.popleft()
            else:
                self._unsent[0] = self._unsent[0][sent:]
        if self.phase is Phase.ENDING and not self._unsent:
            self._finish()
        else:
            self._watch()

    def _watch(self) -> None:
        """A peer that does not read is not read from: its batches would pile up as answers here."""
        reads = selectors.EVENT_READ if len(self._unsent) < MAX_UNSENT and self.phase is not Phase.ENDING else 0
        self._set_interest(reads | (selectors.EVENT_WRITE if self._unsent else 0))

    def _set_interest(self, events: int) -> None:
        if events == self._interest:
            return
        assert self._socket is not None
        if not self._interest:
            self._selector.register(self._socket, events, self)
        elif not events:
            self._selector.unregister(self._socket)
        else:
            self._selector.modify(self._socket, events, self)
        self._interest = events

    def _receive(self, now: float) -> Frame | None:
        if not self._partial:
            self.receiving_since = now
        while self._socket is not None:
            try:
                received = self._socket.recv_into(self._reader.buffer())
            except BlockingIOError:
                return None
            if not received:
                raise ConnectionResetError(errno.ECONNRESET, "the frontend closed the connection")
            frame = self._reader.advance(received)
            self._partial = frame is None
            if frame is not None:
                return self._take(frame, now)
        return None

    def _take(self, frame: Frame, now: float) -> Frame | None:
        match self.phase, frame.kind:
            case ((Phase.SERVING | Phase.LEAVING), Kind.BATCH):
                return frame
            case Phase.GREETING, Kind.WELCOME:
                self._welcomed(now)
            case ((Phase.GREETING | Phase.SERVING | Phase.LEAVING), Kind.REFUSED):
                self._refused(decode_text(frame), now)
            case ((Phase.SERVING | Phase.LEAVING), Kind.GOODBYE):
                self.phase, self.deadline = Phase.ENDING, now + GREETING_TIMEOUT
                self._flush()
            case Phase.LEAVING, Kind.WELCOME:
                pass  # crossed our GOODBYE
            case _:
                raise WireError(f"it sent a message of kind {frame.kind} while we expected: {self.phase.value}")
        return None

    def _welcomed(self, now: float) -> None:
        self.phase, self.deadline = Phase.SERVING, None
        self._welcomed_at = now
        self._outage_logged, self._last_refusal = False, ""
        log(f"Connected to the frontend at {self.endpoint}")

    def _refused(self, reason: str, now: float) -> None:
        self.close()
        if self._leaving:
            return
        if reason != self._last_refusal:
            text = f"The frontend at {self.endpoint} refused this model: {reason}; asking every {REFUSED_RETRY:g} s"
            log(text, "warning", frontend=str(self.endpoint))
        self._last_refusal, self._outage_logged = reason, True
        self.phase, self.deadline = Phase.WAITING, now + REFUSED_RETRY

    def _finish(self) -> None:
        """Both sides have said GOODBYE and everything is sent."""
        if self._leaving:
            self.close()
        else:
            raise ConnectionAbortedError(errno.ECONNABORTED, "it said goodbye")


def _new_socket(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    if family != socket.AF_UNIX:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _detect_dead_peer(made)
    return made


def _detect_dead_peer(connection: socket.socket) -> None:
    """A frontend whose machine is gone says nothing; half a minute of that breaks the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):  # not on every system
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _describe(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
