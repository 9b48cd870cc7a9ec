"""What two OPENs agree on (RFC 5492), and what that means for reading the octets of each direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from . import caps
from .caps import Capability, add_path, extended_next_hop, mp
from .context import WireContext
from .errors import WireError
from .family import Family
from .open import Open


class Contexts(NamedTuple):
    """right: for messages from the left speaker to the right one. left: for those the other way."""

    right: WireContext
    left: WireContext


class Agreement(NamedTuple):
    """capabilities: common to both. contexts: by direction. json: the capabilities as in an OPEN's `caps`. families: of
    which both may send routes; none if one speaker names IPv6 alone, say, and the other one none or IPv4."""

    capabilities: tuple[Capability, ...]
    contexts: Contexts
    json: dict[str, object]
    families: list[Family]


def negotiate(left: Open, right: Open) -> Agreement:
    """What `left` and `right`, the OPENs that the two speakers sent, have in common, in ascending order of codes.

    Families: those that both name; who names none has IPv4 unicast (RFC 4760 section 8). ADD-PATH: from the point of
    view of the left speaker, SEND where it sends and the right one receives, RECEIVE the other way round. AS4, ROLE and
    FQDN: the value of the left speaker, which need not be that of the right one. Others: the values that are equal, one
    empty value if none is.

    A value that can't be read counts as if it were not there (RFC 5492 section 3, RFC 7911 section 4): if the speakers
    let it pass, they go on without it.
    """
    agreed: list[Capability] = []
    for code in sorted({capability.code for capability in left.capabilities}):
        ours, theirs = _values(left, code), _values(right, code)
        if not ours or not theirs:
            continue
        if code == caps.MP:
            families = set(map(mp.decode, ours)) & set(map(mp.decode, theirs))
            found = [mp.encode(family) for family in sorted(families)]
        elif code == caps.EXTENDED_NEXT_HOP:
            pairs = {pair for value in ours for pair in extended_next_hop.decode(value)}
            pairs &= {pair for value in theirs for pair in extended_next_hop.decode(value)}
            found = extended_next_hop.encode(sorted(pairs))
        elif code == caps.ADD_PATH:
            found = add_path.encode(_add_path(ours, theirs))
        elif code in (caps.AS4, caps.ROLE, caps.FQDN):
            found = ours[-1:]
        else:
            found = [value for value in dict.fromkeys(ours) if value in theirs] or [b""]
        agreed += [Capability(code, value) for value in found]
    common = sorted(set(left.families).intersection(right.families))
    return Agreement(tuple(agreed), contexts(agreed), caps.to_json(agreed), common)


def contexts(agreed: Sequence[Capability]) -> Contexts:
    """The context of each direction where both speakers agreed on these capabilities. Raises WireError."""
    codes = {capability.code for capability in agreed}
    paths = add_path.merge(caps.values(agreed, caps.ADD_PATH))

    def context(direction: int) -> WireContext:
        return WireContext(
            as4=caps.AS4 in codes,
            add_path=frozenset(family for family, found in paths.items() if found & direction),
            extended_message=caps.EXTENDED_MESSAGE in codes,
        )

    return Contexts(right=context(add_path.SEND), left=context(add_path.RECEIVE))


def _values(speaker: Open, code: int) -> list[bytes]:
    """The values of a capability that can be read."""
    row = caps.TABLE.get(code)
    form = row.form if row is not None else None
    found = []
    for value in speaker.values(code):
        try:
            if form is not None:
                form.decode(value)
        except WireError:
            continue
        found.append(value)
    return found


def _add_path(ours: list[bytes], theirs: list[bytes]) -> dict[Family, int]:
    agreed = {}
    right = add_path.merge(theirs)
    for family, direction in add_path.merge(ours).items():
        other = right.get(family, 0)
        send = add_path.SEND if direction & add_path.SEND and other & add_path.RECEIVE else 0
        receive = add_path.RECEIVE if direction & add_path.RECEIVE and other & add_path.SEND else 0
        if send or receive:
            agreed[family] = send | receive
    return agreed
