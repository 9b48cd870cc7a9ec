"""The lists of a stage: on the command line, or in files that are looked at again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from ...net.errors import explain
from ...pipeline.stage import Stage
from ...runtime.reload import off_reload, on_reload
from ...wire.errors import TextError
from .list_file import KINDS, LOOK_EVERY, ListFile


class Lists:
    """Lists by the names of their options. on_change: called when another one counts."""

    def __init__(self, stage: Stage, on_change: Callable[[], None]) -> None:
        self.files: dict[str, ListFile[Any]] = {}
        self._stage = stage
        self._on_change = on_change
        self._given: dict[str, Any] = {}

    def add_file(self, name: str, path: str, kind: str) -> None:
        """Reads a list from a file, if there is one. kind: see ListFile. Raises TextError."""
        if not path:
            return

        def read() -> ListFile[Any]:
            try:
                return ListFile(path, kind)
            except OSError as error:
                raise TextError(f"--{name}: {path}: {explain(error)}") from None
            except TextError as error:
                raise TextError(f"--{name}: {path}: {error}") from None

        self.files[name] = self._stage.pipeline.shared.setdefault(("list", path, kind), read)

    def add(self, name: str, words: Sequence[str], kind: str) -> None:
        """Takes the words as the list, or a single one as the name of its file. Raises TextError."""
        if not words:
            return
        try:
            found: Any = KINDS[kind]("\n".join(words))
        except TextError as error:
            if len(words) > 1:
                raise TextError(f"--{name}: {error}") from None
            self.add_file(name, words[0], kind)
            return
        if not len(found):
            raise TextError(f"--{name}: nothing is in it: {','.join(words)!r}")
        self._given[name] = found

    def __getitem__(self, name: str) -> Any:
        """The list of an option as it is now, None if there is none."""
        file = self.files.get(name)
        return file.current if file is not None else self._given.get(name)

    def start(self) -> None:
        """From now on, files are looked at every ten seconds, and on SIGHUP."""
        if self.files:
            on_reload(self.reload)
            self._stage.spawn("lists", self._watch())
            for file in self.files.values():
                file.on_change(self._take)

    def stop(self) -> None:
        off_reload(self.reload)
        for file in self.files.values():
            file.off_change(self._take)

    def _take(self) -> None:
        try:
            self._on_change()
        except Exception as error:
            self._stage.on_failure(error)

    def reload(self) -> None:
        self._stage.spawn("reload", self.look(again=True))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.look()

    async def look(self, *, again: bool = False) -> None:
        """Reads the files that have changed. again: all."""
        for file in tuple(self.files.values()):
            if await file.look(again=again):
                self._tell(file)

    def _tell(self, file: ListFile[Any]) -> None:
        stage = self._stage
        if file.error:
            text = "list not taken, the old one stays"
            stage.pipeline.log.error(text, stage=str(stage), file=file.path, error=file.error)
            stage.event("list", None, file.path, file.error)
        else:
            stage.pipeline.log.info("list taken", stage=str(stage), file=file.path, entries=len(file.current))

    def status(self) -> dict[str, Any]:
        """By option: the file, its entries, and why it was not taken as it is now."""
        return {
            name: {"file": file.path, "entries": len(file.current), "error": file.error}
            for name, file in self.files.items()
        }
