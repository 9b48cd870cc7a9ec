"""Accel and codec give the same bytes: on mutants, on the sample, and on the start of every real archive."""

from __future__ import annotations

import os

import pytest
from accel_records import MARKER
from differential import DATA, compare, mutant_cases, work
from mutants import rare_records, read_records, sample_records

from bgpipe import accel
from bgpipe.formats import mrt
from bgpipe.wire.block import Block

needs_accel = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
ARCHIVES = sorted(DATA.glob("*.bz2"))


def decline_rate(octets: bytes) -> float:
    """The part of the messages in blocks that the JSON encoder of accel leaves to Python."""
    decoder = mrt.MrtDecoder()
    messages = declined = 0
    for part in (decoder.feed(octets), decoder.end()):
        for item in part:
            if isinstance(item, Block):
                messages += len(item)
                position = 0
                while position < len(item):
                    _, position = accel.json_out.encode(item.octets, item.index, position)
                    declined += position < len(item)
                    position += 1
    assert messages
    return declined / messages


@needs_accel
def test_mutants():
    assert compare(["--mutants", "100", "--seed", "4"], dict(os.environ)) == 2


@pytest.mark.slow  # test_mutants has some of each
@needs_accel
@pytest.mark.parametrize("records", [sample_records, rare_records])
def test_good_records(records, tmp_path):
    path = tmp_path / "archive.mrt"
    path.write_bytes(b"".join(records()))
    assert compare([str(path)], dict(os.environ)) == 1


@pytest.mark.slow
@needs_accel
@pytest.mark.skipif(not ARCHIVES, reason=f"no archives in {DATA}")
def test_the_start_of_every_archive():
    count = compare(["--limit", "200000", *map(str, ARCHIVES)], dict(os.environ))
    assert count == len(ARCHIVES)


@needs_accel
def test_common_messages_are_the_business_of_accel():
    assert decline_rate(b"".join(sample_records())) < 0.01


@needs_accel
@pytest.mark.skipif(not ARCHIVES, reason=f"no archives in {DATA}")
def test_nearly_all_of_a_real_archive_is_the_business_of_accel():
    import bz2

    with bz2.open(DATA / "updates.20190101.0000.bz2") as stream:
        assert decline_rate(stream.read(3_000_000)) < 0.001


@pytest.mark.slow
def test_mutants_differ_and_come_back_the_same():
    first = list(mutant_cases(1, 300))
    assert first == list(mutant_cases(1, 300))
    assert len(set(first)) == 6
    assert not set(first) & set(mutant_cases(2, 300))


def test_work_sees_the_messages_of_a_stream():
    records = rare_records()
    report, lines, written, messages, again, *_ = work(b"".join(records))
    assert b"damaged=0" in report
    assert lines.count(b"\n") == len(records)
    assert b"ATTR_99" in lines
    assert messages.count(MARKER) == len(records)
    assert len(list(read_records(written))) == len(list(read_records(again))) == len(records)
