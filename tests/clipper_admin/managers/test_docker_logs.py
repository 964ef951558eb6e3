from types import SimpleNamespace

import pytest

from clipper_admin.managers import docker_logs


@pytest.mark.parametrize(("log", "lines"), [("a\u2028b\rc\r\nd\n", ["a\u2028b\rc", "d"]), ("a", ["a"]), ("", [])])
def test_lines_end_where_the_container_ended_them(log, lines):
    """An object of JSON may hold other ends of lines."""
    container = SimpleNamespace(name="c", logs=lambda tail: log.encode())
    assert list(docker_logs._last([("c", container)], 10)) == [("c", line) for line in lines]
