"""What the function does wrong fails its own queries, and no others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper.container import batch as batch_module
from clipper.container.batch import Model
from clipper.rpc.wire import Frame, FrameReader, InputType, Outcome, WireError, decode_outcomes, encode_batch
from tests.outcomes import apart


def ask(model: Model, inputs: list[bytes], budget_micros: int = 60_000_000) -> list[Outcome]:
    (frame,) = FrameReader().feed(encode_batch(7, inputs, budget_micros))
    counted = model.metrics.errors
    (answer,) = FrameReader().feed(model.answer(frame))
    assert answer.batch_id == 7
    outcomes = apart(decode_outcomes(answer))
    assert model.metrics.errors - counted == sum(not outcome.ok for outcome in outcomes), "each error is counted once"
    return outcomes


def model_of(function) -> Model:
    return Model(function, InputType.BYTES)


def raising(error):
    def function(xs):
        raise error

    return model_of(function)


def bad_on(*bad):
    def function(xs):
        if any(x[0] in bad for x in xs):
            raise ValueError("bad one")
        return [int(x[0]) for x in xs]

    return model_of(function)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_culprits_fail_and_neighbours_are_answered(culprits):
    bad = [index for index, each in enumerate(culprits) if each]
    outcomes = ask(bad_on(*bad), [bytes([index]) for index in range(len(culprits))])

    for index, outcome in enumerate(outcomes):
        assert outcome == ((False, b"ValueError: bad one") if index in bad else (True, b"%d" % index))


def test_one_culprit_costs_few_calls():
    sizes = []

    def function(xs):
        sizes.append(len(xs))
        if 5 in xs:
            raise ValueError("five")
        return xs[:, 0]

    outcomes = ask(model_of(function), [bytes([each]) for each in range(8)])

    assert [each.ok for each in outcomes] == [each != 5 for each in range(8)]
    assert sizes == [8, 4, 4, 2, 1, 1, 2]


def test_inputs_that_the_function_spoilt_are_as_sent_when_it_is_asked_again():
    def function(xs):
        xs += 1
        if len(xs) > 1:
            raise ValueError("together")
        return xs[:, 0]

    assert ask(model_of(function), [b"\1", b"\5", b"\7"]) == [(True, b"2"), (True, b"6"), (True, b"8")]


def test_search_ends_with_the_budget():
    calls = []

    def function(xs):
        calls.append(len(xs))
        raise ValueError("always")

    outcomes = ask(model_of(function), [b"x"] * 64, budget_micros=1)

    assert calls == [64]
    assert outcomes == [(False, b"ValueError: always")] * 64


def test_search_without_a_budget_lasts_a_second(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(batch_module.time, "monotonic", lambda: next(clock) * 0.15)
    calls = []

    def function(xs):
        calls.append(len(xs))
        raise ValueError("always")

    outcomes = ask(model_of(function), [b"x"] * 8, budget_micros=0)

    assert calls == [8, 4]  # each try reads the clock four times: at 1.2 s it is enough
    assert outcomes == [(False, b"ValueError: always")] * 8


class Panic(BaseException):
    """Like what extension modules in Rust raise."""


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no \ud800"), b"ValueError: no \\ud800"),
        (KeyError("a"), b"KeyError: 'a'"),
        (ValueError(), b"ValueError"),
        (SystemExit(3), b"SystemExit: 3"),
        (MemoryError(), b"MemoryError"),
        (Panic("rust"), b"Panic: rust"),
        (GeneratorExit(), b"GeneratorExit"),
        (Unprintable(), b"Unprintable: (its text can't be read: its __str__ raised)"),
        (ValueError("x" * 5000), b"ValueError: " + b"x" * 1988 + b"..."),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_is_raised_is_the_error_of_the_query(error, text):
    assert ask(raising(error), [b"x"]) == [(False, text)]


def test_keyboard_interrupt_passes():
    with pytest.raises(KeyboardInterrupt):
        ask(raising(KeyboardInterrupt()), [b"x"])


def test_recursion_without_end_is_an_error():
    def function(xs):
        return function(xs)

    ((ok, text),) = ask(model_of(function), [b"x"])

    assert not ok
    assert text.startswith(b"RecursionError: ")


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        (["1"], b"Expected model to return 2 outputs, found 1 outputs"),
        (["1"] * 3, b"Expected model to return 2 outputs, found 3 outputs"),
        ("12", b"Model did not return a list: it returned str for a batch of 2; return a list, one output per query"),
    ],
)
def test_outputs_that_do_not_fit_fail_the_whole_batch_at_once(outputs, text):
    calls = []
    outcomes = ask(model_of(lambda xs: calls.append(len(xs)) or outputs), [b"a", b"b"])

    assert outcomes == [(False, text)] * 2
    assert calls == [2]


def test_outputs_that_raise_when_read_are_an_error():
    class Lazy:
        def tolist(self):
            raise OSError("gone")

    assert ask(model_of(lambda xs: Lazy()), [b"a"]) == [(False, b"OSError: gone")]


def test_input_that_does_not_fit_its_type_fails_alone():
    model = Model(lambda xs: [len(x) for x in xs], InputType.DOUBLES)

    good, bad = ask(model, [bytes(16), bytes(7)])

    assert good == (True, b"2")
    assert bad == (False, b"ValueError: an input of 7 bytes is not a whole number of doubles")


def test_outputs_over_the_limit_of_a_message_are_an_error(monkeypatch):
    monkeypatch.setattr(batch_module, "_MAX_OUTPUTS", 100)
    outcomes = ask(model_of(lambda xs: ["x" * 60 for _ in xs]), [b"a", b"b"])

    assert outcomes == [(False, b"the outputs of this batch take 124 bytes, over the limit of 100: return less")] * 2


def test_empty_batch_does_not_reach_the_function():
    assert ask(raising(AssertionError()), []) == []


def test_batch_that_is_malformed_is_a_wire_error():
    (frame,) = FrameReader().feed(encode_batch(1, [b"abc"], 0))

    with pytest.raises(WireError):
        raising(AssertionError()).answer(Frame(frame.kind, 1, 100, 0, frame.payload))


def test_tracebacks_are_shown_once_a_second_with_the_number_left_out(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(batch_module.time, "monotonic", lambda: now[0])
    model = raising(ValueError("broken"))
    for _ in range(5):
        ask(model, [b"x"])
    now[0] += 1.5
    ask(model, [b"x"])

    shown = capsys.readouterr().err
    assert shown.count("Traceback (most recent call last)") == 2
    assert shown.count("ValueError: broken") == 2
    assert "The model raised on a batch of 1 (4 more failures since the last one shown):" in shown


def test_numbers_come_as_arrays():
    model = Model(lambda xs: xs.sum(axis=1), InputType.DOUBLES)

    assert ask(model, [np.array([1.0, 2.5]).tobytes()] * 2) == [(True, b"3.5")] * 2
