"""The API from the shell: `bgplite peers`, `sessions`, `sources`, `routes`, `why`. Tables for people, or `--json`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from ..pipeline.errors import StageError

DEFAULT_API: Final = "http://127.0.0.1:5000"
TIMEOUT: Final = 30.0
"""Seconds that an answer may take."""
Table = tuple[Sequence[str], Iterable[Sequence[object]]]


def run(command: str, words: Sequence[str]) -> int:
    """Runs one of COMMANDS. Raises StageError."""
    options = parser(command).parse_args(words)
    shown = COMMANDS[command][0](Client(options.api), options)
    if options.json:
        json.dump(shown, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        heads, rows = COMMANDS[command][1](shown)
        sys.stdout.write(table(heads, rows))
    return 0


def parser(command: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"bgplite {command}", description=COMMANDS[command][2])
    made.add_argument(
        "--api",
        default=os.environ.get("BGPLITE_API", DEFAULT_API),
        metavar="URL",
        help=f"where the API is (default: $BGPLITE_API, or {DEFAULT_API})",
    )
    made.add_argument("--json", action="store_true", help="show what the API says, as JSON")
    for name, text in COMMANDS[command][3].items():
        made.add_argument(name, metavar=name.upper(), help=text)
    return made


class Client:
    """Asks the API at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def get(self, path: str, **query: str) -> Any:
        """The JSON of an answer. Raises StageError."""
        url = f"{self.url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        if not url.startswith(("http://", "https://")):
            raise StageError(f"--api {self.url}: a URL that begins with http:// or https:// is expected")
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise StageError(f"{self.url}: {_reason(error)}") from None
        except (OSError, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise StageError(f"{self.url}: {reason}; is bgplite running? --api says where") from None

    def peer(self, address: str) -> Mapping[str, Any]:
        """The peer at an address, or at ADDRESS#AS. Raises StageError if there is none, or more than one."""
        ip, _, asn = address.partition("#")
        found = [each for each in self.get("/api/peers") if each["ip"] == ip and asn in ("", str(each["asn"]))]
        if not found:
            raise StageError(f"there is no peer {address}")
        if len(found) > 1:
            several = ", ".join(f"{ip}#{each['asn']}" for each in found)
            raise StageError(f"there are several peers at {ip}: say one of {several}")
        peer: Mapping[str, Any] = found[0]
        return peer


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {error.code}"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as what is in them."""
    texts = [list(heads), *([_text(each) for each in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in texts)
    return "".join(f"{line}\n" for line in lines)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    return "-" if value in (None, "") else str(value)


def _peers(shown: Any) -> Table:
    heads = ("ADDRESS", "AS", "STATUS", "ROUTES", "LISTS", "DESCRIPTION")
    rows = (
        (each["ip"], each["asn"], each["status"], each["advertisedPrefixCount"], each["lists"], each["description"])
        for each in shown
    )
    return heads, rows


def _sessions(shown: Any) -> Table:
    heads = ("ADDRESS", "AS", "STATE", "SINCE", "ROUTES", "UPDATES", "WHY NONE")
    rows = (
        (each["ip"], each["asn"], each["state"], each["since"], each["routes"], each["updatesSent"], each["why"])
        for each in shown["sessions"]
    )
    return heads, rows


def _sources(shown: Any) -> Table:
    heads = ("LIST", "KIND", "PREFIXES", "CHANGED", "BAD LINES", "HELD", "ERROR")
    rows = (
        (
            each["name"],
            each["kind"],
            each["prefixes"],
            each["changedAt"],
            each["badLines"],
            each["held"] and each["held"]["why"],
            each["error"],
        )
        for each in shown
    )
    return heads, rows


def _routes(shown: Any) -> Table:
    return ("PREFIX",), ((each,) for each in shown)


def _why(shown: Any) -> Table:
    route = shown["route"] or f"no route for {shown['target']}"
    rows = ((each["source"], each["prefix"], each["outcome"], each["by"]) for each in shown["steps"])
    return (f"SOURCE ({route})", "PREFIX", "OUTCOME", "BY"), rows


_PEER: Final = {"peer": "address of the peer; ADDRESS#AS where several are behind it"}
COMMANDS: Final[dict[str, tuple[Callable[[Client, Any], Any], Callable[[Any], Table], str, dict[str, str]]]] = {
    "peers": (lambda client, options: client.get("/api/peers"), _peers, "Show all peers.", {}),
    "sessions": (lambda client, options: client.get("/api/sessions"), _sessions, "Show the sessions.", {}),
    "sources": (lambda client, options: client.get("/api/sources"), _sources, "Show the lists.", {}),
    "routes": (
        lambda client, options: client.get(f"/api/peers/{client.peer(options.peer)['id']}/prefixes", format="json"),
        _routes,
        "Show the prefixes that a peer has, or would have.",
        _PEER,
    ),
    "why": (
        lambda client, options: client.get(f"/api/peers/{client.peer(options.peer)['id']}/why", target=options.target),
        _why,
        "Show which list gives a peer a prefix, or why it has none.",
        _PEER | {"target": "an address or a prefix"},
    ),
}
"""What each asks, how that is shown, what it is for, and its arguments."""
