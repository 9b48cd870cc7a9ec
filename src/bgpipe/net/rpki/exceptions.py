"""Local exceptions to what the RPKI says: the file of --rpki-slurm (RFC 8416), which is looked at again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from ...pipeline.log import Log
from ...rpki.slurm import MAX_SIZE, Slurm, parse_slurm
from ...rpki.snapshot import Snapshot
from ...tasks import in_thread
from ...wire.errors import TextError
from ..errors import explain
from .file import INTERVAL, read_file


class LocalExceptions:
    """path: of the SLURM file, "" for none. error: why it can't be read; the last one that could be counts then."""

    def __init__(self, path: str, log: Log) -> None:
        self.error = ""
        self._path = path
        self._log = log
        self._slurm: Slurm | None = None
        self._identity = ""
        self._wake = asyncio.Event()

    def look(self) -> None:
        self._wake.set()

    async def watch(self, on_change: Callable[[], object]) -> None:
        """Calls the function when the file has others."""
        while self._path:
            try:
                async with asyncio.timeout(INTERVAL):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            if await self._read():
                on_change()

    async def apply(self, snapshot: Snapshot) -> Snapshot | None:
        """The snapshot behind the exceptions; None if there is a file of which no version could be read."""
        if not self._path:
            return snapshot
        if self._slurm is None:
            await self._read()
        return await in_thread("slurm", partial(self._slurm.apply, snapshot)) if self._slurm is not None else None

    async def _read(self) -> bool:
        """Reads the file if it has changed. Returns whether there are other exceptions."""
        try:
            content = await in_thread("slurm", partial(read_file, self._path, _read_slurm, self._identity))
            if content is None:
                self.error = ""
                return False
            self._slurm = content.value
        except OSError as error:
            self._fail(explain(error))
            return False
        except TextError as error:
            self._fail(str(error))
            return False
        self._identity, self.error = content.identity, ""
        return True

    def _fail(self, reason: str) -> None:
        text = f"--rpki-slurm {self._path}: {reason}"
        if text != self.error:
            self._log.error(text if self._slurm is None else f"{text}: the exceptions that were read before stay")
        self.error = text


def _read_slurm(file: BinaryIO) -> Slurm:
    """Raises TextError."""
    return parse_slurm(file.read(MAX_SIZE + 1))
