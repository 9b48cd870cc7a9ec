"""JSON lines: one array for each message, `[dir, seq, "time", "TYPE", body, meta]`.

dir: "R", "L", "LR" or "?". seq: number of the message in its direction. time: UTC, `YYYY-MM-DDTHH:MM:SS.mmm`, with
six digits where milliseconds don't say it all; 1970 and what is no string are "no time". TYPE: OPEN UPDATE NOTIFY
KEEPALIVE REFRESH INVALID, `Type(n)`, or STATE for a state change of an MRT archive. body: by type, a string is the
whole body in hexadecimal.
meta: tags, and the keys ACTION and WIRE (see json_meta).

A line may end early; null means nothing is said. A line that is an object is the body of an UPDATE. Empty lines and
lines that start with # are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from .. import accel
from ..wire.block import Block
from ..wire.body import body_from_json
from ..wire.context import AS4, WireContext
from ..wire.errors import TextError
from ..wire.flags import FLAG_RIB
from ..wire.item import Item
from ..wire.message import UPDATE, Message, parse_type
from ..wire.peer import order_tags
from ..wire.state import BMP, STATE, StateChange, parse_state
from .base import Damage, EncoderOptions, Format, ignore_damage, ignore_note
from .json_encoder import JsonEncoder
from .json_meta import context_of, parse_action, parse_wire, says_rib, says_width
from .lines import MAX_LINE, LineDecoder

_json_in: Any = getattr(accel, "json_in", None)
_DIRECTIONS: Final = {"R": "R", "L": "L", "LR": "LR", "RL": "LR", "?": "?", "": "?"}
_BINARY: Final = rb"[\x00-\x08\x0b\x0c\x0e-\x1f]"
_TIME: Final = r"(?a:(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{3}(?:\d{3})?))"
"""These are compiled when they are first used, for a quick start."""


def sniff(octets: bytes) -> bool:
    """Whether the first line that is no comment is an array or an object, and the octets are text."""
    text = octets.removeprefix(b"\xef\xbb\xbf").lstrip()
    while text[:1] == b"#":
        text = text.partition(b"\n")[2].lstrip()
    return text[:1] in (b"[", b"{") and not re.search(_BINARY, octets[:64])


class JsonDecoder(LineDecoder):
    """Decodes lines to messages. A line that can't be decoded is one damage, and only that line is lost.

    context: for the octets of messages whose line does not say it: see json_meta. Families whose prefixes have path
    identifiers are encoded with them. on_note: called once, if a body has an unknown key.
    max_line: octets of the longest line that is read.
    """

    def __init__(
        self,
        *,
        on_damage: Callable[[Damage], None] = ignore_damage,
        on_note: Callable[[str], None] = ignore_note,
        context: WireContext = AS4,
        max_line: int = MAX_LINE,
    ) -> None:
        # it imports msgspec, which a program that only writes JSON does not need
        from .json_line import parse_attribute, parse_line, unknown_key

        super().__init__(on_damage=on_damage, context=context, max_line=max_line)
        self._parse_line = parse_line
        self._unknown_key = unknown_key
        self._parse_attribute = parse_attribute
        self.on_note = on_note
        self._told = False
        """An unknown key was told."""
        self._second = ""
        self._second_time = 0

    def read_lines(self, lines: bytes) -> Iterator[Item]:
        json_in = _json_in if self.context == AS4 else None
        pos, end = 0, len(lines)
        while pos < end:
            if json_in is not None:
                octets, index, stop, tags = json_in.decode(lines, pos, self._parse_attribute)
                if stop > pos:
                    block = Block(octets, index, tags)
                    self.line += len(block)
                    self.counts.records += len(block)
                    self.counts.messages += len(block)
                    pos = stop
                    if len(block):
                        yield block
                    continue
            stop = lines.find(b"\n", pos) + 1 or end
            message = self.read_line(lines[pos:stop])
            pos = stop
            if message is not None:
                yield message

    def decode_line(self, text: bytes) -> Message:
        line = self._parse_line(text)
        direction = _DIRECTIONS.get(line.direction or "")
        if direction is None:
            direction = _DIRECTIONS.get((line.direction or "").upper())
            if direction is None:
                raise TextError(f"unknown direction {line.direction!r}; R, L or LR is expected")
        seq = line.seq if type(line.seq) is int and 0 <= line.seq < 1 << 63 else 0
        time = self._parse_time(line.time) if line.time and isinstance(line.time, str) else 0
        tags = order_tags(line.meta) if line.meta else {}
        action = parse_action(tags.pop("ACTION")) if "ACTION" in tags else 0
        wire = tags.pop("WIRE", "")
        context = parse_wire(wire, self.context) if wire else self.context
        type_code = _type_code(line.type)
        if type_code == STATE:
            old, new = _parse_states(line.body)
            return StateChange(
                old, new, direction=direction, seq=seq, time=time, context=context, tags=tags, action=action
            )
        if type_code == BMP:
            from ..wire.bmp import BmpMessage, bmp_from_json

            body = bmp_from_json(line.body)
            return BmpMessage(body, direction=direction, seq=seq, time=time, context=context, tags=tags, action=action)
        if isinstance(line.body, dict):
            if type_code == UPDATE:
                context = context_of(
                    line.body, context, said=says_width(wire), path_ids=b'"#' in text or b'"id"' in text
                )
            self._tell_unknown(type_code, line.body)
        return Message(
            type_code,
            body_from_json(type_code, line.body, context),
            direction=direction,
            seq=seq,
            time=time,
            context=context,
            tags=tags,
            action=action,
            verdict=FLAG_RIB if wire and type_code == UPDATE and says_rib(wire) else 0,
        )

    def _tell_unknown(self, type_code: int, body: dict[str, Any]) -> None:
        """Reports an unknown key once. It is no damage: other programs may use it."""
        if not self._told and (key := self._unknown_key(type_code, body)):
            self._told = True
            self.on_note(
                f"line {self.line}: unknown key {key!r} in a body is ignored; further unknown keys are not reported"
            )

    def _parse_time(self, text: str) -> int:
        """As parse_time, faster within one second."""
        fraction = text[20:]
        if text[:20] == self._second and len(fraction) == 3 and fraction.isascii() and fraction.isdigit():
            return self._second_time + int(fraction) * 1000
        time = parse_time(text)
        self._second, self._second_time = text[:20], time - time % 1_000_000
        return time


def parse_time(text: str) -> int:
    """Text as microseconds since 1970; earlier times, such as the original's year 1, are 0. Raises TextError."""
    match = re.fullmatch(_TIME, text)
    if match is not None:
        from datetime import UTC, datetime, timedelta  # only then, for a quick start

        try:
            second = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
        except ValueError:
            pass
        else:
            return max(
                (second - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) + int(match[2].ljust(6, "0")),
                0,
            )
    raise TextError(f"not a time: {text[:40]!r}; YYYY-MM-DDTHH:MM:SS.mmm is expected (UTC)")


