"""Write messages to a file or, with -, to standard output."""

from __future__ import annotations

import time

from .. import formats
from ..formats.base import Format
from ..net.collected_output import collected
from ..net.compression import NAMES
from ..net.files import open_output
from ..net.output_file import OutputFile, objection
from ..net.output_writer import OutputStream
from ..net.standard_output import StandardOutput
from ..net.tagged_files import TaggedFiles
from ..pipeline.errors import ConfigError
from ..pipeline.options import DURATION, FLAG, TEXT, Option, choice
from ..wire.message import Message
from .base.coding import FORMAT_SWITCHES, find_format
from .base.sink import Sink


class Write(Sink):
    """Write messages to a file or, with -, to standard output."""

    argument = "PATH"

    format = Option(
        TEXT,
        "auto",
        "format of the output; auto goes by the file name",
        metavar="FORMAT",
        switches=FORMAT_SWITCHES,
    )
    append = Option(FLAG, False, "write at the end of the file, and keep what it has")
    create = Option(FLAG, False, "fail if the file exists")
    compress = Option(
        choice("auto", "gz", "bzip2", "zstd", "none", aliases=NAMES),
        "auto",
        "compression of the output; auto goes by the file name",
        metavar="HOW",
        bare="auto",
    )
    every = Option(
        DURATION, 0.0, "begin a new file each time this duration has passed, at least 60s; the path must contain $TIME"
    )
    time_format = Option(
        TEXT,
        "20060102.1504",
        "layout of $TIME in the path: how the time 2006-01-02 15:04:05 would look",
        metavar="LAYOUT",
    )

    flush_every = Option(
        DURATION,
        5.0,
        "longest time that compression may hold octets back, which a crash would lose; 0 sets no limit",
        name="flush",
    )

    def choose_format(self) -> Format:
        (self.path,) = self.arguments
        if "$" in self.path:
            from ..net.layout import has_tags  # only then, for a quick start

            self.in_places = has_tags(self.path)
        if self.flush_every < 0:
            raise ConfigError("--flush can't be negative")
        why = objection(self.path, append=self.append, create=self.create, every=self.every)
        if why and self.path != "-":
            raise ConfigError(f"{self.path}: {why}")
        if self.format != "auto":
            return find_format(self.format)
        found = formats.find("json") if self.path == "-" else formats.detect_by_name(self.path)
        if found is None:
            raise ConfigError(f"can't tell the format from the name {self.path}: use --format")
        return found

    def open(self) -> OutputStream:
        if not self.in_places:
            return self._open(self.path)
        return TaggedFiles(
            self.path, lambda path, append: collected(self._open(path, append), self.output_format, self.tables)
        )

    def place_of(self, message: Message) -> str:
        if not self.in_places:
            return ""
        from ..net.layout import fill_tags

        return fill_tags(self.path, message.tags)

    def _open(self, path: str, append: bool = False) -> OutputFile | StandardOutput:
        return open_output(
            path,
            self.compress,
            append=self.append or append,
            create=self.create,
            every=self.every,
            time_format=self.time_format,
        )

    async def prepare(self) -> None:
        await super().prepare()
        if self.every:
            self._rotate()

    def _rotate(self) -> None:
        """Publishes the file of an interval that has ended, even if no message comes after it."""
        assert self.writer is not None
        self._put_kept()
        self.writer.flush()
        self.writer.rotate()
        rest = self.every - time.time() % self.every
        self._timer = self.call_later(rest, self._rotate)

    async def stop(self) -> None:
        if self.every and self.writer is not None:
            self._timer.cancel()
        await super().stop()

    async def _close(self) -> None:
        await super()._close()
        output = self.writer.output if self.writer is not None else None
        if isinstance(output, OutputFile) and output.empty:
            self.pipeline.log.info("no messages were written: the file is empty", stage=str(self), file=output.path)
