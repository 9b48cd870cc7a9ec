"""Options that choose by message type and format, shared by all stages that read or write a stream."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from ...pipeline.errors import ConfigError
from ...wire.errors import TextError
from ...wire.message import parse_type
from ...wire.state import BMP

ALL_TYPES: Final = frozenset(range(BMP + 1))
"""All message types, and state changes and messages of BMP, which travel like messages."""


def chosen_types(only: Sequence[str], skip: Sequence[str]) -> Collection[int] | None:
    """The message types that --type and --skip leave, None for all. A type in both is skipped. Raises ConfigError."""
    if not only and not skip:
        return None
    try:
        wanted = frozenset(map(parse_type, only)) if only else ALL_TYPES
        return wanted - frozenset(map(parse_type, skip))
    except TextError as error:
        raise ConfigError(str(error)) from None
