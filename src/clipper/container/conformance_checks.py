"""What ``docs/wire.md`` asks of a container's answers, one function for each thing. They raise ``Complaint``.

``conformance_life`` has the same of its connections.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from clipper.container.conformance_asking import (
    ask,
    check_outcome,
    expect_all,
    expect_answers,
    send,
    show,
)
from clipper.container.conformance_peer import Complaint
from clipper.container.conformance_samples import (
    JSON_TEXTS,
    PLAIN_TEXTS,
    UNICODE,
    Query,
    document_query,
    failing,
    query,
    read_document,
    text_query,
)
from clipper.container.conformance_stage import Stage

Check = tuple[str, Callable[[Stage], None]]

_LARGE: Final = (784, 150_528)


# -- of every input type ---------------------------------------------------------------------------------------------


def connects(stage: Stage) -> None:
    stage.peer().expect_silence(0)


def one_query(stage: Stage) -> None:
    ask(stage.peer(), [query(stage.input_type, 1, 3)])


def empty_inputs(stage: Stage) -> None:
    ask(stage.peer(), [query(stage.input_type, place, size) for place, size in enumerate((0, 1, 0, 5, 2, 3, 0))])


def large_inputs(stage: Stage) -> None:
    for size in _LARGE:
        ask(stage.peer(), [query(stage.input_type, place, size) for place in range(3)])


def failing_queries(stage: Stage) -> None:
    """Each gets its own error, and its neighbours their answers."""
    kind, peer = stage.input_type, stage.peer()
    batch = [query(kind, place, 3) for place in range(9)]
    batch[2] = batch[7] = failing(kind)
    for queries in ([failing(kind)], batch, [failing(kind)] * 4, batch[:2]):
        ask(peer, queries)


def named_queries(stage: Stage) -> None:
    """What clients call their requests is for the log, and changes no answer."""
    kind, peer = stage.input_type, stage.peer()
    batch = [query(kind, 0, 3), failing(kind), query(kind, 2, 2)]
    for number, names in enumerate((["request-1", "", "r-3"], ["", "x" * 128, ""]), 1):
        send(peer, batch, number, request_ids=names)
        expect_answers(peer, {number: batch})


# -- of strings ------------------------------------------------------------------------------------------------------


def unicode_texts(stage: Stage) -> None:
    ask(stage.peer(), [text_query(each) for each in UNICODE])


def json_texts(stage: Stage) -> None:
    """An output that is a JSON document goes as it is, any other text as a JSON string."""
    ask(stage.peer(), [text_query(each) for each in PLAIN_TEXTS] + [document_query(each) for each in JSON_TEXTS])


def half_pairs(stage: Stage) -> None:
    """Half a surrogate pair is no text: what becomes of it is the container's choice, as long as it is valid."""
    peer, what = stage.peer(), "OUTCOMES for half a surrogate pair between two texts"
    halves = Query(b"a\xed\xa0\xbdb", None)
    send(peer, [text_query("before"), halves, text_query("after")], 5)
    _, outcomes = peer.outcomes(what)
    if len(outcomes) != 3:
        raise Complaint(what, f"{len(outcomes)} items")
    check_outcome(text_query("before"), outcomes[0], " before it")
    check_outcome(text_query("after"), outcomes[2], " after it")
    try:
        if outcomes[1].ok:
            read_document(outcomes[1].data)
    except ValueError as error:
        raise Complaint("an error or JSON for half a surrogate pair", f"{show(outcomes[1])}: {error}") from None


def both_write(stage: Stage) -> None:
    """Two large batches are sent before an answer is read: the container must read on while it can't write."""
    peer = stage.peer()
    waiting: dict[int, Sequence[Query]] = {number: [text_query("x" * 500_000)] * 8 for number in (1, 2)}
    for number, queries in waiting.items():
        send(peer, queries, number)
    expect_all(peer, waiting)


TYPE_CHECKS: Final[tuple[Check, ...]] = (
    ("connects and says HELLO", connects),
    ("one query", one_query),
    ("inputs of different lengths, and without elements", empty_inputs),
    ("784 and 150,528 elements", large_inputs),
    ("queries that fail", failing_queries),
    ("requests that have ids", named_queries),
)
TEXT_CHECKS: Final[tuple[Check, ...]] = (
    ("texts in many scripts", unicode_texts),
    ("texts that are JSON, and texts that are nearly", json_texts),
    ("half a surrogate pair", half_pairs),
    ("large messages in both directions at once", both_write),
)
