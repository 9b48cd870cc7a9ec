"""Where the URL of a list may lead: to the Internet, however it is spelled, and to networks that are allowed."""

from __future__ import annotations

import asyncio
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from loopserver import serving

from bgpipe.net.tcp import parse_networks
from bgpipe.routeserver.sources.base import SourceError
from bgpipe.routeserver.sources.fetch import PUBLIC_PORTS, Fetcher

NAMES = {
    "loopback.example": ["127.0.0.1"],
    "private.example": ["10.1.2.3"],
    "metadata.example": ["169.254.169.254"],
    "both.example": ["9.9.9.9", "192.168.0.1"],
    "six.example": ["::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "local.example": ["fe80::1"],
    "unique.example": ["fd00::1"],
    "public.example": ["9.9.9.9"],
    "metadata.google.internal": ["169.254.169.254"],
    "localhost": ["127.0.0.1", "::1"],
    "127.0.0.1.nip.io": ["127.0.0.1"],
}
"""What a resolver says that somebody else may run."""
HOSTILE = [
    # as they are
    *("http://127.0.0.1/", "https://127.0.0.1/", "http://127.255.255.254/", "http://0.0.0.0/", "http://0.1.2.3/"),
    *("http://10.0.0.1/", "http://100.64.0.1/", "http://172.31.255.255/", "http://192.168.1.1/", "http://198.18.0.1/"),
    *("http://169.254.169.254/latest/meta-data/", "http://169.254.170.2/v2/credentials", "http://100.100.100.200/"),
    *("http://192.0.0.192/opc/v1/", "http://224.0.0.1/", "http://255.255.255.255/", "http://240.0.0.1/"),
    *("http://192.0.2.1/", "http://192.88.99.1/"),
    # in other spellings
    *("http://2130706433/", "http://0x7f000001/", "http://017700000001/", "http://0177.0.0.1/", "http://0x7f.0.0.1/"),
    *("http://127.1/", "http://127.0.1/", "http://0/", "http://10.1/", "http://2852039166/", "http://0xa9fea9fe/"),
    *("http://127.0.0.1./", "http://%31%32%37.0.0.1/", "http://１２７.０.０.１/", "http://①②⑦.⓪.⓪.①/"),
    *("http://127。0。0。1/", "http://169.254.169.254:80/", "HTTP://LOCALHOST/", "http://localhost./"),
    # IPv6, and IPv4 in it
    *(
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
    ),
    *("http://[0:0:0:0:0:ffff:a9fe:a9fe]/", "http://[::ffff:0:127.0.0.1]/", "http://[64:ff9b::7f00:1]/"),
    *("http://[64:ff9b:1::a00:1]/", "http://[2002:7f00:1::]/", "http://[2001::7f00:1]/", "http://[fe80::1]/"),
    *("http://[fd00:ec2::254]/", "http://[ff02::1]/", "http://[fec0::1]/", "http://[100::1]/", "http://[2001:db8::1]/"),
    # names that stand for them
    *(f"http://{name}/" for name in NAMES if name != "public.example"),
    # who is asked is behind the @
    *("http://public.example@127.0.0.1/", "http://public.example:80@[::1]/", "http://user:pass@localhost/"),
    *("http://127.0.0.1#@public.example/", "http://127.0.0.1?@public.example/", "http://127.0.0.1\\@public.example/"),
    # ports and schemes
    *(
        "http://public.example:22/",
        "http://public.example:6379/",
        "http://public.example:0/",
        "http://public.example:179/",
    ),
    *("ftp://public.example/", "file:///etc/passwd", "gopher://public.example/", "//public.example/", "public.example"),
    *(
        "http:///x",
        "http://",
        "",
        "http://[::1",
        "http://public.example:99999/",
        "http://public.example:x/",
        "unix:/run/x",
    ),
]


@pytest.fixture
def called(monkeypatch):
    """The addresses to which a connection is tried. None is made, except to servers of ours."""
    found: list[Any] = []

    def resolve(host: str, port: object, *about: object, **more: object) -> list[Any]:
        addresses = NAMES.get(host.rstrip(".").lower())
        if addresses is None:
            return real_resolve(host, port, flags=socket.AI_NUMERICHOST, type=socket.SOCK_STREAM)
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 80))
            for each in addresses
        ]

    async def connect(loop: object, made: socket.socket, address: Any) -> None:
        found.append(address)
        if address[0] in ("127.0.0.1", "::1"):
            return await real_connect(loop, made, address)
        raise OSError(f"{address[0]} was called")

    real_resolve, real_connect = socket.getaddrinfo, BaseSelectorEventLoop.sock_connect
    monkeypatch.setattr("socket.getaddrinfo", resolve)
    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", connect)
    return found


