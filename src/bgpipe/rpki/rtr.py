"""The client of the RPKI to Router Protocol as a machine without a socket and without a clock.

Whoever owns the connection tells the machine what happens (`opened`, `received`, `applied`, `tick`, `closed`), with the
time in seconds, and does what it answers: a list of actions. `due` is when it wants to hear `tick`. One machine serves
one cache, connection after connection: so it knows what it has of the cache, and which version the cache speaks.

    client = RtrClient()
    client.opened(now)                    -> [Send(Reset Query)]
    client.received(octets, now)          -> [] ... [Apply(changes, base)]      all that End of Data completes
    client.applied(changes.apply(base), now)  -> []          from now on it counts: client.snapshot

What is staged is applied at End of Data, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, NamedTuple

from . import rtr_pdu
from .changes import Applied, Changes
from .pdu_runs import read_prefixes
from .rtr_pdu import ErrorCode, Pdu, PduType, RtrError, Timers, is_newer
from .snapshot import EMPTY, Snapshot

RESPONSE_TIMEOUT: Final = 60.0
"""Seconds without an octet after which a cache that owes an answer is silent."""
AT_ONCE: Final = 400
"""PDUs that are handled in one call, beside runs of prefixes: some milliseconds."""
VERSION_MEMORY: Final = 3600.0
"""Seconds after which a cache that spoke only a lower version is asked for the highest again."""
MAX_ECHO: Final = 4096
"""Octets of a PDU that an Error Report gives back, at most."""
MAX_TEXT: Final = 200
"""Characters of a text of the cache that are shown."""


class State(Enum):
    """Of one connection."""

    CLOSED = "closed"
    QUERIED = "queried"
    """a query is sent, and a Cache Response has to come"""
    RECEIVING = "receiving"
    """what comes is staged until End of Data"""
    APPLYING = "applying"
    """the owner applies what was staged; what comes meanwhile waits"""
    IDLE = "idle"
    """nothing is asked; the next query follows a Serial Notify, or the time for it"""


class Send(NamedTuple):
    octets: bytes


class Apply(NamedTuple):
    """Calls for `client.applied(changes.apply(base), now)`, best in a thread."""

    changes: Changes
    base: Snapshot


class Close(NamedTuple):
    """The connection must be closed, behind what was sent. again: whether to connect again at once."""

    text: str
    again: bool = False


class Note(NamedTuple):
    """Something that people should know, though it goes on."""

    text: str


class NoData(NamedTuple):
    """The cache has no data at the moment. It is asked again later, in the same connection."""

    text: str


Action = Send | Apply | Close | Note | NoData


class RtrClient:
    """version: the highest to speak. refresh, retry, expire: seconds that count whatever the cache says, None for those
    of the cache. jitter: gives a number from 0 to 1, so that many clients do not ask a cache at the same moment.

    snapshot: what the cache has said; None before the first End of Data. session, serial: of that. due: when `tick` is
    to be called, None for never. expire, retry: seconds that count now. negotiated: whether the version is agreed on in
    this connection. more: whether `go_on` is to be called for what has come: `received` takes only some PDUs at once.
    """

    def __init__(
        self,
        version: int = 2,
        *,
        refresh: float | None = None,
        retry: float | None = None,
        expire: float | None = None,
        jitter: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.state = State.CLOSED
        self.version = version
        self.negotiated = False
        self.snapshot: Snapshot | None = None
        self.session: int | None = None
        self.serial: int | None = None
        self.due: float | None = None
        self.timers = Timers()
        self.more = False
        self.old_aspas = 0
        """ASPA PDUs in the form of draft -10, in this connection"""
        self._highest = version
        self._forced = refresh, retry, expire
        self._jitter = jitter
        self._buffer = b""
        self._changes = Changes()
        self._asked_serial = False
        """whether the query that is being answered is a Serial Query"""
        self._announced: int | None = None
        """the serial of a Serial Notify that came while a query was being answered"""
        self._response_session = 0
        self._finished = (0, 0)
        """session and serial of the End of Data whose changes are being applied"""
        self._known_version: int | None = None
        """the version in which session and serial count"""
        self._lowered = 0.0
        """when the version was lowered"""
        self._strikes = 0
        """connections in a row that the cache has closed without an answer"""
        self._heard = False
        """whether the cache has answered in this connection"""

    @property
    def refresh(self) -> float:
        return self._forced[0] or self.timers.refresh

    @property
    def retry(self) -> float:
        return self._forced[1] or self.timers.retry

    @property
    def expire(self) -> float:
        return self._forced[2] or self.timers.expire

    # what happens

    def opened(self, now: float) -> list[Action]:
        """There is a connection."""
        if self.version < self._highest and now - self._lowered >= VERSION_MEMORY:
            self.version, self._strikes = self._highest, 0
        self.negotiated = self._heard = False
        self._buffer, self.old_aspas = b"", 0
        return self._query(now)

    def received(self, octets: bytes, now: float) -> list[Action]:
        """Octets have come, of any number of PDUs or of a part of one."""
        self._buffer = self._buffer + octets if self._buffer else octets
        if self.state in (State.CLOSED, State.APPLYING):
            return []
        if self.state is not State.IDLE:
            self.due = now + RESPONSE_TIMEOUT
        return self._consume(now)

    def go_on(self, now: float) -> list[Action]:
        """Handles more of what has come, where `more` says that there is."""
        self.more = False
        return [] if self.state in (State.CLOSED, State.APPLYING) else self._consume(now)

    def applied(self, applied: Applied, now: float) -> list[Action]:
        """The changes of Apply were applied."""
        if self.state is not State.APPLYING:
            return []
        if error := _objection(applied, self.version):
            self._forget_serial()
            return self._refuse(error)
        self.snapshot = applied.snapshot
        self.session, self.serial = self._finished
        self._known_version = self.version
        self.state = State.IDLE
        self.due = now + self.refresh * (1 - self._jitter() / 10)
        if self._announced is not None and is_newer(self._announced, self.serial) is not False:
            return self._query(now)
        return self._consume(now)

    def tick(self, now: float) -> list[Action]:
        """To be called when `due` has come."""
        if self.due is None or now < self.due or self.state is State.CLOSED:
            return []
        if self.state is State.IDLE:
            return self._query(now)
        if self.state is State.APPLYING:
            return []
        return self._close(f"the cache is silent for {RESPONSE_TIMEOUT:g} s", again=False)

    def ask(self, now: float) -> list[Action]:
        """Asks for all data again, if nothing is being asked."""
        if self.state is not State.IDLE:
            return []
        self._forget_serial()
        return self._query(now)

    def closed(self, now: float) -> list[Action]:
        """The cache has closed the connection, or it is lost."""
        unanswered = self.state is State.QUERIED and not self._heard
        before, self.state = self.state, State.CLOSED
        self.due, self._changes, self.more = None, Changes(), False
        if before is State.CLOSED:
            return []
        if unanswered:
            return self._strike(now)
        return [Close(f"the cache has closed the connection{_WHILE.get(before, '')}")]

    def abandon(self) -> None:
        """We have closed the connection, of which the cache could say nothing."""
        self.state, self.due, self._changes, self.more = State.CLOSED, None, Changes(), False

    def forget(self) -> None:
        """Drops all data of the cache."""
        self.snapshot = None
        self._forget_serial()

    # queries

    def _query(self, now: float) -> list[Action]:
        self.state, self.due = State.QUERIED, now + RESPONSE_TIMEOUT
        self._announced, self._changes = None, Changes()
        self._asked_serial = self.serial is not None and self._known_version == self.version
        if self._asked_serial:
            assert self.session is not None
            assert self.serial is not None
            return [Send(rtr_pdu.encode_serial_query(self.version, self.session, self.serial))]
        return [Send(rtr_pdu.encode_reset_query(self.version))]

    def _forget_serial(self) -> None:
        self.session = self.serial = self._known_version = None

    # the version

    def _strike(self, now: float) -> list[Action]:
        """The cache has closed the connection without an answer: some do so if they don't speak the version. One that
        has spoken it before must do so twice."""
        self._strikes += 1
        text = f"the cache has closed the connection without an answer in version {self.version}"
        if self._known_version == self.version and self._strikes < 2:
            return [Close(text)]
        return [Close(text, again=self._lower(self.version - 1, now))]

    def _lower(self, version: int, now: float) -> bool:
        """The version to try in the next connection. Returns whether there is one; else it begins at the highest."""
        self._strikes = 0
        if version < 0:
            self.version = self._highest
            return False
        self.version, self._lowered = version, now
        return True

    def _agree(self, version: int, now: float) -> None:
        """The first answer of the cache has this version: we go down with it (RFC 8210 section 7)."""
        self.negotiated, self._strikes = True, 0
        if version < self.version:
            self.version, self._lowered = version, now

    # what comes

    def _consume(self, now: float) -> list[Action]:
        """Handles the PDUs in the buffer, as far as they are complete."""
        buffer, place, actions = self._buffer, 0, list[Action]()
        self.more, left = False, AT_ONCE
        try:
            while self.state not in (State.CLOSED, State.APPLYING):
                if self.state is State.RECEIVING:
                    place = self._take_prefixes(buffer, place)
                if len(buffer) - place < rtr_pdu.HEADER:
                    break
                head = buffer[place : place + rtr_pdu.HEADER]
                length = rtr_pdu.pdu_length(head, self.version if self.negotiated else None)
                if len(buffer) - place < length:
                    break
                if not left:
                    self.more = True
                    break
                left -= 1
                pdu = rtr_pdu.decode(buffer[place : place + length])
                place += length
                actions += self._handle(pdu, now)
        except RtrError as error:
            actions += self._refuse(error, buffer, place)
        self._buffer = buffer[place:]
        return actions

    def _take_prefixes(self, buffer: bytes, place: int) -> int:
        """Stages the prefix PDUs that stand one after the other. Returns where something else begins."""
        run = read_prefixes(buffer, place, self.version)
        for afi, announced in run.announced.items():
            if announced:
                self._changes.stage(afi, run.records[afi], announced)
        return run.end

    def _handle(self, pdu: Pdu, now: float) -> list[Action]:
        """Raises RtrError."""
        handler = _TABLE[self.state].get(pdu.type)
        if handler is None:
            text = f"{pdu.type} {_OUT_OF_CONTEXT[self.state]}"
            raise RtrError(ErrorCode.CORRUPT_DATA, text, pdu.octets)
        if not self.negotiated and pdu.type not in (PduType.SERIAL_NOTIFY, PduType.ERROR_REPORT):
            if pdu.version > self.version:
                text = f"{pdu.type} of version {pdu.version}, in answer to version {self.version}"
                raise RtrError(ErrorCode.UNSUPPORTED_VERSION, text, pdu.octets)
            self._agree(pdu.version, now)
        self._heard = self._heard or pdu.type is not PduType.SERIAL_NOTIFY
        return handler(self, pdu, now)

    def _begin(self, pdu: Pdu, now: float) -> list[Action]:
        """Cache Response."""
        if self._asked_serial and (pdu.field != self.session or pdu.version != self._known_version):
            old = self.session
            self._forget_serial()
            text = f"Cache Response of session {pdu.field}, in answer to a Serial Query of session {old}"
            raise RtrError(ErrorCode.CORRUPT_DATA, text, pdu.octets)
        self.state, self._response_session = State.RECEIVING, pdu.field
        return []

    def _stage_prefix(self, pdu: Pdu, now: float) -> list[Action]:
        """A prefix PDU that `read_prefixes` has left, because something is odd about it: what, is judged here."""
        body = pdu.body
        afi, bits = (1, 32) if pdu.type is PduType.IPV4_PREFIX else (2, 128)
        length, max_length = body[1], body[2]
        if not length <= max_length <= bits:
            text = f"{pdu.type} of length {length} and maxLength {max_length}"
            raise RtrError(ErrorCode.CORRUPT_DATA, text, pdu.octets)
        address = int.from_bytes(body[4:-4], "big") >> bits - length << bits - length
        record = address.to_bytes(bits // 8, "big") + bytes((length, max_length)) + body[-4:]
        self._changes.stage(afi, record, bytes((body[0] & rtr_pdu.ANNOUNCE,)))
        return []

    def _stage_aspa(self, pdu: Pdu, now: float) -> list[Action]:
        if rtr_pdu.is_old_aspa(pdu):
            self.old_aspas += 1
            text = (
                "the cache sends ASPAs in an old form (draft-ietf-sidrops-8210bis-10, as StayRTR 0.5.1 does), which are"
                " left out: update the cache, or give another source for ASPAs; its VRPs count"
            )
            return [Note(text)] if self.old_aspas == 1 else []
        customer, providers = rtr_pdu.aspa(pdu)
        if providers is None:
            self._changes.withdraw_aspa(customer)
        else:
            self._changes.announce_aspa(customer, providers)
        return []

    def _skip(self, pdu: Pdu, now: float) -> list[Action]:
        """Router keys, which only BGPsec needs."""
        return []

    def _finish(self, pdu: Pdu, now: float) -> list[Action]:
        """End of Data."""
        session, serial, timers = rtr_pdu.end_of_data(pdu)
        if session != self._response_session:
            text = f"End of Data of session {session}, behind a Cache Response of session {self._response_session}"
            raise RtrError(ErrorCode.CORRUPT_DATA, text, pdu.octets)
        self.timers = rtr_pdu.within_limits(timers)
        self.state, self.due = State.APPLYING, None
        self._finished = session, serial
        changes, self._changes = self._changes, Changes()
        base = self.snapshot if self._asked_serial and self.snapshot is not None else EMPTY
        told = Note(f"the timers of the cache are outside of RFC 8210 section 6: {timers}")
        return [*([told] if timers != self.timers else []), Apply(changes, base)]

    def _reset(self, pdu: Pdu, now: float) -> list[Action]:
        """Cache Reset: there is no delta from our serial. What we have stays until all has come."""
        if self.state is State.QUERIED and not self._asked_serial:
            raise RtrError(ErrorCode.CORRUPT_DATA, "Cache Reset in answer to a Reset Query", pdu.octets)
        self._forget_serial()
        return self._query(now)

    def _notified(self, pdu: Pdu, now: float) -> list[Action]:
        """Serial Notify while nothing is asked."""
        serial = int.from_bytes(pdu.body, "big")
        if pdu.field != self.session or self.serial is None:
            self._forget_serial()
            return self._query(now)
        newer = is_newer(serial, self.serial)
        if newer is None:  # RFC 1982 does not say which of the two is newer
            self._forget_serial()
        return self._query(now) if newer is not False else []

    def _remember(self, pdu: Pdu, now: float) -> list[Action]:
        """Serial Notify while a query is being answered. Before the version is agreed on it means nothing."""
        if self.negotiated:
            self._announced = int.from_bytes(pdu.body, "big")
        return []

    def _reported(self, pdu: Pdu, now: float) -> list[Action]:
        """Error Report, which is never answered with another one."""
        code, _, said = rtr_pdu.report(pdu)
        text = f"the cache reports {rtr_pdu.name_of_code(code)}" + (f": {said[:MAX_TEXT]!r}" if said else "")
        if code == ErrorCode.NO_DATA_AVAILABLE and self.state is not State.RECEIVING:
            self._agree(pdu.version, now)
            self.state, self.due = State.IDLE, now + self.retry
            return [NoData(text)]
        if code == ErrorCode.UNSUPPORTED_VERSION:
            again = self._lower(min(pdu.version, self.version - 1), now)
            return self._close(text, again=again)
        if code in (ErrorCode.CORRUPT_DATA, ErrorCode.INVALID_REQUEST):
            self._forget_serial()  # perhaps it is about the serial that we have named
        return self._close(text, again=False)

    # the end

    def _refuse(self, error: RtrError, buffer: bytes = b"", place: int = 0) -> list[Action]:
        """Answers with an Error Report, and ends the connection."""
        if buffer[place + 1 : place + 2] == bytes((PduType.ERROR_REPORT,)) and error.pdu[1:2] == b"\x0a":
            return self._close(f"the cache sends an Error Report that can't be read: {error}", again=False)
        octets = rtr_pdu.encode_error(self.version, error.code, error.pdu[:MAX_ECHO], str(error))
        text = f"the cache sends what can't be: {error}; it was told {rtr_pdu.name_of_code(error.code)}"
        return [Send(octets), *self._close(text, again=False)]

    def _close(self, text: str, *, again: bool) -> list[Action]:
        self.state, self.due, self._buffer, self._changes = State.CLOSED, None, b"", Changes()
        return [Close(text, again)]


_WHILE: Final = {State.RECEIVING: " before End of Data", State.APPLYING: "", State.QUERIED: " before its answer"}
_OUT_OF_CONTEXT: Final = {
    State.QUERIED: "before a Cache Response",
    State.RECEIVING: "before End of Data",
    State.IDLE: "while nothing was asked",
}
_Handler = Callable[[RtrClient, Pdu, float], list[Action]]
_TABLE: Final[Mapping[State, Mapping[PduType, _Handler]]] = {
    State.QUERIED: {
        PduType.SERIAL_NOTIFY: RtrClient._remember,
        PduType.CACHE_RESPONSE: RtrClient._begin,
        PduType.CACHE_RESET: RtrClient._reset,
        PduType.ERROR_REPORT: RtrClient._reported,
    },
    State.RECEIVING: {
        PduType.SERIAL_NOTIFY: RtrClient._remember,
        PduType.IPV4_PREFIX: RtrClient._stage_prefix,
        PduType.IPV6_PREFIX: RtrClient._stage_prefix,
        PduType.ROUTER_KEY: RtrClient._skip,
        PduType.ASPA: RtrClient._stage_aspa,
        PduType.END_OF_DATA: RtrClient._finish,
        PduType.ERROR_REPORT: RtrClient._reported,
    },
    State.IDLE: {
        PduType.SERIAL_NOTIFY: RtrClient._notified,
        PduType.CACHE_RESET: RtrClient._reset,
        PduType.ERROR_REPORT: RtrClient._reported,
    },
}
"""What is done with a PDU, by state. A PDU that has no place there is out of context: Error Report, Corrupt Data."""


def _objection(applied: Applied, version: int) -> RtrError | None:
    """What is wrong with a response as a whole (RFC 8210 section 12)."""
    for vrp in applied.duplicates[:1]:
        text = f"{vrp} is announced a second time ({applied.duplicate_count} such PDUs)"
        return RtrError(ErrorCode.DUPLICATE_ANNOUNCEMENT, text, rtr_pdu.encode_prefix(version, vrp, announce=True))
    for vrp in applied.unknown[:1]:
        text = f"{vrp} is withdrawn, and was not there ({applied.unknown_count} such PDUs)"
        return RtrError(ErrorCode.WITHDRAWAL_OF_UNKNOWN, text, rtr_pdu.encode_prefix(version, vrp, announce=False))
    for customer in applied.unknown_customers[:1]:
        text = f"the ASPA of AS{customer} is withdrawn, and was not there"
        return RtrError(ErrorCode.WITHDRAWAL_OF_UNKNOWN, text, rtr_pdu.encode_aspa(version, customer, None))
    return None
