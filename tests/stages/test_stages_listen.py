"""listen: who may come in, and how."""

from __future__ import annotations

import asyncio
import socket

import pytest

from bgpipe.app.build import build
from bgpipe.app.grammar import parse
from bgpipe.net.tcp import allowed, parse_networks
from bgpipe.net.tls import client_context
from bgpipe.pipeline.errors import ConfigError
from bgpipe.wire.message import KEEPALIVE, OPEN, Message
from certificates import Authority
from conversation import ALIVE, Peer, Records, opening, place, router, running

SPEAKER = "-- speaker --active --asn 65001 --id 192.0.2.1"


async def test_session() -> None:
    where = place()
    async with running(f"{SPEAKER} -- listen {where}") as run:
        peer = await run.dial()
        theirs = await peer.establish()
        assert theirs.asn == 65001
        assert run.pipeline.values["R_LOCAL"] == where
        assert run.pipeline.values["R_REMOTE_PORT"] == str(peer.writer.get_extra_info("sockname")[1])


async def test_only_one_is_let_in() -> None:
    async with running(f"{SPEAKER} -- listen {place()}") as run:
        await (await run.dial()).establish()
        with pytest.raises(ConnectionRefusedError):
            await run.dial()


async def test_ipv6() -> None:
    async with running(f"{SPEAKER} -- listen {place('[::1]')}") as run:
        await (await run.dial()).establish()
        assert run.pipeline.values["R_REMOTE_ADDR"] == "::1"


async def test_allow() -> None:
    """Who may not pass is not waited for, and the next one may."""
    async with running(f"{SPEAKER} -- listen --allow 127.83.253.0/25,2001:db8::/32 {place()}") as run:
        stranger = await run.dial(bind="127.83.253.200")
        assert (await stranger.fault())[:2] == (6, 5)
        await run.told("refused: not in --allow")
        await (await run.dial(bind="127.83.253.100")).establish()


async def test_timeout() -> None:
    async with running(f"{SPEAKER} -- listen --timeout 50ms {place()}") as run:
        assert "no peer has connected" in await run.end()


async def test_open_that_does_not_come() -> None:
    """That is the end of the connection; the next peer is waited for."""
    async with running(f"-- speaker --asn 65001 -- listen --open-timeout 50ms {place()}") as run:
        assert (await (await run.dial()).fault())[:2] == (4, 0)
        await run.told("no OPEN within")
        await (await run.dial()).establish()


async def test_an_active_speaker_does_not_wait_for_the_peers_open() -> None:
    async with running(f"{SPEAKER} -- listen {place()}") as run:
        peer = await run.dial()
        assert (await peer.expect(OPEN)).open.asn == 65001
        await peer.say(opening(), ALIVE)
        await peer.expect(KEEPALIVE)


async def test_what_is_no_open() -> None:
    """It is answered as RFC 4271 says; a router that comes after it is let in."""
    async with running(f"-- speaker --asn 65001 -- listen {place()}") as run:
        for octets, fault in (
            (b"GET / HTTP/1.1\r\nHost: bgp\r\n\r\n", (1, 1)),
            (ALIVE.octets, (5, 1)),
            (Message(OPEN, b"\3" + bytes(9)).octets, (2, 1)),
        ):
            peer = await run.dial()
            await peer.say(octets)
            assert (await peer.fault())[:2] == fault
        await (await run.dial()).establish()


async def test_scans() -> None:
    """Who connects and resets, or closes, ends nothing, and is told of in few lines."""
    async with running(f"-- speaker --asn 65001 -- listen {place()}") as run:
        for number in range(100):
            peer = await run.dial()
            if number % 2:
                peer.writer.transport.abort()
            else:
                await peer.close()
        await (await run.dial()).establish()
        assert 1 <= sum("before its OPEN" in line for line in run.log.lines) <= 3


async def test_silent_strangers_keep_nobody_out() -> None:
    async with running(f"-- speaker --asn 65001 -- listen {place()}") as run:
        strangers = [await run.dial() for _ in range(40)]
        await (await run.dial()).establish()
        assert all([await stranger.hear() is None for stranger in strangers])
        assert any("too many connections without OPEN" in line for line in run.log.lines)


