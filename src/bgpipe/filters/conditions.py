"""The conditions of a filter: each a predicate in Python and, where accel can answer it, a step of its program."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final, NamedTuple

from ..wire.message import Message

Predicate = Callable[[Message], bool | None]
"""Says of a message True, False, or None: what the condition asks about is absent."""


class Look(IntEnum):
    """What a step of a program for accel looks at. accel/program.pxd has the same numbers."""

    ASK = 0
    """nothing: the message is left to Python"""
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
    TAG = 28


OPERATOR_CODES: Final = {"": 0, "==": 1, "<": 2, "<=": 3, ">": 4, ">=": 5, "~": 6}


class ProgramStep(NamedTuple):
    """One step of a program: what accel looks at in a message, and what it compares that with.

    every: each prefix must match ([*]), or each hop is looked at (no index). hop: else which one.
    number: an integer, an AS number; AFI and SAFI as afi << 8 | safi, either 0 for any.
    address: up to 16 octets (a prefix, a community); size: its bits. table: of ..._TEXT, see dfa.py.
    tag: of TAG: the key, and what is asked about its value; see of_tags.py.
    """

    look: Look
    operator: str = ""
    number: int = 0
    address: bytes = b""
    size: int = 0
    hop: int = 0
    every: bool = False
    table: bytes = b""
    tag: tuple[str, Callable[[str | None], bool | None]] | None = None


class BoundCondition(NamedTuple):
    """A condition, bound to its field.

    updates_only: it is absent in messages of other types. on_updates: its value for every UPDATE, if that is always the
    same. step: the same for accel; None if accel can't answer it.
    """

    predicate: Predicate
    updates_only: bool = True
    on_updates: bool | None = None
    step: ProgramStep | None = None
