"""The wire: what is encoded comes back, however the stream is cut; anything else is a WireError."""

import contextlib
import json
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipper.rpc import wire
from clipper.rpc.wire import Frame, FrameReader, Hello, InputType, Kind, Outcome, WireError
from tests.outcomes import apart

DOCUMENT = Path(__file__).parents[3] / "docs" / "wire.md"
BLOCKS = re.findall(r"```hex ([\w ]+)\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
EXAMPLES = {name: bytes.fromhex(text) for name, text in BLOCKS}

u32 = st.integers(0, 2**32 - 1)
inputs = st.lists(st.binary(max_size=40), max_size=20)
outcomes = st.lists(st.builds(Outcome, st.booleans(), st.binary(max_size=40)), max_size=20)
messages = st.one_of(
    st.builds(wire.encode_batch, u32, inputs, u32),
    st.builds(wire.encode_outcomes, u32, outcomes),
    st.builds(wire.encode_refused, st.text(max_size=30)),
    st.sampled_from([wire.encode_welcome(), wire.encode_goodbye()]),
)


def only(data: bytes) -> Frame:
    (frame,) = FrameReader().feed(data)
    return frame


def plain(frame: Frame) -> tuple[int, int, int, int, bytes]:
    return (frame.kind, frame.batch_id, frame.items, frame.budget_micros, bytes(frame.payload))


@given(batch_id=u32, batch=inputs, budget=u32)
def test_batch_comes_back(batch_id, batch, budget):
    frame = only(wire.encode_batch(batch_id, batch, budget))

    assert plain(frame)[:4] == (Kind.BATCH, batch_id, len(batch), budget)
    assert [bytes(each) for each in wire.decode_batch(frame)] == batch
    assert list(wire.decode_lengths(frame)) == [len(each) for each in batch]
    assert bytes(frame.payload[wire.item_offset(len(batch)) :]).startswith(b"".join(batch))


names = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=10)


@given(batch=st.lists(st.tuples(st.binary(max_size=20), names), min_size=1, max_size=20))
def test_request_ids_come_back(batch):
    given_inputs, given_names = [each for each, _ in batch], [name for _, name in batch]
    frame = only(wire.encode_batch(7, given_inputs, 0, given_names))

    assert [bytes(each) for each in wire.decode_batch(frame)] == given_inputs
    assert wire.decode_request_ids(frame) == (given_names if len(batch) > 1 or any(given_names) else [])


def test_a_batch_without_request_ids_has_none():
    assert wire.decode_request_ids(only(wire.encode_batch(7, [b"x", b"y"], 0))) == []


@pytest.mark.parametrize(("sent", "problem"), [(b"a", "2 queries comes with 1 request ids"), (b"a\nb\nc", "with 3")])
def test_request_ids_that_do_not_fit_break_the_protocol(sent, problem):
    payload = struct.pack("<II", 0, 0), sent
    frame = only(wire.encode_frame(Kind.BATCH, payload, count=2, id_bytes=len(sent)))
    with pytest.raises(WireError, match=problem):
        wire.decode_request_ids(frame)


def test_request_ids_beyond_the_message_break_the_protocol():
    frame = only(wire.encode_frame(Kind.BATCH, (struct.pack("<II", 0, 0),), count=2, id_bytes=1000))
    with pytest.raises(WireError, match="but it has 8"):
        wire.decode_request_ids(frame)


@given(batch_id=u32, sent=outcomes)
def test_outcomes_come_back(batch_id, sent):
    frame = only(wire.encode_outcomes(batch_id, sent))

    assert (frame.kind, frame.batch_id) == (Kind.OUTCOMES, batch_id)
    assert apart(wire.decode_outcomes(frame)) == sent


numbers = st.none() | st.integers()


@given(st.builds(Hello, st.text(), st.text(), st.text(), numbers, numbers, st.none() | st.text()))
def test_hello_comes_back(hello):
    assert wire.decode_hello(only(wire.encode_hello(hello))) == hello


@given(st.text().filter(lambda text: not text.endswith("\0")))
def test_refusal_comes_back(reason):
    assert wire.decode_text(only(wire.encode_refused(reason))) == reason


