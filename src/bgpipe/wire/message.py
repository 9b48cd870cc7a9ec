"""BGP messages: framing (RFC 4271 section 4.1), and the message that travels through a pipeline.

A message keeps its octets. It is decoded only when a property asks for it, and a message that is not changed keeps its
octets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from .body import KEEPALIVE as KEEPALIVE
from .body import NOTIFICATION as NOTIFICATION
from .body import OPEN as OPEN
from .body import ROUTE_REFRESH as ROUTE_REFRESH
from .body import TYPE_NAMES as TYPE_NAMES
from .body import UPDATE as UPDATE
from .body import format_body, update_class
from .context import AS4, MAX_EXTENDED_MESSAGE, MAX_MESSAGE, WireContext
from .context import HEADER as HEADER
from .errors import TextError, WireError
from .flags import FLAG_RIB, FLAG_TOLD
from .peer import peer_tags
from .tags import parse_tags

if TYPE_CHECKING:
    from .elem import Elem, Sender
    from .notification import Notification
    from .open import Open
    from .refresh import RouteRefresh
    from .update import Update

MARKER: Final = b"\xff" * 16

_TYPES: Final = {name: code for code, name in TYPE_NAMES.items()} | {
    "NOTIFICATION": NOTIFICATION,
    "ROUTE_REFRESH": ROUTE_REFRESH,
    "ROUTE-REFRESH": ROUTE_REFRESH,
}
MIN_LENGTH: Final[dict[int, int]] = {OPEN: 29, UPDATE: 23, NOTIFICATION: 21, KEEPALIVE: 19, ROUTE_REFRESH: 23}


class Message:
    """One BGP message.

    direction: "R" (from left to right), "L", "LR", or "?" where nothing says.
    seq: its number in its direction, from 1; 0 is none yet.
    time: microseconds since 1970 (UTC); 0 is none yet.
    type_code: the message type of RFC 4271; `type` is its name.
    body: the octets after the header.
    context: how the body is encoded.
    tags: text about the message, by name (PEER_AS, PEER_IP, ...). fragment: the same as wire.tags has it.
    action: what the JSON form calls ACTION: 0, or the sum of 1 BORROW, 2 DROP, 4 ACCEPT.
    verdict: what is known of it: flags of wire/flags.py (FLAG_CHECKED, FLAG_MALFORMED, FLAG_TOLD, FLAG_RIB).
    """

    __slots__ = (
        "_peer",
        "_tags",
        "_value",
        "action",
        "body",
        "context",
        "direction",
        "seq",
        "time",
        "type_code",
        "verdict",
    )

    def __init__(
        self,
        type_code: int,
        body: bytes = b"",
        *,
        direction: str = "?",
        seq: int = 0,
        time: int = 0,
        context: WireContext = AS4,
        tags: dict[str, str] | None = None,
        peer: bytes | None = None,
        action: int = 0,
        verdict: int = 0,
        fragment: bytes | None = None,
    ) -> None:
        self.type_code = type_code
        self.body = body
        self.direction = direction
        self.seq = seq
        self.time = time
        self.context = context
        self.action = action
        self.verdict = verdict
        self._tags: dict[str, str] | bytes | None = fragment if tags is None else tags
        self._peer = peer
        self._value: object = None

    @property
    def type(self) -> str:
        """OPEN, UPDATE, NOTIFY, KEEPALIVE, REFRESH, INVALID (0), or `Type(n)`."""
        return TYPE_NAMES.get(self.type_code) or f"Type({self.type_code})"

    @property
    def timestamp(self) -> float:
        """Seconds since 1970 (UTC)."""
        return self.time / 1e6

    @property
    def octets(self) -> bytes:
        """The whole message as it goes on the wire."""
        return MARKER + (len(self.body) + HEADER).to_bytes(2, "big") + bytes((self.type_code,)) + self.body

    @property
    def from_rib(self) -> bool:
        """Whether the message is made of entries of a RIB dump."""
        return bool(self.verdict & FLAG_RIB)

    @property
    def tags(self) -> dict[str, str]:
        tags = self._tags
        if tags is None:
            tags = self._tags = dict(peer_tags(self._peer)) if self._peer is not None else {}
        elif isinstance(tags, bytes):
            tags = self._tags = parse_tags(tags)
        return tags

    @tags.setter
    def tags(self, tags: dict[str, str]) -> None:
        self._tags = tags

    @property
    def peer(self) -> bytes | None:
        """The MRT per-peer header that the message came with (see wire.peer); None once its tags were read or set."""
        return self._peer if self._tags is None else None

    @property
    def asked_tags(self) -> dict[str, str] | None:
        """The tags, if `tags` was read or set before, so that they may have changed; otherwise None."""
        tags = self._tags
        return tags if isinstance(tags, dict) else None

    @property
    def header(self) -> bytes | None:
        """The MRT per-peer header that the message came with, whatever its tags are now."""
        return self._peer

    @property
    def update(self) -> Update:
        """The body of an UPDATE. Its properties raise WireError if it can't be decoded. Raises TypeError on another
        type."""
        if self.type_code != UPDATE:
            self._want(UPDATE)
        value = self._value
        if value is None:
            value = self._value = update_class()(self.body, self.context)
        return value  # type: ignore[return-value]

    @update.setter
    def update(self, update: Update) -> None:
        self._want(UPDATE)
        self.body = update.encode(self.context)
        self.verdict &= FLAG_TOLD | FLAG_RIB
        self._value = None

    @property
    def open(self) -> Open:
        """The body of an OPEN. Raises WireError, or TypeError on another type."""
        self._want(OPEN)
        if self._value is None:
            from .open import Open

            self._value = Open.decode(self.body)
        return self._value  # type: ignore[return-value]

    @property
    def notification(self) -> Notification:
        """The body of a NOTIFICATION. Raises WireError, or TypeError on another type."""
        self._want(NOTIFICATION)
        if self._value is None:
            from .notification import Notification

            self._value = Notification.decode(self.body)
        return self._value  # type: ignore[return-value]

    @property
    def refresh(self) -> RouteRefresh:
        """The body of a ROUTE-REFRESH. Raises WireError, or TypeError on another type."""
        self._want(ROUTE_REFRESH)
        if self._value is None:
            from .refresh import RouteRefresh

            self._value = RouteRefresh.decode(self.body)
        return self._value  # type: ignore[return-value]

    def format_json(self) -> str:
        """The body as JSON text. A body that can't be decoded is a string of its octets in hexadecimal."""
        if self.type_code != UPDATE:
            return format_body(self.type_code, self.body)
        try:
            return self.update.format_json()
        except WireError:
            return f'"0x{self.body.hex()}"'

    def elems(self) -> Iterator[Elem]:
        """One element for each announced or withdrawn prefix, as in pybgpstream and bgpkit."""
        if self.type_code != UPDATE:
            return iter(())
        from .elem import update_elems

        return update_elems(self.update, self._sender(), self.from_rib)

    def _sender(self) -> Sender:
        """The sender of the message, for its elements."""
        from .elem import sender

        return sender(self.time, peer_tags(self.peer) if self.peer is not None else self.tags)

    def _want(self, type_code: int) -> None:
        if self.type_code != type_code:
            raise TypeError(f"a message of type {self.type} has no {TYPE_NAMES[type_code]} body")

    def __repr__(self) -> str:
        return f"<Message {self.direction} {self.seq} {self.type} {len(self.body)} octets>"


