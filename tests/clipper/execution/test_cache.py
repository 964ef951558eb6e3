from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clipper.execution.cache import ENTRY_BYTES, PredictionCache

KEYS = st.tuples(st.integers(1, 3), st.binary(max_size=3))
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["put", "fetch", "forget"]), KEYS, st.binary(max_size=100)), max_size=80
)


@given(OPERATIONS, st.integers(0, 5 * ENTRY_BYTES))
def test_it_never_lies_and_never_outgrows_its_bound(
    operations: list[tuple[str, tuple[int, bytes], bytes]], limit: int
) -> None:
    cache = PredictionCache(limit)
    truth: dict[tuple[int, bytes], bytes] = {}
    for verb, key, output in operations:
        if verb == "put":
            cache.put(key, output)
            truth[key] = output
        elif verb == "forget":
            cache.forget(key[0])
            truth = {known: value for known, value in truth.items() if known[0] != key[0]}
        else:
            assert cache.fetch(key) in (None, truth.get(key))
        assert 0 <= cache.size_bytes <= limit
        assert (cache.size_bytes == 0) == (len(cache) == 0)


def test_keys_with_the_same_hash_do_not_answer_for_each_other() -> None:
    class Collision(bytes):
        def __hash__(self) -> int:
            return 7

    cache = PredictionCache(10_000)
    cache.put((1, Collision(b"a")), b"1")
    assert cache.fetch((1, Collision(b"b"))) is None
    assert cache.fetch((1, Collision(b"a"))) == b"1"


def test_an_entry_that_was_read_gets_a_second_chance() -> None:
    cache = PredictionCache(3 * (ENTRY_BYTES + 2))
    for name in (b"a", b"b", b"c"):
        cache.put((1, name), b"1")
    cache.fetch((1, b"a"))
    cache.put((1, b"d"), b"1")
    assert cache.fetch((1, b"a")) == b"1"
    assert cache.fetch((1, b"b")) is None


def test_an_output_larger_than_the_cache_is_not_kept() -> None:
    cache = PredictionCache(1000)
    cache.put((1, b"small"), b"1")
    cache.put((1, b"large"), bytes(2000))
    assert cache.fetch((1, b"small")) == b"1"
    assert cache.fetch((1, b"large")) is None
