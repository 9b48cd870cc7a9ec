"""MRT archives that are cut, flipped and patched: what is whole is read, and each damage is told once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from bgpipe.formats.base import Block, Counts, Damage
from bgpipe.formats.mrt import MrtDecoder, MrtEncoder
from bgpipe.wire.context import AS4
from bgpipe.wire.message import KEEPALIVE, UPDATE, Message
from bgpipe.wire.state import StateChange

PEERS = [bytes.fromhex(f"0000fde{n}0000fdf1000000010a00000{n}0a0000ff") for n in range(9)]
TABLE = bytes.fromhex("0a00000100000002020a0000020a0000020000fde9020a0000030a0000030000fdea")


def record(kind: int, subtype: int, body: bytes, time: int = 1_700_000_000) -> bytes:
    head = time.to_bytes(4, "big") + kind.to_bytes(2, "big") + subtype.to_bytes(2, "big")
    return head + len(body).to_bytes(4, "big") + body


def update(rng: random.Random) -> bytes:
    """The body of an UPDATE with one to four prefixes."""
    path = b"".join(rng.randrange(1, 1 << 32).to_bytes(4, "big") for _ in range(rng.randrange(1, 6)))
    attributes = b"\x40\1\1\0\x40\2" + bytes((len(path) + 2, 2, len(path) // 4)) + path + b"\x40\3\4" + rng.randbytes(4)
    nlri = b"".join(b"\x18" + rng.randbytes(3) for _ in range(rng.randrange(1, 5)))
    return b"\0\0" + len(attributes).to_bytes(2, "big") + attributes + nlri


def messages(count: int) -> list[bytes]:
    """Records of BGP4MP_ET, each of them different."""
    rng = random.Random(6396)
    encoder = MrtEncoder()
    made = []
    for n in range(count):
        time = (1_700_000_000 + n // 20) * 1_000_000 + n
        kind, body = (KEEPALIVE, b"") if rng.random() < 0.02 else (UPDATE, update(rng))
        made.append(encoder.encode(Message(kind, body, time=time, context=AS4, peer=rng.choice(PEERS))))
    return made


def routes(count: int) -> list[bytes]:
    """Records of TABLE_DUMP_V2, each of one route with attributes of its own."""
    rng = random.Random(8050)
    made = []
    for n in range(count):
        attributes = b"\x40\1\1\0\x40\2\6\2\1" + n.to_bytes(4, "big") + b"\x40\3\4" + rng.randbytes(4)
        entry = b"\0\0" + bytes(4) + len(attributes).to_bytes(2, "big") + attributes
        made.append(record(13, 2, n.to_bytes(4, "big") + b"\x18" + rng.randbytes(3) + b"\0\1" + entry))
    return made


def decode(octets: bytes, size: int = 1 << 16, **options: bool) -> tuple[list[Message], list[Damage], Counts]:
    damage: list[Damage] = []
    decoder = MrtDecoder(on_damage=damage.append, **options)
    found: list[Message] = []
    for pos in range(0, len(octets), size):
        for item in decoder.feed(octets[pos : pos + size]):
            found += item if isinstance(item, Block) else [item]
    for item in decoder.end():
        found += item if isinstance(item, Block) else [item]
    assert decoder.counts.damaged == len(damage)
    assert decoder.counts.messages == sum(not isinstance(message, StateChange) for message in found)
    return found, damage, decoder.counts


def identity(message: Message) -> tuple[int, bytes]:
    return message.time, message.body


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_file_cut_at_any_octet_keeps_what_was_before_the_cut(size: int) -> None:
    records = messages(12)
    whole = b"".join(records)
    expected = [identity(message) for message in decode(whole)[0]]
    ends = [sum(map(len, records[: n + 1])) for n in range(len(records))]
    for cut in range(0, len(whole), 1 if size > 100 else 37):
        found, damage, counts = decode(whole[:cut], size)
        complete = sum(end <= cut for end in ends)
        assert [identity(message) for message in found] == expected[:complete]
        assert len(damage) == (cut not in (0, *ends))
        assert counts.records == complete + len(damage)
        if damage:
            assert damage[0].offset == ([0, *ends])[complete]


def test_a_rib_cut_at_any_octet_keeps_what_was_before_the_cut() -> None:
    records = [record(13, 1, TABLE), *routes(8)]
    whole = b"".join(records)
    ends = [sum(map(len, records[: n + 1])) for n in range(len(records))]
    for cut in range(len(whole)):
        found, damage, _ = decode(whole[:cut])
        assert len(found) == max(0, sum(end <= cut for end in ends) - 1)
        assert len(damage) == (cut not in (0, *ends))


def cut_out(rng: random.Random, octets: bytearray, place: int) -> None:
    del octets[place : place + rng.randrange(1, 40)]


def put_in(rng: random.Random, octets: bytearray, place: int) -> None:
    octets[place:place] = rng.randbytes(rng.randrange(1, 40))


def flip(rng: random.Random, octets: bytearray, place: int) -> None:
    octets[place] ^= 1 << rng.randrange(8)


Damaging = Callable[[random.Random, bytearray, int], None]


@pytest.mark.parametrize("damaging", [(flip,), (cut_out,), (put_in,), (flip, cut_out, put_in)])
@pytest.mark.parametrize("make", [messages, routes])
def test_500_random_damages_cost_hardly_more_than_the_records_they_hit(
    make: Callable[[int], list[bytes]], damaging: tuple[Damaging, ...]
) -> None:
    rng = random.Random(20)
    records = make(10_000)
    start = [record(13, 1, TABLE)] if make is routes else []
    hit = set(rng.sample(range(len(records)), 500))
    pieces = list(start)
    for n, octets in enumerate(records):
        patched = bytearray(octets)
        if n in hit:
            rng.choice(damaging)(rng, patched, rng.randrange(len(octets)))
        pieces.append(bytes(patched))
    whole = [identity(message) for message in decode(b"".join(start + records))[0]]
    assert len(whole) == 10_000
    sound = Counter(key for n, key in enumerate(whole) if n not in hit)
    found, damage, counts = decode(b"".join(pieces))
    recovered = sum((sound & Counter(map(identity, found))).values())
    assert recovered >= 0.99 * 9500
    assert len(found) <= 10_000 + 50  # nothing is read twice
    assert 1 <= len(damage) <= 700  # one that hits a route may be told for its record and again for the next
    both = sum("after the message" in each.text for each in damage)  # records that are read, and damaged
    assert counts.records == len(found) + len(damage) - both + counts.skipped + len(start)


def test_damage_at_the_edge_of_a_piece_is_got_over_too() -> None:
    records = messages(60)
    patched = [octets[:-9] if n % 10 == 5 else octets for n, octets in enumerate(records)]
    expected = [identity(decode(octets)[0][0]) for n, octets in enumerate(records) if n % 10 != 5]
    for size in (1, 13, 100, 1000):
        found, damage, _ = decode(b"".join(patched), size)
        assert [key for key in map(identity, found) if key in expected] == expected
        assert len(damage) == 6


def test_octets_behind_a_message_cost_only_themselves() -> None:
    """The message is read as long as its record is framed; another message behind it is told, not read."""
    first, second, third = messages(3)
    body = second[12:]
    for more in (b"\0", bytes(40), body[-23:]):
        longer = second[:8] + (len(body) + len(more)).to_bytes(4, "big") + body + more
        for size in (1 << 20, 7):
            found, damage, counts = decode(first + longer + third, size)
            assert [identity(each) for each in found] == [identity(decode(each)[0][0]) for each in messages(3)]
            assert [each.offset for each in damage] == [len(first)]
            assert f"{len(more)} octets after the message in its record" in damage[0].text
            assert (counts.records, counts.messages, counts.damaged) == (3, 3, 1)


def test_a_record_that_reaches_over_the_next_one_is_not_believed() -> None:
    first, second, third = messages(3)
    longer = second[:8] + (len(second) - 12 + len(third)).to_bytes(4, "big") + second[12:]
    found, damage, _ = decode(first + longer + third)
    assert [identity(each) for each in found] == [identity(decode(each)[0][0]) for each in (first, third)]
    assert len(damage) == 1


@pytest.mark.parametrize("size", [65_516, 65_517, 65_529, 65_535, 65_536, 65_547, 70_000])
def test_a_message_has_at_most_65535_octets(size: int) -> None:
    """A record of the old type BGP has the message without its header, so its length can say more."""
    first, second = messages(2)
    body = b"\0\0" + (size - 4).to_bytes(2, "big") + bytes(size - 4) if size < 65_540 else bytes(size)
    found, damage, counts = decode(first + record(5, 1, bytes(12) + body) + second)
    assert len(found) == (3 if size == 65_516 else 2)
    assert counts.damaged == len(damage) == 3 - len(found)
    for message in found:
        assert len(message.octets) <= 65_535


def test_a_record_that_is_too_long_for_its_type_is_damage() -> None:
    first, second = messages(2)
    found, damage, counts = decode(first + record(16, 4, bytes(66_000)) + second)
    assert (len(found), len(damage), counts.skipped) == (2, 1, 0)
    assert "BGP4MP/4 with an impossible length of 66000 octets" in damage[0].text


def test_noise_is_one_damage() -> None:
    noise = random.Random(1).randbytes(50_000)
    records = messages(4)
    found, damage, counts = decode(b"".join(records[:2]) + noise + b"".join(records[2:]))
    assert len(found) == 4
    assert [each.offset for each in damage] == [len(records[0]) + len(records[1])]
    assert "50000 octets skipped" in damage[0].text
    assert counts.records == 5
    found, damage, _ = decode(noise)
    assert (found, len(damage)) == ([], 1)


def test_a_length_beyond_belief_does_not_swallow_the_rest() -> None:
    first, second, third = messages(3)
    found, damage, _ = decode(first + second[:8] + b"\x7f\xff\xff\xff" + second[12:] + third)
    assert [identity(message) for message in found] == [identity(decode(octets)[0][0]) for octets in (first, third)]
    assert [each.offset for each in damage] == [len(first)]


def test_a_length_that_runs_past_the_end_is_told_from_a_cut() -> None:
    first, second, third = messages(3)
    found, damage, _ = decode(first + second[:8] + b"\0\0\xff\0" + second[12:] + third)
    assert len(found) == 2
    assert len(damage) == 1
    assert "record is cut short" in damage[0].text


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"\0", "octets are left over after the last record"),
        (bytes.fromhex("00000000001000010000000a0102"), "not the header of an MRT record"),
        (record(16, 1, bytes(6) + b"\0\3" + bytes(8) + b"\xff" * 16 + b"\0\x13\4"), "AFI 3"),
        (record(16, 1, bytes(6) + b"\0\1" + bytes(8) + bytes(16) + b"\0\x13\4"), "does not start with a marker"),
        (record(16, 1, bytes(6) + b"\0\1" + bytes(8) + b"\xff" * 16 + b"\0\x14\4"), "says that it has 20 octets"),
        (record(16, 0, bytes(6) + b"\0\1" + bytes(8) + b"\0\1\0\2\0\0"), "after a state change"),
        (record(13, 1, TABLE + b"\0"), "after the last entry"),
        (record(13, 2, bytes(4) + b"\x21" + bytes(5) + b"\0\0"), "prefix length 33"),
        (record(12, 1, bytes(8) + b"\x21" + bytes(13)), "prefix length 33"),
    ],
)
def test_a_bad_record_says_what_is_wrong_and_costs_itself(octets: bytes, text: str) -> None:
    before, after = messages(2)
    found, damage, counts = decode(before + octets + after if len(octets) > 14 else octets)
    assert len(found) == (2 if len(octets) > 14 else 0)
    assert len(damage) == counts.damaged == 1
    assert text in str(damage[0])
