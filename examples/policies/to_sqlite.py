"""Log every route that comes and goes into an SQLite database.

bgpipe 192.0.2.1 -- py -LR -A to_sqlite.py routes.sqlite -- 198.51.100.1
sqlite3 routes.sqlite "select prefix, count(*) from log where kind = 'W' group by prefix order by 2 desc limit 10"
"""

from __future__ import annotations

import sqlite3

from bgpipe import Message
from bgpipe.stage import Stage

TABLE = "create table if not exists log (time real, direction text, peer text, kind text, prefix text, path text)"
ROWS = 1000
"""So many are written at once."""

database: sqlite3.Connection
rows: list[tuple[float, str, str | None, str, str | None, str | None]] = []


def start(stage: Stage) -> None:
    global database
    database = sqlite3.connect(stage.arguments[1] if len(stage.arguments) > 1 else "routes.sqlite")
    database.execute(TABLE)


def update(m: Message) -> None:
    rows.extend((e.timestamp, m.direction, e.peer_ip, e.elem_type, e.prefix, e.as_path) for e in m.elems())
    if len(rows) >= ROWS:
        write()


def write() -> None:
    with database:
        database.executemany("insert into log values (?, ?, ?, ?, ?, ?)", rows)
    rows.clear()


def stop(stage: Stage) -> None:
    write()
    database.close()
