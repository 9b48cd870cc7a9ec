"""What is shown to people: columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

Table = tuple[Sequence[str], Iterable[Sequence[object]]]
Place = str | Callable[[Any], object]
"""The key of a record, or what is made of the record."""


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as what is in them."""
    texts = [list(heads), *([_text(each) for each in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in texts)
    return "".join(f"{line}\n" for line in lines)


def _text(value: object) -> str:
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if isinstance(value, dict):
        value = [f"{name}={each}" for name, each in value.items()]
    if isinstance(value, list):
        value = ",".join(each["prefix"] if isinstance(each, dict) and "prefix" in each else str(each) for each in value)
    return printable("-" if value in (None, "") else value)


def printable(value: object) -> str:
    """A text that changes nothing on a terminal."""
    shown = str(value)
    return shown if shown.isprintable() else shown.encode("unicode_escape").decode("ascii")


def columns(*places: tuple[str, Place]) -> Callable[[Any], Table]:
    """What shows records, or a single one, in columns. places: the head of each, and what is in it."""

    def show(shown: Any) -> Table:
        records = shown if isinstance(shown, list) else [shown]
        return [head for head, _ in places], ([_cell(each, place) for _, place in places] for each in records)

    return show


def _cell(record: Any, place: Place) -> object:
    return record.get(place) if isinstance(place, str) else place(record)


_ADDRESS: Final = (("ADDRESS", "ip"), ("AS", "asn"))
peers: Final = columns(
    ("ADDRESS", "ip"),
    ("AS", lambda each: each["asn"] or "any"),
    ("STATUS", "status"),
    ("ROUTES", "advertisedPrefixCount"),
    ("LISTS", "lists"),
    ("DESCRIPTION", "description"),
)
sources: Final = columns(
    ("LIST", "name"),
    ("KIND", "kind"),
    ("PREFIXES", "prefixes"),
    ("CHANGED", "changedAt"),
    ("BAD LINES", "badLines"),
    ("HELD", lambda each: each["held"] and each["held"]["why"]),
    ("ERROR OR WARNING", lambda each: each["error"] or each["warning"]),
)
tokens: Final = columns(
    ("TOKEN", "name"), ("ROLE", "role"), ("PEER", "peer"), ("MADE", "createdAt"), ("STANDS IN", "owner")
)
audit: Final = columns(
    ("WHEN", "at"),
    ("WHO", "who"),
    ("FROM", "client"),
    ("WHAT", "action"),
    ("OF", "target"),
    ("CHANGED", lambda each: sorted(each["changes"])),
)
versions: Final = columns(
    ("VERSION", "version"),
    ("STATE", "state"),
    ("FETCHED", "fetchedAt"),
    ("PREFIXES", "prefixes"),
    ("BAD LINES", "badLines"),
    ("COPY OF", lambda each: each["rolledBack"] or None),
)
imported: Final = columns(*_ADDRESS, ("WHAT", "action"), ("WHY", "why"))
groups: Final = columns(
    ("GROUP", "name"),
    ("PEERS", lambda each: str(len(each["members"]))),
    ("LISTS", "lists"),
    ("MAX ROUTES", "maxRoutes"),
    ("STANDS IN", "owner"),
    ("DESCRIPTION", "description"),
)
_sessions: Final = columns(
    *_ADDRESS,
    ("STATE", "state"),
    ("SINCE", "since"),
    ("ROUTES", "routes"),
    ("UPDATES", "updatesSent"),
    ("WHY NONE, OR FEWER", lambda each: each["why"] or each["limit"]),
)


def sessions(shown: Any) -> Table:
    return _sessions(shown["sessions"])


def prefixes(shown: Any) -> Table:
    return ("PREFIX",), ((each,) for each in shown)


def why(shown: Any) -> Table:
    route = shown["route"] or f"no route for {shown['target']}"
    if shown["why"]:
        shown = shown | {"steps": [*shown["steps"], {"source": "-", "outcome": shown["why"]}]}
    show = columns(
        (f"SOURCE ({route})", "source"), ("LINE", "line"), ("PREFIX", "prefix"), ("OUTCOME", "outcome"), ("BY", "by")
    )
    return show(shown["steps"])


def fields(shown: Any) -> Table:
    """One record."""
    return ("FIELD", "VALUE"), shown.items()


def group(shown: Any) -> Table:
    """A group, with its peers as ADDRESS#AS."""
    return fields(shown | {"members": [f"{each['ip']}#{each['asn']}" for each in shown["members"]]})


def details(shown: Any) -> Table:
    """A list, and where it comes from."""
    said = {name: value for name, value in shown["settings"].items() if value not in ("", None, [])}
    return fields({name: value for name, value in shown.items() if name != "settings"} | said)


def tried(shown: Any) -> Table:
    return fields({name: value for name, value in shown.items() if name != "prefixes" or value})


def difference(shown: Any) -> Table:
    """Prefixes that come, go, or are announced with other attributes."""
    signs = (("+", "announced"), ("+", "morePrefixes"), ("-", "withdrawn"), ("-", "fewerPrefixes"), ("~", "changed"))
    return ("", "PREFIX"), [(sign, prefix) for sign, name in signs for prefix in shown.get(name, ())]
