"""The stream of a tunnel, without a socket: nothing is lost, nothing comes twice, and lies are found out."""

from __future__ import annotations

import random

import pytest

from bgpipe.net.reliable_stream import ReliableStream, StreamBroken


def number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def test_frames_are_numbered_and_kept_until_acknowledged():
    stream = ReliableStream()
    for octets in (b"one", b"two", b"three"):
        stream.put(octets)
    assert [stream.next(), stream.next()] == [number(1) + b"one", number(2) + b"two"]
    stream.acknowledge(1)
    assert (stream.size, stream.acknowledged) == (8, 1)
    stream.resume(1)
    assert [stream.next(), stream.next(), stream.next()] == [number(2) + b"two", number(3) + b"three", b""]


def test_doubles_are_dropped():
    stream = ReliableStream()
    assert stream.receive(number(1) + b"one") == b"one"
    assert stream.receive(number(1) + b"one") == b""
    assert stream.receive(number(2) + b"two") == b"two"
    assert (stream.received, stream.doubles) == (2, 1)


@pytest.mark.parametrize("frame", [b"", number(1), number(2) + b"x", b"\xff" * 9])
def test_frames_that_can_not_be(frame):
    with pytest.raises(StreamBroken):
        ReliableStream().receive(frame)


def test_acknowledgements_that_can_not_be():
    stream = ReliableStream()
    stream.put(b"one")
    with pytest.raises(StreamBroken):
        stream.acknowledge(1)  # it was not sent yet
    stream.next()
    stream.acknowledge(1)
    for received in (0, 2, -1):
        with pytest.raises(StreamBroken):
            stream.resume(received)


def test_connections_that_are_lost_at_any_moment():
    """A thousand of them, each after a random number of frames and acknowledgements in both directions."""
    chance = random.Random(7)
    near, far = ReliableStream(), ReliableStream()
    sent: list[bytes] = []
    got: list[bytes] = []
    for _ in range(1000):
        for _ in range(chance.randrange(4)):
            sent.append(str(len(sent)).encode())
            near.put(sent[-1])
        for _ in range(chance.randrange(6)):
            got += [far.receive(frame) for frame in (near.next(),) if frame]
        if chance.random() < 0.5:
            near.acknowledge(far.received)
        near.resume(far.received)
    while frame := near.next():
        got.append(far.receive(frame))
    assert got == sent
    near.acknowledge(far.received)
    assert near.size == 0
