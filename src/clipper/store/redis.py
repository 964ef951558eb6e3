"""The store of clusters on several machines: a Redis that all frontends can reach.

The registry is one hash: its revision, and each mapping as a JSON text. Records may gain fields.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from clipper.errors import StoreConflict
from clipper.store.base import LEASE_SECONDS
from clipper.store.redis_address import RedisAddress
from clipper.store.redis_server import TIMEOUT_SECONDS, RedisServer, Script
from clipper.types import Application, Model, ModelVersion, Registry, Replica

log = logging.getLogger(__name__)

_Links = list[tuple[str, tuple[str, ...]]]
_TABLES: Final[Mapping[str, Any]] = {
    "applications": list[tuple[str, Application]],
    "models": list[tuple[ModelVersion, Model]],
    "current_versions": list[tuple[str, str]],
    "links": _Links,
    "shadows": _Links,
}
"""Pairs in the order of their registration, by the fields of Registry."""


class _Report(msgspec.Struct, frozen=True, array_like=True):
    revision: int
    replicas: list[Replica]
    metrics_address: str = ""


_READ: Final = Script("return call('HMGET', P .. 'registry', unpack(ARGV, 2))")
_COMMIT: Final = Script("""
local revision = call('HGET', P .. 'registry', 'revision') or '0'
if revision ~= ARGV[2] then return revision end
for i = 3, #ARGV, 2 do call('HSET', P .. 'registry', ARGV[i], ARGV[i + 1]) end
call('HINCRBY', P .. 'registry', 'revision', 1)
return false
""")
_RESERVE: Final = Script("""
local first = math.max(tonumber(call('GET', P .. 'query-ids') or 0), tonumber(ARGV[2]))
call('SET', P .. 'query-ids', whole(first + tonumber(ARGV[3])))
return whole(first)
""")
_NOW: Final = """
local now = tonumber(ARGV[2])
if not now then
  local time = call('TIME')
  now = time[1] + time[2] / 1000000
end
"""
_REPORT: Final = Script(
    _NOW
    + """
for _, gone in ipairs(call('ZRANGEBYSCORE', P .. 'frontends', '-inf', now)) do
  call('ZREM', P .. 'frontends', gone)
  call('HDEL', P .. 'reports', gone)
end
call('ZADD', P .. 'frontends', now + tonumber(ARGV[3]), ARGV[4])
call('HSET', P .. 'reports', ARGV[4], ARGV[5])
for _, key in ipairs({'frontends', 'reports'}) do call('PEXPIRE', P .. key, whole(ARGV[3] * 1000)) end
"""
)
_REPORTS: Final = Script(
    _NOW
    + """
local found = {}
for _, name in ipairs(call('ZRANGEBYSCORE', P .. 'frontends', '(' .. string.format('%.6f', now), '+inf')) do
  found[#found + 1] = name
  found[#found + 1] = call('HGET', P .. 'reports', name)
end
return found
"""
)


class RedisStore:
    """``clipper.store.base.Store`` on a Redis. Warns, in the log, if that Redis forgets.

    ``timeout`` bounds, in seconds, every wait for it; ``clock`` tells the seconds since the epoch by which reports
    grow old, and is Redis's own if it is not given: those of the frontends' machines need not agree.
    """

    def __init__(
        self, address: RedisAddress, *, timeout: float = TIMEOUT_SECONDS, clock: Callable[[], float] | None = None
    ) -> None:
        self._server = RedisServer(address, timeout)
        self._clock = clock
        self._read_revision = -1
        self._read_connection = 0
        self._ids_end = 0
        for each in warnings_about(self._server):
            log.warning("%s", each)

    def read(self) -> Registry:
        with self._server.explained():
            revision, *texts = self._server.run(_READ, "revision", *_TABLES)
            fields = {
                name: dict(msgspec.json.decode(text, type=kind)) if text else {}
                for (name, kind), text in zip(_TABLES.items(), texts, strict=True)
            }
        self._read_revision, self._read_connection = int(revision or 0), self._server.connections
        return Registry(revision=self._read_revision, **fields)

    def commit(self, before: Registry, after: Registry) -> None:
        changes: list[str | bytes] = []
        for name in _TABLES:
            table = getattr(after, name)
            if table != getattr(before, name):
                changes += name, msgspec.json.encode(list(table.items()))
        revision = self._server.run(_COMMIT, before.revision, *changes)
        if revision is not None:
            raise StoreConflict(
                f"revision {before.revision} of the registry is {int(revision)} by now: read it, try again"
            )

    def changed(self) -> bool:
        revision = int(self._server.ask("HGET", "registry", "revision") or 0)
        return revision != self._read_revision or self._server.connections != self._read_connection

    def reserve_query_ids(self, count: int) -> int:
        if count < 1:
            raise ValueError(f"can't reserve {count} query ids: ask for at least one")
        # What was given here is not given again, even if Redis has lost its last second in a power cut.
        first = int(self._server.run(_RESERVE, self._ids_end, count))
        self._ids_end = first + count
        return first

    def report(self, frontend: str, revision: int, replicas: Sequence[Replica], metrics_address: str = "") -> None:
        report = msgspec.json.encode(_Report(revision, list(replicas), metrics_address))
        self._server.run(_REPORT, self._now(), LEASE_SECONDS, frontend, report)

    def frontends(self) -> dict[str, int]:
        return {name: report.revision for name, report in sorted(self._reports().items())}

    def metrics_addresses(self) -> dict[str, str]:
        found = sorted(self._reports().items())
        return {name: report.metrics_address for name, report in found if report.metrics_address}

    def replicas(self) -> list[Replica]:
        found = [each for report in self._reports().values() for each in report.replicas]
        return sorted(found, key=lambda each: (each.model_name, each.model_version, each.replica_id, each.frontend))

    def close(self) -> None:
        self._server.close()

    def _reports(self) -> dict[str, _Report]:
        with self._server.explained():
            found = self._server.run(_REPORTS, self._now())
            texts = zip(found[::2], found[1::2], strict=True)
            return {name.decode(): msgspec.json.decode(text, type=_Report) for name, text in texts}

    def _now(self) -> float | str:
        return "" if self._clock is None else self._clock()


def warnings_about(server: RedisServer) -> list[str]:
    """How the Redis may lose what it has acknowledged, and what to do about it."""
    persistence, memory = server.info("persistence"), server.info("memory")
    shown, found = f"the Redis {server.address.shown}", []
    if persistence is None or memory is None:
        return [f"{shown} does not tell how it is configured: see that it has appendonly yes, and evicts nothing"]
    if persistence.get("aof_enabled") != "1":
        found.append(f"{shown} has no append-only file, and forgets what it has acknowledged: set appendonly yes")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy not in ("noeviction", "") and memory.get("maxmemory") != "0":
        found.append(f"{shown} throws away data when its memory is full ({policy}): set maxmemory-policy noeviction")
    return found
