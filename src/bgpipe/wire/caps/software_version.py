"""Software version (draft-ietf-idr-software-version): a text about the speaker.

JSON: {"version":"FRRouting/10.2.1"}. The text is UTF-8; octets that are not, and a text that would be taken for them,
are shown in hexadecimal.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..attrs.parts import format_words, parse_words
from ..errors import TextError
from .entries import check_object, ignored


def decode(value: bytes) -> bytes:
    """The text. Raises WireError."""
    if not value or len(value) != 1 + value[0]:
        raise ignored(f"VERSION capability of {len(value)} octets, with a length that says another number")
    return value[1:]


def to_json(values: Sequence[bytes]) -> object:
    """Of several, the last counts."""
    return {"version": format_words([decode(value) for value in values][-1])}


def from_json(value: object) -> list[bytes]:
    version = check_object("VERSION", value, {"version"}, '{"version":"FRRouting/10.2.1"}')["version"]
    if not isinstance(version, str):
        raise TextError(f"VERSION: version must be a string, not {version!r}")
    try:
        octets = parse_words(version)
    except TextError as error:
        raise TextError(f"VERSION: {error}") from None
    if len(octets) > 254:
        raise TextError(f"VERSION: {len(octets)} octets are more than 254")
    return [bytes((len(octets),)) + octets]
