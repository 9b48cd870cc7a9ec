"""One value of the configuration or of a request each: a text is checked, and returned in its usual spelling.

All raise ValueError with a text that says what is expected.
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ..net.secret import read_secret
from ..net.tcp import check_keys
from ..wire.communities import parse_any_community
from ..wire.errors import TextError
from .rules import MAX_PREPENDS, Written
from .times import parse_time

RESERVED_AS: Final = frozenset((0, 23456, 65535, 0xFFFFFFFF))
"""AS numbers that no peer may have (RFC 4893, RFC 7300, RFC 7607)."""


def check_asn(asn: int) -> int:
    """An AS number that a peer can have."""
    if not 0 <= asn <= 0xFFFFFFFF:
        raise ValueError(f"{asn}: an AS number from 1 to {0xFFFFFFFE} is expected")
    if asn in RESERVED_AS:
        raise ValueError(f"{asn} is reserved: it can be nobody's AS number")
    return asn


def check_address(text: str) -> str:
    """An IP address, in its usual spelling."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{text!r} is no IP address") from None


def check_peer_address(text: str) -> str:
    """The address of a peer: IPv4 addresses that are mapped into IPv6 are IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is no IP address") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_unspecified or address.is_multicast or address in _NO_HOSTS or address in _BROADCAST:
        raise ValueError(f"{text}: no peer can have this address")
    return str(address)


def check_template_address(text: str) -> str:
    """The address of a peer, or a network that stands for all peers in it."""
    return str(check_network(text)) if "/" in text else check_peer_address(text)


def check_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """An address, or a network with its length."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r}: an IP address or a network such as 192.0.2.0/24 is expected") from None


def check_prefix(text: str) -> str:
    """A prefix, in its usual spelling: host bits are cleared, an address is one of full length. No default route."""
    network = check_network(text)
    if not network.prefixlen:
        raise ValueError(f"{text}: a default route is never announced, nor excluded")
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError(f"{text}: an IPv4 address inside an IPv6 address is no route")
    return str(network)


def check_router_id(text: str) -> str:
    """A BGP identifier (RFC 6286): four octets, not all zero."""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError(f"{text!r}: a BGP identifier such as 192.0.2.1 is expected") from None
    if not int(address):
        raise ValueError("the BGP identifier must not be 0.0.0.0")
    return str(address)


def check_next_hop(text: str) -> str:
    """A next hop for IPv4 routes, or "self"."""
    if text == "self":
        return text
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError(f"{text!r}: an IPv4 address or self is expected") from None
    if address.is_unspecified or address.is_multicast or address in _NO_HOSTS or address in _BROADCAST:
        raise ValueError(f"{text}: no router can have this address")
    return str(address)


def check_next_hop_ipv6(text: str) -> str:
    """A next hop for IPv6 routes: global unicast, or "self"."""
    if text == "self":
        return text
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f"{text!r}: an IPv6 address or self is expected") from None
    if address.scope_id or address.is_multicast or address.is_unspecified or address.is_link_local:
        raise ValueError(f"{text}: a unicast address that is valid beyond one link is expected")
    return str(address)


def check_community(text: str) -> str:
    """A standard, large or extended community; see wire.communities."""
    try:
        parse_any_community(text)
    except TextError:
        expected = "a community such as 65001:100, 65001:0:100, rt:65001:100 or no-export is expected"
        raise ValueError(f"{text!r}: {expected}") from None
    return text


def check_written(written: Written) -> Written:
    """A prefix in its usual spelling, alone or with what is said of it."""
    if isinstance(written, str):
        return check_prefix(written)
    for community in written.communities:
        check_community(community)
    if written.expires:
        check_time(written.expires)
    for name, value, most in (("med", written.med, 0xFFFFFFFF), ("prepends", written.prepends, MAX_PREPENDS)):
        if value is not None and not 0 <= value <= most:
            raise ValueError(f"{written.prefix}: {name} is a number from 0 to {most}")
    return msgspec.structs.replace(written, prefix=check_prefix(written.prefix))


