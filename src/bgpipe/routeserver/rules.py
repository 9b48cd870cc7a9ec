"""What decides what a peer is announced, said by the peer, by its group, or for all: and how these become one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from ..routes.attributes import Attributes
from ..routes.policy import Guards
from ..wire.communities import parse_any_community
from .times import parse_time

MAX_FOREIGN: Final = 1 << 24
"""IPv4 addresses that widening may add where nothing is said: as many as a /8 has."""
MAX_FOREIGN_IPV6: Final = 1 << 32
"""The same in IPv6 networks of 64 bits: as many as a /32 has."""
MAX_PREPENDS: Final = 50
Action = Literal["hold", "widen"]


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A prefix that somebody has written, with what is to be said of it.

    communities: in the place of those that custom prefixes have otherwise. expires: ISO 8601; it counts until then.
    """

    prefix: str
    communities: tuple[str, ...] = ()
    med: int | None = None
    prepends: int | None = None
    expires: str = ""


Written = str | Entry
"""A prefix alone, or with more."""


class Rules(Struct, frozen=True, kw_only=True):
    """None, "" and () say nothing, so that what stands above counts: the group, then the defaults.

    lists: names. exclude: prefixes that are cut out of the lists. communities: only routes with one of them are
    announced. add_communities: these are added to all routes. max_routes: 0 for any number; max_routes_action: what
    happens with more; max_foreign, max_foreign_ipv6: IPv4 addresses, and IPv6 networks of 64 bits, that widening may
    add. min_length_ipv4 and so on: of prefixes that are announced. union: whether prefixes that fill a larger one are
    joined. max_prefix: prefixes that the peer may announce to us, 0 for any number.
    """

    lists: tuple[str, ...] = ()
    exclude: tuple[Written, ...] = ()
    communities: tuple[str, ...] = ()
    add_communities: tuple[str, ...] = ()
    med: int | None = None
    prepends: int | None = None
    next_hop: str = ""
    next_hop_ipv6: str = ""
    min_length_ipv4: int | None = None
    max_length_ipv4: int | None = None
    min_length_ipv6: int | None = None
    max_length_ipv6: int | None = None
    union: bool | None = None
    max_routes: int | None = None
    max_routes_action: Action | None = None
    max_foreign: int | None = None
    max_foreign_ipv6: int | None = None
    max_prefix: int | None = None

    @property
    def guards(self) -> Guards:
        """The lengths that are announced."""
        return Guards(
            1 if self.min_length_ipv4 is None else self.min_length_ipv4,
            32 if self.max_length_ipv4 is None else self.max_length_ipv4,
            1 if self.min_length_ipv6 is None else self.min_length_ipv6,
            128 if self.max_length_ipv6 is None else self.max_length_ipv6,
        )

    @property
    def attributes(self) -> Attributes:
        """What is said of all routes."""
        return attributes_of(self.add_communities, self)


NAMES: Final = tuple(each.name for each in msgspec.structs.fields(Rules))
_ADDED_UP: Final = ("exclude", "add_communities")


def fields_of(said: Any) -> dict[str, Any]:
    """The fields of Rules in a record that has more, such as a peer, or less."""
    found = {name: getattr(said, name) for name in NAMES if hasattr(said, name)}
    return found | {"exclude": tuple(map(as_written, said.exclude))}


def rules_of(said: Any) -> Rules:
    """The rules in such a record."""
    return Rules(**fields_of(said))


def as_written(said: Any) -> Written:
    """What a configuration or a request says of a prefix: alone if there is nothing else. Its text is not checked."""
    if isinstance(said, str | Entry):
        return said
    single = (said.community,) if said.community else ()
    made = Entry(
        prefix=said.prefix,
        communities=tuple(dict.fromkeys((*said.communities, *single))),
        med=said.med,
        prepends=said.prepends,
        expires=said.expires,
    )
    return made.prefix if made == Entry(prefix=made.prefix) else made


def resolve(*levels: Rules) -> Rules:
    """One out of several, the nearest first: its values count, and what is excluded or added is so on all levels."""
    found: dict[str, Any] = {}
    for name in NAMES:
        values = [getattr(each, name) for each in levels]
        if name in _ADDED_UP:
            found[name] = tuple(dict.fromkeys(item for value in values for item in value))
        else:
            found[name] = next((value for value in values if value not in (None, "", ())), values[-1])
    return Rules(**found)


def attributes_of(communities: Iterable[str | None], said: Any = None) -> Attributes:
    """What is said of routes. said: what has med, prepends and next hops, or some of these."""
    found: dict[str, set[Any]] = {"standard": set(), "large": set(), "extended": set()}
    for text in communities:
        if text:
            kind, value = parse_any_community(text)
            found[kind].add(value)
    return Attributes(
        frozenset(found["standard"]),
        frozenset(found["large"]),
        frozenset(found["extended"]),
        getattr(said, "med", None),
        getattr(said, "prepends", None),
        getattr(said, "next_hop", ""),
        getattr(said, "next_hop_ipv6", ""),
    )


def prefix_of(written: Written) -> str:
    return written if isinstance(written, str) else written.prefix


def until(entries: Iterable[Written], now: float) -> tuple[Written, ...]:
    """Those that are not over."""
    return tuple(each for each in entries if expires(each) > now)


def expires(written: Written) -> float:
    """When it is over, in seconds since 1970; infinity for never."""
    if isinstance(written, str) or not written.expires:
        return float("inf")
    return parse_time(written.expires)
