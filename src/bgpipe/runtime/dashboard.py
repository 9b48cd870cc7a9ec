"""The page at `/` for browsers. It is one file without scripts, and loads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from ..version import __version__
from .status import Overview

ROWS: Final = 200
"""Sessions shown; /sessions has them all."""

_STYLE: Final = """
body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:80em;padding:0 1em;color:#222;background:#fff}
table{border-collapse:collapse;margin:.5em 0 1.5em}th,td{text-align:left;padding:.2em 1em .2em 0;vertical-align:top}
th{border-bottom:1px solid #999}td{border-bottom:1px solid #ddd}
pre{background:#f4f4f4;padding:1em;overflow:auto}.bad{color:#b00}.good{color:#070}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#111}pre{background:#222}a{color:#8bf}td{border-color:#333}}
"""
_ARROWS: Final = {"R": "→", "L": "←", "RL": "⇄"}


def page(overview: Overview) -> str:
    why_not = overview.why_not_ready()
    ready = f'<b class="bad">not ready: {escape(why_not)}</b>' if why_not else '<b class="good">ready</b>'
    sessions = overview.sessions()
    body = [
        f"<h1>bgpipe</h1><p>{ready}, version {escape(__version__)}, up for {overview.uptime}, {overview.count} stages",
        '<p><a href="sessions">sessions</a> <a href="metrics">metrics</a> <a href="hc">hc</a> '
        '<a href="livez">livez</a> <a href="readyz">readyz</a>',
        "<h2>Sessions</h2>",
        _table(
            ("#", "State", "Since", "Left", "Right", "Received", "Sent", "Malformed"),
            map(_session, sessions["sessions"][:ROWS]),
        ),
    ]
    if sessions["ended"]:
        ended = ((str(each["session"]), each["ended"], each["reason"]) for each in sessions["ended"])
        body += ["<h2>Ended</h2>", _table(("#", "Ended", "Reason"), ended)]
    stages = (
        (str(index), name, command, _ARROWS.get(directions, directions), Hyperlink(f"stage/{slug}/"))
        for index, name, command, directions, slug in overview.stages()
    )
    body += ["<h2>Stages</h2>", _table(("#", "Name", "Command", "Direction", "HTTP"), stages)]
    body.append(f"<pre>{escape(overview.explanation)}</pre>")
    head = f'<meta charset="utf-8"><meta http-equiv="refresh" content="10"><title>bgpipe</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


class Hyperlink(str):
    """A table cell with a link."""


def _session(session: dict[str, Any]) -> Sequence[str]:
    sides = [session.get(side, {}) for side in ("left", "right")]
    return (
        str(session["session"]),
        session["state"],
        session.get("established", session["since"]),
        *(_peer(side) for side in sides),
        *(", ".join(str(sum(side[way].values())) for side in sides if side) for way in ("received", "sent")),
        str(session["malformed"]),
    )


def _peer(side: dict[str, Any]) -> str:
    peer = side.get("peer")
    return f"{side.get('remote', '')} AS{peer['asn']}" if peer else str(side.get("remote", ""))


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["<table><tr>", *(f"<th>{escape(head)}" for head in heads)]
    for row in rows:
        lines += ["<tr>", *(f"<td>{_cell(cell)}" for cell in row)]
    return "".join(lines) + "</table>"


def _cell(cell: str) -> str:
    return f'<a href="{escape(cell)}">{escape(cell)}</a>' if isinstance(cell, Hyperlink) else escape(cell)
