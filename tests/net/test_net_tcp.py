"""TCP: addresses as text, and what sockets are told."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import pytest

from bgpipe.net.tcp import (
    TcpOptions,
    allowed,
    dial,
    format_endpoint,
    interface_of,
    listen,
    parse_endpoint,
    set_ao,
    set_md5,
)


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("192.0.2.1", ("192.0.2.1", 179)),
        ("192.0.2.1:1790", ("192.0.2.1", 1790)),
        (":179", ("", 179)),
        ("", ("", 179)),
        ("router.example:1", ("router.example", 1)),
        ("2001:db8::1", ("2001:db8::1", 179)),
        ("[2001:db8::1]", ("2001:db8::1", 179)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
    ],
)
def test_endpoint(text, codec):
    assert parse_endpoint(text) == codec


@pytest.mark.parametrize("text", ["a:0", "a:65536", "a:x", "[::1", "[::1]179", "a:-1", "a:٣"])
def test_no_endpoint(text):
    with pytest.raises(ValueError, match=r"not a"):
        parse_endpoint(text)


def test_endpoint_as_text():
    assert format_endpoint(("192.0.2.1", 179)) == "192.0.2.1:179"
    assert format_endpoint(("2001:db8::1", 179, 0, 0)) == "[2001:db8::1]:179"
    assert format_endpoint(("::ffff:192.0.2.1", 179, 0, 0)) == "192.0.2.1:179"


@pytest.mark.parametrize(
    ("address", "networks", "may"),
    [
        ("192.0.2.1", [], True),
        ("192.0.2.1", ["192.0.2.0/24"], True),
        ("192.0.3.1", ["192.0.2.0/24", "2001:db8::/32"], False),
        ("2001:db8::1", ["192.0.2.0/24", "2001:db8::/32"], True),
        ("::ffff:192.0.2.1", ["192.0.2.0/24"], True),
        ("fe80::1%eth0", ["fe80::/10"], True),
    ],
)
def test_allowed(address, networks, may):
    assert allowed(address, [ipaddress.ip_network(text) for text in networks]) is may


async def test_listening_on_both_versions():
    sockets = await listen("", 18399, TcpOptions())
    try:
        assert {each.family for each in sockets} >= {socket.AF_INET}
        assert len(sockets) == 1 + socket.has_dualstack_ipv6()
    finally:
        for each in sockets:
            each.close()


async def connected(server: TcpOptions, client: TcpOptions, host: str = "127.83.250.1") -> tuple[socket.socket, ...]:
    """Both ends of a connection, and the listening socket. Raises what `dial` raises."""
    (listening,) = await listen(host, 18398, server)
    try:
        made = await dial(host, 18398, client, 1.0)
        accepted, _ = await asyncio.get_running_loop().sock_accept(listening)
    except BaseException:
        listening.close()
        raise
    return made, accepted, listening


def close(*sockets: socket.socket) -> None:
    for each in sockets:
        each.close()


async def test_options_of_both_ends():
    options = TcpOptions(ttl=7, min_ttl=5, keepalive=20, bind="127.83.250.9")
    made, accepted, listening = await connected(TcpOptions(ttl=7, keepalive=0), options)
    try:
        assert accepted.getpeername()[0] == "127.83.250.9"
        assert made.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 7
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 20
        assert accepted.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 7
    finally:
        close(made, accepted, listening)


async def test_ttl_of_ipv6():
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    options = TcpOptions(ttl=255, min_ttl=255)
    made, accepted, listening = await connected(options, options, "::1")
    try:
        assert made.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) == 255
    finally:
        close(made, accepted, listening)


async def test_far_peers_get_no_connection():
    """GTSM: their SYN has lost too much of its TTL on the way, or never had it."""
    with pytest.raises(TimeoutError):
        await connected(TcpOptions(min_ttl=255), TcpOptions(ttl=64))
    close(*await connected(TcpOptions(ttl=255, min_ttl=255), TcpOptions(ttl=255, min_ttl=255)))


async def test_md5():
    close(*await connected(TcpOptions(md5="solarwinds123"), TcpOptions(md5="solarwinds123")))
    for client in (TcpOptions(md5="solarwinds124"), TcpOptions()):
        with pytest.raises(TimeoutError):
            await connected(TcpOptions(md5="solarwinds123"), client)


@pytest.mark.parametrize("key", ["", "x" * 81])
def test_keys_that_can_not_be(key):
    with socket.socket() as made, pytest.raises(ValueError, match="1 to 80 octets"):
        set_md5(made, key)


@pytest.mark.parametrize("text", ["", "key", "256:key", "x:key", "1:"])
def test_ao_keys_that_can_not_be(text):
    with socket.socket() as made, pytest.raises(ValueError, match=r"ID:KEY|1 to 80 octets"):
        set_ao(made, text)


async def test_ao():
    """It works where the kernel has it; elsewhere the error says that it has not."""
    options = TcpOptions(ao="7:secret")
    if has_ao():
        close(*await connected(options, options))
        with pytest.raises(TimeoutError):
            await connected(options, TcpOptions(ao="7:other"))
    else:
        with pytest.raises(ValueError, match=r"--ao: .*no support"):
            await connected(options, options)


def has_ao() -> bool:
    with socket.socket() as probe:
        try:
            set_ao(probe, "7:secret")
        except OSError:
            return False
    return True


def test_the_interface_of_a_zone():
    lo = socket.if_nametoindex("lo")
    found = [interface_of(each) for each in ("fe80::1", "fe80::1%lo", "fe80::1%7", "fe80::1%none-such", "192.0.2.1")]
    assert found == [0, lo, 7, 0, 0]
