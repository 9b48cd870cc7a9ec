"""What is wrong with octets, and what BGP wants done about it (RFC 4271 section 6, RFC 7606)."""

from __future__ import annotations

from enum import IntEnum


class Reaction(IntEnum):
    """How a receiver reacts to an error, mildest first (RFC 7606 section 2)."""

    ATTRIBUTE_DISCARD = 1
    TREAT_AS_WITHDRAW = 2
    SESSION_RESET = 3


class WireError(ValueError):
    """Octets that break a rule.

    code, subcode, data: what a NOTIFICATION about it says (RFC 4271 section 4.5).
    reaction: the mildest reaction that the RFCs allow.
    offset: where, in octets from the start of the thing that was decoded (a body, an attribute's value).
    """

    def __init__(
        self,
        text: str,
        *,
        code: int = 3,
        subcode: int = 1,
        data: bytes = b"",
        reaction: Reaction = Reaction.SESSION_RESET,
        offset: int | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.subcode = subcode
        self.data = data
        self.reaction = reaction
        self.offset = offset

    def __str__(self) -> str:
        return self.text if self.offset is None else f"{self.text} (at octet {self.offset})"


class ShortError(WireError):
    """Octets end before the value does."""


class TextError(ValueError):
    """Text or JSON that can't become octets: what is wrong, in one line."""
