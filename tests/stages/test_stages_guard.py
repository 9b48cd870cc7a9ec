"""The stage guard: each check, what becomes of what it finds, and the same result with the compiled filter."""

from __future__ import annotations

import os
from typing import Any

import pytest

from bgpipe import accel
from bgpipe.pipeline.errors import ConfigError
from bgpipe.pipeline.events import ANY
from bgpipe.routes.guard_checks import NAMES
from bgpipe.stages.guard import Guard
from bgpipe.wire.address import parse_address
from bgpipe.wire.block import ENTRY, Block
from bgpipe.wire.flags import DIRECTION_FLAGS, FLAG_AS4, FLAG_PEER_AS4
from bgpipe.wire.message import HEADER, UPDATE, Message
from bgpipe.wire.peer import make_peer
from bgpipe.wire.prefix import parse_prefix
from bgpipe.wire.update import Update
from commandline import spawn
from playbook import Feeder, begin, feed, stage
from vectors import load

PEER = make_peer(3333, parse_address("193.0.4.28"))


class Bench:
    def __init__(self, words: str, mode: str) -> None:
        self.mode = mode
        self.source, self.guard = stage(Feeder, "-LR --new first"), stage(Guard, words)
        self.pipeline = begin(self.source, self.guard)
        self.events: list[Any] = []
        self.pipeline.bus.on([ANY], self.events.append)
        self.left: list[Message] = []
        for line in self.pipeline.lines.values():
            line.outputs.append(lambda item: self.left.extend([item] if isinstance(item, Message) else list(item)))

    def send(self, body: bytes) -> list[Message]:
        self.left.clear()
        if self.mode == "messages":
            feed(self.source.inlet, Message(UPDATE, body, direction="R", peer=PEER))
        else:
            octets = Message(UPDATE, body).octets
            flags = FLAG_AS4 | FLAG_PEER_AS4 | DIRECTION_FLAGS["R"]
            entry = ENTRY.pack(0, 0, 0, len(octets), len(body) + HEADER, flags, 0)
            feed(self.source.inlet, Block(octets + PEER, bytearray(entry)))
        return list(self.left)

    def one(self, body: bytes) -> Update:
        (left,) = self.send(body)
        return left.update

    def told(self) -> list[str]:
        found = [event.name.removeprefix("guard/") for event in self.events if event.name.startswith("guard/")]
        self.events.clear()
        return found


@pytest.fixture(params=["messages", "blocks", "no accel"])
def make(request, monkeypatch):
    if request.param == "no accel":
        monkeypatch.setattr(accel, "AVAILABLE", False)
    return lambda words="": Bench(words, request.param)


def announce(reach: str = "8.8.8.0/24", hop: str = "", **more: Any) -> bytes:
    settings = {"ORIGIN": "IGP", "ASPATH": [3333, 1103]} | more
    hop = hop or ("2a00:1450::1" if ":" in reach else "193.0.4.28")
    return Update.make(reach=reach.split(), attrs=settings, next_hop=hop).body


FOUND = {
    "bogon": [announce("10.1.0.0/16"), announce("192.0.2.0/24"), announce("2001:db8::/32"), announce("fc00::/16")],
    "default-route": [announce("0.0.0.0/0"), announce("::/0")],
    "length": [announce("8.8.8.0/25"), announce("8.0.0.0/7"), announce("2a00:1450::/49")],
    "bogon-as": [
        announce(ASPATH=[3333, 64500]),
        announce(ASPATH=[3333, 23456, 1]),
        announce(ASPATH=[3333, 4294967295]),
    ],
    "as-set": [announce(ASPATH=[3333, [1, 2]])],
    "path-length": [announce(ASPATH=[3333] * 101)],
    "first-as": [announce(ASPATH=[1103, 3333]), announce(ASPATH=[])],
    "next-hop": [announce("2a00:1450::/32", "::1"), announce("2a00:1450::/32", "ff02::1")],
    "malformed": [announce(ASPATH=[3333, 0]), announce(hop="127.0.0.1")],
}


