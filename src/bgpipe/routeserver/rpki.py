"""VRPs from the sources that `Rov.Rpki` names: RTR caches, URLs and files, as those of --rpki of bgpipe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from ..net.rpki.settings import RpkiSettings, SourceSpec, parse_source, read_key
from ..net.rpki.sources import RpkiSources
from ..pipeline.log import Log
from ..rpki.current import Rpki
from ..rpki.snapshot import Snapshot
from ..rpki.vrps import WIDTHS
from ..tasks import Tasks, in_thread
from .config import Rov

KEPT: Final = "vrps.kept"
"""The file in the folder of all state with the VRPs that there were last."""
SAVE_INTERVAL: Final = 60.0
"""Seconds between two times that VRPs are written to the disk."""
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


class KeptVrps:
    """What the sources said last, on disk: after a restart it counts until one of them answers. Raises OSError."""

    def __init__(self, path: Path, rov: Rov) -> None:
        self._path = path
        self._origin = blake2b(repr((rov.rpki, rov.rpki_slurm)).encode(), digest_size=8).hexdigest()

    def save(self, vrps: Snapshot) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_bytes(msgspec.msgpack.encode((self._origin, vrps.ipv4, vrps.ipv6)))
        new.replace(self._path)

    def load(self) -> Snapshot | None:
        """None if nothing is kept, or that of other sources, or if it can't be read."""
        try:
            origin, ipv4, ipv6 = msgspec.msgpack.decode(self._path.read_bytes(), type=tuple[str, bytes, bytes])
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        whole = not (len(ipv4) % WIDTHS[1] or len(ipv6) % WIDTHS[2])
        return Snapshot(ipv4, ipv6).index() if whole and origin == self._origin else None


class RpkiValidator:
    """The VRPs of these sources. on_change: called with others. failed: what is wrong at the moment, "" if nothing is.

    Raises ValueError for settings that can't be.
    """

    def __init__(self, rov: Rov, folder: Path, state: Path, log: Log) -> None:
        """folder: where relative paths begin. state: where the last VRPs are kept."""
        self.on_change: Callable[[Snapshot], object] = lambda vrps: None
        self.rpki = Rpki()
        self.rpki.on_change(self._take)
        self._sources = RpkiSources(rpki_settings(rov, folder), self.rpki, log)
        self._kept = KeptVrps(state / KEPT, rov)
        self._keeps = rov.rpki_stale == "keep"
        self._changed = asyncio.Event()
        self._log = log

    @property
    def failed(self) -> str:
        errors = [state.error for state in self.rpki.sources() if state.error]
        return "; ".join(errors if errors and not self.rpki.ready else filter(None, [self._sources.trouble]))

    def _take(self, old: Snapshot, new: Snapshot) -> None:
        self.on_change(new)
        self._changed.set()

    async def run(self) -> None:
        """Keeps them up to date, for ever."""
        tasks, ready = Tasks(), asyncio.Event()
        self.rpki.when_ready(ready.set)
        kept = await self._load() if self._keeps else None
        if kept is not None:
            self.on_change(kept)
        self._sources.start(tasks)
        try:
            try:
                async with asyncio.timeout(PATIENCE):
                    await ready.wait()
            except TimeoutError:
                pass
            if kept is None and not self.rpki.ready:  # without any, nothing is valid or invalid
                self.on_change(Snapshot())
            await self._save_all()
        finally:
            await self._sources.close()
            await tasks.close()

    async def _load(self) -> Snapshot | None:
        try:
            return await in_thread("VRPs", self._kept.load)
        except OSError as error:
            self._log.warning("kept VRPs can't be read", error=str(error))
            return None

    async def _save_all(self) -> None:
        """Keeps what has changed, now and then, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._keeps:
                try:
                    await in_thread("VRPs", partial(self._kept.save, self.rpki.snapshot))
                except OSError as error:
                    self._log.error("VRPs can't be kept on disk", error=str(error))
            await asyncio.sleep(SAVE_INTERVAL)
