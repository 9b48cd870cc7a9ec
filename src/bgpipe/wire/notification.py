"""The NOTIFICATION message (RFC 4271 section 4.5): an error, after which the session ends.

JSON: `{"code":6,"subcode":2,"name":"Cease/Administrative Shutdown","text":"back at 10:00"}`. `text` is the shutdown
communication of RFC 9003, `reset` the notification inside a Hard Reset (RFC 8538), of the same form; data that is
exactly neither is shown as `"data":"0x.."`. `name` is for people and is ignored on input.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .context import MAX_EXTENDED_MESSAGE
from .errors import TextError, WireError
from .hexadecimal import format_hex, parse_hex

OPEN_ERROR: Final = 2
HOLD_TIMER_EXPIRED: Final = 4
CEASE: Final = 6
UNSUPPORTED_PARAMETER: Final = 4
UNSUPPORTED_CAPABILITY: Final = 7
ROLE_MISMATCH: Final = 11
"""Subcodes of an OPEN Message Error, code 2."""
MAX_PREFIXES: Final = 1
ADMINISTRATIVE_SHUTDOWN: Final = 2
ADMINISTRATIVE_RESET: Final = 4
CONNECTION_REJECTED: Final = 5
COLLISION: Final = 7
OUT_OF_RESOURCES: Final = 8
HARD_RESET: Final = 9

NAMES: Final[dict[int, tuple[str, dict[int, str]]]] = {
    1: (
        "Message Header Error",
        {1: "Connection Not Synchronized", 2: "Bad Message Length", 3: "Bad Message Type"},
    ),
    OPEN_ERROR: (
        "OPEN Message Error",
        {
            1: "Unsupported Version Number",
            2: "Bad Peer AS",
            3: "Bad BGP Identifier",
            UNSUPPORTED_PARAMETER: "Unsupported Optional Parameter",
            5: "Authentication Failure",  # deprecated
            6: "Unacceptable Hold Time",
            UNSUPPORTED_CAPABILITY: "Unsupported Capability",  # RFC 5492
            ROLE_MISMATCH: "Role Mismatch",  # RFC 9234
        },
    ),
    3: (
        "UPDATE Message Error",
        {
            1: "Malformed Attribute List",
            2: "Unrecognized Well-known Attribute",
            3: "Missing Well-known Attribute",
            4: "Attribute Flags Error",
            5: "Attribute Length Error",
            6: "Invalid ORIGIN Attribute",
            7: "AS Routing Loop",  # deprecated
            8: "Invalid NEXT_HOP Attribute",
            9: "Optional Attribute Error",
            10: "Invalid Network Field",
            11: "Malformed AS_PATH",
        },
    ),
    HOLD_TIMER_EXPIRED: ("Hold Timer Expired", {}),
    5: (
        "Finite State Machine Error",
        {  # RFC 6608
            1: "Receive Unexpected Message in OpenSent State",
            2: "Receive Unexpected Message in OpenConfirm State",
            3: "Receive Unexpected Message in Established State",
        },
    ),
    CEASE: (
        "Cease",
        {  # RFC 4486
            MAX_PREFIXES: "Maximum Number of Prefixes Reached",
            ADMINISTRATIVE_SHUTDOWN: "Administrative Shutdown",
            3: "Peer De-configured",
            ADMINISTRATIVE_RESET: "Administrative Reset",
            CONNECTION_REJECTED: "Connection Rejected",
            6: "Other Configuration Change",
            COLLISION: "Connection Collision Resolution",
            8: "Out of Resources",
            HARD_RESET: "Hard Reset",  # RFC 8538
            10: "BFD Down",  # RFC 9384
        },
    ),
    7: ("ROUTE-REFRESH Message Error", {1: "Invalid Message Length"}),  # RFC 7313
    8: ("Send Hold Timer Expired", {}),  # RFC 9687
}


class Notification(NamedTuple):
    """The body of a NOTIFICATION."""

    code: int
    subcode: int = 0
    data: bytes = b""

    @classmethod
    def decode(cls, body: bytes) -> Notification:
        """A NOTIFICATION from the octets of its body. Raises WireError with code 1, subcode 2."""
        if len(body) < 2:
            raise WireError(f"NOTIFICATION of {len(body)} octets, at least 2 expected", code=1, subcode=2)
        return cls(body[0], body[1], body[2:])

    def encode(self) -> bytes:
        return bytes((self.code, self.subcode)) + self.data

    @classmethod
    def of(cls, error: WireError) -> Notification:
        """The NOTIFICATION that a speaker sends for an error (RFC 4271 section 6)."""
        return cls(error.code, error.subcode, error.data)

    @classmethod
    def shutdown(cls, text: str = "", subcode: int = ADMINISTRATIVE_SHUTDOWN) -> Notification:
        """Cease, with a shutdown communication (RFC 9003). Raises TextError if it has more than 255 octets."""
        octets = text.encode()
        if len(octets) > 255:
            raise TextError(f"shutdown communication of {len(octets)} octets, at most 255 fit")
        return cls(CEASE, subcode, bytes((len(octets),)) + octets)

    @property
    def name(self) -> str:
        """Code and subcode in words, or as numbers if they have no name."""
        title, subtitles = NAMES.get(self.code, (f"Code {self.code}", {}))
        subtitle = subtitles.get(self.subcode) or (f"Subcode {self.subcode}" if self.subcode else "")
        return f"{title}/{subtitle}" if subtitle else title

    @property
    def text(self) -> str | None:
        """The shutdown communication (RFC 9003); None if the data is something else."""
        if self.code != CEASE or self.subcode not in (ADMINISTRATIVE_SHUTDOWN, ADMINISTRATIVE_RESET) or not self.data:
            return None
        if self.data[0] != len(self.data) - 1:
            return None
        try:
            return self.data[1:].decode()
        except UnicodeDecodeError:
            return None

    @property
    def reset(self) -> Notification | None:
        """The NOTIFICATION inside a Hard Reset (RFC 8538 section 3); None if there is none."""
        if (self.code, self.subcode) != (CEASE, HARD_RESET) or len(self.data) < 2:
            return None
        return Notification.decode(self.data)

    def __str__(self) -> str:
        return f"{self.name}: {self.text}" if self.text else self.name

    def to_json(self, nested: bool = False) -> dict[str, object]:
        """The JSON form. nested: this one is inside a Hard Reset, so a Hard Reset in it is shown as data."""
        shown: dict[str, object] = {"code": self.code, "subcode": self.subcode, "name": self.name}
        text, reset = self.text, None if nested else self.reset
        if text is not None:
            shown["text"] = text
        elif reset is not None:
            shown["reset"] = reset.to_json(nested=True)
        elif self.data:
            shown["data"] = format_hex(self.data)
        return shown

    def format_json(self) -> str:
        from json import dumps

        return dumps(self.to_json(), separators=(",", ":"))

    @classmethod
    def from_json(cls, shown: object, nested: bool = False) -> Notification:
        """A NOTIFICATION from its JSON: `code`, and at most one of `data`, `text` and `reset`. Raises TextError."""
        if not isinstance(shown, dict):
            raise TextError('NOTIFY: an object is expected, as in {"code":6,"subcode":2}')
        code, subcode = _octet(shown.get("code")), _octet(shown.get("subcode", 0))
        given = [key for key in ("text", "reset", "data") if shown.get(key) is not None]
        if len(given) > 1:
            raise TextError(f"NOTIFY: {' and '.join(given)} exclude each other")
        value = shown[given[0]] if given else ""
        if given == ["reset"]:
            if (code, subcode) != (CEASE, HARD_RESET) or nested:
                raise TextError(f"NOTIFY: only code {CEASE} and subcode {HARD_RESET} can have a reset, and not twice")
            return cls(code, subcode, cls.from_json(value, nested=True).encode())
        if not isinstance(value, str):
            raise TextError(f"NOTIFY: {given[0]} must be a string")
        if given == ["text"]:
            if code != CEASE or subcode not in (ADMINISTRATIVE_SHUTDOWN, ADMINISTRATIVE_RESET):
                raise TextError(f"NOTIFY: only code {CEASE} with subcode 2 or 4 can have a text")
            return cls.shutdown(value, subcode)
        data = parse_hex(value)
        if len(data) > MAX_EXTENDED_MESSAGE - 21:
            raise TextError(f"NOTIFY: data of {len(data)} octets don't fit")
        return cls(code, subcode, data)


def _octet(value: object) -> int:
    if type(value) is not int or not 0 <= value <= 255:
        raise TextError("NOTIFY: code and subcode must be numbers from 0 to 255")
    return value
