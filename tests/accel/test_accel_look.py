"""Blocks opened and UPDATEs looked at by accel: the same objects as Python makes."""

from __future__ import annotations

import bz2
from collections.abc import Iterator

import pytest
from accel_records import MARKER, attribute, block, message, peer, record, update
from mutants import rare_records, sample_records

from bgpipe import accel
from bgpipe.formats import mrt
from bgpipe.wire import block as blocks
from bgpipe.wire import update_body as updates
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.context import AS2, AS4, AS4_ADD_PATH, WireContext
from bgpipe.wire.errors import WireError
from bgpipe.wire.flags import FLAG_ADD_PATH, FLAG_ADD_PATH_IPV4, FLAG_AS4, FLAG_LEFT, FLAG_PEER_AS4, FLAG_RIGHT
from bgpipe.wire.message import Message
from bgpipe.wire.prefix import Prefix
from bgpipe.wire.update import Update

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)

ORIGIN = attribute(0x40, 1, "00")
PATH = attribute(0x40, 2, "0202 0000fde9 0000fdea")


def read_blocks(octets: bytes) -> Iterator[Block]:
    decoder = mrt.MrtDecoder()
    for part in (decoder.feed(octets), decoder.end()):
        for item in part:
            if isinstance(item, Block):
                item.stamp("L", 1)
                yield item


def slots(opened: Message) -> tuple[type, dict[str, object]]:
    return type(opened), {name: getattr(opened, name) for name in Message.__slots__}


def decodes(view: Update) -> list[object]:
    answers: list[object] = []
    for name in ("reach", "withdrawn", "origin_as"):
        try:
            answer = getattr(view, name)
        except WireError as error:
            answer = str(error)
        answers.append(answer)
        if isinstance(answer, list):
            answers += map(type, answer)
    return answers


def check(octets: bytes, monkeypatch: pytest.MonkeyPatch) -> int:
    """Compares everything about the messages of an archive; how many there are."""
    found = list(read_blocks(octets))
    ours = [slots(opened) for each in found for opened in each]
    our_looks = [decodes(opened.update) for each in found for opened in each if opened.type == "UPDATE"]
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "_opener", lambda: None)
        patch.setattr(updates, "_looker", None)
        assert ours == [slots(opened) for each in found for opened in each]
        assert our_looks == [decodes(opened.update) for each in found for opened in each if opened.type == "UPDATE"]
    return len(ours)


@pytest.mark.parametrize("records", [sample_records, rare_records])
def test_the_same_as_python(records, monkeypatch):
    assert check(b"".join(records()), monkeypatch) > 100


@pytest.mark.parametrize(
    "name",
    [
        "updates.20190101.0000",
        "updates.20131201.0000",
        "updates.20191231.longwithdraw",
        "updates.20101107.trailingbits",
        "bview.20160107.addpath6",
        "bview.20020722.2337",
    ],
)
def test_real_archives(name, data, monkeypatch):
    with bz2.open(data / f"{name}.bz2") as stream:
        assert check(stream.read(500_000), monkeypatch)


def test_more_than_are_opened_together():
    octets = b"".join(record(message(bytes((0, 1, n >> 8, n & 255)), 5), micros=n) for n in range(600))
    found = [opened for each in read_blocks(octets) for opened in each]
    assert [int.from_bytes(opened.body[2:], "big") for opened in found] == list(range(600))
    assert [opened.seq for opened in found] == list(range(1, 601))


def test_one_of_them():
    octets = b"".join(record(message(bytes((0, 1, 0, n)), 5)) for n in range(9))
    (found,) = read_blocks(octets)
    assert found.message(3).body == b"\0\1\0\3"
    assert found.part(4, 6).message(1).body == b"\0\1\0\5"


def test_directions():
    for flags, direction in ((0, "?"), (FLAG_RIGHT, "R"), (FLAG_LEFT, "L"), (FLAG_LEFT | FLAG_RIGHT, "LR")):
        (opened,) = block(message(b"", 4), FLAG_AS4 | flags)
        assert opened.direction == direction


def test_messages_of_one_peer_share_its_header():
    octets = b"".join(record(message(b"", 4), header=peer(65000 + n % 3, ipv6=n % 2 == 1)) for n in range(60))
    headers = [opened.peer for each in read_blocks(octets) for opened in each]
    assert len(headers) == 60
    assert len({id(header) for header in headers}) == len(set(headers)) == 6


def test_peers_with_two_octets_for_an_as_number():
    (opened,) = next(read_blocks(record(message(b"", 4), 1, peer(65001, 65002, as4=False, interface=7))))
    assert opened.peer == peer(65001, 65002, interface=7)
    assert opened.context is AS2


