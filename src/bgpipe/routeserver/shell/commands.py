"""The commands: what each asks, and how the answer is shown."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...net.secret import read_secret
from ...pipeline.errors import StageError
from . import text
from .client import DEFAULT_API, Client, quoted
from .text import Table

Options = argparse.Namespace
Parser = argparse.ArgumentParser


@dataclass(frozen=True)
class Command:
    """run: what it asks; its answer is JSON. show: that as a table. declare: adds its arguments."""

    summary: str
    run: Callable[[Client, Options], Any]
    show: Callable[[Any], Table] = text.fields
    declare: Callable[[Parser], object] = lambda parser: None


def run(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Runs the command that the first words name. Raises StageError."""
    name = find(words)
    command = COMMANDS[name]
    options = parser(name, environment).parse_args(words[len(name.split()) :])
    shown = command.run(Client(options.api, _token(options.token)), options)
    if options.json:
        json.dump(shown, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(text.table(*command.show(shown)))
    return 0


def find(words: Sequence[str]) -> str:
    """The name of the command that the words begin with: of two words, or one."""
    name = " ".join(words[:2])
    return name if name in COMMANDS else words[0]


def parser(name: str, environment: Mapping[str, str] = os.environ) -> Parser:
    more = [each for each in COMMANDS if each.startswith(f"{name} ")]
    made = Parser(
        prog=f"bgplite {name}",
        description=COMMANDS[name].summary,
        epilog=f"There is also: {', '.join(f'bgplite {each}' for each in more)}." if more else None,
    )
    made.add_argument(
        "--api",
        default=environment.get("BGPLITE_API", DEFAULT_API),
        metavar="URL",
        help=f"where the API is (default: $BGPLITE_API, or {DEFAULT_API})",
    )
    made.add_argument(
        "--token",
        default=_token_of(environment),
        metavar="TOKEN",
        help="a token, as $VARIABLE or /file (default: BGPLITE_TOKEN, or what the file BGPLITE_TOKEN_FILE says)",
    )
    made.add_argument("--json", action="store_true", help="show what the API says, as JSON")
    COMMANDS[name].declare(made)
    return made


def _token_of(environment: Mapping[str, str]) -> str:
    """What the environment names: a secret is not to be seen in help texts."""
    if environment.get("BGPLITE_TOKEN"):
        return "$BGPLITE_TOKEN"
    return os.path.abspath(path) if (path := environment.get("BGPLITE_TOKEN_FILE")) else ""


def _token(said: str) -> str:
    """Raises StageError."""
    try:
        return read_secret(said)[0].strip()
    except ValueError as error:
        raise StageError(f"--token: {error}") from None


def _peer(parser: Parser) -> None:
    parser.add_argument("peer", metavar="PEER", help="address of the peer; ADDRESS#AS where several are behind it")


def _list(parser: Parser) -> None:
    parser.add_argument("name", metavar="LIST", help="name of the list")


def _why(parser: Parser) -> None:
    _peer(parser)
    parser.add_argument("target", metavar="TARGET", help="an address or a prefix")


def _new_token(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the token, for the audit log")
    parser.add_argument("--role", required=True, choices=("admin", "operator", "reader", "peer"), help="what it may do")
    parser.add_argument(
        "--peer", default="", metavar="ADDRESS#AS", help="the peer for which one of the role peer speaks"
    )
    parser.add_argument(
        "--database",
        metavar="PATH",
        help="write to this database, a path or a URL, and not to a running bgplite: before it is started first",
    )


def _add_token(client: Client, options: Options) -> Any:
    wanted = {"name": options.name, "role": options.role, "peer": options.peer}
    if options.database is None:
        return client.send("POST", "/api/tokens", wanted)
    from .offline import add_token

    return add_token(options.database, **wanted)


def _token_name(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the token")


def _audit(parser: Parser) -> None:
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="the newest N changes (default: 50)")


COMMANDS: Final[dict[str, Command]] = {
    "peers": Command("Show all peers.", lambda client, options: client.get("/api/peers"), text.peers),
    "sessions": Command("Show the sessions.", lambda client, options: client.get("/api/sessions"), text.sessions),
    "sources": Command("Show the lists.", lambda client, options: client.get("/api/sources"), text.sources),
    "sources refresh": Command(
        "Ask the source of a list now.",
        lambda client, options: client.send("POST", f"/api/sources/{quoted(options.name)}/refresh"),
        declare=_list,
    ),
    "sources accept": Command(
        "Let the version of a list count that is held back.",
        lambda client, options: client.send("POST", f"/api/sources/{quoted(options.name)}/accept"),
        text.sources,
        _list,
    ),
    "routes": Command(
        "Show the prefixes that a peer has, or would have.",
        lambda client, options: client.get(client.path(options.peer, "/prefixes"), format="json"),
        text.prefixes,
        _peer,
    ),
    "why": Command(
        "Show which list gives a peer a prefix, or why it has none.",
        lambda client, options: client.get(client.path(options.peer, "/why"), target=options.target),
        text.why,
        _why,
    ),
    "tokens": Command("Show the tokens of the API.", lambda client, options: client.get("/api/tokens"), text.tokens),
    "tokens add": Command("Make a token. It is shown this once.", _add_token, declare=_new_token),
    "tokens delete": Command(
        "Make a token worthless.",
        lambda client, options: client.send("DELETE", f"/api/tokens/{quoted(options.name)}"),
        declare=_token_name,
    ),
    "audit": Command(
        "Show who has changed what over the API.",
        lambda client, options: client.get("/api/audit", limit=options.limit),
        text.audit,
        _audit,
    ),
}
"""By its words."""