@given(st.lists(messages, max_size=6), st.data())
def test_any_cut_of_the_stream_gives_the_same_frames(sent, data):
    stream = b"".join(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reader = FrameReader()
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += reader.feed(stream[start:end])

    assert [plain(each) for each in received] == [plain(only(each)) for each in sent]


def test_receiving_in_place_byte_by_byte_gives_the_same_frame():
    message = wire.encode_batch(3, [b"abc", b"", b"d"], 9)
    reader = FrameReader()
    frames = []
    for byte in message:
        target = reader.buffer()
        assert len(target) > 0
        target[0] = byte
        frames.append(reader.advance(1))

    assert frames[:-1] == [None] * (len(message) - 1)
    assert frames[-1] is not None
    assert plain(frames[-1]) == plain(only(message))


@given(st.binary(max_size=120))
@settings(max_examples=300)
def test_garbage_is_frames_or_a_wire_error(garbage):
    reader = FrameReader(max_payload=4096)
    try:
        frames = reader.feed(garbage)
    except WireError:
        return
    for frame in frames:
        read_all_ways(frame)


@given(messages, st.data())
@settings(max_examples=300)
def test_a_damaged_message_is_a_message_or_a_wire_error(message, data):
    damaged = bytearray(message)
    damaged[data.draw(st.integers(4, len(message) - 1))] ^= data.draw(st.integers(1, 255))

    for frame in FrameReader().feed(damaged):
        read_all_ways(frame)


def read_all_ways(frame):
    wire.decode_text(frame)
    for read in (wire.decode_hello, wire.decode_batch, wire.decode_lengths, wire.decode_outcomes):
        with contextlib.suppress(WireError):
            read(frame)


@pytest.mark.parametrize("length", [4, 7, wire.MAX_PAYLOAD + 8, 2**32 - 8])
def test_announced_length_that_is_odd_or_too_large_is_refused_before_any_memory(length):
    with pytest.raises(WireError, match=str(length)):
        FrameReader().feed(struct.pack("<IB3xIIII", length, Kind.BATCH, 0, 0, 0, 0))


def test_the_limit_of_a_reader_is_its_own():
    message = wire.encode_refused("x" * 100)

    assert len(FrameReader(max_payload=104).feed(message)) == 1
    with pytest.raises(WireError, match="104 bytes: not a multiple of 8 up to 96"):
        FrameReader(max_payload=96).feed(message)


@pytest.mark.parametrize("read", [wire.decode_batch, wire.decode_lengths, wire.decode_outcomes])
def test_items_beyond_the_payload_are_refused(read):
    with pytest.raises(WireError, match="take 24 bytes, but it has 16"):
        read(Frame(Kind.BATCH, 0, 2, 0, memoryview(bytearray(struct.pack("<IIII", 8, 8, 0, 0)))))
    with pytest.raises(WireError, match="can't hold the lengths of 4294967295 items"):
        read(Frame(Kind.BATCH, 0, 2**32 - 1, 0, memoryview(bytearray(16))))


HELLO = {"model_name": "m", "model_version": "1", "input_type": "doubles", "protocol": 1}


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"", "can't be read"),
        (b"\xff\xfe", "can't be read"),
        (b"[" * 100_000, "can't be read"),
        (b"[1]", "must be a JSON object"),
        (json.dumps(HELLO | {"protocol": 2, "new": 1}).encode(), "speaks protocol 2, this frontend 1"),
        (json.dumps(HELLO | {"model_name": 5}).encode(), "no valid model_name: 5"),
        (json.dumps(HELLO | {"input_type": ["d"]}).encode(), "no valid input_type"),
        (json.dumps(HELLO | {"replica_id": "0"}).encode(), "no valid replica_id"),
        (b'{"protocol": 1, "model_name": "m"}', "no valid model_version: None"),
    ],
)
def test_bad_hello_is_a_wire_error_that_says_why(payload, complaint):
    with pytest.raises(WireError, match=complaint):
        wire.decode_hello(Frame(Kind.HELLO, 0, 0, 0, memoryview(bytearray(payload))))


