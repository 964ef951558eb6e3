"""One HTTP/1.1 connection: requests to the handler, answers back in the order of their requests, time limits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from clipper.errors import ClipperError, InternalError, RequestTimeout
from clipper.frontend.exchange import Exchange, as_clipper_error, log_bug, with_header
from clipper.frontend.host import Host
from clipper.frontend.limits import LINGER
from clipper.frontend.reader import BODY, IDLE, SHUT, RequestReader
from clipper.sockets import DirectWriter

# How much of a read is looked at before the bound on unanswered requests is; of a body, more.
_SLICE_BYTES: Final = 16_384
_BODY_SLICE_BYTES: Final = 65_536


class Connection:
    """The server's side of a client's connection, for the event loop: an ``asyncio.Protocol`` but for its base class.
    Its end: ``_reader`` is shut (no further request), ``_ending`` (the last answer is made), then ``_closing``."""

    _transport: asyncio.Transport
    _write: Callable[[bytes], None]

    def __init__(self, server: Host) -> None:
        self._server = server
        self._limits = server.limits
        self._handler = server.handler
        self._known_heads = server.known_heads
        self._time = server.loop.time
        self._statuses = server.statuses
        self._reader = RequestReader(self, server.limits, self._take)
        self._taken: list[Exchange] | None = None  # by the reader, in a read to be learned from
        self._waiting: deque[Exchange] = deque()  # without an answer, or behind one without; in order of arrival
        self._out: list[bytes] = []  # answers not yet given to the transport
        self._reading = False  # within a read, at whose end _out is written
        self._held = b""  # read, but not looked at while we don't read
        self._paused = False  # we don't read
        self._stalled = False  # the client doesn't read
        self._ending = False
        self._closing = False
        self._last_read = 0.0
        self._since = 0.0  # when a stall or the closing began
        self._surplus = 0  # bytes the client sent beyond its last request

    # -- the transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._write = DirectWriter(self._transport).write
        self._last_read = self._reader.since = self._time()
        refusal = self._server.admit(self)
        if refusal is not None:
            self._refuse(refusal, b"Retry-After: 1\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._abandon_all()
        self._reader.close()
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        self._last_read = now = self._time()
        reader = self._reader
        if reader.phase == SHUT:
            self._discard(len(data))
            return
        if reader.phase != IDLE or len(data) > _SLICE_BYTES:
            self._read_all(data, now)
        else:
            body_at = data.find(b"\r\n\r\n") + 4
            head = self._known_heads.get(data[:body_at])
            if head is None or head.size != len(data) or reader.one_more:
                self._read_all(data, now)
            else:
                reader.since = now
                body = data[body_at:]
                self._serve(Exchange(self, head.method, head.path, head.query_string, head.headers, now, body))
        if len(self._waiting) >= self._limits.pipeline:
            self._pause()

    def _read_all(self, data: bytes, now: float) -> None:
        """Answers that are there before all is read go out together."""
        self._reading = True
        if self._reader.phase == IDLE and len(data) <= _SLICE_BYTES:
            self._read_unknown(data, now)
        else:
            self._read_in_slices(memoryview(data), now)
        self._reading = False
        if self._out or self._ending or self._reader.expects_continue:
            self._flush()

    def _read_in_slices(self, data: memoryview, now: float) -> None:
        """One read may bring thousands of requests: what is too much for now, or for the client, is held back."""
        while data and self._reader.phase != SHUT:
            if self._stalled or len(self._waiting) >= self._limits.pipeline:
                self._held = bytes(data)
                self._pause()
                return
            size = _BODY_SLICE_BYTES if self._reader.phase == BODY else _SLICE_BYTES
            self._read(data[:size], now)
            self._write_out()
            data = data[size:]
        if data:
            self._discard(len(data))

    def _read(self, data: memoryview | bytes, now: float) -> None:
        try:
            self._reader.feed(data, now)
        except Exception as error:
            self._surplus = 1  # there may be more
            self._refuse(as_clipper_error(error))

    def _read_unknown(self, data: bytes, now: float) -> None:
        """Reads what begins with a head that was not seen before, and keeps it in mind if that is of use."""
        self._taken = taken = list[Exchange]()
        self._read(data, now)
        self._taken = None
        if len(taken) == 1 and self._reader.phase == IDLE and not self._reader.http_1_0:
            self._known_heads.learn(data, taken[0])

    def eof_received(self) -> bool:
        """A client that ends its sending has gone: so do all that close, and those who only half close look alike."""
        self._reader.stop()
        self._surplus = 0
        self._abandon_all()
        self._close()
        return True

    def pause_writing(self) -> None:
        self._stalled = True
        self._since = self._time()
        self._pause()

    def resume_writing(self) -> None:
        self._stalled = False
        self._resume()

    def _abandon_all(self) -> None:
        for exchange in self._waiting:
            exchange.abandon()
        self._waiting.clear()

    # -- requests and answers

    def _take(self, exchange: Exchange) -> None:
        if self._taken is not None:
            self._taken.append(exchange)
        self._serve(exchange)

    def _serve(self, exchange: Exchange) -> None:
        self._waiting.append(exchange)
        try:
            self._handler(exchange)
        except Exception:
            log_bug("the handler failed", exchange)
            if exchange.response is None:
                cause = "the query frontend failed on this request: its log holds the traceback"
                exchange.reply(500, InternalError(cause).to_json())

    def answered(self, exchange: Exchange) -> None:
        """Called by an exchange that has got its answer: writes it, and those that waited for it."""
        waiting, reader = self._waiting, self._reader
        if waiting[0] is not exchange:
            return
        special = self._reading or self._paused or exchange.last or reader.http_1_0 or reader.expects_continue
        if len(waiting) == 1 and not special:
            waiting.clear()
            exchange.origin = None
            assert exchange.response is not None
            self._write(exchange.response)
            self._statuses[exchange.status] += 1
            return
        while waiting and (response := waiting[0].response) is not None:
            exchange = waiting.popleft()
            exchange.origin = None
            if exchange.last:
                self._ending = True
                response = with_header(response, b"Connection: close")
            elif reader.http_1_0:
                response = with_header(response, b"Connection: keep-alive")
            self._out.append(response)
            self._statuses[exchange.status] += 1
        if not self._reading:
            self._flush()

    def _write_out(self) -> None:
        out = self._out
        if len(out) == 1:
            self._write(out.pop())
        elif out:
            self._write(b"".join(out))
            out.clear()

    def _flush(self) -> None:
        self._write_out()
        if self._ending:
            self._close()
        elif self._reader.expects_continue and not self._waiting and self._reader.phase == BODY:
            self._reader.expects_continue = False
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._paused:
            self._resume()

    def _refuse(self, error: ClipperError, headers: bytes = b"") -> None:
        """Answers what the client is sending with an error, after the answers due before it, and closes."""
        exchange = Exchange(self, b"", b"", b"", {}, self._last_read)
        exchange.request_id = self._reader.request_id()
        exchange.last = True
        self._reader.stop()
        self._waiting.append(exchange)
        exchange.reply(error.status, error.to_json(), headers=headers)

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._stalled and len(self._waiting) <= self._limits.pipeline // 2:
            self._paused = False
            self._reader.since = self._time()  # the client could not send
            held, self._held = self._held, b""
            if held:
                self.data_received(held)
            if not self._paused:
                self._transport.resume_reading()

    # -- the end

    def begin_drain(self, now: float) -> None:
        """As ``drain``; but a client that was here just now may have sent its next request, which is served."""
        if self._waiting or self._reader.phase != IDLE or now - self._last_read > LINGER:
            self.drain()
        else:
            self._reader.one_more = True

    def drain(self) -> None:
        """Takes no further request but the one under way; closes after the last answer, or at once."""
        self._reader.one_more = True
        if self._reader.phase != IDLE:
            return
        self._reader.stop()
        if self._waiting:
            self._waiting[-1].last = True
            return
        self._ending = True
        if not self._reading:
            self._close()

    def abort(self) -> None:
        self._transport.abort()

    def check_time(self, now: float) -> None:
        """Ends what takes the client too long. Called from time to time, not at the very moment."""
        limits, phase = self._limits, self._reader.phase
        if self._closing or self._stalled:
            unread = self._stalled or self._transport.get_write_buffer_size() > 0
            if now - self._since > limits.content_seconds or (
                not unread and now - self._last_read > limits.header_seconds
            ):
                self.abort()
        elif self._paused or (self._waiting and phase in (IDLE, SHUT)):
            self._reader.since = now  # the wait is not the client's fault
        elif now - self._reader.since > (limits.content_seconds if phase == BODY else limits.header_seconds):
            self._time_out(phase)

    def _time_out(self, phase: int) -> None:
        if phase == IDLE:
            self._reader.stop()
            self._close()
            return
        self._surplus = 1
        limits = self._limits
        part, seconds = ("body", limits.content_seconds) if phase == BODY else ("headers", limits.header_seconds)
        self._refuse(RequestTimeout(f"the {part} did not come within {seconds:g} seconds: send the request again"))

    def _close(self) -> None:
        """Ends the connection once all is written; if the client may be sending, only once it has read that.

        A socket closed with input unread resets the connection, and takes the answer from the client's hands.
        """
        self._closing = True
        self._since = self._last_read = self._time()
        if self._surplus and self._transport.can_write_eof():
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()

    def _discard(self, size: int) -> None:
        self._surplus += size
        if self._surplus > self._limits.linger_bytes:
            self.abort()
