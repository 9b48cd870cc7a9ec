"""Messages to JSON lines; json.py says what is in a line."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

from .. import accel
from ..wire.attrs.attribute import Attribute
from ..wire.block import Block
from ..wire.flags import CONTEXTS
from ..wire.item import Item
from ..wire.message import Message
from . import base
from .base import OnReport, encode_block
from .json_meta import format_meta

_json_out: Any = getattr(accel, "json_out", None)


class JsonEncoder(base.Encoder):
    """Messages to lines, of ASCII alone."""

    short = False
    """whether times have milliseconds only, and nothing is said of RIBs"""

    def __init__(self, *, on_report: OnReport | None = None) -> None:
        super().__init__(on_report=on_report)
        self._time = 0
        self._time_text = "1970-01-01T00:00:00.000"
        self._show = None if self.short else format_attribute

    def encode(self, item: Item) -> bytes:
        if isinstance(item, Block) and _json_out is not None:
            encode = partial(_json_out.encode, short=self.short, tags=item.tags, show=self._show)
            return encode_block(item, encode, self.encode_message)
        return super().encode(item)

    def encode_unchecked(self, block: Block) -> tuple[bytes, list[Message]]:
        if _json_out is None:
            messages = list(block)
            return b"".join(map(self.encode_message, messages)), messages
        unchecked: list[Message] = []
        encode = partial(_json_out.encode, short=self.short, tags=block.tags, checks=True, show=self._show)
        return encode_block(block, encode, self.encode_message, unchecked), unchecked

    def encode_one(self, message: Message) -> bytes:
        time = message.time
        if time != self._time:
            self._time = time
            self._time_text = format_time(time)
        body = message.format_json()
        head = f'["{message.direction}",{message.seq},"{self._time_text}","{message.type}"'
        return f"{head},{body},{format_meta(message, body)}]\n".encode()


@lru_cache(maxsize=16384)
def format_attribute(flags: int, code: int, octets: bytes, context: int) -> bytes:
    """A path attribute as JSON, for accel; nothing if it is malformed, or the meaning of WIRE depends on it."""
    attribute = Attribute(flags, code, octets, CONTEXTS[context])
    if attribute.error() is not None:
        return b""
    text = attribute.format_json()
    return b"" if '"AS4' in text else text.encode()


def format_time(time: int) -> str:
    """Microseconds since 1970 as text, in three digits after the point or, if need be, six."""
    second, micros = divmod(time, 1_000_000)
    fraction = f"{micros:06d}" if micros % 1000 else f"{micros // 1000:03d}"
    return f"{_format_second(second)}.{fraction}"


@lru_cache(maxsize=1024)
def _format_second(second: int) -> str:
    from datetime import UTC, datetime, timedelta  # only then, for a quick start

    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).isoformat()[:19]
