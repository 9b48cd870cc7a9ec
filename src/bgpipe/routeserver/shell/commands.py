"""The commands: what each asks, and how the answer is shown."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from ...net.secret import read_secret
from ...pipeline.errors import StageError
from ...runtime.standard_streams import show
from ..extra import missing
from . import text, transfer
from .client import DEFAULT_API, Client, quoted
from .follow import follow
from .parser import Parser
from .peer_options import GROUP, IDENTITY, SOURCE, SUBSCRIPTION, Field, any_or_as_number, declare, kind_of, said, words
from .text import Table

Options = argparse.Namespace


@dataclass(frozen=True)
class Command:
    """run: what it asks; its answer is JSON, or a text or octets as they are. show: JSON as a table. declare: adds its
    arguments."""

    summary: str
    run: Callable[[Client, Options], Any]
    show: Callable[[Any], Table] = text.fields
    declare: Callable[[Parser], object] = lambda parser: None


def run(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Runs the command that the first words name. Raises StageError."""
    name = find(words)
    command = COMMANDS[name]
    made, rest = parser(name, environment), words[len(name.split()) :]
    more = [each.partition(" ")[2] for each in COMMANDS if each.startswith(f"{name} ")]
    if more and rest and not rest[0].startswith("-"):
        import difflib

        meant = difflib.get_close_matches(rest[0], more, 1)
        hint = f"did you mean {name} {meant[0]}?" if meant else f"there are {', '.join(more)}"
        made.error(f"there is no bgplite {name} {rest[0]}; {hint}")
    options = made.parse_args(rest)
    client = Client(options.api, _token(options.token))
    try:
        shown = command.run(client, options)
        if options.json and not isinstance(shown, str | bytes):
            shown = json.dumps(shown, indent=2) + "\n"
        printed = shown if isinstance(shown, str | bytes) else text.table(*command.show(shown))
    except (AttributeError, KeyError, TypeError) as error:  # JSON of something else
        raise client.no_api() from error
    show(printed)
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


def _group(parser: Parser) -> None:
    parser.add_argument("name", metavar="GROUP", help="name of the group")


def _named_group(parser: Parser) -> None:
    _group(parser)
    declare(parser, GROUP)


def _peers(parser: Parser) -> None:
    parser.add_argument("--status", choices=("active", "inactive", "pending", "barred"), help="only those that are so")
    parser.add_argument("--list", metavar="LIST", help="only those that have subscribed to it")
    parser.add_argument("--search", metavar="TEXT", help="only those with this in address, AS number or description")


def _new_peer(parser: Parser) -> None:
    parser.add_argument("ip", metavar="ADDRESS", help="address of the peer, or a network for all peers in it")
    parser.add_argument("asn", metavar="AS", type=any_or_as_number, help="AS number; any: whichever a peer there has")
    declare(parser, IDENTITY | SUBSCRIPTION)


def _changed_peer(parser: Parser) -> None:
    _peer(parser)
    declare(parser, IDENTITY | SUBSCRIPTION)


def _deleted_peer(parser: Parser) -> None:
    _peer(parser)
    parser.add_argument("--bar", action="store_true", help="it may not come back until it is approved")


def _add_peer(client: Client, options: Options) -> Any:
    wanted = {"ip": options.ip, "asn": options.asn} | said(options, IDENTITY | SUBSCRIPTION)
    return client.send("POST", "/api/peers", wanted)


def _change_peer(client: Client, options: Options) -> Any:
    return client.send("PUT", client.path(options.peer), _something(said(options, IDENTITY | SUBSCRIPTION)))


def _something(wanted: dict[str, Any]) -> dict[str, Any]:
    """Raises StageError if nothing is said."""
    if not wanted:
        raise StageError("say what is to be changed: -h shows the options")
    return wanted


def _delete_peer(client: Client, options: Options) -> Any:
    return client.send("DELETE", client.path(options.peer), bar="true" if options.bar else None)


def _on_peer(word: str) -> Callable[[Client, Options], Any]:
    return lambda client, options: client.send("POST", client.path(options.peer, f"/{word}"))


def _diff(client: Client, options: Options) -> Any:
    return client.send("POST", client.path(options.peer, "/diff"), said(options, IDENTITY | SUBSCRIPTION))


def _try(parser: Parser) -> None:
    declare(parser, SUBSCRIPTION)
    parser.add_argument("--show", type=int, default=0, metavar="N", help="show N of the prefixes too")


