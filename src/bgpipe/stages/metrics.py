"""Count messages, in all and by filters, for Prometheus."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Final, NamedTuple

from ..filters import Filter
from ..net.errors import StreamError
from ..net.files import open_output
from ..pipeline.errors import ConfigError, StageError
from ..pipeline.measure import measure, metric_prefix
from ..pipeline.metrics import SIDES, Metrics
from ..pipeline.options import TEXT, Option
from ..pipeline.pipeline import Pipeline
from ..pipeline.stage import Consuming, compile_filters
from ..wire.block import Block
from ..wire.message import KEEPALIVE, NOTIFICATION, OPEN, ROUTE_REFRESH, UPDATE, Message

NAMES: Final = {
    OPEN: "open",
    UPDATE: "update",
    NOTIFICATION: "notify",
    KEEPALIVE: "keepalive",
    ROUTE_REFRESH: "refresh",
}
INVALID: Final = "invalid"
"""The name of all other types."""
MAX_TYPE: Final = 255
"""Above that are state changes and BMP messages, which are no BGP messages."""


class Rule(NamedTuple):
    label: str
    filter: Filter


def parse_rule(text: str) -> Rule:
    """`LABEL: FILTER`, or a filter that is its own label. Raises ConfigError."""
    label, colon, condition = text.partition(": ")
    if not colon:
        condition = text
    name = re.sub("[^a-z0-9_]+", "_", label.lower()).strip("_")
    if not name:
        raise ConfigError(f"no label in {text!r}: LABEL: FILTER is expected, and a label has letters or digits")
    (compiled,) = compile_filters([condition])
    return Rule(name, compiled)


class MetricsFile:
    """The metrics of all sessions that have ended, for one file."""

    def __init__(self, path: str) -> None:
        self.metrics = Metrics()
        self._path = path

    async def close(self) -> None:
        """Writes the file. Raises StageError."""
        try:
            output = open_output(self._path, "none")
            output.write(self.metrics.text().encode())
            output.close()
        except StreamError as error:
            raise StageError(str(error)) from error


class MetricsStage(Consuming):
    """Count messages, in all and by filters, for Prometheus.

    Each RULE is a filter, or `LABEL: FILTER`. Rules need -A. All messages pass.
    """

    argument = "[-A RULE ...]"
    both = True

    output = Option(TEXT, "", "at the end, write all metrics to this file, in Prometheus' text format", metavar="FILE")

    _file: MetricsFile | None = None

    @property
    def needs_argument(self) -> bool:
        return False

    def attach(self) -> None:
        self.rules = [parse_rule(text) for text in self.arguments]
        self.matches = dict.fromkeys((rule.label for rule in self.rules), 0)
        self.messages: Counter[tuple[str, str]] = Counter()
        """by direction and the name of the type"""
        (self._updates,) = compile_filters(["update"])
        self.watch(self.on_message, on_block=self.on_block, passive=True, decodes=bool(self.rules))

    async def prepare(self) -> None:
        if self.output:
            self._file = self.pipeline.shared.take(self._key, lambda: MetricsFile(self.output), MetricsFile.close)

    @property
    def _key(self) -> tuple[str, str]:
        return "metrics", self.output

    def on_message(self, message: Message) -> None:
        if message.type_code > MAX_TYPE:
            return
        self.messages[message.direction, NAMES.get(message.type_code, INVALID)] += 1
        for rule in self.rules:
            if rule.filter(message):
                self.matches[rule.label] += 1

    def on_block(self, block: Block) -> Block:
        direction = block.message(0).direction
        updates = len(self._updates.select(block, True))
        self.messages[direction, NAMES[UPDATE]] += updates
        if updates < len(block):
            for message in self._updates.select(block, False):
                self.messages[direction, NAMES.get(message.type_code, INVALID)] += 1
        for rule in self.rules:
            self.matches[rule.label] += len(rule.filter.select(block, True))
        return block

    def status(self) -> dict[str, Any]:
        return {"total": self.messages.total(), "rules": self.matches}

    def measure(self, metrics: Metrics) -> None:
        prefix = metric_prefix(self)
        metrics.add(f"{prefix}messages_total", self.messages.total())
        for direction, name in SIDES.items():
            for kind in (INVALID, *NAMES.values()):
                metrics.add(f"{prefix}messages_total", self.messages[direction, kind], dir=name, type=kind)
        for label, count in self.matches.items():
            metrics.add(f"{prefix}match", count, filter=label)

    async def conclude(self) -> None:
        """All other stages have stopped too, so these are their last numbers."""
        if self._file is None:
            return
        assert isinstance(self.pipeline, Pipeline)
        found = Metrics()
        measure(self.pipeline, found)
        self._file.metrics.add_lasting(found)
        await self.pipeline.shared.give_back(self._key)
