"""The suites of other projects, so far as they show the values of attributes that have a structure here.

ExaBGP and GoBGP name things in their own way; each test says the same thing in their words.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from bgpipe.wire.attrs.attribute import attribute_from_json
from bgpipe.wire.context import AS4
from bgpipe.wire.ext_community import parse_ext_community
from bgpipe.wire.update import Update
from test_vectors_update import attribute, body, updates, value_of
from vectors import Row, context, load, parametrize


def shown(row: Row) -> dict[str, Any]:
    """The values of the attributes of a row, by name, as we show them; they give the octets back."""
    octets = body(row)
    assert octets is not None
    update = json.loads(Update.decode(octets, context(row)).format_json())
    assert Update.from_json(update, context(row)) == octets
    return {name: item["value"] for name, item in update["attrs"].items()}


def with_attribute(name: str) -> list[Row]:
    """The rows of ExaBGP with an attribute of this name."""
    rows = [row for row in updates("exabgp_encoding", "exabgp_decoding", "exabgp_api") if row["expected"] != "ok"]
    return [row for row in rows if name in row["expected"]["exabgp_json"]["update"].get("attribute", {})]


def theirs(row: Row, name: str) -> Any:
    return row["expected"]["exabgp_json"]["update"]["attribute"][name]


def structure(tlvs: list[dict[str, Any]]) -> dict[str, Any]:
    return {key.replace("_", "-"): value for tlv in tlvs for key, value in tlv.items() if key != "type"}


@parametrize(with_attribute("bgp-prefix-sid"))
def test_exabgp_prefix_sid(row: Row) -> None:
    services = []
    for tlv in shown(row)["PREFIX_SID"]:
        assert tlv["type"] == "SRV6_L3_SERVICE"
        for sid in tlv["sub_tlvs"]:
            service = {key: sid.get(key, 0) for key in ("sid", "flags", "endpoint_behavior")}
            services.append(service | ({"structure": structure(sid["sub_tlvs"])} if "sub_tlvs" in sid else {}))
    assert {"l3-service": services} == theirs(row, "bgp-prefix-sid")


def policy(sub_tlvs: list[dict[str, Any]]) -> dict[str, Any]:
    """An SR policy in ExaBGP's words."""
    said: dict[str, Any] = {}
    for tlv in sub_tlvs:
        match tlv["type"]:
            case "PREFERENCE":
                said["preference"] = tlv["preference"]
            case "BINDING_SID":
                said["binding-sid"] = {"type": "mpls", "label": tlv["label"]}
            case "SRV6_BINDING_SID":
                said["srv6-binding-sid"] = tlv["sid"]
            case "POLICY_NAME":
                said["policy-name"] = tlv["name"]
            case "CANDIDATE_PATH_NAME":
                said["candidate-path-name"] = tlv["name"]
            case "SEGMENT_LIST":
                said.setdefault("segment-lists", []).append(segment_list(tlv["sub_tlvs"]))
    return said


def segment_list(sub_tlvs: list[dict[str, Any]]) -> dict[str, Any]:
    (weight,) = [tlv["weight"] for tlv in sub_tlvs if tlv["type"] == "WEIGHT"]
    return {"weight": weight, "segments": [segment(tlv) for tlv in sub_tlvs if tlv["type"] != "WEIGHT"]}


def segment(tlv: dict[str, Any]) -> dict[str, Any]:
    if tlv["type"] == "A":
        return {"type": "A", "label": tlv["label"], "tc": tlv.get("tc", 0), "s": tlv.get("s", False), "ttl": 0}
    lengths = {"lb": "locator_block", "ln": "locator_node", "fun": "function", "arg": "argument"}
    behavior = {f"{short}-length": tlv[f"{long}_length"] for short, long in lengths.items()}
    return {
        "type": "B",
        "sid": tlv["sid"],
        "endpoint-behavior": {"behavior": tlv["endpoint_behavior"]} | behavior,
    }


@parametrize(with_attribute("tunnel-encap"))
def test_exabgp_sr_policy(row: Row) -> None:
    (tunnel,) = shown(row)["TUNNEL"]
    assert {"sr-policy": policy(tunnel["sub_tlvs"])} == theirs(row, "tunnel-encap")
    assert tunnel["type"] == "SR_POLICY"


@parametrize(with_attribute("extended-community"))
def test_exabgp_extended_communities(row: Row) -> None:
    """Theirs say all 64 bits, and text whose last parts are the same numbers."""
    ours = shown(row)["EXT_COMMUNITY"]
    assert [parse_ext_community(item) for item in ours] == [each["value"] for each in theirs(row, "extended-community")]
    for item, each in zip(ours, theirs(row, "extended-community"), strict=True):
        if item["type"] == "L2_INFO":
            assert each["string"] == "l2info:" + ":".join(map(str, item["value"].values()))
        if item["type"] == "FLOW_REDIRECT_IP":
            assert each["string"].split()[-1] == item["value"]["ip"]


