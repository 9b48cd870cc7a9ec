"""Pipelines that a program runs: bgpipe.run and bgpipe.run_async."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import signal
import sys
import threading
from contextlib import suppress

import pytest

import bgpipe
from bgpipe.wire.message import KEEPALIVE


async def keepalives():
    """Messages that never end."""
    while True:
        yield bgpipe.Message(KEEPALIVE, b"")
        await asyncio.sleep(0.001)


def test_a_command_line(sample, tmp_path):
    out = tmp_path / "out.json"
    result = bgpipe.run(["read", sample, "--", "head", "-n", "5", "--", "write", out])
    assert len(out.read_bytes().splitlines()) == 5
    assert (result.reason, result.error, result.sessions) == ("stopped", None, 1)


def test_what_was_read_is_counted(sample, sample_json):
    result = bgpipe.run(f"read {sample}", on_message=lambda message: None)
    assert (result.reason, result.messages, result.damaged) == ("finished", len(sample_json), 0)
    assert result.records >= result.messages
    assert result.events["read/STOP"] == 1
    assert result.seconds > 0


def test_messages_come_to_the_program_in_order(sample):
    seen: list[bgpipe.Message] = []
    bgpipe.run(f"read {sample} -- grep ipv6", on_message=seen.append)
    wanted = [message.octets for message in bgpipe.read(sample, filter="ipv6")]
    assert [message.octets for message in seen] == wanted != []


def test_functions_and_messages_are_stages(sample, tmp_path):
    """What a function returns decides; a Reader brings its messages in blocks."""
    out = tmp_path / "out.json"

    def odd(message):
        return message.seq % 2 == 1

    def twice(message):
        return [message, bgpipe.Message(KEEPALIVE, b"")]

    result = bgpipe.run(
        stages=[bgpipe.read(sample), {"head": {"count": 10}}, (odd, {"if": "update"}), twice, {"write": str(out)}]
    )
    kinds = [json.loads(line)[3] for line in out.read_bytes().splitlines()]
    assert kinds[0::2] == ["UPDATE"] * (len(kinds) // 2)
    assert kinds[1::2] == ["KEEPALIVE"] * (len(kinds) // 2)
    assert len(kinds) == 10
    assert result.messages > 0


def test_what_a_function_raises_is_the_cause():
    def bad(message):
        raise KeyError("x")

    messages = [bgpipe.Message(KEEPALIVE, b"")]
    with pytest.raises(bgpipe.StageError, match=r"^\[2\] bad: KeyError: 'x'") as caught:
        bgpipe.run(stages=[messages, bad])
    assert isinstance(caught.value.__cause__, KeyError)
    result = bgpipe.run(stages=[messages, bad], check=False)
    assert isinstance(result.error, bgpipe.StageError)
    assert result.reason == "error"
    with pytest.raises(bgpipe.StageError, match="KeyError"):
        bgpipe.run(stages=[messages], on_message=bad)
    with pytest.raises(bgpipe.StageError, match="KeyError"):
        bgpipe.run(stages=[messages], on_message=print, on_event=bad, options={"events": ["START"]})


def test_what_messages_raise_is_the_cause(tmp_path):
    out = tmp_path / "out.json"

    def broken():
        yield bgpipe.Message(KEEPALIVE, b"")
        raise OSError("gone")

    with pytest.raises(bgpipe.StageError, match=r"^\[1\] broken: OSError: gone"):
        bgpipe.run(stages=[broken, {"write": str(out)}])
    assert not out.exists()
    with pytest.raises(bgpipe.StageError, match=r"^\[1\] messages: TextError: "):
        bgpipe.run(stages=[bgpipe.read(io.BytesIO(b"nonsense")), {"write": str(out)}])


def test_events_come_to_the_program(sample):
    names: list[str] = []
    bgpipe.run(
        f"read {sample} -- head -n 1",
        options={"events": ["read", "STOP"]},
        on_event=lambda event: names.append(event.name),
        on_message=lambda message: None,
    )
    assert names == ["read/PREPARE", "read/READY", "read/START", "bgpfix/pipe.STOP", "read/STOP"]


def test_an_event_of_kill_raises(sample):
    with pytest.raises(bgpipe.StageError, match="killed by read/START") as caught:
        bgpipe.run(f"--kill read/START read {sample}", on_message=lambda message: None)
    assert caught.value.reason == "killed"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("", "no stages"),
        ("-h", "--help is for the command line"),
        ("read -h", "--help is for the command line"),
        ("-v", "--version is for the command line"),
        ("-n head", "--explain is for the command line"),
        ("--log debug head", "--log is for the command line"),
        ("head --cuont 3", r"\[1\] head: unknown option --cuont"),
        ("head 'x", "No closing quotation"),
    ],
)
def test_what_makes_no_pipeline(words, text):
    with pytest.raises(bgpipe.UsageError, match=text):
        bgpipe.run(words)


def test_the_environment_says_nothing_to_a_program(sample, monkeypatch):
    monkeypatch.setenv("BGPIPE_HEAD_COUNT", "7")
    monkeypatch.setenv("BGPIPE_STDOUT", "true")
    seen: list[bgpipe.Message] = []
    bgpipe.run(f"read {sample} -- head", on_message=seen.append)
    assert len(seen) == 10


def test_where_nobody_takes_the_messages_they_are_printed(sample, capfdbinary):
    bgpipe.run(f"read {sample} -- head -n 2")
    bgpipe.run(stages=[f"read {sample}", "head -n 2", lambda message: True])
    assert len(capfdbinary.readouterr().out.splitlines()) == 2


async def test_in_a_loop_that_runs(sample):
    """Two at once, beside other tasks; none touches signals, hooks or the handler of the loop."""
    loop = asyncio.get_running_loop()
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    hooks = threading.excepthook, sys.unraisablehook, loop.get_exception_handler()
    during = []

    def look(message):
        during.append([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])

    one, other = await asyncio.gather(
        bgpipe.run_async(f"read {sample} -- head -n 3", on_message=look),
        bgpipe.run_async(f"read {sample}", on_message=lambda message: None),
    )
    assert (one.reason, other.reason) == ("stopped", "finished")
    assert during == [before] * 3
    assert hooks == (threading.excepthook, sys.unraisablehook, loop.get_exception_handler())
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_blocking_run_refuses_a_running_loop():
    with pytest.raises(RuntimeError, match="run_async"):
        bgpipe.run("head")


@pytest.mark.parametrize("how", ["stop", "end_input"])
async def test_control_ends_it(how, tmp_path):
    """What was let in arrives, and the file has its name."""
    out = tmp_path / "out.json"
    control = bgpipe.Control()
    seen: list[bgpipe.Message] = []

    def count(message):
        seen.append(message)
        if len(seen) == 5:
            getattr(control, how)()

    result = await bgpipe.run_async(stages=[keepalives, {"write": str(out)}], on_message=count, control=control)
    assert (result.reason, result.error) == ("stopped", None)
    assert len(out.read_bytes().splitlines()) == len(seen) >= 5


def test_control_from_another_thread_and_before_the_start():
    control = bgpipe.Control()
    begun = threading.Event()

    def end():
        begun.wait(30)
        control.stop()

    thread = threading.Thread(target=end)
    thread.start()
    result = bgpipe.run(stages=[keepalives], on_message=lambda message: begun.set(), control=control)
    thread.join()
    assert result.reason == "stopped"
    control.stop()  # it is over: nothing happens
    with pytest.raises(bgpipe.UsageError, match="another run"):
        bgpipe.run(stages=[keepalives], control=control)
    early = bgpipe.Control()
    early.stop()
    assert bgpipe.run(stages=[keepalives], on_message=lambda message: None, control=early).reason == "stopped"


async def test_a_cancellation_ends_it_in_order(tmp_path):
    out = tmp_path / "out.json"
    begun = asyncio.Event()
    ended = False

    async def source():
        nonlocal ended
        try:
            async for message in keepalives():
                yield message
        finally:
            ended = True

    running = asyncio.create_task(
        bgpipe.run_async(stages=[source, {"write": str(out)}], on_message=lambda message: begun.set())
    )
    await begun.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert running.cancelled()
    assert ended
    assert out.exists(), "the file got its name, as after a signal"
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_ctrl_c(tmp_path):
    """KeyboardInterrupt comes when the pipeline has ended."""
    out = tmp_path / "out.json"
    with pytest.raises(KeyboardInterrupt):
        bgpipe.run(
            stages=[keepalives, {"write": str(out)}],
            on_message=lambda message: signal.raise_signal(signal.SIGINT),
        )
    assert out.exists()


def test_the_log_goes_to_logging(caplog, capfd):
    lines = b"[nonsense\n"
    with caplog.at_level(logging.WARNING, "bgpipe"):
        assert list(bgpipe.read(io.BytesIO(lines), format="json")) == []
        bgpipe.run(
            stages=[[bgpipe.Message(2, b"\x00\xff")], {"grep": "as_origin == 1"}],
            on_message=lambda message: None,
        )
    records = [record for record in caplog.records if record.name == "bgpipe"]
    assert [record.levelname for record in records][:1] == ["ERROR"]
    assert records[0].getMessage().startswith("event bgpfix/pipe.PARSE error=")
    assert "msg" in records[0].fields
    assert capfd.readouterr().err == ""


async def test_sessions_of_many_peers():
    """`listen --many` runs until it is stopped, and each session counts."""
    control = bgpipe.Control()
    names: list[str] = []

    def on_event(event):
        names.append(event.name)
        if names.count("bgpfix/pipe.STOP") == 2:
            control.stop()

    async def call():
        for number in (1, 2):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.84.7.1", 18479)
                    break
                except OSError:
                    await asyncio.sleep(0.01)
            hello = b"\xff" * 16 + b"\x00\x1d\x01\x04" + (65000 + number).to_bytes(2, "big")
            writer.write(hello + b"\x00\x5a" + bytes((192, 0, 2, number)) + b"\x00")
            await writer.drain()
            writer.close()

    result, _ = await asyncio.gather(
        bgpipe.run_async(
            "-- speaker --asn 64512 -- listen --many 127.84.7.1:18479",
            options={"events": ["STOP"]},
            on_event=on_event,
            control=control,
        ),
        call(),
    )
    assert result.sessions == 2
    assert result.error is None
