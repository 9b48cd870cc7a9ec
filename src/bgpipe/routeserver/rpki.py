"""VRPs from the sources that `Rov.Rpki` names: RTR caches, URLs and files, as those of --rpki of bgpipe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ..net.rpki.settings import RpkiSettings, SourceSpec, parse_source, read_key
from ..net.rpki.sources import RpkiSources
from ..pipeline.log import Log
from ..rpki.current import Rpki
from ..rpki.snapshot import Snapshot
from ..tasks import Tasks
from .config import Rov

PATIENCE: Final = 30.0
"""Seconds until routes are announced without VRPs, if no source has any."""


def rpki_settings(rov: Rov, folder: Path) -> RpkiSettings:
    """What the configuration says of sources. folder: where relative paths begin. Raises ValueError."""
    settings = RpkiSettings(
        sources=tuple(_source(text, folder) for text in rov.rpki),
        refresh=rov.rpki_refresh or None,
        retry=rov.rpki_retry or None,
        expire=rov.rpki_expire or None,
        drops_stale=rov.rpki_stale == "drop",
        shrinks=rov.rpki_shrink,
        version=rov.rpki_version,
        md5=read_key(rov.rpki_md5),
        ca=_path(rov.rpki_ca, folder),
        cert=_path(rov.rpki_cert, folder),
        key=_path(rov.rpki_key, folder),
        bind=rov.rpki_bind,
        insecure=rov.rpki_insecure,
        slurm=_path(rov.rpki_slurm, folder),
    )
    settings.check()
    return settings


def rpki_faults(rov: Rov) -> Iterator[tuple[str, str]]:
    """What can't be: its key, and what is wrong. Secrets are not read."""
    for number, text in enumerate(rov.rpki):
        try:
            parse_source(text)
        except ValueError as error:
            yield f"Rov.Rpki[{number}]", str(error)
    for key, field in (("RpkiBind", "bind"), ("RpkiMd5", "md5")):
        value = getattr(rov, f"rpki_{field}")
        if field == "md5" and value[:1] in ("$", "/"):
            continue
        try:
            RpkiSettings((SourceSpec("file", ""),), **{field: value}).check()
        except ValueError as error:
            yield f"Rov.{key}", str(error).removeprefix(f"--rpki-{field}: ")


def _source(text: str, folder: Path) -> SourceSpec:
    spec = parse_source(text)
    return spec._replace(place=_path(spec.place, folder)) if spec.kind == "file" else spec


def _path(text: str, folder: Path) -> str:
    return str(folder / text) if text else ""


class RpkiValidator:
    """The VRPs of these sources. on_change: called with others. failed: what is wrong at the moment, "" if nothing is.

    Raises ValueError for settings that can't be.
    """

    def __init__(self, rov: Rov, folder: Path, log: Log) -> None:
        self.on_change: Callable[[Snapshot], object] = lambda vrps: None
        self.rpki = Rpki()
        self.rpki.on_change(lambda old, new: self.on_change(new))
        self._sources = RpkiSources(rpki_settings(rov, folder), self.rpki, log)

    @property
    def failed(self) -> str:
        errors = [state.error for state in self.rpki.sources() if state.error]
        return "; ".join(errors if errors and not self.rpki.ready else filter(None, [self._sources.trouble]))

    async def run(self) -> None:
        """Keeps them up to date, for ever."""
        tasks, ready = Tasks(), asyncio.Event()
        self.rpki.when_ready(ready.set)
        self._sources.start(tasks)
        try:
            try:
                async with asyncio.timeout(PATIENCE):
                    await ready.wait()
            except TimeoutError:
                pass
            if not self.rpki.ready:  # without any, nothing is valid or invalid
                self.on_change(Snapshot())
            await asyncio.Event().wait()
        finally:
            await self._sources.close()
            await tasks.close()
