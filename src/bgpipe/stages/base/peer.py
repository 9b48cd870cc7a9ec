"""The common part of `connect` and `listen`: stages that hold a connection to a peer.

Such a stage is an end of the pipeline. What its peer sends enters one line there; what leaves the other line there is
sent to it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from ...net.connection import Connection
from ...net.errors import explain_error
from ...net.tcp import interface_of
from ...pipeline import events
from ...pipeline.errors import ConfigError, Incomplete, SessionLost, StageError
from ...pipeline.input import Input
from ...pipeline.lifecycle import Cause, StageKind
from ...pipeline.metrics import SIDES, Metrics
from ...pipeline.options import Option
from ...pipeline.stage import Stage
from ...session.codec import SessionCodec
from ...session.error_handler import ErrorHandler, Verdict
from ...session.facts import Facts, Side
from ...session.family_filter import FamilyFilter
from ...wire import message
from ...wire.address import parse_address
from ...wire.errors import WireError
from ...wire.family import Family
from ...wire.item import Item
from ...wire.message import Message
from ...wire.notification import CEASE, OPEN_ERROR, OUT_OF_RESOURCES, Notification
from .peer_input import PeerInput
from .peer_options import PeerOptions
from .tap import Tap

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
MAX_PENDING: Final = 100
"""Items that may wait for a connection that is not open yet; above that, the senders have to wait."""


MAX_UNSENT_TOLD: Final = 10
"""How many UPDATEs that can't be sent are logged one by one; the others are only counted."""


