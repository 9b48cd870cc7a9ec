"""The registry of formats. A format is a module of this package with a record FORMAT, or comes from another package by
entry point.

base.Format describes the record. Formats of other packages (entry points `bgpipe.formats`) are loaded only if none of
ours fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from ..wire.errors import TextError
from ..wire.message import Message
from .base import Decoder, DecoderOptions, Encoder, EncoderOptions, Format, sniff_nothing

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

BUILTIN: Final = ("mrt", "raw", "bmp", "obmp", "json", "bgpdump", "exa", "rib")
"""In the order in which `sniff` asks them: an MRT header is surer than the first letter of a text."""
ENTRY_POINTS: Final = "bgpipe.formats"
COMPRESSIONS: Final = (".gz", ".bz2", ".zst", ".zstd")
"""Suffixes of compressions, which detect_by_name removes first."""
ENOUGH: Final = 16
"""This many octets identify most formats: an MRT header, a BGP marker, the start of a line."""
MAX_SNIFF: Final = 4096
"""If this many octets don't identify the format, more would not either."""
_ARCHIVES: Final = ("updates.2", "rib.2", "bview.2")
_LATEST: Final = ("latest-update", "latest-bview")
"""Names of MRT archives of RIPE RIS and RouteViews, which have no suffix."""


def builtin(name: str) -> Format:
    """The format of this name, one of BUILTIN."""
    found: Format = import_module(f"{__name__}.{name}").FORMAT
    return found


def find(name: str) -> Format:
    """The format of this name, in any case. Raises TextError."""
    lower = name.strip().lower()
    if lower in BUILTIN:
        return builtin(lower)
    entry = _entry_points().get(lower)
    if entry is None:
        raise TextError(f"unknown format {name!r}: {', '.join((*sorted(BUILTIN), *_entry_points()))} are known")
    return _load(entry)


def detect_by_name(path: str) -> Format | None:
    """The format for the suffix of a file name or URL, or for the usual names of MRT archives."""
    if "://" in path:
        path = path.partition("?")[0].partition("#")[0]
    base = path.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
    for compression in COMPRESSIONS:
        base = base.removesuffix(compression)
    for each in map(builtin, BUILTIN):
        if base.endswith(each.suffixes):
            return each
    if base.startswith(_ARCHIVES) or base in _LATEST:
        return builtin("mrt")
    return next((each for each in _others() if base.endswith(each.suffixes)), None)


def sniff(octets: bytes) -> Format | None:
    """The format of a stream that starts with these octets; a few thousand of them are enough."""
    return next((each for each in chain(map(builtin, BUILTIN), _others()) if each.sniff(octets)), None)


def detect(octets: bytes, named: Format | None, *, last: bool) -> Format | None:
    """The format of a stream: by its first octets, else the one for its name.

    None if more octets are needed. last: no more octets will come. Raises TextError if the format can't be found.
    """
    if len(octets) < ENOUGH and b"\n" not in octets and not last:
        return None
    found = named if named is not None and named.sniff(octets) else sniff(octets) or named
    if found is None and (last or len(octets) >= MAX_SNIFF):
        raise TextError("can't tell the format of the input")
    return found


def _others() -> Iterator[Format]:
    """The formats of other packages. One that can't be loaded is an error only if it is asked for by name."""
    for name in _entry_points():
        with suppress(TextError):
            yield find(name)


@lru_cache(maxsize=1)
def _entry_points() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # slow, and hardly ever needed

    return {entry.name.lower(): entry for entry in entry_points(group=ENTRY_POINTS)}


def _load(entry: EntryPoint) -> Format:
    """Raises TextError."""
    try:
        found: Any = entry.load()
        return found if isinstance(found, Format) else _adopt(entry.name, found)
    except Exception as error:
        raise TextError(f"format {entry.name!r}, from {entry.value}, can't be loaded: {error}") from error


def _adopt(name: str, brought: Any) -> Format:
    """The record of a module or class with `name`, `suffixes`, `sniff`, and classes `Decoder` and `Encoder` or None.

    Formats were added like this before there was a record. Such a Decoder is made with `on_damage` alone.
    """
    make_decoder, make_encoder = brought.Decoder, brought.Encoder

    def decoder(options: DecoderOptions) -> Decoder:
        made: Decoder = make_decoder(on_damage=options.on_damage)
        made.context = options.context
        return made

    return Format(
        name=getattr(brought, "name", name),
        suffixes=tuple(getattr(brought, "suffixes", ())),
        sniff=getattr(brought, "sniff", sniff_nothing),
        decoder=decoder if make_decoder is not None else None,
        encoder=(lambda options: _AdoptedEncoder(make_encoder(), options)) if make_encoder is not None else None,
    )


class _AdoptedEncoder(Encoder):
    """An encoder with an `encode_message` of its own, which knows nothing of reports."""

    def __init__(self, encoder: Encoder, options: EncoderOptions) -> None:
        super().__init__(on_report=options.on_report)
        self._encoder = encoder

    def encode_one(self, message: Message) -> bytes:
        return self._encoder.encode_message(message)
