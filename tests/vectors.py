"""Reads the vector files: suites of other projects, as JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from bgpipe.wire.context import ALL_FAMILIES, NO_FAMILIES, WireContext
from cases import all_cases

SHARED = Path(os.environ.get("BGPIPE_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
"""Test vectors and archives, which are not part of the project. Tests that need them skip where they are absent."""
FOLDER = SHARED / "vectors"

Row = dict[str, Any]


def load(suite: str, *kinds: str) -> list[Row]:
    """The rows of one file, only those of `kinds` if any are given; empty where the file is absent."""
    path = FOLDER / f"{suite}.jsonl"
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if not kinds or row["kind"] in kinds]


def cases(suite: str, *kinds: str) -> Callable[[Any], Any]:
    """A test that runs for each `row`; it is skipped where the vectors are absent."""
    return parametrize(load(suite, *kinds))


def parametrize(rows: Iterable[Row]) -> Callable[[Any], Any]:
    found = list(rows)
    if not found:
        return pytest.mark.skip(reason=f"no vectors in {FOLDER.parent.name}/{FOLDER.name}")
    return all_cases("row", found, ids=lambda row: f"{row['id']}-{row['name']}")


def context(row: Row) -> WireContext:
    """How the octets of a row are to be read."""
    session = row.get("session") or {"as4": True, "addpath": False, "extmsg": False}
    return WireContext(
        as4=session["as4"],
        add_path=ALL_FAMILIES if session["addpath"] else NO_FAMILIES,
        extended_message=session["extmsg"],
    )
