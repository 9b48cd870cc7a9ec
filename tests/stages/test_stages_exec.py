"""exec: programs as filters of archives, and what can go wrong with a program."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from commandline import script, spawn
from fork_server import children

NOWHERE = ("--", "write", "--format", "json", "/dev/null")


def lines(path: Path) -> list[list]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# archives: the pipeline ends by itself, with everything


def test_everything_comes_through(bgpipe, sample, tmp_path):
    there, here = tmp_path / "there.json", tmp_path / "here.json"
    assert bgpipe("read", sample, "--", "write", here).code == 0
    assert bgpipe("read", sample, "--", "exec", "cat", "--", "write", there).code == 0
    assert there.read_bytes() == here.read_bytes()


def test_programs_one_after_the_other(bgpipe, sample, tmp_path, sample_json):
    """The first is through before the second hears that no more comes."""
    out = tmp_path / "out.json"
    done = bgpipe(
        *("read", sample, "--", "exec", "-A", "sort", "-s", "-k1,1", "--", "exec", "-A", "sort", "-s", "-k1,1"),
        *("--", "write", out),
    )
    assert done.code == 0, done.err
    assert len(lines(out)) == len(sample_json)


def test_a_program_edits(bgpipe, sample, tmp_path):
    out = tmp_path / "out.json"
    edit = r's/"PEER_AS":"[0-9]*"/"PEER_AS":"65099"/'
    assert bgpipe("read", sample, "--", "exec", "-A", "sed", "-u", edit, "--", "write", out).code == 0
    assert {line[5].get("PEER_AS") for line in lines(out)} == {"65099"}


def test_a_program_drops(bgpipe, sample, tmp_path, sample_json):
    out = tmp_path / "out.json"
    assert bgpipe("read", sample, "--", "exec", "-A", "head", "-n", "7", "--", "write", out).code == 1, "it ended early"
    assert bgpipe("read", sample, "--", "exec", "-A", "sed", "-n", "1,7p", "--", "write", out).code == 0
    assert [line[3:] for line in lines(out)] == [line[3:] for line in sample_json[:7]]


def test_as_the_last_stage_it_is_the_right_end(bgpipe, sample, sample_json):
    done = bgpipe("-o", "read", sample, "--", "exec", "cat")
    assert done.code == 0
    assert {line[0] for line in done.lines} == {"L"}, "what arrives there comes back from there"
    assert len(done.lines) == len(sample_json)


def test_standard_input_passes_the_first_stage(bgpipe, sample_json):
    text = b"".join(json.dumps(["R", *line[1:]]).encode() + b"\n" for line in sample_json[:20])
    done = bgpipe("-io", "exec", "-A", "sed", "-u", 's/"PEER_AS"/"FORMER_PEER"/', stdin=text)
    assert done.code == 0, done.err
    assert len(done.lines) == 20
    assert all("PEER_AS" not in line[5] for line in done.lines)


def test_copy(bgpipe, sample, tmp_path, sample_json):
    out = tmp_path / "out.json"
    assert bgpipe("read", sample, "--", "exec", "--copy", "cat", "--", "write", out).code == 0
    assert len(lines(out)) == 2 * len(sample_json)


def test_write_only(bgpipe, sample, tmp_path, sample_json):
    copied, out = tmp_path / "copied.json", tmp_path / "out.json"
    program = script(tmp_path, f"cat > {copied}; echo no more")
    assert bgpipe("read", sample, "--", "exec", "--write", program, "--", "write", out).code == 0
    assert [line[3:] for line in lines(copied)] == [line[3:] for line in sample_json]
    assert copied.read_bytes() == out.read_bytes()


def test_read_only(bgpipe, sample, tmp_path, sample_json):
    text = tmp_path / "in.json"
    assert bgpipe("read", sample, "--", "write", text).code == 0
    program = script(tmp_path, f"cat {text}; echo done >&2")
    done = bgpipe("-o", "exec", "--read", program)
    assert done.code == 0
    assert [line[3:] for line in done.lines] == [line[3:] for line in sample_json]
    assert "INF done stage=" in done.err
    assert bgpipe("-o", "exec", "--read", script(tmp_path, "exit 7")).code == 1


@pytest.mark.parametrize("how", ["raw", "mrt"])
def test_other_formats(bgpipe, sample, tmp_path, sample_json, how):
    out = tmp_path / "out.json"
    assert bgpipe("read", sample, "--", "exec", "--format", how, "cat", "--", "write", out).code == 0
    assert [line[3] for line in lines(out)] == [line[3] for line in sample_json]
    if how == "mrt":  # raw octets don't say how they are to be read, nor when they were sent
        assert [line[2:] for line in lines(out)] == [line[2:] for line in sample_json]


def test_what_passes_by(bgpipe, sample, tmp_path, sample_json):
    out = tmp_path / "out.json"
    swallow = ("exec", "--type", "UPDATE", "--if", "prefix ~ 0.0.0.0/1", "-A", "sed", "-n", "$d")
    assert bgpipe("read", sample, "--", *swallow, "--", "write", out).code == 0
    left = lines(out)
    assert 0 < len(left) < len(sample_json)
    assert any(line[3] != "UPDATE" for line in left) == any(line[3] != "UPDATE" for line in sample_json)
    kept = bgpipe("-o", "read", sample, "--", "drop", "prefix ~ 0.0.0.0/1").lines
    assert [line[3:5] for line in left] == [line[3:5] for line in kept], "in their order"


def test_what_is_taken_of_its_output(bgpipe, sample, tmp_path):
    out = tmp_path / "out.json"
    words = ("exec", "--of", "type == UPDATE", "--no-tags", "--no-seq", "cat")
    assert bgpipe("read", sample, "--", *words, "--", "write", out).code == 0
    assert {line[3] for line in lines(out)} == {"UPDATE"}
    assert {key for line in lines(out) for key in line[5]} == {"WIRE"}
    numbers = [line[1] for line in lines(out) if line[0] == "R"]
    assert numbers == [*range(numbers[0], numbers[0] + len(numbers))]


def test_new_first(bgpipe, sample, tmp_path):
    """What comes back meets the stages before it too."""
    program = script(tmp_path, 'echo \'{"reach":["192.0.2.0/24"]}\'')
    words = ("drop", "-R", "prefix == 192.0.2.0/24", "--", "exec", "-R", "--read")
    assert len(bgpipe("-o", *words, program).lines) == 1
    assert bgpipe("-o", *words, "--new", "first", program).lines == []


# archives: trouble


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["no-such-program"], "no-such-program: no such program"),
        (["cat -n"], "cat -n: no such program: arguments need -A"),
        (["/dev/null"], "/dev/null: can't be run: no permission"),
    ],
)
def test_what_can_not_be_run(bgpipe, sample, words, why):
    done = bgpipe("read", sample, "--", "exec", *words, *NOWHERE)
    assert done.code == 1
    assert why in done.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--read", "--write", "cat"], "--read and --write exclude each other"),
        (["--read", "--copy", "cat"], "--read and --copy exclude each other"),
        (["-LR", "--raw", "cat"], "the format raw says no directions"),
        (["--format", "xml", "cat"], "unknown format 'xml'"),
        (["--stall-timeout=-1s", "cat"], "--stall-timeout can't be negative"),
        ([""], "needs an argument: COMMAND"),
        (["-A", ""], "needs an argument: COMMAND"),
    ],
)
def test_what_can_not_be(bgpipe, sample, words, why):
    done = bgpipe("read", sample, "--", "exec", *words, *NOWHERE)
    assert done.code == 2
    assert why in done.err


def test_a_script_without_a_first_line(bgpipe, sample, tmp_path):
    path = tmp_path / "script"
    path.write_text("cat\n")
    path.chmod(0o755)
    done = bgpipe("read", sample, "--", "exec", path, *NOWHERE)
    assert done.code == 1
    assert "a script needs a first line such as #!/bin/sh" in done.err


def test_its_exit_code_counts(bgpipe, sample, tmp_path, sample_json):
    out = tmp_path / "out.json"
    done = bgpipe("-e", "all", "read", sample, "--", "@p", "exec", script(tmp_path, "cat; exit 3"), "--", "write", out)
    assert done.code == 1
    assert "@p: exit code 3" in done.err
    assert "event @p/EXIT vals=3" in done.err
    assert len(lines(tmp_path / "out.json.partial")) == len(sample_json), "what it has said is there"


def test_it_ends_at_once(bgpipe, sample):
    done = bgpipe("read", sample, "--", "exec", "true", *NOWHERE)
    assert done.code == 1
    assert "the program has ended" in done.err
    done = bgpipe("read", sample, "--", "exec", "-A", "sh", "-c", "kill -SEGV $$", *NOWHERE)
    assert "killed by SIGSEGV" in done.err


def test_it_ends_at_once_and_all_pass(bgpipe, sample, tmp_path, sample_json):
    out = tmp_path / "out.json"
    assert bgpipe("read", sample, "--", "exec", "--on-exit", "pass", "false", "--", "write", out).code == 0
    passed = lines(out)
    assert [line[4] for line in passed] == [line[4] for line in sample_json[-len(passed) :]], "in their order"
    assert len(passed) > len(sample_json) // 2, "all that it had not taken"


@pytest.mark.parametrize(("on_exit", "most"), [("drop", 0), ("pass", 1500)])
def test_it_ends_when_all_waits_for_it(bgpipe, sample, tmp_path, on_exit, most):
    """The input is through, and most of it has not fitted into the program's pipe."""
    out = tmp_path / "out.json"
    words = ("exec", "--on-exit", on_exit, "-A", "sh", "-c", "sleep 0.5", "--", "write", out)
    assert bgpipe("read", sample, "--", *words).code == 0
    passed = [line for line in lines(out) if line[3] == "UPDATE"] if out.exists() else []
    assert len(passed) <= most
    assert bool(passed) is bool(most)