@pytest.mark.parametrize("name", FOUND)
def test_what_is_withdrawn_without_options(make, name):
    bench = make()
    for body in FOUND[name]:
        left = bench.one(body)
        assert (left.reach, left.withdrawn) == ([], Update(body).reach)
        assert name in bench.told()


@pytest.mark.parametrize(
    "body",
    [
        announce(),
        announce("1.0.0.0/8 8.8.8.0/24"),
        announce("2a00:1450::/48"),
        announce(ASPATH=[3333] * 100),
        announce(COMMUNITY=["65535:666"]),
        bytes(4),
        Update.make(withdrawn=["10.0.0.0/8", "0.0.0.0/0"]).body,
    ],
)
def test_what_passes(make, body):
    bench = make()
    for _ in range(3):  # the next hop is known to be good then
        assert bench.send(body)[0].body == body
    assert bench.told() == []


def test_good_prefixes_of_an_update_stay(make):
    left = make().one(announce("8.8.8.0/24 10.0.0.0/8 9.9.9.0/24"))
    assert (list(map(str, left.reach)), list(map(str, left.withdrawn))) == (
        ["8.8.8.0/24", "9.9.9.0/24"],
        ["10.0.0.0/8"],
    )
    left = make().one(announce("2a00:1450::/48 2001:db8::/48"))
    assert (list(map(str, left.reach)), list(map(str, left.withdrawn))) == (["2a00:1450::/48"], ["2001:db8::/48"])


@pytest.mark.parametrize(
    ("words", "body", "name"),
    [
        ("--default deny", announce(), "no-policy"),
        ("--own 8.8.0.0/16", announce(), "own"),
        ("--peerlock 1103,174", announce(), "peerlock"),
        ("--max-path 1", announce(), "path-length"),
        ("--max-communities 1", announce(COMMUNITY=["1:1", "1:2"]), "communities"),
        ("--next-hop 10.0.0.0/8", announce(), "next-hop"),
        ("--attr-withdraw 4", announce(MED=1), "attributes"),
        ("--attr-withdraw unknown", announce(ATTR_99={"flags": "OT", "value": "0x01"}), "attributes"),
        ("--gshut withdraw", announce(COMMUNITY=["65535:0"]), "gshut"),
        ("--no-private", announce(ASPATH=[3333, 64512, 1]), "private-as"),
    ],
)
def test_what_options_withdraw(make, words, body, name):
    bench = make(words + " --on bogon-as=keep")
    assert bench.one(body).reach == []
    assert name in bench.told()
    assert bench.guard.status()["metrics"]["found"][name] == 1


def test_lists_of_files(make, tmp_path):
    (tmp_path / "prefixes.json").write_text('{"NN": [{"prefix": "8.8.0.0\\/16", "exact": false, "less-equal": 24}]}')
    (tmp_path / "origins.asns").write_text("AS1103\n174\n")
    bench = make(f"--prefixes {tmp_path}/prefixes.json --origins {tmp_path}/origins.asns --blackhole")
    assert bench.one(announce()).reach
    assert bench.one(announce("9.9.9.0/24")).reach == []
    assert bench.one(announce(ASPATH=[3333, 9])).reach == []
    assert bench.one(announce("8.8.8.8/32")).reach == []
    left = bench.one(announce("8.8.8.8/32", COMMUNITY=["65535:666"]))
    assert (len(left.reach), left.communities) == (1, ["65535:666", "65535:65281"])
    assert bench.one(announce("9.9.9.9/32", COMMUNITY=["65535:666"])).reach == []


def test_attributes_are_edited(make):
    bench = make("--attr-discard MED,unknown --scrub 1103:* --strip-private --gshut mark --on first-as=keep")
    body = announce(
        MED=1,
        ATTR_99={"flags": "OT", "value": "0x01"},
        COMMUNITY=["1103:7", "65535:0", "5:5"],
        LARGE_COMMUNITY=["1103:1:2", "5:1:2"],
        ASPATH=[3333, 64512, 1103],
    )
    left = bench.one(body)
    assert (left.med, 99 in left.attrs, left.local_pref, str(left.as_path)) == (None, False, 0, "3333,1103")
    assert (left.communities, left.large_communities) == (["65535:0", "5:5"], ["5:1:2"])


