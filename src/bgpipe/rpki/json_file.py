"""JSON of validators, read while it comes: `{"roas":[{"asn","prefix","maxLength"},...],"aspas":[...], ...}`.

Entries of `roas` and `aspas` are read by the compiled part, as far as they are written as usual; all else, and what it
declines, is decoded here, entry by entry. What stands under other names is skipped, but it must be JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from .. import accel
from ..wire.errors import TextError
from .entries import Entries, make_vrp, parse_asn
from .snapshot import sort_providers

MAX_VALUE: Final = 16 << 20
"""Octets of the longest entry, and of the longest other value."""

_AUTHORIZATIONS: Final = "provider_authorizations"
_BLANKS: Final = re.compile(rb"[ \t\r\n]*")
# Possessive repeats: there is one way to read a string, and each place to turn back to would take memory.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_FLAT: Final = re.compile(rb'\{[^{}\[\]"]*+(?:"[^"\\]*+"[^{}\[\]"]*+)*+\}')
"""An object without anything nested in it: most entries are."""
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{}]', re.DOTALL)
_SCALAR: Final = re.compile(rb'[^ \t\r\n,\]}\["{:]+')

T = TypeVar("T")
Read = Callable[[bytes], None]
"""Reads an entry."""


class Roa(Struct):
    """An entry of `roas`."""

    prefix: str
    asn: str | int | float
    maxLength: int | None = None
    expires: float | None = None


class Aspa(Struct):
    """An entry of `aspas`; Routinator, rpki-client, and the original bgpipe have other names for its members."""

    customer: str | int | None = None
    customer_asid: str | int | None = None
    providers: list[str | int] | None = None
    provider_asids: list[str | int] | None = None
    expires: float | None = None


class Authorizations(Struct):
    """`provider_authorizations` of rpki-client 8.2 and StayRTR 0.5.1: ASPAs by address family."""

    ipv4: list[msgspec.Raw] = []
    ipv6: list[msgspec.Raw] = []


class NeedMore(Exception):
    """The octets end in the middle of something."""


class JsonFile:
    """A file in JSON. `feed` raises TextError where it is none, or not one of a validator.

    passed: octets of the file that were passed over before.
    """

    def __init__(self, entries: Entries, passed: int = 0) -> None:
        self._entries = entries
        self._scanner: Any = accel.rpki_json.Scanner(entries.now) if accel.AVAILABLE else None
        self._rest = b""
        self._passed = passed  # octets before `_rest`
        self._step: Callable[[], None] = self._begin
        self._pos = 0
        self._enough = 0  # octets that `_rest` must have before it is looked at again
        self._key = ""
        self._read: Read | None = None
        self._number = 0
        self._values = 0  # entries of lists, and members
        self._known = False

    def feed(self, octets: bytes) -> None:
        """A value that is not whole is looked at again when twice as much is there: what comes in small pieces, and has
        no end, must not take quadratic time."""
        self._rest += octets
        if len(self._rest) >= self._enough:
            self._go()

    def _go(self) -> None:
        self._pos = 0
        try:
            while True:
                self._step()
        except NeedMore:
            pass
        self._passed += self._pos
        self._rest = self._rest[self._pos :]
        self._enough = 2 * len(self._rest)
        if len(self._rest) > MAX_VALUE:
            raise self._error(f"more than {MAX_VALUE >> 20} MiB for one value")

    def finish(self) -> None:
        self._go()
        if self._step != self._after:
            raise TextError(f"no VRPs in JSON: it ends too early, at octet {self._passed + len(self._rest)}")
        if not self._known:
            raise TextError('no VRPs in JSON: neither "roas" nor "aspas" is there')
        if self._scanner is not None:
            self._entries.take(self._scanner)

    # Octets

    def _error(self, text: str) -> TextError:
        return TextError(f"no VRPs in JSON: {text} (at octet {self._passed + self._pos})")

    def _next(self) -> bytes:
        """The next octet that is no blank; it is not passed over. Raises NeedMore."""
        found = _BLANKS.match(self._rest, self._pos)
        assert found is not None
        self._pos = found.end()
        if self._pos == len(self._rest):
            raise NeedMore
        return self._rest[self._pos : self._pos + 1]

    def _take(self, wanted: bytes) -> bytes:
        """Passes over the next octet that is no blank, which is one of these. Raises NeedMore, TextError."""
        found = self._next()
        if found not in wanted:
            names = " or ".join(chr(each) for each in wanted)
            raise self._error(f"{names} is expected")
        self._pos += 1
        return found

    def _value(self) -> bytes:
        """The next value, passed over. Raises NeedMore, TextError."""
        self._next()
        end = find_end(self._rest, self._pos)
        if end < 0:
            raise NeedMore
        if end == self._pos:
            raise self._error("a value is expected")
        value = self._rest[self._pos : end]
        self._pos = end
        return value

    # Steps: each takes one thing, says which one comes next, and changes nothing if it raises NeedMore

    def _begin(self) -> None:
        self._take(b"{")
        self._step = self._first_key

    def _first_key(self) -> None:
        if self._next() == b"}":
            self._take(b"}")
            self._step = self._after
        else:
            self._member()

    def _next_key(self) -> None:
        if self._take(b",}") == b"}":
            self._step = self._after
        else:
            self._step = self._member

    def _after(self) -> None:
        self._next()
        raise self._error("something stands behind the end")

    def _member(self) -> None:
        """The name of a member, and its colon."""
        start = self._pos
        if self._next() != b'"':
            raise self._error('a name in " is expected')
        name = self._decode(self._value(), str)
        try:
            self._take(b":")
            begin = self._next()
        except NeedMore:
            self._pos = start
            raise
        self._key, self._number = name, 0
        self._count(1)
        self._read = {"roas": self._read_roa, "aspas": self._read_aspa}.get(name)
        self._known = self._known or self._read is not None or name == _AUTHORIZATIONS
        if name == _AUTHORIZATIONS and begin != b"{":
            raise self._error(f'"{name}" is no object')
        if begin == b"[":
            self._pos += 1
            self._step = self._first_entry
        elif self._read is not None:
            raise self._error(f'"{name}" is no list')
        else:
            self._step = self._other

    def _other(self) -> None:
        """A value that is no list."""
        value = self._value()
        if self._key == _AUTHORIZATIONS:
            self._read_authorizations(value)
        else:
            self._decode(value, msgspec.Raw)
        self._step = self._next_key

    def _first_entry(self) -> None:
        if self._next() == b"]":
            self._pos += 1
            self._step = self._next_key
        else:
            self._entry()

    def _next_entry(self) -> None:
        if self._take(b",]") == b"]":
            self._step = self._next_key
        else:
            self._step = self._entry

    def _entry(self) -> None:
        """One entry; of `roas` and `aspas` as many as the compiled part can read."""
        if self._read is not None and self._scanner is not None:
            end, count = self._scan()
            if count:
                self._pos = end
                self._number += count
                self._count(count)
                self._step = self._next_entry
                return
        value = self._value()
        number, self._number = self._number, self._number + 1
        self._count(1)
        self._step = self._next_entry
        if self._read is not None:
            self._enter(value, self._read, f"{self._key}[{number}]")
        else:
            self._decode(value, msgspec.Raw)

    def _scan(self) -> tuple[int, int]:
        """Reads entries in the compiled part. Returns where they end, and how many they are."""
        if self._key == "roas":
            end, count = self._scanner.scan(self._rest, self._pos)
        else:
            end, count, found = self._scanner.scan_aspas(self._rest, self._pos)
            self._entries.add_aspas(found)
        return end, count

    def _count(self, values: int) -> None:
        """Raises TextError if they are too many."""
        self._values += values
        self._entries.limit(self._values)

    # Values

    def _decode(self, octets: bytes, kind: type[T]) -> T:
        """Raises TextError if it is no JSON."""
        try:
            return msgspec.json.decode(octets, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._error(str(error)) from None

    def _enter(self, octets: bytes, read: Read, place: str) -> None:
        """Reads an entry. place: where it is, should it be none. Raises TextError if it is no JSON."""
        try:
            read(octets)
        except (msgspec.ValidationError, UnicodeDecodeError, TextError) as error:
            self._entries.tell(place, str(error))
        except (msgspec.DecodeError, RecursionError) as error:
            if _is_utf8(octets):
                raise self._error(str(error)) from None
            self._entries.tell(place, f"text that is not UTF-8: {error}")

    def _read_roa(self, octets: bytes) -> None:
        roa = msgspec.json.decode(octets, type=Roa)
        vrp = make_vrp(roa.prefix, roa.maxLength, roa.asn)
        if not self._entries.is_over(roa.expires):
            self._entries.add_vrp(vrp)

    def _read_aspa(self, octets: bytes) -> None:
        aspa = msgspec.json.decode(octets, type=Aspa)
        customer, providers = _attestation(aspa)
        if not self._entries.is_over(aspa.expires):
            self._entries.add_aspas([(customer, sort_providers(providers))])

    def _read_authorizations(self, octets: bytes) -> None:
        found = self._decode(octets, Authorizations)
        for family in ("ipv4", "ipv6"):
            for number, entry in enumerate(getattr(found, family)):
                self._enter(bytes(entry), self._read_aspa, f"{_AUTHORIZATIONS}.{family}[{number}]")


def _attestation(aspa: Aspa) -> tuple[int, list[int]]:
    """The customer and its providers. Raises TextError."""
    said = aspa.customer if aspa.customer is not None else aspa.customer_asid
    providers = aspa.providers if aspa.providers is not None else aspa.provider_asids
    if said is None or not providers:
        raise TextError("customer is missing" if said is None else "providers are missing")
    customer = parse_asn(said)
    if not customer:
        raise TextError("AS 0 can't be a customer")
    return customer, [parse_asn(each) for each in providers]


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def find_end(octets: bytes, start: int) -> int:
    """Where the value that starts here ends; -1 if it does not end here. What can't be a value is one without octets.

    Brackets and strings are counted, nothing more: whether it is JSON, a decoder says.
    """
    first = octets[start : start + 1]
    if first == b"{" and (flat := _FLAT.match(octets, start)):
        return flat.end()
    if first == b'"':
        string = _STRING.match(octets, start)
        return string.end() if string else -1
    if first not in (b"{", b"["):
        scalar = _SCALAR.match(octets, start)
        if scalar is None:
            return start
        return scalar.end() if scalar.end() < len(octets) else -1
    depth = 0
    for token in _TOKEN.finditer(octets, start):
        mark = token.group()
        if mark == b'"':
            return -1  # a string that does not end
        if len(mark) > 1:
            continue
        depth += 1 if mark in b"[{" else -1
        if not depth:
            return token.end()
    return -1
