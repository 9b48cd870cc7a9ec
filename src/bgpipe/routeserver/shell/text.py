"""What is shown to people: columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Table = tuple[Sequence[str], Iterable[Sequence[object]]]


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as what is in them."""
    texts = [list(heads), *([_text(each) for each in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in texts)
    return "".join(f"{line}\n" for line in lines)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    shown = "-" if value in (None, "") else str(value)
    return shown if shown.isprintable() else shown.encode("unicode_escape").decode("ascii")


def peers(shown: Any) -> Table:
    heads = ("ADDRESS", "AS", "STATUS", "ROUTES", "LISTS", "DESCRIPTION")
    rows = (
        (
            each["ip"],
            each["asn"],
            each["status"],
            each.get("advertisedPrefixCount"),
            each["lists"],
            each["description"],
        )
        for each in (shown if isinstance(shown, list) else [shown])
    )
    return heads, rows


def sessions(shown: Any) -> Table:
    heads = ("ADDRESS", "AS", "STATE", "SINCE", "ROUTES", "UPDATES", "WHY NONE, OR FEWER")
    rows = (
        (
            each["ip"],
            each["asn"],
            each["state"],
            each["since"],
            each["routes"],
            each["updatesSent"],
            each["why"] or each["limit"],
        )
        for each in shown["sessions"]
    )
    return heads, rows


def sources(shown: Any) -> Table:
    heads = ("LIST", "KIND", "PREFIXES", "CHANGED", "BAD LINES", "HELD", "ERROR OR WARNING")
    rows = (
        (
            each["name"],
            each["kind"],
            each["prefixes"],
            each["changedAt"],
            each["badLines"],
            each["held"] and each["held"]["why"],
            each["error"] or each["warning"],
        )
        for each in (shown if isinstance(shown, list) else [shown])
    )
    return heads, rows


def prefixes(shown: Any) -> Table:
    return ("PREFIX",), ((each,) for each in shown)


def why(shown: Any) -> Table:
    route = shown["route"] or f"no route for {shown['target']}"
    rows = ((each["source"], each["prefix"], each["outcome"], each["by"]) for each in shown["steps"])
    return (f"SOURCE ({route})", "PREFIX", "OUTCOME", "BY"), rows


def tokens(shown: Any) -> Table:
    heads = ("TOKEN", "ROLE", "PEER", "MADE", "STANDS IN")
    return heads, ((each["name"], each["role"], each["peer"], each["createdAt"], each["owner"]) for each in shown)


def audit(shown: Any) -> Table:
    heads = ("WHEN", "WHO", "FROM", "WHAT", "OF", "CHANGED")
    rows = (
        (each["at"], each["who"], each["client"], each["action"], each["target"], sorted(each["changes"]))
        for each in shown
    )
    return heads, rows


def fields(shown: Any) -> Table:
    """One record."""
    return ("FIELD", "VALUE"), shown.items()


def tried(shown: Any) -> Table:
    return fields({name: value for name, value in shown.items() if name != "prefixes" or value})


def difference(shown: Any) -> Table:
    """Prefixes that come, go, or are announced with other attributes."""
    signs = (("+", "announced"), ("+", "morePrefixes"), ("-", "withdrawn"), ("-", "fewerPrefixes"), ("~", "changed"))
    return ("", "PREFIX"), [(sign, prefix) for sign, name in signs for prefix in shown.get(name, ())]


def versions(shown: Any) -> Table:
    heads = ("VERSION", "STATE", "FETCHED", "PREFIXES", "BAD LINES", "COPY OF")
    rows = (
        (
            each["version"],
            each["state"],
            each["fetchedAt"],
            each["prefixes"],
            each["badLines"],
            each["rolledBack"] or None,
        )
        for each in shown
    )
    return heads, rows


def imported(shown: Any) -> Table:
    return ("ADDRESS", "AS", "WHAT", "WHY"), ((each["ip"], each["asn"], each["action"], each["why"]) for each in shown)
