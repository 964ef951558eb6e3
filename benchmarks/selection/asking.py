"""Queries and their feedback over HTTP, several under way at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.client import Answer, request, target

IN_FLIGHT = 4
ANSWER_SECONDS = 30.0
JSON = "application/json"


@dataclass(slots=True)
class Answers:
    """By query: what was answered, and the losses by ``name:version``. ``defaults``: how often it was the default."""

    outputs: list[Any]
    losses: list[dict[str, float]]
    defaults: int = 0


def ask(url: str, inputs: Sequence[Sequence[float]], labels: Sequence[int], in_flight: int = IN_FLIGHT) -> Answers:
    """Asks each input in turn, and gives the label as soon as the answer is there.

    Raises:
        ValueError: a query or its feedback was answered with another status than 200, or was not accepted.
        OSError, TimeoutError: it was not answered.
    """
    return asyncio.run(_ask(url, inputs, labels, in_flight))


async def _ask(url: str, inputs: Sequence[Sequence[float]], labels: Sequence[int], in_flight: int) -> Answers:
    answers = Answers([None] * len(inputs), [{}] * len(inputs))
    turns = iter(enumerate(zip(inputs, labels, strict=True)))
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(_one_client(url, turns, answers))
    return answers


async def _one_client(url: str, turns: Iterator[tuple[int, tuple[Sequence[float], int]]], answers: Answers) -> None:
    """One connection: the next query goes out when the feedback to the last is acknowledged."""
    ask_at, tell_at = target(f"{url}/predict"), target(f"{url}/update")
    reader, writer = await asyncio.open_connection(ask_at.host, ask_at.port)
    try:
        for number, (values, label) in turns:
            writer.write(request(ask_at, json.dumps({"input": values}).encode(), JSON))
            told = await _answer(reader)
            answers.outputs[number] = told["output"]
            answers.defaults += told["default"]
            feedback = {"label": label, "query_id": told["query_id"]}
            writer.write(request(tell_at, json.dumps(feedback).encode(), JSON))
            accepted = await _answer(reader)
            if not accepted["accepted"]:
                raise ValueError(f"feedback was not accepted: {accepted}")
            answers.losses[number] = accepted["losses"]
    finally:
        writer.close()
        await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> dict[str, Any]:
    answer = Answer()
    while data := await asyncio.wait_for(reader.read(65_536), ANSWER_SECONDS):
        if answer.feed(data):
            if answer.status != 200:
                raise ValueError(f"status {answer.status}: {answer.body!r}")
            told: dict[str, Any] = json.loads(answer.body)
            return told
    raise ConnectionResetError("the server closed the connection")
