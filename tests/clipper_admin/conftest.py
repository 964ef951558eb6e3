import pytest

from clipper_admin.connection import ClipperConnection
from tests.clipper_admin.cluster import RecordingManager, Server


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def manager(server):
    return RecordingManager(server.addr)


@pytest.fixture
def connection(manager):
    connection = ClipperConnection(manager)
    connection.connect()
    yield connection
    connection.stop_all()


@pytest.fixture
def messages(caplog):
    """The log lines of clipper_admin so far, as a function."""
    caplog.set_level("INFO", logger="clipper_admin")
    return lambda: [record.getMessage() for record in caplog.records if record.name.startswith("clipper_admin")]
