"""Path attributes (RFC 4271 section 5): one module each, and the one table of them all.

Where do I add an attribute? A module with a CODEC, and its row here. A module is imported when an attribute of its
kind is first looked at: what only asks for names and flags, such as accel, doesn't wait for all of them.
"""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Final

from ... import accel
from ..errors import Reaction, TextError
from .lengths import Lengths

if TYPE_CHECKING:
    from .codec import Codec

OPTIONAL: Final = 0x80
TRANSITIVE: Final = 0x40
PARTIAL: Final = 0x20
EXTENDED_LENGTH: Final = 0x10

ORIGIN: Final = 1
AS_PATH: Final = 2
NEXT_HOP: Final = 3
MED: Final = 4
LOCAL_PREF: Final = 5
ATOMIC_AGGREGATE: Final = 6
AGGREGATOR: Final = 7
COMMUNITY: Final = 8
ORIGINATOR_ID: Final = 9
CLUSTER_LIST: Final = 10
MP_REACH: Final = 14
MP_UNREACH: Final = 15
EXT_COMMUNITY: Final = 16
AS4_PATH: Final = 17
AS4_AGGREGATOR: Final = 18
LARGE_COMMUNITY: Final = 32
BGPSEC_PATH: Final = 33
OTC: Final = 35


class AttributeType:
    """One row of the table.

    code: the attribute's type code. name: what the JSON form calls it.
    required: what OPTIONAL and TRANSITIVE must be on the wire; None where nobody knows.
    malformed: the reaction to a bad value (RFC 7606 section 7, or the attribute's own RFC).
    bad_flags: the reaction to flags that conflict with `required` (RFC 7606 section 3(c)).
    lengths: of the value; None where its codec has to look into it.
    empty: a value of no octets is possible (RFC 7606 section 4).
    internal: an external peer must not send it; then it is discarded (RFC 7606 sections 7.5, 7.9, 7.10).
    """

    def __init__(
        self,
        code: int,
        name: str,
        required: int | None,
        malformed: Reaction,
        bad_flags: Reaction,
        codec: str = "raw",
        lengths: Lengths | None = None,
        empty: bool = False,
        internal: bool = False,
    ) -> None:
        """codec: the name of a module in this folder; of another one than its CODEC, MODULE.NAME."""
        self.code = code
        self.name = name
        self.required = required
        self.malformed = malformed
        self.bad_flags = bad_flags
        self._codec = codec
        self.lengths = lengths
        self.empty = empty
        self.internal = internal

    @property
    def default(self) -> int:
        """The flags of an attribute that comes without any."""
        return OPTIONAL if self.required is None else self.required

    @cached_property
    def codec(self) -> Codec:
        module, _, name = self._codec.partition(".")
        codec: Codec = getattr(import_module(f"{__name__}.{module}"), name or "CODEC")
        return codec


_Row: Final = AttributeType
_O: Final = OPTIONAL
_T: Final = TRANSITIVE
_OT: Final = OPTIONAL | TRANSITIVE
_DISCARD: Final = Reaction.ATTRIBUTE_DISCARD
_WITHDRAW: Final = Reaction.TREAT_AS_WITHDRAW
_RESET: Final = Reaction.SESSION_RESET

_U32: Final = Lengths(4)
_U32S: Final = Lengths(4, many=True)

