"""Which names of requests are taken."""

import pytest

from clipper.request_ids import LONGEST, header_line, read_request_id


@pytest.mark.parametrize("value", [b"7", b"a/b:c=d+e", b"x" * LONGEST, b'5f9c-"quoted"-{}'])
def test_visible_ascii_is_taken(value):
    assert read_request_id(value).encode() == value
    assert header_line(read_request_id(value)) == b"X-Request-Id: " + value + b"\r\n"


@pytest.mark.parametrize(
    "value", [None, b"", b"x" * (LONGEST + 1), b"a b", b"a\nb", b"\x1b[31m", "ü".encode(), b"a\x00"]
)
def test_what_could_break_a_line_is_passed_over(value):
    assert read_request_id(value) == ""