@asynccontextmanager
async def fetcher(*networks: str, ports: tuple[int, ...] = PUBLIC_PORTS) -> AsyncIterator[Fetcher]:
    made = Fetcher(parse_networks(networks), ports)
    try:
        yield made
    finally:
        await made.close()


async def test_no_url_leads_to_what_is_not_on_the_internet(called):
    assert len(HOSTILE) > 80
    async with fetcher() as made:
        for url in HOSTILE:
            with pytest.raises(SourceError):
                await made.get(url)
            assert called == [], url


async def test_a_url_on_the_internet_is_called(called):
    async with fetcher() as made:
        for url, address in (("http://public.example/x", "9.9.9.9"), ("http://8.8.8.8/", "8.8.8.8"),
                             ("https://[2620:fe::fe]/", "2620:fe::fe")):  # fmt: skip
            with pytest.raises(SourceError, match="was called") as raised:
                await made.get(url)
            assert raised.value.temporary
            assert called.pop()[0] == address


async def test_the_operator_may_open_any_port_and_networks(called):
    async with fetcher("127.0.0.1", ports=()) as made:
        with pytest.raises(SourceError, match=r"9\.9\.9\.9 was called"):
            await made.get("http://public.example:8080/")
        with pytest.raises(SourceError, match=r"127\.0\.0\.2 is not on the Internet, and not in AllowedNetworks"):
            await made.get("http://127.0.0.2/")
        with pytest.raises(SourceError, match=r"10\.1\.2\.3 is not"):
            await made.get("http://private.example/")
        assert [address for address, *_ in called] == ["9.9.9.9"]


async def test_a_name_that_changes_its_mind(called):
    NAMES["changing.example"] = ["9.9.9.9"]
    try:
        async with fetcher() as made:
            with pytest.raises(SourceError, match=r"9\.9\.9\.9 was called"):
                await made.get("http://changing.example/")
            called.clear()
            for addresses in (["127.0.0.1"], ["9.9.9.9", "::1"]):
                NAMES["changing.example"] = addresses
                made._session and made._session.connector.clear_dns_cache()  # type: ignore[union-attr]
                with pytest.raises(SourceError, match="is not on the Internet"):
                    await made.get("http://changing.example/")
                assert called == []
    finally:
        del NAMES["changing.example"]


async def test_what_the_resolver_lets_through_is_stopped_at_the_socket(called, monkeypatch):
    async def lie(*about: object) -> list[tuple[int, str]]:
        return [(socket.AF_INET, "127.0.0.1")]

    monkeypatch.setattr("bgpipe.routeserver.sources.fetch._addresses", lie)
    async with fetcher() as made:
        with pytest.raises(SourceError, match=r"127\.0\.0\.1 is not on the Internet"):
            await made.get("http://public.example/")
    assert called == []


def answering(answer: bytes) -> AbstractAsyncContextManager[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    return serving(serve)


@pytest.mark.parametrize("place", ["http://169.254.169.254/", "file:///etc/passwd", "/other", "x" * 5000])
async def test_redirects_are_not_followed(called, place):
    answer = f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()
    async with answering(answer) as port, fetcher("127.0.0.0/8", ports=()) as made:
        with pytest.raises(SourceError, match="the server sends us to ") as raised:
            await made.get(f"http://127.0.0.1:{port}/")
    assert len(str(raised.value)) < 300
    assert len(called) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n9.9.9.0/24\n", "the answer ends too early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n9.9.9.0/24\n\r\n", "the answer ends too early"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx", "encoded as br"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "400"),
        (b"nonsense\r\n\r\n", "400"),
        (b"", "disconnected"),
    ],
)  # fmt: skip
async def test_answers_that_are_no_list(answer, why):
    async with answering(answer) as port, fetcher("127.0.0.0/8", ports=()) as made:
        with pytest.raises(SourceError, match=why):
            await made.get(f"http://127.0.0.1:{port}/")


async def test_a_server_that_is_slow_or_endless(monkeypatch):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"9.9.9.0/24\n" * (10_000 if b"/endless" in request else 0))
            await writer.drain()
            await asyncio.sleep(0)

    monkeypatch.setattr("bgpipe.routeserver.sources.fetch.MAX_CONTENT", 1 << 20)
    async with serving(serve) as port, fetcher("127.0.0.0/8", ports=()) as made:
        with pytest.raises(SourceError, match="the answer is larger than 1 MiB"):
            await made.get(f"http://127.0.0.1:{port}/endless")
        with pytest.raises(SourceError, match=r"no answer within 0\.2 s"):
            await made.get(f"http://127.0.0.1:{port}/slow", timeout=0.2)
