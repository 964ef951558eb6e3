"""A container in another style, written from ``docs/wire.md`` alone: it must be able to serve.

It uses nothing of ``clipper``; the other end is the wire module. If this has to change, so has the document.
"""

import json
import socket
import struct
import threading

import pytest

from clipper.rpc import wire
from clipper.rpc.wire import Hello, Kind


def read(stream, count):
    data = b""
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def message(kind, payload=b"", batch_id=0, items=0):
    payload += bytes(-len(payload) % 8)
    return struct.pack("<IB3xIIII", len(payload), kind, batch_id, items, 0, 0) + payload


def answer(payload, items):
    """Sums of doubles; an empty input is an error."""
    lengths = struct.unpack(f"<{items}I", payload[: 4 * items])
    start = (4 * items + 7) // 8 * 8
    result_lengths, results = [], []
    for length in lengths:
        numbers = struct.unpack(f"<{length // 8}d", payload[start : start + length])
        start += length
        text = json.dumps(sum(numbers)).encode() if numbers else b"nothing to add"
        result_lengths.append(len(text) | (0 if numbers else 1 << 31))
        results.append(text)
    if items % 2:
        result_lengths.append(0)
    return struct.pack(f"<{len(result_lengths)}I", *result_lengths) + b"".join(results)


def tiny_container(address, told_to_stop):
    stream = socket.create_connection(address, timeout=30)
    hello = {"protocol": 1, "model_name": "tiny", "model_version": "2", "input_type": "doubles"}
    stream.sendall(message(1, json.dumps(hello).encode()))
    welcomed = False
    while True:
        length, kind, batch_id, items, _, _ = struct.unpack("<IB3xIIII", read(stream, 24))
        payload = read(stream, length)
        if kind == 2:
            welcomed = True
        elif kind == 4:
            assert welcomed
            stopping = told_to_stop.is_set()  # looked at before the answer is out: what is told later is for the next
            told_to_stop.clear()
            stream.sendall(message(5, answer(payload, items), batch_id, items))
            if stopping:
                stream.sendall(message(6))
        else:
            assert kind == 6
            return stream.close()


@pytest.fixture
def tiny(listen):
    frontend = listen("tcp")
    told_to_stop = threading.Event()
    address = frontend.listener.getsockname()
    thread = threading.Thread(target=tiny_container, args=(address, told_to_stop))
    thread.start()
    yield frontend.accept(), told_to_stop
    thread.join(30)
    assert not thread.is_alive()


def test_container_written_from_the_document_serves_and_leaves(tiny):
    peer, told_to_stop = tiny

    assert peer.welcome() == Hello("tiny", "2", "doubles")
    assert peer.ask(struct.pack("<2d", 1.5, 2.0)) == [(True, b"3.5")]
    assert peer.ask(struct.pack("<d", 1), b"", struct.pack("<3d", 1, 2, 3)) == [
        (True, b"1.0"),
        (False, b"nothing to add"),
        (True, b"6.0"),
    ]
    told_to_stop.set()
    assert peer.ask() == []
    assert peer.receive().kind == Kind.GOODBYE
    assert peer.ask(struct.pack("<d", 1)) == [(True, b"1.0")]
    peer.send(wire.encode_goodbye())
    assert peer.closed()
