"""What is said of a container that ended: ``tests/docker/test_leftovers.py`` has real ones."""

import re
from types import SimpleNamespace

import pytest

from clipper_admin import ClipperException
from clipper_admin.managers.docker_parts import MODEL, QUERY_FRONTEND, REDIS_PORT
from clipper_admin.managers.docker_waiting import _ending, _epoch, wait_for


class Ended:
    """A container that the engine has started again ``restarts`` times; ``events``: those that it still has."""

    name = id = "sums_1-1"

    def __init__(self, status, code, events=(), restarts=1, oom=False):
        self.asked = []
        state = {"Status": status, "ExitCode": code, "OOMKilled": oom}
        self.attrs = {"State": state, "RestartCount": restarts, "Created": "2026-01-02T03:04:05.678901234Z"}
        self.client = SimpleNamespace(api=self)
        self._events = events

    def reload(self):
        """As it was."""

    def events(self, since, filters, **options):
        self.asked.append(since)
        return [{"Actor": {"Attributes": each}} for kind, each in self._events if kind == filters["event"]]


def died(code):
    return "die", {"exitCode": code}


@pytest.mark.parametrize(
    ("container", "ending"),
    [
        (Ended("running", 0, restarts=0), ""),
        (Ended("running", 0, [died("3"), died("1")]), "ended with exit status 1"),
        (Ended("running", 0), "ended with exit status unknown"),
        (Ended("restarting", 1), "ended with exit status 1"),
        (Ended("exited", 0, restarts=0), "ended with exit status 0"),
        (Ended("running", 0, [died("137")]), "was killed (SIGKILL), perhaps because memory ran out"),
        (Ended("running", 0, [died("137"), ("oom", {})]), "ran out of memory (SIGKILL)"),
        (Ended("exited", 137, oom=True), "ran out of memory (SIGKILL)"),
    ],
)
def test_how_it_ended(container, ending):
    assert _ending(container) == ending


def test_events_are_asked_for_since_whole_seconds():
    container = Ended("restarting", 1)
    _ending(container)
    assert set(container.asked) == {1767323045}


@pytest.mark.parametrize("zone", ["Z", ".1Z", ".123456789Z"])
def test_the_engine_has_seconds_of_any_precision(zone):
    assert _epoch(f"2026-01-02T03:04:05{zone}") == 1767323045


class Running(Ended):
    """One that runs, with a log; ``health``: what its own check says."""

    def __init__(self, name, label, health=None):
        super().__init__("running", 0, restarts=0)
        self.name, self.labels = name, {label: ""}
        self.attrs["Config"] = {"Entrypoint": ["python", "/opt/clipper/clipper-container.pyz"], "Cmd": None}
        if health:
            self.attrs["State"]["Health"] = {"Status": health}

    def logs(self, tail):
        return f"what {self.name} wrote".encode()

    def kill(self, signal):
        """It writes nothing more."""


def told(*containers):
    with pytest.raises(ClipperException) as raised:
        wait_for(containers, lambda: "no answer", 0.0, "Cluster c")
    return raised.value.msg


def late(*containers):
    return re.findall("what (.*) wrote", told(*containers))


def test_the_logs_of_those_that_are_well_are_not_shown():
    redis, well = Running("redis", REDIS_PORT), Running("query", QUERY_FRONTEND, "healthy")
    starting = Running("other", QUERY_FRONTEND, "starting")
    assert late(redis, well) == []
    assert late(redis, well, starting) == ["other"]
    assert late(redis) == ["redis"]


def test_the_log_of_a_model_that_is_late_is_shown_whatever_its_check_says(monkeypatch):
    monkeypatch.setattr("clipper_admin.managers.docker_waiting.STACK_SECONDS", 0.0)
    assert late(Running("model", MODEL, "healthy")) == ["model"]


def test_a_program_that_is_none_of_clippers_is_doubted(monkeypatch):
    monkeypatch.setattr("clipper_admin.managers.docker_waiting.STACK_SECONDS", 0.0)
    ours, theirs = Running("model", MODEL), Running("model", MODEL)
    theirs.attrs["Config"] = {"Entrypoint": None, "Cmd": ["redis-server"]}
    assert "redis-server" not in told(ours)
    assert "Its image starts 'redis-server', which is not Clipper's: is that a model container" in told(theirs)