async def test_the_router_that_connect_calls_must_not_call() -> None:
    """It would be connected with itself."""
    async with (
        router("127.83.252.9") as (address, peers),
        running(f"-- listen {place()} -- connect -W listen {address}") as run,
    ):
        itself = await run.dial(bind="127.83.252.9")
        await itself.say(opening())
        assert (await itself.fault())[:2] == (6, 5)
        await run.told("connect calls this router")
        left = await run.dial()
        await left.say(opening())
        right = await peers.get()
        assert (await right.expect(OPEN)).open == opening()


async def test_connect_waits_for_the_open() -> None:
    """A connection alone calls nobody; what the peer has sent so far is all there."""
    async with (
        router() as (address, peers),
        running(f"-- listen {place()} -- connect --wait listen/OPEN {address}") as run,
    ):
        left = await run.dial()
        octets = Message(OPEN, opening().encode()).octets
        await left.say(octets[:20])
        other = await run.dial()
        await other.say(opening(65007))
        right = await peers.get()
        assert (await right.expect(OPEN)).open.asn == 65007
        assert await left.hear() is None


async def test_listen_is_bound_before_connect_calls() -> None:
    """Nobody has to wait for a peer that has not answered yet."""
    full = socket.socket()
    full.bind(("127.83.252.10", 0))
    full.listen(0)
    host, port = full.getsockname()
    async with running(f"-- listen {place()} -- connect {host}:{port}") as run:
        await run.told("listening on")
        assert run.log.lines.index(await run.told("listening on")) < run.log.lines.index(await run.told("dialing"))
        await (await run.dial()).say(opening())
    full.close()


@pytest.mark.parametrize("first", [0, 1])
async def test_two_that_listen_are_both_bound_at_the_start(first: int) -> None:
    """Either router may call first, and what it says reaches the other one when that calls."""
    places = [place(), place()]
    async with running(f"-- listen {places[0]} -- listen {places[1]}") as run:
        for each in places:
            await run.told(f"listening on {each}")
        callers = []
        for number in (first, 1 - first):
            host, _, port = places[number].partition(":")
            callers.append(Peer(*await asyncio.open_connection(host, int(port))))
            await callers[-1].say(opening(65001 + number, bgp_id=f"192.0.2.{number + 1}"))
        try:
            for caller, other in zip(callers, (1 - first, first), strict=True):
                assert (await caller.expect(OPEN)).open.asn == 65001 + other
                await caller.say(ALIVE)
            for caller in callers:
                await caller.expect(KEEPALIVE)
        finally:
            for caller in callers:
                await caller.close()


async def test_who_calls_while_connect_still_tries_is_kept() -> None:
    """What it has said reaches the other router when that answers at last."""
    where, target = place(), place()
    arrived: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set_result(Peer(reader, writer))

    async with running(f"-- listen {where} -- connect --retry {target}") as run:
        await run.told("Connection refused")
        caller = await run.dial()
        await caller.say(opening(65001))
        await caller.writer.drain()
        host, _, port = target.partition(":")
        server = await asyncio.start_server(on_connect, host, int(port))
        async with asyncio.timeout(10):
            called = await arrived
        assert (await called.expect(OPEN)).open.asn == 65001
        await called.close()
        server.close()


async def test_two_that_listen_at_one_address() -> None:
    where = place()
    async with running(f"-- listen {where} -- listen {where}") as run:
        assert "[2] listen" in (error := await run.end()) or "[1] listen" in error
        assert "already in use" in error