def test_another_message_instead_of_hello_is_a_wire_error():
    with pytest.raises(WireError, match="expected HELLO as the first message, got kind 6"):
        wire.decode_hello(only(wire.encode_goodbye()))


def test_fields_of_a_newer_hello_are_ignored():
    payload = memoryview(bytearray(json.dumps(HELLO | {"colour": "blue"}).encode()))

    assert wire.decode_hello(Frame(Kind.HELLO, 0, 0, 0, payload)) == Hello("m", "1", "doubles")


@pytest.mark.parametrize(("budget", "sent"), [(-5, 0), (0, 0), (2**32 - 1, 2**32 - 1), (2**40, 2**32 - 1)])
def test_budget_is_clamped_to_what_the_header_holds(budget, sent):
    assert only(wire.encode_batch(1, [b"x"], budget)).budget_micros == sent


def test_message_over_the_limit_is_not_sent():
    chunk = bytes(1 << 20)

    with pytest.raises(WireError, match="over the limit"):
        wire.encode_frame(Kind.BATCH, [chunk] * 1025)


def test_items_are_aligned_to_eight_bytes():
    assert [wire.item_offset(count) for count in range(6)] == [0, 8, 8, 16, 16, 24]


def test_payload_is_writable_and_its_own():
    reader = FrameReader()
    first, second = reader.feed(wire.encode_batch(1, [b"aa"], 0) + wire.encode_batch(2, [b"bb"], 0))
    first.payload[:] = bytes(len(first.payload))

    assert bytes(wire.decode_batch(second)[0]) == b"bb"


@pytest.mark.parametrize("alias", ["doubles", "double", "d"])
def test_aliases_mean_their_type(alias):
    assert wire.parse_input_type(alias) is InputType.DOUBLES


@pytest.mark.parametrize("text", ["", "Doubles", "e", " d"])
def test_unknown_type_names_the_types(text):
    with pytest.raises(ValueError, match="is not a valid input string: the input types are bytes, integers, floats"):
        wire.parse_input_type(text)


def test_document_shows_each_kind_of_message():
    assert list(dict.fromkeys(name.split()[-1] for name in EXAMPLES)) == [each.name for each in Kind]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_the_document_are_whole_messages(name):
    frame = only(EXAMPLES[name])

    assert frame.kind == Kind[name.split()[-1]]


def test_examples_of_the_document_are_what_we_send():
    batch = [struct.pack("<d", 1.5), struct.pack("<2d", 2.0, -1.0)]

    assert EXAMPLES["WELCOME"] == wire.encode_welcome()
    assert EXAMPLES["REFUSED"] == wire.encode_refused("no such model")
    assert EXAMPLES["BATCH"] == wire.encode_batch(7, batch, 20_000)
    assert EXAMPLES["NAMED BATCH"] == wire.encode_batch(7, batch, 20_000, ["", "r-7"])
    assert EXAMPLES["OUTCOMES"] == wire.encode_outcomes(7, [Outcome(True, b"1.5"), Outcome(False, b"no")])
    assert EXAMPLES["GOODBYE"] == wire.encode_goodbye()
    assert wire.decode_hello(only(EXAMPLES["HELLO"])) == Hello("sum", "1", "doubles", replica_id=0)


def test_limits_of_the_document_are_ours():
    document = DOCUMENT.read_text()

    assert wire.HEADER_BYTES == 24
    assert wire.MAX_PAYLOAD == 2**30
    assert wire.MAX_OUTCOMES == 2**28
    assert f"Protocol version {wire.PROTOCOL_VERSION}." in document
    assert "2^30 bytes; of OUTCOMES 2^28" in document


def test_outcomes_tell_how_long_the_container_worked():
    (frame,) = wire.FrameReader().feed(wire.encode_outcomes(7, [wire.Outcome(True, b"1")], 12_345))
    assert (frame.batch_id, frame.budget_micros) == (7, 12_345)
    (frame,) = wire.FrameReader().feed(wire.encode_outcomes(7, [wire.Outcome(True, b"1")], 2**40))
    assert frame.budget_micros == 2**32 - 1
