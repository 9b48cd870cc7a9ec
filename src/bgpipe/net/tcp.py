"""TCP for BGP: opening connections and waiting for them, with MD5 or TCP-AO, TTL, GTSM and transparent addresses.

Options that Python's socket module does not name are those of Linux. If the kernel refuses an option, a ValueError
names it and says what it needs. An error that may be gone at the next attempt is an OSError.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import ipaddress
import os
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ..tasks import in_thread
from .errors import explain_failure

BGP_PORT: Final = 179
_TCP_MD5SIG_EXT: Final = 32
_TCP_AO_ADD_KEY: Final = 38
_TCP_AO_DEL_KEY: Final = 39
_TCP_AO_INFO: Final = 40
_IP_TRANSPARENT: Final = 19
_IPV6_TRANSPARENT: Final = 75
_IP_MINTTL: Final = 21
_IPV6_MINHOPCOUNT: Final = 73
_MAX_KEY: Final = 80
_MAX_KEEPALIVE: Final = 32767
"""Seconds: the longest keepalive time that Linux accepts."""
_BUFFER: Final = 4 << 20
"""The size of the kernel's buffer in each direction, in octets, where it can be set."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class TcpOptions:
    """How connections are made.

    md5: key of RFC 2385, "" for none. ao: key of RFC 5925, with its key id as `ID:KEY`, "" for none; several in a line
    each, of which the first one is for what we send on connections that we open.
    ttl: of packets that are sent, 0 for that of the system. min_ttl: the least TTL of received packets (RFC 5082), 0
    for any.
    transparent: use addresses that are not ours (needs CAP_NET_ADMIN). bind: where to connect from, "" for anywhere.
    keepalive: seconds between TCP keepalives, not above 0 for none. ipv6: whether names may mean IPv6 addresses.
    tls: for TLS inside the connection.
    """

    md5: str = ""
    ao: str = ""
    ttl: int = 0
    min_ttl: int = 0
    transparent: bool = False
    bind: str = ""
    keepalive: float = 15.0
    ipv6: bool = True
    tls: ssl.SSLContext | None = None


def parse_endpoint(text: str, default_port: int = BGP_PORT) -> tuple[str, int]:
    """(host, port) of `host`, `host:port`, `:port`, an IP address, `[v6]` or `[v6]:port`. Raises ValueError."""
    host, port = text, ""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError(f"not an address: {text!r}; [ADDRESS]:PORT is expected")
        port = port[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not port:
        return host, default_port
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"not a port: {port!r} in {text!r}; 1 to 65535 is expected")
    return host, int(port)


def parse_bind(text: str) -> tuple[str, int]:
    """(IP address, port) to connect from, of `IP` or `IP:PORT`; port 0 is any. Raises ValueError."""
    host, port = parse_endpoint(text, 0)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"not an IP address: {host!r}") from None
    return host, port


