"""The suites of other projects, so far as they are about path attributes and UPDATEs: `pytest -v` lists each row.

Where we differ on purpose, the row or the reason is named here, with the clause.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from ipaddress import ip_address
from typing import Any

import pytest

from bgpipe.wire.attrs import TABLE, mp_reach
from bgpipe.wire.attrs.as_path import AS_CONFED_SEQUENCE, AS_SEQUENCE, AS_SET, AsPath, decode_segments, merge_as4_path
from bgpipe.wire.attrs.attribute import Attribute, attribute_from_json
from bgpipe.wire.context import AS4
from bgpipe.wire.errors import Reaction, TextError, WireError
from bgpipe.wire.ext_community import parse_ext_community
from bgpipe.wire.update import Update
from bgpipe.wire.update_body import split_attributes
from bgpipe.wire.validation import strongest
from vectors import Row, cases, context, load, parametrize

MESSAGE_SUITES = (
    "bgpfix_messages",
    "cve_messages",
    "exabgp_api",
    "exabgp_decoding",
    "exabgp_encoding",
    "frr_aspath",
    "frr_mp_attr",
    "frr_rfc7606",
    "gobgp_messages",
    "openbgpd_attr_errors",
    "robustness",
    "routecore_messages",
    "scapy_messages",
)
OUTCOMES: dict[str, set[Reaction | None]] = {
    "accept": {None},
    "attribute-discard": {Reaction.ATTRIBUTE_DISCARD},
    "accept-or-attribute-discard": {None, Reaction.ATTRIBUTE_DISCARD},
    "treat-as-withdraw": {Reaction.TREAT_AS_WITHDRAW},
    "session-reset": {Reaction.SESSION_RESET},
}


def body(row: Row) -> bytes | None:
    """The body of a row that holds one UPDATE, whole."""
    message = bytes.fromhex(row.get("message_hex") or row["hex"])
    if row["kind"] not in ("update", "update-body", "message") or message[18:19] != b"\2":
        return None
    return message[19:] if len(message) == int.from_bytes(message[16:18], "big") else None


def updates(*suites: str) -> list[Row]:
    return [row for suite in suites for row in load(suite) if body(row) is not None]


def attribute(row: Row) -> Attribute:
    """The one attribute of a row of kind `attr`."""
    octets = bytes.fromhex(row["hex"])
    (found,) = split_attributes(octets, 0, len(octets))
    return Attribute(*found, context(row))


def value_of(one: Attribute) -> Any:
    return json.loads("{" + one.format_json() + "}")[one.name]["value"]


# JSON, octet by octet


@cases("bgpfix_attrs", "attr-value")
def test_bgpfix_attribute_values(row: Row) -> None:
    kind = TABLE[row["attr_code"]]
    one = Attribute(kind.default, kind.code, bytes.fromhex(row["hex"]), context(row))
    if row["expected"] == "error":
        with pytest.raises(WireError):
            _ = one.value
        return
    assert one.name == row["expected"]["attr"]
    assert as_bgpfix(one.name, value_of(one)) == row["expected"]["json"]
    again = attribute_from_json(one.name, row["expected"]["json"], context(row))
    flags, octets = row["expected"]["remarshal_hex"][:2], row["expected"]["remarshal_hex"][2:]
    assert again.encode().hex()[2:] == octets
    # without flags in JSON, ours are those of the attribute's RFC; bgpfix forgets TRANSITIVE in some
    assert again.flags in (int(flags, 16), int(flags, 16) | 0x40)
    assert again.flags == int(flags, 16) or kind.default & 0x40


@cases("bgpfix_attrs", "attr-from-json")
def test_bgpfix_attributes_from_json(row: Row) -> None:
    name = TABLE[row["attr_code"]].name
    if row["expected"] == "error":
        with pytest.raises(TextError):
            attribute_from_json(name, row["json_in"], context(row))
        return
    one = attribute_from_json(name, row["json_in"], context(row))
    assert one.encode().hex() == row["expected"]["attr_hex"]
    assert value_of(one) == row["expected"]["json"]


@parametrize([row for row in updates("bgpfix_messages") if isinstance(row["expected"], dict)])
def test_bgpfix_messages(row: Row) -> None:
    octets = body(row)
    assert octets is not None
    text = Update.decode(octets, context(row)).format_json()
    assert json.loads(text) == row["expected"]["json"][1]
    assert Update.from_json(json.loads(text), context(row)) == octets


STRUCTURED = ("PMSI_TUNNEL", "TUNNEL", "IPV6_EXT_COMMUNITY", "AIGP", "BGP_LS", "BFD_DISCRIMINATOR", "PREFIX_SID", "SET")
"""Attributes that bgpfix shows as octets."""
NAMED = (0x0004, 0x010C, 0x0300, 0x0306, 0x030B, 0x030C, 0x030D, 0x0600, 0x0601, 0x0602, 0x0603, 0x0702, 0x0C00, 0x800A)
"""Types of extended communities that have no name in bgpfix."""


def as_bgpfix(name: str, value: Any) -> Any:
    """Our value of an attribute in the form of bgpfix: octets where it has no structure or no name."""
    if name in STRUCTURED:
        octets = attribute_from_json(name, value, AS4).octets
        return f"0x{octets.hex()}" if octets else True
    if name == "EXT_COMMUNITY" and isinstance(value, list):
        return [unnamed(item) for item in value]
    return without_known_differences(value)


def unnamed(item: dict[str, Any]) -> dict[str, Any]:
    community = parse_ext_community(item)
    kind, bits = community >> 48, community & 0xFFFFFFFFFFFF
    base = kind & ~0x4000
    if base not in NAMED:
        return item
    forms = {
        0: f"{bits >> 32}:{bits & 0xFFFFFFFF}",
        1: f"{ip_address(bits >> 16)}:{bits & 0xFFFF}",
    }
    return item | {"type": f"{kind:#x}", "value": forms.get(base >> 8, f"{bits:#x}")}


def without_known_differences(item: Any) -> Any:
    """What both JSON forms have, of one attribute's value.

    bgpfix keeps as octets what is shown as `routes` here. It doesn't parse multicast. SAFI 7 has a name here: RFC 5512.
    """
    if isinstance(item, dict) and isinstance(item.get("af"), str):
        family = item["af"].replace("SAFI(7)", "TUNNEL_ENCAPSULATION")
        if family.endswith("/MULTICAST"):
            return family
        if "routes" in item or family.endswith("/L3VPN_FLOWSPEC"):
            reach = mp_reach.from_json(item)
            item = {"nh": f"0x{reach.hop.hex()}", "data": f"0x{reach.nlri.hex()}" if reach.nlri else ""}
            if not reach.hop:
                del item["nh"]
        return item | {"af": family}
    return item


ODD_FLOWSPEC = {"exabgp_encoding-0042"}
"""ExaBGP sends the bits before an offset too, which RFC 8956 section 3.1 leaves out; so the rule is shown as octets."""


@parametrize([row for row in updates(*MESSAGE_SUITES) if "json" in row.get("oracle", {}).get("bgpfix", {})])
def test_json_is_that_of_bgpfix(row: Row) -> None:
    octets = body(row)
    assert octets is not None
    ours = json.loads(Update.decode(octets, context(row)).format_json())
    theirs = row["oracle"]["bgpfix"]["json"]
    assert list(ours) == list(theirs)
    for key in ("reach", "unreach"):
        assert ours.get(key) == theirs.get(key)
    assert ours.get("attrs", {}).keys() == theirs.get("attrs", {}).keys()
    for name, item in ours.get("attrs", {}).items():
        other = theirs["attrs"][name]
        assert item["flags"] == other["flags"]
        if row["id"] in ODD_FLOWSPEC:
            continue
        assert as_bgpfix(name, item["value"]) == without_known_differences(other["value"])


@parametrize([row for suite in ("gobgp_attrs", "routecore_attrs") for row in load(suite, "attr")])
def test_attributes(row: Row) -> None:
    try:
        one = attribute(row)
    except WireError:
        assert isinstance(row["expected"], dict)
        assert row["expected"]["error"]
        return
    text = json.loads("{" + one.format_json() + "}")
    assert attribute_from_json(one.name, text[one.name], context(row)).encode() == one.encode()
    if row["name"] == "Test_MpReachNLRIWithImplicitPrefix":
        # RFC 4760 section 3 has no such form; RFC 6396 section 4.3.4 has, in RIB entries, where the format undoes it.
        assert one.error() is not None
        return
    if row["name"].startswith(("Test_Validate_unrecognized", "Test_Validate_invalid")):
        error = one.error()  # GoBGP finds it only when it validates the message
        assert error is not None
        assert error.subcode == {1: 6, 3: 8, 30: 2}[row["attr_code"]]
        return
    wrong = isinstance(row["expected"], dict) and row["expected"].get("error", False)
    assert (one.error() is not None) == wrong
    oracle = row.get("oracle", {}).get("bgpfix", {})
    if "json" in oracle and not wrong:
        assert as_bgpfix(one.name, text[one.name]["value"]) == without_known_differences(oracle["json"])


@parametrize(updates(*MESSAGE_SUITES))
def test_json_gives_the_octets_back(row: Row) -> None:
    octets = body(row)
    assert octets is not None
    update = Update.decode(octets, context(row))
    try:
        text = update.format_json()
    except WireError:  # the envelope then shows the body in hexadecimal
        assert update.reaction == Reaction.SESSION_RESET
        return
    assert "\n" not in text
    again = Update.from_json(json.loads(text, parse_constant=pytest.fail), context(row))
    if row["name"] in ("IPv4", "IPv4-unreach") and row["id"].startswith("frr_mp_attr"):
        octets = octets.replace(bytes.fromhex("110a0203"), bytes.fromhex("110a0200"))  # a bit behind the mask
    assert again == octets
    assert Update.decode(again, context(row)).format_json() == text


# RFC 7606

MILD_DIFFERENCES = {
    "unknown-fd-nontransitive": "RFC 4271 section 5 has it ignored, which is no error: nothing is done to the route",
    "pmsi-type-8": "RFC 7524 defines it",
    "nhc-bad-afi-safi": "no RFC: the attribute is kept raw",
    "nhc-tlv-overrun": "no RFC: the attribute is kept raw",
}


def peer(row: Row) -> str | None:
    """OAD peers may send what internal ones may (draft-uttaro-idr-bgp-oad)."""
    return {"ebgp": "ebgp", "ibgp": "ibgp", "ebgp-oad": "ibgp", None: None}[row["session"].get("peer")]


JUDGED = [row for row in updates("frr_rfc7606", "openbgpd_attr_errors", "cve_messages") if "session_must" in row]


@parametrize(JUDGED)
def test_reactions(row: Row) -> None:
    octets = body(row)
    assert octets is not None
    errors = Update.decode(octets, context(row)).check(peer(row))
    reaction = strongest(errors)
    assert (reaction == Reaction.SESSION_RESET) == (row["session_must"] == "reset")
    if row["name"] in MILD_DIFFERENCES:
        assert reaction not in OUTCOMES[row["expected"]]
    else:
        assert reaction in OUTCOMES[row["expected"]], errors
    for error in errors:
        assert error.code == 3


def test_no_differences_where_all_agree() -> None:
    names = {row["name"] for row in JUDGED if row["basis"] == "rfc" and row["consensus"] == "agree"}
    assert not names & MILD_DIFFERENCES.keys()


# FRR wants these refused; there is nothing in an RFC against them.
NOT_JUDGED = {
    "IPv6-bug": "MP_REACH without NLRI: RFC 4760 does not say that there must be any",
    "PREFIX-SID-SRv6-L3-Service-sid-structure-bad-transposition": "RFC 9252 section 7: what a value says is no error",
}


@parametrize(updates("frr_mp_attr"))
def test_frr_mp_attributes(row: Row) -> None:
    octets = body(row)
    assert octets is not None
    one = Update.decode(octets, context(row)).attrs[row["attr_code"]]
    assert (one.error() is None) == (row["expected"] == "ok" or row["name"] in NOT_JUDGED)


@parametrize([row for row in updates("frr_aspath") if row["expected"] == "treat-as-withdraw"])
def test_frr_as_path_messages(row: Row) -> None:
    octets = body(row)
    assert octets is not None
    assert Update.decode(octets, context(row)).reaction == Reaction.TREAT_AS_WITHDRAW


def frr_text(path: AsPath) -> str:
    forms = {AS_SEQUENCE: "%s", AS_SET: "{%s}", AS_CONFED_SEQUENCE: "(%s)"}
    parts = []
    for kind, ases in path:
        in_order = kind in (AS_SEQUENCE, AS_CONFED_SEQUENCE)
        text = (" " if in_order else ",").join(map(str, ases if in_order else sorted(set(ases))))
        parts.append(forms.get(kind, "[%s]") % text)
    return " ".join(parts)


@cases("frr_aspath", "aspath-value")
def test_frr_as_paths(row: Row) -> None:
    octets = bytes.fromhex(row["hex"])
    if row["expected"] == "error":
        with pytest.raises(WireError):
            decode_segments(octets, 2)
        return
    path = decode_segments(octets, 2)
    assert frr_text(path) == row["expected"]["string"]
    assert path.length == row["expected"]["hops"]
    confederation = (len(ases) if kind == AS_CONFED_SEQUENCE else 1 for kind, ases in path if kind > AS_SEQUENCE)
    assert sum(confederation) == row["expected"]["confed_segments_asns"]


@cases("frr_aspath", "as4path-merge")
def test_frr_as4_path_merges(row: Row) -> None:
    path = merge_as4_path(
        decode_segments(bytes.fromhex(row["hex"]), 2),
        decode_segments(bytes.fromhex(row["as4path_hex_2octet"]), 2),
    )
    assert frr_text(path) == row["expected"]["string"]
    assert path.length == row["expected"]["hops"]


@parametrize([row for row in updates("routecore_messages") if row["expected"] == "ok"])
def test_routecore_messages(row: Row) -> None:
    octets = body(row)
    assert octets is not None
    update = Update.decode(octets, context(row))
    assert update.format_json()
    assert all(one.value is not None for one in update.attrs.values())


@parametrize([row for row in updates("scapy_messages") if "nlri" in row["expected"]])
def test_scapy_prefixes(row: Row) -> None:
    octets = body(row)
    assert octets is not None
    update = Update.decode(octets, context(row))
    assert [f"{p.network}/{p.length}" for p in update.nlri] == row["expected"]["nlri"]
    assert [f"{p.network}/{p.length}" for p in update.withdrawn_routes] == row["expected"]["withdrawn"]


@parametrize([row for row in updates("exabgp_api", "exabgp_encoding", "exabgp_decoding") if row["expected"] != "ok"])
def test_exabgp_attributes(row: Row) -> None:
    octets = body(row)
    assert octets is not None
    update = Update.decode(octets, context(row))
    wanted = row["expected"]["exabgp_json"]["update"].get("attribute", {})
    ours = {
        "origin": update.origin and update.origin.lower(),
        "med": update.med,
        "local-preference": update.local_pref,
        "originator-id": update.value(9),
        "atomic-aggregate": update.value(6),
    }
    for name, value in ours.items():
        assert name not in wanted or wanted[name] == value
    if "community" in wanted:
        assert update.communities == [":".join(map(str, pair)) for pair in wanted["community"]]
    if "large-community" in wanted:
        assert update.large_communities == [":".join(map(str, triple)) for triple in wanted["large-community"]]


# Anything at all


@pytest.mark.parametrize("seed", range(4))
def test_mutants_raise_nothing_but_wire_errors(seed: int) -> None:
    """Flipped, cut and stretched messages: WireError or a line of JSON that reads back, never anything else."""
    rows = [*updates(*MESSAGE_SUITES), *load("gobgp_fuzz_corpus")]
    if not rows:
        pytest.skip("no vectors")
    rng = random.Random(seed)
    seen = Counter()
    for row in rng.choices(rows, k=1500):
        octets = bytearray(body(row) or bytes.fromhex(row["hex"])[19:])
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(octets) + 1)
            match rng.randrange(3):
                case 0 if at < len(octets):
                    octets[at] = rng.choice((0, 1, 4, 0x10, 0xFF, rng.randrange(256)))
                case 1:
                    del octets[at : at + rng.randrange(1, 4)]
                case _:
                    octets[at:at] = rng.randbytes(rng.randrange(1, 4))
        seen[judge(bytes(octets), row)] += 1
    assert all(seen[outcome] for outcome in ("json", "hexadecimal"))


def judge(octets: bytes, row: Row) -> str:
    update = Update.decode(octets, context(row))
    for error in update.check("ebgp"):
        assert isinstance(error, WireError)
        assert str(error)
    for name in ("reach", "withdrawn", "as_path", "origin_as", "next_hop", "communities", "family", "end_of_rib"):
        try:
            getattr(update, name)
        except WireError:
            assert update.reaction == Reaction.SESSION_RESET
    for other in (AS4, context(row)):
        try:
            update.encode(other)
        except WireError:
            continue
    try:
        text = update.format_json()
    except WireError:
        return "hexadecimal"
    again = Update.from_json(json.loads(text, parse_constant=pytest.fail), context(row))
    assert Update.decode(again, context(row)).format_json() == text
    assert len(again) == len(octets)
    return "json"


def test_no_suite_has_been_thinned() -> None:
    """Counts by suite (`pytest -s` prints them); a reader that finds nothing must not look like one that passes."""
    counts = {suite: len(updates(suite)) for suite in MESSAGE_SUITES}
    if not any(counts.values()):
        pytest.skip("no vectors")
    counts["bgpfix_attrs"] = len(load("bgpfix_attrs"))
    counts["gobgp_attrs"] = len(load("gobgp_attrs"))
    counts["routecore_attrs"] = len(load("routecore_attrs"))
    print(*(f"{suite}: {count}" for suite, count in counts.items()), sep="\n")
    assert min(counts.values()) > 0
    assert sum(counts.values()) > 400
