"""What a route server shows of itself: to people, to monitors, to Prometheus."""

from __future__ import annotations

import math
import time
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from ... import __version__
from ...pipeline.metrics import Metrics
from ..list import Held, List
from ..lists import SAMPLES
from ..sessions import PeerSession, PeerSessions
from ..sources.content import Content
from ..times import iso
from ..versions import Difference, Version
from .answers import (
    BadLine,
    HeldVersion,
    ListDetails,
    ListSettings,
    PeerSessionState,
    RouteCounts,
    ShownCall,
    ShownDifference,
    ShownEnd,
    ShownList,
    ShownSession,
    ShownVersion,
    TriedSource,
)

if TYPE_CHECKING:
    from ..peers import Peer
    from ..server import Ended, RouteServer

FIRST = 20
"""Prefixes of a source that are shown when it is tried."""


def show_list(found: List) -> ShownList:
    """A list, how old it is, and what is wrong with it."""
    version, held = found.version, found.held
    return ShownList(
        name=found.name,
        kind=found.settings.kind,
        owner=found.owner,
        description=found.settings.description,
        community=found.settings.community,
        prefixes=len(found.prefixes),
        ipv4=len(found.prefixes.ipv4),
        ipv6=len(found.prefixes.ipv6),
        version=version.number if version is not None else 0,
        changed_at=iso(found.changed_at or None),
        checked_at=iso(found.checked_at or None),
        error=found.error,
        warning=found.warning,
        failures=found.failures,
        bad_lines=version.bad if version is not None else 0,
        bad_samples=[BadLine(line=line, text=text) for line, text in version.samples] if version is not None else [],
        ending=len(found.lifetimes.prefixes & found.prefixes),
        next_end=iso(end) if (end := found.lifetimes.next(time.time())) < math.inf else None,
        rolled_back=version.rolled_back if version is not None else 0,
        held=show_held(held) if held is not None else None,
    )


def show_details(found: List) -> ListDetails:
    """A list, and where it comes from. No secret of its headers is in it."""
    settings = found.settings
    shown: dict[str, Any] = {
        each.name: getattr(settings, each.name, None) for each in msgspec.structs.fields(ListSettings)
    }
    shown |= {
        "headers": [*settings.headers],
        "asns": settings.asns or ((settings.asn,) if settings.asn else ()),
        "domains": settings.domains or ((settings.domain,) if settings.domain else ()),
    }
    return ListDetails(settings=ListSettings(**shown), **msgspec.structs.asdict(show_list(found)))


def show_tried(content: Content, trouble: str) -> TriedSource:
    """What a source says that was tried."""
    prefixes = content.lifetimes.alive(content.prefixes, time.time())
    return TriedSource(
        prefixes=len(prefixes),
        ipv4=len(prefixes.ipv4),
        ipv6=len(prefixes.ipv6),
        lines=content.lines,
        bad_lines=content.bad,
        bad_samples=[BadLine(line=line, text=text) for line, text in content.samples],
        first=list(islice(prefixes, FIRST)),
        ending=len(content.lifetimes.prefixes & prefixes),
        trouble=trouble,
    )


def show_held(held: Held) -> HeldVersion:
    """A version that waits for a word, and the first prefixes of what it would change."""
    shown = show_difference(held.difference, SAMPLES)
    return HeldVersion(
        version=held.version.number, prefixes=len(held.prefixes), why=held.why, **msgspec.structs.asdict(shown)
    )


def show_difference(difference: Difference, most: int) -> ShownDifference:
    """How many prefixes come and go, and the first `most` of them."""
    more, fewer = difference
    return ShownDifference(
        more=len(more),
        fewer=len(fewer),
        more_prefixes=list(islice(more, most)),
        fewer_prefixes=list(islice(fewer, most)),
    )


def show_version(found: List, version: Version) -> ShownVersion:
    """One version of a list."""
    held = found.held is not None and version is found.held.version
    return ShownVersion(
        version=version.number,
        state="current" if version is found.version else "held" if held else "old",
        fetched_at=iso(version.fetched_at) or "",
        prefixes=len(version),
        bad_lines=version.bad,
        rolled_back=version.rolled_back,
    )


def show_session(session: PeerSession) -> ShownSession:
    """A session: its two OPENs, how much has passed, and what it has."""
    connection, announcer = session.link, session.announcer
    facts, shown = connection.facts, connection.status()
    return ShownSession(
        peer_id=session.peer.id,
        ip=session.peer.ip,
        asn=session.peer.asn,
        state=str(announcer.session.state),
        since=iso(session.since or None),
        uptime=int(session.uptime),
        remote=shown.get("remote"),
        local=shown.get("local"),
        hold_time=facts.hold_time,
        families=[str(family) for family in facts.families],
        capabilities=facts.agreement.json if facts.agreement is not None else None,
        router_id=facts.peer_open.bgp_id if facts.peer_open is not None else None,
        sent_open=facts.sent_open.to_json() if facts.sent_open is not None else None,
        received_open=facts.peer_open.to_json() if facts.peer_open is not None else None,
        routes=announcer.count,
        left_out=announcer.left_out,
        complete=announcer.whole,
        updates_sent=announcer.updates,
        prefixes_received=session.prefixes_received,
        received=shown["received"],
        sent=shown["sent"],
        bytes_received=shown.get("received_bytes", 0),
        bytes_sent=shown.get("sent_bytes", 0),
        bytes_waiting=shown.get("queue_bytes", 0),
        why=why_nothing(session),
        limit=announcer.limit,
        foreign=announcer.foreign[0],
        foreign_ipv6=announcer.foreign[1],
    )


