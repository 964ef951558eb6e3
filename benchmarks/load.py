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

import uvloop

BODY = json.dumps({"input": [0.1, 1.2, 2.3, 3.4, 4.5, 5.6, 6.7, 7.8, 8.9, 9.1]})
_WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{body}'
local thread_list = {{}}
function setup(thread) table.insert(thread_list, thread); thread:set("defaults", 0) end
function response(status, headers, body)
  if status ~= 200 or string.find(body, '"default":true', 1, true) then defaults = defaults + 1 end
end
function done(summary, latency, requests)
  local total = 0
  for _, thread in ipairs(thread_list) do total = total + thread:get("defaults") end
  io.write(string.format("RESULT %d %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), total,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What a run of load found: rates in requests a second, latencies in milliseconds."""

    rate: float
    p50: float
    p99: float
    p999: float
    not_ok: int
    broken: int


def generator_name() -> str:
    return "wrk" if shutil.which("wrk") else "asyncio"


def measure(url: str, connections: int, seconds: float) -> Load:
    """Sends ``BODY`` over ``connections`` for ``seconds``, each next request after the answer to the last."""
    if shutil.which("wrk"):
        return _wrk(url, connections, seconds)
    return uvloop.run(_generate(url, connections, seconds))


def _wrk(url: str, connections: int, seconds: float) -> Load:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_WRK_SCRIPT.format(body=BODY))
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", script.name, url]
        printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", printed)
    if found is None:
        raise RuntimeError(f"wrk printed no result:\n{printed}")
    requests, micros, p50, p99, p999, not_ok, broken = map(int, found.groups())
    return Load(requests / micros * 1e6, p50 / 1e3, p99 / 1e3, p999 / 1e3, not_ok, broken)


async def _generate(url: str, connections: int, seconds: float) -> Load:
    host, _, rest = url.removeprefix("http://").partition(":")
    port, _, path = rest.partition("/")
    request = (
        f"POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n{BODY}"
    ).encode()
    end = time.monotonic() + seconds
    started = time.monotonic()
    done = await asyncio.gather(*(_one_client(host, int(port), request, end) for _ in range(connections)))
    elapsed = time.monotonic() - started
    latencies = sorted(latency for mine, _ in done for latency in mine)

    def at(share: float) -> float:
        return latencies[min(len(latencies) - 1, int(share * len(latencies)))] * 1e3

    not_ok = sum(bad for _, bad in done)
    return Load(len(latencies) / elapsed, at(0.5), at(0.99), at(0.999), not_ok, 0)


async def _one_client(host: str, port: int, request: bytes, end: float) -> tuple[list[float], int]:
    reader, writer = await asyncio.open_connection(host, port)
    latencies, not_ok = [], 0
    while time.monotonic() < end:
        began = time.monotonic()
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        length = re.search(rb"[Cc]ontent-[Ll]ength: (\d+)", head)
        body = await reader.readexactly(int(length.group(1)) if length else 0)
        latencies.append(time.monotonic() - began)
        not_ok += b" 200 " not in head[:16] or b'"default":true' in body
    writer.close()
    await writer.wait_closed()
    return latencies, not_ok
