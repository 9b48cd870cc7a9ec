"""Format rib: tables of routes as TABLE_DUMP_V2, and what MRT has besides."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest

import bgpipe
from bgpipe.formats import find
from bgpipe.formats.base import DecoderOptions
from bgpipe.formats.mrt import MrtEncoder
from bgpipe.formats.rib import RibTable
from bgpipe.net import tagged_files
from bgpipe.sample import write_sample
from bgpipe.wire.block import Block
from bgpipe.wire.body import body_from_json
from bgpipe.wire.context import AS2, AS4, AS4_ADD_PATH, WireContext
from bgpipe.wire.message import UPDATE, Message
from bgpipe.wire.peer import make_peer
from bgpipe.wire.state import StateChange

ONE = make_peer(65001, bytes((192, 0, 2, 1)))
TWO = make_peer(65002, bytes((192, 0, 2, 2)))
SIX = make_peer(4200000001, bytes(15) + b"\1")
TIME = 1_700_000_000_000_000
ROUTE = {"rd": "4:100", "prefix": "10.1.0.0/24", "labels": [3]}
VPN = {"af": "IPV4/MPLS_VPN", "nexthop": "192.0.2.9", "routes": [ROUTE]}
V6 = {"af": "IPV6/UNICAST", "nexthop": "2001:db8::1", "prefixes": ["2001:db8::/32"]}


def update(*, peer: bytes = ONE, context: WireContext = AS4, time: int = TIME, path=(65001,), **item) -> Message:
    if "withdrawn" not in item and "mp_unreach" not in item:
        item["attrs"] = {"ORIGIN": "IGP", "ASPATH": list(path), "NEXTHOP": "192.0.2.1", **item.pop("attrs", {})}
    item = {"unreach" if key == "withdrawn" else key: value for key, value in item.items()}
    return Message(UPDATE, body_from_json(UPDATE, item, context), context=context, peer=peer, time=time)


def table(*messages: Message) -> bytes:
    encoder, made = find("rib").open_encoder(), RibTable()
    for message in messages:
        made.feed(encoder.encode(message))
    assert made.missing == ""
    return b"".join(made.dump())


def read(octets: bytes) -> list[Message]:
    damage: list[str] = []
    decoder = find("mrt").open_decoder(DecoderOptions(on_damage=lambda each: damage.append(str(each)), states=True))
    items = [*decoder.feed(octets), *decoder.end()]
    assert damage == []
    return [message for item in items for message in (item if isinstance(item, Block) else [item])]


def routes(octets: bytes) -> Counter:
    """(peer's address, prefix or NLRI as JSON, AS path, time) of each entry."""
    found: Counter = Counter()
    for message in read(octets):
        body = json.loads(message.update.format_json())
        mp = body.get("attrs", {}).get("MP_REACH", {}).get("value", {})
        told = [*body.get("reach", []), *mp.get("prefixes", []), *map(json.dumps, mp.get("routes", []))]
        for each in told:
            path = json.dumps(body["attrs"]["ASPATH"]["value"])
            found[message.tags.get("PEER_IP", ""), each, path, message.time] += 1
    return found


def test_the_table_after_the_last_message():
    made = table(
        update(reach=["10.0.0.0/8", "10.1.0.0/16"]),
        update(reach=["10.0.0.0/8"], peer=TWO, path=(65002, 65001)),
        update(reach=["192.0.2.0/24"], time=TIME + 7_000_000),
        update(withdrawn=["10.1.0.0/16"]),
        update(reach=["10.0.0.0/8"], path=(65009,), time=TIME + 9_000_000),
    )
    assert routes(made) == {
        ("192.0.2.1", "10.0.0.0/8", "[65009]", TIME + 9_000_000): 1,
        ("192.0.2.2", "10.0.0.0/8", "[65002, 65001]", TIME + 9_000_000): 1,  # the time is that of the record
        ("192.0.2.1", "192.0.2.0/24", "[65001]", TIME + 7_000_000): 1,
    }


def test_peers_whose_session_has_ended_have_no_routes():
    down = StateChange(6, 1, peer=ONE, time=TIME)
    first = update(reach=["10.0.0.0/8"])
    assert routes(table(first, update(reach=["10.0.0.0/8"], peer=TWO), down)).keys() == {
        ("192.0.2.2", "10.0.0.0/8", "[65001]", TIME)
    }
    assert len(routes(table(first, down, update(reach=["10.2.0.0/16"])))) == 1


def test_routes_of_ended_sessions_do_not_stay():
    """Where sessions flap, what they had is taken out of the table, not only left out of what is written."""
    encoder, made = find("rib").open_encoder(), RibTable()
    down = encoder.encode(StateChange(6, 1, peer=ONE, time=TIME))
    for number in range(200):
        made.feed(encoder.encode(update(reach=[f"10.0.{number}.0/24"])) + down)
    made.feed(encoder.encode(update(reach=["10.1.0.0/16"])))
    assert made.prefixes < 100
    assert len(routes(b"".join(made.dump()))) == made.prefixes == 1


def test_more_entries_than_a_record_can_count():
    """The count has two octets: there is another record of the same prefix."""
    encoder, made = find("rib").open_encoder(), RibTable()
    for start in range(0, 66_000, 600):
        paths = [f"#{start + number}#10.0.0.0/8" for number in range(600)]
        made.feed(encoder.encode(update(context=AS4_ADD_PATH, reach=paths)))
    octets = b"".join(made.dump())
    peers = 21
    assert _record_lengths(octets) == [peers, 8 + 65535 * 32, 8 + 465 * 32]


def _record_lengths(octets: bytes) -> list[int]:
    pos, lengths = 0, []
    while pos < len(octets):
        lengths.append(int.from_bytes(octets[pos + 8 : pos + 12], "big"))
        pos += 12 + lengths[-1]
    return lengths


@pytest.mark.parametrize(
    "messages",
    [
        [update(reach=["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/9", "10.0.0.1/32"])],
        [update(peer=SIX, attrs={"MP_REACH": V6})],
        [update(attrs={"MP_REACH": {"af": "IPV4/MULTICAST", "nexthop": "192.0.2.1", "prefixes": ["10.0.0.0/8"]}})],
        [update(attrs={"MP_REACH": VPN})],
        [update(context=AS4_ADD_PATH, reach=["#1#10.0.0.0/8", "#2#10.0.0.0/8"])],
        [update(context=AS4_ADD_PATH, attrs={"MP_REACH": VPN | {"routes": [ROUTE | {"id": 9}]}})],
        [update(peer=SIX, reach=["10.0.0.0/8"]), update(peer=TWO, reach=["10.0.0.0/8"]), update(reach=["10.0.0.0/8"])],
        [update(context=AS2, reach=["10.0.0.0/8"], path=(65001, 65002))],
    ],
    ids=["ipv4", "ipv6", "multicast", "vpn", "add-path", "vpn add-path", "peers", "as2"],
)
def test_every_kind_of_record_comes_back(messages):
    made = table(*messages)
    expected: Counter = Counter()
    for message in messages:
        body = json.loads(message.update.format_json())
        mp = body["attrs"].get("MP_REACH", {}).get("value", {})
        for each in [*body.get("reach", []), *mp.get("prefixes", []), *map(json.dumps, mp.get("routes", []))]:
            path = json.dumps(body["attrs"]["ASPATH"]["value"])
            expected[message.tags["PEER_IP"], each, path, TIME] += 1
    assert routes(made) == expected
    assert table(*read(made)) == made


def test_withdrawals_of_every_kind():
    unreach = {"af": "IPV4/MPLS_VPN", "routes": [ROUTE]}
    made = table(
        update(attrs={"MP_REACH": VPN}),
        update(context=AS4_ADD_PATH, reach=["#1#10.0.0.0/8", "#2#10.0.0.0/8"]),
        update(context=AS4_ADD_PATH, withdrawn=["#1#10.0.0.0/8", "#7#10.9.0.0/16"]),
        Message(UPDATE, body_from_json(UPDATE, {"attrs": {"MP_UNREACH": unreach}}, AS4), peer=ONE, time=TIME),
    )
    assert [key[1] for key in routes(made)] == ["#2#10.0.0.0/8"]


def test_what_can_not_be_read_is_told():
    made = RibTable()
    bad = Message(UPDATE, b"\0\0\0\5" + bytes(3), peer=ONE, time=TIME)
    made.feed(find("rib").open_encoder().encode(bad))
    assert "1 UPDATE" in made.missing


def test_files(tmp_path):
    """A table of an archive, and the table of a table, which is the same octets."""
    updates, rib = write_sample(tmp_path, messages=3000)[:2]
    with bgpipe.read(rib) as reader:
        bgpipe.write(tmp_path / "one.mrt.gz", reader, format="rib")
    with bgpipe.read(tmp_path / "one.mrt.gz") as reader:
        bgpipe.write(tmp_path / "two.mrt", reader, format="rib")
    with bgpipe.read(tmp_path / "two.mrt") as reader:
        bgpipe.write(tmp_path / "three.mrt", reader, format="rib")
    assert (tmp_path / "two.mrt").read_bytes() == (tmp_path / "three.mrt").read_bytes()
    assert routes((tmp_path / "two.mrt").read_bytes()) == routes(gzip.decompress(rib.read_bytes()))
    with bgpipe.read(updates, states=True) as reader:
        bgpipe.write(tmp_path / "after.rib", reader)
    announced = {}
    with bgpipe.read(updates, states=True) as reader:
        for message in reader:
            peer = message.tags["PEER_IP"]
            if message.type == "STATE" and message.new != 6:
                announced = {key: value for key, value in announced.items() if key[0] != peer}
            elif message.type == "UPDATE":
                for elem in message.elems():
                    prefix = elem.prefix if elem.path_id is None else f"#{elem.path_id}#{elem.prefix}"
                    if elem.elem_type == "W":
                        announced.pop((peer, prefix), None)
                    elif elem.elem_type == "A":
                        announced[peer, prefix] = True
    assert announced.keys() == {(peer, prefix) for peer, prefix, _, _ in routes((tmp_path / "after.rib").read_bytes())}


def test_too_many_tables(tmp_path, monkeypatch):
    """A table is not published and begun anew, as other files are where too many are open: it would miss routes."""
    monkeypatch.setattr(tagged_files, "MAX_OPEN", 1)
    from bgpipe.net.collected_output import CollectedOutput
    from bgpipe.net.errors import StreamError
    from bgpipe.net.output_file import OutputFile

    files = tagged_files.TaggedFiles("x", lambda path, append: CollectedOutput(OutputFile(path), RibTable()))
    record = find("rib").open_encoder().encode(update(reach=["10.0.0.0/8"]))
    files.write_to(str(tmp_path / "a"), record)
    with pytest.raises(StreamError, match="1 tables"):
        files.write_to(str(tmp_path / "b"), record)
    files.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_table_at_the_end_of_each_interval(tmp_path):
    """Each file has all routes, also those of earlier intervals."""
    from bgpipe.net.collected_output import CollectedOutput
    from bgpipe.net.output_file import OutputFile

    clock = [1000.0]
    file = OutputFile(str(tmp_path / "t.$TIME"), every=60, time_format="15.04.05", clock=lambda: clock[0])
    output = CollectedOutput(file, RibTable())
    encoder = find("rib").open_encoder()
    output.write(encoder.encode(update(reach=["10.0.0.0/8"])))
    clock[0] += 61
    output.rotate()
    clock[0] += 60
    output.write(encoder.encode(update(reach=["10.2.0.0/16"])))
    clock[0] += 60
    output.write(encoder.encode(update(reach=["10.3.0.0/16"])))
    output.close()
    found = {path.name: len(routes(path.read_bytes())) for path in tmp_path.iterdir()}
    assert found == {"t.00.16.00": 1, "t.00.18.00": 2, "t.00.19.00": 3}


# what a table that was read says beyond its messages


def v2(subtype: int, content: bytes, time: int = 1_700_000_000) -> bytes:
    return time.to_bytes(4, "big") + bytes((0, 13, 0, subtype)) + len(content).to_bytes(4, "big") + content


def entry(peer: int, attributes: str, originated: int, path_id: int | None = None) -> bytes:
    octets = bytes.fromhex(attributes)
    identifier = path_id.to_bytes(4, "big") if path_id is not None else b""
    return (
        peer.to_bytes(2, "big") + originated.to_bytes(4, "big") + identifier + len(octets).to_bytes(2, "big") + octets
    )


def rib(subtype: int, sequence: int, nlri: str, *entries: bytes) -> bytes:
    return v2(
        subtype,
        sequence.to_bytes(4, "big") + bytes.fromhex(nlri) + len(entries).to_bytes(2, "big") + b"".join(entries),
    )


PLAIN = "4001010040020602010000fde9400304c0000201"
LONG = "500200060201" + "0000fdea" + "40010100" + "400304c0000202"  # extended length of a short value, in no order
FULL = "40010100" + "800e15000201" + "1020010db8" + "00" * 11 + "01" + "00" + "4002060201" + "0000fdea"
SHORT = "40010100" + "4002060201" + "0000fde9" + "800e1110" + "20010db8" + "00" * 11 + "02"
INDEX = v2(
    1,
    bytes.fromhex("0a00000a")  # the collector's identifier
    + b"\0\4main"
    + bytes.fromhex("0004")
    + bytes.fromhex("02 0a000002 c0000202 0000fdea")
    + bytes.fromhex("00 0a000001 c0000201 fde9")  # an AS number of 2 octets
    + bytes.fromhex("03 0a000003 20010db8000000000000000000000009 0000fdeb")  # without a route
    + bytes.fromhex("03 0a000004 20010db8000000000000000000000001 0000fdec"),
    time=1_699_999_990,
)
FOREIGN = [
    INDEX,
    rib(2, 7, "18c63364", entry(1, PLAIN, 1_600_000_001), entry(0, LONG, 1_600_000_002)),
    rib(2, 8, "180a0100", entry(0, LONG, 1_600_000_003)),  # no order of prefixes
    rib(8, 9, "180a0200", entry(1, PLAIN, 1_600_000_004, 5), entry(1, LONG, 1_600_000_005, 4)),
    rib(4, 11, "2020010db8", entry(3, FULL, 1_600_000_006), entry(0, SHORT, 1_600_000_007)),  # a number is left out
    rib(6, 12, "000180" + "70000031" + "0000000400000064" + "0a0100", entry(3, SHORT, 1_600_000_008)),
]


@pytest.fixture(params=["accel", "python"])
def either(request, monkeypatch):
    """With the compiled part, where there is one, and without it."""
    if request.param == "python":
        for module in ("rib", "mrt", "mrt_rib"):
            monkeypatch.setattr(f"bgpipe.formats.{module}._accel", None)


@pytest.fixture
def command(bgpipe):
    return bgpipe


@pytest.fixture
def rewritten(command, tmp_path):
    """The records after the PEER_INDEX_TABLE, which stays as it is, of a table that stages have passed on."""

    def rewrite(octets: bytes, *words: str) -> list[bytes]:
        path, made = tmp_path / "foreign.mrt", tmp_path / "made.mrt"
        path.write_bytes(octets)
        done = command("-l", "error", "read", str(path), "--", *words, "write", "--format", "rib", str(made))
        assert (done.code, done.err) == (0, "")
        found = made.read_bytes()
        assert found.startswith(INDEX)
        records, pos = [], len(INDEX)
        while pos < len(found):
            stop = pos + 12 + int.from_bytes(found[pos + 8 : pos + 12], "big")
            records.append(found[pos:stop])
            pos = stop
        return records

    return rewrite


def test_a_table_comes_back_octet_by_octet(either, rewritten):
    assert rewritten(b"".join(FOREIGN)) == FOREIGN[1:]


def test_a_record_loses_the_routes_that_a_filter_drops(either, rewritten):
    left = rewritten(b"".join(FOREIGN), "drop", "--narrow", "peer_as == 65002", "--")
    assert left == [
        rib(2, 7, "18c63364", entry(1, PLAIN, 1_600_000_001)),
        FOREIGN[3],
        rib(4, 11, "2020010db8", entry(3, FULL, 1_600_000_006)),
        FOREIGN[5],
    ]


def test_a_filter_sees_each_route_by_itself(either, rewritten):
    """Routes of a peer with the same attributes are no bundle that a filter drops as a whole."""
    wide, narrow = (rib(2, n, nlri, entry(0, LONG, 5)) for n, nlri in enumerate(("180a0100", "190a010000")))
    assert rewritten(INDEX + wide + narrow, "drop", "prefix_len > 24", "--") == [wide]


@pytest.mark.parametrize("suffix", ["gz", "bz2", "zst"])
def test_a_table_of_which_nothing_is_left(either, command, tmp_path, suffix):
    """Compressed too, where each piece of records may be empty."""
    path, made = tmp_path / "foreign.mrt", tmp_path / f"made.mrt.{suffix}"
    path.write_bytes(b"".join(FOREIGN))
    words = "drop", "prefix_len > 200 || ipv4 || ipv6", "--", "write", "--format", "rib", str(made)
    assert command("-l", "error", "read", str(path), "--", *words).code == 0
    left = [message for message in bgpipe.read(made) if message.update.reach]
    assert left == []


def test_an_edited_route_keeps_its_place_and_the_time_when_it_came(either, rewritten):
    edited = rewritten(b"".join(FOREIGN[:3]), "update", "--if", "peer_as == 65002", "--med", "5", "--")
    med = LONG + "80040400000005"
    assert edited == [
        rib(2, 7, "18c63364", entry(1, PLAIN, 1_600_000_001), entry(0, med, 1_600_000_002)),
        rib(2, 8, "180a0100", entry(0, med, 1_600_000_003)),
    ]


def test_updates_after_the_table_change_it(either, command, tmp_path):
    """Who announces a route again, or withdraws it, or is a new peer."""
    later = MrtEncoder()
    wide = {"path": (65002,), "time": TIME + 5_000_000, "peer": TWO}
    updates = [
        update(reach=["10.1.0.0/24"], **wide),
        update(withdrawn=["198.51.100.0/24"], **wide),
        update(reach=["198.51.100.0/24", "203.0.113.0/24"], peer=make_peer(65009, bytes((192, 0, 2, 9))), time=TIME),
    ]
    path, made = tmp_path / "all.mrt", tmp_path / "made.mrt"
    path.write_bytes(b"".join((*FOREIGN[:3], *map(later.encode, updates))))
    assert command("-l", "error", "read", str(path), "--", "write", "--format", "rib", str(made)).code == 0
    now, new = "4001010040020602010000fdea400304c0000201", "4001010040020602010000fde9400304c0000201"
    table_of_five = bytearray(
        INDEX[:12] + INDEX[12:22] + b"\0\5" + INDEX[24:] + bytes.fromhex("0200000000c00002090000fdf1")
    )
    table_of_five[8:12] = (len(table_of_five) - 12).to_bytes(4, "big")
    assert made.read_bytes() == b"".join(
        (
            table_of_five,
            rib(2, 7, "18c63364", entry(1, PLAIN, 1_600_000_001), entry(4, new, TIME // 1_000_000)),
            rib(2, 8, "180a0100", entry(0, now, TIME // 1_000_000 + 5)),
            rib(2, 9, "18cb0071", entry(4, new, TIME // 1_000_000)),
        )
    )


def test_a_prefix_that_comes_twice_is_written_once(either, rewritten):
    again = rib(2, 13, "180a0100", entry(0, LONG, 1_600_000_003))
    assert rewritten(b"".join((*FOREIGN, again))) == FOREIGN[1:]


def test_the_last_of_several_tables_tells_the_peers(either, rewritten):
    other = v2(1, bytes.fromhex("0a00000b 0000 0001 00 0a000001 c0000201 fde9"))
    assert rewritten(other + rib(2, 0, "180a0300", entry(0, PLAIN, 5)) + b"".join(FOREIGN)) == [
        *FOREIGN[1:],
        rib(2, 13, "180a0300", entry(1, PLAIN, 1_700_000_000)),
    ]


def test_the_library_writes_a_table_as_it_was(either, tmp_path):
    path, made = tmp_path / "foreign.mrt", tmp_path / "made.rib"
    path.write_bytes(b"".join(FOREIGN))
    bgpipe.write(made, bgpipe.read(path))
    assert made.read_bytes() == path.read_bytes()


def test_a_route_without_prefixes_changes_nothing(either):
    """MP_REACH_NLRI with a next hop and no NLRI."""
    empty = update(attrs={"MP_REACH": {"af": "IPV4/UNICAST", "nexthop": "192.0.2.9", "prefixes": []}})
    assert routes(table(empty, update(reach=["192.0.2.0/24"]))) == routes(table(update(reach=["192.0.2.0/24"])))
