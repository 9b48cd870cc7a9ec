"""Filters as programs for accel: each step looks at a message and says which step is next, as in BPF.

    header   steps uint16, first step for UPDATEs uint16, for other types uint16, 0 uint16
    step     look, operator, want, every uint8; step if yes, if no uint16; hop int32; size uint32; table's start
             uint32, its size uint32; number int64; address 16 octets
    tables   of steps that match a pattern with a text (dfa.py)

Numbers are in native byte order. A step leads to later steps only, so every program ends. ACCEPT and REJECT stand where
a program has its answer. A step Look.ASK leaves the message to Python. Such steps come last where the order is free, so
that Python gets few messages: of `json[x] == 1 && prefix ~ 10.0.0.0/8` those with such a prefix.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from .conditions import OPERATOR_CODES, Look, ProgramStep
from .logic import And, Expression, Leaf, Or
from .of_tags import TagTest

HEADER: Final = Struct("=HHHH")
STEP: Final = Struct("=BBBBHHiIIIq16s")
ACCEPT: Final = 0xFFFF
REJECT: Final = 0xFFFE
MAX_STEPS: Final = 4096
MAX_TABLES: Final = 1 << 20
"""Octets of all tables of one program."""

_ASK: Final = ProgramStep(Look.ASK)


def make_program(updates: Expression, others: Expression) -> tuple[bytes | None, list[tuple[str, TagTest]]]:
    """The program of a filter, from its expressions for UPDATEs and for other types; None if Python must decide alone.

    Also returns the tests of its steps Look.TAG, in the order of their numbers.
    """
    if not (_knows(updates) or _knows(others)):
        return None, []
    writer = _Writer()
    first_update = writer.write(updates, ACCEPT, REJECT)
    first_other = writer.write(others, ACCEPT, REJECT)
    count = len(writer.steps)
    if count > MAX_STEPS or len(writer.tables) > MAX_TABLES:
        return None, []

    def place(label: int) -> int:
        # steps were written from the last to the first, because each must know where it leads
        return label if label in (ACCEPT, REJECT) else count - 1 - label

    tables = HEADER.size + count * STEP.size
    octets = bytearray(HEADER.pack(count, place(first_update), place(first_other), 0))
    for step, want, yes, no, start in reversed(writer.steps):
        octets += STEP.pack(
            step.look,
            OPERATOR_CODES[step.operator],
            want,
            step.every,
            place(yes),
            place(no),
            step.hop,
            step.size,
            tables + start,
            len(step.table),
            step.number,
            step.address,
        )
    return bytes(octets + writer.tables), writer.tags


def _knows(expression: Expression) -> bool:
    """Whether accel can decide any part of the expression."""
    if isinstance(expression, bool):
        return False
    if isinstance(expression, Leaf):
        return expression.condition.step is not None
    return any(map(_knows, expression.parts))


def _asks(expression: Expression) -> bool:
    """Whether Python may be needed to decide the expression."""
    if isinstance(expression, bool):
        return False
    if isinstance(expression, Leaf):
        return expression.condition.step is None
    return any(map(_asks, expression.parts))


class _Writer:
    def __init__(self) -> None:
        self.steps: list[tuple[ProgramStep, int, int, int, int]] = []
        self.tables = bytearray()
        self.tags: list[tuple[str, TagTest]] = []

    def write(self, expression: Expression, yes: int, no: int) -> int:
        """Writes the expression, which leads to `yes` or `no`; returns where it starts."""
        if isinstance(expression, bool):
            return yes if expression else no
        if isinstance(expression, Leaf):
            step = expression.condition.step or _ASK
            if step.tag is not None:
                if step.tag not in self.tags:
                    self.tags.append(step.tag)
                step = step._replace(number=self.tags.index(step.tag))
            self.steps.append((step, expression.want, yes, no, len(self.tables)))
            self.tables += step.table
            return len(self.steps) - 1
        parts = sorted(expression.parts, key=_asks)
        if isinstance(expression, And):
            for part in reversed(parts):
                yes = self.write(part, yes, no)
            return yes
        assert isinstance(expression, Or)
        for part in reversed(parts):
            no = self.write(part, yes, no)
        return no
