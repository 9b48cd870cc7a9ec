"""What the leaf of a filter is: a judge in Python and, where accel knows the like, a step of its program."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final, NamedTuple

from ..wire.message import Message

Predicate = Callable[[Message], bool | None]
"""True, False, or None: the thing is absent, so nothing can be said of it."""


class Look(IntEnum):
    """What a step of a program for accel looks at. accel/program.pxd has the same numbers."""

    ASK = 0
    """nothing: Python is to judge the message"""
    TYPE = 1
    FAMILY = 2
    PREFIX = 3
    REACH = 4
    UNREACH = 5
    NEXT_HOP = 6
    PATH = 7
    HOP = 8
    PATH_LEN = 9
    PATH_HOPS = 10
    PATH_TEXT = 11
    ORIGIN = 12
    MED = 13
    LOCAL_PREF = 14
    OTC = 15
    COMMUNITY = 16
    EXT_COMMUNITY = 17
    LARGE_COMMUNITY = 18
    DIRECTION = 19
    SEQ = 20
    TIME = 21
    COMMUNITY_TEXT = 22
    LARGE_COMMUNITY_TEXT = 23
    PEER_AS = 24
    PEER_IP = 25
    LOCAL_AS = 26
    LOCAL_IP = 27


OPERATOR_CODES: Final = {"": 0, "==": 1, "<": 2, "<=": 3, ">": 4, ">=": 5, "~": 6}


class Step(NamedTuple):
    """One look of accel at a message, and what it compares with.

    every: each prefix must match ([*]), or each hop is looked at (no index). hop: else which one.
    number: an integer, an AS number; AFI and SAFI as afi << 8 | safi, either 0 for any.
    address: up to 16 octets (a prefix, a community); size: its bits. table: of ..._TEXT, see letters.py.
    """

    look: Look
    operator: str = ""
    number: int = 0
    address: bytes = b""
    size: int = 0
    hop: int = 0
    every: bool = False
    table: bytes = b""


class Term(NamedTuple):
    """A condition, bound to its field.

    updates_only: it says nothing about messages of other types. on_updates: what it says about every UPDATE, if that
    is always the same. step: for accel; None if it doesn't know the like.
    """

    predicate: Predicate
    updates_only: bool = True
    on_updates: bool | None = None
    step: Step | None = None
