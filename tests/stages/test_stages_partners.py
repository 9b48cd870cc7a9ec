"""A program that fails in every way beside an archive: nothing is missing without a word, whatever --on-exit says."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

COUNT = 50
PROGRAMS = {
    "never reads": "exec sleep 0.3",
    "ends at once": "exit 0",
    "fails at once": "exit 3",
    "is killed at once": "kill -9 $$",
    "is killed when it has read": "cat >/dev/null; kill -9 $$",
    "reads one": 'read -r line; echo "$line"',
    "closes its input": "exec <&-; sleep 0.3",
    "closes its output": "exec >&-; cat >/dev/null",
    "says nonsense": "cat; echo nonsense",
    "says everything twice": 'while read -r line; do echo "$line"; echo "$line"; done',
    "eats everything": "cat >/dev/null",
    "passes on": "cat",
}
TAKEN = ("is killed when it has read", "closes its output", "eats everything", "reads one")
"""What they have read and not given back is theirs: nobody can tell it from what a filter drops."""
MODES = {"filter": (), "copies": ("--copy",), "only copies": ("--write",)}
HOW = ("kill", "pass", "drop", "restart")
CHEAP = {("never reads", mode, how) for mode in MODES for how in ("kill", "pass", "drop")}
CELLS = [
    pytest.param(program, mode, how, marks=() if (program, mode, how) in CHEAP else pytest.mark.slow)
    for program in PROGRAMS
    for mode in MODES
    for how in HOW
    if not (how == "restart" and program not in ("passes on", "eats everything", "never reads"))  # it has another try
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "in.json"
    attrs = {"ORIGIN": {"flags": "T", "value": "IGP"}, "ASPATH": {"flags": "T", "value": [65001]}}
    attrs["NEXTHOP"] = {"flags": "T", "value": "192.0.2.1"}
    bodies = [{"reach": [f"10.0.{number}.0/24"], "attrs": attrs} for number in range(COUNT)]
    rows = [["R", at, "2024-01-01T00:00:00.000", "UPDATE", body, {}] for at, body in enumerate(bodies, 1)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(("program", "mode", "how"), CELLS)
def test_nothing_is_missing_without_a_word(bgpipe, archive, tmp_path, program, mode, how):
    script, out = tmp_path / "program", tmp_path / "out.json"
    script.write_text(f"#!/bin/sh\n{PROGRAMS[program]}\n")
    script.chmod(0o700)
    done = bgpipe("read", archive, "--", "exec", *MODES[mode], "--on-exit", how, script, "--", "write", out)
    there = out if out.exists() else Path(f"{out}.partial")
    arrived = set(re.findall(r"10\.0\.\d+\.0/24", there.read_text())) if there.exists() else set()
    assert "Traceback" not in done.err
    assert "unexpected" not in done.err
    if mode != "filter" and out.exists():
        assert len(arrived) == COUNT, "a copy changes nothing"
    if program == "never reads":
        told = r"without reading (all: .* unread=50|50 messages)"
        assert re.search(told, done.err), done.err
        assert done.code == (1 if how == "kill" else 0)
        assert len(arrived) == (COUNT if mode != "filter" or how in ("pass", "restart") else 0)
    elif done.code == 0 and len(arrived) < COUNT and program not in TAKEN:
        assert re.search(r"(missed|lost)=\d+", done.err), done.err
    if program == "passes on":
        assert (done.code, len(arrived)) == (0, COUNT)


@pytest.mark.parametrize("how", ["kill", "pass"])
@pytest.mark.parametrize("mode", ["filter", "only copies"])
def test_a_fifo_that_nobody_reads(bgpipe, archive, tmp_path, mode, how):
    fifo, out = tmp_path / "fifo", tmp_path / "out.json"
    os.mkfifo(fifo)
    done = bgpipe("read", archive, "--", "pipe", *MODES[mode], "--on-exit", how, fifo, "--", "write", out)
    assert re.search(r"without reading (all: .* unread=50|50 messages)", done.err), done.err
    assert done.code == (1 if how == "kill" else 0)
    if how == "pass":
        assert out.read_text().count("UPDATE") == COUNT
