"""Long work is shared out in turns of the real event loop."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref

import pytest

from clipper.frontend.exchange import Exchange
from clipper.frontend.turns import Steps, Turns
from tests.clipper.frontend.http_harness import run, until


class Nobody:
    def answered(self, exchange: Exchange) -> None: ...


def request() -> Exchange:
    return Exchange(Nobody(), b"POST", b"/a/predict", b"", {}, 0.0)


def test_works_take_steps_in_turn_and_the_loop_goes_on_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipper.frontend.turns.TURN_SECONDS", 0.0)  # each step is a turn
    done: list[str] = []

    def work(name: str) -> Steps[None]:
        for number in range(3):
            done.append(f"{name}{number}")
            yield

    async def scenario() -> None:
        turns = Turns()
        turns.add(request(), work("a"))
        turns.add(request(), work("b"))
        assert done == []
        while "b2" not in done:
            done.append("-")
            await asyncio.sleep(0)
        assert "".join(done).replace("-", "") == "a0b0a1b1a2b2"
        assert "-" in done[done.index("a0") : done.index("b0")]
        assert done.count("-") >= 6

    run(scenario())


def test_short_steps_share_a_turn() -> None:
    turns_taken: list[int] = []

    def work(turn: list[int]) -> Steps[None]:
        for _ in range(100):
            turns_taken.append(turn[0])
            yield

    async def scenario() -> None:
        turn = [0]
        Turns().add(request(), work(turn))
        while len(turns_taken) < 100:
            turn[0] += 1
            await asyncio.sleep(0)
        assert len(set(turns_taken)) < 100

    run(scenario())


def test_a_client_that_has_gone_costs_no_further_step() -> None:
    steps_taken: list[int] = []

    def work() -> Steps[None]:
        while True:
            steps_taken.append(1)
            yield

    async def scenario() -> None:
        turns, exchange = Turns(), request()
        steps = work()
        gone = weakref.ref(steps)
        turns.add(exchange, steps)
        del steps
        await until(lambda: bool(steps_taken))
        exchange.abandon()
        taken = len(steps_taken)
        await until(lambda: gone() is None)
        assert len(steps_taken) == taken
        gc.collect()

    run(scenario())


def test_a_bug_in_a_step_is_answered_and_logged_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Steps[None]:
        yield
        raise ZeroDivisionError

    def answering(exchange: Exchange) -> Steps[None]:
        yield
        yield
        exchange.reply(200, b"fine")

    async def scenario() -> None:
        turns, first, second = Turns(), request(), request()
        turns.add(first, broken())
        turns.add(second, answering(second))
        await until(lambda: second.response is not None)
        assert first.response is not None
        assert first.status == 500
        assert json.loads(first.response.partition(b"\r\n\r\n")[2])["error"] == "Internal error"
        assert "ZeroDivisionError" in caplog.text

    run(scenario())


def test_work_can_be_added_by_a_step_and_after_all_was_done() -> None:
    done: list[str] = []

    def last() -> Steps[None]:
        done.append("last")
        yield

    def first(turns: Turns) -> Steps[None]:
        turns.add(request(), last())
        done.append("first")
        yield

    async def scenario() -> None:
        turns = Turns()
        for count in (2, 4):
            turns.add(request(), first(turns))
            await until(lambda count=count: len(done) == count)
        assert done == ["first", "last"] * 2

    run(scenario())