def test_it_ends_at_once_and_all_are_dropped(bgpipe, sample, tmp_path):
    out = tmp_path / "out.json"
    assert bgpipe("read", sample, "--", "exec", "--on-exit", "drop", "false", "--", "write", out).code == 0
    assert not out.exists() or all(line[3] != "UPDATE" for line in lines(out))


def test_garbage_costs_itself(bgpipe, sample, tmp_path, sample_json):
    out = tmp_path / "out.json"
    program = script(tmp_path, r"""echo garbage; printf '\000\377["R"\n'; cat; echo '["R",1,"then"' """)
    done = bgpipe("read", sample, "--", "exec", program, "--", "write", out)
    assert done.code == 1
    assert "3 pieces of damaged input" in done.err
    assert len(lines(out)) == len(sample_json)
    assert bgpipe("read", sample, "--", "exec", "--pardon", program, "--", "write", out).code == 0


def test_a_flood(bgpipe):
    flood = ("exec", "--read", "--pardon", "-A", "yes")
    done = bgpipe("-o", *flood, '["R",0,null,"KEEPALIVE"]', "--", "head", "-n", "1000")
    assert done.code == 0, done.err
    assert len(done.lines) == 1000
    program = "yes garbage | head -n 100000; echo '[]'; yes garbage"
    done = bgpipe("-o", "exec", "--read", "--pardon", "-A", "sh", "-c", program, "--", "head", "-n", "1")
    assert done.code == 0, done.err
    assert done.err.count("damaged input") == 10, "more is only counted"


