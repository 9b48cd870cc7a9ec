"""What a request says of a peer, by the names of Peer's fields; and who may say what."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ..management import Refused
from ..rules import as_written
from .call import Call
from .records import PeerChange, PeerLimits

_OWN: Final = frozenset(
    (
        *("ip", "asn", "description", "lists", "asn_lists", "custom_prefixes", "custom_asns", "exclude"),
        *("communities", "add_communities", "md5_password", "next_hop", "next_hop_ipv6"),
        *(name for name in PeerLimits.__struct_fields__ if name != "max_prefix"),
    )
)
"""What a peer may say of itself, since it is alone with it; the rest is for operators."""


def allowed_fields(call: Call, wanted: PeerChange) -> dict[str, Any]:
    """Raises Refused if only an operator may say it."""
    said = {name for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    if not call.all and (more := said - _OWN):
        names = {each.name: each.encode_name for each in msgspec.structs.fields(type(wanted))}
        raise Refused(f"only an operator may say this: {', '.join(sorted(names[each] for each in more))}", 403)
    return fields_of(wanted)


def fields_of(wanted: PeerChange) -> dict[str, Any]:
    said = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    lists = said.pop("asn_lists", None)
    if lists is not None:
        said.setdefault("lists", lists)
    for name in ("ip", "asn"):
        said.pop(name, None)
    for name in ("custom_prefixes", "exclude"):
        if name in said:
            said[name] = list(map(as_written, said[name]))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
