"""Prefix floods, of one session and of many that are each below their limit. And policies, live."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from peers import announcement, another_id, greeting, kind, notification, proxy, sentinel

from bgpipe.wire.message import UPDATE, Message

SESSIONS = 200
PREFIXES = 500
TOTAL = 50_000


def table(session: int, count: int = PREFIXES) -> bytes:
    """Routes that only this session has, in UPDATEs of 500."""
    prefixes = [f"{1 + session}.{number >> 8}.{number & 255}.0/24" for number in range(count)]
    return b"".join(announcement(*prefixes[start : start + 500]) for start in range(0, count, 500))


def end_of_rib() -> bytes:
    """No route, so no limit holds it back: a sentinel."""
    return Message(UPDATE, bytes(4)).octets


def prefixes(messages: list[bytes]) -> int:
    return sum(len(Message(UPDATE, each[19:]).update.reach) for each in messages if kind(each) == UPDATE)


@pytest.mark.slow
@pytest.mark.slow
def test_many_sessions_together_stay_below_the_total() -> None:
    limit = ("limit", "-R", "--session", "600", "--total", str(TOTAL))
    with proxy(*limit) as (running, router):
        pairs = [running.session(router) for _ in range(SESSIONS)]
        before = running.resident
        passed = []
        for number, (left, right) in enumerate(pairs):
            left.say(table(number), end_of_rib())
            passed.append(prefixes(right.hear_until(end_of_rib())))
        assert passed == [PREFIXES] * 100 + [0] * 100
        assert len(running.waits_for_log(f"{TOTAL * 3 // 4} of {TOTAL} prefixes are reached")) == 1
        assert running.resident - before < 50_000 * 1024
        # a session that ends gives its share back
        pairs[0][0].reset()
        running.waits_for_log("session ended")
        left, right = pairs[-1]
        left.say(table(SESSIONS - 1), end_of_rib())
        assert prefixes(right.hear_until(end_of_rib())) == PREFIXES


def test_a_flood_of_one_session() -> None:
    """180,000 prefixes where 600 may be: 600 come through, the memory stays, and other sessions go on."""
    with proxy("limit", "-R", "--session", "600") as (running, router):
        (left, right), (one, other) = running.session(router), running.session(router)
        before = running.resident
        for number in range(3):
            left.say(table(number, 60_000))
        left.say(end_of_rib())
        assert prefixes(right.hear_until(end_of_rib())) == 600
        one.say(sentinel())
        other.hear_until(sentinel())
        assert running.resident - before < 24 << 20


def test_the_end_of_a_session_at_its_limit() -> None:
    """--kill ends the session that is over its limit, with a Cease to both sides, and no other one."""
    with proxy("limit", "-R", "--session", "3", options=("--kill", "limit/session")) as (running, router):
        (left, right), (one, other) = running.session(router), running.session(router)
        left.say(announcement("11.0.0.0/8", "12.0.0.0/8", "13.0.0.0/8"), announcement("14.0.0.0/8"))
        assert [notification(messages[-1])[0] for messages in (left.hear_end(), right.hear_end())] == [6, 6]
        one.say(sentinel())
        other.hear_until(sentinel())


def test_limits_of_both_directions(tmp_path: Path) -> None:
    with proxy("limit", "-LR", "--max-length", "24", "--origin", "2") as (running, router):
        left, right = running.session(router)
        left.say(announcement("11.0.0.0/8", "11.0.0.0/25"), end_of_rib())
        assert prefixes(right.hear_until(end_of_rib())) == 1
        right.say(announcement("12.0.0.0/8", "13.0.0.0/8"), end_of_rib())  # the same origin AS
        assert prefixes(left.hear_until(end_of_rib())) == 1


def test_a_policy_is_loaded_anew_under_a_session(tmp_path: Path) -> None:
    policy = tmp_path / "policy.py"
    policy.write_text("def update(m):\n    return not m.update.reach\n")
    with proxy("py", "-R", str(policy)) as (running, router):
        left, right = running.session(router)
        left.say(sentinel(1), end_of_rib())
        assert right.hear_until(end_of_rib()) == []
        policy.write_text("def update(m):\n    return (\n")
        os.kill(running.process.pid, signal.SIGHUP)
        running.waits_for_log(r"not loaded, the old one stays: policy\.py:2: SyntaxError")
        left.say(sentinel(2), end_of_rib())
        assert right.hear_until(end_of_rib()) == []
        policy.write_text("def update(m):\n    m.tags['seen'] = 'yes'\n")
        os.kill(running.process.pid, signal.SIGHUP)
        running.waits_for_log("loaded .* anew")
        left.say(sentinel(3), end_of_rib())
        assert right.hear_until(end_of_rib()) == [sentinel(3)]


def test_a_policy_that_fails_ends_its_own_session_only(tmp_path: Path) -> None:
    policy = tmp_path / "policy.py"
    policy.write_text("def update(m):\n    if m.update.origin_as == 64999:\n        raise ValueError('64999')\n")
    with proxy("py", "-R", "--on-error", "kill", str(policy)) as (running, router):
        (left, right), (one, other) = running.session(router), running.session(router)
        left.say(sentinel())
        assert [notification(messages[-1])[0] for messages in (left.hear_end(), right.hear_end())] == [6, 6]
        running.waits_for_log(r"policy\.py:3: ValueError: 64999")
        one.say(end_of_rib())
        other.hear_until(end_of_rib())


CEASE_AT_LIMIT = bytes((6, 1, 0, 1, 1, 0, 0, 0, 3))
"""Maximum Number of Prefixes Reached: IPv4 unicast, 3 (RFC 4486 section 4)."""


@pytest.mark.parametrize("words", ["kill", "restart=15m"])
def test_a_session_ends_at_its_limit(words: str) -> None:
    """The peer that has announced too much gets Cease/1, the other one Cease/2, and other sessions go on. With
    restart the peer is refused from that moment on, even if it leaves its connection open; others are not."""
    with proxy("limit", "-46R", "--session", "3", "--on-limit", words) as (running, router):
        mine = greeting(65001, 90, another_id())
        (left, right), (one, other) = running.session(router, mine), running.session(router)
        left.say(announcement("11.0.0.0/8", "12.0.0.0/8", "13.0.0.0/8"), announcement("14.0.0.0/8"))
        assert left.hear()[19:] == CEASE_AT_LIMIT
        if words != "kill":
            early = running.dial()
            early.say(mine)
            assert notification(early.hear()) == (6, 5)
        assert left.hear_end() == []
        assert notification(right.hear_end()[-1]) == (6, 2)
        running.waits_for_log(r"more than 3 prefixes \(session\)")
        one.say(sentinel())
        other.hear_until(sentinel())
        if words == "kill":
            running.session(router, mine)
        else:
            again = running.dial()
            again.say(mine)
            assert notification(again.hear()) == (6, 5)
            running.waits_for_log("its last session has exceeded a limit, so it is refused for 900 s")
            running.session(router)


def test_the_other_router_may_be_the_one_that_announces_too_much() -> None:
    with proxy("limit", "-L", "--session", "3", "--on-limit", "kill") as (running, router):
        left, right = running.session(router)
        right.say(announcement("11.0.0.0/8", "12.0.0.0/8", "13.0.0.0/8", "14.0.0.0/8"))
        assert right.hear_end()[-1][19:] == CEASE_AT_LIMIT
        assert notification(left.hear_end()[-1]) == (6, 2)
