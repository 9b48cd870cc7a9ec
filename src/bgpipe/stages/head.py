"""Pass the first messages, then stop the pipeline."""

from __future__ import annotations

from typing import Any

from ..pipeline.errors import ConfigError
from ..pipeline.options import INTEGER, Option
from ..pipeline.stage import Consuming
from ..wire.block import Block
from ..wire.message import Message


class Head(Consuming):
    """Pass the first messages, then stop the pipeline."""

    both = True
    observable = False
    ends_input = True

    count = Option(INTEGER, 10, "pass N messages, counting both directions together", short="n", metavar="N")

    def attach(self) -> None:
        if self.count < 1:
            raise ConfigError(f"--count must be more than 0, not {self.count}")
        self.room = self.count
        self.watch(self.on_message, on_block=self.on_block, decodes=False)

    def status(self) -> dict[str, Any]:
        return {"count": self.count, "left": self.room}

    def on_message(self, message: Message) -> bool:
        self._let_pass(1)
        return True

    def on_block(self, block: Block) -> Block:
        block = block.part(0, min(len(block), self.room))
        self._let_pass(len(block))
        return block

    def _let_pass(self, count: int) -> None:
        self.room -= count
        if not self.room:
            self.shut()
            self.pipeline.end_input()