def test_it_closes_its_input(bgpipe, sample, tmp_path):
    program = script(tmp_path, "exec <&-; echo '[\"R\"]'; sleep 100")
    done = bgpipe("read", sample, "--", "exec", program, "--", "write", tmp_path / "out.json")
    assert done.code == 1
    assert "the program has ended" in done.err
    assert len(lines(tmp_path / "out.json.partial")) == 1


def test_it_may_close_its_input(bgpipe, sample, tmp_path):
    out = tmp_path / "out.json"
    program = script(tmp_path, 'exec <&-; echo \'["R",0,null,"KEEPALIVE",null,{"mine":"1"}]\'')
    assert (
        bgpipe("read", sample, "--", "exec", "--keep-stdin", "--on-exit", "pass", program, "--", "write", out).code == 0
    )
    assert sum(line[5].get("mine") == "1" for line in lines(out)) == 1
    assert len(lines(out)) > 1


def test_it_may_close_its_output(bgpipe, sample, tmp_path, sample_json):
    copied = tmp_path / "copied"
    program = script(tmp_path, f"exec >&-; cat > {copied}")
    assert bgpipe("read", sample, "--", "exec", "--keep-stdout", program, *NOWHERE).code == 0
    assert len(lines(copied)) == len(sample_json)


def test_somebody_whom_it_has_left_behind(bgpipe, sample, tmp_path):
    """It has ended; that another process holds its output is no reason to wait for ever."""
    program = script(tmp_path, "sleep 100 & cat")
    done = bgpipe("read", sample, "--", "exec", program, "--", "write", tmp_path / "out.json")
    assert done.code == 0, done.err


