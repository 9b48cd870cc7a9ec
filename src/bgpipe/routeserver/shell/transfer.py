"""Many peers at once: from CSV, JSON or a database of BGPLite to a running bgplite, and back to CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ...pipeline.errors import StageError
from ..written import format_written, parse_written
from . import original
from .client import Client, Refusal
from .peer_options import names, words

LISTS: Final = ("lists", "customPrefixes", "customAsns", "exclude", "communities", "addCommunities")
WRITTEN: Final = ("customPrefixes", "exclude")
LIMITS: Final = (
    *("maxPrefix", "maxRoutes", "maxForeign", "maxForeignIpv6", "minLengthIpv4", "maxLengthIpv4"),
    *("minLengthIpv6", "maxLengthIpv6", "med", "prepends"),
)
NUMBERS: Final = ("asn", *LIMITS)
YES: Final = {"true": True, "yes": True, "false": False, "no": False}
COLUMNS: Final = (
    *("ip", "asn", "description", "group", *LISTS, *LIMITS, "maxRoutesAction", "union", "nextHop", "nextHopIpv6"),
)
"""Of an export; an import may have others of the API too, such as md5Password."""
Row = dict[str, Any]


def read(path: Path) -> list[tuple[str, Row]]:
    """(where it stands, the fields of a peer) of all peers in a file. Raises StageError."""
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise StageError(f"{path}: {error.strerror}") from None
    if octets.startswith(original.MAGIC):
        return [(f"{path}: peer {row['ip']}", row) for row in original.read(path)]
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StageError(f"{path}: this is not UTF-8 (octet {error.start})") from None
    return _from_json(text, path) if text.lstrip()[:1] in ("[", "{") else _from_csv(text, path)


def _from_json(text: str, path: Path) -> list[tuple[str, Row]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StageError(f"{path}: this is no JSON: {error}") from None
    rows = found if isinstance(found, list) else [found]
    if not all(isinstance(row, dict) for row in rows):
        raise StageError(f"{path}: a list of objects is expected, one for each peer")
    found = [(f"{path}: peer {number}", row) for number, row in enumerate(rows, 1)]
    faults = [f"{place}: {fault}" for place, row in found if (fault := _fault_of_sources(row.get("sources")))]
    if faults:
        raise StageError("\n".join((*faults, "nothing was changed")))
    return found


def _fault_of_sources(sources: Any) -> str:
    """What is wrong with the lists at URLs of a peer, which the API takes one by one; "" if nothing."""
    if sources is None:
        return ""
    if not isinstance(sources, list) or not all(isinstance(each, dict) for each in sources):
        return "sources: a list of objects is expected"
    texts = [(each.get("name"), each.get("url"), each.get("community") or "-") for each in sources]
    if not all(isinstance(text, str) and text.strip() for each in texts for text in each):
        return "sources: each has a name and a url, and perhaps a community and active"
    return ""


def _from_csv(text: str, path: Path) -> list[tuple[str, Row]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    found: list[tuple[str, Row]] = []
    faults: list[str] = []
    try:
        missing = {"ip", "asn"} - set(reader.fieldnames or ())
        if missing:
            raise StageError(f"{path}:1: the first line has no column {', '.join(sorted(missing))}")
        for cells in reader:
            place = f"{path}:{reader.line_num}"
            try:
                if None in cells:
                    raise StageError(f"{place}: more cells than the first line has columns")
                found.append((place, _row(cells, place)))
            except StageError as error:
                faults.append(str(error))
    except csv.Error as error:
        raise StageError(f"{path}:{reader.line_num}: {error}") from None
    if faults:
        raise StageError("\n".join((*faults, "nothing was changed")))
    return found


def _row(cells: Mapping[str, str | None], place: str) -> Row:
    """An empty cell says nothing but that a list is empty. Names have commas between them, the rest also spaces."""
    row: Row = {}
    for name, cell in cells.items():
        text = (cell or "").strip()
        try:
            if name == "lists":
                row[name] = names(text)
            elif name in WRITTEN:
                row[name] = parse_written(words(text))
            elif name in LISTS:
                row[name] = list(map(int, words(text))) if name == "customAsns" else words(text)
            elif name == "union" and text:
                row[name] = YES[text.lower()]
            elif text:
                row[name] = int(text) if name in NUMBERS else text
        except KeyError:
            raise StageError(f"{place}: {name}: {text!r}: yes or no is expected") from None
        except ValueError as error:
            why = error if name in WRITTEN else f"{text!r}: numbers are expected"
            raise StageError(f"{place}: {name}: {why}") from None
    return row


def send(client: Client, rows: list[tuple[str, Row]], *, dry_run: bool) -> list[Row]:
    """What becomes of each peer. All are tried first: if one has a fault, nothing is changed.

    Raises StageError, whose text has all faults.
    """
    shown, faults = [], []
    before = {(each["ip"], each["asn"]): each for each in client.get("/api/peers")}
    for place, row in rows:
        if row.get("asn") is None:
            shown.append({"ip": row.get("ip"), "asn": None, "action": "left out", "why": "it has no AS number"})
            continue
        try:
            tried = client.send("POST", "/api/peers", _body(row), dryRun="true")
        except Refusal as error:
            faults.append(f"{place}: {error.reason}")
            continue
        action = _action(before.get((tried["ip"], tried["asn"])), tried, row)
        shown.append({"ip": tried["ip"], "asn": tried["asn"], "action": action, "why": ""})
    if faults:
        raise StageError("\n".join((*faults, "nothing was changed")))
    if not dry_run:
        for (_, row), what in zip(rows, shown, strict=True):
            if what["action"] in ("add", "replace"):
                _send_one(client, row)
    return shown


def _body(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "sources"}


def _action(known: Row | None, tried: Row, row: Row) -> str:
    if known is None:
        return "add"
    same = all(known.get(name) == tried.get(name) for name in COLUMNS)
    return "same" if same and not row.get("sources") and not row.get("md5Password") else "replace"


def _send_one(client: Client, row: Row) -> None:
    made = client.send("POST", "/api/peers", _body(row))
    place = f"/api/peers/{made['id']}/sources"
    known = {(each["name"], each["url"]) for each in client.get(place)} if row.get("sources") else set()
    for source in row.get("sources", ()):
        if (source["name"], source["url"]) not in known:
            added = client.send("POST", place, {name: source.get(name) for name in ("name", "url", "community")})
            if source.get("active"):
                client.send("PATCH", f"{place}/{added['id']}", {"active": True})


def as_csv(peers: list[Row]) -> str:
    """Peers as an import takes them. Keys are not told by the API, so they are not in it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in peers:
        writer.writerow(",".join(each["lists"]) if name == "lists" else _cell(each.get(name)) for name in COLUMNS)
    return text.getvalue()


def _cell(value: Any) -> object:
    if isinstance(value, list):
        return " ".join(format_written(each) if isinstance(each, str | dict) else str(each) for each in value)
    return "" if value is None else value


def as_rows(peers: list[Row]) -> list[Row]:
    """The same for JSON, with all that entries have."""
    return [{name: each[name] for name in COLUMNS if each.get(name) not in (None, "", [])} for each in peers]
