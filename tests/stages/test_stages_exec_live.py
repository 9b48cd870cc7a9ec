"""exec: programs as filters of live sessions, and what a session does when a program stalls, stops or dies."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import time

import pytest
from sessions import Session, address, between, make_open, make_update

from bgpipe.net.process import ChildProcess
from bgpipe.pipeline import events
from bgpipe.pipeline.errors import StageError
from bgpipe.stages.base import link_attempts, partner_output
from bgpipe.wire.caps import ADD_PATH, AS4, Capability
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, UPDATE, Message
from commandline import script
from fork_server import Process as CommandProcess
from fork_server import is_alive

OPENS = make_open(65001), make_open(65002)


async def established(session: Session, hold: int = 90) -> None:
    await session.establish(make_open(65001, hold=hold), make_open(65002, hold=hold))


async def test_a_session_through_a_program():
    async with between("exec", "-LR", "cat") as session:
        await established(session)
        session.left.send(*map(make_update, range(3000)), Message(UPDATE, bytes(4)))
        session.right.send(make_update(70))
        assert len(await session.right.until(Message(UPDATE, bytes(4)))) == 3001
        assert [m.octets for m in session.right.got[2:-1]] == [make_update(n).octets for n in range(3000)]
        await session.left.until(make_update(70))
        await session.pipeline.until(lambda: session.pipeline.happened(events.EOR_AF))


async def test_a_program_edits_a_session():
    edit = '/"OPEN"/{ s/65001/64999/g; s/65002/65001/g }'
    async with between("exec", "-LR", "--args", "sed", "-ure", edit) as session:
        session.left.send(OPENS[0])
        assert (await (await session.called()).next()).open.asn == 64999
        session.right.send(OPENS[1])
        assert (await session.left.next()).open.asn == 65001


async def test_numbers_of_two_octets():
    """Neither peer has 4-octet AS numbers: JSON has them, and each still gets what it can read."""
    async with between("exec", "-LR", "cat") as session:
        await session.establish(make_open(65001, as4=False), make_open(65002, as4=False))
        session.left.send(make_update(1, as4=False))
        assert (await session.right.next()).octets == make_update(1, as4=False).octets


async def test_one_peer_of_two_octets():
    """The program takes AS4 from one OPEN: each side is written to as it has agreed."""
    edit = r's/,"AS4":65002//'
    async with between("exec", "-L", "-A", "sed", "-u", edit) as session:
        session.left.send(OPENS[0])
        (await session.called()).send(OPENS[1])
        assert not (await session.left.next()).open.has(AS4)
        assert (await session.right.next()).open.has(AS4)
        session.left.send(Message(KEEPALIVE))
        session.right.send(Message(KEEPALIVE), make_update(5))
        assert (await session.left.next()).type_code == KEEPALIVE
        assert (await session.left.next()).octets == make_update(5, as4=False).octets


@pytest.mark.parametrize("how", ["json", "raw", "mrt"])
@pytest.mark.parametrize("side", ["-L", "-R"])
@pytest.mark.parametrize(("as4", "add_path"), [(False, False), (True, True), (False, True)])
async def test_octets_as_they_came(how, side, as4, add_path):
    """In every format and in both directions, whatever the session has agreed on (RFC 6793, 7911, 8050)."""
    given = [Capability(ADD_PATH, b"\0\1\1\3")] if add_path else []
    opens = make_open(65001, *given, as4=as4), make_open(65002, *given, as4=as4)
    path_id = 7 if add_path else None
    async with between("exec", side, "--format", how, "cat") as session:
        await session.establish(*opens)
        sent = [make_update(number, as4=as4, path_id=path_id) for number in range(20)]
        if not as4:
            path = b"\x40\x01\x01\x00\x40\x02\x06\x02\x02\xfd\xe9\x5b\xa0\x40\x03\x04\xc0\x00\x02\x01"
            as4_path = b"\xc0\x11\x0a\x02\x02\0\0\xfd\xe9\xfa\x56\xea\x01"
            as4_aggregator = b"\xc0\x12\x08\xfa\x56\xea\x01\xc0\0\2\1"
            aggregator = b"\xc0\x07\x06\x5b\xa0\xc0\0\2\1"
            attributes = path + aggregator + as4_path + as4_aggregator
            prefix = (b"\0\0\0\7" if add_path else b"") + b"\x18\x0a\x63\x00"
            sent.append(Message(UPDATE, b"\0\0" + len(attributes).to_bytes(2, "big") + attributes + prefix))
        for one, other in ((session.left, session.right), (session.right, session.left)):
            one.send(*sent)
            await other.until(sent[-1])
            assert [m.octets for m in other.got if m.type_code == UPDATE] == [m.octets for m in sent]


@pytest.mark.parametrize("old", ["left", "right"])
async def test_between_two_and_four_octets(old):
    """AS4_PATH and AS4_AGGREGATOR of a path with an AS number of 4 octets pass as they came (RFC 6793 section 4.2)."""
    async with between("exec", "-LR", "cat") as session:
        await session.establish(make_open(65001, as4=old != "left"), make_open(65002, as4=old != "right"))
        path = b"\x40\x01\x01\x00\x40\x02\x06\x02\x02\xfd\xe9\x5b\xa0\x40\x03\x04\xc0\x00\x02\x01"
        aggregators = b"\xc0\x07\x06\x5b\xa0\xc0\0\2\1\xc0\x12\x08\xfa\x56\xea\x01\xc0\0\2\1"
        attributes = path + aggregators + b"\xc0\x11\x0a\x02\x02\0\0\xfd\xe9\xfa\x56\xea\x01"
        update = Message(UPDATE, b"\0\0" + len(attributes).to_bytes(2, "big") + attributes + b"\x18\x0a\x63\x00")
        session.left.send(update)
        session.right.send(update)
        await session.right.until(update)
        await session.left.until(update)


async def test_path_identifiers():
    both = Capability(ADD_PATH, b"\0\1\1\3")
    async with between("exec", "-LR", "cat") as session:
        await session.establish(make_open(65001, both), make_open(65002, both))
        sent = [make_update(n, path_id=n % 3) for n in range(50)]
        session.left.send(*sent)
        session.right.send(sent[7])
        await session.right.until(sent[-1])
        assert [m.octets for m in session.right.got[2:]] == [m.octets for m in sent]
        await session.left.until(sent[7])


async def test_raw_octets_of_a_session():
    both = Capability(ADD_PATH, b"\0\1\1\3")
    async with between("exec", "-R", "--raw", "cat") as session:
        await session.establish(make_open(65001, both, as4=False), make_open(65002, both, as4=False))
        session.left.send(make_update(1, as4=False, path_id=9))
        assert (await session.right.next()).octets == make_update(1, as4=False, path_id=9).octets


async def test_two_programs_under_load():
    """Neither waits for the other for ever, though both are full in both directions."""
    count = 10_000
    async with between("exec", "-LR", "cat", "--", "exec", "-LR", "cat") as session:
        await established(session)
        for peer in (session.left, session.right):
            peer.send(*[make_update(n % 65536) for n in range(count)], make_update(65535))
        await asyncio.gather(session.right.until(make_update(65535)), session.left.until(make_update(65535)))
        assert len(session.left.got) == len(session.right.got) == count + 3


HANGS = "sed -u 4q; exec sleep 100"
"""Passes the two OPENs and KEEPALIVEs, and then nothing."""


async def test_keepalives_of_a_session_whose_program_hangs(tmp_path):
    async with between("exec", "-LR", str(script(tmp_path, HANGS))) as session:
        await established(session, hold=3)
        start = asyncio.get_running_loop().time()
        session.left.send(Message(KEEPALIVE))
        assert (await session.right.next()).type_code == KEEPALIVE
        assert asyncio.get_running_loop().time() - start < 1.2, "a third of the hold time"


async def test_a_stalled_program_ends_the_pipeline(tmp_path):
    async with between("exec", "-LR", "--stall-timeout", "300ms", str(script(tmp_path, HANGS))) as session:
        await established(session)
        session.left.send(Message(KEEPALIVE))
        with pytest.raises(StageError, match=r"stalled: no progress for 0\.3 s"):
            await session.pipeline.ended()
        assert (await session.right.until_type(NOTIFICATION)).notification.code == 6


async def test_a_stalled_program_and_all_pass(tmp_path):
    words = ("exec", "-LR", "--stall-timeout", "300ms", "--on-exit", "pass")
    async with between(*words, str(script(tmp_path, HANGS))) as session:
        await established(session)
        session.left.send(Message(KEEPALIVE))
        await session.pipeline.until(lambda: session.pipeline.happened("exec/EXIT"))
        session.left.send(make_update(1))
        session.right.send(make_update(2))
        await session.right.until(make_update(1))
        await session.left.until(make_update(2))


async def test_a_program_that_takes_nothing(tmp_path):
    """More than it is allowed to leave waiting: the session goes on, nothing is lost or out of order."""
    words = ("exec", "-R", "--stall-timeout", "300ms", "--on-exit", "pass", "--type", "UPDATE")
    count = 30_000
    async with between(*words, "-A", "sleep", "100") as session:
        await established(session)
        session.left.send(*[make_update(n) for n in range(count)], Message(KEEPALIVE))
        got = await session.right.until(make_update(count - 1))
        assert session.pipeline.happened(events.SLOW)
        numbers = [int.from_bytes(m.body[-2:], "big") for m in got if m.type_code == UPDATE]
        assert numbers == list(range(numbers[0], count))
        stage = session.pipeline.stage("exec")
        assert stage.waiting == 0


async def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(partner_output, "HIGH_WATER", 1 << 16)
    monkeypatch.setattr(partner_output, "LOW_WATER", 1 << 15)
    async with between("exec", "-R", "--type", "UPDATE", "-A", "sleep", "100") as session:
        await established(session)
        stage, pipeline = session.pipeline.stage("exec"), session.pipeline.pipeline
        session.left.send(*[make_update(n) for n in range(50_000)])
        await session.pipeline.until(lambda: stage.holding)
        assert 1 << 15 <= stage.status()["queue_bytes"] < 4 << 20  # the mark counts memory, of which octets are a part
        assert pipeline.full == {("R", stage)}
        session.right.send(make_update(1))  # the other direction has nothing to do with it
        await session.left.until(make_update(1))


async def test_a_dead_program_and_updates_are_dropped():
    async with between("exec", "-LR", "--on-exit", "drop", "-A", "sed", "-u", "4q") as session:
        await established(session)
        await session.pipeline.until(lambda: session.pipeline.happened("exec/EXIT"))
        session.left.send(make_update(1), Message(KEEPALIVE))
        assert (await session.right.next()).type_code == KEEPALIVE


async def test_restart(monkeypatch):
    monkeypatch.setattr(link_attempts, "backoff", lambda attempt: 0.0)
    async with between("exec", "-LR", "--on-exit", "restart", "-A", "sed", "-u", "4q") as session:
        await established(session)
        for number in range(3):
            await session.pipeline.until(lambda n=number: len(session.pipeline.happened("exec/EXIT")) == n + 1)
            session.left.send(*[make_update(number)] * 4)
            for _ in range(4):
                assert (await session.right.next()).octets == make_update(number).octets


async def test_waiting_for_a_restart_is_bounded_in_time(tmp_path):
    """The program can't be started again: what has waited goes on, and all that follows."""
    program = script(tmp_path, "rm -f $0; sed -u 4q")
    words = ("exec", "-LR", "--on-exit", "restart", "--stall-timeout", "300ms", str(program))
    async with between(*words) as session:
        await established(session)
        await session.pipeline.until(lambda: session.pipeline.happened("exec/EXIT"))
        session.left.send(make_update(1), make_update(2))
        await session.right.until(make_update(2))
        session.left.send(make_update(3))
        assert (await session.right.next()).octets == make_update(3).octets
        await session.pipeline.until(lambda: session.pipeline.happened(events.RECONNECT))