def needs_zone(host: str) -> bool:
    """Whether it is a link-local IPv6 address that doesn't say on which link (RFC 4007)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return isinstance(address, ipaddress.IPv6Address) and address.is_link_local and address.scope_id is None


def interface_of(address: str) -> int:
    """The number of the interface that the zone of an address names, as in fe80::1%eth0 (RFC 4007 section 11); 0 if it
    has none that is known."""
    zone = address.partition("%")[2]
    if zone.isdecimal():
        return int(zone)
    try:
        return socket.if_nametoindex(zone) if zone else 0
    except OSError:
        return 0


def format_endpoint(address: Sequence[Any]) -> str:
    """`host:port`, or `[v6]:port`, of an address as sockets give it."""
    host = plain_address(address)
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"


def plain_address(address: Sequence[Any]) -> str:
    """The host of an address as sockets give it: with the zone of a link-local one (RFC 4007 section 11), and an IPv4
    address as such."""
    host = str(address[0]).removeprefix("::ffff:")
    if len(address) > 3 and address[3] and "%" not in host:
        try:
            return f"{host}%{socket.if_indextoname(address[3])}"
        except OSError:  # the interface is gone
            return f"{host}%{address[3]}"
    return host


async def dial(host: str, port: int, options: TcpOptions, timeout: float | None) -> socket.socket:
    """A connected socket, to the first address of `host` that answers. Raises OSError (TimeoutError too), ValueError.

    timeout: seconds for each address, None waits as long as the kernel does.
    """
    loop = asyncio.get_running_loop()
    place: tuple[Any, ...] | None = None
    family = socket.AF_UNSPEC if options.ipv6 else socket.AF_INET
    if options.bind:  # with the number of the interface, if it is link-local
        bind_host, bind_port = parse_bind(options.bind)
        try:
            found = socket.getaddrinfo(bind_host, bind_port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except socket.gaierror as failed:
            raise ValueError(f"--bind {options.bind}: {failed.strerror}") from None
        family, place = found[0][0], found[0][4]
    found = await resolve(host, port, family)
    error: OSError | None = None
    for family, _, _, _, address in found:
        connection = _new_socket(family)
        try:
            _prepare(connection, options)
            if place is not None:
                try:
                    connection.bind(place)
                except OSError as failed:
                    raise OSError(failed.errno, f"--bind {options.bind}: {failed.strerror}") from failed
            async with asyncio.timeout(timeout):
                await loop.sock_connect(connection, address)
        except OSError as failed:
            connection.close()
            error = failed
            if isinstance(failed, TimeoutError) and not failed.errno:
                error = TimeoutError(errno.ETIMEDOUT, f"no answer within {timeout:g} s")
            error.strerror = explain_failure(error)
        except BaseException:
            connection.close()
            raise
        else:
            tune(connection, options)
            return connection
    raise error or OSError(f"{host}: no address")


async def resolve(host: str, port: int, family: int = socket.AF_UNSPEC) -> list[Any]:
    """The addresses of a host, as socket.getaddrinfo gives them. Raises OSError. A resolver may take for ever."""
    return await in_thread(
        f"resolve {host}", lambda: socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    )


async def listen(
    host: str,
    port: int,
    options: TcpOptions,
    queue: int = 128,
    on_bound: Callable[[list[socket.socket]], object] = lambda sockets: None,
) -> list[socket.socket]:
    """Listening sockets: one for an address, one for each of IPv4 and IPv6 where `host` is "".

    on_bound: called before anybody can connect, for what must be set by then. Raises OSError, ValueError.
    """
    places: list[tuple[int, tuple[Any, ...]]]
    if host:
        places = [(int(found[0]), found[4]) for found in await resolve(host, port)][:1]
    else:
        places = [(socket.AF_INET, ("", port))]
        if options.ipv6 and socket.has_dualstack_ipv6():
            places.append((socket.AF_INET6, ("::", port)))
    sockets: list[socket.socket] = []
    try:
        for family, address in places:
            listening = _new_socket(family)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            _prepare(listening, options)
            listening.bind(address)
        on_bound(sockets)
        for listening in sockets:
            listening.listen(queue)
    except BaseException:
        for each in sockets:
            each.close()
        raise
    return sockets


def tune(connection: socket.socket, options: TcpOptions) -> None:
    """Sets options of a connected socket: no delay, keepalives, buffer sizes."""
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if options.keepalive > 0:
        seconds = min(max(1, round(options.keepalive)), _MAX_KEEPALIVE)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if sys.platform == "linux":
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, seconds)


def parse_networks(texts: Sequence[str]) -> list[Network]:
    """IP addresses and networks; those of IPv4 that are mapped into IPv6 are meant as IPv4. Raises ValueError."""
    return [_unmapped(ipaddress.ip_network(text, strict=False)) for text in texts]


def _unmapped(network: Network) -> Network:
    """`::ffff:192.0.2.0/120` is 192.0.2.0/24: peers with IPv4 addresses are known by these."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - 96))


def allowed(address: str, networks: Sequence[Network]) -> bool:
    """Whether a peer may connect: one in these networks, or any if there are none."""
    if not networks:
        return True
    peer = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped:
        peer = peer.ipv4_mapped
    return any(peer in network for network in networks)


def _new_socket(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


def _prepare(made: socket.socket, options: TcpOptions) -> None:
    """Sets the options that must be set before bind, connect or listen."""
    v6 = made.family == socket.AF_INET6
    if options.md5:
        set_option(made, "--md5", lambda: set_md5(made, options.md5))
    if options.ao:
        # the kernel sends with the key that was set last
        for each in reversed(split_ao(options.ao)):
            set_option(made, "--ao", partial(set_ao, made, each))
    if options.transparent:
        place = (socket.IPPROTO_IPV6, _IPV6_TRANSPARENT) if v6 else (socket.IPPROTO_IP, _IP_TRANSPARENT)
        set_option(made, "--transparent", lambda: made.setsockopt(*place, 1), "needs CAP_NET_ADMIN")
    if options.ttl:
        place = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if v6 else (socket.IPPROTO_IP, socket.IP_TTL)
        set_option(made, "--ttl", lambda: made.setsockopt(*place, options.ttl))
    if options.min_ttl:
        place = (socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT) if v6 else (socket.IPPROTO_IP, _IP_MINTTL)
        set_option(made, "--min-ttl", lambda: made.setsockopt(*place, options.min_ttl))


def set_option(made: socket.socket, name: str, setting: Callable[[], None], hint: str = "") -> None:
    """Sets a socket option. Raises ValueError, which names the option of the command line, because another attempt
    would fail too."""
    try:
        setting()
    except OSError as error:
        hint = hint or f"this kernel ({os.uname().sysname} {os.uname().release}) has no support for it"
        raise ValueError(f"{name}: {error.strerror}: {hint}") from None


def check_keys(md5: str, ao: str) -> None:
    """Raises ValueError if a text can't be a key of TCP MD5, or `ID:KEY` of TCP-AO, several in a line each."""
    if md5:
        _key(md5)
    seen: set[int] = set()
    for each in split_ao(ao):
        number, _ = _parse_ao(each)
        if number in seen:
            raise ValueError(f"two keys of TCP-AO have the id {number}: the peer could not tell them apart")
        seen.add(number)


def split_ao(text: str) -> list[str]:
    """The keys of TCP-AO in a text, each as `ID:KEY`."""
    return text.split("\n") if text else []


def ao_ids(text: str) -> list[int]:
    """Their ids."""
    return [_parse_ao(each)[0] for each in split_ao(text)]


def set_md5(made: socket.socket, key: str, network: Network | None = None) -> None:
    """Signs all segments with a key (RFC 2385). key: "" removes the one that was set for the same network.

    network: of the peers whose segments are signed; the longest one that holds an address counts. None: all peers.
    Raises OSError: ENOMEM where the keys of the socket fill net.core.optmem_max, ENOENT where there is none to remove.
    """
    octets = _key(key) if key or network is None else b""
    address = _any_peer(made) if network is None else _socket_address(network)
    length = network.prefixlen if network is not None else 0
    head = struct.pack("=BBHi", 1, length, len(octets), 0)  # flag: a prefix follows; its length; key length; interface
    made.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG_EXT, address + head + octets.ljust(_MAX_KEY, b"\0"))


