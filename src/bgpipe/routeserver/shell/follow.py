"""Shows what happens in a running bgplite, line by line as it happens."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from ...pipeline.errors import StageError
from ...runtime.standard_streams import show
from ...tasks import thread
from .client import Client, Refusal
from .text import printable

RETRY: Final = 60.0
"""Seconds in which a server that has ended may be there again."""
LOOK: Final = 0.5
"""Seconds between two attempts to reach it."""


def follow(client: Client, *, after: int | None, kinds: frozenset[str], most: int, as_json: bool) -> str:
    """Shows events until the reader has gone, or `most` of them if that is not 0. after: number of the last event that
    is known. kinds: all if none is named. Raises StageError, BrokenPipeError, KeyboardInterrupt."""
    form = json.dumps if as_json else line
    shown = 0
    with Source(client, after) as source:
        for event in source:
            if kinds and event.get("kind") not in kinds:
                continue
            show(f"{form(event)}\n")
            shown += 1
            if shown == most:
                break
    return ""


class Source:
    """Events, as they happen. A thread reads them, since nothing else can be waited for together with an answer over
    HTTP; it hands them on over a socket, and who takes them waits for that and for the end of the reader of stdout."""

    def __init__(self, client: Client, after: int | None) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._error: Exception = StageError(f"{client.url}: there are no more events")
        self._thread = thread("events", partial(self._read, client, after), self._on_error)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *error: object) -> None:
        self._ours.close()  # the thread ends with the next event, or with the process

    def _read(self, client: Client, after: int | None) -> None:
        with self._theirs:
            for event in _events(client, after):
                try:
                    self._theirs.sendall(json.dumps(event).encode() + b"\n")
                except OSError:  # nobody takes them any more
                    return

    def _on_error(self, error: Exception) -> None:
        self._error = error

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Raises StageError when there are no more, BrokenPipeError when the reader of stdout has gone, also while
        nothing happens that could be written."""
        poll = select.poll()
        poll.register(self._ours, select.POLLIN)
        poll.register(1, 0)
        waiting = b""
        while True:
            found = dict(poll.poll())
            if found.keys() - {self._ours.fileno()}:
                raise BrokenPipeError
            octets = self._ours.recv(1 << 16)
            if not octets:
                self._thread.join()
                raise self._error
            *lines, waiting = (waiting + octets).split(b"\n")
            yield from map(json.loads, lines)


def line(event: dict[str, Any]) -> str:
    """An event for people: when, what, of which peer or list, and the rest as NAME=VALUE."""
    data = dict(event.get("data", {}))
    at = datetime.fromtimestamp(event["at"], UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    peer = f"{data.pop('ip')}#{data.pop('asn')}" if data.keys() >= {"ip", "asn"} else ""
    of = peer or data.pop("list", "")
    missed = {"missed": event["missed"]} if event.get("missed") else {}
    rest = [f"{name}={_quoted(value)}" for name, value in (data | missed).items() if value not in ("", None)]
    return " ".join(part for part in (at, event["kind"], printable(of), *rest) if part)


def _quoted(value: object) -> str:
    shown = printable(value)
    return f'"{shown}"' if " " in shown else shown


def _events(client: Client, after: int | None) -> Iterator[dict[str, Any]]:
    """All from now on; where the server ends the stream it is asked again, for those since the last one.

    Raises StageError.
    """
    until = 0.0  # of the first attempt
    while True:
        try:
            for text in client.lines("/api/events", after=after):
                if text.startswith("data: "):
                    event = _event(client, text.removeprefix("data: "))
                    after = event["id"]
                    yield event
                elif text.startswith(":"):
                    until = time.monotonic() + RETRY
        except Refusal:
            raise
        except StageError:
            if time.monotonic() > until:
                raise
        time.sleep(LOOK)


def _event(client: Client, text: str) -> dict[str, Any]:
    """Raises StageError."""
    with suppress(ValueError):
        event = json.loads(text)
        if isinstance(event, dict) and event.keys() >= {"id", "at", "kind"}:
            return event
    raise client.no_api()
