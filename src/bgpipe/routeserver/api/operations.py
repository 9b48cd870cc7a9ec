"""All that may be asked of the API: one row for each method and path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from . import list_handlers as lists
from . import peer_handlers as peers
from . import status_handlers as status
from .call import Call


@dataclass(frozen=True, slots=True)
class Operation:
    """method, path: as HTTP has them, with aiohttp's placeholders. run: what it does. summary: for people."""

    method: str
    path: str
    run: Callable[[Call], Awaitable[object]]
    summary: str
    changes: bool = False


_PEER: Final = "/api/peers/{id}"
_AT: Final = "/api/peer/{ip}"
OPERATIONS: Final = (
    Operation("GET", "/api/server", status.about, "What to put into a router to have a session with us"),
    Operation("GET", "/api/my-ip", status.my_ip, "The address from which you ask"),
    Operation("GET", "/api/me", peers.me, "The peers at the address from which you ask"),
    Operation("GET", "/api/peers", peers.peers, "All peers"),
    Operation("POST", "/api/peers", peers.add_peer, "Add a peer, or replace its subscription", True),
    Operation("GET", _PEER, peers.peer, "One peer"),
    Operation("PUT", _PEER, peers.change_peer, "Change a peer", True),
    Operation("DELETE", _PEER, peers.delete_peer, "End the session of a peer and forget it", True),
    Operation("POST", f"{_PEER}/approve", peers.approve, "Let a pending peer have routes", True),
    Operation("GET", f"{_PEER}/prefixes", peers.prefixes, "The prefixes announced to a peer, as text or JSON"),
    Operation("GET", f"{_PEER}/setup/{{kind}}", peers.setup, "What to put into a router of a kind, to be pasted"),
    Operation("GET", f"{_PEER}/why", peers.why, "Why a peer is announced an address or a prefix, or why not"),
    Operation("GET", f"{_PEER}/sources", peers.sources, "The lists at URLs that a peer has for itself"),
    Operation("POST", f"{_PEER}/sources", peers.add_source, "Add such a list, which is paused", True),
    Operation("PATCH", f"{_PEER}/sources/{{source}}", peers.change_source, "Pause it, or let it count", True),
    Operation("DELETE", f"{_PEER}/sources/{{source}}", peers.delete_source, "Remove it", True),
    Operation("GET", f"{_AT}/communities", peers.communities, "The communities that a peer wants"),
    Operation("PUT", f"{_AT}/communities", peers.set_communities, "Announce only routes with one of them", True),
    Operation("DELETE", f"{_AT}/communities", peers.clear_communities, "Announce all routes", True),
    Operation("PUT", f"{_AT}/description", peers.set_description, "Describe a peer", True),
    Operation("GET", "/api/asn-lists", lists.lists, "The lists to which a peer can subscribe"),
    Operation("GET", "/api/sources", lists.all_sources, "The lists, how old they are and what is wrong with them"),
    Operation("POST", "/api/sources/{name}/accept", lists.accept, "Let the held version of a list count", True),
    Operation("POST", "/api/sources/{name}/refresh", lists.refresh_source, "Fetch a list now", True),
    Operation("GET", "/api/community-scheme", status.community_scheme, "The communities of custom prefixes"),
    Operation("GET", "/api/sessions", status.sessions, "The sessions"),
    Operation("GET", "/api/routes", status.routes, "How many routes there are, by community"),
    Operation("GET", "/api/routes/count", status.routes_count, "How many routes there are"),
)
