"""Verify the AS paths of routes with the RPKI."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from .. import accel
from ..pipeline.errors import ConfigError
from ..pipeline.options import FLAG, TEXT, Option, choice
from ..routes.adj_rib_in import Attributes
from ..rpki.aspa import ROLES, Neighbour, PathValidity, judge, judge_block, tags_of, verify
from ..rpki.snapshot import Snapshot
from ..wire import caps
from ..wire.block import Block
from ..wire.item import Item
from ..wire.message import Message
from ..wire.routes_apart import RoutesApart
from .base.judging import INVALID, QUICK_SLOTS, UNKNOWN, VALID, Judged, Judging
from .base.revalidation import Revalidation
from .base.session_facts import sender_facts

VERDICTS: Final = {PathValidity.VALID: VALID, PathValidity.UNKNOWN: UNKNOWN, PathValidity.INVALID: INVALID}
VALIDITIES: Final = {verdict: validity for validity, verdict in VERDICTS.items()}
OPEN_ROLES: Final = {0: "provider", 1: "rs", 2: "rs-client", 3: "customer", 4: "peer"}
"""What the speaker of an OPEN is to its peer, by the value of its capability (RFC 9234 section 4.1)."""


class Aspa(Judging):
    """Verify the AS paths of routes with the RPKI.

    The path of each UPDATE that announces IPv4 or IPv6 unicast is VALID, INVALID or UNKNOWN, by the ASPAs of --rpki and
    by what the neighbor is to us: its OPEN says that (RFC 9234), or --role. Tags: aspa/status, and aspa/invalid-hop
    with the customer and the AS that is not its provider. Without any ASPA all messages pass. In a session, routes are
    judged again when the ASPAs change.
    """

    prefix = "aspa"

    invalid = Option(
        choice("withdraw", "drop", "keep"),
        "withdraw",
        "what becomes of routes with an invalid path: withdraw them, drop the message, or keep them",
    )
    role = Option(choice("auto", *ROLES), "auto", "what the neighbor is to us; auto: as its OPEN says")
    peer_tag = Option(TEXT, "", "the AS number of the neighbor is in this tag, as PEER_AS in archives", metavar="TAG")
    first_hop = Option(FLAG, True, "the path must begin with the AS of the neighbor; --first-hop=false allows others")

    def attach(self) -> None:
        if self.role != "auto" and len(self.directions) > 1:
            raise ConfigError("--role is that of one neighbor: say -L or -R, not both")
        if self.peer_tag and self.role == "auto":
            raise ConfigError("--peer-tag needs --role: no OPEN says what the neighbor is")
        super().attach()
        self._warned: set[str] = set()

    def status(self) -> dict[str, Any]:
        return {"aspa_entries": len(self.rpki.snapshot.aspas)} | super().status()

    # verdicts

    @property
    def neighbours(self) -> dict[str, Neighbour]:
        """Who sends messages, by their direction. Those of a direction that is not there are not judged."""
        found = {direction: each for direction in self.watched if (each := self._neighbour(direction)) is not None}
        if self.role != "auto" and not self.pipeline.has_session:
            found |= dict.fromkeys(("LR", "?"), found[self.watched])
        return found

    def _neighbour(self, direction: str) -> Neighbour | None:
        asn = 0 if self.peer_tag else self.sender(direction)
        if self.role != "auto":
            return Neighbour(self.role, asn, self.peer_tag)
        facts = sender_facts(self.pipeline, direction)
        values = facts.peer_open.values(caps.ROLE) if facts is not None and facts.peer_open is not None else []
        role = OPEN_ROLES.get(values[-1][0]) if values and values[-1] else None
        if role is not None:
            return Neighbour(role, asn)
        if direction not in self._warned:
            self._warned.add(direction)
            text = "paths are not verified: nobody says what the neighbor is (--role)"
            self.pipeline.log.warning(text, stage=str(self), direction=direction)
        return None

    def judge(self, message: Message) -> Judged | None:
        snapshot, neighbours = self.rpki.snapshot, self.neighbours
        if not snapshot.aspas and not self.revalidations:
            return None
        verdict = judge(snapshot, message, neighbours, self.first_hop)
        if verdict is None:
            return None
        apart = RoutesApart(message.update)
        if not snapshot.aspas:  # the routes are kept for the first ASPA
            return Judged(apart, [UNKNOWN] * len(apart.prefixes), {})
        return Judged(apart, [VERDICTS[verdict.validity]] * len(apart.prefixes), tags_of(verdict) if self.tag else {})

    def count(self, verdicts: Sequence[int]) -> None:
        """Counts messages: all routes of one have the same path."""
        if self.rpki.snapshot.aspas:
            self.counts["messages"] += 1
            self.counts[VALIDITIES[verdicts[0]].value] += 1

    def handle_block(self, block: Block, revalidation: Revalidation | None) -> Block | list[Item]:
        neighbours = self.neighbours
        if revalidation is not None:
            neighbour = neighbours.get(revalidation.direction)
            if not accel.AVAILABLE or self.kept_conditions or neighbour is None or neighbour.tag:
                return self.handle_messages(block, range(len(block)), revalidation)
            revalidation.table.take_judged(block, self._path_judge(neighbour), self.states_of)
        if not self.rpki.snapshot.aspas or not neighbours:
            return block
        judged = judge_block(self.rpki.snapshot, block, neighbours, first_hop=self.first_hop, tag=self.tag)
        for validity, count in judged.counts.items():
            self.counts["messages"] += count
            self.counts[validity.value] += count
        return self.handle_judged(judged)

    def _path_judge(self, neighbour: Neighbour | None) -> Any:
        """What accel has to know to judge routes as `judge` does."""
        table = self.rpki.snapshot.aspa_table if self.rpki.snapshot.aspas and neighbour is not None else None
        role, asn = (neighbour.role, neighbour.asn) if neighbour is not None else ("", 0)
        first_hop = self.first_hop and role != "rs"
        return accel.aspa.PathJudge(table, role == "provider", first_hop, asn, self.invalid == "keep")

    # sessions

    def judge_again(self, direction: str, snapshots: Sequence[Snapshot]) -> Iterator[object]:
        table = self.revalidations[direction].table
        if all(snapshot.aspas == snapshots[-1].aspas for snapshot in snapshots):
            return
        scan, again = table.scan(), self.announces_again
        while (cursor := scan.cursor) != -1:
            if accel.AVAILABLE:
                quick = self._path_judge(self.neighbours.get(direction))
                scan.cursor = table.rib.judge_routes(quick, None, cursor, QUICK_SLOTS, again)
                if not quick.declined:
                    yield None
                    continue
            routes = scan.step(self.slots) or ()
            known: dict[int, int] = {}  # numbers of attributes may be given anew
            neighbour = self.neighbours.get(direction)
            for route in routes:
                verdict = known.get(route.attributes)
                if verdict is None:
                    found = table.attributes(route.attributes)
                    verdict = known[route.attributes] = self._verdict(found, neighbour)
                table.judge(route.prefix, verdict != INVALID or self.invalid == "keep", verdict, again)
            yield None

    slots = 2048
    """Places of the table that one step looks at: some milliseconds."""

    def _verdict(self, found: Attributes | None, neighbour: Neighbour | None) -> int:
        snapshot = self.rpki.snapshot
        if found is None or neighbour is None or not snapshot.aspas:
            return UNKNOWN
        return VERDICTS[verify(snapshot, found.update().as_path, neighbour, self.first_hop).validity]

    def finish(self, message: Message, verdict: int) -> Iterable[Message]:
        if self.tag and self.rpki.snapshot.aspas:
            found = judge(self.rpki.snapshot, message, self.neighbours, self.first_hop)
            self.set_tags(message, tags_of(found) if found is not None else {})
        return (message,)
