"""Regular expressions over AS paths and communities as tables of deterministic finite automata (DFA), for accel.

The text of a path, as in `1,2,[3,4]`, and of communities, as in `"1:2","3:4"`, is made of 15 letters. Over so small an
alphabet the patterns that people write become small automata. Accel runs one letter by letter while it spells out a
value, without ever making the text. RE2 decides what a pattern means: one that is not plain (flags, Unicode classes,
more than 253 states) has no table, and is left to Python and RE2.

A table has 16 octets for each state: the state that follows on each letter, and on END, the end of the text. State 0
is "no match whatever follows", 1 "a match whatever follows", and 2 the start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

LETTERS: Final = '0123456789,[]:"'
END: Final = len(LETTERS)
ROW: Final = 16
MISS, MATCH, START = 0, 1, 2
MAX_STATES: Final = 255
MAX_NODES: Final = 1000
MAX_DEPTH: Final = 50

_DIGITS: Final = 0b1111111111
_ALL: Final = (1 << END) - 1
_COUNT: Final = re.compile(r"\{(\d{1,3})(,(\d{0,3}))?\}")

# What an assertion stands between: before is the start of the text, a digit (a word character) or another letter;
# after is a digit, another letter or the end.
_AT_START, _DIGIT, _OTHER, _AT_END = range(4)


class _Letters(NamedTuple):
    """One letter of a set, as bits."""

    bits: int


class _Edge(NamedTuple):
    """A place between letters: ^ $ b B."""

    kind: str


class _Sequence(NamedTuple):
    parts: list[_Piece]


class _Choice(NamedTuple):
    parts: list[_Piece]


class _Repeat(NamedTuple):
    piece: _Piece
    least: int
    most: int | None


_Piece = _Letters | _Edge | _Sequence | _Choice | _Repeat


class _NotPlain(Exception):
    """The pattern is left to RE2."""


def pattern_table(pattern: str) -> bytes:
    """The table of a pattern that RE2 takes, or b"" if it is not plain."""
    try:
        return _table(_PatternParser(pattern).parse())
    except _NotPlain:
        return b""


def text_table(text: str) -> bytes:
    """The table that matches this text alone, or b""."""
    letters: list[_Piece] = [_letter(character) for character in text]
    try:
        return _table(_Sequence([_Edge("^"), *letters, _Edge("$")]))
    except _NotPlain:
        return b""


def match_table(table: bytes, text: str) -> bool:
    """What accel does, for tests."""
    state = START
    for letter in text:
        state = table[state * ROW + LETTERS.index(letter)]
    return table[state * ROW + END] == MATCH


def _letter(character: str) -> _Letters:
    position = LETTERS.find(character)
    return _Letters(1 << position if position >= 0 else 0)


class _PatternParser:
    """The common part of RE2's syntax."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.pos = 0
        self.depth = 0

    def parse(self) -> _Piece:
        piece = self.choice()
        if self.pos < len(self.pattern):
            raise _NotPlain
        return piece

    def next(self) -> str:
        return self.pattern[self.pos : self.pos + 1]

    def take(self) -> str:
        character = self.next()
        if not character:
            raise _NotPlain
        self.pos += 1
        return character

    def choice(self) -> _Piece:
        parts = [self.sequence()]
        while self.next() == "|":
            self.pos += 1
            parts.append(self.sequence())
        return _Choice(parts)

    def sequence(self) -> _Piece:
        parts: list[_Piece] = []
        while self.next() not in ("", "|", ")"):
            parts.append(self.repeated(self.single()))
        return _Sequence(parts)

    def repeated(self, piece: _Piece) -> _Piece:
        mark = self.next()
        if mark == "{":
            count = _COUNT.match(self.pattern, self.pos)
            if not count:
                raise _NotPlain
            self.pos = count.end()
            least = int(count[1])
            most = (int(count[3]) if count[3] else None) if count[2] else least
        elif mark and mark in "*+?":
            self.pos += 1
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[mark]
        else:
            return piece
        if self.next() == "?":  # which match is preferred makes no difference to whether there is one
            self.pos += 1
        if self.next() in ("*", "+", "?", "{"):
            raise _NotPlain
        return _Repeat(piece, least, most)

    def single(self) -> _Piece:
        character = self.take()
        if character == "(":
            return self.group()
        if character == "[":
            return _Letters(self.bracket())
        if character == ".":
            return _Letters(_ALL)
        if character in "^$":
            return _Edge(character)
        if character == "\\":
            return self.escape()
        if character in "*+?{":
            raise _NotPlain
        return _letter(character)

    def group(self) -> _Piece:
        if self.next() == "?":
            self.pos += 1
            if self.take() != ":":
                raise _NotPlain
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _NotPlain
        piece = self.choice()
        self.depth -= 1
        if self.take() != ")":
            raise _NotPlain
        return piece

    def escape(self) -> _Piece:
        character = self.take()
        if character in "dD":
            return _Letters(_DIGITS if character == "d" else _ALL ^ _DIGITS)
        if character in "bB":
            return _Edge(character)
        if character in "Az":
            return _Edge("^" if character == "A" else "$")
        if not character.isascii() or character.isalnum():
            raise _NotPlain
        return _letter(character)

    def bracket(self) -> int:
        """The rest of a [class]."""
        negated = self.next() == "^"
        self.pos += negated
        bits, first = 0, True
        while (character := self.take()) != "]" or first:
            first = False
            if character == "[" and self.next() == ":":
                raise _NotPlain
            if character == "\\":
                piece = self.escape()
                if not isinstance(piece, _Letters):
                    raise _NotPlain
                bits |= piece.bits
                if self.next() == "-":  # a range that starts with an escape, or not: let RE2 say
                    raise _NotPlain
                continue
            low = high = character
            if self.next() == "-" and self.pattern[self.pos + 1 : self.pos + 2] != "]":
                self.pos += 1
                high = self.take()
                if high in "\\[":
                    raise _NotPlain
            bits |= sum(1 << position for position, letter in enumerate(LETTERS) if low <= letter <= high)
        return _ALL ^ bits if negated else bits


