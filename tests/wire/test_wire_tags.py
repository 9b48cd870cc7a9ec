"""Tags in blocks: fragments that messages share, and what every part of a block keeps of them."""

from __future__ import annotations

import json as plain_json

import pytest

from bgpipe import accel
from bgpipe.filters import compile_filter
from bgpipe.formats import json, json_encoder, mrt
from bgpipe.wire.block import ENTRY, FLAGS, NO_PEER, TAGS, Block
from bgpipe.wire.block import PEER as PEERS
from bgpipe.wire.flags import FLAG_AS4, FLAG_OWN_PEER, FLAG_PEER_AS4, FLAG_RIGHT
from bgpipe.wire.message import UPDATE, Message
from bgpipe.wire.peer import make_peer, peer_tags
from bgpipe.wire.tags import MAX_FRAGMENT, TagTable

PEER = make_peer(65001, bytes((192, 0, 2, 1)), 65002, bytes((192, 0, 2, 2)))
SAID = dict(peer_tags(PEER))
OTHER = SAID | {"PEER_IP": "203.0.113.9"}


@pytest.fixture(params=["accel", "plain"])
def plain(request, monkeypatch):
    """With accel, and the same without."""
    if request.param == "accel" and not accel.AVAILABLE:
        pytest.skip(accel.WHY_NOT)
    if request.param == "plain":
        monkeypatch.setattr("bgpipe.wire.block._opener", lambda: None)
        monkeypatch.setattr(json_encoder, "_json_out", None)


def block(count: int) -> Block:
    octets, index = PEER, bytearray()
    for seq in range(1, count + 1):
        message = Message(UPDATE, bytes(4)).octets
        flags = FLAG_AS4 | FLAG_PEER_AS4 | FLAG_RIGHT
        index += ENTRY.pack(seq, 7, len(octets), 0, len(message), flags, 0)
        octets += message
    return Block(octets, index)


def tagged(*tags: dict[str, str]) -> Block:
    table = TagTable()
    entries = {at: table.enter(each, PEER) for at, each in enumerate(tags)}
    return block(len(tags)).tagged({at: entry for at, entry in entries.items() if entry is not None}, table)


def test_few_messages_of_many_on_octets_of_their_own(plain):
    whole = tagged(*(SAID | {"n": str(number)} for number in range(400)))
    few = Block(whole.octets, whole.part(7, 8).index + whole.part(300, 302).index, whole.tags)
    compact = few.compact()
    assert len(compact.octets) == len(PEER) + 3 * 23
    assert len(compact.tags) < 400
    assert json.JsonEncoder().encode(compact) == json.JsonEncoder().encode(few)
    assert mrt.MrtEncoder().encode(compact) == mrt.MrtEncoder().encode(few)
    assert [message.tags["n"] for message in compact] == ["7", "300", "301"]
    assert whole.compact() is whole
    bare = Block(few.octets, bytearray(few.index))
    TAGS.fill(bare.index, 0)
    PEERS.fill(bare.index, NO_PEER)
    assert len(bare.compact().octets) == 3 * 23
    assert [message.peer for message in bare.compact()] == [None] * 3


def test_messages_have_their_tags(plain):
    tags = [SAID, SAID | {"a": "1"}, {}, {"b": 'é"\\\n'}, OTHER, SAID | {"a": "1"}]
    whole = tagged(*tags)
    assert [message.tags for message in whole] == tags
    assert [whole.message(at).tags for at in range(6)] == tags
    places = TAGS.of(whole.index).tolist()
    assert places[0] == 0
    assert places[1] == places[5]
    assert len(set(places)) == 5


def test_whether_the_header_says_something_else_of_the_peer():
    whole = tagged(SAID, SAID | {"a": "1"}, {"a": "1"}, OTHER)
    assert [bool(flags & FLAG_OWN_PEER) for flags in FLAGS.of(whole.index)] == [False, False, True, True]
    again = TagTable(whole.tags)
    entry = again.enter(SAID, PEER)
    assert entry == (0, False)
    back = whole.tagged({3: entry}, again)
    assert back.message(3).tags == SAID
    assert not FLAGS.of(back.index)[3] & FLAG_OWN_PEER


def test_their_order_stays():
    moved = {key: SAID[key] for key in sorted(SAID)}
    table = TagTable()
    assert table.enter(dict(SAID), PEER) == (0, False)
    place, own = table.enter(moved, PEER) or (0, True)
    assert (own, place > 0, [*moved] != [*SAID]) == (False, True, True)


def test_parts_keep_them(plain):
    whole = tagged({"a": "1"}, {"a": "2"}, {"a": "3"}, {"a": "4"})
    for left, wanted in (
        (whole.part(1, 3), "23"),
        (whole.without([0, 2]), "24"),
        (whole.edited({1: b"\0\0\0\0", 2: None}), "124"),
        (compile_filter("seq > 2").select(whole, True), "34"),
        (compile_filter("tag[a] == 4").select(whole, True), "4"),
    ):
        assert "".join(message.tags["a"] for message in left) == wanted


def test_an_index_is_copied():
    first = block(2)
    table = TagTable()
    entry = table.enter({"a": "1"}, PEER)
    assert entry is not None
    second = first.tagged({0: entry}, table)
    assert TAGS.of(first.index).tolist() == [0, 0]
    assert second.octets is first.octets
    assert second.weight == first.weight + len(second.tags)


@pytest.mark.parametrize("tags", [{"a": ""}, {"ACTION": "DROP"}, {"a": 1}, {"a": ["x"]}, {"a": "x" * MAX_FRAGMENT}])
def test_what_a_block_can_not_hold(tags):
    assert TagTable().enter(tags, PEER) is None


def test_json_has_them(plain):
    tags = [SAID, SAID | {"a": "1"}, {"b": "x" * 60000}, OTHER, {}]
    lines = json.FORMAT.open_encoder().encode(tagged(*tags)).splitlines()
    assert [plain_json.loads(line)[5] for line in lines] == tags


def test_filters_see_them(plain):
    whole = tagged(SAID, SAID | {"a": "1"}, {"a": "1"}, OTHER)
    for text in ("tag[a] == 1", "tag[PEER_AS] == 65001", "tag[PEER_IP] == 203.0.113.9", "tag[PEER_IP]", "tag"):
        wanted = compile_filter(text)
        chosen = [message.seq for message in wanted.select(whole, True)]
        assert chosen == [message.seq for message in whole if wanted(message)], text
        assert chosen


def test_mrt_has_the_peer_that_they_say(plain):
    archive = mrt.FORMAT.open_encoder().encode(tagged(SAID, SAID | {"a": "1"}, {"a": "1"}, OTHER))
    items = mrt.FORMAT.open_decoder().feed(archive)
    back = [message for item in items for message in ([item] if isinstance(item, Message) else item)]
    assert [message.tags.get("PEER_IP") for message in back] == ["192.0.2.1", "192.0.2.1", None, "203.0.113.9"]
