"""All that may be asked of the API: one row for each method and path.

Checks, OpenAPI, the pages of documentation and tests are made from these rows. What a body, a query and an answer look
like is said by the types of the function that answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from types import UnionType
from typing import Any, Final, get_args, get_type_hints

from aiohttp import web
from msgspec import Struct

from ..access import Role
from . import access_handlers as access
from . import birdwatcher as birds
from . import event_handlers as events
from . import group_handlers as groups
from . import list_handlers as lists
from . import peer_handlers as peers
from . import status_handlers as status
from . import try_handlers as trials

PAGE: Final = ("text/html",)


@dataclass(frozen=True)
class Operation:
    """One thing that may be asked for.

    method, path: as HTTP has them, with aiohttp's placeholders. run: the function that answers, with a Call, and a body
    or a query if it wants one. summary: for people. role: who may ask. own: a peer may too, for what is its own. media:
    the forms of an answer. asks: whether it changes nothing, whatever its method.
    """

    method: str
    path: str
    run: Callable[..., Awaitable[object]]
    summary: str
    role: Role = "reader"
    own: bool = False
    media: tuple[str, ...] = ("application/json",)
    asks: bool = False

    @property
    def is_page(self) -> bool:
        """Whether it is for people with a browser."""
        return self.media == PAGE

    @property
    def changes(self) -> bool:
        return self.method != "GET" and not self.asks

    @property
    def endless(self) -> bool:
        """Whether its answers have no end."""
        return self.media == _EVENTS

    @property
    def name(self) -> str:
        return self.run.__name__

    @property
    def group(self) -> str:
        """What it is about."""
        return (self.run.__module__ or "").rpartition(".")[2].removesuffix("_handlers")

    @cached_property
    def _types(self) -> dict[str, Any]:
        return get_type_hints(self.run)

    @property
    def body(self) -> type[Struct] | None:
        return self._types.get("body")

    @property
    def query(self) -> type[Struct] | None:
        return self._types.get("query")

    @property
    def answer(self) -> Any:
        """The type of an answer in JSON, None if it has none."""
        found = self._types["return"]
        kinds = get_args(found) if isinstance(found, UnionType) else (found,)
        return next((each for each in kinds if each is not web.StreamResponse), None)


_GROUP: Final = "/api/groups/{name}"
_LIST: Final = "/api/sources/{name}"
_PEER: Final = "/api/peers/{id}"
_AT: Final = "/api/peer/{ip}"
_PLAIN: Final = ("text/plain",)
_BIRD: Final = "/birdwatcher"
"""Where the looking glass Alice-LG finds what it asks of a birdwatcher."""
_EVENTS: Final = ("text/event-stream",)
_EXPORT: Final = ("text/plain", "application/json", "text/csv", "application/octet-stream")
OPERATIONS: Final = (
    Operation("GET", "/api/server", status.about, "What to put into a router to have a session with us", "anyone"),
    Operation("GET", "/api/my-ip", status.my_ip, "The address from which you ask", "anyone"),
    Operation("GET", "/api/me", peers.me, "The peers at the address from which you ask", own=True),
    Operation("GET", "/api/peers", peers.peers, "All peers", own=True),
    Operation("POST", "/api/peers", peers.add_peer, "Add a peer, or replace its subscription", "operator", own=True),
    Operation("GET", _PEER, peers.peer, "One peer", own=True),
    Operation("PUT", _PEER, peers.change_peer, "Change a peer", "operator", own=True),
    Operation("DELETE", _PEER, peers.delete_peer, "End the session of a peer and forget it", "operator", own=True),
    Operation("POST", f"{_PEER}/approve", peers.approve_peer, "Let a pending peer have routes", "operator"),
    Operation("POST", f"{_PEER}/bar", peers.bar_peer, "End its session; it may not come back", "operator"),
    Operation(
        "POST", f"{_PEER}/reset", peers.reset_peer, "End its session, which may begin anew", "operator", own=True
    ),
    Operation("POST", f"{_PEER}/refresh", peers.refresh_peer, "Send all its routes again", "operator", own=True),
    Operation("GET", f"{_PEER}/session", peers.session, "Its session, and how the one before ended", own=True),
    Operation("GET", f"{_PEER}/routes", peers.routes, "What a peer is announced, with attributes", own=True),
    Operation("GET", f"{_PEER}/prefixes", peers.prefixes, "What a peer is announced", own=True, media=_EXPORT),
    Operation("GET", f"{_PEER}/setup/{{kind}}", peers.setup, "What to put into its router", own=True, media=_PLAIN),
    Operation("GET", f"{_PEER}/why", peers.why, "Why a peer has a route for an address, or why not", own=True),
    Operation("POST", f"{_PEER}/diff", trials.diff_peer, "What a change would send to a peer", own=True, asks=True),
    Operation("POST", "/api/try", trials.try_routes, "What a subscription would announce", own=True, asks=True),
    Operation("GET", f"{_PEER}/sources", peers.sources, "The lists at URLs that a peer has for itself", own=True),
    Operation("POST", f"{_PEER}/sources", peers.add_source, "Add such a list, which is paused", "operator", own=True),
    Operation("PATCH", f"{_PEER}/sources/{{source}}", peers.change_source, "Pause it or not", "operator", own=True),
    Operation("DELETE", f"{_PEER}/sources/{{source}}", peers.delete_source, "Remove it", "operator", own=True),
    Operation("GET", f"{_AT}/communities", peers.communities, "The communities that a peer wants", own=True),
    Operation("PUT", f"{_AT}/communities", peers.set_communities, "Announce only these", "operator", own=True),
    Operation("DELETE", f"{_AT}/communities", peers.clear_communities, "Announce all routes", "operator", own=True),
    Operation("PUT", f"{_AT}/description", peers.set_description, "Describe a peer", "operator", own=True),
    Operation("GET", "/api/groups", groups.groups, "The groups, what they say, and who is in them"),
    Operation("POST", "/api/groups", groups.add_group, "Make a group, which the database owns", "operator"),
    Operation("GET", _GROUP, groups.group, "One group"),
    Operation("PUT", _GROUP, groups.change_group, "Change a group of the database", "operator"),
    Operation("DELETE", _GROUP, groups.delete_group, "Remove a group of the database that has no peers", "operator"),
    Operation("GET", "/api/events", events.events, "What happens, as server-sent events", own=True, media=_EVENTS),
    Operation("GET", "/api/whoami", access.whoami, "Who you are to the API, by your token or address", "anyone"),
    Operation("GET", "/api/tokens", access.tokens, "The tokens, without their secrets", "admin"),
    Operation("POST", "/api/tokens", access.add_token, "Make a token; its secret is told this once", "admin"),
    Operation("DELETE", "/api/tokens/{name}", access.delete_token, "Make a token worthless", "admin"),
    Operation("GET", "/api/audit", access.audit, "Who has changed what and when, the newest first", "operator"),
    Operation("GET", "/api/asn-lists", lists.list_names, "The lists to which a peer can subscribe", own=True),
    Operation("GET", "/api/sources", lists.lists, "The lists, how old they are and what is wrong with them"),
    Operation("POST", "/api/sources", lists.add_list, "Make a list, which the database owns", "operator"),
    Operation("POST", "/api/sources/try", lists.try_list, "Read a source once, and keep nothing", "operator"),
    Operation("GET", _LIST, lists.one_list, "A list, and where it comes from", "operator"),
    Operation("PUT", _LIST, lists.change_list, "Change a list of the database", "operator"),
    Operation("DELETE", _LIST, lists.delete_list, "Remove a list of the database that nobody uses", "operator"),
    Operation("POST", f"{_LIST}/accept", lists.accept_list, "Let its held version count", "operator"),
    Operation("POST", f"{_LIST}/refresh", lists.refresh_list, "Ask its source now", "operator"),
    Operation("GET", f"{_LIST}/versions", lists.list_versions, "The versions of a list, the newest first"),
    Operation("GET", f"{_LIST}/diff", lists.list_diff, "What one version of a list has more and fewer than another"),
    Operation("POST", f"{_LIST}/rollback", lists.rollback_list, "Let one of its versions count again", "operator"),
    Operation("GET", "/api/community-scheme", status.community_scheme, "The communities of custom prefixes", "anyone"),
    Operation("GET", "/api/sessions", status.sessions, "The sessions", own=True),
    Operation("GET", "/api/routes", status.routes_by_community, "How many routes there are, by community"),
    Operation("GET", "/api/as/{asn}/prefixes", status.as_prefixes, "What an AS number originates", own=True),
    Operation("GET", "/api/as/{asn}/prefixes/count", status.as_prefix_count, "How many prefixes that is", own=True),
    Operation("GET", "/api/routes/count", status.routes_count, "How many routes there are"),
    Operation("GET", f"{_BIRD}/status", birds.bird_status, "The server, as birdwatcher has it"),
    Operation("GET", f"{_BIRD}/protocols/bgp", birds.bird_protocols, "The peers and their sessions", own=True),
    Operation("GET", f"{_BIRD}/protocols/short", birds.bird_neighbors, "The same", own=True),
    Operation("GET", f"{_BIRD}/routes/protocol/{{id}}", birds.bird_routes, "What a peer is announced", own=True),
    Operation("GET", f"{_BIRD}/routes/filtered/{{id}}", birds.bird_filtered, "None", own=True),
    Operation("GET", f"{_BIRD}/routes/noexport/{{id}}", birds.bird_not_exported, "None", own=True),
    Operation("GET", f"{_BIRD}/routes/table/{{table}}", birds.bird_table, "What all peers are announced", own=True),
    Operation("GET", f"{_BIRD}/routes/table/{{table}}/filtered", birds.bird_table_filtered, "None", own=True),
    Operation("GET", f"{_BIRD}/routes/prefix", birds.bird_search, "Who has a route for an address", own=True),
)