class _Node(NamedTuple):
    """A state of the nondeterministic automaton: a letter or an edge to pass, then any of `next`."""

    bits: int
    edge: str
    next: list[int]


class _Nodes(list[_Node]):
    """Node 0 is where a match is complete."""

    def add(self, bits: int, edge: str, *following: int) -> int:
        if len(self) == MAX_NODES:
            raise _NotPlain
        self.append(_Node(bits, edge, list(following)))
        return len(self) - 1

    def build(self, piece: _Piece, following: int) -> int:
        """The node from which `piece` leads to `following`."""
        if isinstance(piece, _Letters):
            return self.add(piece.bits, "", following)
        if isinstance(piece, _Edge):
            return self.add(0, piece.kind, following)
        if isinstance(piece, _Sequence):
            for part in reversed(piece.parts):
                following = self.build(part, following)
            return following
        if isinstance(piece, _Choice):
            return self.add(0, "|", *[self.build(part, following) for part in piece.parts])
        if piece.most is None:
            loop = self.add(0, "|", following)
            self[loop].next.append(self.build(piece.piece, loop))
            following = loop
        else:
            end = following
            for _ in range(piece.most - piece.least):
                following = self.add(0, "|", end, self.build(piece.piece, following))
        for _ in range(piece.least):
            following = self.build(piece.piece, following)
        return following

    def reachable(self, nodes: Iterable[int], before: int, after: int) -> set[int]:
        """The nodes that are reached from `nodes` without a letter, at a place between `before` and `after`."""
        word_edge = (before == _DIGIT) != (after == _DIGIT)
        passed = {"|": True, "^": before == _AT_START, "$": after == _AT_END, "b": word_edge, "B": not word_edge}
        found: set[int] = set()
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                if passed.get(self[node].edge):
                    waiting += self[node].next
        return found


def _table(piece: _Piece) -> bytes:
    nodes = _Nodes()
    nodes.add(0, "")
    first = nodes.build(piece, 0)
    start = (frozenset((first,)), _AT_START)
    states = {start: START}
    rows: list[list[int]] = []
    waiting = [start]
    while waiting:
        found, before = waiting.pop(0)
        row = [MISS] * ROW
        for after, letters in ((_DIGIT, range(10)), (_OTHER, range(10, END)), (_AT_END, (END,))):
            here = nodes.reachable(found, before, after)
            for letter in letters:
                if 0 in here:
                    row[letter] = MATCH
                elif letter != END:
                    # a match may begin behind any letter, so the first node is always one of those to go on from
                    then = {node for one in here if nodes[one].bits >> letter & 1 for node in nodes[one].next}
                    if 0 in then:
                        row[letter] = MATCH
                        continue
                    state = (frozenset(then | {first}), after)
                    if state not in states:
                        if len(states) + START == MAX_STATES:
                            raise _NotPlain
                        states[state] = len(states) + START
                        waiting.append(state)
                    row[letter] = states[state]
        rows.append(row)
    return _without_dead_ends(rows)


def _without_dead_ends(rows: list[list[int]]) -> bytes:
    """The table, in which states that no longer lead to a match are MISS."""
    alive = {MATCH}
    grown = True
    while grown:
        grown = False
        for state, row in enumerate(rows, START):
            if state not in alive and any(following in alive for following in row):
                alive.add(state)
                grown = True
    table = bytearray([MISS] * ROW + [MATCH] * ROW)
    for row in rows:
        table += bytes(following if following in alive else MISS for following in row)
    return bytes(table)
