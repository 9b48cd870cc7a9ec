"""Elements: one for each NLRI that a message announces or withdraws, as pybgpstream and bgpkit have them.

The attributes have the names of bgpkit's elements, `fields` the keys of pybgpstream's, and the text is the line that
`bgpdump -m` prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from . import attrs
from .attrs.as_path import AS_CONFED_SEQUENCE, AS_CONFED_SET, AS_SEQUENCE, AS_SET, AsPath
from .errors import WireError
from .prefix import Prefix
from .route import Route
from .update_body import UpdateBody

_SEGMENT_FORMS: Final = {
    AS_SEQUENCE: ("%s", " "),
    AS_SET: ("{%s}", ","),
    AS_CONFED_SEQUENCE: ("(%s)", " "),
    AS_CONFED_SET: ("[%s]", ","),
}
_NAMED_COMMUNITIES: Final = {
    "65535:65281": "no-export",
    "65535:65282": "no-advertise",
    "65535:65283": "local-AS",
}
"""What bgpdump calls the well-known communities of RFC 1997."""

_NO_NEXT_HOP: Final = "255.255.255.255"
"""What bgpdump prints where there is none."""


class Elem:
    """One NLRI of a message, with the path attributes that go with it; or one change of a session's state.

    elem_type: "A" (announced), "W" (withdrawn), "R" (an entry of a RIB dump), or "S" (state change).
    timestamp: seconds since 1970 (UTC).
    peer_ip, peer_asn: who sent it; None where the input doesn't say.
    prefix: its text, without the path identifier, which is `path_id` (RFC 7911) or None. None too where the NLRI has
    none, such as the MAC address of EVPN.
    rd, mac, labels: route distinguisher, MAC address and MPLS labels of an NLRI that is not a plain IP prefix; `route`
    is all that it says, as in JSON, and `family` is its family; otherwise None, and no labels.
    next_hop, as_path, origin, local_pref, med, aggr_asn, aggr_ip: None where the attribute is absent or unreadable.
    as_path: as bgpdump writes it: `65001 65002 {65003,65004}`.
    origin_asns: the AS that the path ends with, all of them if that is an AS_SET.
    communities: `65001:100`, and large ones `65001:1:2`. ext_communities: the JSON text of each.
    otc: ONLY_TO_CUSTOMER. collector: the tag COLLECTOR. Both None where there is none.
    atomic: ATOMIC_AGGREGATE is there.
    old_state, new_state: of a state change, numbers of RFC 6396, else None.
    """

    __slots__ = (
        "_as2",
        "_micros",
        "aggr_asn",
        "aggr_ip",
        "as_path",
        "atomic",
        "collector",
        "communities",
        "elem_type",
        "ext_communities",
        "family",
        "labels",
        "local_pref",
        "mac",
        "med",
        "new_state",
        "next_hop",
        "old_state",
        "origin",
        "origin_asns",
        "otc",
        "path_id",
        "peer_asn",
        "peer_ip",
        "prefix",
        "rd",
        "route",
    )

    def __init__(
        self,
        elem_type: str,
        micros: int,
        peer_ip: str | None,
        peer_asn: int | None,
        prefix: str | None = None,
        path_id: int | None = None,
        collector: str | None = None,
    ) -> None:
        self.elem_type = elem_type
        self._micros = micros
        self.peer_ip = peer_ip
        self.peer_asn = peer_asn
        self.prefix = prefix
        self.path_id = path_id
        self.collector = collector
        self.next_hop: str | None = None
        self.as_path: str | None = None
        self.origin_asns: list[int] = []
        self.origin: str | None = None
        self.local_pref: int | None = None
        self.med: int | None = None
        self.communities: list[str] = []
        self.ext_communities: list[str] = []
        self.otc: int | None = None
        self._as2 = False
        self.atomic = False
        self.aggr_asn: int | None = None
        self.aggr_ip: str | None = None
        self.old_state: int | None = None
        self.new_state: int | None = None
        self.family: str | None = None
        self.rd: str | None = None
        self.mac: str | None = None
        self.labels: list[int] = []
        self.route: dict[str, Any] | None = None

    @property
    def timestamp(self) -> float:
        return self._micros / 1e6

    @property
    def fields(self) -> dict[str, Any]:
        """What pybgpstream has in `elem.fields` for an element of this type."""
        if self.elem_type == "S":
            return {"old-state": self.old_state, "new-state": self.new_state}
        if self.elem_type == "W":
            return {"prefix": self.prefix}
        return {
            "prefix": self.prefix,
            "next-hop": self.next_hop,
            "as-path": self.as_path,
            "communities": set(self.communities),
        }

    def to_dict(self) -> dict[str, Any]:
        """All of it by name, ready for a data frame or JSON."""
        names = ("timestamp", *(name for name in self.__slots__ if not name.startswith("_")))
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        """The line of `bgpdump -m`, letter by letter: fields between bars, an absent one empty or 0."""
        seconds, micros = divmod(self._micros, 1_000_000)
        kind, letter = "BGP4MP", self.elem_type
        time = f"{seconds}.{micros:06}" if micros else str(seconds)
        if letter == "R":
            kind, letter = "TABLE_DUMP" if self._as2 else "TABLE_DUMP2", "B"
        elif micros:
            kind = "BGP4MP_ET"
        peer_ip = self.peer_ip or ("::" if self.prefix and ":" in self.prefix else "0.0.0.0")
        peer = f"{_shortened(peer_ip)}|{self.peer_asn or 0}"
        if self.elem_type == "S":
            return f"{kind}|{time}|STATE|{peer}|{self.old_state}|{self.new_state}"
        prefix = _shortened(self.prefix or "")
        if self.path_id is not None:
            kind += "_AP"
            prefix = f"{prefix}|{self.path_id}"
        line = f"{kind}|{time}|{letter}|{peer}|{prefix}"
        if self.elem_type == "W":
            return line
        communities = " ".join(
            _NAMED_COMMUNITIES.get(community, community)
            for community in self.communities
            if community.count(":") == 1  # bgpdump has no place for large ones
        )
        aggregator = f"{self.aggr_asn} {self.aggr_ip}" if self.aggr_ip is not None else ""
        next_hop = _shortened(self.next_hop) if self.next_hop is not None else _NO_NEXT_HOP
        return (
            f"{line}|{self.as_path or ''}|{self.origin or 'INCOMPLETE'}|{next_hop}"
            f"|{self.local_pref or 0}|{self.med or 0}|{communities}|{'AG' if self.atomic else 'NAG'}|{aggregator}|"
        )

    def __repr__(self) -> str:
        return f"<Elem {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Elem) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]


class Sender(NamedTuple):
    """When a message came, and from whom. micros: microseconds since 1970 (UTC)."""

    micros: int
    peer_ip: str | None
    peer_asn: int | None
    collector: str | None


def sender(micros: int, tags: Mapping[str, str]) -> Sender:
    """The sender that the tags of a message name."""
    asn = tags.get("PEER_AS", "")
    return Sender(micros, tags.get("PEER_IP"), int(asn) if asn.isdecimal() else None, tags.get("COLLECTOR"))


def state_elem(who: Sender, old: int, new: int) -> Elem:
    """The element of a state change."""
    elem = _elem(who, "S")
    elem.old_state, elem.new_state = old, new
    return elem


def update_elems(update: UpdateBody, who: Sender, from_rib: bool) -> Iterator[Elem]:
    """One element for each NLRI of an UPDATE, those withdrawn first.

    An UPDATE whose NLRI can't be decoded has none: `message.update.errors` says why.
    """
    try:
        withdrawn: list[Prefix | Route] = [*update.withdrawn, *update.unreach_routes]
        nlri, reach, routes = update.nlri, update.reach, update.routes
    except WireError:
        return
    for each in withdrawn:
        yield _elem(who, "W", each)
    if reach or routes:
        yield from _announced(update, who, "R" if from_rib else "A", nlri, [*reach[len(nlri) :], *routes])


def _elem(who: Sender, elem_type: str, nlri: Prefix | Route | None = None) -> Elem:
    path_id = nlri.path_id if nlri is not None else None
    prefix = nlri.prefix if isinstance(nlri, Route) else nlri
    text = _text(prefix) if prefix is not None else None
    elem = Elem(elem_type, who.micros, who.peer_ip, who.peer_asn, text, path_id, who.collector)
    if isinstance(nlri, Route):
        elem.family = str(nlri.family)
        elem.rd, elem.mac, elem.labels, elem.route = nlri.rd, nlri.mac, nlri.labels, dict(nlri.members)
    return elem


def _announced(
    update: UpdateBody, who: Sender, elem_type: str, nlri: list[Prefix], mp_reach: Sequence[Prefix | Route]
) -> Iterator[Elem]:
    """Each element has lists of its own, so that a caller may change them."""
    path = update.as_path
    as_path = format_path(path) if path is not None else None
    origin_asns = _origins(path)
    communities = update.communities + update.large_communities
    ext_communities = update.ext_communities
    aggregator = update.aggregator
    atomic = attrs.ATOMIC_AGGREGATE in update.attrs
    origin, local_pref, med, otc = update.origin, update.local_pref, update.med, update.otc
    parts: tuple[tuple[Sequence[Prefix | Route], str | None], ...] = (
        (nlri, update.value(attrs.NEXT_HOP)),
        (mp_reach, update.next_hop),
    )
    for prefixes, next_hop in parts:
        for prefix in prefixes:
            elem = _elem(who, elem_type, prefix)
            elem.next_hop = next_hop
            elem.as_path = as_path
            elem.origin_asns = list(origin_asns)
            elem.origin = origin
            elem.local_pref = local_pref
            elem.med = med
            elem.communities = list(communities)
            elem.ext_communities = list(ext_communities)
            elem.otc = otc
            elem.atomic = atomic
            elem._as2 = not update.as4
            if aggregator is not None:
                elem.aggr_asn, elem.aggr_ip = aggregator
            yield elem


def _shortened(address: str) -> str:
    """An address or prefix as bgpdump writes it: in IPv6, `::` stands for a single group of zeros too, which RFC 5952
    section 4.2.2 rules out."""
    if "::" in address or ("0:" not in address and ":0" not in address):
        return address
    groups, slash, length = address.partition("/")
    words = groups.split(":")
    if "0" not in words or len(words) != 8:
        return address
    first = words.index("0")
    return f"{':'.join(words[:first])}::{':'.join(words[first + 1 :])}{slash}{length}"


def _text(prefix: Prefix) -> str:
    return str(prefix if prefix.path_id is None else prefix._replace(path_id=None))


def _origins(path: AsPath | None) -> list[int]:
    """The AS numbers of the last hop."""
    hops = path.hops if path is not None else ()
    last = hops[-1] if hops else ()
    return list(last) if isinstance(last, tuple) else [last]


def format_path(path: AsPath) -> str:
    """As bgpdump writes it: AS_SETs in {}, sequences of a confederation in (), sets of one in []."""
    texts = []
    for kind, ases in path:
        form, between = _SEGMENT_FORMS[kind]
        texts.append(form % between.join(map(str, ases)))
    return " ".join(texts)
