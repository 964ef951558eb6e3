from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clipper.execution import queue as queue_module
from clipper.execution.flight import Flight
from clipper.execution.queue import DeadlineQueue
from tests.clipper.execution.fakes import SUM, RecordingWaiter


def flight(deadline: float, data: bytes = b"x") -> Flight:
    return Flight(SUM, data, deadline, 0.0, [RecordingWaiter()])


@given(st.lists(st.floats(0, 1000), max_size=50), st.integers(1, 10))
def test_batches_come_most_urgent_first_and_lose_nothing(deadlines: list[float], most: int) -> None:
    queue = DeadlineQueue()
    for deadline in deadlines:
        queue.push(flight(deadline))
    taken = []
    while queue.waiting:
        batch = queue.take(most)
        assert 0 < len(batch) <= most
        taken += [each.deadline for each in batch]
    assert taken == sorted(deadlines)


def test_equal_deadlines_are_first_come_first_served() -> None:
    queue = DeadlineQueue()
    flights = [flight(1.0) for _ in range(20)]
    for each in flights:
        queue.push(each)
    assert queue.take(20) == flights


@given(st.lists(st.booleans(), max_size=300), st.booleans())
def test_flights_that_are_over_leave_no_place_behind(over: list[bool], least_urgent_first: bool) -> None:
    queue = DeadlineQueue()
    flights = [flight(float(n)) for n in range(len(over))]
    for each in reversed(flights) if least_urgent_first else flights:
        queue.push(each)
    for each, gone in zip(flights, over, strict=True):
        if gone:
            queue.discard(each)
    kept = [each for each, gone in zip(flights, over, strict=True) if not gone]
    assert queue.waiting == len(kept)
    assert len(queue._line) <= 2 * len(kept) + 64
    assert queue.take(1000) == kept
    assert queue.waiting == 0


def test_a_flight_that_somebody_joined_waits_as_long_as_the_last_of_them() -> None:
    queue = DeadlineQueue()
    first = flight(1.0)
    queue.push(first)
    first.join(RecordingWaiter(), 3.0)
    assert queue.expired(2.0) == []
    assert queue.expired(3.0) == [first]


def test_an_empty_queue_gives_an_empty_batch() -> None:
    assert DeadlineQueue().take(5) == []


def test_a_batch_is_bounded_in_bytes_but_never_empty() -> None:
    queue = DeadlineQueue()
    half = bytes(queue_module.BATCH_BYTES // 2)
    for n in range(3):
        queue.push(flight(float(n), half))
    assert len(queue.take(10)) == 2
    queue.push(flight(0.0, bytes(queue_module.BATCH_BYTES + 1)))
    assert len(queue.take(10)) == 1


def test_the_size_of_the_inputs_that_wait_is_known() -> None:
    queue = DeadlineQueue()
    flights = [flight(float(n), bytes(10**n)) for n in range(4)]
    for each in flights:
        queue.push(each)
    assert queue.bytes == 1111
    queue.take(1)
    assert queue.bytes == 1110
    queue.discard(flights[1])
    assert queue.bytes == 1100
    list(queue.drain())
    assert queue.bytes == 0