def _source(parser: Parser) -> None:
    declare(parser, SOURCE)


def _named_source(parser: Parser) -> None:
    _list(parser)
    declare(parser, SOURCE)


def _change_named(path: str, fields: dict[str, Field]) -> Callable[[Client, Options], Any]:
    """What changes the group or list whose name is said."""
    return lambda client, options: client.send("PUT", _named(path, options), _something(said(options, fields)))


def _delete_named(path: str) -> Callable[[Client, Options], Any]:
    return lambda client, options: client.send("DELETE", _named(path, options))


def _named(path: str, options: Options) -> str:
    return f"{path}/{quoted(options.name)}"


def _said_source(options: Options) -> dict[str, Any]:
    found = said(options, SOURCE)
    kind = found.get("kind") or kind_of(found)
    return found | ({"kind": kind} if kind else {})


def _list_diff(parser: Parser) -> None:
    _list(parser)
    parser.add_argument("old", nargs="?", type=int, metavar="OLD", help="a version (default: the current one)")
    parser.add_argument("new", nargs="?", type=int, metavar="NEW", help="and of another (default: what is held back)")


def _version(parser: Parser) -> None:
    _list(parser)
    parser.add_argument("version", type=int, metavar="VERSION", help="its number: see bgplite sources versions")


def _setup(parser: Parser) -> None:
    parser.add_argument("kind", metavar="KIND", help="kind of router, such as mikrotik, bird, cisco, frr, junos")
    _peer(parser)
    parser.add_argument("--gateway", metavar="ADDRESS", help="next hop of IPv4 routes in the router")
    parser.add_argument("--gateway6", metavar="ADDRESS", help="the same of IPv6 routes")
    parser.add_argument("--server", metavar="ADDRESS", help="our address, as the router sees it")


def _show_setup(client: Client, options: Options) -> Any:
    query = {"gateway": options.gateway, "gateway6": options.gateway6, "server": options.server}
    shown = client.text("GET", client.path(options.peer, f"/setup/{quoted(options.kind)}"), **query).decode()
    return shown.splitlines() if options.json else shown


def _import(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="CSV, JSON, or a database of BGPLite (bgplite.db)")
    parser.add_argument("--dry-run", action="store_true", help="only show what would become of each peer")


def _export(parser: Parser) -> None:
    parser.add_argument("--format", choices=("csv", "json"), default="csv", help="(default: csv)")


def _export_peers(client: Client, options: Options) -> str:
    peers = client.get("/api/peers")
    if options.json or options.format == "json":
        return json.dumps(transfer.as_rows(peers), indent=2) + "\n"
    return transfer.as_csv(peers)


def _routes(parser: Parser) -> None:
    _peer(parser)
    formats = ("txt", "json", "csv", "mrt", "rsc")
    parser.add_argument("--format", choices=formats, help="the file itself: text, JSON, CSV, MRT, a script of RouterOS")


def _show_routes(client: Client, options: Options) -> Any:
    path = client.path(options.peer, "/prefixes")
    if options.format is None:
        return client.get(path, format="json")
    if options.json and options.format != "json":
        raise StageError(f"--json and --format {options.format}: say one of them")
    return client.text("GET", path, format=options.format)


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
    if why := missing():
        raise StageError(why)
    from .offline import add_token

    return add_token(options.database, **wanted)


def _token_name(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the token")


def _events(parser: Parser) -> None:
    parser.add_argument("--kinds", type=words, default=[], metavar="KIND,...", help="only these, such as session.down")
    parser.add_argument("--after", type=int, metavar="N", help="begin with what has happened after the event number N")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="end after N events")


def _follow(client: Client, options: Options) -> str:
    from ..events import Kind

    kinds = frozenset(options.kinds)
    if unknown := kinds - {*get_args(Kind)}:
        raise StageError(f"--kinds {', '.join(sorted(unknown))}: there are {', '.join(get_args(Kind))}")
    return follow(client, after=options.after, kinds=kinds, most=options.count, as_json=options.json)


def _audit(parser: Parser) -> None:
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="the newest N changes (default: 50)")