def check_time(text: str) -> str:
    """A time."""
    try:
        parse_time(text)
    except ValueError:
        raise ValueError(f"{text!r}: a time such as 2026-12-31T23:59:00Z is expected (ISO 8601)") from None
    return text


def check_country(text: str) -> str:
    """A country."""
    if not (len(text) == 2 and text.isascii() and text.isalpha()):
        raise ValueError(f"{text!r}: two letters are expected (ISO 3166)")
    return text


def check_md5(text: str) -> str:
    """A key for TCP MD5: itself, $VARIABLE or /file."""
    key, where = read_secret(text)
    if not key:
        raise ValueError(f"the key is empty: {where} says nothing")
    check_keys(key, "")
    return key


def check_ao(text: str) -> str:
    """A key for TCP-AO: `ID:KEY` itself, $VARIABLE or /file."""
    key, where = read_secret(text)
    if not key:
        raise ValueError(f"the key is empty: {where} says nothing")
    return check_ao_keys(key)


def check_ao_key(text: str) -> str:
    """A key for TCP-AO that comes over the API: `ID:KEY` itself, never the name of a file or variable of ours."""
    if not text or "\n" in text:
        raise ValueError("ID:KEY is expected, in one line")
    return check_ao_keys(text)


def check_ao_keys(text: str) -> str:
    """Several keys for TCP-AO, each in a line."""
    try:
        check_keys("", text)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("--ao: ")) from None
    return text


LEAST_DATABASE_KEY: Final = 32
"""Characters."""
LEAST_TOKEN: Final = 16
"""Characters of a token: shorter ones can be guessed."""


def check_token(text: str) -> str:
    """A token of the API: itself, $VARIABLE or /file."""
    token, where = read_secret(text)
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(f"{where} must be a token of at least {LEAST_TOKEN} printable ASCII characters without spaces")
    return token


DATABASES: Final = frozenset(("sqlite", "postgresql", "postgres"))
NO_DATABASE: Final = (
    "there is no such kind of database: a path, or a URL such as postgresql://user@host/name, is expected"
)


def check_database(text: str) -> str:
    """The path of a file, or a URL of one of DATABASES. The error has nothing of it, since there may be a password."""
    scheme, sign, _ = text.partition("://")
    if sign and scheme.partition("+")[0] not in DATABASES:
        raise ValueError(NO_DATABASE)
    return text


def check_database_key(text: str) -> str:
    """What secrets are encrypted with: itself, $VARIABLE or /file."""
    key, where = read_secret(text)
    if len(key) < LEAST_DATABASE_KEY:
        least = f"at least {LEAST_DATABASE_KEY} characters that nobody can guess are expected"
        raise ValueError(f"{least}, and {where} has {len(key)}: openssl rand -base64 32 makes some")
    return key


def check_peer_key(text: str) -> str:
    """A peer as `ADDRESS#AS`, in its usual spelling."""
    address, _, asn = text.partition("#")
    if not (asn.isascii() and asn.isdecimal() and len(asn) <= 10):
        raise ValueError(f"{text!r}: a peer such as 192.0.2.7#65003 is expected")
    return f"{check_peer_address(address)}#{check_asn(int(asn))}"


def check_password(text: str) -> str:
    """A key for TCP MD5 that comes over the API: just itself, never the name of a file or variable of ours."""
    if not 1 <= len(text.encode()) <= 80:
        raise ValueError("1 to 80 octets of UTF-8 are expected")
    return text


def check_url(text: str) -> str:
    """An http or https URL."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.hostname or port == 0:
        raise ValueError("an absolute URL that begins with http:// or https:// is expected")
    return text


_NO_HOSTS: Final = ipaddress.ip_network("0.0.0.0/8")
_BROADCAST: Final = ipaddress.ip_network("255.255.255.255/32")
