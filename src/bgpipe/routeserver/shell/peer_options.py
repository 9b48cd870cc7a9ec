"""Options that say what a peer is like, as the fields of the API have it."""

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


def _numbers(text: str) -> list[int]:
    return [int(each.upper().removeprefix("AS")) for each in words(text)]


def _secret(text: str) -> str:
    """Raises ArgumentTypeError, since argparse shows what it could not read otherwise."""
    try:
        return read_secret(text)[0]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


SUBSCRIPTION: Final = {
    "--lists": Field("lists", "LIST,...", "names of lists", words),
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


def declare(parser: argparse.ArgumentParser, fields: dict[str, Field]) -> None:
    for option, each in fields.items():
        parser.add_argument(option, dest=each.field, type=each.read, metavar=each.metavar, help=each.help)


def said(options: argparse.Namespace, fields: dict[str, Field]) -> dict[str, Any]:
    """The fields that the command line names."""
    found = {each.field: getattr(options, each.field) for each in fields.values()}
    return {name: value for name, value in found.items() if value is not None}
