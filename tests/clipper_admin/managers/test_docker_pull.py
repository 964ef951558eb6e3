"""Pulling: what the engine says while it does, how it ends, and that it may not be silent for ever."""

import threading
from types import SimpleNamespace

import pytest

from clipper_admin.managers import docker_pull
from clipper_admin.managers.docker_pull import pull

errors = pytest.importorskip("docker").errors


def client(steps):
    return SimpleNamespace(api=SimpleNamespace(pull=lambda tag, stream, decode: steps()))


def test_it_returns_when_all_is_there():
    heard = []

    def steps():
        for status in ("Pulling", "Downloading", "Downloaded"):
            heard.append(status)
            yield {"status": status}

    pull(client(steps), "image")
    assert heard == ["Pulling", "Downloading", "Downloaded"]


def test_what_goes_wrong_on_the_way_is_told():
    def steps():
        yield {"status": "Downloading"}
        yield {"error": "no space left on device"}

    with pytest.raises(errors.APIError, match="no space left on device"):
        pull(client(steps), "image")


def test_a_refusal_is_passed_on():
    def steps():
        raise errors.NotFound("404", explanation="manifest unknown")

    with pytest.raises(errors.NotFound, match="manifest unknown"):
        pull(client(steps), "image")


def test_silence_has_a_bound(monkeypatch):
    monkeypatch.setattr(docker_pull, "SILENCE_SECONDS", 0.1)
    end = threading.Event()

    def steps():
        yield {"status": "Pulling"}
        end.wait(30)

    try:
        with pytest.raises(errors.APIError, match=r"has said nothing of it for 0\.1 s"):
            pull(client(steps), "image")
    finally:
        end.set()
