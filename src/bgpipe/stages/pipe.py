"""Let a program at the other end of a FIFO or Unix socket filter the messages."""

from __future__ import annotations

import os
import stat

from ..net.errors import explain_error
from ..net.pipes import Fifos, Link, UnixSocket
from ..pipeline.errors import StageError
from ..pipeline.options import Option
from .base.external import ExternalFilter

REPLY = ".reply"
"""The suffix of the name of the FIFO by which messages come back."""


class Pipe(ExternalFilter):
    """Let a program at the other end of a FIFO or Unix socket filter the messages.

    PATH is a Unix stream socket that somebody listens at, or a FIFO. A FIFO goes one way: messages go out by PATH and
    come back by PATH.reply, which is made if need be; with --read they come by PATH.
    """

    argument = "PATH"
    gone = "the other end has closed the connection"

    on_exit = Option(
        ExternalFilter.on_exit.kind,
        "restart",
        "when the other program has ended or is stalled: let messages pass by, drop them, end the pipeline, or "
        "wait for another one",
    )

    @property
    def retries(self) -> bool:
        return self.on_exit != "kill"

    async def begin(self) -> Link:
        if not is_there(self.arguments[0]):
            raise StageError(f"{self}: {self.arguments[0]}: no such FIFO or Unix socket (mkfifo makes a FIFO)")
        try:
            return await self.connect()
        except OSError as error:
            if is_socket(self.arguments[0]):
                raise
            raise StageError(f"{self}: {explain_error(error)}") from error  # waiting does not turn it into a FIFO

    async def connect(self) -> Link:
        path = self.arguments[0]
        try:
            if is_socket(path):
                return await UnixSocket.connect(path)
            if self.only_read:
                return Fifos("", path)
            return Fifos(path, "" if self.only_write else path + REPLY)
        except OSError as error:
            text = explain_error(error)
            raise OSError(error.errno, text if path in text else f"{path}: {text}") from error


def is_there(path: str) -> bool:
    return os.path.exists(path)


def is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False
