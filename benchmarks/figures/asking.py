"""Open-loop queries whose answers are kept: for figures that look at what was answered, not only at how fast."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.client import Answer, Target, request, target

ANSWER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to body ``number``, ``seconds`` after that was to be sent."""

    number: int
    seconds: float
    answer: dict[str, Any]


def ask(url: str, bodies: Sequence[bytes], rate: float, seconds: float, seed: int = 0) -> list[Reply]:
    """POSTs the bodies in turn at Poisson times, ``rate`` a second; what connections it needs it opens.

    Raises:
        OSError, TimeoutError, ValueError: a query was not answered, or with another status than 200.
    """
    return asyncio.run(_Asking(target(url), bodies).run(rate, seconds, random.Random(seed)))


class _Asking:
    def __init__(self, to: Target, bodies: Sequence[bytes]) -> None:
        self._target = to
        self._requests = [request(to, body, "application/json") for body in bodies]
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self, rate: float, seconds: float, rng: random.Random) -> list[Reply]:
        loop = asyncio.get_running_loop()
        started, due, asked = loop.time(), 0.0, []
        while (due := due + rng.expovariate(rate)) < seconds:
            await asyncio.sleep(started + due - loop.time())
            asked.append(loop.create_task(self._one(len(asked) % len(self._requests), started + due)))
        replies = await asyncio.gather(*asked)
        for _, writer in self._idle:
            writer.close()
        return replies

    async def _one(self, number: int, due: float) -> Reply:
        """The connection idle for the shortest time is taken: few are needed."""
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection(self._target.host, self._target.port)
        writer.write(self._requests[number])
        answer = await asyncio.wait_for(_read(reader), ANSWER_SECONDS)
        reply = Reply(number, asyncio.get_running_loop().time() - due, json.loads(answer.body))
        self._idle.append((reader, writer))
        if answer.status != 200:
            raise ValueError(f"status {answer.status}: {answer.body!r}")
        return reply


async def _read(reader: asyncio.StreamReader) -> Answer:
    answer = Answer()
    while data := await reader.read(65_536):
        if answer.feed(data):
            return answer
    raise ConnectionResetError("the server closed the connection")
