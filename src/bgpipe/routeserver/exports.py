"""The Adj-RIB-Out of a peer in the forms that it can be had in: text, JSON, CSV, MRT (RFC 6396), a script of RouterOS.

It is what the session has been sent, or what a peer without one would be sent: families that are not agreed, and routes
without a next hop, are not in it.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..formats import mrt
from ..routes.attributes import FAMILIES, Attributes, UpdateGroup
from ..routes.peer_routes import PeerRoutes
from ..routes.prefixes import PrefixSet
from ..routes.table import Table
from ..session.facts import Facts
from ..wire.address import format_address
from ..wire.attrs.community import format_community
from ..wire.attrs.large_community import format_large_community
from ..wire.block import Block
from ..wire.communities import write_ext_community
from .peers import Peer

if TYPE_CHECKING:
    from .server import RouteServer

RSC_LIST: Final = "bgplite"
"""The address list of RouterOS that a script fills."""


class Route(NamedTuple):
    """A route that is announced. communities: of all kinds, as text."""

    prefix: str
    next_hop: str
    communities: list[str]
    med: int | None
    prepends: int


@dataclass(frozen=True)
class AdjRibOut:
    """What a peer has. afis: the families that are announced to it. local: our address."""

    peer: Peer
    table: Table
    form: UpdateGroup
    afis: tuple[int, ...]
    local: str

    @classmethod
    def of(cls, server: RouteServer, peer: Peer) -> AdjRibOut:
        session = server.sessions.sessions.get(peer.id)
        if session is not None and session.up and session.announcer.told is not None:
            form = server.tables.form(peer.asn, session.local, session.link.facts, session.announcer.settings().asn)
            afis = tuple(family.afi for family in session.link.facts.families if family in FAMILIES.values())
            return cls(peer, session.announcer.told.table, form, afis, session.local)
        local = "::" if ":" in peer.ip else server.config.bgp.router_id
        form = server.tables.form(peer.asn, local, Facts(), server.tables.with_group(peer).session.local_asn)
        return cls(peer, server.tables.of(peer).table, form, tuple(FAMILIES), local)

    def groups(self) -> Iterator[tuple[Attributes, int, str, PrefixSet]]:
        """(path attributes, AFI, next hop, prefixes) of all that is announced."""
        for attributes, prefixes in self.table.routes().items():
            for afi in self.afis:
                numbers = prefixes.numbers(afi)
                hop = self.form.next_hop(attributes, afi)
                if numbers and hop:
                    found = PrefixSet(numbers) if afi == 1 else PrefixSet((), numbers)
                    yield attributes, afi, format_address(hop), found

    @property
    def count(self) -> int:
        return sum(len(prefixes) for *_, prefixes in self.groups())

    def prefixes(self) -> list[str]:
        return list(PrefixSet.joined(found for _, _, _, found in self.groups()))

    def routes(self) -> Iterator[Route]:
        for attributes, _, hop, prefixes in self.groups():
            texts = communities(attributes)
            for prefix in prefixes:
                yield Route(prefix, hop, texts, attributes.med, attributes.prepends or 0)

    def blocks(self) -> Iterator[Block]:
        """The UPDATEs that announce all of it."""
        routes = PeerRoutes(self.table, self.form)
        for afi in self.afis:
            yield from filter(None, routes.replay(FAMILIES[afi]))


def communities(attributes: Attributes) -> list[str]:
    return [
        *map(format_community, sorted(attributes.communities)),
        *map(format_large_community, sorted(attributes.large_communities)),
        *map(write_ext_community, sorted(attributes.ext_communities)),
    ]


def as_text(found: AdjRibOut) -> bytes:
    """A prefix in each line."""
    return "".join(f"{each}\n" for each in found.prefixes()).encode()


def as_json(found: AdjRibOut) -> bytes:
    """A list of prefixes, as BGPLite gives it."""
    return json.dumps(found.prefixes()).encode()


def as_csv(found: AdjRibOut) -> bytes:
    """A route in each row, communities with spaces between them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("prefix", "next_hop", "communities", "med", "prepends"))
    for each in found.routes():
        writer.writerow((each.prefix, each.next_hop, " ".join(each.communities), each.med, each.prepends))
    return text.getvalue().encode()


def as_mrt(found: AdjRibOut) -> bytes:
    """Records BGP4MP_ET with the UPDATEs, as if the peer had received them now."""
    encoder = mrt.MrtEncoder()
    now = int(time.time() * 1e6)
    tags: dict[str, Any] = {
        "PEER_AS": str(found.form.asn),
        "PEER_IP": found.local.partition("%")[0],
        "LOCAL_AS": str(found.peer.asn),
        "LOCAL_IP": found.peer.ip,
    }
    records = []
    for block in found.blocks():
        for message in block:
            message.time = now
            message.tags = dict(tags)
            records.append(encoder.encode(message))
    return b"".join(records)


def as_rsc(found: AdjRibOut) -> bytes:
    """A script of RouterOS, which fills an address list in one go: it is imported where BGP can't be had."""
    lines = []
    for family, afi in (("ip", 1), ("ipv6", 2)):
        add = f"/{family} firewall address-list add list={RSC_LIST}"
        lines.append(f"/{family} firewall address-list remove [find list={RSC_LIST}]")
        for _, each, _, prefixes in found.groups():
            if each == afi:
                lines += [f"{add} address={prefix}" for prefix in prefixes]
    return "".join(f"{line}\n" for line in lines).encode()


EXPORTS: Final[dict[str, tuple[str, Callable[[AdjRibOut], bytes]]]] = {
    "txt": ("text/plain", as_text),
    "json": ("application/json", as_json),
    "csv": ("text/csv", as_csv),
    "mrt": ("application/octet-stream", as_mrt),
    "rsc": ("text/plain", as_rsc),
}
"""Media type, and what makes it, by the name of a format."""