def set_ao(made: socket.socket, text: str, network: Network | None = None) -> None:
    """Authenticates segments by TCP-AO (RFC 5925) with HMAC-SHA-1-96. text: `ID:KEY`. network: of which peers,
    None: of all.

    Raises OSError: ENOPROTOOPT where the kernel has no TCP-AO.
    """
    number, octets = _parse_ao(text)
    address, length = _ao_address(made, network)
    name = b"hmac(sha1)".ljust(64, b"\0")
    head = struct.pack("=iIHBBBBBB", 0, 0, 0, length, number, number, 12, 0, len(octets))
    made.setsockopt(socket.IPPROTO_TCP, _TCP_AO_ADD_KEY, address + name + head + octets.ljust(_MAX_KEY, b"\0"))


def remove_ao(made: socket.socket, text: str, network: Network | None = None) -> None:
    """Removes what set_ao has set. Raises OSError."""
    number, _ = _parse_ao(text)
    address, length = _ao_address(made, network)
    head = struct.pack("=iIHBBBBBB", 0, 0, 0, length, number, number, 0, 0, 0)
    made.setsockopt(socket.IPPROTO_TCP, _TCP_AO_DEL_KEY, address + head)


def ao_id_of(made: socket.socket) -> int | None:
    """The id of the key of TCP-AO by which a peer that has called authenticates its segments; None for no key.

    In `struct tcp_ao_info_opt` of Linux this is the key that the peer is asked to use next (RNextKeyID): at first it is
    the one of its first segment. The kernel wants zeros there, and Python's getsockopt hands over octets of chance.
    """
    info = ctypes.create_string_buffer(64)
    length = ctypes.c_uint32(48)
    libc = ctypes.CDLL(None, use_errno=True)
    failed = libc.getsockopt(made.fileno(), socket.IPPROTO_TCP, _TCP_AO_INFO, info, ctypes.byref(length))
    return None if failed else info.raw[7]


def _ao_address(made: socket.socket, network: Network | None) -> tuple[bytes, int]:
    """A struct sockaddr_storage, and how many bits of its address count."""
    return (_any_peer(made), 0) if network is None else (_socket_address(network), network.prefixlen)


def set_min_ttl(made: socket.socket, least: int) -> None:
    """From now on takes only packets with at least this TTL, and sends with the highest one (RFC 5082).

    Raises OSError.
    """
    v6 = made.family == socket.AF_INET6
    sent, taken = (
        ((socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS), (socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT))
        if v6
        else ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IP, _IP_MINTTL))
    )
    made.setsockopt(*sent, 255)
    made.setsockopt(*taken, least)


def _parse_ao(text: str) -> tuple[int, bytes]:
    number, colon, key = text.partition(":")
    if not colon or not number.isdecimal() or int(number) > 255:
        raise ValueError("--ao: ID:KEY is expected, ID being a number from 0 to 255")
    return int(number), _key(key)


def _key(text: str) -> bytes:
    octets = text.encode()
    if not 0 < len(octets) <= _MAX_KEY:
        raise ValueError(f"a TCP key has 1 to {_MAX_KEY} octets, not {len(octets)}")
    return octets


def _socket_address(network: Network) -> bytes:
    """A struct sockaddr_storage of the first address of a network."""
    octets = network.network_address.packed
    if isinstance(network, ipaddress.IPv4Network):
        return struct.pack("=HH4s", socket.AF_INET, 0, octets).ljust(128, b"\0")
    return struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, octets, 0).ljust(128, b"\0")


def _any_peer(made: socket.socket) -> bytes:
    """A struct sockaddr_storage that, with a prefix of length 0, stands for every address."""
    return struct.pack("=H", made.family).ljust(128, b"\0")
