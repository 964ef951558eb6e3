"""Batches of queries sent to a container, and its answers compared with what they must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from clipper.container.conformance_peer import Complaint, Peer, read_outcomes
from clipper.container.conformance_samples import FAILURE, Query, read_document, same
from clipper.rpc import wire
from clipper.rpc.wire import Frame, Kind, Outcome

_SHOWN: Final = 120


def ask(peer: Peer, queries: Sequence[Query], batch_id: int = 1, budget_micros: int = 0) -> None:
    """Sends a batch, and checks the answer to each query of it."""
    send(peer, queries, batch_id, budget_micros)
    expect_answers(peer, {batch_id: queries})


def send(
    peer: Peer, queries: Sequence[Query], batch_id: int, budget_micros: int = 0, request_ids: Sequence[str] = ()
) -> None:
    message = wire.encode_batch(batch_id, [each.data for each in queries], budget_micros, request_ids)
    peer.send(message, f"a batch of {len(queries)}")


def expect_answers(peer: Peer, waiting: dict[int, Sequence[Query]]) -> None:
    """The next message must answer one of the batches ``waiting``, which is then taken out."""
    check_answers(peer.expect_kind(Kind.OUTCOMES, _wanted(waiting)), waiting)


def expect_all(peer: Peer, waiting: dict[int, Sequence[Query]]) -> None:
    """The next messages must answer all the batches ``waiting``, in any order."""
    while waiting:
        expect_answers(peer, waiting)


def check_answers(frame: Frame, waiting: dict[int, Sequence[Query]]) -> None:
    """This message must answer one of the batches ``waiting``, which is then taken out."""
    found, outcomes = read_outcomes(frame, _wanted(waiting))
    if found not in waiting or len(outcomes) != len(waiting[found]):
        raise Complaint(_wanted(waiting), f"{len(outcomes)} items for batch {found}")
    for place, (asked, outcome) in enumerate(zip(waiting.pop(found), outcomes, strict=True)):
        check_outcome(asked, outcome, f" for query {place} of {len(outcomes)}")


def _wanted(waiting: dict[int, Sequence[Query]]) -> str:
    return "OUTCOMES for " + " or ".join(f"batch {number} ({len(each)} items)" for number, each in waiting.items())


def check_outcome(asked: Query, outcome: Outcome, place: str) -> None:
    if asked.fails:
        if outcome.ok or FAILURE.encode() not in outcome.data:
            raise Complaint(f"an error with {FAILURE!r} in it{place}", show(outcome))
        return
    expected = f"{_short(asked.expected)}{place}"
    if not outcome.ok:
        raise Complaint(expected, show(outcome))
    try:
        found = read_document(outcome.data)
    except (ValueError, RecursionError) as error:
        raise Complaint(expected, f"{show(outcome)}, which is not JSON: {error}") from None
    if not same(found, asked.expected):
        raise Complaint(expected, show(outcome))


def show(outcome: Outcome) -> str:
    return ("" if outcome.ok else "the error ") + _short(outcome.data.decode(errors="backslashreplace"))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
