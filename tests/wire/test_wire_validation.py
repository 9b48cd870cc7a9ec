"""What makes an UPDATE malformed: one definition, asked by stages and by sessions."""

from __future__ import annotations

from random import Random

import pytest

from bgpipe import accel
from bgpipe.wire import validation
from bgpipe.wire.context import AS2, AS4, AS4_ADD_PATH, WireContext
from bgpipe.wire.errors import Reaction, WireError
from bgpipe.wire.family import IPV6_UNICAST
from bgpipe.wire.update import Update
from vectors import load

ATTRS = {"ORIGIN": "IGP", "ASPATH": [64500, 64501], "NEXTHOP": "192.0.2.1"}


def make(without: str = "", **attrs: object) -> Update:
    kept = {name: value for name, value in {**ATTRS, **attrs}.items() if name != without}
    return Update.make(reach=["198.51.100.0/24"], attrs=kept)


def test_a_good_update_has_no_errors() -> None:
    assert validation.validate(make()) == []
    assert validation.malformed(make()) == []


@pytest.mark.parametrize("name", ATTRS)
def test_a_missing_attribute_is_an_error_but_not_malformed(name: str) -> None:
    (error,) = validation.validate(make(without=name))
    assert (error.subcode, error.reaction) == (validation.MISSING_ATTRIBUTE, Reaction.TREAT_AS_WITHDRAW)
    assert validation.malformed(make(without=name)) == []


@pytest.mark.parametrize("value", ["127.0.0.1", "0.0.0.0", "224.0.0.5", "240.0.0.1"])
def test_a_next_hop_that_is_no_host_is_malformed(value: str) -> None:
    (error,) = validation.malformed(make(NEXTHOP=value))
    assert error.subcode == 8


def test_other_errors_beside_a_missing_attribute_are_malformed() -> None:
    update = make(without="ORIGIN", MED={"flags": "O", "value": "0x000001"})
    assert [error.subcode for error in validation.validate(update)] == [5, 3]
    assert [error.subcode for error in validation.malformed(update)] == [5]


def test_sections_that_do_not_fit_are_one_error() -> None:
    update = Update(bytes.fromhex("00ff0000"))
    assert [str(error) for error in validation.malformed(update)] == [
        "Withdrawn Routes Length is too large (at octet 0)"
    ]


def test_what_depends_on_the_peer_is_added_to_what_does_not() -> None:
    update = make(MED={"flags": "O", "value": "0x000001"}, LOCALPREF=100)
    general = list(map(str, validation.validate(update)))
    assert list(map(str, validation.validate(update, "ibgp"))) == general
    external = validation.validate(update, "ebgp")
    assert len(external) == len(general) + 1
    assert set(general) < set(map(str, external))
    assert [error.subcode for error in validation.validate(make(), "ibgp")] == [validation.MISSING_ATTRIBUTE]


@pytest.mark.skipif(not accel.AVAILABLE, reason="no accel")
@pytest.mark.parametrize(
    "context",
    [AS4, AS2, AS4_ADD_PATH, WireContext(guess_as=True), WireContext(add_path=frozenset([IPV6_UNICAST]))],
    ids=["as4", "as2", "add-path", "guess", "one family"],
)
def test_the_answer_is_the_same_without_the_compiled_part(
    context: WireContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = Random(7)
    good = Update.make(reach=["198.51.100.0/24"], attrs={**ATTRS, "COMMUNITY": ["64500:1"]}, context=context).body
    updates = []
    for _ in range(3000):
        body = bytearray(good)
        for _ in range(rng.randrange(3)):
            body[rng.randrange(len(body))] = rng.choice((0, 1, 2, 4, 64, 128, 224, rng.randrange(256)))
        updates.append(Update(bytes(body), context))
    quick = [list(map(str, validation.malformed(update))) for update in updates]
    monkeypatch.setattr(accel, "AVAILABLE", False)
    assert [list(map(str, validation.malformed(update))) for update in updates] == quick
    assert 300 < sum(map(bool, quick)) < 2900


def test_what_is_remembered_of_attributes_holds_in_their_context_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "AVAILABLE", False)
    contexts = [AS4, AS2, AS4_ADD_PATH, WireContext(add_path=frozenset([IPV6_UNICAST])), WireContext(guess_as=True)]
    bodies = [
        Update.make(reach=reach, attrs={"ORIGIN": "IGP", "ASPATH": path}, next_hop=hop, context=context).body
        for context in contexts
        for reach, hop in ((["192.0.2.0/24"], "192.0.2.1"), (["2001:db8::/32"], "2001:db8::1"))
        for path in ([64500], [64500, 64501], [64500, 0])
    ]
    malformed = 0
    for _ in range(2):
        for body in bodies:
            for context in contexts:
                every = [error for error in validation.validate(Update(body, context)) if error.subcode != 3]
                assert list(map(str, validation.malformed(Update(body, context)))) == list(map(str, every))
                malformed += bool(every)
    assert len(bodies) < malformed < 2 * len(bodies) * len(contexts) - len(bodies)


