"""The command line of a command."""

from __future__ import annotations

import argparse
from typing import Any

from ...runtime.standard_streams import show


class Parser(argparse.ArgumentParser):
    """One whose help arrives, or who asks is told that it does not: argparse drops what can't be written."""

    def print_help(self, file: Any = None) -> None:
        """Raises StageError, BrokenPipeError."""
        show(self.format_help())
