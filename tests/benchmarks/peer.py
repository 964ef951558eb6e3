"""A server that the tests of the load generators ask, with the behaviour they are about."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"default":false}'
DEFAULT = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"default":true}'
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"

Reply = Callable[[int], bytes | None]
"""The number of a request, in order of arrival, to what is sent back; None closes the connection instead."""


class Requests:
    """Counts requests over all connections."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._lock = threading.Lock()
        self.count = 0

    def serve(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):
            while read_request(connection):
                with self._lock:
                    number, self.count = self.count, self.count + 1
                answer = self._reply(number)
                if answer is None:
                    return
                connection.sendall(answer)


def read_request(connection: socket.socket) -> bool:
    """Reads one request; False at the end of the connection."""
    received, size = b"", float("inf")
    while len(received) < size:
        data = connection.recv(65_536)
        if not data:
            return False
        received += data
        end, length = received.find(b"\r\n\r\n"), re.search(rb"\r\nContent-Length: (\d+)", received)
        if end >= 0 and length:
            size = end + 4 + int(length[1])
    return True


@contextmanager
def answering(reply: Reply) -> Iterator[tuple[str, Requests]]:
    """The server's URL, and what it has seen."""
    requests = Requests(reply)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        threading.Thread(target=_accept, args=(listening, requests), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/", requests
        finally:
            listening.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept(), which would keep the port open


def _accept(listening: socket.socket, requests: Requests) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=requests.serve, args=(connection,), daemon=True).start()