def test_what_is_scrubbed(make):
    """An AS has communities of three kinds; extended ones have it in two or four octets."""
    bench = make("--scrub 1103:*,70000:*")
    extended = [
        {"type": "TARGET", "value": "1103:5"},
        {"type": "AS4_TARGET", "value": "70000:5"},
        {"type": "TARGET", "value": "5:1103"},
    ]
    body = announce(COMMUNITY=["1103:7", "5:1103"], EXT_COMMUNITY=extended, LARGE_COMMUNITY=["70000:1:2", "5:1103:2"])
    left = bench.one(body)
    assert (left.communities, left.large_communities) == (["5:1103"], ["5:1103:2"])
    assert left.attrs[16].octets == bytes((0, 2, 0, 5, 0, 0, 4, 79))
    untouched = announce(COMMUNITY=["5:1103"], EXT_COMMUNITY=extended[2:], LARGE_COMMUNITY=["5:1103:2"])
    assert bench.one(untouched).body == untouched


def vpn(asn: int = 1103) -> bytes:
    """An UPDATE for 8.8.8.0/24 in a VPN of IPv4 (RFC 4364)."""
    nlri = bytes((112, 0, 6, 65)) + bytes((0, 0, 253, 232, 0, 0, 0, 1)) + bytes((8, 8, 8))
    reach = bytes((0, 1, 128, 12)) + bytes(8) + bytes((193, 0, 4, 28)) + b"\0" + nlri
    path = bytes((2, 2)) + (3333).to_bytes(4) + asn.to_bytes(4)
    section = b"\x40\1\1\0" + b"\x40\2" + bytes((len(path),)) + path + b"\x80\x0e" + bytes((len(reach),)) + reach
    return b"\0\0" + len(section).to_bytes(2) + section


def test_routes_of_other_families(make):
    """Checks of whole UPDATEs are about routes of all families."""
    assert make().one(vpn()).body == vpn()
    left = make().one(vpn(64512))
    assert set(left.attrs) == {15}
    assert left.attrs[15].value.nlri == vpn()[-15:]
    assert make("--on bogon-as=discard").send(vpn(64512)) == []
    assert make("--on bogon-as=drop").send(vpn(64512)) == []
    assert make("--on bogon-as=keep").one(vpn(64512)).body == vpn(64512)


LABELS = {(): b"", (16,): bytes.fromhex("000101"), (16, 17): bytes.fromhex("000100000111")}


