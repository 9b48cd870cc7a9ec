"""The peers in a database of BGPLite, the original: SQLite, as Entity Framework has written it."""

from __future__ import annotations

import ipaddress
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from ...pipeline.errors import StageError

MAGIC: Final = b"SQLite format 3\0"


def read(path: Path) -> list[dict[str, Any]]:
    """Each peer as POST /api/peers has it, `sources` beside. One without an AS number has None. Raises StageError."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            return list(_peers(database))
    except sqlite3.Error as error:
        raise StageError(f"{path}: this is no database of BGPLite: {error}") from None


def _peers(database: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    for row in database.execute("SELECT * FROM Peers ORDER BY Ip, Asn").fetchall():
        peer = dict(row)  # older databases have fewer columns
        id = peer["Id"]
        found = {
            "ip": peer["Ip"],
            "asn": peer["Asn"],
            "description": peer.get("Description") or "",
            "lists": [each["AsnListName"] for each in _rows(database, "PeerSubscription", id)],
            "customPrefixes": [_prefix(each) for each in _rows(database, "PeerCustomPrefix", id)],
            "customAsns": [each["Asn"] for each in _rows(database, "PeerCustomAsns", id)],
            "communities": [_community(each["Community"]) for each in _rows(database, "PeerCommunity", id)],
            "maxPrefix": peer.get("MaxPrefix"),
            "md5Password": peer.get("Md5Password"),
            "sources": list(map(_source, _rows(database, "PeerCustomSources", id))),
        }
        yield {name: value for name, value in found.items() if value is not None or name == "asn"}


def _rows(database: sqlite3.Connection, table: str, id: str) -> list[sqlite3.Row]:
    """The rows of a peer; none where the database has no such table yet. Entity Framework names some in the plural."""
    known = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for name in (table, f"{table}s", f"{table}es"):
        if name in known:
            return database.execute(f'SELECT * FROM "{name}" WHERE PeerId = ? ORDER BY rowid', (id,)).fetchall()
    return []


def _source(row: sqlite3.Row) -> dict[str, Any]:
    return {"name": row["Name"], "url": row["Url"], "community": row["Community"], "active": bool(row["Active"])}


def _prefix(row: sqlite3.Row) -> str:
    prefix = row["Prefix"]
    address = str(ipaddress.ip_address(prefix)) if isinstance(prefix, int) else str(prefix).partition("/")[0]
    return f"{address}/{row['PrefixLength']}"


def _community(value: object) -> str:
    return f"{value >> 16}:{value & 0xFFFF}" if isinstance(value, int) else str(value)
