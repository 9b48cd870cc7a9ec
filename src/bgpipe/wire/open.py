"""The OPEN message (RFC 4271 section 4.2), its optional parameters (RFC 9072) and capabilities (RFC 5492).

JSON: `{"bgp":4,"asn":65001,"id":"192.0.2.1","hold":90,"caps":{...}}`. `asn` is the 2-octet field.

The wire has several ways to write the same capabilities: all in one parameter or each in its own, in the ordinary or
the extended form, a list of families in any order. Where the octets are not those that we would make of `caps`, they
are shown beside it, as `"params":"0x.."` (what follows the length octet). On input `params` counts as long as it
still says the same as `caps`; once somebody has edited `caps`, that counts. Parameters that can't be read at all are
shown as `params` alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from . import caps
from .address import format_address, parse_address
from .caps import Capability
from .context import MAX_MESSAGE
from .cursor import Cursor
from .errors import ShortError, TextError, WireError
from .family import IPV4_UNICAST, Family
from .hexadecimal import format_hex, parse_hex

VERSION: Final = 4
AS_TRANS: Final = 23456
"""Stands for an AS number that doesn't fit in 2 octets (RFC 6793)."""
CAPABILITIES: Final = 2
"""The only optional parameter that is in use (RFC 5492)."""
EXTENDED: Final = 255
"""As parameter type, a mark of the extended form (RFC 9072)."""
FIXED: Final = 10
"""Octets of an OPEN body without parameters."""


@dataclass(frozen=True, slots=True)
class Open:
    """The body of an OPEN.

    my_as: the 2-octet field My Autonomous System; `asn` is the AS number that counts.
    hold_time: seconds. bgp_id: the BGP Identifier, as `192.0.2.1`.
    capabilities: in the order of the wire.
    params: the optional parameters as they came, if they are not what we would make of `capabilities`.
    """

    my_as: int = 0
    hold_time: int = 0
    bgp_id: str = "0.0.0.0"
    capabilities: tuple[Capability, ...] = ()
    params: bytes | None = None

    @classmethod
    def decode(cls, body: bytes, *, strict: bool = True) -> Open:
        """An OPEN from the octets of its body. Raises WireError with code 2 (RFC 4271 section 6.2).

        Not `strict`: a capability with a bad value, or parameters that can't be read, are kept and raise nothing.
        """
        if len(body) < FIXED:
            raise ShortError(f"OPEN of {len(body)} octets, at least {FIXED} expected", code=1, subcode=2)
        if body[0] != VERSION:
            raise WireError(f"BGP version {body[0]}, 4 expected", code=2, subcode=1, data=b"\0\x04", offset=0)
        size, params = body[9], body[FIXED:]
        extended = size and params[:1] == b"\xff"  # whatever else the length octet says (RFC 9072 section 2)
        if size != len(params) and not extended:
            raise WireError(
                f"optional parameters of {len(params)} octets, length says {size}", code=2, subcode=0, offset=9
            )
        capabilities: tuple[Capability, ...] = ()
        try:
            capabilities = decode_params(params)
            if strict:
                check_capabilities(capabilities)
        except WireError:
            if strict:
                raise
        return cls(
            int.from_bytes(body[1:3], "big"),
            int.from_bytes(body[3:5], "big"),
            format_address(body[5:9]),
            capabilities,
            None if params == encode_params(capabilities) else params,
        )

    def encode(self) -> bytes:
        """The octets of the body. Raises TextError if the capabilities don't fit in an OPEN."""
        params = encode_params(self.capabilities) if self.params is None else self.params
        extended = params[:1] == b"\xff"
        if len(params) > MAX_MESSAGE - 19 - FIXED or (len(params) > 255 and not extended):
            raise TextError(f"OPEN: optional parameters of {len(params)} octets don't fit")
        return b"".join(
            (
                bytes((VERSION,)),
                self.my_as.to_bytes(2, "big"),
                self.hold_time.to_bytes(2, "big"),
                parse_address(self.bgp_id),
                bytes((EXTENDED if extended else len(params),)),
                params,
            )
        )

    @property
    def asn(self) -> int:
        """The AS number of the speaker: from the AS4 capability (RFC 6793), or from the field if there is none."""
        found = [value for value in self.values(caps.AS4) if len(value) == 4]
        return caps.as4.decode(found[-1]) if found else self.my_as

    @property
    def families(self) -> list[Family]:
        """The families of the MP capabilities; IPv4 unicast if there are none (RFC 4760 section 8)."""
        found = [caps.mp.decode(value) for value in self.values(caps.MP) if len(value) == 4]
        return list(dict.fromkeys(found)) or [IPV4_UNICAST]

    @property
    def role(self) -> int | None:
        """The BGP role (RFC 9234), None if there is no such capability."""
        found = [value for value in self.values(caps.ROLE) if len(value) == 1]
        return found[-1][0] if found else None

    @property
    def readable(self) -> bool:
        """Whether all optional parameters could be read, so that `capabilities` are all of them."""
        return self.params is None or _readable(self.params)

    def has(self, code: int) -> bool:
        """Whether there is a capability of this code."""
        return any(capability.code == code for capability in self.capabilities)

    def values(self, code: int) -> list[bytes]:
        """The values of all capabilities of this code."""
        return caps.values(self.capabilities, code)

    def with_capabilities(self, capabilities: Sequence[Capability]) -> Open:
        """The same OPEN with other capabilities."""
        return replace(self, capabilities=tuple(capabilities), params=None)

    def check(self, *, allow_as0: bool = False) -> None:
        """Raises WireError with code 2 if no session can start with this OPEN (RFC 4271 section 6.2).

        allow_as0: AS number 0 is no error, against RFC 7607. An archive may well hold an OPEN that can't start a
        session, so decoding lets it pass.
        """
        if (self.asn == 0 or self.my_as == 0) and not allow_as0:
            raise WireError("AS number 0", code=2, subcode=2)  # RFC 7607
        if self.bgp_id == "0.0.0.0":
            raise WireError("BGP identifier 0.0.0.0", code=2, subcode=3)  # RFC 6286
        if self.hold_time in (1, 2):
            raise WireError(f"hold time of {self.hold_time} s, 0 or at least 3 expected", code=2, subcode=6)
        if len(set(self.values(caps.ROLE))) > 1:
            raise WireError("ROLE capabilities that differ", code=2, subcode=11)  # RFC 9234 section 4.2
        check_capabilities(self.capabilities)

    def to_json(self) -> dict[str, object]:
        shown: dict[str, object] = {"bgp": VERSION, "asn": self.my_as, "id": self.bgp_id, "hold": self.hold_time}
        if not self.readable:
            return shown | {"params": format_hex(self.params or b"")}
        shown["caps"] = found = caps.to_json(self.capabilities)
        params = encode_params(self.capabilities) if self.params is None else self.params
        if params != encode_params(caps.from_json(found)):
            shown["params"] = format_hex(params)
        return shown

    def format_json(self) -> str:
        return json.dumps(self.to_json(), separators=(",", ":"))

    @classmethod
    def from_json(cls, shown: object) -> Open:
        """An OPEN from its JSON form. Missing keys get defaults, unknown keys are ignored. Raises TextError.

        `asn` may need 4 octets: then the field says AS_TRANS, and an AS4 capability is added if there is none.
        """
        if not isinstance(shown, dict):
            raise TextError("OPEN: an object or a string of octets in hexadecimal is expected")
        if shown.get("bgp", VERSION) != VERSION:
            raise TextError(f"OPEN: bgp must be {VERSION}")
        bgp_id = shown.get("id") or "0.0.0.0"
        if not isinstance(bgp_id, str) or len(parse_address(bgp_id)) != 4:
            raise TextError(f"OPEN: id must be like 192.0.2.1, not {bgp_id!r}")
        asn = _integer(shown, "asn", 0xFFFFFFFF)
        hold_time = _integer(shown, "hold", 0xFFFF)
        given = shown.get("caps")
        text = shown.get("params")
        if text is not None and not isinstance(text, str):
            raise TextError("OPEN: params must be a string of octets in hexadecimal")
        params = None if text is None else parse_hex(text)

        spelled = decode_params(params) if params is not None and _readable(params) else None
        capabilities = (
            spelled if spelled is not None and given is None else caps.from_json({} if given is None else given)
        )
        if asn > 0xFFFF and not any(capability.code == caps.AS4 for capability in capabilities):
            capabilities += (Capability(caps.AS4, caps.as4.encode(asn)),)
        if spelled is not None and caps.to_json(spelled) == caps.to_json(capabilities):
            capabilities = spelled
        elif spelled is not None or given is not None:
            params = None
        if params == encode_params(capabilities):
            params = None
        message = cls(asn if asn <= 0xFFFF else AS_TRANS, hold_time, bgp_id, capabilities, params)
        message.encode()  # raises if it is too long
        return message


