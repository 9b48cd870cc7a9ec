"""Read messages from a file, a URL or, with -, standard input."""

from __future__ import annotations

from ..net.compression import NAMES
from ..net.files import InputStream, open_input
from ..pipeline.options import Option, choice
from .base.source import Source


class Read(Source):
    """Read messages from a file, a URL or, with -, standard input."""

    argument = "PATH"

    decompress = Option(
        choice("auto", "gz", "bzip2", "zstd", "none", aliases=NAMES),
        "auto",
        "how the input is compressed; auto goes by its content, then by its name",
        metavar="HOW",
    )

    def attach(self) -> None:
        (self.input_name,) = self.arguments
        super().attach()

    def open(self) -> InputStream:
        return open_input(self.input_name, self.decompress, self.on_stream_damage)
