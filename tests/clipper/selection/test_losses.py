import timeit

import pytest

from clipper.errors import BadRequest
from clipper.selection.losses import check_label, check_loss, loss


@pytest.mark.parametrize(
    ("label", "output", "expected"),
    [
        (7, b"7", 0.0),
        (7, b"7.0", 0.0),
        ("7", b"7", 0.0),
        (7.0, b"7e0", 0.0),
        ("cat", b'"cat"', 0.0),
        ('"cat"', b'"cat"', 0.0),
        ("cat", b'"dog"', 1.0),
        (7, b'"7"', 1.0),
        (True, b"true", 0.0),
        (True, b"1", 1.0),
        ({"b": [1, 2.0], "a": "x"}, b'{"a": "x", "b": [1.0, 2]}', 0.0),
        ([1, 2], b"[2, 1]", 1.0),
        ("7 cats", b'"7 cats"', 0.0),
        ("é", '"é"'.encode(), 0.0),
        ("é", b'"\\u00e9"', 0.0),
    ],
)
def test_zero_one(label, output, expected):
    assert loss("zero_one", check_label("zero_one", label), output, 1.0) == expected


@pytest.mark.parametrize(
    ("kind", "label", "output", "scale", "expected"),
    [
        ("absolute", 3, b"3.0", 1.0, 0.0),
        ("absolute", 3, b"5", 10.0, 0.2),
        ("absolute", 3, b"-50", 10.0, 1.0),
        ("absolute", "3", b"5", 10.0, 0.2),
        ("absolute", [1, 2], b"[1, 4]", 10.0, 0.1),
        ("absolute", [1, 2], b"[1, 4, 5]", 10.0, 1.0),
        ("absolute", [1], b"1", 10.0, 1.0),
        ("absolute", 1, b"[1]", 10.0, 1.0),
        ("absolute", 1, b'"cat"', 10.0, 1.0),
        ("absolute", 1, b"null", 10.0, 1.0),
        ("absolute", 1, b"true", 10.0, 1.0),
        ("absolute", 1, b"1e400", 10.0, 1.0),
        ("squared", 3, b"5", 10.0, 0.04),
        ("squared", [0, 0], b"[3, 4]", 10.0, 0.125),
        ("squared", 0, b"1e300", 1.0, 1.0),
        ("squared", [0, 1e300], b"[1e300, 0]", 1.0, 1.0),
        ("squared", 1e308, b"-1e308", 1.0, 1.0),
    ],
)
def test_numbers(kind, label, output, scale, expected):
    assert loss(kind, check_label(kind, label), output, scale) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["zero_one", "absolute", "squared"])
def test_null_is_no_label(kind):
    for label in (None, "null"):
        with pytest.raises(BadRequest, match="The label is null: send the true output"):
            check_label(kind, label)


@pytest.mark.parametrize("kind", ["absolute", "squared"])
@pytest.mark.parametrize(
    "label", ["cat", True, "true", [True], [], [[1]], {"a": 1}, "[1, null]", 10**400, "1e999", "x" * 1000]
)
def test_what_is_no_number(kind, label):
    with pytest.raises(BadRequest) as raised:
        check_label(kind, label)
    assert len(raised.value.cause) < 200
    assert "label" in raised.value.cause


@pytest.mark.parametrize("label", [float("nan"), float("inf"), object(), {1, object()}])
def test_what_is_no_json(label):
    with pytest.raises(BadRequest, match="The label "):
        check_label("zero_one", label)


def test_the_error_says_what_to_send():
    with pytest.raises(BadRequest, match=r'"cat".*loss is absolute, so send .* a finite number or a list of finite'):
        check_label("absolute", "cat")


def test_a_label_nested_too_deep():
    label = "x"
    for _ in range(100_000):
        label = [label]
    with pytest.raises(BadRequest):
        check_label("zero_one", label)


@pytest.mark.parametrize("value", [0, 1, 0.5, 1.0])
def test_given_losses(value):
    assert check_loss(value) == value
    assert type(check_loss(value)) is float


@pytest.mark.parametrize(
    "value", [True, None, "0.5", -0.1, 1.1, float("nan"), float("inf"), 10**400, [0.5], "x" * 999]
)
def test_what_is_no_loss(value):
    with pytest.raises(BadRequest, match=r"The loss is .*: send a number from 0 \(right\) to 1") as raised:
        check_loss(value)
    assert len(raised.value.cause) < 200


def test_a_loss_takes_microseconds():
    for kind, output in (("zero_one", b"7"), ("zero_one", b"8.0"), ("absolute", b"8.5"), ("squared", b"8")):
        seconds = min(timeit.repeat(lambda k=kind, o=output: loss(k, b"7", o, 10.0), number=1000, repeat=5)) / 1000
        assert seconds < 20e-6  # a tenth of that on an idle machine
