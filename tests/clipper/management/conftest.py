import asyncio
import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from clipper.management.frontend import create_app
from clipper.store.sqlite import SqliteStore
from clipper.store.sqlite_journal import SqliteJournal

BODY_LIMIT = 10_000
SECONDS = 30

Post = Callable[[str, object], httpx.Response]


@dataclass(frozen=True)
class Client:
    """Sends requests to an application, each in an event loop of its own."""

    app: FastAPI
    base_url: str = "http://testserver"

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.base_url) as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


@pytest.fixture
def store(tmp_path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def journal(tmp_path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal(tmp_path / "store.sqlite.journal")
    yield opened
    opened.close()


@pytest.fixture
def client(store, journal) -> Client:
    return Client(create_app(store, journal, body_limit=BODY_LIMIT))


@pytest.fixture
def post(client) -> Post:
    """Sends a body to an endpoint below /admin."""

    def send(endpoint: str, body: object) -> httpx.Response:
        return client.post(f"/admin/{endpoint}", json=body)

    return send


@contextmanager
def started(*arguments, **environment):
    command = [sys.executable, "-m", "clipper.management.frontend", *map(str, arguments)]
    variables = {**os.environ, **environment}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables) as process:
        try:
            yield process
        finally:
            process.kill()


def read_line(process):
    """The next line of the log, within SECONDS; line by line, so that none waits in a buffer."""
    line = b""
    deadline = time.monotonic() + SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            assert selector.select(deadline - time.monotonic()), f"no log line within {SECONDS} s after {line!r}"
            byte = os.read(process.stderr.fileno(), 1)
            assert byte, f"the process ended after {line!r}"
            line += byte
    return line.decode()


def wait_for_address(process):
    return re.search(r"listening on (http://127\.0\.0\.1:\d+) with the store", read_line(process))[1]
