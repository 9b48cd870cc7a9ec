"""The lists of a stage: on the command line, or in files that are looked at again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from ...net.errors import explain
from ...pipeline.errors import StageError
from ...pipeline.stage import Stage
from ...runtime.reload import off_reload, on_reload
from ...wire.errors import TextError
from .list_file import KINDS, LOOK_EVERY, Entries, ListFile, OnChange


class Lists:
    """Lists by the names of their options. on_change: called when another one counts, with the name of its option and
    what has changed."""

    def __init__(self, stage: Stage, on_change: Callable[[str, Entries], None]) -> None:
        self.files: dict[str, ListFile[Any]] = {}
        self._takers: dict[str, OnChange] = {}
        self._stage = stage
        self._on_change = on_change
        self._given: dict[str, Any] = {}

    def add_file(self, name: str, path: str, kind: str) -> None:
        """Takes a file as a list, if there is one. kind: see ListFile. Raises TextError."""
        if not path:
            return

        def read() -> ListFile[Any]:
            with _naming(name, path):
                return ListFile(path, kind)

        self.files[name] = self._stage.pipeline.shared.setdefault(("list", path, kind), read)
        self._takers[name] = partial(self._take, name)

    def add(self, name: str, words: Sequence[str], kind: str) -> None:
        """Takes the words as the list, or a single one as the name of its file. Raises TextError."""
        if not words:
            return
        try:
            for word in words:
                if not len(KINDS[kind](word)):
                    raise TextError(f"{word!r} is not what may be in the list")
        except TextError as error:
            if len(words) > 1:
                raise TextError(f"--{name}: {error}") from None
            self.add_file(name, words[0], kind)
            return
        self._given[name] = KINDS[kind]("\n".join(words))

    def __contains__(self, name: str) -> bool:
        """Whether an option has a list."""
        return name in self.files or name in self._given

    def __getitem__(self, name: str) -> Any:
        """The list of an option as it is now, None if there is none, or it is not loaded yet."""
        file = self.files.get(name)
        if file is not None:
            return file.current if file.is_loaded else None
        return self._given.get(name)

    async def start(self) -> None:
        """Reads the large files. From then on, files are looked at every ten seconds, and on SIGHUP. Raises
        StageError."""
        for name, file in self.files.items():
            try:
                with _naming(name, file.path):
                    await file.load()
            except TextError as error:
                raise StageError(f"{self._stage}: {error}") from None
        if self.files:
            on_reload(self.reload)
            self._stage.spawn("lists", self._watch())
            for name, file in self.files.items():
                file.on_change(self._takers[name])

    def stop(self) -> None:
        off_reload(self.reload)
        for name, file in self.files.items():
            file.off_change(self._takers[name])

    def _take(self, name: str, changes: Entries) -> None:
        try:
            self._on_change(name, changes)
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
            name: {"file": file.path, "entries": len(self[name] or ()), "error": file.error}
            for name, file in self.files.items()
        }


@contextmanager
def _naming(name: str, path: str) -> Iterator[None]:
    """Makes errors of a file name the option and the file. Raises TextError."""
    try:
        yield
    except OSError as error:
        raise TextError(f"--{name}: {path}: {explain(error)}") from None
    except TextError as error:
        raise TextError(f"--{name}: {path}: {error}") from None
