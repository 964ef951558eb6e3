"""``GET /metrics`` of a container: one thread, one request at a time, each with a bound on its time and size."""

from __future__ import annotations

import io
import signal
import socket
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Final

from clipper.container.addresses import Address
from clipper.container.log import log
from clipper.container.metrics import CONTENT_TYPE

PATIENCE: Final = 5.0
"""Seconds that a scraper has to ask, and as many to take the answer."""
LONGEST_REQUEST: Final = 16_384

_NOWHERE: Final = ("10.255.255.255", 9)
_WILDCARDS: Final = ("0.0.0.0", "::")


class MetricsServer:
    """Serves what ``render`` returns at ``address`` from now on; port 0 is any free one.

    Raises:
        OSError: the address can't be had.
    """

    def __init__(self, address: Address, render: Callable[[], str]) -> None:
        assert address.port is not None
        self._server = _Server((address.host, address.port), render)
        self._closed = False
        # A daemon: the process does not wait for it. Its signals are the main thread's.
        self._thread = Thread(target=self._serve, name="clipper-metrics", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """The ``host:port`` for others; of a server that is bound to every address, one of this machine's."""
        host, port = self._server.server_address[:2]
        host = str(host)
        if host in _WILDCARDS:
            host = _own_address()
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        """Stops serving; what is being answered has ``PATIENCE`` seconds at most."""
        if self._closed:
            return
        self._closed = True
        self._server.wake()
        self._thread.join(2 * PATIENCE)
        self._server.server_close()

    def abandon(self) -> None:
        """In a forked child: closes the child's copy, or else the port would seem open after our death."""
        self._closed = True
        self._server.server_close()

    def _serve(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while not self._closed:
            self._server.handle_request()


class _Server(HTTPServer):
    allow_reuse_address = True
    timeout = None  # it waits for requests without waking up

    def __init__(self, address: tuple[str, int], render: Callable[[], str]) -> None:
        self.render = render
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Without the look-up of our own name that http.server does, which may ask the network."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def wake(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A scraper that went away, or took too long, is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(PATIENCE)
        self.rfile = io.BufferedReader(io.BytesIO(_read_head(self.connection)))

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, "Not found", "The metrics of this model container are at /metrics")
            return
        body = self.server.render().encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """The log is for events."""


def _read_head(connection: socket.socket) -> bytes:
    """The request line and headers, in ``PATIENCE`` seconds all together; TimeoutError if they take longer."""
    deadline = time.monotonic() + PATIENCE
    head = b""
    while b"\r\n\r\n" not in head and len(head) < LONGEST_REQUEST:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        received = connection.recv(4096)
        if not received:
            break
        head += received
    connection.settimeout(PATIENCE)
    return head


def _own_address() -> str:
    """The address by which this machine reaches others: connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_NOWHERE)
        except OSError:  # no way out
            return socket.gethostname()
        return str(probe.getsockname()[0])


def open_metrics(address: Address, render: Callable[[], str]) -> MetricsServer | None:
    """A server at ``address``; None if it can't be had: a model serves without metrics, too."""
    try:
        server = MetricsServer(address, render)
    except (OSError, UnicodeError) as error:
        log(f"ERROR: no metrics at {address.host}:{address.port} ({error}): correct CLIPPER_METRICS_ADDRESS", "error")
        return None
    log(f"Metrics at http://{server.address}/metrics")
    return server