def show_calls(sessions: PeerSessions) -> list[ShownCall]:
    """The peers that are called and have no session, and why the last attempt was in vain."""
    return [
        ShownCall(peer_id=id, ip=call.peer.ip, asn=call.peer.asn, attempts=call.attempts, error=call.error)
        for id, call in sessions.calls.items()
        if id not in sessions.sessions
    ]


def show_end(ended: Ended) -> ShownEnd:
    return ShownEnd(at=iso(ended.at) or "", why=ended.why)


def show_session_state(server: RouteServer, peer: Peer) -> PeerSessionState:
    session, ended = server.sessions.sessions.get(peer.id), server.ends.get(peer.id)
    return PeerSessionState(
        session=show_session(session) if session is not None else None,
        call=next((each for each in show_calls(server.sessions) if each.peer_id == peer.id), None),
        last_end=show_end(ended) if ended is not None else None,
    )


def why_nothing(session: PeerSession) -> str:
    """Why a session that is up has no routes; "" if it has some."""
    if not session.up:
        return "the session is not up"
    return session.announcer.why if not session.announcer.count else ""


def count_routes(server: RouteServer) -> RouteCounts:
    """All prefixes of lists, and those of each community; without one they count as `default`."""
    counts: Counter[str] = Counter()
    for found in server.lists.lists.values():
        counts[found.settings.community or "default"] += len(found.prefixes)
    return RouteCounts(total=counts.total(), by_community=dict(counts))


def health(server: RouteServer) -> dict[str, Any]:
    """Whether all is well."""
    trouble = [f"list {each.name}: {each.error}" for each in server.lists.lists.values() if each.error]
    trouble += [f"VRPs: {server.validator.failed}"] if server.validator is not None and server.validator.failed else []
    trouble += [f"list {each.name} is held back" for each in server.lists.lists.values() if each.held is not None]
    trouble += ["the database can't be used"] if server.store.trouble else []
    shown: dict[str, Any] = {"status": "degraded" if trouble else "ok", "version": __version__}
    return shown | ({"trouble": trouble} if trouble else {})


def why_not_ready(server: RouteServer) -> str:
    """Why peers would not get all that they are to have, or could not be changed; "" if all is well."""
    if server.store.trouble:
        return "the database can't be used: see the log"
    unknown = [each.name for each in server.lists.lists.values() if not server.tables.has_read(each.name)]
    return f"lists that were never read: {', '.join(unknown)}" if unknown else ""


def measure(server: RouteServer, metrics: Metrics) -> None:
    """Adds what Prometheus may want to know."""
    metrics.add("bgplite_info", 1, version=__version__)
    metrics.add("bgplite_peers", len(server.peers))
    if server.tables.vrps is not None:
        metrics.add("bgplite_vrps", len(server.tables.vrps))
    for session in server.sessions.sessions.values():
        labels = {"ip": session.peer.ip, "asn": str(session.peer.asn)}
        metrics.add("bgplite_session_up", int(session.up), **labels)
        metrics.add("bgplite_routes_announced", session.announcer.count, **labels)
        metrics.add("bgplite_prefixes_received", session.prefixes_received, **labels)
        metrics.add("bgplite_updates_sent", session.announcer.updates, **labels)
        metrics.add("bgplite_foreign_addresses", session.announcer.foreign[0], **labels)
    for found in server.lists.lists.values():
        metrics.add("bgplite_list_prefixes", len(found.prefixes), list=found.name)
        metrics.add("bgplite_list_bad_lines", found.version.bad if found.version is not None else 0, list=found.name)
        metrics.add("bgplite_list_failures", found.failures, list=found.name)
        metrics.add("bgplite_list_held", int(found.held is not None), list=found.name)
        if found.changed_at:
            metrics.add("bgplite_list_changed_timestamp_seconds", found.changed_at, list=found.name)
        if found.checked_at:
            metrics.add("bgplite_list_checked_timestamp_seconds", found.checked_at, list=found.name)
    metrics.add("bgplite_webhook_events_sent_total", server.webhooks.sent)
    metrics.add("bgplite_webhook_events_dropped_total", server.webhooks.dropped)
    for acceptor in server.sessions.listening.acceptors:
        acceptor.measure(metrics)
    server.sessions.stages.measure([each.pipeline for each in server.sessions.sessions.values()], metrics)
