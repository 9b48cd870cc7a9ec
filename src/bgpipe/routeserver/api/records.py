"""What requests say and what answers look like. Keys are those of BGPLite."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Struct, UnsetType, inspect

from ...net.tcp import ao_ids
from ..peers import Peer, UrlSource
from ..rules import Written
from ..settings import SessionOptions
from ..times import iso

T = TypeVar("T", bound=Struct)


class WrittenPrefix(Struct, rename="camel", kw_only=True):
    """A prefix with what is to be said of it. expires: ISO 8601; it counts until then."""

    prefix: str
    community: str = ""
    communities: list[str] = []
    med: int | None = None
    prepends: int | None = None
    expires: str = ""


class PeerLimits(Struct, rename="camel", kw_only=True):
    """What a peer has of its own; null: its group or the defaults say it. See rules.Rules."""

    max_prefix: int | None = None
    max_routes: int | None = None
    max_routes_action: Literal["hold", "widen"] | None = None
    max_foreign: int | None = None
    max_foreign_ipv6: int | None = msgspec.field(default=None, name="maxForeignIpv6")
    min_length_ipv4: int | None = msgspec.field(default=None, name="minLengthIpv4")
    max_length_ipv4: int | None = msgspec.field(default=None, name="maxLengthIpv4")
    min_length_ipv6: int | None = msgspec.field(default=None, name="minLengthIpv6")
    max_length_ipv6: int | None = msgspec.field(default=None, name="maxLengthIpv6")
    union: bool | None = None
    med: int | None = None
    prepends: int | None = None


class RulesChange(Struct, rename="camel", kw_only=True):
    """What is missing stays as it is; with null the group or the defaults say it. See rules.Rules."""

    description: str | UnsetType | None = UNSET
    lists: list[str] | UnsetType | None = UNSET
    exclude: list[str | WrittenPrefix] | UnsetType | None = UNSET
    communities: list[str] | UnsetType | None = UNSET
    add_communities: list[str] | UnsetType | None = UNSET
    next_hop: str | UnsetType | None = UNSET
    next_hop_ipv6: str | UnsetType | None = msgspec.field(default=UNSET, name="nextHopIpv6")
    max_prefix: int | UnsetType | None = UNSET
    max_routes: int | UnsetType | None = UNSET
    max_routes_action: Literal["hold", "widen"] | UnsetType | None = UNSET
    max_foreign: int | UnsetType | None = UNSET
    max_foreign_ipv6: int | UnsetType | None = msgspec.field(default=UNSET, name="maxForeignIpv6")
    min_length_ipv4: int | UnsetType | None = msgspec.field(default=UNSET, name="minLengthIpv4")
    max_length_ipv4: int | UnsetType | None = msgspec.field(default=UNSET, name="maxLengthIpv4")
    min_length_ipv6: int | UnsetType | None = msgspec.field(default=UNSET, name="minLengthIpv6")
    max_length_ipv6: int | UnsetType | None = msgspec.field(default=UNSET, name="maxLengthIpv6")
    union: bool | UnsetType | None = UNSET
    med: int | UnsetType | None = UNSET
    prepends: int | UnsetType | None = UNSET
    local_asn: int | UnsetType | None = UNSET


class PeerChange(RulesChange, rename="camel", kw_only=True):
    """PUT /api/peers/{id}: what is missing stays as it is; an empty list or text removes it. null sets a field back to
    what the group, the defaults or `Bgp` say; only description, lists, customPrefixes, customAsns and md5Password stay
    as they are with null."""

    group: str | UnsetType | None = UNSET
    asn_lists: list[str] | UnsetType | None = UNSET
    custom_prefixes: list[str | WrittenPrefix] | UnsetType | None = UNSET
    custom_asns: list[int] | UnsetType | None = UNSET
    md5_password: str | UnsetType | None = UNSET
    connect: bool | UnsetType | None = UNSET
    port: int | UnsetType | None = UNSET
    local_address: str | UnsetType | None = UNSET
    role: str | UnsetType | None = UNSET
    hold_time: int | UnsetType | None = UNSET
    send_hold_time: int | UnsetType | None = UNSET
    capabilities: list[str] | UnsetType | None = UNSET
    min_ttl: int | UnsetType | None = UNSET
    ao_key: str | UnsetType | None = UNSET
    ao_keys: list[str] | UnsetType | None = UNSET


class GroupChange(RulesChange, rename="camel", kw_only=True):
    """PUT /api/groups/{name}: what is missing stays as it is; with null, or an empty list or text, the defaults say
    it."""


class NewGroup(RulesChange, rename="camel", kw_only=True):
    """POST /api/groups."""

    name: str


class NewPeer(PeerChange, rename="camel", kw_only=True):
    """POST /api/peers: adds a peer, or replaces what is said of it. ip: its address, or a network such as 192.0.2.0/24
    for all peers in it that are not known themselves. asn: of the peer; 0 for any in a network."""

    ip: str
    asn: int


class ListFields(Struct, rename="camel", kw_only=True):
    """PUT /api/sources/{name}: what is missing or null stays as it is. Keys are those of PrefixSources."""

    kind: str | None = None
    description: str | None = None
    community: str | None = None
    url: str | None = None
    headers: dict[str, str] | None = None
    json: str | None = None
    column: str | None = None
    asn: int | None = None
    asns: list[int] | None = None
    as_sets: list[str] | None = None
    via: Literal["ripestat", "irr"] | None = None
    country: str | None = None
    domain: str | None = None
    domains: list[str] | None = None
    sources: list[str] | None = None
    without: list[str] | None = None
    interval: int | None = None
    timeout: int | None = None
    max: int | None = None
    max_shrink: float | None = None
    max_growth: float | None = None
    add_communities: list[str] | None = None
    med: int | None = None
    prepends: int | None = None
    next_hop: str | None = None
    next_hop_ipv6: str | None = msgspec.field(default=None, name="nextHopIpv6")
    expires: str | None = None


class NewList(ListFields, rename="camel", kw_only=True):
    """POST /api/sources."""

    name: str


class Communities(Struct, kw_only=True):
    """PUT /api/peer/{ip}/communities."""

    communities: list[str]


class Description(Struct, kw_only=True):
    """PUT /api/peer/{ip}/description."""

    description: str


class NewSource(Struct, rename="camel", kw_only=True):
    """POST /api/peers/{id}/sources."""

    name: str
    url: str
    community: str | None = None


class SourceChange(Struct, rename="camel", kw_only=True):
    """PATCH /api/peers/{id}/sources/{sid}."""

    active: bool


class ShownSource(Struct, rename="camel", kw_only=True):
    """A list at a URL that one peer has for itself."""

    id: str
    name: str
    url: str
    community: str | None
    active: bool


class ShownOptions(Struct, rename="camel", kw_only=True):
    """What is fixed for the session with a peer. tcpAo: whether TCP-AO authenticates it. aoKeyIds: ids of its keys; the
    keys are never shown."""

    connect: bool
    port: int
    local_address: str
    role: str
    local_asn: int
    hold_time: int | None
    send_hold_time: int | None
    capabilities: tuple[str, ...] | None
    min_ttl: int | None
    tcp_ao: bool
    ao_key_ids: list[int]


class ShownPeer(PeerLimits, rename="camel", kw_only=True):
    """A peer, or a network that stands for all peers in it that are not known themselves: then ip is this network, and
    asn 0 for any AS number. template: the id of the network by which a peer is known, "" if it is known itself. tcpMd5:
    whether its session is signed; the key is never shown."""

    id: str
    ip: str
    asn: int
    description: str
    status: str
    created_at: str
    tcp_md5: bool
    last_session_at: str | None
    group: str
    lists: tuple[str, ...]
    custom_prefixes: tuple[Written, ...]
    custom_asns: tuple[int, ...]
    communities: tuple[str, ...]
    all_routes: bool
    add_communities: tuple[str, ...]
    exclude: tuple[Written, ...]
    next_hop: str
    next_hop_ipv6: str = msgspec.field(name="nextHopIpv6")
    session: ShownOptions
    owner: str
    template: str
    custom_sources: list[ShownSource] | UnsetType = UNSET
    advertised_prefix_count: int | UnsetType = UNSET


class GroupMember(Struct, kw_only=True):
    """A peer that is in a group. ip: its address, or the network for whose peers it stands."""

    id: str
    ip: str
    asn: int
    description: str
    status: str


class ShownGroup(PeerLimits, rename="camel", kw_only=True):
    """A group: what holds for its peers where they say nothing else, and these peers. localAsn: our AS number for them,
    0 for the usual one."""

    name: str
    owner: str
    description: str
    lists: tuple[str, ...]
    exclude: tuple[Written, ...]
    communities: tuple[str, ...]
    add_communities: tuple[str, ...]
    next_hop: str
    next_hop_ipv6: str = msgspec.field(name="nextHopIpv6")
    local_asn: int
    members: list[GroupMember]


class DeletedGroup(Struct, kw_only=True):
    """A group that is no more."""

    name: str
    deleted: bool = True


class AtAddress(Struct, kw_only=True):
    """The peers at the address of who asks."""

    ip: str
    peers: list[ShownPeer]


def show_peer(peer: Peer, *, sources: bool = False, advertised: int | None = None) -> ShownPeer:
    """advertised: routes that it has, to be shown too."""
    return ShownPeer(
        id=peer.id,
        ip=peer.ip,
        asn=peer.asn,
        description=peer.description,
        status=peer.status,
        created_at=iso(peer.created_at) or "",
        group=peer.group,
        tcp_md5=bool(peer.md5_password),
        last_session_at=iso(peer.last_session_at),
        lists=peer.lists,
        custom_prefixes=peer.custom_prefixes,
        custom_asns=peer.custom_asns,
        communities=peer.communities,
        all_routes=not peer.communities,
        add_communities=peer.add_communities,
        exclude=peer.exclude,
        next_hop=peer.next_hop,
        next_hop_ipv6=peer.next_hop_ipv6,
        session=show_options(peer.session),
        owner=peer.owner,
        template=peer.template,
        custom_sources=list(map(show_source, peer.sources)) if sources else UNSET,
        advertised_prefix_count=advertised if advertised is not None else UNSET,
        **{each.name: getattr(peer, each.name) for each in msgspec.structs.fields(PeerLimits)},
    )


def show_options(options: SessionOptions) -> ShownOptions:
    fields = msgspec.structs.asdict(options)
    keys = fields.pop("ao")
    return ShownOptions(tcp_ao=bool(keys), ao_key_ids=ao_ids(keys), **fields)


def show_source(source: UrlSource) -> ShownSource:
    return ShownSource(id=source.id, name=source.name, url=source.url, community=source.community, active=source.active)


def masked(sources: list[ShownSource]) -> list[ShownSource]:
    """The same for those who only look: behind the name of the server a URL may have a secret."""
    return [
        msgspec.structs.replace(each, url=f"{urlsplit(each.url).scheme}://{urlsplit(each.url).hostname}/***")
        for each in sources
    ]


def decode(body: bytes, kind: type[T]) -> T:
    """A request: keys count in any case, unknown ones are ignored. Raises ValueError, which says what is wrong."""
    if b"\\u0000" in body:  # raw ones are no JSON; PostgreSQL has no place for them
        raise ValueError("a text has a NUL character")
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("the body is no JSON") from None
    if not isinstance(value, dict):
        raise ValueError("an object is expected")
    return _record(value, kind, strict=True)


def decode_query(query: Mapping[str, str], kind: type[T]) -> T:
    """The parameters of a query: names count in any case, unknown ones are ignored. Raises ValueError."""
    return _record(query, kind, strict=False)


def _record(value: Mapping[str, Any], kind: type[T], *, strict: bool) -> T:
    names = {each.encode_name.lower(): each.encode_name for each in msgspec.structs.fields(kind)}
    known: dict[str, Any] = {names[key.lower()]: each for key, each in value.items() if key.lower() in names}
    try:
        return msgspec.convert(known, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise ValueError(_explain(str(error), kind)) from None


def _explain(text: str, kind: type[Struct]) -> str:
    """What msgspec says of a value: the field first, as in all other errors; and words of JSON for types of Python."""
    reason, _, place = text.partition(" - at `$")
    key = place.rstrip("`").removeprefix(".")
    if found := _MISSING.fullmatch(reason):
        return f"{key}.{found[1]}: is missing" if key else f"{found[1]}: is missing"
    if reason.startswith("Invalid enum value") and (values := _choices(kind, key)):
        return f"{key}: one of {', '.join(values)} is expected"
    reason = _TYPE.sub(lambda found: " or ".join(_WORDS.get(each, each) for each in found[1].split(" | ")), reason)
    return f"{key}: {reason[:1].lower()}{reason[1:]}" if key else reason


def _choices(kind: type[Struct], key: str) -> list[str]:
    """The values of which a field has one; none if it has others."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    of_field = next((each.type for each in info.fields if each.encode_name == key), None)
    kinds = of_field.types if isinstance(of_field, inspect.UnionType) else (of_field,)
    return [str(value) for each in kinds if isinstance(each, inspect.LiteralType) for value in each.values]


_MISSING: Final = re.compile("Object missing required field `(.*)`")
_TYPE: Final = re.compile("`([a-z| ]+)`")
_WORDS: Final = {
    "int": "a whole number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "float": "a number",
}
