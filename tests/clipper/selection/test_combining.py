import itertools
import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper.selection.combining import Mean, Median, Vote, combiner_for
from clipper.selection.policy import Combined
from clipper.types import ModelVersion

WEIGHTS = {"a": 0.5, "b": 0.3, "c": 0.2}


def outputs_of(**outputs):
    return {ModelVersion(name, "1"): text.encode() for name, text in outputs.items()}


def late(*names):
    return [ModelVersion(name, "1") for name in names]


def test_each_loss_has_its_combiner():
    assert isinstance(combiner_for("zero_one", 1.0), Vote)
    assert isinstance(combiner_for("absolute", 1.0), Median)
    assert isinstance(combiner_for("squared", 1.0), Mean)


@pytest.mark.parametrize("combiner", [Vote(), Mean(1.0), Median(1.0)])
def test_nothing_gives_nothing(combiner):
    assert combiner.combine(WEIGHTS, {}, ()) is None
    assert combiner.combine(WEIGHTS, {}, late("a", "b")) is None


@pytest.mark.parametrize("combiner", [Vote(), Mean(1.0), Median(1.0)])
def test_one_output_of_all_is_taken_as_it_is(combiner):
    assert combiner.combine(WEIGHTS, outputs_of(a="7", b="7", c="7"), ()) == Combined(b"7", 1.0, True, 1.0)


def test_weight_wins_the_vote():
    assert Vote().combine(WEIGHTS, outputs_of(a="1", b="2", c="2"), ()) == Combined(b"1", 0.5, True, 0.5)
    assert Vote().combine({"a": 0.4, "b": 0.3, "c": 0.3}, outputs_of(a="1", b="2", c="2.0"), ()).output == b"2"


def test_weight_that_is_late():
    assert Vote().combine(WEIGHTS, outputs_of(a="1"), late("b", "c")) == Combined(b"1", 0.5, True, 1.0)
    assert Vote().combine(WEIGHTS, outputs_of(b="1"), late("a", "c")) == Combined(b"1", 0.3, False, 1.0)
    assert Vote().combine(WEIGHTS, outputs_of(a="1", b="2"), late("c")) == Combined(b"1", 0.5, True, 0.7)


def test_a_model_without_a_weight_has_the_average():
    combined = Vote().combine({"a": 0.6, "b": 0.4}, outputs_of(a="1", b="1", z="2"), ())
    assert combined == Combined(b"1", pytest.approx(2 / 3), True, pytest.approx(2 / 3))


def test_weights_of_nothing_count_as_equal():
    combined = Vote().combine({"a": 0.0, "b": 0.0}, outputs_of(a="1", b="2"), ())
    assert (combined.output, combined.confidence) == (b"1", 0.5)


LABELS = st.sampled_from(["1", "1.0", "2", '"x"'])


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.3, 1.0]), LABELS, st.booleans()), min_size=1, max_size=5),
    st.randoms(),
)
def test_what_is_settled_stays_and_the_order_makes_no_difference(models, rng):
    weights = {f"m{place}": weight for place, (weight, _, _) in enumerate(models)}
    come = [(f"m{place}", label) for place, (_, label, here) in enumerate(models) if here]
    missing = [f"m{place}" for place, (_, _, here) in enumerate(models) if not here]
    combined = Vote().combine(weights, outputs_of(**dict(come)), late(*missing))
    rng.shuffle(come)
    assert Vote().combine(weights, outputs_of(**dict(come)), late(*missing)) == combined
    if combined is None:
        return
    final = {
        Vote().combine(weights, outputs_of(**dict(come), **dict(zip(missing, rest, strict=True))), ()).output
        for rest in itertools.product(["1", "2", '"x"', '"y"'], repeat=len(missing))
    }
    same = {text for text in final if Vote().agree(text, combined.output)}
    # Settled if, and only if, nothing that may come changes it: "1" and "1.0" are the same answer.
    assert combined.settled == (same == final)