def nlri(prefix: str, labels: bytes = b"") -> bytes:
    made = parse_prefix(prefix)
    address = made.address.to_bytes(4 if made.afi == 1 else 16)
    return bytes((made.length + 8 * len(labels),)) + labels + address[: (made.length + 7) // 8]


def of_family(afi: int, safi: int, routes: bytes) -> bytes:
    """An UPDATE that announces NLRI of a family."""
    hop = bytes((4, 193, 0, 4, 28)) if afi == 1 else bytes((16, 0x2A, 0)) + bytes(13) + b"\1"
    value = bytes((0, afi, safi)) + hop + b"\0" + routes
    path = bytes((2, 2)) + (3333).to_bytes(4) + (1103).to_bytes(4)
    section = b"\x40\1\1\0" + b"\x40\2" + bytes((len(path),)) + path + b"\x80\x0e" + bytes((len(value),)) + value
    return b"\0\0" + len(section).to_bytes(2) + section


@pytest.mark.parametrize(("safi", "labels"), [(2, ()), (4, (16,)), (4, (16, 17))])
@pytest.mark.parametrize(
    ("good", "bad", "check"),
    [
        ("8.8.8.0/24", "10.0.0.0/8", "bogon"),
        ("8.8.8.0/24", "0.0.0.0/0", "default-route"),
        ("8.8.8.0/24", "8.8.9.0/25", "length"),
        ("8.8.8.0/24", "9.9.9.0/24", "own"),
        ("8.8.8.0/24", "11.0.0.0/8", "prefixes"),
        ("2a00::/32", "2001:db8::/32", "bogon"),
        ("2a00::/32", "2a01::/49", "length"),
        ("2a00::/32", "2b00::/32", "prefixes"),
    ],
)
def test_prefixes_of_multicast_and_with_labels(make, tmp_path, safi, labels, good, bad, check):
    """Those that must not pass are withdrawn: with one label, whatever they came with (RFC 8277 section 2.4)."""
    (tmp_path / "list").write_text("8.0.0.0/7 le 32\n10.0.0.0/8\n0.0.0.0/0\n2a00::/15 le 64\n2001:db8::/32\n")
    bench = make(f"--own 9.9.9.0/24 --prefixes {tmp_path}/list")
    afi, octets = (2 if ":" in good else 1), LABELS[labels]
    passes = of_family(afi, safi, nlri(good, octets))
    assert bench.one(passes).body == passes
    left = bench.one(of_family(afi, safi, nlri(bad, octets) + nlri(good, octets)))
    assert left.attrs[14].value.nlri == nlri(good, octets)
    gone = nlri(bad, bytes.fromhex("800000") if len(labels) > 1 else octets)
    assert (left.attrs[15].value.family, left.attrs[15].value.nlri) == ((afi, safi), gone)
    assert bench.told() == [check]
    alone = bench.one(of_family(afi, safi, nlri(bad, octets)))
    assert (set(alone.attrs), alone.attrs[15].value.nlri) == ({15}, gone)
    drops = make(f"--own 9.9.9.0/24 --prefixes {tmp_path}/list --on {check}=drop")
    assert drops.send(of_family(afi, safi, nlri(bad, octets) + nlri(good, octets))) == []


@pytest.mark.parametrize(("safi", "distinguisher"), [(4, b""), (128, bytes((0, 0, 253, 232, 0, 0, 0, 1)))])
@pytest.mark.parametrize("prefix", ["8.8.8.0/24", "2a00::/32"])
def test_routes_with_several_labels_are_withdrawn_with_one(make, safi, distinguisher, prefix):
    """RFC 8277 section 2.4; whatever check it is that they fail."""
    afi = 2 if ":" in prefix else 1
    one, two = (nlri(prefix, LABELS[each] + distinguisher) for each in ((16,), (16, 17)))
    left = make("--max-path 1").one(of_family(afi, safi, two + one))
    gone = nlri(prefix, bytes.fromhex("800000") + distinguisher)
    assert (set(left.attrs), left.attrs[15].value.nlri) == ({15}, gone + one)
    assert make("--max-path 1").send(of_family(afi, safi, two + b"\x08")) == []  # nobody can tell which they are


def test_a_list_of_prefixes_says_nothing_about_other_families(make, tmp_path):
    (tmp_path / "list").write_text("8.8.8.0/24\n")
    bench = make(f"--default deny --prefixes {tmp_path}/list")
    assert bench.one(announce()).reach
    assert set(bench.one(vpn()).attrs) == {15}
    assert bench.told() == ["no-policy"]
    (tmp_path / "asns").write_text("1103\n")
    assert make(f"--default deny --prefixes {tmp_path}/list --origins {tmp_path}/asns").one(vpn()).body == vpn()


@pytest.mark.parametrize(
    ("words", "passes"),
    [
        ("--role customer", False),
        ("--role rs-client", False),
        ("--role customer --default accept", True),
        ("--role peer", True),
        ("--role provider", True),
        ("--role rs", True),
        ("--default deny", False),
        ("", True),
    ],
)
def test_customers_need_a_list(make, words, passes):
    bench = make("-R " + words)
    assert bool(bench.one(announce()).reach) is passes
    assert ("no-policy" in bench.told()) is not passes


@pytest.mark.parametrize(("role", "passes"), [("provider", True), ("", True), ("peer", False), ("rs", False)])
def test_transit_free_networks(make, role, passes):
    """Nobody but a provider has routes through them to give."""
    bench = make(f"-R --role {role}" if role else "-R")
    assert bool(bench.one(announce(ASPATH=[3333, 3356, 1103])).reach) is passes
    assert ("peerlock" in bench.told()) is not passes
    assert bench.one(announce(ASPATH=[3333, 3333, 1103])).reach


@pytest.mark.parametrize(
    ("words", "hop", "passes"),
    [
        ("any", "9.9.9.9", True),
        ("10.0.0.0/8,193.0.0.0/16", "193.0.4.28", True),
        ("10.0.0.0/8,any", "193.0.4.28", True),
        ("10.0.0.0/8", "193.0.4.28", False),
        ("10.0.0.0/8,2a00::/12", "2a00:1450::1", True),
        ("10.0.0.0/8", "2a00:1450::1", False),
    ],
)
def test_next_hops(make, words, hop, passes):
    body = announce("2a00:1450::/32" if ":" in hop else "8.8.8.0/24", hop)
    assert bool(make(f"--next-hop {words}").one(body).reach) is passes


@pytest.mark.parametrize(
    ("words", "body", "gone"),
    [
        ("--attr-withdraw MED --on attributes=discard", announce(MED=1), {4}),
        ("--max-communities 1 --on communities=discard", announce(COMMUNITY=["1:1", "1:2"]), {8}),
        ("--gshut withdraw --on gshut=discard", announce(COMMUNITY=["65535:0"]), {8}),
    ],
)
def test_what_is_discarded_of_attributes(make, words, body, gone):
    """The attribute, not the routes that have it."""
    bench = make(words)
    left = bench.one(body)
    assert left.reach == Update(body).reach
    assert set(Update(body).attrs) - set(left.attrs) == gone
    assert len(bench.told()) == 1


OPTIONS = {
    "malformed": "--on bogon-as=keep",
    "attributes": "--attr-withdraw MED",
    "private-as": "--no-private --on bogon-as=keep",
    "peerlock": "--peerlock 1103",
    "origins": "--origins asns",
    "no-policy": "--default deny",
    "communities": "--max-communities 1",
    "gshut": "--gshut withdraw",
    "own": "--own 8.8.8.0/24",
    "prefixes": "--prefixes list",
}
SHOWN = {
    "attributes": {"MED": 1},
    "private-as": {"ASPATH": [3333, 64512]},
    "communities": {"COMMUNITY": ["1:1", "1:2"]},
    "gshut": {"COMMUNITY": ["65535:0"]},
}


@pytest.mark.parametrize("action", ["withdraw", "discard", "drop", "keep", "kill"])
@pytest.mark.parametrize("name", NAMES)
def test_every_check_with_every_action(make, tmp_path, monkeypatch, name, action):
    """What goes on, an event, and a count."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "asns").write_text("7\n")
    (tmp_path / "list").write_text("9.9.9.0/24\n")
    body = FOUND[name][0] if name in FOUND else announce(**SHOWN.get(name, {}))
    withdrawal = bytes((24, 11, 8, 8))
    body = len(withdrawal).to_bytes(2) + withdrawal + body[2:]
    bench = make(f"{OPTIONS.get(name, '')} --on {name}={action}")
    left = bench.send(body)
    assert bench.told().count(name) == 1
    assert bench.guard.status()["metrics"]["found"][name] == 1
    assert bench.pipeline.failed is (action == "kill")
    if action in ("drop", "kill"):
        assert left == []
        return
    (update,) = [each.update for each in left]
    stays = action == "keep" or (action == "discard" and name in ("attributes", "communities", "gshut"))
    withdraws = action == "withdraw" or (action == "discard" and name == "malformed")  # AS_PATH can't be discarded
    reach = Update(body).reach
    assert set(update.withdrawn) == {parse_prefix("11.8.8.0/24"), *(reach if withdraws else ())}
    assert update.reach == (reach if stays else [])
    assert (update.body == body) is (action == "keep")


@pytest.mark.parametrize(("action", "reach"), [("keep", 2), ("discard", 1), ("drop", None), ("kill", None)])
def test_actions(make, action, reach):
    bench = make(f"--on bogon={action}")
    left = bench.send(announce("8.8.8.0/24 10.0.0.0/8"))
    assert [len(each.update.reach) for each in left] == ([] if reach is None else [reach])
    assert [len(each.update.withdrawn) for each in left] == ([] if reach is None else [0])
    assert bench.pipeline.failed is (action == "kill")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--on x=drop", "--on x=drop: CHECK=ACTION"),
        ("--on bogon=x", "--on bogon=x: CHECK=ACTION"),
        ("--attr-discard 2", "--attr-discard: ASPATH is needed"),
        ("--attr-discard AS_PATH", "--attr-discard: ASPATH is needed"),
        ("--attr-withdraw x", "--attr-withdraw: 'x' is no attribute"),
        ("--attr-withdraw 256", "--attr-withdraw: '256' is no attribute"),
        ("--blackhole", "--blackhole needs --prefixes"),
        ("--scrub x", "--scrub: "),
        ("--own x", "--own: x: no such file"),
        ("--own 8.0.0.0/8,x", "--own: 'x' is not what may be in the list"),
        ("--peerlock 174,x", "--peerlock: .*'x' is no AS number"),
        ("--next-hop x", "--next-hop: 'x': any, peer, an address or a network"),
        ("--next-hop peer,8.0.0.0/33", "--next-hop: '8.0.0.0/33': any"),
        ("--max-path -1", "--max-path: 0 or more"),
        ("--max-communities -1", "--max-communities: 0 or more"),
    ],
)
def test_words_that_can_not_be(words, error):
    with pytest.raises(ConfigError, match=error):
        Bench(words, "messages")


def test_a_list_in_a_file_of_this_folder(make, tmp_path, monkeypatch):
    """Its name might be a word of a list."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").write_text("8.8.8.0/24\n")
    (tmp_path / "tier1.txt").write_text("174\n")
    bench = make("--own own --peerlock tier1.txt")
    assert bench.one(announce("8.8.8.0/24")).reach == []
    assert bench.one(announce("8.8.4.0/24", ASPATH=[3333, 174])).reach == []
    assert bench.told() == ["own", "peerlock"]


