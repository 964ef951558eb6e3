import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper.selection.outputs import LONGEST_READ
from clipper.selection.policies import make_policy
from clipper.selection.policy import Choice, Context, Decision
from clipper.types import ModelVersion

LINKED = ("a", "b", "c")
VOTE = make_policy("majority_vote", {}, "zero_one", 1.0, "doubles")
QUERY = Context(b"", "doubles", "", 0.5)


def vote(linked=LINKED, **outputs):
    """What is combined of outputs that came in this order, by the name of the model; the rest is late."""
    given = {ModelVersion(name, "1"): text.encode() for name, text in outputs.items()}
    missing = [ModelVersion(name, "1") for name in linked if name not in outputs]
    return VOTE.combine(VOTE.init(linked), QUERY, given, missing)


class said:
    """Equal to what is combined with this output and confidence, whatever may still come."""

    def __init__(self, output, confidence):
        self.expected = output, pytest.approx(confidence)

    def __eq__(self, combined):
        return combined[:2] == self.expected

    __hash__ = None


def test_every_linked_model_is_asked():
    models = [ModelVersion(name, "1") for name in LINKED]
    assert VOTE.select(VOTE.init(LINKED), QUERY, models, random.Random(0)) == [Choice(each, 1.0) for each in models]


def test_most_votes_win():
    assert vote(a="1", b="2", c="2") == said(b"2", 2 / 3)
    assert vote(a='"x"', b='"x"', c='"x"') == said(b'"x"', 1.0)


def test_a_tie_goes_to_the_model_linked_first():
    assert vote(c="3", b="2", a="1") == said(b"1", 1 / 3)
    assert vote(c="3", b="2") == said(b"2", 1 / 3)
    assert vote(("a", "b", "c", "d"), d="1", c="1", b="2", a="2") == said(b"2", 0.5)


def test_models_that_are_missing_lower_the_confidence():
    assert vote(b="2") == said(b"2", 1 / 3)
    assert vote(b="2", c="2") == said(b"2", 2 / 3)
    assert vote() is None


def test_one_linked_model_is_sure_of_itself():
    assert vote(("a",), a="7") == said(b"7", 1.0)


def test_a_model_unlinked_meanwhile_has_its_vote():
    assert vote(("b",), a="1") == said(b"1", 0.5)
    assert vote(("b",), a="1", b="2") == said(b"2", 0.5)
    assert vote((), a="1") == said(b"1", 1.0)


def test_whichever_version_was_asked_has_the_vote_of_its_model():
    outputs = {ModelVersion("b", "2"): b"1", ModelVersion("a", "1"): b"1.0"}
    assert VOTE.combine(VOTE.init(("a", "b")), QUERY, outputs, ()) == said(b"1.0", 1.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("1", "1e0"),
        ("100", "1E+2"),
        ("0.5", "5e-1"),
        ("0", "-0.0"),
        ("[1,2]", "[ 1, 2.0 ]"),
        ('{"a":1,"b":[2]}', '{"b": [2.0], "a": 1}'),
        ('"\u00e9"', '"\\u00e9"'),
        ("1e300", "10e299"),
    ],
)
def test_the_same_value_written_otherwise(one, other):
    assert vote(a='"x"', b=one, c=other) == said(one.encode(), 2 / 3)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "true"),
        ("0", "false"),
        ("0", "null"),
        ("1", '"1"'),
        ("1e400", "2e400"),
        ("1e400", "null"),
        ("9007199254740993", "9007199254740992.0"),
        ("[1,2]", "[2,1]"),
        ("0.1", "0.10000000000000002"),
    ],
)
def test_values_that_differ(one, other):
    assert vote(a="[]", b=one, c=other) == said(b"[]", 1 / 3)


def test_what_is_long_or_nested_too_deep_agrees_with_the_same_text():
    long, deep = f'"{"x" * LONGEST_READ}"', "[" * 2000 + "]" * 2000
    for text in (long, deep):
        assert vote(a="1", b=text, c=text) == said(text.encode(), 2 / 3)
    assert vote(a="1", b=long, c=f" {long}") == said(b"1", 1 / 3)


@given(st.lists(st.sampled_from(["1", "1.0", "2", '"x"', "[]"]), min_size=1, max_size=8), st.randoms())
def test_the_order_of_arrival_makes_no_difference(outputs, rng):
    linked = [f"m{position}" for position in range(len(outputs) + 1)]
    arrived = list(zip(linked, outputs, strict=False))
    expected = vote(linked, **dict(arrived))
    rng.shuffle(arrived)
    assert vote(linked, **dict(arrived)) == expected
    values = [json.loads(each) for each in outputs]
    most = max(values.count(each) for each in values)
    assert expected.confidence == most / len(linked)
    assert expected.output.decode() == next(
        text for text, each in zip(outputs, values, strict=True) if values.count(each) == most
    )


def test_feedback_changes_nothing():
    state = VOTE.init(LINKED)
    assert VOTE.observe(state, QUERY, Decision((), {}, None, 0.0), {ModelVersion("a", "1"): 1.0}) == state


def test_a_vote_is_settled_when_the_rest_can_change_nothing():
    assert vote(a="1", b="1", c="2").settled
    assert vote(a="1", b="1") == said(b"1", 2 / 3)
    assert vote(a="1", b="1").settled
    assert not vote(a="1", b="2").settled
    assert vote(a="1", b="1").ceiling == 1.0
    assert vote(a="1", b="2").ceiling == pytest.approx(2 / 3)


def test_a_tie_is_settled_for_the_model_linked_first():
    four = ("a", "b", "c", "d")
    assert vote(four, a="1", b="1").settled  # two others may agree, but they were linked later
    assert not vote(four, c="1", d="1").settled
    assert vote(four, a="1", c="1", d="2").settled
    assert not vote(four, a="2", c="1", d="1").settled
