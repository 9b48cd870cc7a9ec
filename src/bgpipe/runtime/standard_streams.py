"""The standard streams of a command: those that were closed before it began, and what it prints."""

from __future__ import annotations

import os
import sys

from ..pipeline.errors import StageError


def open_standard_streams() -> None:
    """Opens a stand-in for each standard stream that was closed (`2>&-`). Otherwise the next file that is opened would
    become that stream. Writing to the stand-in for standard output fails; what goes to standard error is dropped."""
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def show(shown: str | bytes) -> None:
    """Prints to standard output, a text as UTF-8. Raises StageError, or BrokenPipeError if the reader has closed it."""
    from ..net.errors import StreamError
    from ..net.standard_output import StandardOutput

    try:
        StandardOutput().write(shown if isinstance(shown, bytes) else shown.encode(errors="backslashreplace"))
    except StreamError as error:
        raise StageError(str(error)) from None


def leave_standard_output() -> None:
    """Its reader has gone: what is still in a buffer goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
