"""Read messages from a file, a URL or, with -, standard input."""

from __future__ import annotations

import os

from ..net.compression import NAMES
from ..net.files import InputStream, open_input
from ..pipeline.options import Option, choice
from .base.source import ReadStage


class Read(ReadStage):
    """Read messages from a file, a URL or, with -, standard input."""

    argument = "PATH"

    decompress = Option(
        choice("auto", "gz", "bzip2", "zstd", "none", aliases=NAMES),
        "auto",
        "compression of the input; auto goes by the content, then by the name",
        metavar="HOW",
    )

    @property
    def begins_anew(self) -> bool:
        """A file or URL gives every pipeline the same messages; standard input and a FIFO give each once."""
        return self.input_name != "-" and (os.path.isfile(self.input_name) or not os.path.exists(self.input_name))

    def attach(self) -> None:
        (self.input_name,) = self.arguments
        self.in_order = not self.explicit & {"wait", "stop"}
        super().attach()

    def open(self) -> InputStream:
        return open_input(self.input_name, self.decompress, self.on_stream_damage)