@parametrize(with_attribute("extended-community-ipv6"))
def test_exabgp_ipv6_extended_communities(row: Row) -> None:
    (ours,), (each,) = shown(row)["IPV6_EXT_COMMUNITY"], theirs(row, "extended-community-ipv6")
    assert each["string"] == f"redirect-to-nexthop-ietf {ours['value']['ip']}"
    octets = attribute_from_json("IPV6_EXT_COMMUNITY", [ours], AS4).octets
    assert int.from_bytes(octets, "big") == each["value"]


LINK_STATE = {
    "igp-metric": "IGP_METRIC",
    "maximum-link-bandwidth": "MAXIMUM_LINK_BANDWIDTH",
    "maximum-reservable-link-bandwidth": "MAXIMUM_RESERVABLE_LINK_BANDWIDTH",
    "unreserved-bandwidth": "UNRESERVED_BANDWIDTH",
    "te-metric": "TE_DEFAULT_METRIC",
    "admin-group-mask": "ADMINISTRATIVE_GROUP",
    "node-name": "NODE_NAME",
    "node-flags": "NODE_FLAGS",
    "area-ids": "IS_IS_AREA_IDENTIFIER",
    "prefix-metric": "PREFIX_METRIC",
    "sr-prefix-attribute-flags": "PREFIX_ATTRIBUTES_FLAGS",
    "sr-adjs": "ADJACENCY_SID",
    "srv6-endx": "SRV6_END_X_SID",
    "srv6-lan-endx-isis": "IS_IS_SRV6_LAN_END_X_SID",
    "link-local-remote-identifiers": "LINK_IDENTIFIERS",
    "unidirectional-link-delay": "UNIDIRECTIONAL_LINK_DELAY",
    "minmax-unidirectional-link-delay": "MIN_MAX_UNIDIRECTIONAL_LINK_DELAY",
    "unidirectional-delay-variation": "UNIDIRECTIONAL_DELAY_VARIATION",
}


@parametrize(with_attribute("bgp-ls"))
def test_exabgp_link_state(row: Row) -> None:
    """What ExaBGP has a name for is a TLV of ours with a name; numbers and texts are the same."""
    ours = {tlv["type"]: bytes.fromhex(tlv["value"][2:]) for tlv in shown(row)["BGP_LS"]}
    for name, value in theirs(row, "bgp-ls").items():
        if name.startswith("generic-lsid"):
            assert "APPLICATION_SPECIFIC_LINK_ATTRIBUTES" in ours
            continue
        if name in ("local-router-ids", "remote-router-ids"):
            assert ours.keys() & {"LOCAL_ROUTER_ID_IPV4", "LOCAL_ROUTER_ID_IPV6", "REMOTE_ROUTER_ID_IPV4"}
            continue
        octets = ours[LINK_STATE[name]]
        if isinstance(value, int):
            assert int.from_bytes(octets, "big") == value
        elif isinstance(value, str):
            assert octets.decode() == value


GOBGP_NAMES = {4: "LINK_BANDWIDTH", 10: "L2_INFO"}


@parametrize([row for row in load("gobgp_attrs", "attr") if row["gotype"].endswith(("Aigp", "ExtendedCommunities"))])
def test_gobgp_values(row: Row) -> None:
    expected = row["expected"]["gobgp_json"]["value"]
    ours = value_of(attribute(row))
    assert len(ours) == len(expected)
    for item, each in zip(ours, expected, strict=True):
        if item["type"] == "AIGP":
            assert item == {"type": "AIGP", "metric": each["metric"]}
        elif item["type"] == "LINK_BANDWIDTH":
            assert item["value"] == {"asn": each["asn"], "bandwidth": each["bandwidth"]}
        elif item["type"] == "L2_INFO":
            assert f"control flags:{item['value']['control']:#x}, mtu: {item['value']['mtu']}" in each["value"]
        elif item["type"] == "TARGET":
            assert item["value"] == each["value"]


@pytest.mark.skipif(not load("gobgp_bgpls"), reason="no vectors")
def test_gobgp_link_state_tlvs() -> None:
    """Each TLV that GoBGP can read is one with a name, and comes back."""
    tried = 0
    unknown = set()
    for row in load("gobgp_bgpls", "bgp-ls-tlv"):
        octets = bytes.fromhex(row["hex"])
        stop = 4 + int.from_bytes(octets[2:4], "big")
        if "error" in row["expected"] or stop > len(octets):
            continue
        one = attribute_from_json("BGP_LS", {"flags": "O", "value": f"0x{octets[:stop].hex()}"}, AS4)
        (tlv,) = value_of(one)
        assert attribute_from_json("BGP_LS", [tlv], AS4).octets == octets[:stop]
        if isinstance(tlv["type"], int):
            unknown.add((tlv["type"], row["gotype"]))
        tried += 1
    assert tried > 50
    assert unknown == set()