def with_body(message: Message, body: bytes, verdict: int = 0) -> Message:
    """The same message with another body. verdict: flags (VERDICT_FLAGS of wire/flags.py) that say
    what is known of the new body."""
    return Message(
        message.type_code,
        body,
        direction=message.direction,
        seq=message.seq,
        time=message.time,
        context=message.context,
        tags=dict(message.tags),
        verdict=verdict,
    )


def parse_type(text: str) -> int:
    """The code of a message type: a name in any case, a number (0x.. too), or `Type(n)`. Raises TextError."""
    code = _TYPES.get(text)
    if code is not None:
        return code
    upper = text.strip().upper()
    if upper in _TYPES:
        return _TYPES[upper]
    number = upper[5:-1] if upper.startswith("TYPE(") and upper.endswith(")") else upper
    try:
        code = int(number, 16 if number.startswith("0X") else 10) if len(number) <= 4 else -1
    except ValueError:
        code = -1
    if not 0 <= code <= 255:
        names = ", ".join(name for code, name in TYPE_NAMES.items() if code)
        raise TextError(f"unknown message type {text!r}: one of {names} or a number to 255 is expected")
    return code


def check_header(octets: bytes, pos: int = 0, max_message: int = MAX_EXTENDED_MESSAGE) -> tuple[int, int]:
    """(length, type) of the message that starts at `pos`, of which at least 19 octets are there.

    Raises WireError 1/1 (marker) or 1/2 (length, RFC 4271 section 6.1). An unknown type is the caller's to judge.
    """
    if octets[pos : pos + 16] != MARKER:
        raise WireError("marker is not all ones", code=1, subcode=1, offset=pos)
    length = int.from_bytes(octets[pos + 16 : pos + 18], "big")
    type_code = octets[pos + 18]
    top = MAX_MESSAGE if type_code in (OPEN, KEEPALIVE) and max_message > MAX_MESSAGE else max_message
    if length < MIN_LENGTH.get(type_code, HEADER) or length > top or (type_code == KEEPALIVE and length != HEADER):
        raise WireError(
            f"length {length} is not possible for a message of type {TYPE_NAMES.get(type_code, type_code)}",
            code=1,
            subcode=2,
            data=octets[pos + 16 : pos + 18],
            offset=pos + 16,
        )
    return length, type_code


def split_messages(octets: bytes, pos: int = 0) -> Iterator[tuple[int, int, int]]:
    """(start, length, type) of each whole message from `pos` on. Raises WireError as check_header does."""
    end = len(octets)
    while pos + HEADER <= end:
        length, type_code = check_header(octets, pos)
        if pos + length > end:
            return
        yield pos, length, type_code
        pos += length
