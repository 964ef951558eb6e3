"""What the user's function sees of a batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper.container.inputs import Inputs
from clipper.rpc.wire import Frame, FrameReader, InputType, Kind, WireError, encode_batch

DTYPES = {
    InputType.BYTES: np.uint8,
    InputType.INTEGERS: np.int32,
    InputType.FLOATS: np.float32,
    InputType.DOUBLES: np.float64,
}
numeric = st.sampled_from(list(DTYPES))


def receive(inputs: list[bytes]) -> Frame:
    (frame,) = FrameReader().feed(encode_batch(1, inputs, 0))
    return frame


def see(input_type: InputType, inputs: list[bytes]) -> np.ndarray:
    return Inputs(receive(inputs), input_type).part(0, len(inputs))


@given(numeric, st.integers(1, 7), st.integers(0, 9))
def test_equal_lengths_are_one_writable_view(input_type, count, length):
    sent = np.arange(count * length).reshape(count, length).astype(DTYPES[input_type])
    frame = receive([row.tobytes() for row in sent])
    seen = Inputs(frame, input_type).part(0, count)

    assert seen.dtype == DTYPES[input_type]
    assert seen.shape == (count, length)
    assert (seen == sent).all()
    assert seen.flags.writeable
    assert seen.flags.aligned
    assert length == 0 or np.shares_memory(seen, np.frombuffer(frame.payload, np.uint8))


@given(numeric, st.lists(st.integers(0, 9), min_size=2, max_size=7).filter(lambda lengths: len(set(lengths)) > 1))
def test_differing_lengths_are_an_object_array_of_arrays(input_type, lengths):
    sent = [np.arange(length).astype(DTYPES[input_type]) for length in lengths]
    seen = see(input_type, [each.tobytes() for each in sent])

    assert seen.dtype == object
    assert seen.shape == (len(lengths),)
    for got, put in zip(seen, sent, strict=True):
        assert got.dtype == put.dtype
        assert got.tolist() == put.tolist()
        assert got.flags.writeable


@given(st.lists(st.text(st.characters()), min_size=1, max_size=7))
def test_strings_are_an_object_array_of_str(sent):
    seen = see(InputType.STRINGS, [each.encode("utf-8", "surrogatepass") for each in sent])

    assert seen.dtype == object
    assert seen.shape == (len(sent),)
    assert seen.tolist() == sent
    assert all(type(each) is str for each in seen)


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=8), st.data())
def test_part_is_the_same_as_that_slice(sent, data):
    first = data.draw(st.integers(0, len(sent) - 1))
    end = data.draw(st.integers(first + 1, len(sent)))
    seen = Inputs(receive(sent), InputType.BYTES).part(first, end)

    assert [bytes(each) for each in seen] == sent[first:end]


def test_input_that_is_no_whole_number_of_elements_is_a_value_error():
    with pytest.raises(ValueError, match="an input of 7 bytes is not a whole number of doubles"):
        see(InputType.DOUBLES, [bytes(7), bytes(8)])


def test_text_that_is_not_utf8_is_a_value_error():
    with pytest.raises(ValueError, match="invalid start byte"):
        see(InputType.STRINGS, [b"\xff"])


def test_malformed_message_is_a_wire_error():
    with pytest.raises(WireError):
        Inputs(Frame(Kind.BATCH, 1, 9, 0, memoryview(bytearray(8))), InputType.BYTES)
