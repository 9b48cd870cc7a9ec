"""Shows what happens in a running bgplite, line by line as it happens."""

from __future__ import annotations

import json
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Final

from ...pipeline.errors import StageError
from .client import Client, Refusal
from .text import printable

RETRY: Final = 60.0
"""Seconds in which a server that has ended may be there again."""
LOOK: Final = 0.5
"""Seconds between two looks at whether somebody still reads what we show."""


class _ReaderGone(BaseException):
    """Nobody reads stdout any more. No OSError, which is taken for one of a connection."""


def follow(client: Client, *, after: int | None, kinds: frozenset[str], most: int, as_json: bool) -> str:
    """Shows events until the reader has gone, or `most` of them if that is not 0. after: number of the last event that
    is known. kinds: all if none is named. Raises StageError, BrokenPipeError, KeyboardInterrupt."""
    show = json.dumps if as_json else line
    shown = 0
    with _watching_reader():
        for event in _events(client, after):
            if kinds and event.get("kind") not in kinds:
                continue
            sys.stdout.write(f"{show(event)}\n")
            sys.stdout.flush()
            shown += 1
            if shown == most:
                break
    return ""


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
                    event = json.loads(text.removeprefix("data: "))
                    after = event["id"]
                    yield event
                elif text.startswith(":"):
                    until = time.monotonic() + RETRY
        except Refusal:
            raise
        except (StageError, ValueError):
            if time.monotonic() > until:
                raise
        time.sleep(LOOK)


@contextmanager
def _watching_reader() -> Iterator[None]:
    """Raises BrokenPipeError soon after the reader of stdout has gone, also while nothing happens that could be
    written."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):  # no stream of the system: nobody can go
        yield
        return

    def look(number: int, frame: FrameType | None) -> None:
        if any(found & (select.POLLERR | select.POLLNVAL) for _, found in poll.poll(0)):
            raise _ReaderGone

    before: Callable[[int, FrameType | None], Any] | int | None = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK, LOOK)
    try:
        yield
    except _ReaderGone:
        raise BrokenPipeError from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
