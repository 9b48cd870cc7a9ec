"""Outbound route filters in a ROUTE-REFRESH (RFC 5291 section 4, RFC 5292, RFC 7543): what a peer shall not send.

JSON: {"when":"IMMEDIATE","filters":[{"type":"ADDRESS_PREFIX","entries":[{"action":"ADD","match":"PERMIT","sequence":5,
"min":0,"max":24,"prefix":"10.0.0.0/8"},{"action":"REMOVE_ALL"}]}]}. Entries of COVERING_PREFIXES have "vpn_target" and
"import_target", which are extended communities, "route_type" and "host" in place of "prefix". Filters of other types
are {"type":N,"value":"0x..."}.
"""

from __future__ import annotations

from typing import Any, Final

from .address import format_address, parse_address
from .cursor import Cursor
from .errors import TextError, WireError
from .ext_community import ext_community_members, parse_ext_community
from .family import Family
from .prefix import encode_prefix, format_prefixes, parse_prefix

WHEN: Final = {1: "IMMEDIATE", 2: "DEFER"}
ADDRESS_PREFIX: Final = 64
COVERING_PREFIXES: Final = 65
ORF_TYPES: Final = {ADDRESS_PREFIX: "ADDRESS_PREFIX", COVERING_PREFIXES: "COVERING_PREFIXES"}
"""By IANA, those that no vendor has kept for itself."""
_ACTIONS: Final = ("ADD", "REMOVE", "REMOVE_ALL")
_REMOVE_ALL: Final = 2
_MATCHES: Final = ("PERMIT", "DENY")
_TARGETS: Final = ("vpn_target", "import_target")
_HOSTS: Final = {
    (Family(1, 128), 0): 4,
    (Family(2, 128), 0): 16,
    (Family(25, 70), 2): 6,  # a MAC address
    (Family(25, 70), 3): 0,
}
"""Octets of the host address of a COVERING_PREFIXES entry, by family and route type (RFC 7543 section 2)."""


def to_json(octets: bytes, family: Family) -> dict[str, Any]:
    """The ORF part of a ROUTE-REFRESH. Raises WireError."""
    cursor = Cursor(octets)
    when = cursor.u8()
    filters = []
    while cursor.left:
        kind, value = cursor.u8(), cursor.take(cursor.u16())
        filters.append(_show(kind, value, family))
    return {"when": WHEN.get(when, when), "filters": filters}


def _show(kind: int, value: bytes, family: Family) -> dict[str, Any]:
    name = ORF_TYPES.get(kind, kind)
    if (kind == ADDRESS_PREFIX and family.afi in (1, 2)) or kind == COVERING_PREFIXES:
        try:
            shown = {"type": name, "entries": _entries(Cursor(value), kind, family)}
            if _encode_filter(shown, family) == bytes((kind,)) + len(value).to_bytes(2, "big") + value:
                return shown
        except (WireError, TextError):
            pass
    return {"type": name, "value": f"0x{value.hex()}"}


def _entries(cursor: Cursor, kind: int, family: Family) -> list[dict[str, Any]]:
    found = []
    while cursor.left:
        lead = cursor.u8()
        if lead >> 6 == _REMOVE_ALL:
            found.append({"action": _ACTIONS[_REMOVE_ALL]})
            continue
        if lead >> 6 > _REMOVE_ALL:
            raise WireError("action 3 of an ORF entry", offset=cursor.pos - 1)
        entry: dict[str, Any] = {"action": _ACTIONS[lead >> 6], "match": _MATCHES[lead >> 5 & 1]}
        entry |= {"sequence": cursor.u32(), "min": cursor.u8(), "max": cursor.u8()}
        if kind == COVERING_PREFIXES:
            found.append(entry | _covering(cursor, family))
            continue
        start = cursor.pos
        cursor.take(cursor.u8() + 7 >> 3)
        prefix = format_prefixes(cursor.octets, family.afi, pos=start, end=cursor.pos)[0]
        found.append({**entry, "prefix": prefix})
    return found


def _covering(cursor: Cursor, family: Family) -> dict[str, Any]:
    """What COVERING_PREFIXES has in place of a prefix."""
    members: dict[str, Any] = {}
    for key in _TARGETS:
        members[key] = dict(ext_community_members(int.from_bytes(cursor.take(8), "big")))
    members["route_type"] = kind = cursor.u8()
    size = _HOSTS.get((family, kind))
    if size is None:
        raise WireError(f"nobody knows the host address of route type {kind}", offset=cursor.pos)
    if size:
        host = cursor.take(size)
        members["host"] = host.hex(":") if size == 6 else format_address(host)
    return members


