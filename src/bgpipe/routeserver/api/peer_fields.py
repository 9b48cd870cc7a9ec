"""What a request says of a peer or a group, by the names of their fields; and who may say what."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET

from ..management import Refused
from ..peers import Peer
from ..rules import as_written
from ..settings import SessionOptions
from .call import Call
from .records import NewPeer, PeerChange, PeerLimits, RulesChange

_OWN: Final = frozenset(
    (
        *("ip", "asn", "description", "lists", "asn_lists", "custom_prefixes", "custom_asns", "exclude"),
        *("communities", "add_communities", "md5_password", "next_hop", "next_hop_ipv6"),
        *(name for name in PeerLimits.__struct_fields__ if name != "max_prefix"),
    )
)
"""What a peer may say of itself, since it is alone with it; the rest is for operators."""
_STAY: Final = frozenset(("description", "lists", "asn_lists", "custom_prefixes", "custom_asns", "md5_password"))
"""Fields of the original, for which null is as if they were missing."""
_UNSAID: Final = {
    each.name: each.default for kind in (SessionOptions, Peer) for each in msgspec.structs.fields(kind)
} | {"ao_key": "", "ao_keys": ()}
"""What a field has of which nothing is said."""


def allowed_fields(call: Call, wanted: PeerChange) -> dict[str, Any]:
    """Raises Refused if only an operator may say it; null of a peer says nothing then."""
    fields = fields_of(wanted)
    if not call.all:
        nulls = {name for name, value in msgspec.structs.asdict(wanted).items() if value is None}
        fields = {name: value for name, value in fields.items() if name in _OWN or name not in nulls}
    if not call.all and (more := fields.keys() - _OWN):
        names = {each.name: each.encode_name for each in msgspec.structs.fields(type(wanted))}
        raise Refused(f"only an operator may say this: {', '.join(sorted(names[each] for each in more))}", 403)
    return fields


def fields_of(wanted: RulesChange) -> dict[str, Any]:
    """What is said: null sets a field back, except where PeerChange says otherwise. Of a new peer it says nothing."""
    found = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not UNSET}
    if isinstance(wanted, PeerChange):
        nulls_stay = found.keys() if isinstance(wanted, NewPeer) else _STAY
        found = {name: value for name, value in found.items() if value is not None or name not in nulls_stay}
    lists = found.pop("asn_lists", None)
    if lists is not None:
        found.setdefault("lists", lists)
    for name in ("ip", "asn", "name"):
        found.pop(name, None)
    for name in ("custom_prefixes", "exclude"):
        if found.get(name):
            found[name] = list(map(as_written, found[name]))
    return {name: _as_kept(name, value) for name, value in found.items()}


def _as_kept(name: str, value: Any) -> Any:
    if value is None:
        return _UNSAID[name]
    return tuple(value) if isinstance(value, list) else value
