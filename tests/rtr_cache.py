"""An RTR cache for tests, without a socket: what a router says goes in, what the cache answers comes out.

`tests/interop` has real routers judge it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from bgpipe.rpki.rtr_pdu import ErrorCode, PduType, encode_aspa, encode_error, encode_prefix
from bgpipe.rpki.snapshot import EMPTY, Snapshot
from bgpipe.rpki.vrps import unpack_vrps


def pdu(version: int, kind: PduType, field: int = 0, body: bytes = b"") -> bytes:
    return struct.pack(">BBHI", version, kind, field, 8 + len(body)) + body


def serial_notify(version: int, session: int, serial: int) -> bytes:
    return pdu(version, PduType.SERIAL_NOTIFY, session, serial.to_bytes(4, "big"))


def cache_response(version: int, session: int) -> bytes:
    return pdu(version, PduType.CACHE_RESPONSE, session)


def cache_reset(version: int) -> bytes:
    return pdu(version, PduType.CACHE_RESET)


def end_of_data(version: int, session: int, serial: int, timers: tuple[int, int, int] = (3600, 600, 7200)) -> bytes:
    return pdu(
        version, PduType.END_OF_DATA, session, struct.pack(">I", serial) + struct.pack(">3I", *timers) * bool(version)
    )


def payload(version: int, new: Snapshot, old: Snapshot = EMPTY) -> bytes:
    """The PDUs that make `new` of `old`."""
    difference = new.difference(old)
    octets = bytearray()
    for announce, changed in ((True, difference.added), (False, difference.removed)):
        for afi, records in changed.items():
            for vrp in unpack_vrps(afi, records):
                octets += encode_prefix(version, vrp, announce=announce)
    for customer in sorted(difference.customers) if version >= 2 else ():
        octets += encode_aspa(version, customer, new.aspas.get(customer))
    return bytes(octets)


class Cache:
    """What a cache knows, for all its connections. versions: those that it speaks. It remembers `history` older
    versions of its data, for deltas."""

    def __init__(
        self,
        data: Snapshot | None = EMPTY,
        *,
        versions: Iterable[int] = (0, 1, 2),
        session: int = 4711,
        serial: int = 1,
        timers: tuple[int, int, int] = (3600, 600, 7200),
        history: int = 10,
    ) -> None:
        self.versions = tuple(versions)
        self.session = session
        self.serial = serial
        self.timers = timers
        self.data = data
        self._history = history
        self._old: dict[int, Snapshot] = {} if data is None else {serial: data}

    def replace(self, data: Snapshot) -> None:
        """Other data, with the next serial number. `notify` tells a router."""
        self.serial = self.serial + 1 & 0xFFFFFFFF
        self.data = self._old[self.serial] = data
        for serial in list(self._old)[: -self._history]:
            del self._old[serial]

    def restart(self, session: int, serial: int = 1) -> None:
        """A new process, which knows nothing of the old one."""
        self.session, self.serial = session, serial
        self._old = {} if self.data is None else {serial: self.data}


class CacheConnection:
    """One connection of a cache. `errors` are the codes and texts of Error Reports that the router has sent."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.version: int | None = None
        self.asked: list[bytes] = []
        self.errors: list[tuple[int, str]] = []
        self.closes = False
        self._buffer = b""

    def receive(self, octets: bytes) -> bytes:
        """The answer to octets of a router."""
        self._buffer += octets
        answer = b""
        while len(self._buffer) >= 8:
            length = int.from_bytes(self._buffer[4:8], "big")
            if len(self._buffer) < length:
                break
            query, self._buffer = self._buffer[:length], self._buffer[length:]
            answer += self._answer(query)
        return answer

    def notify(self) -> bytes:
        """A Serial Notify, once the version is agreed on."""
        if self.version is None:
            return b""
        return serial_notify(self.version, self.cache.session, self.cache.serial)

    def _answer(self, query: bytes) -> bytes:
        version, kind, field = query[0], query[1], int.from_bytes(query[2:4], "big")
        self.asked.append(query)
        if kind == PduType.ERROR_REPORT:
            size = int.from_bytes(query[8:12], "big")
            self.errors.append((field, query[16 + size :].decode()))
            self.closes = True
            return b""
        if version not in self.cache.versions:
            self.closes = True
            return encode_error(max(self.cache.versions), ErrorCode.UNSUPPORTED_VERSION, query, "not this one")
        self.version = version
        if self.cache.data is None:
            return encode_error(version, ErrorCode.NO_DATA_AVAILABLE, b"", "")
        if kind == PduType.RESET_QUERY:
            return self._response(EMPTY)
        serial = int.from_bytes(query[8:12], "big")
        old = self.cache._old.get(serial)
        if field != self.cache.session or old is None:
            return cache_reset(version)
        return self._response(old)

    def _response(self, old: Snapshot) -> bytes:
        assert self.version is not None
        assert self.cache.data is not None
        session, serial, timers = self.cache.session, self.cache.serial, self.cache.timers
        body = payload(self.version, self.cache.data, old)
        return cache_response(self.version, session) + body + end_of_data(self.version, session, serial, timers)