# fmt: off
_ROWS: Final = (
    #    code, name               required malformed  bad flags  codec              lengths
    _Row(0,   "UNSPECIFIED",        None, _DISCARD,  _DISCARD,  empty=True),
    _Row(1,   "ORIGIN",             _T,   _WITHDRAW, _WITHDRAW, "origin",           Lengths(1)),
    _Row(2,   "ASPATH",             _T,   _WITHDRAW, _WITHDRAW, "as_path",          empty=True),
    _Row(3,   "NEXTHOP",            _T,   _WITHDRAW, _WITHDRAW, "next_hop",         _U32),
    _Row(4,   "MED",                _O,   _WITHDRAW, _WITHDRAW, "med",              _U32),
    _Row(5,   "LOCALPREF",          _T,   _WITHDRAW, _WITHDRAW, "local_pref",       _U32, internal=True),
    _Row(6,   "AGGREGATE",          _T,   _DISCARD,  _WITHDRAW, "atomic_aggregate", Lengths(0), empty=True),
    _Row(7,   "AGGREGATOR",         _OT,  _DISCARD,  _WITHDRAW, "aggregator",       Lengths(8, as2=6)),
    _Row(8,   "COMMUNITY",          _OT,  _WITHDRAW, _WITHDRAW, "community",        _U32S),
    _Row(9,   "ORIGINATOR",         _O,   _WITHDRAW, _WITHDRAW, "originator_id",    _U32, internal=True),
    _Row(10,  "CLUSTER_LIST",       _O,   _WITHDRAW, _WITHDRAW, "cluster_list",     _U32S, internal=True),
    _Row(14,  "MP_REACH",           _O,   _RESET,    _RESET,    "mp_reach"),  # RFC 7606 5.3
    _Row(15,  "MP_UNREACH",         _O,   _RESET,    _RESET,    "mp_unreach"),  # RFC 7606 5.3
    _Row(16,  "EXT_COMMUNITY",      _OT,  _WITHDRAW, _WITHDRAW, "ext_community",    Lengths(8, many=True)),
    _Row(17,  "AS4PATH",            _OT,  _DISCARD,  _WITHDRAW, "as_path.AS4_CODEC"),  # RFC 6793 6
    _Row(18,  "AS4AGGREGATOR",      _OT,  _DISCARD,  _WITHDRAW, "aggregator.AS4_CODEC", Lengths(8)),  # RFC 6793 6
    _Row(22,  "PMSI_TUNNEL",        _OT,  _WITHDRAW, _WITHDRAW, "pmsi_tunnel"),  # RFC 6514 5
    _Row(23,  "TUNNEL",             _OT,  _WITHDRAW, _WITHDRAW, "tunnel"),  # RFC 9012 13
    _Row(24,  "TRAFFIC_ENG",        _O,   _WITHDRAW, _WITHDRAW),  # RFC 5543, RFC 7606 7.13
    _Row(25,  "IPV6_EXT_COMMUNITY", _OT,  _WITHDRAW, _WITHDRAW, "ipv6_ext_community", Lengths(20, many=True)),
    _Row(26,  "AIGP",               _O,   _DISCARD,  _DISCARD,  "aigp"),  # RFC 7311 3.2
    _Row(27,  "PE_DISTING",         _OT,  _WITHDRAW, _WITHDRAW, "pe_distinguisher"),  # RFC 6514 8
    _Row(29,  "BGP_LS",             _O,   _DISCARD,  _DISCARD,  "link_state"),  # RFC 9552 8.2.2
    _Row(32,  "LARGE_COMMUNITY",    _OT,  _WITHDRAW, _WITHDRAW, "large_community",  Lengths(12, many=True)), # RFC 8092
    _Row(33,  "BGPSEC_PATH",        _O,   _WITHDRAW, _WITHDRAW),  # RFC 8205 5.2
    _Row(35,  "OTC",                _OT,  _WITHDRAW, _WITHDRAW, "otc",              _U32),  # RFC 9234 5
    _Row(36,  "DPATH",              None, _DISCARD,  _DISCARD,  "d_path", empty=True),
    _Row(37,  "SFP_ATTR",           _OT,  _WITHDRAW, _WITHDRAW),  # RFC 9015 3.2
    _Row(38,  "BFD_DISCRIMINATOR",  _OT,  _DISCARD,  _WITHDRAW, "bfd_discriminator"),  # RFC 9026 3.1.6
    _Row(39,  "RCA",                None, _DISCARD,  _DISCARD,  empty=True),
    _Row(40,  "PREFIX_SID",         _OT,  _DISCARD,  _DISCARD,  "prefix_sid"),  # RFC 8669 6
    _Row(128, "SET",                _OT,  _WITHDRAW, _WITHDRAW, "attr_set"),  # RFC 7606 7.16
)
# fmt: on
KNOWN: Final = {row.code: row for row in _ROWS}
CODES: Final = {row.name: row.code for row in KNOWN.values()}
TABLE: Final = tuple(
    KNOWN.get(code) or AttributeType(code, f"ATTR_{code}", None, _DISCARD, _DISCARD, empty=True) for code in range(256)
)
"""A row for each of the 256 codes; those that nobody knows are kept raw."""


def parse_name(name: str) -> int:
    """The code of an attribute by its JSON name, in any case, or `ATTR_N`. Raises TextError."""
    upper = name.upper()
    if upper in CODES:
        return CODES[upper]
    number = upper.removeprefix("ATTR_")
    if number != upper and number.isascii() and number.isdigit() and len(number) <= 3 and int(number) < 256:
        return int(number)
    raise TextError(f"unknown attribute {name!r}")


if accel.AVAILABLE:
    accel.attributes.learn([(row.code, row.name, row.required, row.empty, row.lengths) for row in _ROWS])