def _type_code(found: int | str | None) -> int:
    """Of the fourth element. Raises TextError."""
    if not isinstance(found, int):
        return _parse_type(found or "KEEPALIVE")
    if not 0 <= found <= 255:
        raise TextError(f"message type {found}; 0 to 255 is expected")
    return found


@lru_cache(maxsize=64)
def _parse_type(text: str) -> int:
    return {"STATE": STATE, "BMP": BMP}.get(text.upper()) or parse_type(text)


def _parse_states(body: object) -> tuple[int, int]:
    if not isinstance(body, dict):
        raise TextError('STATE: an object is expected, as in {"old":"ESTABLISHED","new":"IDLE"}')
    return parse_state(body.get("old")), parse_state(body.get("new"))


def _make_encoder(options: EncoderOptions) -> JsonEncoder:
    if options.compat:
        from .json_go import GoEncoder

        return GoEncoder(on_report=options.on_report)
    return JsonEncoder(on_report=options.on_report)


FORMAT: Final = Format(
    name="json",
    suffixes=(".json", ".jsonl", ".txt"),
    sniff=sniff,
    decoder=lambda options: JsonDecoder(on_damage=options.on_damage, on_note=options.on_note, context=options.context),
    encoder=_make_encoder,
    compat=("go",),
    text=True,
    says_direction=True,
    says_context=True,
    checks=True,
)