class PeerStage(PeerOptions):
    """One peer, over TCP."""

    takes = True
    connection: Connection | None = None
    server = False
    """whether the peer called us"""
    open_timeout: float | Option[float] = 0.0
    """seconds until the peer's OPEN must be there, 0 for any time"""
    on_open: Callable[[], None] = staticmethod(lambda: None)
    """called when the peer's OPEN is there"""
    early = b""
    """octets that the peer sent before the acceptor passed the connection to this stage"""
    says_goodbye = True
    """whether a NOTIFICATION is sent at the end. Without one the peer keeps our routes, if graceful restart was agreed
    (RFC 4724)"""
    own_events = ("OPEN",)

    @property
    def kind(self) -> StageKind:
        """BACKGROUND beside a speaker, where the peer does not keep the pipeline going; SOURCE between two routers."""
        others = (stage.kind for stage in self.pipeline.stages if not isinstance(stage, PeerStage))
        return StageKind.BACKGROUND if StageKind.BACKGROUND in others else StageKind.SOURCE

    def attach(self) -> None:
        row = [stage for stage in self.pipeline.stages if not stage.hidden]
        if self is not row[0] and self is not row[-1]:
            raise ConfigError("must be either the first or the last stage")
        self.check_options()
        self.side = "R" if self.directions == "L" else "L"
        self.facts = Facts(self.pipeline.context)
        self.pipeline.tracker.follow(self.facts)
        self.codec = SessionCodec(self.facts)
        self.error_handler = ErrorHandler(self.malformed, self.facts)
        self.inlet = self.feed_into(session=True)
        self.inlet.whole = True
        self.incoming = PeerInput(self, self.inlet, self.codec, self.handled, self.refuse)
        self.pipeline.lines[self.side].outputs.append(self.send)
        self.taps: list[Tap] = []
        self._pending: list[Item] = []
        self._out: list[bytes] = []
        self._holding = False
        self._over = asyncio.Event()
        self.malformed_updates = 0
        self._malformed_told: dict[Stage, int] = {}
        """how many malformed UPDATEs of each stage that reads were logged"""
        self._families_told: set[Family] = set()
        self.family_filter = FamilyFilter(self.facts) if self.pipeline.originates_session else None
        self.pipeline.bus.on((events.ESTABLISHED,), self._on_established)

    async def take_address(self) -> None:
        """Binds the address at which the stage waits for its peer. Called before any stage connects or waits. Raises
        OSError, ValueError."""

    async def take_addresses(self) -> None:
        """Binds those of all stages: their peers may call at any time from now on. Raises StageError."""
        for stage in self.pipeline.stages:
            if isinstance(stage, PeerStage) and not stage.wait_for:
                try:
                    await stage.take_address()
                except (OSError, ValueError) as error:
                    raise StageError(f"{stage}: {explain_error(error)}") from error

    def called_addresses(self) -> set[IPAddress]:
        """The addresses to which this command line connects. A stage that connects adds its address. All sessions share
        them."""
        return self.pipeline.shared.setdefault("addresses called", set)

    async def open(self) -> Connection:
        """The connection. Raises StageError, OSError."""
        raise NotImplementedError

    # life

    async def prepare(self) -> None:
        try:
            self.connection = self.incoming.connection = connection = await self.open()
        except (OSError, ValueError) as error:
            raise StageError(f"{self}: {explain_error(error)}") from error
        connection.pause()  # until the callbacks of all stages are on
        connection.on_octets = self.incoming.on_octets
        connection.on_error = self.on_failure
        connection.on_closed = self._on_closed
        connection.on_full = self._on_full
        connection.on_room = self._release
        self.pipeline.log.info("connected", stage=str(self), local=connection.local, remote=connection.remote)
        self.pipeline.values |= self._addresses(connection)
        if any(stage.listens() is not None for stage in self.pipeline.stages):
            # many sessions may write to one output: tags tell them apart
            addresses = (self.pipeline.values[f"{self.side}_{name}_ADDR"] for name in ("REMOTE", "LOCAL"))
            self.codec.addresses = tuple(parse_address(each.partition("%")[0]) for each in addresses)
            self.codec.interface = interface_of(self.pipeline.values[f"{self.side}_REMOTE_ADDR"])
        pending, self._pending = self._pending, []
        self._release()
        for item in pending:
            self.send(item)

    def _addresses(self, connection: Connection) -> dict[str, str]:
        """Publishes the addresses of the connection for other stages, such as R_REMOTE."""
        values: dict[str, str] = {}
        for name, address in (("LOCAL", connection.local), ("REMOTE", connection.remote)):
            host, _, port = address.rpartition(":")
            key = f"{self.side}_{name}"
            values |= {key: address, f"{key}_ADDR": host.strip("[]"), f"{key}_PORT": port}
        return values

    async def run(self) -> None:
        assert self.connection is not None
        early, self.early = self.early, b""
        if early:
            await asyncio.sleep(0)  # until the other stages run too
            self.incoming.on_octets(early)
        else:
            self.connection.resume()
        timer = self.call_later(self.open_timeout if self.open_timeout > 0 else math.inf, self._on_open_timeout)
        try:
            await self._over.wait()
        finally:
            timer.cancel()  # else it would keep a session that is over

    def _on_open_timeout(self) -> None:
        if self.facts.peer_open is None and not self._over.is_set():
            self._end("timeout", "us", f"no OPEN within {self.open_timeout:g} s")

    def abort(self) -> int:
        return self.incoming.abort()

    def input_ended(self) -> None:
        if self._holding:
            self.call_soon(self._release)

    async def stop(self) -> None:
        connection = self.connection
        if connection is None:
            return
        told = self.facts.first_notification
        silent = told is not None or self.pipeline.lost or not self.says_goodbye
        if connection.is_open and self.codec.sent[message.OPEN] and not silent:
            self.send(Message(message.NOTIFICATION, Notification.shutdown().encode()))
        self.flush()
        try:
            await connection.close(max(0.0, self.closed_timeout))
        finally:
            self._tell_end(connection)
            for tap in self.taps:
                tap.end()
        if connection.unsent and self.pipeline.cause not in (Cause.SIGNAL, Cause.FAILED):
            raise StageError(f"{self}: the peer has not taken the last {connection.unsent} octets")
        if count := self.drops["unsendable"]:
            raise Incomplete(f"{self}: {count} {'UPDATE' if count == 1 else 'UPDATEs'} could not be sent")

    def _tell_end(self, connection: Connection) -> None:
        if connection.unsent:
            text = "the peer has not taken the last octets"
            self.pipeline.log.warning(text, stage=str(self), octets=connection.unsent)
        self.pipeline.log.info(
            "connection closed",
            stage=str(self),
            reason=self.facts.end.text if self.facts.end is not None else self.pipeline.outcome,
            **self._losses(),
            read=connection.octets_read,
            wrote=connection.octets_written,
            received=by_name(self.codec.received),
            sent=by_name(self.codec.sent),
        )

    def _losses(self) -> dict[str, Any]:
        """Numbers of lost messages for the log."""
        losses: dict[str, Any] = {}
        if self.incoming.ignored:
            losses["ignored_octets"] = self.incoming.ignored
        if unsendable := self.drops["unsendable"]:
            losses["unsendable"] = unsendable
        if self.family_filter is not None and self.family_filter.left_out:
            losses["left_out"] = {str(family): count for family, count in self.family_filter.left_out.items()}
        return losses

    def _on_full(self) -> None:
        self._hold()
        self.pipeline.emit(events.SLOW, direction=self.side, stage=str(self))

    def _hold(self) -> None:
        """Makes the senders of this side wait. At the end of the pipeline none has to wait: the queue takes the
        rest."""
        if not self._holding and not self.pipeline.stopping:
            self._holding = True
            self.pipeline.hold(self.side)

    def _release(self) -> None:
        if self._holding:
            self._holding = False
            self.pipeline.release(self.side)

    def _on_established(self, event: object) -> None:
        """Logs the negotiated capabilities. If both peers got the OPEN of the other unchanged, only the right end logs
        them. If a stage has edited an OPEN, the two ends have agreed on different capabilities, and each logs its
        own."""
        ours = self.facts
        if ours.agreement is None:
            return
        others = [stage.facts for stage in self.peers if stage is not self]
        if any(ours.peer_open == each.sent_open and ours.sent_open == each.peer_open for each in others):
            if self.side == "L":
                return
            about = {"left": self.pipeline.values.get("L_REMOTE"), "right": self.pipeline.values.get("R_REMOTE")}
        else:
            about = {"stage": str(self)}
        self.pipeline.log.info("negotiated session capabilities", **about, caps=ours.agreement.json)

    def end_session(self) -> None:
        """Sends the peer a Cease/8 because something failed that is not its fault. It follows all that has left the
        line."""
        if not self.pipeline.lost and not isinstance(self.pipeline.error, SessionLost):
            self.notify(Notification(CEASE, OUT_OF_RESOURCES))

    def notify(self, notification: Notification) -> None:
        """Nothing is said to a peer that has got no OPEN, unless it is about the OPEN that it has sent itself."""
        opened = self.codec.sent[message.OPEN] or notification.code == OPEN_ERROR
        if self.connected and self.facts.first_notification is None and opened:
            self.send(Message(message.NOTIFICATION, notification.encode()))
            self.flush()

    # what an operator may want to see

    @property
    def connected(self) -> bool:
        return self.connection is not None and self.connection.is_open

    def status(self) -> dict[str, Any]:
        connection, peer = self.connection, self.facts.peer_open
        status: dict[str, Any] = {
            "side": SIDES[self.side],
            "connected": self.connected,
            "received": by_name(self.codec.received),
            "sent": by_name(self.codec.sent),
            "malformed": self.malformed_updates,
        }
        if connection is not None:
            status |= {
                "local": connection.local,
                "remote": connection.remote,
                "received_bytes": connection.octets_read,
                "sent_bytes": connection.octets_written,
                "queue_bytes": connection.waiting,
            }
        if peer is not None:
            status["peer"] = {"asn": peer.asn, "id": peer.bgp_id, "hold": peer.hold_time}
        if self.facts.agreement is not None:
            status["capabilities"] = self.facts.agreement.json
            status["hold"] = self.facts.hold_time
        if self.facts.end is not None:
            status["end"] = {"side": self.facts.end.side, "cause": self.facts.end.cause, "text": self.facts.end.text}
        return status

    def measure(self, metrics: Metrics) -> None:
        side, codec, connection = SIDES[self.side], self.codec, self.connection
        for code, name in message.TYPE_NAMES.items():
            metrics.add("bgpipe_messages_received_total", codec.received[code], side=side, type=name.lower())
            metrics.add("bgpipe_messages_sent_total", codec.sent[code], side=side, type=name.lower())
        metrics.add_histogram("bgpipe_latency_seconds", self.incoming.latency, side=side)
        read, written, waiting = (
            (connection.octets_read, connection.octets_written, connection.waiting) if connection else (0, 0, 0)
        )
        metrics.add("bgpipe_received_bytes_total", read, side=side)
        metrics.add("bgpipe_sent_bytes_total", written, side=side)
        metrics.add("bgpipe_queue_bytes", waiting, side=side)

    # from the peer

    def handled(self, items: Iterator[Item]) -> Iterator[Item]:
        """What may enter of what the peer has sent."""
        items = self._handled(items)
        return self._tapped(items) if self.taps else items

    def _tapped(self, items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            for tap in self.taps:
                tap.received(item)
            yield item

    def _handled(self, items: Iterator[Item]) -> Iterator[Item]:
        """Handles malformed UPDATEs (RFC 7606) before any stage gets them, if a stage decodes them or --malformed is
        given."""
        decodes = any(self.inlet.chains.values()) or self.family_filter is not None or "malformed" in self.explicit
        for item in items:
            if isinstance(item, Message) and item.type_code == message.OPEN and self.codec.received[message.OPEN] == 1:
                self.on_open()
                self.event("OPEN", item)
            if not decodes:
                yield item
                continue
            for verdict in self.error_handler.handle(item):
                if verdict.message is not None:
                    self.malformed_updates += 1
                    self._on_malformed(verdict, self, self.inlet)
                if verdict.fault is not None:
                    self.codec.fault = verdict.fault
                    return
                if verdict.item is not None:
                    yield verdict.item

    def _on_malformed(self, verdict: Verdict, source: Stage, inlet: Input) -> None:
        """Reports a malformed UPDATE from `source`."""
        found = verdict.message
        assert found is not None
        inlet.number(found)  # events and the log name the message by this number
        if isinstance(verdict.item, Message):
            verdict.item.seq = found.seq
        elif verdict.fault is None:
            source.drops["malformed"] += 1
        self.pipeline.verdicts.tell(found, verdict.errors[0])
        self.pipeline.emit(events.MALFORMED, message=found, error=verdict.errors[0], stage=str(source))

    def treat(self, items: Iterable[Item], source: Stage, inlet: Input) -> Iterator[Item]:
        """Handles malformed UPDATEs that another stage has read from an archive, before they are sent to this peer.

        --malformed decides as for UPDATEs of a peer, but an error that would end a session only drops the UPDATE,
        unless --malformed kill is given.
        """
        for item in items:
            for direction, part in inlet.by_direction(item):
                if direction != self.side:
                    yield part
                    continue
                for verdict in self.error_handler.handle(part):
                    if verdict.message is not None:
                        self._on_malformed_input(verdict, source, inlet)
                    if verdict.item is not None:
                        yield verdict.item

    def _on_malformed_input(self, verdict: Verdict, source: Stage, inlet: Input) -> None:
        self._on_malformed(verdict, source, inlet)
        error = verdict.errors[0]
        if verdict.fault is not None:
            if self.malformed == "kill":
                raise StageError(f"{source}: malformed UPDATE: {error} ({self} has --malformed kill)")
            source.drops["malformed"] += 1
        told = self._malformed_told[source] = self._malformed_told.get(source, 0) + 1
        if told <= MAX_UNSENT_TOLD:
            what = "sent as it is" if self.malformed == "forward" else "treated" if verdict.item else "left out"
            self.pipeline.log.warning(f"malformed UPDATE: {what}", stage=str(source), error=str(error))

    def refuse(self, fault: WireError) -> None:
        """Ends the session because of something that the peer has sent; the peer gets a NOTIFICATION."""
        self.send(Message(message.NOTIFICATION, Notification.of(fault).encode()))
        self._end("refused", "us", f"{fault}: sent {Notification.of(fault)}")

    def _on_closed(self, error: Exception | None) -> None:
        self.incoming.hurry()
        if not self.pipeline.stopping:
            self.pipeline.lost = True
        if error is not None:
            self._end("reset", "peer", explain_error(error))
        else:
            self._end("closed", "peer", "connection closed by the peer")

    def _end(self, cause: str, side: Side, text: str) -> None:
        """Called when the connection has ended, and the session with it."""
        first = self.facts.first_notification
        if first is not None and first.side == "peer":
            cause, side, text = "notification", "peer", f"peer sent {first.notification}"
        elif self.pipeline.stopping:
            cause = text = self.pipeline.outcome
            side = "us"
        self.facts.on_end(cause, side, text)
        if not self._over.is_set():
            self._over.set()
            if not self.pipeline.stopping:
                self.pipeline.fail(self._cause(text, cause))

    def _cause(self, text: str, cause: str) -> SessionLost:
        """Why the session ended: the first NOTIFICATION that a peer sent, whichever connection was closed first;
        without one, the end of this connection."""
        told = [(stage.facts.first_notification, stage) for stage in self.peers]
        sent = [(first.time, stage, first) for first, stage in told if first is not None and first.side == "peer"]
        for _, stage, first in sorted(sent, key=lambda each: (each[0], each[1].index))[:1]:
            return SessionLost(f"{stage}: peer sent {first.notification}", reason="notification", side=stage.side)
        return SessionLost(f"{self}: {text}", reason=cause, side=self.side)

    @property
    def peers(self) -> list[PeerStage]:
        """All stages of the pipeline that have a connection to a peer."""
        return [stage for stage in self.pipeline.stages if isinstance(stage, PeerStage)]

    # to the peer

    def send(self, item: Item) -> None:
        """Takes an item that leaves the line. It is sent together with all others of the same turn of the loop."""
        if self.connection is None:
            self._pending.append(item)
            if len(self._pending) >= MAX_PENDING:
                self._hold()
            return
        if message.NOTIFICATION in self.codec.sent:
            return  # nothing follows a NOTIFICATION
        if self.family_filter is None:
            self._write(item)
            return
        for each in self.family_filter.select(item):
            self._write(each)
        if self.family_filter.left_out.total() > self.drops["family"]:
            self._tell_left_out(self.family_filter)

    def _write(self, item: Item) -> None:
        """Encodes an item. Its octets are sent together with all others of the same turn of the loop."""
        octets = self.codec.encode(item)
        if self.codec.unsent:
            self._tell_unsent()
        if not octets:
            return
        if not self._out and not (self.pipeline.feeding and self.running):
            self.call_soon(self.flush)
        self._out.append(octets)
        for tap in self.taps:
            tap.sent(item, octets)

    def _tell_left_out(self, filtered: FamilyFilter) -> None:
        """Logs, once for each family, that its routes are not sent."""
        self.drops["family"] = filtered.left_out.total()
        for family in filtered.left_out.keys() - self._families_told:
            self._families_told.add(family)
            text = "routes of a family that was not agreed are not sent"
            self.pipeline.log.warning(text, stage=str(self), family=str(family))

    def _tell_unsent(self) -> None:
        """Reports UPDATEs that could not be encoded for the peer."""
        for sent in self.codec.unsent:
            what = "its routes are withdrawn instead" if sent.withdrawn else "it is left out"
            self.drops["unsendable"] += 1
            if self.drops["unsendable"] <= MAX_UNSENT_TOLD:
                self.pipeline.log.warning(
                    f"UPDATE can't be sent: {what}", stage=str(self), seq=sent.message.seq, error=str(sent.error)
                )
        self.codec.unsent.clear()

    def flush(self) -> None:
        if self._out and self.connection is not None:
            octets = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            self.connection.write(octets)


def by_name(counts: Mapping[int, int]) -> dict[str, int]:
    """Counts of messages by the names of their types."""
    return {message.TYPE_NAMES.get(code, str(code)): count for code, count in sorted(counts.items())}
