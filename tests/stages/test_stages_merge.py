"""--merge: inputs side by side, in the order of time."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import re
import threading
from random import Random

import pytest

from bgpipe.sample import grow, updates
from commandline import command, spawn

FORMS = ("json", "mrt", "raw", "json.gz", "mrt.bz2", "json.zst")


def line(time: float | None, name: str, prefix: str = "192.0.2.0/24") -> str:
    clock = None if time is None else f"2026-01-02T03:04:{time:09.6f}"
    return json.dumps(["R", 0, clock, "UPDATE", {"reach": [prefix]}, {"n": name}]) + "\n"


def write_lines(path, name: str, times: list[float | None]):
    path.write_text("".join(line(time, f"{name}{number}") for number, time in enumerate(times)))
    return path


def names(done) -> list[str]:
    return [each[5]["n"] for each in done.lines]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Three archives of the same hour, some thousand records each."""
    folder = tmp_path_factory.mktemp("archives")
    paths = [folder / f"{name}.mrt" for name in "abc"]
    for seed, path in enumerate(paths):
        path.write_bytes(b"".join(updates(grow(Random(seed)), Random(seed), 1500)))
    return paths


def by_time(lines: list[list]) -> list[list]:
    """As a stable sort has them, without the numbers that bgpipe gives."""
    return [each[:1] + each[2:] for each in sorted(lines, key=lambda each: each[2])]


def test_messages_of_archives_are_in_the_order_of_time(bgpipe, archives):
    apart = [each for path in archives for each in bgpipe("read", path, "stdout").lines]
    merged = bgpipe("--merge", *archives, "--", "stdout")
    assert merged.code == 0
    assert [each[:1] + each[2:] for each in merged.lines] == by_time(apart)
    assert [each[1] for each in merged.lines] == list(range(1, len(apart) + 1))
    assert "WRN" not in merged.err


def test_without_accel_it_is_the_same(archives):
    words = ("--merge", *archives, "--", "write", "-")
    slow = spawn(*words, env=os.environ | {"BGPIPE_ACCEL": "0"})
    assert slow.code == 0
    assert spawn(*words).out == slow.out


def test_equal_times_come_in_the_order_typed(bgpipe, tmp_path):
    first = write_lines(tmp_path / "first.json", "a", [1, 2, 2, 3])
    second = write_lines(tmp_path / "second.json", "b", [0, 2, 2, 4])
    assert names(bgpipe("--merge", first, second, "--", "stdout")) == ["b0", "a0", "a1", "a2", "b1", "b2", "a3", "b3"]
    assert names(bgpipe("--merge", second, first, "--", "stdout")) == ["b0", "a0", "b1", "b2", "a1", "a2", "a3", "b3"]
    assert names(bgpipe(first, second, "--", "stdout")) == ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3"]


def test_times_that_go_backwards_or_are_missing_move_nothing_and_are_counted(bgpipe, tmp_path):
    first = write_lines(tmp_path / "first.json", "a", [1, 5, 3, None, 6])
    second = write_lines(tmp_path / "second.json", "b", [2, 4, 5.5])
    done = bgpipe("--merge", first, second, "--", "stdout")
    assert done.code == 0
    assert names(done) == ["a0", "b0", "b1", "a1", "a2", "a3", "b2", "a4"]
    assert 'time before that of an earlier one, behind which they stay stage="[1] read" messages=1' in done.err
    assert 'messages have no time, and stay behind the one before them stage="[1] read" messages=1' in done.err
    assert "[2]" not in done.err


@pytest.mark.parametrize("form", FORMS)
def test_every_format_and_compression_merges(bgpipe, archives, tmp_path, form):
    paths = [tmp_path / f"{path.stem}.{form}" for path in archives[:2]]
    for path, archive in zip(paths, archives, strict=False):
        assert bgpipe(archive, "--", "write", path).code == 0
    done = bgpipe("--merge", *paths, "--", "stdout")
    apart = [each for path in paths for each in bgpipe(path, "--", "stdout").lines]
    assert done.code == 0
    if form == "raw":  # nothing says when they were, so they stay as they are, which is told
        assert [each[3:5] for each in done.lines] == [each[3:5] for each in apart]
        assert done.err.count("messages have no time") == 2
        counts = [int(each) for each in re.findall(r"no time.* messages=(\d+)", done.err)]
        assert sum(counts) == len(done.lines)
    else:
        assert [each[3:5] for each in done.lines] == [each[2:4] for each in by_time(apart)]


def test_inputs_of_different_formats(bgpipe, archives, tmp_path):
    """One gives blocks, another one single messages."""
    other = tmp_path / "b.json"
    assert bgpipe(archives[1], "--", "write", other).code == 0
    done = bgpipe("--merge", archives[0], other, "--", "write", "-")
    expected = bgpipe("--merge", archives[0], archives[1], "--", "write", "-")
    assert [each[2:] for each in done.lines] == [each[2:] for each in expected.lines]


STAGES = {
    "grep": ["grep", "ipv6"],
    "head": ["head", "-n", "700"],
    "py": ["py", "{py}"],
    "write": ["write", "{folder}/all.mrt"],
    "limit": ["limit", "-46", "--max-length", "20"],
    "rate": ["grep", "--rate-limit", "1000000", "update"],
    "exec": ["exec", "cat"],
}


@pytest.mark.parametrize("stage", STAGES)
def test_stages_behind_get_them_in_order(bgpipe, archives, tmp_path, stage):
    """As they do from one file that holds the same."""
    policy = tmp_path / "tag.py"
    policy.write_text("def update(m):\n    m.tags['x'] = str(len(m.update.reach))\n")
    words = [word.format(py=policy, folder=tmp_path) for word in STAGES[stage]]
    one = tmp_path / "one.mrt"
    assert bgpipe("--merge", *archives, "--", "write", one).code == 0
    expected = bgpipe(one, "--", *words, "--", "write", "-")
    done = bgpipe("--merge", *archives, "--", *words, "--", "write", "-")
    assert done.code == expected.code == 0
    assert done.out == expected.out
    assert done.out