def test_a_next_hop_without_a_length(make):
    bench = make("--next-hop 193.0.4.28,2a00::/16")
    for reach, hop, passes in (
        ("8.8.8.0/24", "193.0.4.28", True),
        ("8.8.8.0/24", "193.0.4.29", False),
        ("2a00:1::/32", "2a00::7", True),
    ):
        assert bool(bench.one(announce(reach, hop)).reach) is passes


@pytest.mark.parametrize("name", ["LOCAL_PREF", "localpref", "local-pref", "5"])
def test_names_of_attributes(make, name):
    body = announce(LOCALPREF=7)
    assert 5 not in make(f"--attr-discard {name}").one(body).attrs


def test_what_can_not_be_read_passes_where_malformed_updates_are_kept(make):
    body = bytes.fromhex("ffff0000")
    assert make("--on malformed=keep").send(body)[0].body == body


def test_nothing_malformed_arrives(make):
    from bgpipe.wire.validation import validate

    bench = make(" ".join(f"--on {name}=keep" for name in NAMES if name != "malformed"))
    for row in load("frr_rfc7606"):
        if not row.get("hex"):
            continue
        octets = bytes.fromhex(row["hex"])
        body = octets[HEADER:] if octets[:16] == b"\xff" * 16 else octets
        if octets[18:19] == b"\x02":
            assert [(row["id"], validate(each.update)) for each in bench.send(body) if validate(each.update)] == []


def test_accel_and_python_agree_on_an_archive(sample):
    words = ("-l", "error", "-o", sample, "--", "guard", "--on", "bogon-as=keep")
    quick, plain = spawn(*words), spawn(*words, env=os.environ | {"BGPIPE_ACCEL": "0"})
    assert (quick.code, plain.code) == (0, 0)
    assert quick.out == plain.out
    assert b'"unreach"' in quick.out
