from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clipper.execution.cache import ENTRY_BYTES, MOST_SPARED, Ghosts, PredictionCache

KEYS = st.tuples(st.integers(1, 3), st.binary(max_size=3))
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["put", "fetch", "forget"]), KEYS, st.binary(max_size=100)), max_size=80
)
COST = ENTRY_BYTES + 2 + 1
"""Bytes of an entry whose input has two bytes and whose output has one."""


def name(number: int) -> tuple[int, bytes]:
    return 1, number.to_bytes(2, "big")


def holding(entries: int, room: int) -> PredictionCache:
    """A cache with room for ``room`` entries that holds those of the numbers below ``entries``, none of them read."""
    cache = PredictionCache(room * COST)
    for number in range(entries):
        cache.put(name(number), b"1")
    return cache


def held(cache: PredictionCache, numbers: range) -> set[int]:
    return {number for number in numbers if cache.fetch(name(number))}


@given(OPERATIONS, st.integers(0, 12 * ENTRY_BYTES))
def test_it_never_lies_and_never_outgrows_its_bound(
    operations: list[tuple[str, tuple[int, bytes], bytes]], limit: int
) -> None:
    cache = PredictionCache(limit)
    truth: dict[tuple[int, bytes], set[bytes | None]] = {}
    for verb, key, output in operations:
        if verb == "put":
            cache.put(key, output)
            truth.setdefault(key, {None}).add(output)
        elif verb == "forget":
            cache.forget(key[0])
            truth = {known: value for known, value in truth.items() if known[0] != key[0]}
        else:
            assert cache.fetch(key) in truth.get(key, {None})
        assert 0 <= cache.size_bytes <= limit
        assert (cache.size_bytes == 0) == (len(cache) == 0)


@given(OPERATIONS, st.integers(0, 12 * ENTRY_BYTES))
def test_it_counts_every_byte_of_what_it_holds(
    operations: list[tuple[str, tuple[int, bytes], bytes]], limit: int
) -> None:
    cache = PredictionCache(limit)
    for verb, key, output in operations:
        if verb == "put":
            cache.put(key, output)
        elif verb == "forget":
            cache.forget(key[0])
        else:
            cache.fetch(key)
    outputs = {key: cache.fetch(key) for _, key, _ in operations}
    costs = [ENTRY_BYTES + len(key[1]) + len(output) for key, output in outputs.items() if output is not None]
    assert (len(cache), cache.size_bytes) == (len(costs), sum(costs))


def test_keys_with_the_same_hash_do_not_answer_for_each_other() -> None:
    class Collision(bytes):
        def __hash__(self) -> int:
            return 7

    cache = PredictionCache(10_000)
    cache.put((1, Collision(b"a")), b"1")
    assert cache.fetch((1, Collision(b"b"))) is None
    assert cache.fetch((1, Collision(b"a"))) == b"1"


def test_what_was_not_read_leaves_first_and_in_the_order_of_arrival() -> None:
    cache = holding(3, room=3)
    cache.fetch(name(0))
    cache.put(name(3), b"1")
    assert held(cache, range(4)) == {0, 2, 3}


def test_inputs_that_come_once_do_not_drive_out_those_that_are_asked_for() -> None:
    cache = holding(50, room=100)
    assert held(cache, range(50)) == set(range(50))
    for number in range(1000, 2000):
        cache.put(name(number), b"1")
    assert held(cache, range(50)) == set(range(50))


def test_what_nobody_asks_for_any_more_leaves_once_others_are_asked_for() -> None:
    cache = holding(100, room=100)
    held(cache, range(100))
    for number in range(1000, 1300):
        cache.put(name(number), b"1")
        cache.fetch(name(number))
    assert held(cache, range(100)) == set()


def test_a_key_that_comes_back_soon_after_it_left_is_not_on_probation_again() -> None:
    cache = holding(100, room=100)
    held(cache, range(50))
    for number in (100, 101):
        cache.put(name(number), b"1")  # the first takes 0 to 49 to the main queue, and both drive out one: 50, 51
    cache.put(name(50), b"1")
    for number in range(1000, 1060):
        cache.put(name(number), b"1")
    assert held(cache, range(50, 102)) == {50}


def test_a_walk_over_entries_that_were_all_read_has_an_end() -> None:
    cache = holding(1000, room=1000)
    held(cache, range(1000))
    cache.put(name(1000), b"1")
    assert held(cache, range(1001)) == set(range(1001)) - {MOST_SPARED}


def test_the_first_output_of_an_input_stands_while_it_is_held() -> None:
    cache = holding(1, room=2)
    cache.put(name(0), b"another")
    assert cache.fetch(name(0)) == b"1"
    assert cache.size_bytes == COST


def test_an_output_larger_than_the_cache_is_not_kept() -> None:
    cache = PredictionCache(1000)
    cache.put((1, b"small"), b"1")
    cache.put((1, b"large"), bytes(2000))
    assert cache.fetch((1, b"small")) == b"1"
    assert cache.fetch((1, b"large")) is None


def test_a_version_that_was_deleted_leaves_nothing_but_room() -> None:
    cache = holding(10, room=20)
    cache.put((2, b"ab"), b"2")
    held(cache, range(5))
    cache.forget(1)
    assert held(cache, range(10)) == set()
    assert cache.fetch((2, b"ab")) == b"2"
    assert cache.size_bytes == COST
    for number in range(20):
        cache.put(name(number), b"1")
    assert len(cache) == 20


def test_only_the_last_that_left_are_remembered() -> None:
    ghosts = Ghosts()
    for number in range(1000):
        ghosts.add(number, most=100)
        assert len(ghosts) <= 101
    assert all(number in ghosts for number in range(950, 1000))
    assert not any(number in ghosts for number in range(899))
