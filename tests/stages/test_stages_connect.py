"""connect: who it calls, from where, and what becomes of it."""

from __future__ import annotations

import asyncio
import os
import re
import socket

import pytest

from bgpipe.app.build import build
from bgpipe.app.grammar import parse
from bgpipe.net.secret import without_secrets
from bgpipe.net.tcp import TcpOptions, dial, format_endpoint, plain_address
from bgpipe.net.tls import server_context
from bgpipe.pipeline.errors import ConfigError, UsageError
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, OPEN, UPDATE, Message
from bgpipe.wire.notification import Notification
from bgpipe.wire.update import Update
from certificates import Authority
from conversation import ALIVE, Peer, Records, opening, place, router, running

SPEAKER = "-- speaker --active --asn 65001 --id 192.0.2.1"


async def test_session_and_its_end() -> None:
    async with router() as (address, peers), running(f"{SPEAKER} -- connect --bind 127.83.252.1 {address}") as run:
        peer = await peers.get()
        assert peer.writer.get_extra_info("peername")[0] == "127.83.252.1"
        await peer.establish()
        values = run.pipeline.values
        assert values["R_REMOTE"] == address
        assert values["R_LOCAL_ADDR"] == "127.83.252.1"
        run.runner.interrupt()
        assert (await peer.fault())[:2] == (6, 2)
        assert await run.end() == ""
        assert "wrote=" in await run.told("connection closed")


async def test_peer_that_ends() -> None:
    async with router() as (address, peers), running(f"{SPEAKER} -- connect {address}") as run:
        peer = await peers.get()
        await peer.establish()
        await peer.close()
        assert "connection closed by the peer" in await run.end()


async def test_ipv6() -> None:
    async with router("[::1]") as (address, peers), running(f"{SPEAKER} -- connect {address}") as run:
        await (await peers.get()).establish()
        assert run.pipeline.values["R_REMOTE"] == address
        assert run.pipeline.values["R_REMOTE_ADDR"] == "::1"


async def test_nobody_there() -> None:
    address = place()
    async with running(f"{SPEAKER} -- connect {address}") as run:
        failure = await run.end()
        assert address in failure
        assert "refused" in failure.lower()


async def test_retry_until_somebody_is_there() -> None:
    """Refused at first, and the address is not ours to listen on before that."""
    with socket.socket() as taken:
        taken.bind(("127.83.252.2", 18390))
        async with running(f"{SPEAKER} -- connect --retry 127.83.252.2:18390") as run:
            await run.told("next attempt")
            taken.listen()
            taken.setblocking(False)
            async with asyncio.timeout(10):
                connected, _ = await asyncio.get_running_loop().sock_accept(taken)
            peer = Peer(*await asyncio.open_connection(sock=connected))
            run.peers.append(peer)
            await peer.establish()