async def test_notifications_pass_the_program():
    async with between("exec", "-LR", "cat") as session:
        await established(session)
        session.left.send(Message(NOTIFICATION, b"\6\2"))
        assert (await session.right.until_type(NOTIFICATION)).body == b"\6\2"


def test_signals(tmp_path):
    """SIGTERM: both peers get a Cease, a program that ignores it is killed, exit code 0."""
    pid = tmp_path / "pid"
    program = script(tmp_path, f"echo $$ > {pid}; trap '' TERM; while :; do cat || :; sleep 0.1; done")
    ours = address()
    words = ("--", "listen", ours, "--", "exec", "-LR", program)
    running = CommandProcess(words, stderr=subprocess.PIPE)
    try:
        host, _, port = ours.partition(":")
        for line in running.stderr:
            if b"listening" in line:
                break
        with socket.create_connection((host, int(port))) as router:
            router.sendall(make_open(65001).octets)
            for line in running.stderr:
                if b"connected" in line:
                    break
            while (not pid.exists() or not pid.read_text()) and running.poll() is None:
                pass
            running.send_signal(signal.SIGTERM)
            assert running.wait(10) == 0
        deadline = time.monotonic() + 20
        while is_alive(int(pid.read_text())):
            assert time.monotonic() < deadline
    finally:
        running.kill()
        running.wait()
        running.stderr.close()


