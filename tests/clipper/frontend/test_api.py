"""The endpoints over real sockets, with the real processor; only the model's process is a stand-in."""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from clipper.catalog import Catalog
from clipper.decisions import Decisions
from clipper.execution.cache import PredictionCache
from clipper.execution.executor import Executor
from clipper.execution.replica import Replica
from clipper.frontend.api import Api
from clipper.frontend.predict import BATCH_STEP, LONG_BODY
from clipper.metrics import Metrics
from clipper.processor import Processor
from clipper.query_ids import QueryIds
from clipper.rpc.wire import InputType, Outcomes
from clipper.types import Application, Model, ModelVersion, Registry
from clipper.updater import Updater
from tests.clipper.frontend.http_harness import Client, Response, Served, run, serving, until
from tests.clipper.house import WALL, VirtualDesk

KINDS = [kind.value for kind in InputType]


def registry() -> Registry:
    """An application of each input type, named after it, with a model of the same name."""
    return Registry(
        applications={
            kind: Application(name=kind, input_type=kind, default_output="-1.0", latency_slo_micros=10_000_000)
            for kind in KINDS
        },
        models={ModelVersion(kind, "1"): Model(name=kind, version="1", input_type=kind) for kind in KINDS},
        current_versions=dict.fromkeys(KINDS, "1"),
        links={kind: (kind,) for kind in KINDS},
    )


