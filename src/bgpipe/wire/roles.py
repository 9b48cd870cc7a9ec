"""Roles of BGP speakers, and what they mean for the attribute ONLY_TO_CUSTOMER (RFC 9234).

>>> judge("provider", None, 65001)
<Verdict.ADDED: 1>
>>> judge("customer", 65002, 65001)
<Verdict.INVALID: 2>

A role is what a speaker is to its neighbor. What a speaker must do with a route that it sends (section 5, egress) and
what its neighbor must do with it (ingress) give the same result. So one table says both, by the role of the sender.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

PROVIDER: Final = "provider"
RS: Final = "rs"
RS_CLIENT: Final = "rs-client"
CUSTOMER: Final = "customer"
PEER: Final = "peer"

ROLES: Final = (PROVIDER, RS, RS_CLIENT, CUSTOMER, PEER)
"""By the value of the capability (section 4.1)."""
COUNTERPARTS: Final = {PROVIDER: CUSTOMER, CUSTOMER: PROVIDER, RS: RS_CLIENT, RS_CLIENT: RS, PEER: PEER}
"""The role that the neighbor must have (section 4.2)."""


class Verdict(IntEnum):
    """VALID: the route passes as it is. ADDED: it gets ONLY_TO_CUSTOMER. INVALID: it is a route leak."""

    VALID = 0
    ADDED = 1
    INVALID = 2


ADDS: Final = frozenset((PROVIDER, PEER, RS))
"""The senders whose routes must have the attribute."""
_LEAKS: Final = frozenset((CUSTOMER, RS_CLIENT))
"""The senders whose routes must not have it."""


def judge(role: str, otc: int | None, asn: int) -> Verdict:
    """The verdict about a route (section 5). role: what its sender is to the receiver. otc: the value of
    ONLY_TO_CUSTOMER, None without the attribute. asn: the AS number of the sender."""
    if otc is None:
        return Verdict.ADDED if role in ADDS else Verdict.VALID
    leaks = role in _LEAKS or (role == PEER and otc != asn)
    return Verdict.INVALID if leaks else Verdict.VALID


def role_of(values: list[bytes]) -> str | None:
    """The role that the capabilities of an OPEN say; None if they say none, or different ones."""
    found = {value[0] if len(value) == 1 else len(ROLES) for value in values}
    code = found.pop() if len(found) == 1 else len(ROLES)
    return ROLES[code] if code < len(ROLES) else None
