"""Who has changed what, and when: kept in the database, the newest MAX_ENTRIES of it. No secret is in it."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec

from .groups import PeerGroup
from .peers import Peer

MAX_ENTRIES: Final = 10_000
_SECRET: Final = "changed"
"""What is shown in the place of a key."""
_UNSAID: Final = frozenset(("id", "created_at", "last_session_at", "owner"))


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """at: seconds since 1970 (UTC). who: name of a token, or an address. client: address of who asked. action: what was
    done to target. changes: (before, after) by name of a field."""

    at: float
    who: str
    client: str
    action: str
    target: str
    changes: dict[str, tuple[Any, Any]] = {}


class Actor(msgspec.Struct, frozen=True):
    """Who changes something. client: its address."""

    name: str
    client: str = ""

    def entry(self, action: str, target: str, changes: dict[str, tuple[Any, Any]] | None = None) -> Entry:
        return Entry(
            at=time.time(), who=self.name, client=self.client, action=action, target=target, changes=changes or {}
        )


def peer_changes(before: Peer | None, after: Peer | None) -> dict[str, tuple[Any, Any]]:
    """The fields that differ; None for a peer that was not there, or is no more."""
    return _changes(before, after)


def group_changes(before: PeerGroup | None, after: PeerGroup | None) -> dict[str, tuple[Any, Any]]:
    """The same of a group."""
    return _changes(before, after)


def _changes(before: msgspec.Struct | None, after: msgspec.Struct | None) -> dict[str, tuple[Any, Any]]:
    old, new = (msgspec.structs.asdict(each) if each is not None else {} for each in (before, after))
    found = {}
    for name in old or new:
        if name not in _UNSAID and old.get(name) != new.get(name) and (old.get(name) or new.get(name)):
            found[name] = (_shown(name, old.get(name)), _shown(name, new.get(name)))
    return found


def _shown(name: str, value: Any) -> Any:
    if name == "md5_password":
        return _SECRET if value else ""
    if name == "session" and value is not None:
        return {key: _SECRET if key == "ao" else each for key, each in msgspec.to_builtins(value).items() if each}
    if name == "sources":  # their URLs may have secrets in them
        return [f"{each.name} ({'active' if each.active else 'paused'})" for each in value or ()]
    return msgspec.to_builtins(value)
