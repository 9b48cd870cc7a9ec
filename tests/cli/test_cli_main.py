"""The command as users meet it: what it prints, exit codes, signals, trouble."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess

import pytest

from commandline import command, spawn


def test_one_stage_prints_json(bgpipe, sample, sample_json):
    done = bgpipe(sample)
    assert done.code == 0
    assert [line[3:] for line in done.lines] == [line[3:] for line in sample_json]
    assert {line[0] for line in done.lines} == {"L"}, "a lone producer is at the right end"


def test_the_summary_counts(bgpipe, sample):
    done = bgpipe(sample)
    counts = dict(re.findall(r"(\w+)=(\S+)", done.err))
    assert int(counts["messages"].replace(",", "")) == len(done.lines)
    assert int(counts["records"].replace(",", "")) >= len(done.lines)
    assert counts["damaged"] == "0"
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INF done ", done.err)


def test_the_summary_is_part_of_the_log(bgpipe, sample):
    assert bgpipe("-l", "warn", sample).err == ""
    assert bgpipe(sample, env={"BGPIPE_LOG": "error"}).err == ""


def test_explain(bgpipe, tmp_path):
    done = bgpipe("-n", "read", "a.mrt", "--", "grep", "-LR", "ipv6", "--", "write", "--type", "UPDATE", "b c.json")
    assert done.code == 0
    assert done.out.decode() == (
        "--> MESSAGES FLOWING RIGHT -->\n"
        "  [1] read a.mrt\n"
        "      writes messages to pipeline inputs=1\n"
        "  [2] grep -LR ipv6\n"
        "      reads messages from pipeline callbacks=1 types=[ALL]\n"
        "  [3] write --type UPDATE 'b c.json'\n"
        "      reads messages from pipeline callbacks=1 types=[UPDATE]\n"
        "\n"
        "<-- MESSAGES FLOWING LEFT <--\n"
        "  [2] grep -LR ipv6\n"
        "      reads messages from pipeline callbacks=1 types=[ALL]\n"
    )
    assert not os.path.exists("b c.json")


def test_explain_events_and_empty_directions(bgpipe):
    done = bgpipe("-n", "@in", "read", "a.mrt", "--", "head", "--wait", "EOR", "--stop", "@in")
    assert done.out.decode().splitlines()[3:] == [
        "  [2] head --wait EOR --stop @in",
        "      reads messages from pipeline callbacks=1 types=[ALL]",
        "      handles events handlers=2 types=[bgpfix/pipe.EOR @in/STOP]",
        "",
        "<-- MESSAGES FLOWING LEFT <--",
        "  (none)",
        "",
        "what leaves the pipeline is printed to standard output",
    ]


def test_help_of_the_program(bgpipe):
    done = bgpipe("-h")
    assert done.code == 0
    text = done.out.decode()
    for word in ("--stdout-wait", "-g, --guess-asn", "BGPIPE_LOG=debug", "Exit codes", "(default info)"):
        assert word in text
    for stage in ("drop", "grep", "head", "read", "stdin", "stdout", "write"):
        assert re.search(rf"^  {stage} +[A-Z]", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 120
    assert bgpipe("help").out == done.out


def test_help_of_a_stage(bgpipe):
    text = bgpipe("write", "-h").out.decode()
    flat = " ".join(text.split())
    assert text.startswith("Usage: bgpipe ... write [OPTIONS] PATH\n\nWrite messages to a file")
    for word in ("--every DURATION", "-I, --if FILTER", "(default 20060102.1504)", "-L, --left"):
        assert word in flat
    assert bgpipe("help", "write").out.decode() == text
    done = bgpipe("help", "wriet")
    assert (done.code, done.err) == (2, "bgpipe: unknown stage 'wriet', did you mean write?\n")


def test_version(bgpipe):
    done = bgpipe("-v")
    assert (done.code, done.out) == (0, b"")
    assert re.match(r"bgpipe \d+\.\d+\.\d+\nPython 3\.\d+\.\d+ .*\naccel: ", done.err)
    assert bgpipe("version") == done


def test_no_stages(bgpipe):
    done = bgpipe()
    assert done.code == 2
    assert done.err.startswith("Usage: bgpipe")
    assert done.err.endswith("bgpipe: no stages\n")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("--lgo x", 2, "bgpipe: unknown option --lgo, did you mean --log? (bgpipe -h shows the options)"),
        ("read --fromat x y", 2, "bgpipe: [1] read: unknown option --fromat, did you mean --format? (bgpipe -h shows"),
        ("raed x", 2, "bgpipe: raed: no such stage or file, did you mean read?"),
        ("nothing.mrt", 1, "bgpipe: nothing.mrt: no such stage or file"),
        ("read /no/such/file", 1, "bgpipe: [1] read: /no/such/file: no such file or directory"),
        ("read /", 1, "bgpipe: [1] read: /: is a directory"),
        ("grep x==", 2, "bgpipe: [1] grep: filter 'x==': parse error"),
        ("read x -- head -n 0", 2, "bgpipe: [2] head: --count must be more than 0, not 0"),
        ("read x -- write --type FOO o.json", 2, "bgpipe: [2] write: unknown message type 'FOO'"),
        ("read x -- write ", 2, "bgpipe: [2] write: needs an argument: PATH, not an empty text"),
        ("listen ", 2, "bgpipe: [1] listen: needs an argument: ADDR, not an empty text"),
        ("read x -- write --append --create o.json", 2, "bgpipe: [2] write: o.json: --append and --create exclude"),
        ("read x -- write --every 1s o.$TIME.json", 2, "bgpipe: [2] write: o.$TIME.json: --every must be at least 60s"),
        ("read x -- write --every 1h o.json", 2, "bgpipe: [2] write: o.json: with --every, $TIME or"),
        ("read x -- write o.unknown", 2, "bgpipe: [2] write: can't tell the format from the name o.unknown"),
        ("read x -- write --compress xz o.mrt", 2, "bgpipe: [2] write: --compress: invalid value 'xz': one of auto"),
        ("read x -- write --compress lz4 ./o", 2, "bgpipe: [2] write: --compress: invalid value 'lz4': one of auto,"),
        ("read --format json /dev/null write --format raw /no/such/dir\0/x", 1, "bgpipe: [2] write: "),
    ],
)
def test_errors_are_one_line(bgpipe, words, code, text):
    done = bgpipe(*words.split(" "))
    assert done.code == code
    assert done.err.startswith(text)
    assert done.err.count("\n") == 1
    assert done.out == b""


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("--log-format json raed x", 2, "raed: no such stage or file, did you mean read?"),
        ("--log-format=json read", 2, "[1] read: needs an argument: PATH (bgpipe -h shows the options)"),
        ("--lgo x --log-format json read x", 2, "unknown option --lgo, did you mean --log?"),
        ("--log-format json -l disabled", 2, "no stages"),
        ("--log-format json help wriet", 2, "unknown stage 'wriet'"),
        ("--log-format json nothing.mrt", 1, "nothing.mrt: no such stage or file"),
    ],
)
def test_errors_of_the_command_line_are_part_of_a_log_for_programs(bgpipe, words, code, text):
    done = bgpipe(*words.split())
    assert done.code == code
    (line,) = map(json.loads, done.err.splitlines())
    assert line["level"] == "error"
    assert line["message"].startswith(text)


def test_the_environment_says_the_format_of_errors_too(bgpipe):
    done = bgpipe("raed", "x", env={"BGPIPE_LOG_FORMAT": "json"})
    assert json.loads(done.err)["message"].startswith("raed: no such stage")


def test_nobody_produces(bgpipe):
    done = bgpipe("/dev/null", "--", "grep", "-R", "ipv6", "--", "read", "-L", "/dev/null")
    assert done.code == 0
    done = bgpipe("read", "-L", "/dev/null", "--", "grep", "-R", "ipv6")
    assert done.code == 0
    assert "nobody produces messages in direction R (missing -L/-R/-LR somewhere?)" in done.err


def test_an_unreadable_file(tmp_path):
    path = tmp_path / "secret.mrt"
    path.write_bytes(b"")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("nothing is unreadable to this user")
    done = spawn("read", path)
    assert (done.code, done.err) == (1, f"bgpipe: [1] read: {path}: permission denied\n")


def test_a_cut_file_gives_all_that_is_whole(bgpipe, sample, sample_json, tmp_path):
    octets = sample.read_bytes()
    cut = tmp_path / "cut.mrt"
    cut.write_bytes(octets[:-7])
    done = bgpipe("read", cut, "write", tmp_path / "out.json")
    assert done.code == 1
    assert "WRN damaged input" in done.err
    assert done.err.endswith("bgpipe: [1] read: 1 piece of damaged input (--pardon takes that for a success)\n")
    assert len((tmp_path / "out.json").read_bytes().splitlines()) >= len(sample_json) - 1
    assert bgpipe("read", "--pardon", cut, "write", tmp_path / "out.json").code == 0


def test_much_damage_is_told_ten_times_and_counted(bgpipe):
    lines = b'["R",1,null,"KEEPALIVE",null,{}]\n' + b"[nonsense\n" * 25
    done = bgpipe("stdin", "--", "stdout", stdin=lines)
    assert done.code == 1
    assert len(done.lines) == 1
    assert done.err.count("WRN damaged input") == 10
    assert "more damage is only counted" in done.err
    assert "damaged=25" in done.err
    assert "25 pieces of damaged input" in done.err


def test_malformed_messages_are_told_ten_times_and_kept(bgpipe):
    line = b'["R",0,null,"UPDATE","0x00ff0000",{}]\n'
    done = bgpipe("stdin", "--", "grep", "update", "--", "stdout", stdin=line * 15)
    assert done.code == 0
    assert len(done.lines) == 15
    assert done.err.count("ERR event bgpfix/pipe.PARSE") == 10
    assert "more malformed messages are only counted" in done.err
    assert "malformed=15" in done.err


def test_events_are_logged_as_asked(bgpipe, sample):
    done = bgpipe("-e", "read,STOP", "read", sample, "head", "-n", "1")
    events = re.findall(r"INF event (\S+)", done.err)
    assert events == ["read/PREPARE", "read/READY", "read/START", "bgpfix/pipe.STOP", "read/STOP"]
    assert 'stage="[1] read"' in done.err


def test_all_events(bgpipe, sample):
    done = bgpipe("-e", "all", "read", sample, "head", "-n", "50")
    events = set(re.findall(r"INF event (\S+)", done.err))
    assert {"bgpfix/pipe.START", "bgpfix/pipe.UPDATE", "head/STOP"} <= events


def test_text_from_outside_cannot_move_the_cursor(bgpipe):
    done = bgpipe("read", "/no/\x1b[2Jfile\nINF fake")
    assert done.err == "bgpipe: [1] read: /no/\\x1b[2Jfile\\nINF fake: no such file or directory\n"


# Processes


def test_a_closed_pipe_is_a_quiet_success(sample):
    reader, writer = os.pipe()
    with subprocess.Popen(command(["read", sample, "--", "stdout"]), stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        os.read(reader, 10)
        os.close(reader)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")


def test_help_into_a_closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command(["-h"]), stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk(sample):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command(["read", sample, "stdout"]), stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert done.returncode == 1
    assert b"bgpipe: [2] stdout: standard output: no space left on the device" in done.stderr
    assert b"Traceback" not in done.stderr
    done = spawn("read", sample, "write", "--json", "/dev/full")
    assert done.code == 1
    assert "bgpipe: [2] write: /dev/full: no space left on the device" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_gracefully(number, sample, tmp_path):
    """What came before the signal is written, the file gets its name, and the exit code is 0."""
    out = tmp_path / "out.json"
    words = ["-l", "debug", "-o", "stdin", "--", "write", out]
    with subprocess.Popen(
        command(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b'["R",1,null,"KEEPALIVE",null,{}]\n')
        process.stdin.flush()
        assert b"KEEPALIVE" in process.stdout.readline(), "a slow feed is not held back"
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"signal received, stopping..." in err
    assert out.read_bytes().count(b"KEEPALIVE") == 1


def test_kill_on_an_event(sample):
    done = spawn("-k", "read/START", "read", sample)
    assert (done.code, done.out) == (1, b"")
    assert "ERR session killed by event event=read/START" in done.err


def test_kill_on_a_session_event(sample):
    done = spawn("-k", "EOR", "stdin", input=b'["R",1,null,"UPDATE",{},{}]\n')
    assert done.code == 1
    assert "event=bgpfix/pipe.EOR" in done.err


def test_a_bug_is_one_line_and_a_traceback_only_on_request(tmp_path, monkeypatch, capfd):
    from bgpipe.cli import main as module

    monkeypatch.setattr("bgpipe.app.build.build", lambda line, log: 1 // 0)
    assert module.main(["head"]) == 1
    assert capfd.readouterr().err == (
        "bgpipe: unexpected ZeroDivisionError: integer division or modulo by zero "
        "(please report it; -l debug shows where)\n"
    )
    assert module.main(["-l", "debug", "head"]) == 1
    assert "Traceback" in capfd.readouterr().err


def test_an_event_that_nobody_tells(bgpipe, sample):
    """A typing error must not leave somebody without the protection that he thinks to have."""
    done = bgpipe(
        "--events",
        "limit/sesion,ESTABLISHD,limit/near,grep/odd",
        sample,
        "limit",
        "grep",
        "--event-match",
        "odd",
        "ipv4",
    )
    assert re.findall("no stage emits the event (.*)", done.err) == [
        "bgpfix/pipe.ESTABLISHD, did you mean bgpfix/pipe.ESTABLISHED?",
        "limit/sesion, did you mean limit/session?",
    ]


CLOSED = [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)]


@pytest.mark.parametrize("closed", CLOSED, ids=str)
def test_standard_streams_may_be_closed(sample, tmp_path, closed):
    """Else the next file that is opened has their number, and is written instead."""
    out = tmp_path / "out.json"

    def close() -> None:
        for number in closed:
            os.close(number)

    words = ("read", sample, "--", "write", out, "--", "exec", "-LR", "cat")
    process = subprocess.Popen(
        command(words), preexec_fn=close, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(out.read_bytes().splitlines()) > 1000
    assert printed == b""
    assert (b"done records" in said) == (2 not in closed)


@pytest.mark.parametrize("words", [("-o", "read", "FILE", "--", "head"), ("-n", "read", "FILE"), ("-h",)])
def test_a_closed_standard_output_is_told_by_whoever_needs_it(sample, words):
    argv = command([sample if word == "FILE" else word for word in words])
    done = subprocess.run(argv, preexec_fn=lambda: os.close(1), stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 1
    assert b"standard output: is closed\n" in done.stderr
    assert b"unexpected" not in done.stderr
    assert b"ignored" not in done.stderr


def test_a_closed_standard_input_is_told_by_whoever_needs_it():
    argv = command(["-i", "-o", "--", "head"])
    done = subprocess.run(argv, preexec_fn=lambda: os.close(0), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, b"bgpipe: stdin: standard input: is closed\n")


def test_garbage_is_collected_while_a_pipeline_runs(sample, tmp_path):
    """The start does without, and what is loaded then is not searched again; what runs must not grow for ever."""
    policy = tmp_path / "look.py"
    policy.write_text(
        "import gc, sys\ndef start(stage):\n    print(gc.isenabled(), gc.get_freeze_count() > 0, file=sys.stderr)\n"
        "def update(m): return False\n"
    )
    argv = command(["-l", "warn", sample, "--", "py", policy])
    done = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"True True\n")


@pytest.mark.parametrize("words", [["head"], ["grep", "ipv4"], ["write", "out.json"], ["-o", "grep", "ipv6"]])
def test_a_command_line_on_which_nothing_makes_messages(bgpipe, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    done = bgpipe(*words)
    assert done.code == 2
    assert "no stage makes messages" in done.err
    assert list(tmp_path.iterdir()) == []


def test_standard_input_by_a_bare_dash(bgpipe):
    done = bgpipe("-", "--", "grep", "update", stdin=b'["R",1,null,"UPDATE",{"reach":["192.0.2.0/24"]}]\n')
    assert done.code == 0
    assert [line[4] for line in done.lines] == [{"reach": ["192.0.2.0/24"]}]


@pytest.mark.parametrize("words", [["-", "-"], ["--merge", "-", "--", "read", "-"], ["-i", "-"], ["-", "--", "stdin"]])
def test_standard_input_has_one_reader(bgpipe, words):
    done = bgpipe(*words, stdin=b'["R",1,null,"KEEPALIVE"]\n')
    assert done.code == 2
    assert "standard input is read by another stage already" in done.err


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://192.0.2.1/updates.mrt", "only those of http and https can be read"),
        ("file:///updates.mrt", "only those of http and https can be read"),
        ("http://[::1/updates.mrt", "not a URL"),
        ("http://", "not a URL"),
    ],
)
def test_what_is_no_url_of_an_input(bgpipe, url, why):
    done = bgpipe(url, "--", "stdout")
    assert done.code == 1
    assert why in done.err
    assert "Error" not in done.err
