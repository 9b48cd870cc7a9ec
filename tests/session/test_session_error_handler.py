"""Malformed UPDATEs on their way past stages (RFC 7606)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bgpipe import accel
from bgpipe.session.codec import SessionCodec
from bgpipe.session.error_handler import ErrorHandler, Verdict
from bgpipe.session.facts import Facts
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.context import WireContext
from bgpipe.wire.message import HEADER, KEEPALIVE, OPEN, UPDATE, Message
from bgpipe.wire.open import Open
from bgpipe.wire.update import Update

GOOD = Update.make(reach=["10.0.0.0/8"], attrs={"ORIGIN": "IGP", "ASPATH": [65001], "NEXTHOP": "192.0.2.1"}).body
BAD_ORIGIN = GOOD.replace(bytes.fromhex("40010100"), bytes.fromhex("40010109"))
BAD_AGGREGATOR = Update.decode(GOOD).parts()
DISCARDED = (
    b"\0\0"
    + (len(BAD_AGGREGATOR[1]) + 5).to_bytes(2, "big")
    + BAD_AGGREGATOR[1]
    + bytes.fromhex("c007020001")
    + BAD_AGGREGATOR[2]
)
OVERRUN = GOOD[:2] + b"\xff\xff" + GOOD[4:]


def facts(peer: str = "ebgp") -> Facts:
    """Those of a session whose OPENs are known."""
    found = Facts()
    for tell, asn in ((found.on_sent, 65001), (found.on_received, 65001 if peer == "ibgp" else 65002)):
        wide = Capability(caps.AS4, asn.to_bytes(4, "big"))
        tell(Message(OPEN, Open(asn, 90, "192.0.2.1", (wide,)).encode()))
    return found


def verdicts(body: bytes, policy: str = "auto") -> list[Verdict]:
    return list(ErrorHandler(policy, facts()).handle(Message(UPDATE, body)))


def only(found: list[Verdict]) -> Message:
    (verdict,) = found
    assert isinstance(verdict.item, Message)
    return verdict.item


def test_good_ones_pass_as_they_are() -> None:
    (verdict,) = verdicts(GOOD)
    assert verdict.message is None
    assert only([verdict]).body == GOOD


def test_bad_origin_withdraws_what_it_announces() -> None:
    update = only(verdicts(BAD_ORIGIN)).update
    assert [str(prefix) for prefix in update.withdrawn] == ["10.0.0.0/8"]
    assert not update.reach
    assert not update.attrs


def test_bad_aggregator_is_discarded() -> None:
    (verdict,) = verdicts(DISCARDED)
    assert verdict.errors
    assert only([verdict]).body == GOOD


def test_structure_that_cannot_be_told_ends_the_session() -> None:
    (verdict,) = verdicts(OVERRUN)
    assert verdict.item is None
    assert verdict.fault is not None
    assert (verdict.fault.code, verdict.fault.subcode) == (3, 1)


@pytest.mark.parametrize("body", [BAD_ORIGIN, DISCARDED, OVERRUN])
def test_policies(body: bytes) -> None:
    assert only(verdicts(body, "forward")).body == body
    assert [verdict.item for verdict in verdicts(body, "drop")] == [None]
    (killed,) = verdicts(body, "kill")
    assert killed.fault is not None
    (withdrawn,) = verdicts(body, "withdraw")
    if body is OVERRUN:
        assert withdrawn.fault is not None
    else:
        assert [str(prefix) for prefix in only([withdrawn]).update.withdrawn] == ["10.0.0.0/8"]


def test_two_families_take_two_messages() -> None:
    update = Update.make(reach=["2001:db8::/32"], attrs={"ORIGIN": "IGP", "ASPATH": [1]}, next_hop="2001:db8::1")
    multicast = bytes.fromhex("800f08000202202001") + bytes.fromhex("0db8")
    head, section, _ = update.parts()
    broken = section.replace(bytes.fromhex("40010100"), bytes.fromhex("40010109")) + multicast
    found = verdicts(b"\0\0" + len(broken).to_bytes(2, "big") + broken)
    bodies = [verdict.item.update for verdict in found if isinstance(verdict.item, Message)]
    assert head == b""
    assert sorted(str(body.attrs[15].value.family) for body in bodies) == ["IPV6/MULTICAST", "IPV6/UNICAST"]


@pytest.mark.skipif(not accel.AVAILABLE, reason="blocks come from accel")
def test_in_a_block_only_the_bad_one_is_taken_out() -> None:
    octets = (
        b"".join(Message(UPDATE, body).octets for body in (GOOD, GOOD, BAD_ORIGIN, GOOD)) + Message(KEEPALIVE).octets
    )
    codec = SessionCodec(facts())
    block, _ = codec.feed(octets, 1)
    found = list(ErrorHandler("auto", codec.facts).handle(block))
    assert [bool(verdict.errors) for verdict in found] == [False, True, False]
    sizes = [1 if isinstance(verdict.item, Message) else len(verdict.item or ()) for verdict in found]
    assert sizes == [2, 1, 1]


def rows(shared: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (shared / "vectors" / name).read_text().splitlines()]


@pytest.mark.parametrize("name", ["frr_rfc7606.jsonl", "openbgpd_attr_errors.jsonl"])
def test_vectors_keep_or_end_the_session_as_they_must(shared: Path, name: str) -> None:
    checked, wrong = 0, []
    for row in rows(shared, name):
        if row.get("session_must") not in ("stay-up", "reset") or row.get("basis") != "rfc" or "hex" not in row:
            continue
        session = row["session"]
        context = WireContext(as4=session["as4"])
        message = Message(UPDATE, bytes.fromhex(row["hex"])[HEADER:], context=context)
        peer = "ibgp" if session.get("peer") == "ibgp" else "ebgp"
        found = list(ErrorHandler("auto", facts(peer)).handle(message))
        faults = [verdict.fault for verdict in found if verdict.fault]
        if bool(faults) != (row["session_must"] == "reset"):
            wrong.append((row["id"], row["name"], row["session_must"]))
        for verdict in found:
            if isinstance(verdict.item, Message):
                assert not verdict.item.update.errors, row["id"]
        checked += 1
    assert checked
    assert wrong == []
