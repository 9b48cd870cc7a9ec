"""Bodies of messages by type: their JSON text, and octets from JSON.

This module knows the bodies of all types. The module for a type is imported when the first message of that type comes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from .context import AS4, HEADER, MAX_EXTENDED_MESSAGE, WireContext
from .errors import TextError, WireError
from .hexadecimal import parse_hex

if TYPE_CHECKING:
    from .update import Update

OPEN: Final = 1
UPDATE: Final = 2
NOTIFICATION: Final = 3
KEEPALIVE: Final = 4
ROUTE_REFRESH: Final = 5

TYPE_NAMES: Final[dict[int, str]] = {
    0: "INVALID",
    OPEN: "OPEN",
    UPDATE: "UPDATE",
    NOTIFICATION: "NOTIFY",
    KEEPALIVE: "KEEPALIVE",
    ROUTE_REFRESH: "REFRESH",
}


@lru_cache(maxsize=1)
def update_class() -> type[Update]:
    """The class Update, imported when the first UPDATE is decoded. The cache is here because even a repeated import
    statement costs as much as decoding an attribute."""
    from .update import Update

    return Update


def format_body(type_code: int, body: bytes) -> str:
    """The body of any message but an UPDATE as JSON text: hexadecimal digits if it can't be decoded."""
    try:
        if type_code == OPEN:
            from .open import Open

            message = Open.decode(body, strict=False)
            if message.encode() == body:
                return message.format_json()
        elif type_code == NOTIFICATION:
            from .notification import Notification

            return Notification.decode(body).format_json()
        elif type_code == ROUTE_REFRESH:
            from .refresh import RouteRefresh

            return RouteRefresh.decode(body).format_json()
        elif type_code == KEEPALIVE and not body:
            return "null"
    except (WireError, TextError):
        pass
    return f'"0x{body.hex()}"'


def body_from_json(type_code: int, value: object, context: WireContext = AS4) -> bytes:
    """The body that Message.format_json shows as `value`. Raises TextError."""
    name = TYPE_NAMES.get(type_code, f"Type({type_code})")
    if isinstance(value, str):
        if not value and type_code == NOTIFICATION:  # the Go bgpipe writes it so, without code and subcode
            raise TextError('NOTIFY: code and subcode are missing, as in {"code":6,"subcode":2}')
        body = parse_hex(value)
    elif value is None and type_code not in (UPDATE, OPEN):
        body = b""
    elif type_code == UPDATE:
        body = update_class().from_json({} if value is None else value, context)
    elif type_code == OPEN:
        from .open import Open

        body = Open.from_json(value).encode()
    elif type_code == NOTIFICATION:
        from .notification import Notification

        body = Notification.from_json(value).encode()
    elif type_code == ROUTE_REFRESH:
        from .refresh import RouteRefresh

        body = RouteRefresh.from_json(value).encode()
    else:
        raise TextError(f"{name}: the body must be a string of octets in hexadecimal")
    if len(body) > MAX_EXTENDED_MESSAGE - HEADER:
        raise TextError(f"{name}: {len(body)} octets are more than a message can hold")
    return body
