"""Options that say what a peer or a list is like, as the fields of the API have it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ...net.secret import read_secret
from ..written import parse_written


class Field(NamedTuple):
    """field: of the API. read: from the text of the option."""

    field: str
    metavar: str
    help: str
    read: Callable[[str], Any] = str


def words(text: str) -> list[str]:
    """Words with commas or spaces between them; none of an empty text."""
    return text.replace(",", " ").split()


def written(text: str) -> list[Any]:
    """Prefixes, each with what is said of it behind it. Raises ArgumentTypeError."""
    try:
        return list(parse_written(words(text)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def names(text: str) -> list[str]:
    """Names with commas between them: there may be spaces in a name."""
    return [each.strip() for each in text.split(",") if each.strip()]


def as_number(text: str) -> int:
    """Raises ArgumentTypeError."""
    digits = text.upper().removeprefix("AS")
    if not (digits.isascii() and digits.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r}: an AS number is expected")
    return int(digits)


def any_or_as_number(text: str) -> int:
    """Raises ArgumentTypeError."""
    return 0 if text == "any" else as_number(text)


def _numbers(text: str) -> list[int]:
    return list(map(as_number, words(text)))


def _secret(text: str) -> str:
    """Raises ArgumentTypeError, since argparse shows what it could not read otherwise."""
    try:
        return read_secret(text)[0]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _secrets(text: str) -> list[str]:
    """Raises ArgumentTypeError."""
    return [_secret(each) for each in names(text)]


INHERIT: Final = "inherit"
"""What the value of an option is when the group, or the defaults, are to say it."""


def _or_inherited(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """What reads a value, or takes INHERIT as null."""

    def value(text: str) -> Any:
        return None if text == INHERIT else read(text)

    return value


def _whole(text: str) -> int:
    """Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r}: a number or {INHERIT} is expected")
    return int(text)


def _yes(text: str) -> bool:
    """Raises ArgumentTypeError."""
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"{text!r}: yes, no or {INHERIT} is expected")
    return text == "yes"


def _action(text: str) -> str:
    """Raises ArgumentTypeError."""
    if text not in ("hold", "widen"):
        raise argparse.ArgumentTypeError(f"{text!r}: hold, widen or {INHERIT} is expected")
    return text


_number = _or_inherited(_whole)


RULES: Final = {
    "--exclude": Field("exclude", "PREFIX,...", "prefixes that are cut out of its lists", written),
    "--communities": Field("communities", "A:B,...", "only routes with one of these communities", words),
    "--add-communities": Field("addCommunities", "A:B,...", "communities that all its routes get", words),
    "--med": Field("med", "N", "MED of its routes", _number),
    "--prepends": Field("prepends", "N", "how often our AS number is prepended", _number),
    "--max-routes": Field("maxRoutes", "N", "routes that it takes at most, 0 for any number", _number),
    "--max-routes-action": Field(
        "maxRoutesAction", "ACTION", "what happens with more: hold or widen", _or_inherited(_action)
    ),
    "--max-foreign": Field("maxForeign", "N", "IPv4 addresses that widening may add", _number),
    "--max-foreign6": Field("maxForeignIpv6", "N", "IPv6 networks of 64 bits that widening may add", _number),
    "--min-length": Field("minLengthIpv4", "N", "least length of IPv4 prefixes", _number),
    "--max-length": Field("maxLengthIpv4", "N", "greatest length of IPv4 prefixes", _number),
    "--min-length6": Field("minLengthIpv6", "N", "least length of IPv6 prefixes", _number),
    "--max-length6": Field("maxLengthIpv6", "N", "greatest length of IPv6 prefixes", _number),
    "--union": Field("union", "yes|no", "whether prefixes that fill a larger one are joined", _or_inherited(_yes)),
    "--next-hop": Field("nextHop", "ADDRESS", "next hop of IPv4 routes, or self"),
    "--next-hop6": Field("nextHopIpv6", "ADDRESS", "next hop of IPv6 routes, or self"),
}
"""Of peers and of groups. Numbers and words may be `inherit`."""
GROUP: Final = {
    "--description": Field("description", "TEXT", "what it is"),
    "--lists": Field("lists", "LIST,...", "names of lists, for peers that have chosen none", names),
    **RULES,
    "--max-prefix": Field("maxPrefix", "N", "prefixes that a peer may announce to us, 0 for any number", _number),
    "--local-as": Field("localAsn", "AS", "our AS number for its peers, 0 for the usual one", as_number),
}
SUBSCRIPTION: Final = {
    "--lists": Field("lists", "LIST,...", "names of lists", names),
    "--prefixes": Field(
        "customPrefixes",
        "PREFIX,...",
        "prefixes of its own; behind one perhaps community=, med=, expires=",
        written,
    ),
    "--asns": Field("customAsns", "AS,...", "AS numbers whose prefixes it gets", _numbers),
    "--group": Field("group", "GROUP", "its group"),
    **RULES,
}
IDENTITY: Final = {
    "--description": Field("description", "TEXT", "who it is"),
    "--max-prefix": Field("maxPrefix", "N", "prefixes that it may announce to us, 0 for any number", _number),
    "--ao": Field("aoKeys", "KEY,...", "keys of TCP-AO, each as $VARIABLE or /file that says ID:KEY", _secrets),
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
    **{name: RULES[name] for name in ("--add-communities", "--next-hop", "--next-hop6")},
    "--med": Field("med", "N", "MED of its routes", int),
    "--prepends": Field("prepends", "N", "how often our AS number is prepended", int),
    "--expires": Field("expires", "TIME", "it has nothing from then on (ISO 8601)"),
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


_UNSAID: Final = object()
_DEST: Final = "field_"
"""Options of the command itself, such as --json, have other names in the namespace."""


def declare(parser: argparse.ArgumentParser, fields: dict[str, Field]) -> None:
    for option, each in fields.items():
        dest = _DEST + each.field
        parser.add_argument(option, dest=dest, type=each.read, default=_UNSAID, metavar=each.metavar, help=each.help)


def said(options: argparse.Namespace, fields: dict[str, Field]) -> dict[str, Any]:
    """The fields that the command line names."""
    found = {each.field: getattr(options, _DEST + each.field) for each in fields.values()}
    return {name: value for name, value in found.items() if value is not _UNSAID}