async def test_stop_while_it_starts():
    process = await ChildProcess.start(["sleep", "100"])
    process.abort()
    assert await process.close(0) in ("", "killed by SIGKILL")
    assert process.code == -signal.SIGKILL


DEAD = {
    "never reads": "exec sleep 100",
    "exits at once": "exit 0",
    "fails at once": "exit 3",
    "eats all": "exec cat >/dev/null",
    "reads one line": "head -n 1 >/dev/null; exec sleep 100",
    "closes its input": "exec <&-; exec sleep 100",
    "closes its output": "exec >&-; exec cat",
}


@pytest.mark.parametrize("on_exit", ["pass", "restart"])
@pytest.mark.parametrize("what", DEAD)
async def test_a_session_comes_up_past_a_program_that_is_dead(tmp_path, what, on_exit):
    """No OPEN is lost in the pipe to a program that will not read it, or with one that gives none back."""
    program = script(tmp_path, DEAD[what])
    async with between("exec", "-LR", "--on-exit", on_exit, "--stall-timeout", "300ms", program) as session:
        await session.establish(*OPENS)
        session.left.send(make_update(1))
        session.right.send(make_update(2))
        await session.right.until(make_update(1))
        await session.left.until(make_update(2))


@pytest.mark.parametrize("on_exit", ["pass", "restart"])
@pytest.mark.parametrize("end", ["exec sleep 100", "exit 0", "exec cat >/dev/null"])
async def test_a_program_that_dies_while_updates_come(tmp_path, end, on_exit):
    """A queue that grows is no progress: what waits passes by after the stall timeout, and all that comes after it."""
    program = script(tmp_path, f"if mkdir {tmp_path}/first; then head -n 40; {end}; else {end}; fi")
    async with between("exec", "-LR", "--on-exit", on_exit, "--stall-timeout", "500ms", program) as session:
        await session.establish(make_open(65001, hold=9), make_open(65002, hold=9))
        for number in range(200):
            session.left.send(make_update(number))
            await asyncio.sleep(0.01)
        got = await session.right.until(make_update(199))
        updates = [message.body[-1] for message in got if message.type_code == UPDATE]
        assert updates == sorted(updates)
        if end == "exec sleep 100":  # what is read by nobody is not lost
            assert len(set(updates)) >= 200 - 40


async def test_keepalives_are_not_faked_for_ever(tmp_path):
    """A program that eats KEEPALIVEs is given up after the hold time, though it gives back UPDATEs."""
    program = script(
        tmp_path, "n=0; while read -r line; do case $line in *KEEPALIVE*) n=$((n+1)); [ $n -gt 2 ] && continue;; esac; "
        'printf "%s\\n" "$line"; done'
    )  # fmt: skip
    async with between("exec", "-LR", "--on-exit", "pass", "--stall-timeout", "1s", program) as session:
        await session.establish(make_open(65001, hold=3), make_open(65002, hold=3))
        session.left.send(Message(KEEPALIVE))
        number = 0
        async with asyncio.timeout(20):
            while not any("stalled" in text for text in session.pipeline.log.texts):
                session.left.send(make_update(number))
                await session.right.until(make_update(number))
                number += 1
                await asyncio.sleep(0.1)
        assert number > 10
