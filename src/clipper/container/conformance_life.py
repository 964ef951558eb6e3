"""What ``docs/wire.md`` asks of a container's connections, from HELLO to SIGTERM. See ``conformance_checks``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from clipper.container.conformance_asking import ask, check_answers, expect_all, expect_answers, send
from clipper.container.conformance_checks import Check, one_query
from clipper.container.conformance_peer import Complaint, Peer, describe
from clipper.container.conformance_samples import Query, query
from clipper.container.conformance_stage import Stage
from clipper.rpc import wire
from clipper.rpc.frames import encode_frame
from clipper.rpc.wire import Kind

_LARGEST_BATCH: Final = 256
_QUIET_SECONDS: Final = 1.0
_REFUSED_SECONDS: Final = (4.0, 15.0)
_IDS: Final = (1, 0, 2**31, 2**32 - 1, 7, 8, 9, 10, 3, 2, 1, 0)


# -- of any one input type -------------------------------------------------------------------------------------------


def batch_sizes(stage: Stage) -> None:
    for size in range(1, _LARGEST_BATCH + 1):
        ask(stage.peer(), [query(stage.input_type, place, place % 5) for place in range(size)])


def empty_batch(stage: Stage) -> None:
    ask(stage.peer(), [])


def late_batch(stage: Stage) -> None:
    ask(stage.peer(), [query(stage.input_type, place, 4) for place in range(5)], budget_micros=1)


def two_in_flight(stage: Stage) -> None:
    """Batches are answered once each, under any number, while another one waits."""
    peer, waiting = stage.peer(), dict[int, Sequence[Query]]()
    for place, batch_id in enumerate(_IDS):
        waiting[batch_id] = [query(stage.input_type, place, 3)] * (place + 1)
        send(peer, waiting[batch_id], batch_id)
        if len(waiting) == 2:
            expect_answers(peer, waiting)
    expect_all(peer, waiting)


def quiet(stage: Stage) -> None:
    peer = stage.peer()
    peer.expect_silence(_QUIET_SECONDS)
    ask(peer, [query(stage.input_type, 1, 3)])


def malformed(message: bytes, stage: Stage) -> None:
    peer = stage.peer()
    peer.send(message, "a message that breaks the protocol")
    peer.expect_end("after a message that breaks the protocol")
    one_query(stage)


def goodbye_of_the_frontend(stage: Stage) -> None:
    """What came before it is still answered."""
    peer, queries = stage.peer(), [query(stage.input_type, 1, 3)]
    send(peer, queries, 4)
    peer.send(wire.encode_goodbye(), "GOODBYE")
    expect_answers(peer, {4: queries})
    peer.expect_end("after the frontend's GOODBYE")
    one_query(stage)


def lost_in_a_batch(stage: Stage) -> None:
    """The connection goes while a batch is in flight, half of another one sent: both are forgotten."""
    peer, queries = stage.peer(), [query(stage.input_type, place, 100) for place in range(50)]
    send(peer, queries, 6)
    peer.send(wire.encode_batch(7, [each.data for each in queries], 0)[:100], "half a batch")
    peer.close()
    one_query(stage)


def restart(stage: Stage) -> None:
    stage.peer().close()
    stage.frontends[0].close()
    stage.frontends[0].listen()
    one_query(stage)


def refused(stage: Stage) -> None:
    """The container asks again, but not at once."""
    peer, began = stage.peer(), time.monotonic()
    peer.send(wire.encode_refused("this is a test"), "REFUSED")
    peer.close()
    one_query(stage)
    took, (soonest, latest) = time.monotonic() - began, _REFUSED_SECONDS
    if not soonest <= took <= latest:
        raise Complaint("the container to connect again 5 s after REFUSED", f"a connection after {took:.1f} s")


# -- of a container with two frontends -------------------------------------------------------------------------------


def two_frontends(stage: Stage) -> None:
    first, second = stage.peer(0), stage.peer(1)
    batches: tuple[Sequence[Query], ...] = tuple([query(stage.input_type, place, 4)] * 3 for place in range(2))
    for peer, queries in zip((first, second), batches, strict=True):
        send(peer, queries, 1)
    expect_answers(second, {1: batches[1]})
    expect_answers(first, {1: batches[0]})


def one_of_two_lost(stage: Stage) -> None:
    """The other frontend is served meanwhile."""
    first, second = stage.peer(0), stage.peer(1)
    first.close()
    ask(second, [query(stage.input_type, 2, 3)])
    ask(stage.peer(0), [query(stage.input_type, 3, 3)])


def drain(stage: Stage) -> None:
    """On SIGTERM all that was sent is answered, and what a frontend sends before its own GOODBYE."""
    waiting: list[dict[int, Sequence[Query]]] = [{}, {}]
    peers = [stage.peer(0), stage.peer(1)]
    for peer, mine in zip(peers, waiting, strict=True):
        mine[1] = [query(stage.input_type, place, 3) for place in range(20)]
        send(peer, mine[1], 1)
    stage.terminate()
    for peer, mine in zip(peers, waiting, strict=True):
        _drain_one(peer, mine, [query(stage.input_type, 1, 2)])
    stage.expect_exit()


def _drain_one(peer: Peer, waiting: dict[int, Sequence[Query]], more: Sequence[Query]) -> None:
    what = "GOODBYE after SIGTERM, the answer to the batch in flight before it or after"
    while (frame := peer.receive(what)).kind != Kind.GOODBYE:
        if frame.kind != Kind.OUTCOMES:
            raise Complaint(what, describe(frame))
        check_answers(frame, waiting)
    waiting[2] = more
    send(peer, more, 2)
    peer.send(wire.encode_goodbye(), "GOODBYE")
    expect_all(peer, waiting)
    peer.expect_end("after both have said GOODBYE and all is answered")


MALFORMED: Final = {
    "a kind that there is not": encode_frame(99),
    "a length that is not a multiple of 8": b"\x07" + encode_frame(Kind.BATCH)[1:],
    "a length over the limit": b"\0\0\0\x80" + encode_frame(Kind.BATCH)[4:],
    "an item beyond the payload": encode_frame(Kind.BATCH, (b"\xff\0\0\0\0\0\0\0",), batch_id=1, count=1),
    "lengths beyond the payload": encode_frame(Kind.BATCH, (bytes(8),), batch_id=1, count=1000),
    "a message at the wrong time": wire.encode_welcome(),
}
LIFE_CHECKS: Final[tuple[Check, ...]] = (
    ("batches of 1 to 256", batch_sizes),
    ("an empty batch", empty_batch),
    ("a batch that has no time left", late_batch),
    ("two batches in flight", two_in_flight),
    ("a quiet connection", quiet),
    *((f"{name} ends the connection", partial(malformed, message)) for name, message in MALFORMED.items()),
    ("GOODBYE of the frontend", goodbye_of_the_frontend),
    ("a connection lost in a batch", lost_in_a_batch),
    ("the frontend starts again", restart),
    ("REFUSED", refused),
)
PAIR_CHECKS: Final[tuple[Check, ...]] = (
    ("two frontends at once", two_frontends),
    ("one of two frontends lost", one_of_two_lost),
    ("SIGTERM", drain),
)
