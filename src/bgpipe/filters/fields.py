"""The table of fields that filters can ask about. docs/filters.md describes them, and a test compares the two."""

from __future__ import annotations

from typing import Final, NamedTuple

from ..wire.attrs.community import parse_community
from ..wire.attrs.large_community import parse_large_community
from ..wire.family import IPV4_UNICAST, IPV6_UNICAST
from ..wire.message import KEEPALIVE, NOTIFICATION, OPEN, ROUTE_REFRESH, UPDATE
from .conditions import BoundCondition, Look
from .errors import ConditionError, nearest
from .of_message import (
    Binder,
    bind_attribute,
    bind_direction,
    bind_json,
    bind_peer_asn,
    bind_peer_ip,
    bind_seq,
    bind_tag,
    bind_time,
    bind_type,
    type_is,
)
from .of_routes import bind_label, bind_mac, bind_rd, bind_target
from .of_update import (
    bind_family,
    bind_next_hop,
    bind_origin,
    bind_path,
    bind_path_hops,
    bind_path_length,
    bind_prefix_length,
    communities,
    family_is,
    hop_at,
    number,
    parse_ext_community_text,
    prefixes,
)
from .spelling import HINTS
from .syntax import Condition
from .values import integer_of

MAX_HOPS: Final = 32768
"""No message has a path with more."""


class FilterField(NamedTuple):
    """One row of the table.

    names: its name, then its aliases.
    operators: those that it takes; `?` is a condition without one (is it there? is it so?).
    subscript: what stands in brackets: "" nothing, "*" an optional star, "N" an optional integer or star, "KEY" an
    optional text, "PATH" a text that must be there.
    """

    names: tuple[str, ...]
    operators: list[str]
    subscript: str
    bind: Binder


_ORDER: Final = "== < <= > >="

_ROWS: Final[tuple[tuple[str, str, str, Binder], ...]] = (
    # names, operators, index, binder. Of every message:
    ("type", "==", "", bind_type),
    ("update", "?", "", type_is(UPDATE)),
    ("open", "?", "", type_is(OPEN)),
    ("keepalive", "?", "", type_is(KEEPALIVE)),
    ("notify notification", "?", "", type_is(NOTIFICATION)),
    ("refresh route_refresh", "?", "", type_is(ROUTE_REFRESH)),
    ("dir direction", "? ==", "", bind_direction),
    ("seq sequence", f"? {_ORDER}", "", bind_seq),
    ("time timestamp", f"? {_ORDER} ~", "", bind_time),
    ("tag tags", "? == ~", "KEY", bind_tag),
    ("peer_asn peer_as", f"? {_ORDER}", "", bind_peer_asn),
    ("peer_ip", "? == ~", "", bind_peer_ip),
    ("json", f"? {_ORDER} ~", "PATH", bind_json),
    # Of UPDATEs:
    ("af", "==", "", bind_family),
    ("ipv4", "?", "", family_is(IPV4_UNICAST)),
    ("ipv6", "?", "", family_is(IPV6_UNICAST)),
    ("prefix", f"? {_ORDER} ~", "*", prefixes(Look.PREFIX)),
    ("prefix_len prefix_length", _ORDER, "*", bind_prefix_length),
    ("reach", f"? {_ORDER} ~", "*", prefixes(Look.REACH)),
    ("unreach", f"? {_ORDER} ~", "*", prefixes(Look.UNREACH)),
    ("nexthop nh next_hop", f"? {_ORDER} ~", "", bind_next_hop),
    ("aspath as_path path", f"? {_ORDER} ~", "N", bind_path),
    ("as_peer", _ORDER, "", hop_at(0)),
    ("as_upstream", _ORDER, "", hop_at(-2)),
    ("as_origin origin_as origin_asn", _ORDER, "", hop_at(-1)),
    ("aspath_len as_path_len", f"? {_ORDER}", "", bind_path_length),
    ("aspath_hops as_path_hops", f"? {_ORDER}", "", bind_path_hops),
    ("origin", "? ==", "", bind_origin),
    ("med metric", f"? {_ORDER}", "", number(Look.MED)),
    ("local_pref localpref local_preference", f"? {_ORDER}", "", number(Look.LOCAL_PREF)),
    ("otc only_to_customer", f"? {_ORDER}", "", number(Look.OTC)),
    ("community com communities", "? == ~", "", communities(Look.COMMUNITY, parse_community)),
    ("ext_community ext_com com_ext", "? == ~", "", communities(Look.EXT_COMMUNITY, parse_ext_community_text)),
    ("large_community large_com com_large", "? == ~", "", communities(Look.LARGE_COMMUNITY, parse_large_community)),
    ("target route_target rt", "? == ~", "", bind_target),
    ("rd route_distinguisher", "? == ~", "", bind_rd),
    ("mac", "? == ~", "", bind_mac),
    ("label labels", f"? {_ORDER}", "", bind_label),
    ("attr", f"? {_ORDER} ~", "PATH", bind_attribute),
)
FIELDS: Final = tuple(
    FilterField(tuple(names.split()), operators.split(), index, bind) for names, operators, index, bind in _ROWS
)
_BY_NAME: Final = {name: field for field in FIELDS for name in field.names}


def bind(condition: Condition) -> BoundCondition:
    """Binds a condition to its field. Raises ConditionError."""
    name = condition.name.lower().replace("-", "_")
    field = _BY_NAME.get(name)
    if field is None:
        hint = f"; {HINTS[name]}" if name in HINTS else nearest(name, _BY_NAME)
        raise ConditionError("name", f"invalid attribute: {condition.name}{hint}")
    index, operator = condition.subscript, condition.operator
    if index is None:
        if field.subscript == "PATH":
            raise ConditionError("index", f"invalid index: {name} needs one, as in {name}[PATH]")
    elif not field.subscript:
        raise ConditionError("index", f"invalid index: {name} takes none")
    elif not _takes(field.subscript, index):
        raise ConditionError(
            "index", f"invalid index: {name} takes [{'*' if field.subscript == '*' else 'N'}], not [{index}]"
        )
    if (operator or "?") not in field.operators:
        known = " ".join(field.operators).replace("?", "(none)")
        raise ConditionError("operator", f"invalid operator: {name} takes {known}")
    return field.bind(condition)


def _takes(kind: str, index: str) -> bool:
    """Whether a field of this kind takes the index."""
    if kind in ("KEY", "PATH") or index == "*":
        return True
    number = integer_of(index)
    return kind == "N" and number is not None and -MAX_HOPS <= number <= MAX_HOPS