def test_nothing_is_left(bgpipe, sample):
    before, earlier = descriptors(), set(children())
    bgpipe("read", sample, "--", "exec", "cat", "--", "head", "-n", "3")
    bgpipe("read", sample, "--", "head", "-n", "3", "--", "exec", "-A", "sleep", "0.2")
    assert descriptors() == before
    assert set(children()) <= earlier


def test_head_behind_a_program(bgpipe, sample):
    done = bgpipe("-o", "read", sample, "--", "head", "-n", "5", "--", "exec", "-R", "cat")
    assert done.code == 0
    assert len(done.lines) == 5, "what was let in comes out, though the pipeline stops"


def test_the_example_of_the_documentation(tmp_path, sample):
    """In a process of its own, as a user runs it."""
    done = spawn(
        "read", sample, "--", "exec", "-A", "grep", "--line-buffered", "UPDATE", "--", "write", tmp_path / "x.json"
    )
    assert done.code == 0
    assert {line[3] for line in lines(tmp_path / "x.json")} == {"UPDATE"}


def test_a_flood_on_standard_error_is_counted(bgpipe, sample, tmp_path, sample_json):
    """The log is not filled by a program; what it does is not held up."""
    out, noisy = tmp_path / "out.json", script(tmp_path, "yes oops | head -n 200000 >&2\nexec cat")
    done = bgpipe("read", sample, "--", "exec", noisy, "--", "write", out)
    assert done.code == 0, done.err
    assert len(lines(out)) == len(sample_json)
    told = done.err.count("oops")
    assert 100 <= told < 20_000
    assert "more than 100 lines a second to standard error" in done.err
    assert f"lines={200_000 - told}" in done.err


def test_it_fails_at_the_end_of_the_input_without_reading(bgpipe, sample, tmp_path):
    """All fits into its pipe, so that nothing waits when it ends: what it has not read is dropped all the same."""
    few = tmp_path / "few.json"
    assert bgpipe("read", sample, "--", "head", "-n", "5", "--", "write", few).code == 0
    out = tmp_path / "out.json"
    done = bgpipe(
        "read", few, "--", "exec", "--on-exit", "drop", "-A", "sh", "-c", "sleep 0.3; exit 3", "--", "write", out
    )
    assert done.code == 0, done.err
    assert "lost=5" in done.err
    program = "cat >/dev/null; exit 3"
    assert bgpipe("read", few, "--", "exec", "--on-exit", "drop", "-A", "sh", "-c", program, *NOWHERE).code == 1
