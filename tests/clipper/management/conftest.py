import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from clipper.management.frontend import create_app
from clipper.store.sqlite import SqliteStore

BODY_LIMIT = 10_000

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
def client(store) -> Client:
    return Client(create_app(store, body_limit=BODY_LIMIT))


@pytest.fixture
def post(client) -> Post:
    """Sends a body to an endpoint below /admin."""

    def send(endpoint: str, body: object) -> httpx.Response:
        return client.post(f"/admin/{endpoint}", json=body)

    return send
