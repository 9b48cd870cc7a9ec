"""What other projects' suites say about capabilities, OPEN, NOTIFICATION, ROUTE-REFRESH and framing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bgpipe.formats.json import JsonEncoder
from bgpipe.formats.raw import RawDecoder
from bgpipe.wire import caps
from bgpipe.wire.body import body_from_json
from bgpipe.wire.caps import Capability
from bgpipe.wire.cursor import Cursor
from bgpipe.wire.errors import WireError
from bgpipe.wire.message import HEADER, OPEN, ROUTE_REFRESH, Message, check_header
from bgpipe.wire.open import Open
from vectors import Row, cases, load, parametrize

RAW = {"OUTBOUND_FILTERING", "GRACEFUL_RESTART"}
"""Capabilities whose values are not judged, as RFC 5492 allows."""
OCTETS = {*RAW, "LLGR", "BGPSEC", "MULTIPLE_LABELS", "VERSION"}
"""Capabilities that the original shows as octets."""
NAMELESS = {
    "MULTIPLE_ROUTES",
    "PATHS_LIMIT",
    "PRE_OUTBOUND_FILTERING",
    "PRE_OUTBOUND_FILTERING_129",
    "PRE_MULTISESSION",
}
"""Capabilities that the original has no name for."""


def message(row: Row) -> Message:
    octets = bytes.fromhex(row["hex"])
    length, type_code = check_header(octets)
    assert length == len(octets)
    return Message(type_code, octets[HEADER:])


def rows(kinds: set[str], *suites: str) -> list[Row]:
    return [row for suite in suites for row in load(suite) if row["kind"] in kinds]


def as_shown(message: Message) -> Any:
    """Element 4 of the JSON form, which gives the same octets again."""
    line = JsonEncoder().encode(message)
    assert line.count(b"\n") == 1
    shown = json.loads(line, parse_constant=pytest.fail)[4]
    assert body_from_json(message.type_code, shown) == message.body
    return shown


@cases("bgpfix_caps", "capability-from-json")
def test_bgpfix_capabilities_from_json(row: Row) -> None:
    capabilities = caps.from_json({caps.name(row["cap_code"]): row["json_in"]})
    assert caps.encode(capabilities).hex() == row["expected"]["capability_hex"]
    assert list(caps.to_json(capabilities).values()) == [row["expected"]["json"]]


@cases("bgpfix_caps", "capability-value")
def test_bgpfix_capability_values(row: Row) -> None:
    capability = Capability(row["cap_code"], bytes.fromhex(row["hex"]))
    if row["expected"] == "error":
        form = caps.TABLE[capability.code].form
        assert form is not None
        with pytest.raises(WireError):
            form.decode(capability.value)
        return
    # json_after tells this value and those before it in the same test
    after = row["expected"]["json_after"]
    octets = bytes.fromhex(row["expected"]["remarshal_hex_after"])
    assert caps.encode(caps.from_json({caps.name(capability.code): after})) == octets
    assert caps.to_json(caps.decode(Cursor(octets))) == {caps.name(capability.code): after}
    assert capability in caps.decode(Cursor(octets))


@cases("gobgp_caps")
def test_gobgp_capabilities(row: Row) -> None:
    octets = bytes.fromhex(row["hex"])
    body = Open(65001, 90, "192.0.2.1").encode()[:-1] + bytes((len(octets) + 2, 2, len(octets))) + octets
    expected = row["expected"]
    if "error" in expected:
        if row["gotype"] == "CapGracefulRestart" and octets[1] == len(octets) - 2:
            pytest.skip("a GRACEFUL_RESTART that can't be read is ignored, as RFC 5492 allows")
        with pytest.raises(WireError) as caught:
            Open.decode(body)
        assert caught.value.code == expected["notification"][0]
        return
    opened = Open.decode(body)
    shown = caps.to_json(opened.capabilities)
    gobgp = expected["gobgp_json"]
    if row["gotype"] == "CapFQDN":
        names = {"host": gobgp["hostname"], "domain": gobgp["domainname"]}
        assert shown == {"FQDN": {key: name for key, name in names.items() if name}}
    elif row["gotype"] == "CapFourOctetASNumber":
        assert opened.asn == gobgp["value"]
    elif row["gotype"] == "CapMultiProtocol":
        assert [family.afi << 16 | family.safi for family in opened.families] == [gobgp["value"]]
    elif row["gotype"] == "CapSoftwareVersion":
        assert shown == {"VERSION": {"version": gobgp["software_version"]}}
    else:
        assert len(shown) == 1
    assert opened.encode() == body


@cases("frr_capability")
def test_frr_capabilities(row: Row) -> None:
    opened = message(row)
    as_shown(opened)
    expected = row["expected"]
    if expected == "error":
        if set(caps.to_json(Open.decode(opened.body, strict=False).capabilities)) & RAW:
            pytest.skip("FRR reads a capability that we keep raw")
        with pytest.raises(WireError) as caught:
            _ = opened.open
        assert (caught.value.code, caught.value.subcode) == (2, 0)
        return
    assert opened.open.asn == (expected["as4"] or opened.open.my_as)
    assert opened.open.has(caps.AS4) == (expected["as4"] is not None)
    if expected.get("afi_safi_known"):
        (family,) = opened.open.families
        assert family.afi == expected["afi"]
        if not row["name"].startswith("MP5"):  # for this one FRR gives its internal number
            assert family.safi == expected["safi"]


OPENS = rows({"open", "message"}, "bgpfix_messages", "gobgp_messages", "routecore_messages", "scapy_messages")
OPENS += rows({"open"}, "frr_capability", "cve_messages", "robustness")
ORACLE_OPENS = [row for row in OPENS if row.get("oracle", {}).get("bgpfix", {}).get("type") == "OPEN"]


def as_bgpfix(name: str, value: Any) -> tuple[str, Any]:
    """A capability as the original shows it: octets, if it has no form for it, and a number, if it has no name."""
    if name in OCTETS and isinstance(value, dict | list):
        found = [f"0x{capability.value.hex()}" for capability in caps.from_json({name: value})]
        value = found if len(found) > 1 else True if found == ["0x"] else found[0]
    return f"CAP_{caps.parse_name(name)}" if name in NAMELESS else name, value


@parametrize(ORACLE_OPENS)
def test_opens_are_shown_as_by_the_original(row: Row) -> None:
    oracle = row["oracle"]["bgpfix"]
    octets = bytes.fromhex(row["hex"])
    opened = Message(OPEN, octets[HEADER : int.from_bytes(octets[16:18], "big")])  # a few have something behind it
    shown = as_shown(opened)
    if "json" not in oracle:
        with pytest.raises(WireError):
            _ = opened.open
        return
    shown.pop("params", None)  # where one parameter with all capabilities would be other octets
    if "caps" in shown:
        shown["caps"] = dict(as_bgpfix(name, value) for name, value in shown["caps"].items())
    assert shown == oracle["json"]
    assert list(shown) == list(oracle["json"])
    assert Open.decode(opened.body).encode() == opened.body


@parametrize(OPENS)
def test_opens_come_back(row: Row) -> None:
    octets = bytes.fromhex(row["hex"])
    if len(octets) > HEADER:
        as_shown(Message(octets[18], octets[HEADER:]))


@cases("cve_messages", "open")
def test_incidents(row: Row) -> None:
    with pytest.raises(WireError) as caught:
        _ = message(row).open
    assert caught.value.code == row["expected"]["notification_code"]


@cases("bgpfix_messages", "message")
def test_bgpfix_messages(row: Row) -> None:
    octets = bytes.fromhex(row["hex"])
    expected = row["expected"]
    decoder = RawDecoder()
    found = [*decoder.feed(octets), *decoder.end()]
    if expected == "error":
        assert found == []
        assert decoder.counts.damaged == 1
        return
    (item,) = [message for one in found for message in ([one] if isinstance(one, Message) else one)]
    assert len(item.octets) == expected["consumed"]
    assert item.octets == octets
    shown = as_shown(item)
    if "parse_error" in expected:
        with pytest.raises(WireError):
            _ = item.open
        return
    if item.type_code == ROUTE_REFRESH and isinstance(shown, dict):
        shown = f"0x{body_from_json(ROUTE_REFRESH, shown).hex()}"
    assert [item.type, shown] == expected["json"]


@parametrize(rows({"notification"}, "gobgp_messages", "routecore_messages", "scapy_messages"))
def test_notifications(row: Row) -> None:
    notification = message(row)
    octets = bytes.fromhex(row["hex"])
    shown = as_shown(notification)
    assert (shown["code"], shown["subcode"]) == (octets[19], octets[20])
    gobgp = row["expected"]["gobgp_json"]["Body"] if "gobgp_json" in row["expected"] else None
    if gobgp:
        assert (shown["code"], shown["subcode"]) == (gobgp["ErrorCode"], gobgp["ErrorSubcode"])
        assert ("data" in shown) == bool(gobgp["Data"])


@parametrize(rows({"refresh"}, "routecore_messages", "scapy_messages"))
def test_refreshes(row: Row) -> None:
    refresh = message(row)
    shown = as_shown(refresh)
    assert isinstance(shown, dict)
    assert f"0x{body_from_json(ROUTE_REFRESH, shown).hex()}" == row["oracle"]["bgpfix"]["json"]
    assert refresh.refresh.encode() == refresh.body


@cases("gobgp_messages", "malformed-message")
def test_malformed_messages(row: Row) -> None:
    octets = bytes.fromhex(row["hex"])
    code, subcode = row["expected"]["notification"]
    if code != 1:
        pytest.skip("not about framing")
    with pytest.raises(WireError) as caught:
        check_header(octets)
    assert (caught.value.code, caught.value.subcode) == (code, subcode)


@cases("robustness", "open")
def test_robustness(row: Row) -> None:
    shown = as_shown(message(row))
    assert shown["caps"]["FQDN"] == {"host": "0x6122625c0a00ff7d", "domain": "x,]"}  # not UTF-8
