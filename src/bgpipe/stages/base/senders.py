"""Who sends the messages of a stage between two peers, as the checks of `guard` ask."""

from __future__ import annotations

from ...pipeline.stage import Stage
from ...routes.guard_checks import ROLES, Sender
from ...wire import caps
from ...wire.address import parse_address
from ...wire.message import Message
from .session_facts import header_asn, receiver_facts, sender_facts


class Senders:
    """The senders of messages: the peers of a session, or those that the per-peer headers of an archive name.

    role: what the neighbor is to us; "" if its OPEN says it.
    """

    def __init__(self, stage: Stage, role: str) -> None:
        self._stage = stage
        self._role = role
        self._known: dict[str | int, Sender] = {}

    def of_message(self, message: Message) -> Sender:
        found = self.of_direction(message.direction)
        if found is not None:
            return found
        asn = header_asn(message)
        known = self._known.get(asn)
        if known is None:
            known = self._known[asn] = Sender(asn, frozenset((asn,)), self._role != "rs", role=self._role)
        return known

    def of_direction(self, direction: str) -> Sender | None:
        """The peer that sends the messages of a direction; None without its OPEN."""
        found = self._known.get(direction)
        if found is not None:
            return found
        pipeline = self._stage.pipeline
        facts, receiver = sender_facts(pipeline, direction), receiver_facts(pipeline, direction)
        if facts is None or facts.peer_open is None:
            return None
        ases = {facts.peer_open.asn}
        if receiver is not None and receiver.peer_open is not None:
            ases.add(receiver.peer_open.asn)
        value = facts.peer_open.values(caps.ROLE)[-1:]
        said = ROLES[value[0][0]] if value and len(value[0]) == 1 and value[0][0] < len(ROLES) else ""
        role = said if not self._role else self._role
        side = "R" if direction == "L" else "L"
        address = self._address(f"{side}_REMOTE_ADDR")
        ours = [self._address(name) for name in (f"{direction}_REMOTE_ADDR", "L_LOCAL_ADDR", "R_LOCAL_ADDR")]
        external = facts.peer_kind != "ibgp"
        found = Sender(
            facts.peer_open.asn,
            frozenset(ases),
            external and role != "rs",
            address,
            frozenset(ours) - {b"", address} if external else frozenset(),
            facts.peer_kind,
            role,
        )
        if facts.peer_kind is not None and receiver is not None and receiver.peer_open is not None:
            self._known[direction] = found
        return found

    def _address(self, name: str) -> bytes:
        text = self._stage.pipeline.values.get(name, "").partition("%")[0]
        return parse_address(text) if text else b""
