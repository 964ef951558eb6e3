"""Closed-loop load: wrk if it is installed, else a generator of our own (slower, so that it measures itself too)."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.client import Answer, Target, request, target

BODY = json.dumps({"input": [0.1, 1.2, 2.3, 3.4, 4.5, 5.6, 6.7, 7.8, 8.9, 9.1]}).encode()
ANSWER_SECONDS = 30
_WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "{content_type}"
wrk.body = io.open("{body}", "rb"):read("*a")
local thread_list = {{}}
function setup(thread) table.insert(thread_list, thread); thread:set("not_ok", 0) end
function response(status, headers, body)
  if status ~= 200 or string.find(body, '"default":true', 1, true) then not_ok = not_ok + 1 end
end
function done(summary, latency, requests)
  local total = 0
  for _, thread in ipairs(thread_list) do total = total + thread:get("not_ok") end
  local errors = summary.errors
  io.write(string.format("RESULT %.0f %.0f %.0f %.0f %.0f %.0f %.0f\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), total,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What a run of load found: rates in requests a second, latencies in milliseconds.

    ``not_ok``: answers that were a default output or had another status than 200. ``broken``: connections refused or
    cut, and answers that took too long.
    """

    rate: float
    p50: float
    p99: float
    p999: float
    not_ok: int
    broken: int
    requests: int

    @property
    def good_rate(self) -> float:
        """Answers a second that were predictions."""
        return self.rate * (1 - self.not_ok / self.requests) if self.requests else 0.0


def generator_name() -> str:
    return "wrk" if shutil.which("wrk") else "asyncio"


def measure(
    url: str, connections: int, seconds: float, body: bytes = BODY, content_type: str = "application/json"
) -> Load:
    """POSTs ``body`` over ``connections`` for ``seconds``, each next request after the answer to the last.

    Raises:
        RuntimeError: nothing could be measured, with the generator's last words.
    """
    if shutil.which("wrk"):
        return _wrk(url, connections, seconds, body, content_type)
    return uvloop.run(_generate(target(url), connections, seconds, request(target(url), body, content_type)))


def _wrk(url: str, connections: int, seconds: float, body: bytes, content_type: str) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "body").write_bytes(body)
        script = Path(folder) / "post.lua"
        script.write_text(_WRK_SCRIPT.format(body=f"{folder}/body", content_type=content_type))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", f"--timeout={ANSWER_SECONDS}s"]
        command += ["-s", str(script), url]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + ANSWER_SECONDS + 30)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", ran.stdout)
    if found is None:
        raise RuntimeError(f"wrk found nothing to measure at {url}:\n{ran.stdout[-1000:]}{ran.stderr[-1000:]}")
    requests, micros, p50, p99, p999, not_ok, broken = map(int, found.groups())
    return Load(requests / micros * 1e6, p50 / 1e3, p99 / 1e3, p999 / 1e3, not_ok, broken, requests)


async def _generate(to: Target, connections: int, seconds: float, content: bytes) -> Load:
    started = time.monotonic()
    clients = [_one_client(to, content, started + seconds) for _ in range(connections)]
    done = await asyncio.gather(*clients)
    elapsed = time.monotonic() - started
    latencies = sorted(latency for mine, _, _ in done for latency in mine)
    if not latencies:
        raise RuntimeError(f"no answer came from {to.host}:{to.port}{to.path}")

    def at(share: float) -> float:
        return latencies[min(len(latencies) - 1, int(share * len(latencies)))] * 1e3

    not_ok, broken = sum(bad for _, bad, _ in done), sum(cut for _, _, cut in done)
    return Load(len(latencies) / elapsed, at(0.5), at(0.99), at(0.999), not_ok, broken, len(latencies))


async def _one_client(to: Target, content: bytes, end: float) -> tuple[list[float], int, int]:
    """Latencies, how many answers were not good ones, and 1 if the connection broke (its last request is lost)."""
    latencies: list[float] = []
    not_ok = 0
    try:
        reader, writer = await asyncio.open_connection(to.host, to.port)
        while time.monotonic() < end:
            began = time.monotonic()
            writer.write(content)
            answer = await asyncio.wait_for(_read(reader), ANSWER_SECONDS)
            latencies.append(time.monotonic() - began)
            not_ok += answer.status != 200 or answer.is_default
        writer.close()
        await writer.wait_closed()
    except (OSError, TimeoutError, ValueError):
        return latencies, not_ok, 1
    return latencies, not_ok, 0


async def _read(reader: asyncio.StreamReader) -> Answer:
    answer = Answer()
    while data := await reader.read(262_144):
        if answer.feed(data):
            return answer
    raise ConnectionResetError("the server closed the connection")
