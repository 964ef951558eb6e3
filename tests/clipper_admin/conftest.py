import json

import pytest
from typer.testing import CliRunner

from clipper_admin import log_lines as log_lines_of
from clipper_admin.cli import app
from clipper_admin.connection import ClipperConnection
from clipper_admin.managers.supervisor import Process
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


@pytest.fixture
def clipper(manager, monkeypatch, tmp_path):
    """Runs ``clipper ...``; checks the exit code; the result."""
    monkeypatch.setattr("clipper_admin.cli_terminal.LocalContainerManager", lambda *args, **options: manager)
    monkeypatch.chdir(tmp_path)
    manager.home = tmp_path
    (tmp_path / "clusters" / "default-cluster").mkdir(parents=True)
    manager.process_table = lambda: [Process("query-frontend-0", "RUNNING", 7, 1, 60)]
    manager.programs = lambda: ["management-frontend", "query-frontend-0"]
    manager.exists = (tmp_path / "clusters" / "default-cluster").exists
    manager.running_clusters = list
    manager.place = f"home: {tmp_path}"

    def log_lines(program, count, follow):
        paths = {each: tmp_path / f"{each}.log" for each in ([program] if program else manager.programs())}
        return (log_lines_of.follow if follow else log_lines_of.last_lines)(paths, count)

    manager.log_lines = log_lines

    def run(*args, exit_code=0, input=None):  # noqa: A002
        result = CliRunner().invoke(app, args, input=input, catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def answered(clipper):
    """The JSON that ``clipper ... --output json`` prints, which is all there is on standard output."""
    return lambda *args, **options: json.loads(clipper(*args, "--output", "json", **options).stdout)
