"""Malformed messages are told, each of them, and what --malformed says is done."""

from __future__ import annotations

import json

import pytest
from peers import announcement, notification, proxy, sentinel

from bgpipe.wire.message import HEADER, UPDATE, Message
from bgpipe.wire.update import Update

GOOD = announcement("203.0.113.0/24")
BAD = Message(UPDATE, GOOD[HEADER:].replace(bytes.fromhex("40010100"), bytes.fromhex("40010107"))).octets
"""ORIGIN 7: treat-as-withdraw (RFC 7606 section 7.1)."""


def test_each_is_told_and_counted() -> None:
    """One event for each, with its own number, and the octets as they came."""
    with proxy("drop", "-LR", "as_origin == 4200000001", options=("-e", "MALFORMED,PARSE")) as (running, router):
        left, right = running.session(router)
        left.say(GOOD, BAD, GOOD, BAD, BAD, sentinel())
        heard = right.hear_until(sentinel())
        assert heard[0] == heard[2] == GOOD
        assert len(heard) == 5
        told = running.waits_for_log(r"event bgpfix/pipe\.(\w+) .*?ORIGIN.* msg=(\".*\")", 6)
    assert [name for name, _ in told] == ["PARSE", "MALFORMED"] * 3
    messages = [json.loads(json.loads(text)) for _, text in told]
    assert [each[:2] for each in messages] == [["R", n] for n in (4, 4, 6, 6, 7, 7)]


@pytest.mark.parametrize("policy", ["auto", "forward", "withdraw", "drop"])
def test_policies(policy: str) -> None:
    with proxy("drop", "-LR", "as_origin == 4200000001", policy=policy) as (running, router):
        left, right = running.session(router)
        left.say(BAD, sentinel())
        heard = right.hear_until(sentinel())
        if policy == "forward":
            assert heard == [BAD]
        elif policy == "drop":
            assert heard == []
        else:
            (withdrawal,) = heard
            update = Update.decode(withdrawal[HEADER:])
            assert ([*map(str, update.withdrawn_routes)], update.reach, update.attrs) == (["203.0.113.0/24"], [], {})


def test_kill() -> None:
    with proxy("drop", "-LR", "as_origin == 4200000001", policy="kill") as (running, router):
        left, right = running.session(router)
        left.say(BAD, sentinel())
        assert [notification(each) for each in left.hear_end()] == [(3, 6)]
        assert [notification(each)[0] for each in right.hear_end()] == [6]