def test_attributes_that_are_cut_anywhere_are_malformed_without_the_compiled_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accel, "AVAILABLE", False)
    for flags in ("T", "TX"):
        section = make(ORIGIN={"flags": flags, "value": "IGP"}).parts()[1]
        ends = {
            0,
            len(section),
            *(pos for pos in range(len(section)) if section[pos : pos + 2] in (b"\x40\2", b"\x40\3")),
        }
        for size in range(len(section) + 1):
            body = bytes(2) + size.to_bytes(2, "big") + section[:size]
            assert bool(validation.malformed(Update(body))) == (size not in ends), size
        twice = bytes(2) + (2 * len(section)).to_bytes(2, "big") + 2 * section
        assert [error.subcode for error in validation.malformed(Update(twice))] == [1] * 3


@pytest.mark.parametrize("context", [AS4, AS2, AS4_ADD_PATH, WireContext(guess_as=True)], ids=repr)
def test_an_update_whose_json_was_made_is_judged_as_before(
    context: WireContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What making the JSON finds out is kept, so that the verdict costs nothing after it: both orders, and again."""
    monkeypatch.setattr(accel, "AVAILABLE", False)
    random = Random(11)
    good = make(MED=5, COMMUNITY=["64500:1"], AGGREGATOR={"asn": 64501, "addr": "192.0.2.9"})
    six = Update.make(reach=["2001:db8::/32"], attrs={"ORIGIN": "IGP", "ASPATH": [64500]}, next_hop="2001:db8::1")
    kinds = set()
    for number in range(600):
        body = bytearray((good, six)[number % 2].encode(context))
        for _ in range(random.randrange(3)):
            body[random.randrange(len(body))] = random.choice((0, 1, 2, 3, 64, 127, 128, 192, 255))
        octets = bytes(body)
        first = Update(octets, context)
        errors = list(map(str, validation.malformed(first)))
        again = Update(octets, context)
        try:
            text = again.format_json()
        except WireError:
            text = ""
        assert list(map(str, validation.malformed(again))) == errors
        assert not (errors and again.sound)
        if text:
            assert first.format_json() == text
        kinds.add((bool(errors), again.sound))
    assert kinds >= {(False, True), (True, False)}


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("peer", [None, "ebgp", "ibgp"])
def test_what_is_well_formed_has_no_error(monkeypatch, peer, quick):
    """The quick answer, for UPDATEs of other implementations' tests and with some octets changed."""
    monkeypatch.setattr(accel, "AVAILABLE", accel.AVAILABLE and quick)
    random = Random(5)
    well = 0
    for name in ("frr_rfc7606", "routecore_messages", "gobgp_messages", "openbgpd_attr_errors", "scapy_messages"):
        for row in load(name):
            octets = bytes.fromhex(row["hex"]) if isinstance(row.get("hex"), str) else b""
            if octets[18:19] != b"\2":
                continue
            for _ in range(10):
                body = bytearray(octets[19:])
                for _ in range(random.randrange(3)):
                    if body:
                        body[random.randrange(len(body))] = random.choice((0, 1, 4, 64, 255, random.randrange(256)))
                update = Update(bytes(body), AS4)
                if validation.is_well_formed(update, peer):
                    well += 1
                    assert validation.validate(Update(bytes(body), AS4), peer) == []
    assert well > 20