def test_write_every_gets_each_interval_once(bgpipe, archives, tmp_path):
    done = bgpipe("--merge", *archives, "--", "write", "--every", "1h", tmp_path / "$TIME.json.gz")
    assert done.code == 0
    (path,) = tmp_path.iterdir()
    times = [json.loads(each)[2] for each in gzip.decompress(path.read_bytes()).splitlines()]
    assert times == sorted(times)
    assert len(times) > 4000


def test_each_input_keeps_its_own_options(bgpipe, tmp_path):
    first = write_lines(tmp_path / "first.json", "a", [1, 3, 5])
    second = write_lines(tmp_path / "second.json", "b", [2, 4, 6])
    third = write_lines(tmp_path / "third.json", "c", [2.5, 3.5])
    done = bgpipe(
        *("--merge", "read", "--of", 'tag[n] != "a1"', first, "--", "grep", 'tag[n] != "a2"'),
        *("--", "read", "--rate-limit", "1000", second, "--", "read", third, "--", "stdout"),
    )
    assert names(done) == ["a0", "b0", "c0", "c1", "b1", "b2"], "and only the first one's pass the filter"
    done = bgpipe("-o", "--merge", "read", "-R", first, "--", "read", "-L", second, "--", "read", "-LR", third)
    assert [each[0] for each in done.lines] == ["R", "L", "R", "R", "R", "L", "R", "L"]
    assert names(done) == ["a0", "b0", "c0", "a1", "c1", "b1", "a2", "b2"]


def test_inputs_that_share_no_line_are_not_merged_with_each_other(bgpipe, tmp_path):
    first = write_lines(tmp_path / "first.json", "a", [1, 3])
    second = write_lines(tmp_path / "second.json", "b", [2])
    third = write_lines(tmp_path / "third.json", "c", [2])
    done = bgpipe("-o", "--merge", "read", "-R", first, "--", "read", "-R", third, "--", "read", "-L", second)
    assert [name for name in names(done) if name != "b0"] == ["a0", "c0", "a1"]
    assert sorted(names(done)) == ["a0", "a1", "b0", "c0"]


def test_what_is_typed_in_no_order_takes_no_part(bgpipe, tmp_path):
    first = write_lines(tmp_path / "first.json", "a", [3, 4])
    second = write_lines(tmp_path / "second.json", "b", [1, 2])
    done = bgpipe("-o", "--merge", "read", "-R", first, "--", "read", "-R", "--wait", "read/STOP", second)
    assert names(done) == ["a0", "a1", "b0", "b1"]


@pytest.mark.parametrize("place", [0, 1])
def test_damage_of_one_costs_itself(bgpipe, archives, tmp_path, place):
    packed = bytearray(bz2.compress(archives[place].read_bytes()))
    cut = tmp_path / "cut.mrt.bz2"
    cut.write_bytes(archives[place].read_bytes()[:5003])
    paths = [*archives[:place], cut, *archives[place + 1 :]]
    done = bgpipe("--merge", *paths, "--", "stdout")
    assert packed
    assert done.code == 1
    apart = [each for path in paths for each in bgpipe(path, "--", "stdout").lines]
    assert [each[2:] for each in done.lines] == [each[1:] for each in by_time(apart)]
    assert "1 piece of damaged input" in done.err


def test_an_empty_input_and_one_without_messages(bgpipe, archives, tmp_path):
    (tmp_path / "empty.mrt").touch()
    (tmp_path / "comment.json").write_text("# nothing\n")
    done = bgpipe("--merge", tmp_path / "empty.mrt", archives[0], tmp_path / "comment.json", "--", "stdout")
    assert done.code == 0
    assert len(done.lines) == len(bgpipe(archives[0], "--", "stdout").lines)


def test_an_input_that_is_not_there(bgpipe, archives, tmp_path):
    done = bgpipe("--merge", "read", archives[0], "--", "read", tmp_path / "no.mrt", "--", "write", tmp_path / "x.mrt")
    assert done.code == 1
    assert "no.mrt" in done.err
    assert not (tmp_path / "x.mrt").exists()


def test_the_same_input_twice(bgpipe, tmp_path):
    path = write_lines(tmp_path / "a.json", "a", [1, 2])
    assert names(bgpipe("--merge", path, path, "--", "stdout")) == ["a0", "a0", "a1", "a1"]


def test_an_input_that_is_slow_lets_the_others_wait(tmp_path):
    """A named pipe whose writer comes late: what has come first is not known before."""
    import subprocess

    fifo, other = tmp_path / "late.json", write_lines(tmp_path / "b.json", "b", [2, 9])
    os.mkfifo(fifo)
    process = subprocess.Popen(command(["--merge", other, fifo, "--", "stdout"]), stdout=subprocess.PIPE)

    def write():
        with open(fifo, "w") as stream:
            for number, time in enumerate((1, 3)):
                stream.write(line(time, f"a{number}"))
                stream.flush()

    writer = threading.Thread(target=write)
    writer.start()
    out, _ = process.communicate(timeout=30)
    writer.join()
    assert [json.loads(each)[5]["n"] for each in out.splitlines()] == ["a0", "b0", "a1", "b1"]


def test_explain_says_it(bgpipe, archives):
    done = bgpipe("-n", "--merge", *archives, "--", "stdout")
    assert b"by time" in done.out
