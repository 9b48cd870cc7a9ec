"""What an attribute's module gives to the table of attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..context import WireContext
from ..errors import WireError


class Codec(NamedTuple):
    """Functions for the value of a path attribute, its header taken off.

    decode: octets, in number as the table says, to value; raises WireError, to which the table adds the reaction.
    encode: value to octets.
    format_json: value to JSON text; None if that would not give the same octets back.
    from_json: parsed JSON to value; raises TextError.
    check: what is wrong with a value that can be read all the same. A reaction of treat-as-withdraw in the error counts
    as it is; to others the table adds its own.
    format_members: members of the attribute's JSON object that stand beside `value`, as text; "" for none.
    apply_members: the value with what those members say, from the whole JSON object.
    """

    decode: Callable[[bytes, WireContext], Any]
    encode: Callable[[Any, WireContext], bytes]
    format_json: Callable[[Any], str | None]
    from_json: Callable[[object], Any]
    check: Callable[[Any, WireContext], WireError | None] | None = None
    format_members: Callable[[Any], str] | None = None
    apply_members: Callable[[Any, Mapping[str, object]], Any] | None = None