COMMANDS: Final[dict[str, Command]] = {
    "peers": Command(
        "Show the peers.",
        lambda client, options: client.get(
            "/api/peers", status=options.status, list=options.list, search=options.search
        ),
        text.peers,
        _peers,
    ),
    "peers add": Command("Add a peer, or replace its subscription.", _add_peer, text.peers, _new_peer),
    "peers change": Command("Change what is said of a peer.", _change_peer, text.peers, _changed_peer),
    "peers diff": Command("Show what a change would send to a peer.", _diff, text.difference, _changed_peer),
    "peers delete": Command("End the session of a peer, and forget it.", _delete_peer, declare=_deleted_peer),
    "peers approve": Command("Let a pending or barred peer have routes.", _on_peer("approve"), text.peers, _peer),
    "peers bar": Command("End the session of a peer, which may not come back.", _on_peer("bar"), text.peers, _peer),
    "peers reset": Command("End the session of a peer, which may begin anew.", _on_peer("reset"), declare=_peer),
    "peers refresh": Command("Send a peer all its routes again.", _on_peer("refresh"), declare=_peer),
    "groups": Command("Show the groups.", lambda client, options: client.get("/api/groups"), text.groups),
    "groups show": Command(
        "Show what a group says, and who is in it.",
        lambda client, options: client.get(f"/api/groups/{quoted(options.name)}"),
        text.group,
        _group,
    ),
    "groups add": Command(
        "Make a group, which the database owns.",
        lambda client, options: client.send("POST", "/api/groups", {"name": options.name} | said(options, GROUP)),
        text.groups,
        _named_group,
    ),
    "groups change": Command(
        "Change a group of the database.",
        _change_named("/api/groups", GROUP),
        text.groups,
        _named_group,
    ),
    "groups delete": Command(
        "Remove a group of the database that has no peers.",
        _delete_named("/api/groups"),
        declare=_group,
    ),
    "sessions": Command("Show the sessions.", lambda client, options: client.get("/api/sessions"), text.sessions),
    "sources": Command("Show the lists.", lambda client, options: client.get("/api/sources"), text.sources),
    "sources add": Command(
        "Make a list, which the database owns.",
        lambda client, options: client.send("POST", "/api/sources", {"name": options.name} | _said_source(options)),
        text.sources,
        _named_source,
    ),
    "sources change": Command(
        "Change a list of the database.",
        _change_named("/api/sources", SOURCE),
        text.sources,
        _named_source,
    ),
    "sources delete": Command(
        "Remove a list of the database that nobody uses.",
        _delete_named("/api/sources"),
        declare=_list,
    ),
    "sources show": Command(
        "Show a list and where it comes from.",
        lambda client, options: client.get(f"/api/sources/{quoted(options.name)}"),
        text.details,
        _list,
    ),
    "sources try": Command(
        "Read a source once, and show what it says; nothing is kept.",
        lambda client, options: client.send("POST", "/api/sources/try", _said_source(options)),
        text.fields,
        _source,
    ),
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
    "sources versions": Command(
        "Show the versions of a list.",
        lambda client, options: client.get(f"/api/sources/{quoted(options.name)}/versions"),
        text.versions,
        _list,
    ),
    "sources diff": Command(
        "Show what one version of a list has more and fewer than another.",
        lambda client, options: client.get(
            f"/api/sources/{quoted(options.name)}/diff", old=options.old, new=options.new
        ),
        text.difference,
        _list_diff,
    ),
    "sources rollback": Command(
        "Let a version of a list count again.",
        lambda client, options: client.send(
            "POST", f"/api/sources/{quoted(options.name)}/rollback", {"version": options.version}
        ),
        text.sources,
        _version,
    ),
    "routes": Command("Show the prefixes that a peer has, or would have.", _show_routes, text.prefixes, _routes),
    "try": Command(
        "Show what a subscription would announce.",
        lambda client, options: client.send("POST", "/api/try", said(options, SUBSCRIPTION), prefixes=options.show),
        text.tried,
        _try,
    ),
    "setup": Command("Show the configuration of a peer's router, ready to be pasted.", _show_setup, declare=_setup),
    "import": Command(
        "Add and replace many peers. If one has a fault, nothing is changed.",
        lambda client, options: transfer.send(client, transfer.read(options.file), dry_run=options.dry_run),
        text.imported,
        _import,
    ),
    "export": Command("Write all peers as import takes them; keys are not in it.", _export_peers, declare=_export),
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
        _delete_named("/api/tokens"),
        declare=_token_name,
    ),
    "events": Command("Show what happens, as it happens, until you end it.", _follow, declare=_events),
    "audit": Command(
        "Show who has changed what over the API.",
        lambda client, options: client.get("/api/audit", limit=options.limit),
        text.audit,
        _audit,
    ),
}
"""By its words."""
