"""Why a route is what it is by the RPKI: each VRP around its prefix, and each hop of its path, with a reason.

>>> snapshot = Snapshot.of([Vrp(parse_prefix("192.0.2.0/23"), 23, 64500)], {64500: [64501]})
>>> found = explain_origin(snapshot, parse_prefix("192.0.2.0/24"), make_path(64500))
>>> found.summary, [(str(vrp), reason) for vrp, reason in found.reasons]
('VRPs cover it, and none of them matches', [('192.0.2.0/23-23 AS64500', 'the route is longer than maxLength 23')])
"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import Final, NamedTuple

from ..wire.attrs.as_path import AS_SEQUENCE, AsPath
from ..wire.prefix import Prefix
from .aspa import Hop, Neighbour, PathVerdict, hop, verify
from .snapshot import Snapshot
from .vrps import Validity, Vrp

UPSTREAM: Final = "customer"
DOWNSTREAM: Final = "provider"
"""Neighbours for the two procedures of the draft: sections 6.1 and 6.2."""
MATCHES: Final = "matches"


class OriginReasons(NamedTuple):
    """validity: None if no origin was asked about. reasons: the covering VRPs, longest prefix first, and why each does
    not match, or MATCHES."""

    prefix: Prefix
    origin: int | None
    validity: Validity | None
    reasons: list[tuple[Vrp, str]]

    @property
    def summary(self) -> str:
        if self.validity is None:
            return "VRPs cover it" if self.reasons else "no VRP covers it"
        return {
            Validity.VALID: "a VRP covers it, allows its length, and has its origin AS",
            Validity.INVALID: "VRPs cover it, and none of them matches",
            Validity.NOT_FOUND: "no VRP covers it",
        }[self.validity]


class HopReason(NamedTuple):
    """Two ASes beside each other in a path. up: whether `left`, which is nearer to the neighbour, is a provider of
    `right`, as `right` attests. down: the other way round."""

    left: int
    right: int
    up: Hop
    down: Hop


class PathReasons(NamedTuple):
    """neighbour: what the neighbour is to us, one of ROLES. hops: none if the path has more than AS_SEQUENCEs."""

    path: AsPath
    neighbour: str
    verdict: PathVerdict
    hops: list[HopReason]

    @property
    def summary(self) -> str:
        if self.verdict.hop is not None:
            return "AS{} attests providers, and AS{} is none of them".format(*self.verdict.hop)
        return {
            "VALID": "every hop that must be attested is",
            "UNKNOWN": "an ASPA is missing",
            "INVALID": "it is empty, or has an AS_SET or a segment of a confederation",
        }[self.verdict.validity.name]


def explain_origin(snapshot: Snapshot, prefix: Prefix, path: AsPath | None) -> OriginReasons:
    """path: None if the VRPs alone are asked about."""
    asked, origin = path is not None, path.origin if path is not None else None
    reasons = [(vrp, _reason(vrp, prefix, origin, asked)) for vrp in snapshot.covering(prefix)]
    return OriginReasons(prefix, origin, snapshot.validate(prefix, origin) if asked else None, reasons)


def _reason(vrp: Vrp, prefix: Prefix, origin: int | None, asked: bool) -> str:
    reasons = []
    if prefix.length > vrp.max_length:
        reasons.append(f"the route is longer than maxLength {vrp.max_length}")
    if not vrp.asn:
        reasons.append("AS 0 says that nobody may originate it")
    elif asked and vrp.asn != origin:
        reasons.append("another origin AS" if origin is not None else "the path has no origin AS")
    return "; ".join(reasons) or (MATCHES if asked else "covers")


def explain_path(snapshot: Snapshot, path: AsPath, neighbour: str) -> PathReasons:
    """neighbour: one of ROLES."""
    verdict = verify(snapshot, path, Neighbour(neighbour))
    if any(kind != AS_SEQUENCE for kind, _ in path):
        return PathReasons(path, neighbour, verdict, [])
    ases = [asn for asn, _ in groupby(path.ases)]
    return PathReasons(path, neighbour, verdict, [_hop(snapshot, left, right) for left, right in pairwise(ases)])


def _hop(snapshot: Snapshot, left: int, right: int) -> HopReason:
    return HopReason(left, right, hop(snapshot, right, left), hop(snapshot, left, right))
