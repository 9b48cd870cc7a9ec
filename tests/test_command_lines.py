"""Random command lines: the same octets in every output, the same events and counts, the same exit code, with accel and
without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from shlex import join

import pytest

from bgpipe import accel
from random_command_lines import make_case
from random_words import validator_data

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """Some thousand records, a few of whose UPDATEs are malformed in ways that cost nothing but themselves."""
    from bgpipe.sample import grow, updates

    random = Random(5)
    records = list(updates(grow(random), random, 2500))
    for place in range(100, len(records), 150):
        record = bytearray(records[place])
        at = record.rfind(b"\x40\x01\x01")  # ORIGIN, whose value becomes one that doesn't exist
        if at > 0:
            record[at + 3] = 9
            records[place] = bytes(record)
    path = tmp_path_factory.mktemp("archive") / "updates.mrt"
    path.write_bytes(b"".join(records))
    path.with_suffix(".mrt.rpki").write_bytes(validator_data(path, random))
    return path


def run(cases: list[list[list[str]]], archive: Path, accelerated: bool) -> list[dict[str, object]]:
    environment = os.environ | {"BGPIPE_ACCEL": "1" if accelerated else "0"}
    done = subprocess.run(
        [sys.executable, str(HERE / "random_command_lines.py")],
        input=json.dumps([cases, str(archive)]).encode(),
        capture_output=True,
        env=environment,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(seeds: range, archive: Path) -> None:
    cases = [make_case(Random(seed)) for seed in seeds]
    with_accel, without = (run(cases, archive, accelerated) for accelerated in (True, False))
    assert len(with_accel) == len(without) == len(cases)
    different = [
        f"seed {seed}: read ARCHIVE -- {' -- '.join(map(join, case))}\n  with accel  {one}\n  without     {other}"
        for seed, case, one, other in zip(seeds, cases, with_accel, without, strict=True)
        if one != other
    ]
    assert not different, "\n".join(different[:5])
    assert any(each["code"] == 0 for each in with_accel)


@pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
def test_twenty_command_lines(archive):
    compare(range(20), archive)


@pytest.mark.slow
@pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
@pytest.mark.parametrize("start", range(20, 220, 50))
def test_two_hundred_more(archive, start):
    compare(range(start, start + 50), archive)
