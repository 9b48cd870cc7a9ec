"""Let a program filter the messages."""

from __future__ import annotations

from typing import Any, Final

from ..net.pipes import Link
from ..net.process import ChildProcess
from ..pipeline.log_limit import LogLimit
from ..pipeline.options import FLAG, Option
from .base.external import ExternalFilter

STDERR_LINES: Final = 100
"""Lines of standard error that are logged in a second."""


class Exec(ExternalFilter):
    """Let a program filter the messages.

    COMMAND is run without a shell; with -A, the words behind it are its arguments. Messages go to its standard input,
    and what it writes to its standard output goes on in their place. What it writes to standard error is logged.
    """

    argument = "COMMAND"
    own_events = ("EXIT",)
    gone = "the program has ended"
    must_end_well = True

    keep_stdin = Option(FLAG, False, "don't fail if the program closes its standard input")
    keep_stdout = Option(FLAG, False, "don't fail if the program closes its standard output")

    @property
    def half_closed(self) -> bool:
        return self.keep_stdin

    async def connect(self) -> Link:
        process = await ChildProcess.start(
            self.arguments,
            reads=not self.only_read,
            writes=not self.only_write,
            keep_stdout=self.keep_stdout,
            on_line=self._on_line,
            tasks=self.tasks,
        )
        self.pipeline.log.debug("program started", stage=str(self), pid=process.pid)
        return process

    def on_link_end(self, link: Link, failed: str) -> None:
        assert isinstance(link, ChildProcess)
        self.event("EXIT", None, link.code)

    stderr_left_out = 0
    """lines of standard error that were not logged"""

    def status(self) -> dict[str, Any]:
        return super().status() | {"metrics": {"stderr_left_out": self.stderr_left_out}}

    async def prepare(self) -> None:
        self._lines = LogLimit(self.pipeline.clock, window=1.0, most=STDERR_LINES)
        await super().prepare()

    async def stop(self) -> None:
        await super().stop()
        if self.stderr_left_out:
            self.pipeline.log.warning(
                "lines of standard error were not logged", stage=str(self), lines=self.stderr_left_out
            )

    def _on_line(self, line: str) -> None:
        """Logs a line of standard error. A program that floods it must not fill the disk with our log."""
        if self._lines.admit():
            self.pipeline.log.info(line, stage=str(self))
            return
        self.stderr_left_out += 1
        if self.stderr_left_out == 1:
            self.pipeline.log.warning(
                f"the program writes more than {STDERR_LINES} lines a second to standard error: the others are counted",
                stage=str(self),
            )
