"""BGP-LS attribute (RFC 9552 section 5.3): TLVs about nodes, links and prefixes, by name, their values as octets.

JSON: [{"type":"IGP_METRIC","value":"0x00000a"}]. Types without a name are numbers. Names are those of IANA's registry
"BGP-LS NLRI and Attribute TLVs".
"""

from __future__ import annotations

from typing import Any, Final

from ..context import WireContext
from ..errors import TextError, WireError
from ..hexadecimal import format_hex, parse_hex
from ..number import parse_number
from .parts import objects
from .structured import structured
from .tlv import encode_tlv, split_tlvs

NAMES: Final = {
    256: "LOCAL_NODE_DESCRIPTORS",
    257: "REMOTE_NODE_DESCRIPTORS",
    258: "LINK_IDENTIFIERS",
    259: "IPV4_INTERFACE_ADDRESS",
    260: "IPV4_NEIGHBOR_ADDRESS",
    261: "IPV6_INTERFACE_ADDRESS",
    262: "IPV6_NEIGHBOR_ADDRESS",
    263: "MULTI_TOPOLOGY_IDENTIFIER",
    264: "OSPF_ROUTE_TYPE",
    265: "IP_REACHABILITY_INFORMATION",
    266: "NODE_MSD",
    267: "LINK_MSD",
    512: "AUTONOMOUS_SYSTEM",
    513: "BGP_LS_IDENTIFIER",
    514: "OSPF_AREA_ID",
    515: "IGP_ROUTER_ID",
    516: "BGP_ROUTER_ID",
    517: "BGP_CONFEDERATION_MEMBER",
    518: "SRV6_SID_INFORMATION",
    1024: "NODE_FLAGS",
    1025: "OPAQUE_NODE",
    1026: "NODE_NAME",
    1027: "IS_IS_AREA_IDENTIFIER",
    1028: "LOCAL_ROUTER_ID_IPV4",
    1029: "LOCAL_ROUTER_ID_IPV6",
    1030: "REMOTE_ROUTER_ID_IPV4",
    1031: "REMOTE_ROUTER_ID_IPV6",
    1032: "S_BFD_DISCRIMINATORS",
    1034: "SR_CAPABILITIES",
    1035: "SR_ALGORITHM",
    1036: "SR_LOCAL_BLOCK",
    1037: "SRMS_PREFERENCE",
    1038: "SRV6_CAPABILITIES",
    1039: "FLEXIBLE_ALGORITHM_DEFINITION",
    1044: "FLEXIBLE_ALGORITHM_PREFIX_METRIC",
    1088: "ADMINISTRATIVE_GROUP",
    1089: "MAXIMUM_LINK_BANDWIDTH",
    1090: "MAXIMUM_RESERVABLE_LINK_BANDWIDTH",
    1091: "UNRESERVED_BANDWIDTH",
    1092: "TE_DEFAULT_METRIC",
    1093: "LINK_PROTECTION_TYPE",
    1094: "MPLS_PROTOCOL_MASK",
    1095: "IGP_METRIC",
    1096: "SHARED_RISK_LINK_GROUP",
    1097: "OPAQUE_LINK",
    1098: "LINK_NAME",
    1099: "ADJACENCY_SID",
    1100: "LAN_ADJACENCY_SID",
    1101: "PEER_NODE_SID",
    1102: "PEER_ADJ_SID",
    1103: "PEER_SET_SID",
    1106: "SRV6_END_X_SID",
    1107: "IS_IS_SRV6_LAN_END_X_SID",
    1108: "OSPFV3_SRV6_LAN_END_X_SID",
    1114: "UNIDIRECTIONAL_LINK_DELAY",
    1115: "MIN_MAX_UNIDIRECTIONAL_LINK_DELAY",
    1116: "UNIDIRECTIONAL_DELAY_VARIATION",
    1117: "UNIDIRECTIONAL_LINK_LOSS",
    1118: "UNIDIRECTIONAL_RESIDUAL_BANDWIDTH",
    1119: "UNIDIRECTIONAL_AVAILABLE_BANDWIDTH",
    1120: "UNIDIRECTIONAL_UTILIZED_BANDWIDTH",
    1122: "APPLICATION_SPECIFIC_LINK_ATTRIBUTES",
    1152: "IGP_FLAGS",
    1153: "IGP_ROUTE_TAG",
    1154: "IGP_EXTENDED_ROUTE_TAG",
    1155: "PREFIX_METRIC",
    1156: "OSPF_FORWARDING_ADDRESS",
    1157: "OPAQUE_PREFIX",
    1158: "PREFIX_SID",
    1159: "RANGE",
    1161: "SID_LABEL",
    1162: "SRV6_LOCATOR",
    1170: "PREFIX_ATTRIBUTES_FLAGS",
    1171: "SOURCE_ROUTER_IDENTIFIER",
    1172: "L2_BUNDLE_MEMBER_ATTRIBUTES",
    1173: "EXTENDED_ADMINISTRATIVE_GROUP",
    1174: "SOURCE_OSPF_ROUTER_ID",
    1250: "SRV6_ENDPOINT_BEHAVIOR",
    1251: "SRV6_BGP_PEER_NODE_SID",
    1252: "SRV6_SID_STRUCTURE",
}
_CODES: Final = {name: code for code, name in NAMES.items()}


def to_json(octets: bytes) -> Any:
    return [{"type": NAMES.get(kind, kind), "value": format_hex(value)} for kind, value in split_tlvs(octets, 2)]


def from_json(value: Any) -> bytes:
    return b"".join(map(_encode, objects(value)))


def _encode(item: dict[str, object]) -> bytes:
    kind, value = item.get("type"), item.get("value")
    if item.keys() != {"type", "value"} or not isinstance(value, str):
        raise TextError(f'not a TLV {{"type":TYPE,"value":"0x..."}}: {item!r}')
    code = _CODES.get(kind.upper(), kind) if isinstance(kind, str) else kind
    return encode_tlv(parse_number(code, 16), parse_hex(value), 2)


def check(value: bytes, context: WireContext) -> WireError | None:
    """The TLVs fit (RFC 9552 section 8.2.2)."""
    try:
        for _ in split_tlvs(value, 2):
            pass
    except WireError as error:
        return error
    return None


CODEC = structured(to_json, from_json, check)
