"""A stage that raises at any hook of a live session ends this session, named, and both peers are told why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sessions import Session, address, between, make_open, make_update

from bgpipe.pipeline.errors import StageError
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.rpki.vrps import Vrp
from bgpipe.stages.grep import Grep
from bgpipe.wire.message import NOTIFICATION, UPDATE
from bgpipe.wire.prefix import parse_prefix


def fail(*_: object) -> None:
    raise ZeroDivisionError("a bug")


async def fail_later() -> None:
    await asyncio.sleep(0)
    fail()


def by_message(session: Session) -> None:
    session.pipeline.stage("grep").callbacks[0].on_message = fail
    session.left.send(make_update(1))


def behind_a_limit(session: Session) -> None:
    """The message waits for a limit of rate, so that it is a timer that takes it to the stage."""
    before, failing = (stage for stage in session.pipeline.pipeline.stages if isinstance(stage, Grep))
    failing.callbacks[0].on_message = lambda message: fail() if message.body == make_update(2).body else True
    assert before.rate_limit
    session.left.send(make_update(1), make_update(2))


def when_released(session: Session) -> None:
    """The message waits for a line that is held."""
    pipeline = session.pipeline.pipeline
    pipeline.hold()
    session.pipeline.stage("grep").callbacks[0].on_message = fail
    session.left.send(make_update(1))
    asyncio.get_running_loop().call_later(0.05, pipeline.release)


def by_event(session: Session) -> None:
    stage = session.pipeline.stage("grep")
    stage.pipeline.bus.on(["grep/hit"], fail, stage)
    stage.pipeline.emit("grep/hit")


def by_timer(session: Session) -> None:
    session.pipeline.stage("grep").call_later(0.001, fail)


def by_call_soon(session: Session) -> None:
    session.pipeline.stage("grep").call_soon(fail)


def by_task(session: Session) -> None:
    session.pipeline.stage("grep").spawn("works", fail_later())


@pytest_asyncio.fixture
async def unheard() -> AsyncIterator[list[dict[str, Any]]]:
    """What asyncio was told because nobody else was."""
    contexts: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: contexts.append(context))
    yield contexts
    loop.set_exception_handler(None)


HOOKS: list[Callable[[Session], None]] = [
    by_message,
    when_released,
    by_event,
    by_timer,
    by_call_soon,
    by_task,
]


@pytest.mark.parametrize("hook", HOOKS)
async def test_both_peers_hear_of_it_and_the_stage_is_named(hook, unheard):
    async with between("grep", "-LR", "--keep", "--event-match", "hit", "ipv4") as session:
        await ends_with(hook, session, r"^\[2\] grep: ZeroDivisionError: a bug$")
    assert unheard == []


async def test_behind_a_limit(unheard):
    limited = ("grep", "-R", "--rate-limit", "1", "--if", "update", "update")
    async with between(*limited, "--", "drop", "as_origin == 1") as session:
        await ends_with(behind_a_limit, session, r"^\[3\] drop: ZeroDivisionError: a bug$")
    assert unheard == []


STAGES = [
    "aspa --no-wait --role peer",
    "guard",
    "limit --session 100",
    "metrics",
    "otc --role peer",
    "rov --no-wait",
    "tag --add a=1",
    "update --med 5",
    "write --format rib FILE",
]


@pytest.mark.parametrize("words", STAGES)
async def test_every_stage_that_fails_with_a_message(words, unheard, tmp_path):
    words = words.replace("FILE", str(tmp_path / "table.mrt"))
    name = words.split()[0]

    def hook(session: Session) -> None:
        for callback in session.pipeline.stage(name).callbacks:
            callback.on_message = callback.on_block = fail
        session.left.send(make_update(1))

    options = ("--rpki", str(tmp_path / "vrps.json"))
    (tmp_path / "vrps.json").write_text('{"roas": []}')
    async with between(*words.split(), options=options) as session:
        await ends_with(hook, session, rf"^\[2\] {name}: ZeroDivisionError: a bug$")
    assert unheard == []


@pytest.mark.parametrize("member", ["received", "sent"])
@pytest.mark.parametrize("side", [0, 1])
async def test_a_stage_that_fails_when_it_hears_what_crosses_a_connection(member, side, unheard):
    def hook(session: Session) -> None:
        setattr(session.pipeline.stage("bmp").reported[side], member, fail)
        session.left.send(make_update(1))
        session.right.send(make_update(1))

    async with between("bmp", "--send", address()) as session:
        await ends_with(hook, session, r"^\[2\] bmp: ZeroDivisionError: a bug$")
    assert unheard == []


def by_new_vrps(session: Session) -> None:
    vrp = Vrp(parse_prefix("10.0.0.0/8"), 24, 65001)
    session.pipeline.pipeline.shared.rpki.replace(Snapshot.of([vrp]))


def by_new_list(session: Session) -> None:
    lists = session.pipeline.stage("guard").lists
    Path(lists.files["prefixes"].path).write_text("10.0.0.0/8 le 25\n")
    lists.reload()


@pytest.mark.parametrize(
    ("words", "member", "hook"),
    [
        ("rov -R --no-wait", "on_snapshot", by_new_vrps),
        ("rov -R --no-wait", "judge_again", by_new_vrps),
        ("aspa -R --no-wait --role peer", "judge_again", by_new_vrps),
        ("guard -R --prefixes FILE", "note_change", by_new_list),
    ],
)
async def test_a_stage_that_fails_when_it_judges_again(words, member, hook, unheard, tmp_path):
    (tmp_path / "list").write_text("10.0.0.0/8 le 24\n")
    words = words.replace("FILE", str(tmp_path / "list"))
    name = words.split()[0]

    def begin(session: Session) -> None:
        setattr(session.pipeline.stage(name), member, fail)
        hook(session)

    (tmp_path / "vrps.json").write_text('{"roas": []}')
    async with between(*words.split(), options=("--rpki", str(tmp_path / "vrps.json"))) as session:
        await ends_with(begin, session, rf"^\[2\] {name}: ZeroDivisionError: a bug$")
    assert unheard == []


async def ends_with(hook: Callable[[Session], None], session: Session, text: str) -> None:
    await session.establish(make_open(65001), make_open(65002))
    hook(session)
    for peer in (session.left, session.right):
        assert (await peer.until_type(NOTIFICATION)).body[:2] == bytes((6, 8))
        with pytest.raises(asyncio.IncompleteReadError):
            await peer.next()  # nothing follows
    with pytest.raises(StageError, match=text):
        await session.pipeline.ended()
    assert all(message.type_code != UPDATE or message.body == make_update(1).body for message in session.right.got)
