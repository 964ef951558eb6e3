"""Closed-loop load of many bodies, one after the other: wrk if it is installed, else a (slower) generator of ours."""

from __future__ import annotations

import asyncio
import itertools
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.client import Answer, Target, request, target

CONNECTIONS = 32
ANSWER_SECONDS = 30
_SCRIPT = """
local bodies, next_body = {{}}, 0
good = 0
for line in io.lines("{bodies}") do bodies[#bodies + 1] = line end
local threads = {{}}
function setup(thread) table.insert(threads, thread); thread:set("good", 0) end
function request()
  next_body = next_body % #bodies + 1
  return wrk.format("POST", nil, {{["Content-Type"] = "application/json"}}, bodies[next_body])
end
function response(status, headers, body)
  if status == 200 and string.find(body, '{sign}', 1, true) then good = good + 1 end
end
function done(summary, latency, requests)
  local errors = summary.errors
  local total = 0
  for _, thread in ipairs(threads) do total = total + thread:get("good") end
  io.write(string.format("RESULT %.0f %.0f %.0f %.0f\\n", summary.requests, summary.duration, total,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Pressed:
    """``rate``: good answers a second. ``bad``: answers without the sign of a good one, or that never came."""

    rate: float
    requests: int
    bad: int


def press(url: str, bodies: Sequence[bytes], seconds: float, sign: str, connections: int = CONNECTIONS) -> Pressed:
    """POSTs the JSON bodies in turn, each of which is one line; ``sign`` is in good answers.

    Raises:
        RuntimeError: nothing could be measured, with the generator's last words.
    """
    if shutil.which("wrk"):
        return _wrk(url, bodies, seconds, sign, connections)
    return uvloop.run(_generate(target(url), bodies, seconds, sign.encode(), connections))


def _wrk(url: str, bodies: Sequence[bytes], seconds: float, sign: str, connections: int) -> Pressed:
    with tempfile.TemporaryDirectory() as folder:
        lines, script = Path(folder) / "bodies", Path(folder) / "post.lua"
        lines.write_bytes(b"\n".join(bodies) + b"\n")
        script.write_text(_SCRIPT.format(bodies=lines, sign=sign))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", f"--timeout={ANSWER_SECONDS}s"]
        ran = subprocess.run(
            [*command, "-s", str(script), url], capture_output=True, text=True, timeout=seconds + ANSWER_SECONDS + 30
        )
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+)", ran.stdout)
    if found is None:
        raise RuntimeError(f"wrk found nothing to measure at {url}:\n{ran.stdout[-1000:]}{ran.stderr[-1000:]}")
    requests, micros, good, broken = map(int, found.groups())
    return Pressed(good / micros * 1e6, requests, requests - good + broken)


async def _generate(to: Target, bodies: Sequence[bytes], seconds: float, sign: bytes, connections: int) -> Pressed:
    contents = itertools.cycle([request(to, body, "application/json") for body in bodies])
    began = time.monotonic()
    found = await asyncio.gather(*(_one_client(to, contents, began + seconds, sign) for _ in range(connections)))
    requests, bad = (sum(each) for each in zip(*found, strict=True))
    if not requests:
        raise RuntimeError(f"no answer came from {to.host}:{to.port}{to.path}")
    return Pressed(max(requests - bad, 0) / (time.monotonic() - began), requests, bad)


async def _one_client(to: Target, contents: Iterator[bytes], end: float, sign: bytes) -> tuple[int, int]:
    """How many answers came, and how many were bad ones; a connection that breaks is one of these."""
    requests = bad = 0
    reader, writer = await asyncio.open_connection(to.host, to.port)
    try:
        while time.monotonic() < end:
            writer.write(next(contents))
            answer = await asyncio.wait_for(_read(reader), ANSWER_SECONDS)
            requests += 1
            bad += answer.status != 200 or sign not in answer.body
    except (OSError, TimeoutError, ValueError):
        bad += 1
    finally:
        writer.close()
    return requests, bad


async def _read(reader: asyncio.StreamReader) -> Answer:
    answer = Answer()
    while data := await reader.read(262_144):
        if answer.feed(data):
            return answer
    raise ConnectionResetError("the server closed the connection")
