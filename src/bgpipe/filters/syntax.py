"""The grammar of filters: text to a tree.

    any       := all { "||" all }
    all       := unary { "&&" unary }
    unary     := "!" unary | "(" any ")" | condition
    condition := NAME [ "[" INDEX "]" ] [ OPERATOR VALUE ]

    OPERATOR  == = != =! < <= > >= ~ !~ ~!
    VALUE     "quoted" or 'quoted' (a backslash before the quote or before a backslash takes it as it is), {an object},
              or a word, which ends at white space, at && and ||, and at a parenthesis that it hasn't opened itself

White space may stand around everything but the brackets of an index. The parser is written by hand and not with lark:
importing lark and building its table took 80 ms, and a whole run of bgpipe on a small file takes 150; where a word ends
depends on its place (INDEX, VALUE); and error texts can say more.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from .conditions import BoundCondition
from .errors import ConditionError, FilterError

MAX_DEPTH: Final = 100
"""The most levels of parentheses."""
MAX_CONDITIONS: Final = 4096
MAX_SLOW_CONDITIONS: Final = 256
"""The most conditions of one filter, and the most of those that only Python can decide. Each costs time for every
message, and the event loop waits while a block is filtered."""

OPERATORS: Final = {
    "==": ("==", False),
    "=": ("==", False),
    "!=": ("==", True),
    "=!": ("==", True),
    "<": ("<", False),
    "<=": ("<=", False),
    ">": (">", False),
    ">=": (">=", False),
    "~": ("~", False),
    "!~": ("~", True),
    "~!": ("~", True),
}
"""Spelling to operator, and whether it is negated."""

_INSTEAD: Final = "a stage `py` with a set or a table is faster"
_SPACE: Final = re.compile(r"\s*")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_OPERATOR: Final = re.compile("|".join(sorted(OPERATORS, key=len, reverse=True)))
_WORD_END: Final = re.compile(r"\s|&&|\|\||[()\\]")


class Condition(NamedTuple):
    """`name[index] operator value`; without an operator (""), whether the thing is there.

    subscript: what stands in brackets. starts: where its parts start in the filter's text: "name", "index", "operator",
    "value".
    """

    name: str
    subscript: str | None
    operator: str
    value: str
    quoted: bool
    starts: dict[str, int]


class NotNode(NamedTuple):
    node: Node


class GroupNode(NamedTuple):
    """What stands in parentheses."""

    node: Node


class AndNode(NamedTuple):
    nodes: tuple[Node, ...]


class OrNode(NamedTuple):
    nodes: tuple[Node, ...]


Node = BoundCondition | NotNode | GroupNode | AndNode | OrNode


def parse(text: str, bind: Callable[[Condition], BoundCondition]) -> Node:
    """The tree of a filter. Its leaves are the results of `bind` for the conditions. Raises FilterError."""
    parser = _FilterParser(text, bind)
    if parser.at_end():
        raise parser.error("empty filter")
    node = parser.any(0)
    if not parser.at_end():
        raise parser.error("unmatched parentheses: this one closes nothing")
    return node


class _FilterParser:
    def __init__(self, text: str, bind: Callable[[Condition], BoundCondition]) -> None:
        self.text = text
        self.bind = bind
        self.pos = 0
        self.conditions = 0
        self.slow_conditions = 0

    def error(self, reason: str, pos: int | None = None) -> FilterError:
        return FilterError(self.text, self.pos if pos is None else pos, reason)

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """Skips what comes next if it matches."""
        found = pattern.match(self.text, self.pos)
        if found is None:
            return None
        self.pos = found.end()
        return found[0]

    def at_end(self) -> bool:
        self.match(_SPACE)
        return self.pos == len(self.text)

    def accept(self, token: str) -> bool:
        """Skips `token` if it comes next."""
        self.match(_SPACE)
        if not self.text.startswith(token, self.pos):
            return False
        self.pos += len(token)
        return True

    def any(self, depth: int) -> Node:
        nodes = [self.all(depth)]
        while self.accept("||"):
            nodes.append(self.all(depth))
        if not self.at_end() and self.text[self.pos] != ")":
            word = self.match(_NAME) or ""
            self.pos -= len(word)
            hint = {"and": "; write && for and", "or": "; write || for or"}.get(word.lower(), "")
            raise self.error(f"expecting logical operator: && or ||{hint}")
        return nodes[0] if len(nodes) == 1 else OrNode(tuple(nodes))

    def all(self, depth: int) -> Node:
        nodes = [self.unary(depth)]
        while self.accept("&&"):
            nodes.append(self.unary(depth))
        return nodes[0] if len(nodes) == 1 else AndNode(tuple(nodes))

    def unary(self, depth: int) -> Node:
        negated = False
        while self.accept("!"):
            negated = not negated
        start = self.pos
        if self.accept("("):
            if depth == MAX_DEPTH:
                raise self.error(f"more than {MAX_DEPTH} parentheses inside each other", start)
            node: Node = GroupNode(self.any(depth + 1))
            if not self.accept(")"):
                raise self.error("unmatched parentheses: this one is never closed", start)
        else:
            node = self.condition()
        return NotNode(node) if negated else node

    def condition(self) -> Node:
        starts = {"name": self.pos}
        name = self.match(_NAME)
        if name is None:
            raise self.error("invalid attribute: a name is expected")
        starts["index"] = self.pos
        index = self.index() if self.text.startswith("[", self.pos) else None
        end = self.pos
        self.match(_SPACE)
        starts["operator"] = self.pos
        spelling = self.match(_OPERATOR)
        if spelling is None:
            starts["operator"] = end
            return self.bound(Condition(name, index, "", "", False, starts))
        operator, negated = OPERATORS[spelling]
        self.match(_SPACE)
        starts["value"] = self.pos
        value = self.value()
        if not value:
            raise self.error("operator needs value", starts["value"])
        quoted = self.text[starts["value"]] in "\"'"
        condition = self.bound(Condition(name, index, operator, value, quoted, starts))
        return NotNode(condition) if negated else condition

    def bound(self, condition: Condition) -> BoundCondition:
        """Binds a condition with `bind`. Raises FilterError, with the place in the filter."""
        try:
            found = self.bind(condition)
        except ConditionError as fault:
            start = condition.starts[fault.part]
            if fault.offset is not None:
                start = min(start + condition.quoted + fault.offset, len(self.text))
            raise self.error(fault.reason, start) from None
        self.conditions += 1
        self.slow_conditions += found.step is None
        if self.conditions > MAX_CONDITIONS:
            raise self.error(f"more than {MAX_CONDITIONS} conditions: {_INSTEAD}", condition.starts["name"])
        if self.slow_conditions > MAX_SLOW_CONDITIONS:
            reason = f"more than {MAX_SLOW_CONDITIONS} conditions that the compiled part can't answer: {_INSTEAD}"
            raise self.error(reason, condition.starts["name"])
        return found

    def index(self) -> str:
        start = self.pos
        stop = self.text.find("]", start)
        index = self.text[start + 1 : stop].strip()
        if stop < 0 or not index:
            raise self.error("invalid index: [INDEX] is expected", start)
        self.pos = stop + 1
        return index

    def value(self) -> str:
        match self.text[self.pos : self.pos + 1]:
            case '"' | "'" as quote:
                return self.quoted(quote)
            case "{":
                return self.braces()
            case "=" | "<" | ">" | "~" | "!" as more:
                raise self.error(f"invalid operator: a value that starts with {more} needs quotes")
            case _:
                return self.word()

    def quoted(self, quote: str) -> str:
        start = pos = self.pos
        text = self.text
        characters = []
        while (pos := pos + 1) < len(text) and text[pos] != quote:
            if text[pos] == "\\" and text[pos + 1 : pos + 2] in (quote, "\\"):
                pos += 1
            characters.append(text[pos])
        if pos >= len(text):
            raise self.error(f"operator needs value: the quote {quote} is never closed", start)
        self.pos = pos + 1
        return "".join(characters)

    def braces(self) -> str:
        """From { to the } that closes it: a JSON object. Its strings aren't looked into."""
        depth = 0
        for pos in range(self.pos, len(self.text)):
            depth += (self.text[pos] == "{") - (self.text[pos] == "}")
            if depth == 0:
                start, self.pos = self.pos, pos + 1
                return self.text[start : pos + 1]
        raise self.error("invalid value: the brace { is never closed")

    def word(self) -> str:
        start = pos = self.pos
        depth = 0
        while found := _WORD_END.search(self.text, pos):
            pos = found.end()
            if found[0] == "\\":
                pos += 1  # whatever follows a backslash belongs to the word
            elif found[0] == "(":
                depth += 1
            elif found[0] == ")" and depth:
                depth -= 1
            else:
                pos = found.start()
                break
        else:
            pos = len(self.text)
        self.pos = min(pos, len(self.text))
        return self.text[start : self.pos]