def from_json(value: object, family: Family) -> bytes:
    """Raises TextError."""
    if not isinstance(value, dict) or value.keys() != {"when", "filters"} or not isinstance(value["filters"], list):
        raise TextError(f'orf: not {{"when":"IMMEDIATE","filters":[...]}}: {value!r}')
    when = _code(value["when"], {name: code for code, name in WHEN.items()}, "orf: when")
    return bytes((when,)) + b"".join(_encode_filter(item, family) for item in value["filters"])


def _encode_filter(item: object, family: Family) -> bytes:
    if not isinstance(item, dict) or item.keys() not in ({"type", "value"}, {"type", "entries"}):
        raise TextError(f'orf: a filter has "type", and "entries" or octets as "value": {item!r}')
    kind = _code(item["type"], {name: code for code, name in ORF_TYPES.items()}, "orf: type")
    if "value" in item:
        octets = _parse_octets(item["value"])
    elif kind not in ORF_TYPES or not isinstance(item["entries"], list):
        raise TextError(f"orf: entries are those of ADDRESS_PREFIX and COVERING_PREFIXES: {item!r}")
    else:
        octets = b"".join(_encode_entry(entry, kind, family) for entry in item["entries"])
    if len(octets) > 0xFFFF:
        raise TextError(f"orf: {len(octets)} octets are too many for one type")
    return bytes((kind,)) + len(octets).to_bytes(2, "big") + octets


def _parse_octets(value: object) -> bytes:
    from .hexadecimal import parse_hex

    if not isinstance(value, str):
        raise TextError(f"orf: octets in hexadecimal are expected, not {value!r}")
    return parse_hex(value)


def _encode_entry(entry: object, kind: int, family: Family) -> bytes:
    if not isinstance(entry, dict) or entry.get("action") not in _ACTIONS:
        raise TextError(f"orf: an entry has an action, one of {', '.join(_ACTIONS)}: {entry!r}")
    action = _ACTIONS.index(entry["action"])
    if action == _REMOVE_ALL:
        if len(entry) > 1:
            raise TextError(f"orf: REMOVE_ALL has nothing beside it: {entry!r}")
        return bytes((_REMOVE_ALL << 6,))
    own = {*_TARGETS, "route_type"} if kind == COVERING_PREFIXES else {"prefix"}
    needed = {"action", "match", "sequence", "min", "max", *own}
    if entry.keys() - {"host"} != needed or entry["match"] not in _MATCHES:
        raise TextError(
            f"orf: an entry has match (PERMIT or DENY), sequence, min, max, {', '.join(sorted(own))}: {entry!r}"
        )
    lead = action << 6 | _MATCHES.index(entry["match"]) << 5
    numbers = b"".join(_encode_number(entry, key, size) for key, size in (("sequence", 4), ("min", 1), ("max", 1)))
    if kind == COVERING_PREFIXES:
        return bytes((lead,)) + numbers + _encode_covering(entry, family)
    return bytes((lead,)) + numbers + _encode_prefix(entry, family.afi)


def _encode_prefix(entry: dict[str, Any], afi: int) -> bytes:
    prefix = parse_prefix(entry["prefix"]) if isinstance(entry["prefix"], str) else None
    if prefix is None or prefix.afi != afi or prefix.path_id is not None or "host" in entry:
        raise TextError(f"orf: not a prefix of the family: {entry['prefix']!r}")
    return encode_prefix(prefix)


def _encode_covering(entry: dict[str, Any], family: Family) -> bytes:
    targets = b"".join(parse_ext_community(entry[key]).to_bytes(8, "big") for key in _TARGETS)
    kind = _encode_number(entry, "route_type", 1)
    size = _HOSTS.get((family, kind[0]))
    host = entry.get("host", "")
    if size is None or not isinstance(host, str):
        raise TextError(f"orf: route_type {kind[0]} of {family} has no host address: {entry!r}")
    try:
        octets = bytes.fromhex(host.replace(":", "")) if size in (0, 6) else parse_address(host)
    except ValueError:
        octets = b"?"
    if len(octets) != size:
        raise TextError(f"orf: not a host address of {size} octets: {host!r}")
    return targets + kind + octets


def _encode_number(entry: dict[str, Any], key: str, size: int) -> bytes:
    value = entry[key]
    if type(value) is not int or value < 0 or value >> 8 * size:
        raise TextError(f"orf: {key} is a number from 0 to {(1 << 8 * size) - 1}, not {value!r}")
    return value.to_bytes(size, "big")


def _code(value: object, codes: dict[str, int], what: str) -> int:
    code = codes.get(value.upper()) if isinstance(value, str) else value
    if type(code) is not int or not 0 <= code <= 255:
        raise TextError(f"{what}: one of {', '.join(codes)} or a number to 255 is expected, not {value!r}")
    return code