async def test_retry_has_its_limit() -> None:
    async with running(f"{SPEAKER} -- connect --retry --retry-max 1 {place()}") as run:
        assert "refused" in (await run.end()).lower()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (f"--md5 {'x' * 81}", "80 octets"),
        ("--md5=", "--md5: the key is empty"),
        ("--ao=", "--ao: the key is empty"),
        ("--ao 256:k", "ID:KEY is expected"),
        ("--bind nonsense", "--bind: not an IP address: 'nonsense'"),
        ("--bind 127.0.0.1:99999", "--bind: not a port"),
        ("--ttl 256", "--ttl: 0 to 255"),
        ("--min-ttl -1", "--min-ttl: 0 to 255"),
        ("--retry-max 3", "--retry-max needs --retry, and can't be negative"),
        ("--retry --retry-max -1", "--retry-max needs --retry"),
        ("--insecure", "--insecure: only with --tls"),
        ("--cert a --key b --ca c", "--cert, --key, --ca: only with --tls"),
        ("--new nowhere", "invalid value 'nowhere' for the --new option"),
        ("--new nxt", "did you mean next"),
        ("-LR --rate-limit -1", "a rate can't be negative"),
    ],
)
def test_what_can_not_be(words: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        build(parse(f"{SPEAKER} -- connect {words} 192.0.2.1".split()), Records())


@pytest.mark.parametrize(
    ("bind", "why"),
    [
        ("203.0.113.1", "--bind 203.0.113.1: Cannot assign requested address"),
        ("::1", "[Ff]amily|not known|not support"),
    ],
)
async def test_where_it_can_not_come_from(bind: str, why: str) -> None:
    async with running(f"{SPEAKER} -- connect --bind {bind} 127.83.252.7:18390") as run:
        assert re.search(why, await run.end())


async def test_an_empty_key_from_the_environment() -> None:
    """A variable that was to have a key and has none is no reason to speak without one."""
    line = parse(f"{SPEAKER} -- connect 192.0.2.1".split(), {"BGPIPE_CONNECT_MD5": ""})
    with pytest.raises(ConfigError, match="the key is empty"):
        build(line, Records())


async def test_timeout() -> None:
    """A listening socket whose queue is full takes no more."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.83.252.3", 18391))
        full.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(("127.83.252.3", 18391))
        async with running(f"{SPEAKER} -- connect --timeout 50ms 127.83.252.3:18391") as run:
            assert "127.83.252.3:18391: no answer within 0.05 s" in await run.end()


async def test_tls(tmp_path) -> None:
    authority = Authority(tmp_path, "authority")
    mine, yours = authority.issue("router"), None
    async with router() as (plain, _):
        host = plain.rpartition(":")[0]
        yours = authority.issue("server", host)
    server = server_context(cert=str(yours[0]), key=str(yours[1]), ca=str(authority.cert))
    shown = f"--cert {mine[0]} --key {mine[1]}"
    async with (
        router(host, ssl=server) as (address, peers),
        running(f"{SPEAKER} -- connect --tls --ca {authority.cert} {shown} {address}") as run,
    ):
        peer = await peers.get()
        await peer.establish()
        assert "router" in str(peer.writer.get_extra_info("peercert"))
        run.runner.interrupt()
        assert (await peer.fault())[:2] == (6, 2)


async def test_tls_with_who_speaks_none() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\xff" * 16 + b"\0\x13\4")
        writer.close()

    server = await asyncio.start_server(answer, "127.83.252.8", 18390)
    async with server, running(f"{SPEAKER} -- connect --tls 127.83.252.8:18390") as run:
        assert "the peer does not speak TLS" in await run.end()


async def test_tls_with_a_stranger(tmp_path) -> None:
    stranger = Authority(tmp_path, "stranger").issue("server", "127.83.252.4")
    server = server_context(cert=str(stranger[0]), key=str(stranger[1]))
    async with router("127.83.252.4", ssl=server) as (address, peers):
        async with running(f"{SPEAKER} -- connect --tls {address}") as run:
            assert "TLS: certificate verify failed: unable to get local issuer certificate" in await run.end()
        async with running(f"{SPEAKER} -- connect --tls --insecure {address}"):
            await (await peers.get()).establish()


@pytest.mark.parametrize(
    "words",
    ["connect 0.0.0.0", "connect ::", "connect 192.0.2.1:0", "connect --ttl 256 192.0.2.1",
     "connect --min-ttl -1 192.0.2.1", "connect 192.0.2.1 -- speaker -- connect 192.0.2.2 -- drop update"],
)  # fmt: skip
def test_words_that_can_not_be(words: str) -> None:
    with pytest.raises(ConfigError):
        build(parse(["--", *words.split()], {}), Records())  # type: ignore[arg-type]


def test_transparent_should_wait() -> None:
    log = Records()
    build(parse(["--", "listen", ":179", "--", "connect", "--transparent", "0.0.0.0"], {}), log)  # type: ignore[arg-type]
    assert any("--wait" in line for line in log.lines)


# Between two peers


def update(*prefixes: str, **attrs: object) -> Message:
    settings = {"ORIGIN": "IGP", "ASPATH": [65002]} | attrs
    return Message(UPDATE, Update.make(reach=prefixes, attrs=settings, next_hop="192.0.2.2").body)


async def pair(run, peers: asyncio.Queue[Peer], *more: Capability) -> tuple[Peer, Peer]:
    """Both ends of a session that is up."""
    left = await run.dial()
    await left.say(opening(65002, *more))
    right = await peers.get()
    await right.expect(OPEN)
    await right.say(opening(65003, *more, bgp_id="192.0.2.3"))
    await left.expect(OPEN)
    for one, other in ((left, right), (right, left)):
        await one.say(ALIVE)
        await other.expect(KEEPALIVE)
    return left, right


async def test_notification_passes_and_ends_both() -> None:
    words = f"-- listen {place()} -- connect --wait listen"
    async with router() as (address, peers), running(f"{words} {address}") as run:
        left, right = await pair(run, peers)
        cease = Message(NOTIFICATION, Notification.shutdown("maintenance").encode())
        await left.say(cease)
        await left.close()
        heard = await right.all()
        assert [each.octets for each in heard] == [cease.octets], "and nothing follows"
        assert "maintenance" in await run.end()


async def test_lost_peer_is_no_cease_for_the_other() -> None:
    """So that it may do graceful restart."""
    words = f"-- listen {place()} -- connect --wait listen"
    async with router() as (address, peers), running(f"{words} {address}") as run:
        left, right = await pair(run, peers)
        left.writer.transport.abort()
        assert await right.all() == []


async def test_long_messages_where_one_side_takes_them() -> None:
    """Edited OPENs let the peers agree on different things; each gets messages that it can read."""
    words = f"-- listen {place()} -- connect --wait listen"
    async with router() as (address, peers), running(f"{words} {address}") as run:
        left, right = await pair(run, peers, Capability(caps.EXTENDED_MESSAGE))
        big = update(*(f"10.{high}.{low}.0/24" for high in range(8) for low in range(256)))
        assert len(big.octets) > 4096
        await left.say(big)
        assert (await right.expect(UPDATE)).octets == big.octets


async def test_malformed_kill() -> None:
    words = f"-- listen --malformed kill {place()} -- drop -R 'med > 5' -- connect --wait listen"
    async with router() as (address, peers), running(f"{words} {address}") as run:
        left, right = await pair(run, peers)
        bad = update("198.51.100.0/24")
        body = bad.body.replace(b"\x40\1\1\0", b"\x40\1\1\7")
        assert body != bad.body
        await left.say(Message(UPDATE, body))
        assert (await left.fault())[:2] == (3, 6)
        assert [each.type_code for each in await right.all()] == [NOTIFICATION]


async def test_rate_sample_drops_no_session_messages() -> None:
    """Only UPDATEs; without the others there would be no session."""
    words = f"-- listen --rate-sample 1 {place()} -- connect --wait listen --rate-sample 1"
    async with router() as (address, peers), running(f"{words} {address}") as run:
        left, right = await pair(run, peers)
        await left.say(*(update(f"10.{number}.0.0/16") for number in range(20)))
        cease = Message(NOTIFICATION, Notification.shutdown().encode())
        await left.say(cease)
        await left.close()
        heard = await right.all()
        assert heard[-1].octets == cease.octets
        assert len(heard) < 5
        await run.told("--rate-sample drops UPDATEs")


def test_keys_from_variables_and_files(tmp_path, monkeypatch) -> None:
    """As --auth takes them; each @name has variables of its own. Programs that we start don't get them."""
    path = tmp_path / "key"
    path.write_text("from file\nmore\n")
    monkeypatch.setenv("SITE_KEY", "from variable")
    monkeypatch.setenv("BGPIPE_CONNECT_MD5", "for all")
    monkeypatch.setenv("BGPIPE_EAST_MD5", "for east")
    monkeypatch.setenv("OTHER", "stays")

    def key(words: str) -> str:
        line = parse(["--", "speaker", "--", *words.split()], dict(os.environ))
        pipeline = build(line, Records())  # type: ignore[arg-type]
        return pipeline.stages[1].tcp_options().md5  # type: ignore[attr-defined]

    assert key("connect --md5 $SITE_KEY 192.0.2.1") == "from variable"
    assert key(f"connect --md5 {path} 192.0.2.1") == "from file"
    assert key("connect --md5 plain 192.0.2.1") == "plain"
    assert key("connect 192.0.2.1") == "for all"
    assert key("@east connect 192.0.2.1") == "for east"
    left = without_secrets()
    assert left["OTHER"] == "stays"
    assert not {"SITE_KEY", "BGPIPE_CONNECT_MD5", "BGPIPE_EAST_MD5"} & left.keys()
    with pytest.raises(ConfigError, match="--md5: the variable \\$NO_SUCH is not set"):
        key("connect --md5 $NO_SUCH 192.0.2.1")
    with pytest.raises(ValueError, match=f"--md5: {tmp_path}/none: No such file"):
        key(f"connect --md5 {tmp_path}/none 192.0.2.1")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("connect fe80::b", "fe80::b is a link-local address: say the interface too, as in fe80::b%eth0"),
        ("connect 10.0.0.0/8", "10.0.0.0/8 is a network"),
        ("connect 192.0.2.1:99999", "not a port: '99999'"),
        ("listen 10.0.0.0/8", "10.0.0.0/8 is a network, not an address; --allow 10.0.0.0/8 says"),
        ("listen :bgp", "not a port: 'bgp'"),
        ("listen :179 --again", "--again: the options of a stage come before its argument"),
        ("listen", "needs an argument: ADDR"),
    ],
)
def test_arguments_that_can_not_be_read(words: str, error: str) -> None:
    """Exit code 2, as for options."""
    with pytest.raises(UsageError, match=re.escape(error)):
        build(parse(["--", "speaker", "--", *words.split()], {}), Records())  # type: ignore[arg-type]


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_a_zone_is_kept() -> None:
    """The address to connect from goes to the system with the number of its interface."""
    with pytest.raises(OSError, match="--bind fe80::d%lo"):
        await dial("::1", 179, TcpOptions(bind="fe80::d%lo"), 1)
    assert plain_address(("fe80::d", 179, 0, socket.if_nametoindex("lo"))) == "fe80::d%lo"
    assert format_endpoint(("fe80::d", 179, 0, socket.if_nametoindex("lo"))) == "[fe80::d%lo]:179"
