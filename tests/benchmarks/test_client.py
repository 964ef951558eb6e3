"""What the load generators know of HTTP."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.client import Answer, Target, request, target

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n{"output": 1.5, "default": false}'[:-2]
CHUNKED = b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


def test_a_url_is_taken_apart() -> None:
    assert target("http://127.0.0.1:1337/app/predict?a=b") == Target("127.0.0.1", 1337, "/app/predict?a=b")
    assert target("http://localhost") == Target("localhost", 80, "/")


def test_other_schemes_are_refused() -> None:
    with pytest.raises(ValueError, match="plain HTTP"):
        target("https://127.0.0.1/")


def test_a_request_says_how_long_its_body_is() -> None:
    content = request(Target("h", 1, "/p"), b"\0\xff", "application/octet-stream")
    assert content.startswith(b"POST /p HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/octet-stream\r\n")
    assert content.endswith(b"\r\nContent-Length: 2\r\n\r\n\0\xff")


@pytest.mark.parametrize(("content", "status"), [(ANSWER, 200), (CHUNKED, 503)])
@given(cuts=st.lists(st.integers(1, 70), max_size=5))
def test_an_answer_is_whole_with_its_last_byte(content: bytes, status: int, cuts: list[int]) -> None:
    answer = Answer()
    for _ in range(2):  # a connection has many
        edges = sorted({0, *(cut for cut in cuts if cut < len(content)), len(content)})
        parts = [content[a:b] for a, b in pairwise(edges)]
        assert [answer.feed(part) for part in parts] == [False] * (len(parts) - 1) + [True]
        assert answer.status == status
        assert answer.body == content.partition(b"\r\n\r\n")[2]


def test_defaults_are_seen() -> None:
    answer = Answer()
    assert answer.feed(b'HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n{"output":-1,"default":true   }')
    assert answer.is_default


def test_an_answer_of_unknown_length_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown length"):
        Answer().feed(b"HTTP/1.1 200 OK\r\n\r\nwhatever")
