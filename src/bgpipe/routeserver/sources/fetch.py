"""Octets over HTTP from anywhere on the Internet, and from nowhere else.

A URL may come from whoever may change a peer, so it must not reach what only this machine reaches. The address that
counts is the one that a socket is made for, just before it connects: however a URL spells it, and whatever a name
stands for at that moment. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from ...net.errors import MAX_SHOWN, explain_http, explain_status
from ...net.tcp import Network, parse_networks
from .base import MAX_CONTENT, Fetched, SourceError

if TYPE_CHECKING:
    from aiohttp import AddrInfoType, ClientResponse, ClientSession
    from aiohttp.abc import AbstractResolver
    from yarl import URL

AGENT: Final = "bgplite"
TIMEOUT: Final = 30.0
"""Seconds for all of a fetch, where the source does not say it."""
DNS_TIMEOUT: Final = 5.0
"""Seconds that a name may take to be resolved."""
PUBLIC_PORTS: Final = (80, 443)
_REFUSED: Final = parse_networks(
    (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/3"),
        *("::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
"""Addresses that are not on the Internet, or stand for others (RFC 6890)."""


class NotAllowed(OSError):
    """An address must not be called; the text says why."""


class Fetcher:
    """Fetches over HTTP.

    networks: those that may be asked although they are not on the Internet. ports: those that may be asked; any, if
    there are none.
    """

    def __init__(self, networks: Sequence[Network] = (), ports: Sequence[int] = ()) -> None:
        self.networks = networks
        self._ports = ports
        self._session: ClientSession | None = None

    def objection(self, address: str) -> str:
        """Why an address must not be called; "" if it may be."""
        found = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(found, ipaddress.IPv6Address):
            found = found.ipv4_mapped or found
        if any(found in network for network in _REFUSED) and not any(found in network for network in self.networks):
            return f"{found} is not on the Internet, and not in AllowedNetworks"
        return ""

    async def get(
        self, url: str, validator: str = "", *, headers: Mapping[str, str] | None = None, timeout: float = TIMEOUT
    ) -> Fetched | None:
        """The body of the answer to a GET; None if it has not changed since it gave `validator`. Raises SourceError.

        timeout: seconds for all of it.
        """
        sent = dict(headers or {})
        kind, _, value = validator.partition(" ")
        if value:
            sent["If-None-Match" if kind == "etag" else "If-Modified-Since"] = value
        async with (
            _telling(timeout),
            (await self._open()).get(self._checked(url), headers=sent, allow_redirects=False) as response,
        ):
            if response.status == 304 and value:
                return None
            _check_status(response)
            return Fetched(await _body(response), _validator(response))

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout: float = TIMEOUT) -> None:
        """Sends a body; the answer must have a status of 2xx. Raises SourceError. timeout: seconds for all of it."""
        async with (
            _telling(timeout),
            (await self._open()).post(
                self._checked(url), data=body, headers=headers, allow_redirects=False
            ) as response,
        ):
            if not 200 <= response.status < 300:
                temporary = response.status in (408, 429) or response.status >= 500
                raise SourceError(f"the server answered {response.status}", temporary=temporary)

    def _checked(self, text: str) -> URL:
        """The URL, as aiohttp will read it. Raises SourceError if it can't be one of a list."""
        from yarl import URL

        try:
            url = URL(text)
            host, port = url.host, url.port
        except (ValueError, TypeError) as error:
            raise SourceError(f"not a URL: {error}") from None
        if url.scheme not in ("http", "https") or not host:
            raise SourceError("not an http or https URL")
        if self._ports and port not in self._ports:
            raise SourceError(f"port {port}: one of {', '.join(map(str, self._ports))} is expected")
        return url

    async def _open(self) -> ClientSession:
        if self._session is None:
            from aiohttp import ClientSession, DummyCookieJar, TCPConnector

            self._session = ClientSession(
                connector=TCPConnector(
                    resolver=_resolver(self), socket_factory=self._make_socket, limit=16, limit_per_host=8
                ),
                cookie_jar=DummyCookieJar(),
                headers={"User-Agent": AGENT, "Accept-Encoding": "gzip"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    def _make_socket(self, address: AddrInfoType) -> socket.socket:
        """The socket for a connection. Raises NotAllowed: nothing that aiohttp calls passes by here."""
        family, kind, protocol, _, place = address
        if text := self.objection(str(place[0])):
            raise NotAllowed(text)
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


@asynccontextmanager
async def _telling(timeout: float) -> AsyncIterator[None]:
    """Raises SourceError for all that can go wrong between us and a server. timeout: seconds for all of it."""
    from aiohttp import ClientError

    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError:
        raise SourceError(f"no answer within {timeout:g} s", temporary=True) from None
    except (ClientError, OSError, ValueError) as error:
        refused = _refusal(error)
        temporary = refused is None and not isinstance(error, ValueError)
        raise SourceError(str(refused or explain_http(error)), temporary=temporary) from None


def _refusal(error: BaseException) -> NotAllowed | None:
    """Why an address was not called, if that is the reason of an error."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, NotAllowed):
        seen = seen.__cause__ or seen.__context__ or getattr(seen, "os_error", None)
    return seen


def _check_status(response: ClientResponse) -> None:
    """Raises SourceError if an answer is not the list."""
    if 300 <= response.status < 400:
        place = response.headers.get("Location", "?")[:MAX_SHOWN]
        raise SourceError(f"the server sends us to {place!r}: use that URL")
    if response.status != 200:
        temporary = response.status in (408, 429) or response.status >= 500
        raise SourceError(explain_status(response), temporary=temporary)


async def _body(response: ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MAX_CONTENT:
            raise SourceError(f"the answer is larger than {MAX_CONTENT >> 20} MiB")
        parts.append(part)
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise SourceError(f"the answer is encoded as {encoding}, which was not asked for")
    return b"".join(parts)


def _validator(response: ClientResponse) -> str:
    if etag := response.headers.get("ETag"):
        return f"etag {etag}"
    if modified := response.headers.get("Last-Modified"):
        return f"modified {modified}"
    return ""


def _resolver(fetcher: Fetcher) -> AbstractResolver:
    """A resolver that gives no address that must not be called."""
    from aiohttp.abc import AbstractResolver, ResolveResult

    class Resolver(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            return [
                ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
                for kind, address in await _addresses(fetcher, host, port, family)
            ]

        async def close(self) -> None:
            pass

    return Resolver()


async def _addresses(fetcher: Fetcher, host: str, port: int, family: int) -> list[tuple[int, str]]:
    """(family, address) of all that a name stands for, IPv4 first. Raises OSError."""
    try:
        async with asyncio.timeout(DNS_TIMEOUT):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
    except TimeoutError:
        raise OSError(f"{host}: the name can't be resolved within {DNS_TIMEOUT:g} s") from None
    for each in found:
        if text := fetcher.objection(str(each[4][0])):  # one is enough: no honest name has both
            raise NotAllowed(f"{host}: {text}")
    return sorted(((int(each[0]), str(each[4][0])) for each in found), key=lambda each: each[0] != socket.AF_INET)
