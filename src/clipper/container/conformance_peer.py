"""A connection of a container under trial, seen from the frontend's end. Every wait has an end."""

from __future__ import annotations

import select
import socket
import time

from clipper.rpc import wire
from clipper.rpc.wire import Frame, FrameReader, Kind, Outcome, WireError


class Complaint(Exception):
    """A check failed: what was expected, and what came."""

    def __init__(self, expected: str, came: str) -> None:
        super().__init__(f"expected {expected}; came {came}")


class Peer:
    """One accepted connection, as a frontend sees it. A message that does not come is a ``Complaint``."""

    def __init__(self, connection: socket.socket, patience: float) -> None:
        self._socket = connection
        self._patience = patience
        self._reader = FrameReader(wire.MAX_OUTCOMES)
        self.open = True

    def send(self, message: bytes, what: str) -> None:
        self._socket.settimeout(self._patience)
        try:
            self._socket.sendall(message)
        except TimeoutError:
            raise Complaint(f"the container to read {what}", f"a full socket for {self._patience:g} s") from None
        except OSError as error:
            raise Complaint(f"the container to read {what}", f"a broken connection ({error.strerror})") from None

    def receive(self, what: str) -> Frame:
        """The next message; ``what`` it should be, for the complaint if there is none."""
        deadline = time.monotonic() + self._patience
        while True:
            received = self._receive_some(what, deadline)
            if not received:
                raise Complaint(what, "the end of the connection")
            try:
                frame = self._reader.advance(received)
            except WireError as error:
                raise Complaint(what, f"bytes that break the protocol: {error}") from None
            if frame is not None:
                return frame

    def expect_kind(self, kind: Kind, what: str) -> Frame:
        frame = self.receive(what)
        if frame.kind != kind:
            raise Complaint(what, describe(frame))
        return frame

    def outcomes(self, what: str) -> tuple[int, list[Outcome]]:
        """The next message, which must be OUTCOMES: the number of its batch, and what it says."""
        return read_outcomes(self.expect_kind(Kind.OUTCOMES, what), what)

    def expect_silence(self, seconds: float) -> None:
        ready, _, _ = select.select([self._socket], [], [], seconds)
        if ready:
            what = "nothing from the container while it has nothing to do"
            raise Complaint(what, describe(self.receive(what)))

    def expect_end(self, why: str) -> None:
        """The container must close the connection, without another word."""
        what = f"the container to close the connection {why}"
        try:
            received = self._receive_some(what, time.monotonic() + self._patience)
        finally:
            self.close()
        if received:
            raise Complaint(what, "more bytes on it")

    def close(self) -> None:
        self.open = False
        self._socket.close()

    def _receive_some(self, what: str, deadline: float) -> int:
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            return self._socket.recv_into(self._reader.buffer())
        except TimeoutError:
            raise Complaint(what, f"nothing within {self._patience:g} s") from None
        except ConnectionResetError:  # it had not read everything that we sent
            return 0


def read_outcomes(frame: Frame, what: str) -> tuple[int, list[Outcome]]:
    try:
        texts, errors = wire.decode_outcomes(frame)
    except WireError as error:
        raise Complaint(what, f"OUTCOMES that can't be read: {error}") from None
    return frame.batch_id, [Outcome(place not in errors, text) for place, text in enumerate(texts)]


def describe(frame: Frame) -> str:
    """A message, for a complaint."""
    try:
        name = Kind(frame.kind).name
    except ValueError:
        name = f"a message of the unknown kind {frame.kind}"
    return f"{name} (batch {frame.batch_id}, {frame.items} items)" if frame.kind == Kind.OUTCOMES else name
