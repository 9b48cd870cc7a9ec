"""What the module of a family gives to the table of families."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Members = dict[str, Any]
"""The members of the JSON object of one NLRI."""


class NlriCodec(NamedTuple):
    """Functions for one NLRI of a family, its path identifier taken off, its header (type, length) included.

    to_json: octets to members. What they leave out, such as bits behind a mask, must not matter for what the route is:
    the table compares, and shows octets that would not come back as such. Raises WireError.
    from_json: members to octets. Raises TextError.
    typed: an NLRI is a type and a length, of an octet each, and a value. One that can't be shown is then
    {"type":8,"value":"0x..."}, else {"value":"0x..."} with all its octets.
    style, layouts: for accel. What stands before the parts: "typed" as above, "counted" a length of two octets, "bits"
    a length in bits of one. By type or by the octets of all parts: the name ("" if there is none) and the parts.
    """

    to_json: Callable[[bytes], Members]
    from_json: Callable[[Mapping[str, object]], bytes]
    typed: bool = False
    style: str = ""
    layouts: Mapping[int, tuple[str, Sequence[Any]]] = {}