def test_a_message_is_opened_with_everything_its_own_code_wants():
    (opened,) = block(update(ORIGIN + PATH, reach=b"\x08\x0a"), header=peer())
    assert opened.update.origin_as == 65002
    assert opened.tags["PEER_AS"] == "65001"
    opened.tags = {"A": "1"}
    assert opened.peer is None
    opened.update = opened.update.replace(reach=["192.0.2.0/24"])
    assert [str(prefix) for prefix in opened.update.reach] == ["192.0.2.0/24"]


@pytest.mark.parametrize(
    "entry",
    [
        (0, 0, 5, 0xFFFFFFFF, 19, 0, 0),
        (0, 0, 0xFFFFFFF0, 0xFFFFFFFF, 19, 0, 0),
        (0, 0, 0, 0xFFFFFFFF, 18, 0, 0),
        (0, 0, 0, 0, 19, FLAG_PEER_AS4, 0),
        (0, 0, 0, 19, 19, 0, 0),
        (0, 0, 0, 0xFFFFFFFE, 19, 0, 0),
    ],
)
def test_an_entry_that_leads_out_of_the_octets(entry):
    octets = message(b"", 4)[:19]
    with pytest.raises(ValueError, match="not in the block"):
        list(Block(octets, bytearray(ENTRY.pack(*entry))))


def test_flags_that_go_with_no_context():
    flags = FLAG_ADD_PATH | FLAG_ADD_PATH_IPV4
    entry = ENTRY.pack(0, 0, 0, NO_PEER, 19, flags, 0)
    with pytest.raises(ValueError, match="no context"):
        list(Block(message(b"", 4)[:19], bytearray(entry)))


def test_positions_outside_of_the_index():
    found = block(message(b"", 4))
    opener = blocks._opener()
    for start, stop, count in ((0, 99, 1), (1, 2, 0), (-5, 1, 1), (5, 3, 0), (0, -1, 0)):
        assert len(opener.open(found.octets, bytes(found.index), start, stop)) == count


def test_what_is_opened_must_be_made_of_slots():
    class Other:
        action = body = context = direction = _peer = seq = _tags = time = type_code = _value = verdict = 0

    with pytest.raises(TypeError):
        accel.look.Opener(Other, {}, ["?", "R", "L", "LR"])
    with pytest.raises(TypeError):
        accel.look.Opener(Message, {}, ["?"])
    with pytest.raises(TypeError):
        accel.look.Looker(Other, [AS2, AS4, AS2, AS4])


BODY = update(ORIGIN + PATH, reach=b"\x08\x0a\x0d\x0b\xff")[len(MARKER) + 3 :]


def test_prefixes_are_prefixes():
    looker = updates._looker
    prefixes = looker.reach(BODY, AS4)
    assert prefixes == [Prefix(1, 10 << 24, 8), Prefix(1, 11 << 24 | 0xF8 << 16, 13)]
    assert str(prefixes[1]) == "11.248.0.0/13"
    assert {prefixes[0]: 1}[Prefix(1, 10 << 24, 8)] == 1


def test_ipv6_and_path_identifiers():
    value = "000201 10 20010db8000000000000000000000001 00 00000007 80 20010db8000000000000000000000fff 00000008 00"
    body = update(ORIGIN, PATH, attribute(0x80, 14, value), withdrawn=b"\0\0\0\x09\0")[19:]
    looker = updates._looker
    address = 0x20010DB8000000000000000000000FFF
    assert looker.reach(body, AS4_ADD_PATH) == [Prefix(2, address, 128, 7), Prefix(2, 0, 0, 8)]
    assert looker.withdrawn(body, AS4_ADD_PATH) == [Prefix(1, 0, 0, 9)]


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        ("", None),
        ("0101 00000001", None),
        ("0201 00000001 0101 00000002", None),
        ("0101 00000002 0201 ffffffff", 2**32 - 1),
    ],
)
def test_origins(value, origin):
    body = update(ORIGIN, attribute(0x40, 2, value))[19:]
    assert updates._looker.origin_as(body, AS4) == Update(body).origin_as == origin


def test_no_path_is_an_answer():
    assert updates._looker.origin_as(bytes(4), AS4) is None


@pytest.mark.parametrize(
    ("body", "context"),
    [
        (BODY, WireContext()),
        (BODY, WireContext(guess_as=True)),
        (BODY[:-1], AS4),
        (b"", AS4),
        (update(attribute(0xC0, 99, "00"))[19:], AS4),
        (update(PATH, PATH)[19:], AS4),
    ],
)
def test_no_answer(body, context):
    looker = updates._looker
    assert looker.reach(body, context) is None
    assert looker.withdrawn(body, context) is None
    assert looker.origin_as(body, context) == -1


def test_as4_path_is_for_python():
    body = update(attribute(0x40, 2, "0202 fde9 5ba0"), attribute(0xC0, 17, "0201 00010001"))[19:]
    assert updates._looker.origin_as(body, AS2) == -1
    assert Update(body, AS2).origin_as == 65537
