"""The life of a container after its model is loaded: one process, one thread, one selector over all frontends."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Iterable
from types import FrameType
from typing import Final

from clipper.container.addresses import Address
from clipper.container.batch import Model
from clipper.container.connection import Connection
from clipper.container.frontends import Frontends
from clipper.container.log import log
from clipper.rpc.wire import Frame, Hello, WireError, encode_hello

DRAIN_TIMEOUT: Final = 10.0
_LONGEST_WAIT: Final = 5.0
"""A model may take away the signals that wake the selector; SIGTERM is noticed after this time all the same."""


class Runtime:
    """Answers the batches of all frontends until SIGTERM; the model runs in the main thread, as frameworks like."""

    def __init__(self, model: Model, hello: Hello, addresses: Iterable[Address]) -> None:
        self._model = model
        self._selector = selectors.DefaultSelector()
        self._frontends = Frontends(addresses, encode_hello(hello), self._selector, time.monotonic())
        self._waker, self._wakes = socket.socketpair()
        self._stopping = False

    def serve(self) -> None:
        """Returns once SIGTERM has come and every frontend has said goodbye, or after ``DRAIN_TIMEOUT`` seconds."""
        self._listen_for_sigterm()
        try:
            while not self._stopping:
                self._step(self._frontends.deadline())
            log("SIGTERM: saying goodbye to the frontends, answering what they still send")
            self._leave(time.monotonic() + DRAIN_TIMEOUT)
        finally:
            self._frontends.close()
        log("Stopped")

    def _leave(self, deadline: float) -> None:
        self._frontends.leave(time.monotonic())
        while not self._frontends.left:
            if time.monotonic() >= deadline:
                return log(f"Some frontends did not say goodbye within {DRAIN_TIMEOUT:g} s", "warning")
            self._step(min(deadline, self._frontends.deadline()))

    def _step(self, deadline: float) -> None:
        now = time.monotonic()
        for key, mask in self._selector.select(min(max(deadline - now, 0), _LONGEST_WAIT)):
            if isinstance(key.data, Connection):
                batch = key.data.ready(mask, time.monotonic())
                if batch is not None:
                    self._answer(key.data, batch, time.monotonic() - key.data.receiving_since)
            else:
                self._wakes.recv(64)
        self._frontends.tick(time.monotonic())

    def _answer(self, connection: Connection, batch: Frame, received_in: float) -> None:
        try:
            outcomes = self._model.answer(batch, received_in)
        except WireError as error:
            connection.fail(str(error), time.monotonic())
        else:
            connection.send(outcomes, time.monotonic())

    def _listen_for_sigterm(self) -> None:
        self._waker.setblocking(False)
        self._selector.register(self._wakes, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._stop)
        os.register_at_fork(after_in_child=self._forget)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        """The second SIGTERM ends the process at once, and so does a model that does not come back."""
        self._stopping = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(DRAIN_TIMEOUT) + 1)

    def _forget(self) -> None:
        """In a process forked by the model: its SIGTERM and our connections are none of its business."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._frontends.abandon()