class House:
    """Everything of a frontend behind its port and before its containers."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.metrics = Metrics(time.monotonic)
        self.executor = Executor(PredictionCache(1 << 20), 200_000, self.metrics, self)
        ids = QueryIds(lambda then: None, 0)
        self.desk = VirtualDesk()
        decisions = Decisions(lambda: None, lambda: WALL)
        states = self.desk.states
        self.processor = Processor(Catalog(), self.executor, ids, self, self.metrics, states, decisions)
        self.processor.apply(registry())
        updater = Updater(self.processor, decisions, self.desk, lambda: WALL)
        self.api = Api(self.processor, self.metrics, {}, updater)
        self.api.follow_catalog()
        self.models = {kind: StandIn(self, kind) for kind in KINDS}

    def time(self) -> float:
        return time.monotonic()

    def call_at(self, when: float, callback: Callable[[], object]) -> None:
        self.loop.call_at(when, callback)

    def wake(self) -> None:
        self.loop.call_soon(lambda: self.executor.flush(time.monotonic()))

    def ring_at(self, when: float) -> None:
        self.loop.call_at(when, lambda: self.executor.ring(time.monotonic()))


class StandIn:
    """Answers each input with its size in bytes, unless it ``holds`` them back; remembers them."""

    def __init__(self, house: House, kind: str) -> None:
        self.inputs: list[bytes] = []
        self.request_ids: list[str] = []
        self.holds = False
        self._house = house
        self._version = ModelVersion(kind, "1")
        self._replica = Replica(0, kind, self)
        house.executor.replica_joined(self._version, self._replica, time.monotonic())

    def send_batch(
        self, batch_id: int, inputs: list[bytes], budget_micros: int, request_ids: Sequence[str] = ()
    ) -> None:
        self.request_ids += request_ids
        self.inputs += inputs
        if not self.holds:
            self._house.loop.call_soon(self._answer, batch_id, inputs)

    def _answer(self, batch_id: int, inputs: list[bytes]) -> None:
        outcomes = Outcomes([b"%d" % len(each) for each in inputs])
        now = time.monotonic()
        assert self._house.executor.batch_answered(self._version, self._replica, batch_id, outcomes, now)

    def close(self, reason: str) -> None:
        raise AssertionError(reason)


@asynccontextmanager
async def at_home() -> AsyncIterator[tuple[House, Served, Client]]:
    house = House()
    async with serving(house.api.handle) as served:
        yield house, served, await served.connect()


def post(path: str, body: bytes, content_type: str = "application/json", further: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nContent-Type: {content_type}\r\n{further}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def output(response: Response) -> object:
    assert response.status == 200, response
    answer = json.loads(response.body)
    assert answer["default"] is False
    return answer["output"]


def outputs(response: Response) -> list[object]:
    assert response.status == 200, response
    return [each["output"] for each in json.loads(response.body)["batch_predictions"] if not each["default"]]


def cause(response: Response) -> str:
    assert response.status == 400, response
    return json.loads(response.body)["cause"]


def doubles(count: int) -> list[float]:
    return [number / 7 for number in range(count)]


@pytest.mark.parametrize("count", [1, 500, 20_000])
def test_one_input_however_large_and_in_whichever_form(count: int) -> None:
    values = doubles(count)
    data = struct.pack(f"<{count}d", *values)

    async def scenario() -> None:
        async with at_home() as (house, _, client):
            body = json.dumps({"input": values, "version": "1"}).encode()
            assert output(await client.ask(post("/doubles/predict", body))) == 8 * count
            request = post("/doubles/predict?version=1", data, "application/octet-stream")
            assert output(await client.ask(request)) == 8 * count
            assert set(house.models["doubles"].inputs) == {data}

    run(scenario())


@pytest.mark.parametrize("rows", [0, 1, BATCH_STEP, BATCH_STEP + 1, 5000])
def test_many_inputs_are_answered_in_order(rows: int) -> None:
    batch = [b"a" * (1 + row % 50) for row in range(rows)]
    sizes = [len(each) for each in batch]

    async def scenario() -> None:
        async with at_home() as (_, _, client):
            body = json.dumps({"input_batch": [each.decode() for each in batch]}).encode()
            assert outputs(await client.ask(post("/strings/predict", body))) == sizes
            body = struct.pack(f"<{1 + rows}I", rows, *sizes) + b"".join(batch)
            request = post("/strings/predict", body, "application/x-clipper-batch")
            assert outputs(await client.ask(request)) == sizes

    run(scenario())


def test_short_queries_are_answered_while_long_ones_are_read() -> None:
    async def scenario() -> None:
        async with at_home() as (house, served, patient):
            hasty = await served.connect()
            long = json.dumps({"input": doubles(400_000)}).encode()
            await patient.send(post("/doubles/predict", long))
            await until(lambda: bool(house.api._turns._works))
            assert output(await hasty.ask(post("/strings/predict", b'{"input":"abc"}'))) == 3
            assert house.models["doubles"].inputs == [], "the long one is still being read"
            assert output(await patient.response()) == 3_200_000

    run(scenario())


def test_answers_of_one_connection_keep_their_order() -> None:
    async def scenario() -> None:
        async with at_home() as (_, _, client):
            long = json.dumps({"input": doubles(50_000)}).encode()
            short = post("/strings/predict", b'{"input":"abc"}')
            await client.send(post("/doubles/predict", long) + short)
            assert output(await client.response()) == 400_000
            assert output(await client.response()) == 3

    run(scenario())


def test_a_client_that_leaves_while_its_body_is_read_asks_nothing() -> None:
    async def scenario() -> None:
        async with at_home() as (house, served, client):
            await client.send(post("/doubles/predict", json.dumps({"input": doubles(400_000)}).encode()))
            await until(lambda: bool(house.api._turns._works))
            client.reset()
            await until(lambda: not house.api._turns._works)
            other = await served.connect()
            assert output(await other.ask(post("/doubles/predict", b'{"input":[1]}'))) == 8
            assert [len(each) for each in house.models["doubles"].inputs] == [8]

    run(scenario())


@pytest.mark.parametrize("rows", [1, 5, 4000])
def test_a_client_that_leaves_before_its_answer_abandons_its_queries(rows: int) -> None:
    async def scenario() -> None:
        async with at_home() as (house, _, client):
            house.models["doubles"].holds = True
            body = {"input": [1.0]} if rows == 1 else {"input_batch": [[float(row)] for row in range(rows)]}
            await client.send(post("/doubles/predict", json.dumps(body).encode()))
            await until(lambda: house.processor.open_queries() == rows)
            client.reset()
            await until(lambda: house.processor.open_queries() == 0)
            assert house.metrics.app("doubles").cancelled == rows

    run(scenario())


@pytest.mark.parametrize(
    ("content_type", "body", "hint"),
    [
        ("application/json", b'{"input":[1', "truncated"),
        ("application/json", b'{"input":[%b"x"]}' % (b"1," * LONG_BODY), f"got `str` - at `$.input[{LONG_BODY}]`"),
        (
            "application/json",
            b'{"input_batch":[%b[]]}' % (b"[1]," * 9000),
            f"input_batch[{9000}] is empty",
        ),
        ("application/octet-stream", b"1234567", "7 bytes: doubles have 8 bytes each"),
        ("application/octet-stream", bytes(LONG_BODY + 1), f"{LONG_BODY + 1} bytes: doubles have 8 bytes each"),
        ("application/octet-stream;type=floats", bytes(8), "said to be floats, the application takes doubles"),
        ("application/x-clipper-batch", b"\1\0\0\0\7\0\0\0", "input 0 has 7 bytes: doubles have 8 bytes each"),
    ],
)
def test_what_is_refused_is_counted(content_type: str, body: bytes, hint: str) -> None:
    async def scenario() -> None:
        async with at_home() as (house, _, client):
            assert hint in cause(await client.ask(post("/doubles/predict", body, content_type)))
            assert house.metrics.app("doubles").errors == 1
            request = post("/doubles/predict?version=9", bytes(8), "application/octet-stream")
            assert "Requested version: 9 does not exist" in cause(await client.ask(request))
            assert house.metrics.app("doubles").errors == 2
            assert house.models["doubles"].inputs == []

    run(scenario())


def test_any_other_content_type_is_read_as_json() -> None:
    async def scenario() -> None:
        async with at_home() as (_, _, client):
            for content_type in ("application/x-www-form-urlencoded", "text/plain", "a"):
                request = post("/strings/predict", b'{"input":"abc"}', content_type)
                assert output(await client.ask(request)) == 3
            bare = b'POST /strings/predict HTTP/1.1\r\nContent-Length: 15\r\n\r\n{"input":"abc"}'
            assert output(await client.ask(bare)) == 3

    run(scenario())


@pytest.mark.parametrize("query", ["version=9", "foo=1"])
@pytest.mark.parametrize("count", [1, LONG_BODY])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_a_query_string_beside_json_is_refused(query: str, count: int, content_type: str) -> None:
    async def scenario() -> None:
        async with at_home() as (house, _, client):
            body = json.dumps({"input": doubles(count)}).encode()
            request = post(f"/doubles/predict?{query}", body, content_type)
            assert "version and user_id go into the JSON" in cause(await client.ask(request))
            assert house.metrics.app("doubles").errors == 1
            assert output(await client.ask(post("/doubles/predict?", body, content_type))) == 8 * count

    run(scenario())


@pytest.mark.parametrize("count", [1, LONG_BODY])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream"])
def test_a_compressed_body_is_refused_by_its_coding(count: int, content_type: str) -> None:
    async def scenario() -> None:
        async with at_home() as (house, _, client):
            plain = json.dumps({"input": doubles(count)}).encode()
            body = gzip.compress(plain, compresslevel=0)
            response = await client.ask(post("/doubles/predict", body, content_type, "content-encoding: gzip\r\n"))
            refusal = json.loads(response.body)
            assert (response.status, refusal["error"]) == (415, "Unsupported media type")
            assert "the Content-Encoding is gzip: bodies are taken uncompressed" in refusal["cause"]
            assert house.metrics.app("doubles").errors == 1
            assert house.models["doubles"].inputs == []
            request = post("/doubles/predict", plain, "text/json", "Content-Encoding: identity\r\n")
            assert output(await client.ask(request)) == 8 * count

    run(scenario())


@pytest.mark.parametrize("count", [1, LONG_BODY])
def test_of_repeated_members_the_last_counts(count: int) -> None:
    async def scenario() -> None:
        async with at_home() as (_, _, client):
            body = b'{"version":"9","input":[1],"version":"1","input":%b}' % json.dumps(doubles(count)).encode()
            assert output(await client.ask(post("/doubles/predict", body))) == 8 * count

    run(scenario())