@pytest.mark.parametrize(
    ("combiner", "values", "expected"),
    [
        (Mean(10.0), ("1", "2", "4"), b"1.9"),
        (Mean(10.0), ("2", "2", "2.0"), b"2"),
        (Median(10.0), ("1", "2", "4"), b"1.5"),
        (Median(10.0), ("4", "1", "2.5"), b"3.25"),
        (Median(10.0), ("9", "1", "1"), b"5.0"),
        (Mean(10.0), ("[1, 0]", "[2, 0]", "[4, 1]"), b"[1.9,0.2]"),
        (Median(10.0), ("[1, 5]", "[2, 6]", "[4, 7]"), b"[1.5,5.5]"),
    ],
)
def test_numbers(combiner, values, expected):
    outputs = outputs_of(**dict(zip("abc", values, strict=True)))
    assert combiner.combine(WEIGHTS, outputs, ()).output == expected


def test_the_median_is_what_a_model_said():
    weights = {"a": 0.4, "b": 0.3, "c": 0.3}
    assert Median(10.0).combine(weights, outputs_of(a="1", b="2", c="400"), ()).output == b"2"


def test_numbers_agree_within_a_tenth_of_the_scale():
    combined = Median(10.0).combine({"a": 0.4, "b": 0.4, "c": 0.2}, outputs_of(a="4.0", b="4.5", c="9"), ())
    assert combined == Combined(b"4.5", pytest.approx(0.8), True, pytest.approx(0.8))


@pytest.mark.parametrize("combiner", [Mean(1.0), Median(1.0)])
def test_what_is_no_number_is_left_out(combiner):
    combined = combiner.combine(WEIGHTS, outputs_of(a='"cat"', b="2", c="2"), ())
    assert combined == Combined(b"2", pytest.approx(0.5), True, pytest.approx(0.5))
    assert combiner.combine(WEIGHTS, outputs_of(a='"cat"', b="true"), ()) is None
    assert combiner.combine(WEIGHTS, outputs_of(a="1e400", b="true"), ()) is None


@pytest.mark.parametrize("combiner", [Mean(1.0), Median(1.0)])
def test_of_several_shapes_the_one_with_most_weight(combiner):
    assert combiner.combine(WEIGHTS, outputs_of(a="[1,2]", b="3", c="3"), ()).output == b"[1,2]"
    assert combiner.combine({"a": 0.4, "b": 0.3, "c": 0.3}, outputs_of(a="[1,2]", b="3", c="3"), ()).output == b"3"


@pytest.mark.parametrize("combiner", [Mean(1.0), Median(1.0)])
def test_numbers_are_settled_when_all_have_come(combiner):
    combined = combiner.combine(WEIGHTS, outputs_of(a="1", b="1"), late("c"))
    assert combined == Combined(b"1", pytest.approx(0.8), False, pytest.approx(1.0))
    assert combiner.combine({"a": 0.5, "b": 0.5, "c": 0.0}, outputs_of(a="1", b="1"), late("c")).settled


@given(st.lists(st.floats(-1e308, 1e308), min_size=1, max_size=6), st.randoms())
def test_numbers_of_any_size(values, rng):
    weights = {f"m{place}": rng.random() for place in range(len(values))}
    outputs = outputs_of(**{f"m{place}": repr(value) for place, value in enumerate(values)})
    for combiner in (Mean(1.0), Median(1.0)):
        answer = float(combiner.combine(weights, outputs, ()).output)
        slack = 1e-9 * max(map(abs, values))
        assert min(values) - slack <= answer <= max(values) + slack


def test_outputs_agree():
    assert Vote().agree(b"1", b"1.0")
    assert not Vote().agree(b"1", b"1.05")
    for combiner in (Mean(1.0), Median(1.0)):
        assert combiner.agree(b"1", b"1.05")
        assert combiner.agree(b"[1,2]", b"[1.05,2]")
        assert not combiner.agree(b"1", b"1.2")
        assert not combiner.agree(b"1", b"[1]")
        assert combiner.agree(b'"x"', b'"x"')
        assert not combiner.agree(b'"x"', b'"y"')


def test_equal_outputs_are_quick_to_combine():
    weights = {f"m{place}": 0.2 for place in range(5)}
    outputs = outputs_of(**dict.fromkeys(weights, "7"))
    for combiner in (Vote(), Mean(1.0), Median(1.0)):
        run = timeit.repeat(lambda each=combiner: each.combine(weights, outputs, ()), number=1000, repeat=5)
        assert min(run) / 1000 < 20e-6  # less than 2 on an idle machine
