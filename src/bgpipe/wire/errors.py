"""Errors in octets and in text, and the reactions to malformed UPDATEs (RFC 4271 section 6, RFC 7606)."""

from __future__ import annotations

from enum import IntEnum


class Reaction(IntEnum):
    """The reactions to a malformed UPDATE, the mildest first (RFC 7606 section 2)."""

    ATTRIBUTE_DISCARD = 1
    TREAT_AS_WITHDRAW = 2
    SESSION_RESET = 3


class WireError(ValueError):
    """An error in octets.

    code, subcode, data: those of the NOTIFICATION for this error (RFC 4271 section 4.5). reaction: the mildest reaction
    that the RFCs allow. offset: octets from the start of what was decoded (a body, or the value of an attribute).
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
    """An error in text or JSON; its text says in one line what is wrong."""
