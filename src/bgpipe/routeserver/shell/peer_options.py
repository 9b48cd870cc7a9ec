"""Options that say what a peer or a list is like, as the fields of the API have it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ...net.secret import read_secret


class Field(NamedTuple):
    """field: of the API. read: from the text of the option."""

    field: str
    metavar: str
    help: str
    read: Callable[[str], Any] = str


def words(text: str) -> list[str]:
    """Words with commas or spaces between them; none of an empty text."""
    return text.replace(",", " ").split()


def names(text: str) -> list[str]:
    """Names with commas between them: there may be spaces in a name."""
    return [each.strip() for each in text.split(",") if each.strip()]


def _numbers(text: str) -> list[int]:
    return [int(each.upper().removeprefix("AS")) for each in words(text)]


def _secret(text: str) -> str:
    """Raises ArgumentTypeError, since argparse shows what it could not read otherwise."""
    try:
        return read_secret(text)[0]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


SUBSCRIPTION: Final = {
    "--lists": Field("lists", "LIST,...", "names of lists", names),
    "--prefixes": Field("customPrefixes", "PREFIX,...", "prefixes of its own", words),
    "--asns": Field("customAsns", "AS,...", "AS numbers whose prefixes it gets", _numbers),
    "--exclude": Field("exclude", "PREFIX,...", "prefixes that are cut out of its lists", words),
    "--communities": Field("communities", "A:B,...", "only routes with one of these communities", words),
    "--group": Field("group", "GROUP", "its group"),
    "--max-routes": Field("maxRoutes", "N", "routes that it takes at most, 0 for any number", int),
    "--max-routes-action": Field("maxRoutesAction", "ACTION", "what happens with more: hold or widen"),
    "--next-hop": Field("nextHop", "ADDRESS", "next hop of IPv4 routes, or self"),
    "--next-hop6": Field("nextHopIpv6", "ADDRESS", "next hop of IPv6 routes, or self"),
}
IDENTITY: Final = {
    "--description": Field("description", "TEXT", "who it is"),
    "--max-prefix": Field("maxPrefix", "N", "prefixes that it may announce to us, 0 for any number", int),
    "--md5": Field("md5Password", "KEY", "key of TCP MD5, as $VARIABLE or /file", _secret),
}


SOURCE: Final = {
    "--kind": Field("kind", "KIND", "http, asn, country, domain or set; else what the other options need"),
    "--url": Field("url", "URL", "where it is fetched"),
    "--asns": Field("asns", "AS,...", "AS numbers whose prefixes it has", _numbers),
    "--as-sets": Field("asSets", "AS-SET,...", "and those of AS sets in an IRR", words),
    "--via": Field("via", "WAY", "who is asked about AS numbers: ripestat or irr"),
    "--country": Field("country", "CC", "country whose prefixes it has"),
    "--domains": Field("domains", "NAME,...", "domain names whose addresses it has", words),
    "--sources": Field("sources", "LIST,...", "lists that are joined", names),
    "--without": Field("without", "LIST,...", "and those that are taken away from them", names),
    "--path": Field("json", "PATH", "where the prefixes are in JSON, such as prefixes.*.ipv4Prefix"),
    "--column": Field("column", "NAME", "the column of CSV that has the prefixes"),
    "--description": Field("description", "TEXT", "what it is"),
    "--community": Field("community", "A:B", "community of its routes"),
    "--interval": Field("interval", "SECONDS", "how often its source is asked", int),
    "--timeout": Field("timeout", "SECONDS", "for all of a fetch", int),
    "--max": Field("max", "N", "prefixes that it may have without a word", int),
    "--max-shrink": Field("maxShrink", "PART", "part of it that may go without a word, such as 0.5", float),
    "--max-growth": Field("maxGrowth", "TIMES", "so many times as large it may become without a word", float),
}


def kind_of(source: dict[str, Any]) -> str | None:
    """The kind of source that the other fields need, None if they need none."""
    needed = {
        "url": "http",
        "asns": "asn",
        "asSets": "asn",
        "country": "country",
        "domains": "domain",
        "sources": "set",
    }
    return next((kind for name, kind in needed.items() if name in source), None)


_DEST: Final = "field_"
"""Options of the command itself, such as --json, have other names in the namespace."""


def declare(parser: argparse.ArgumentParser, fields: dict[str, Field]) -> None:
    for option, each in fields.items():
        parser.add_argument(option, dest=_DEST + each.field, type=each.read, metavar=each.metavar, help=each.help)


def said(options: argparse.Namespace, fields: dict[str, Field]) -> dict[str, Any]:
    """The fields that the command line names."""
    found = {each.field: getattr(options, _DEST + each.field) for each in fields.values()}
    return {name: value for name, value in found.items() if value is not None}