def test_mapped_addresses_are_those_of_ipv4() -> None:
    networks = parse_networks(["::ffff:127.0.0.0/104", "::ffff:192.0.2.1", "2001:db8::/32"])
    assert list(map(str, networks)) == ["127.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]
    assert allowed("::ffff:127.9.9.9", networks)
    assert allowed("192.0.2.1", networks)
    assert not allowed("192.0.2.2", networks)


async def test_address_in_use() -> None:
    where = place()
    async with running(f"{SPEAKER} -- listen {where}") as run:
        await run.told("listening on")
        async with running(f"{SPEAKER} -- listen {where}") as second:
            assert f"{where}: address already in use" in (await second.end()).lower()


async def dial_tls(run, **settings: str) -> Peer:
    where = (await run.told("listening on ")).split()[-1]
    host, _, port = where.rpartition(":")
    peer = Peer(*await asyncio.open_connection(host, int(port), ssl=client_context(**settings)))
    run.peers.append(peer)
    return peer


async def test_tls(tmp_path) -> None:
    """A client without a certificate, and one who speaks no TLS at all, keep nobody else out."""
    authority = Authority(tmp_path, "authority")
    where = place()
    cert, key = authority.issue("server", where.partition(":")[0])
    mine = dict(zip(("cert", "key"), map(str, authority.issue("router")), strict=True))
    words = f"listen --tls --cert {cert} --key {key} --ca {authority.cert} {where}"
    async with running(f"{SPEAKER} -- {words}") as run:
        plain = await run.dial()
        await plain.say(opening())
        await run.told("refused")
        try:
            nobody = await dial_tls(run, ca=str(authority.cert))
            assert await nobody.hear() is None
        except OSError:
            pass  # it is told at once, or when it reads
        peer = await dial_tls(run, ca=str(authority.cert), **mine)
        await peer.establish()
        run.runner.interrupt()
        assert (await peer.fault())[:2] == (6, 2)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--tls", "--cert"),
        ("--tls --cert /nonexistent.pem", "nonexistent"),
        ("--tls --cert /dev/null --ca /nonexistent.pem", "/nonexistent.pem: No such file"),
    ],
)
async def test_settings_that_fail(words: str, error: str) -> None:
    async with running(f"{SPEAKER} -- listen {words} {place()}") as run:
        assert error in await run.end()


async def test_an_address_that_is_not_ours() -> None:
    async with running(f"{SPEAKER} -- listen 203.0.113.1:1790") as run:
        assert "203.0.113.1:1790: Cannot assign requested address" in await run.end()


async def test_no_time_limits() -> None:
    """Below 0 is no limit either; and a time between keepalives that is longer than the system knows is its longest."""
    words = f"listen --timeout -1s --open-timeout -1s --keepalive 100000h {place()}"
    async with running(f"-- speaker --asn 65001 -- {words}") as run:
        await (await run.dial()).establish()


@pytest.mark.parametrize(
    "words",
    [
        "--allow 192.0.2.0/33 :179",
        "--many 5 :179",
        "--md5= :179",
        "--cert x :179",
        "[::1",
        ":0",
        "--many --again :179",
        "--damp :179",
        "--ttl 256 :179",
        "--min-ttl 999 :179",
    ],
)
def test_words_that_can_not_be(words: str) -> None:
    with pytest.raises(ConfigError):
        build(parse(["--", "listen", *words.split(), "--", "speaker"], {}), Records())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("listen --left-is 192.0.2.1 :179 -- connect 192.0.2.2", "--left-is needs --many or --again"),
        ("listen --again --left-is router :179 -- connect 192.0.2.2", "--left-is: not an IP address: 'router'"),
        ("listen --again --left-is 192.0.2.1:x :179 -- connect 192.0.2.2", "--left-is: not a port: 'x'"),
        ("listen --again --left-is 192.0.2.1 :179 -- speaker", "--left-is needs a connect at the other end"),
        ("connect 192.0.2.2 -- listen --again --left-is 192.0.2.1 :179", "listen must be the first stage"),
    ],
)
def test_what_left_is_needs(words: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build(parse(["--", *words.split()], {}), Records())  # type: ignore[arg-type]


async def test_what_the_peer_sends_first_waits_for_the_stages() -> None:
    """It may have its OPEN on the way before anything else is there."""
    async with running(f"{SPEAKER} -- listen {place()}") as run:
        peer = await run.dial()
        await peer.say(opening())
        assert (await peer.expect(OPEN)).open.asn == 65001


async def test_a_failed_handshake_is_told_to_the_client(tmp_path) -> None:
    """By an alert (RFC 8446 section 6.2), and to us in one line with address and reason."""
    authority = Authority(tmp_path, "authority")
    where = place()
    cert, key = authority.issue("server", where.partition(":")[0])
    words = f"listen --tls --cert {cert} --key {key} --ca {authority.cert} {where}"
    async with running(f"{SPEAKER} -- {words}") as run:
        await run.told("listening on ")
        host, _, port = where.rpartition(":")
        context = client_context(ca=str(authority.cert))

        def dial() -> str:
            with socket.create_connection((host, int(port)), 5) as plain:
                try:
                    with context.wrap_socket(plain, server_hostname=host) as client:
                        return repr(client.recv(1))
                except OSError as error:
                    return str(error).lower().replace("_", " ")

        assert "alert certificate required" in await asyncio.to_thread(dial)
        line = await run.told("connection refused: TLS: peer did not return a certificate")
        assert "remote=127." in line