def decode_params(params: bytes) -> tuple[Capability, ...]:
    """The capabilities in optional parameters. Raises WireError 2/0 (malformed) or 2/4 (another kind of parameter)."""
    cursor = Cursor(params)
    capabilities: list[Capability] = []
    try:
        extended = params[:1] == b"\xff"
        if extended:  # a mark, then the length in 2 octets, which every parameter has too
            cursor.u8()
            if cursor.u16() != cursor.left:
                raise WireError("length of extended optional parameters is wrong", code=2, subcode=0, offset=1)
        while cursor.left:
            start = cursor.pos
            kind = cursor.u8()
            value = cursor.sub(cursor.u16() if extended else cursor.u8())
            if kind != CAPABILITIES:
                raise WireError(f"optional parameter of type {kind}", code=2, subcode=4, offset=start)
            capabilities += caps.decode(value)
    except ShortError as error:
        raise WireError(
            f"optional parameters are cut short: {error.text}", code=2, subcode=0, offset=error.offset
        ) from None
    return tuple(capabilities)


def encode_params(capabilities: Sequence[Capability]) -> bytes:
    """Optional parameters: one that holds all capabilities, in the extended form if they need it; none for none.

    Raises TextError if they fit in neither.
    """
    octets = caps.encode(capabilities)
    size = len(octets)
    if size + 3 > 0xFFFF:
        raise TextError(f"capabilities of {size} octets don't fit into an OPEN")
    if not octets:
        return b""
    if size + 2 <= 255:
        return bytes((CAPABILITIES, size)) + octets
    return (
        bytes((EXTENDED,)) + (size + 3).to_bytes(2, "big") + bytes((CAPABILITIES,)) + size.to_bytes(2, "big") + octets
    )


def check_capabilities(capabilities: Sequence[Capability]) -> None:
    """Raises WireError 2/0 for a value that can't be read, unless the capability's RFC wants it ignored."""
    for code, value in capabilities:
        row = caps.TABLE.get(code)
        if row is not None and row.form is not None:
            try:
                row.form.decode(value)
            except WireError as error:
                if error.reaction is error.reaction.SESSION_RESET:
                    raise


def _readable(params: bytes) -> bool:
    try:
        decode_params(params)
    except WireError:
        return False
    return True


def _integer(shown: dict[str, object], key: str, top: int) -> int:
    value = shown.get(key)
    if value is None:
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        value = int(value)
    if type(value) is not int or not 0 <= value <= top:
        raise TextError(f"OPEN: {key} must be a number from 0 to {top}")
    return value
