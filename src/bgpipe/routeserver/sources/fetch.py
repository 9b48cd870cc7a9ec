"""Octets over HTTP from anywhere on the Internet, and from nowhere else.

A URL may come from whoever may change a peer, so it must not reach what only this machine reaches. The addresses of a
name are looked at when the connection is made, and those are the ones that are called: a name that changes its mind
between two questions gains nothing. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ...net.tcp import Network, parse_networks
from .base import MAX_CONTENT, Fetched, SourceError

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from aiohttp.abc import AbstractResolver

AGENT: Final = "bgplite"
TIMEOUT: Final = 30.0
"""Seconds for all of a fetch, where the source does not say it."""
DNS_TIMEOUT: Final = 5.0
"""Seconds that a name may take to be resolved."""
PUBLIC_PORTS: Final = (80, 443)
_REFUSED: Final = parse_networks(
    (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2002::/16"),
        *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
)
"""Addresses that are not on the Internet, or stand for others (RFC 6890)."""


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
        from aiohttp import ClientError, ClientPayloadError, InvalidURL

        sent = dict(headers or {})
        kind, _, value = validator.partition(" ")
        if value:
            sent["If-None-Match" if kind == "etag" else "If-Modified-Since"] = value
        try:
            async with (
                asyncio.timeout(timeout),
                (await self._open()).get(self._checked(url), headers=sent, allow_redirects=False) as response,
            ):
                if response.status == 304 and value:
                    return None
                if 300 <= response.status < 400:
                    raise SourceError(f"the server sends us to {response.headers.get('Location', '?')!r}: use that URL")
                if response.status != 200:
                    raise SourceError(f"the server answered {response.status} {response.reason or ''}".rstrip())
                return Fetched(await _body(response), _validator(response))
        except TimeoutError:
            raise SourceError(f"no answer within {timeout:g} s") from None
        except InvalidURL:
            raise SourceError("not a URL") from None
        except ClientPayloadError:
            raise SourceError("the answer ends too early") from None
        except (ClientError, OSError, ValueError) as error:
            raise SourceError(str(error) or type(error).__name__) from None

    def _checked(self, url: str) -> str:
        """The URL. Raises SourceError if it can't be one of a list."""
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise SourceError(f"not a URL: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SourceError("not an http or https URL")
        try:
            literal = str(ipaddress.ip_address(parts.hostname))
        except ValueError:
            literal = ""
        if literal and (text := self.objection(literal)):  # our resolver is not asked about these
            raise SourceError(text)
        if self._ports and port not in self._ports:
            raise SourceError(f"port {port}: one of {', '.join(map(str, self._ports))} is expected")
        return url

    async def _open(self) -> ClientSession:
        if self._session is None:
            from aiohttp import ClientSession, DummyCookieJar, TCPConnector

            self._session = ClientSession(
                connector=TCPConnector(resolver=_resolver(self), limit=16, limit_per_host=8),
                cookie_jar=DummyCookieJar(),
                headers={"User-Agent": AGENT, "Accept-Encoding": "gzip"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


@dataclass(frozen=True, slots=True)
class Context:
    """What sources have to work with. folder: where relative paths begin. ripe_stat: URL of RIPEstat. ripe_timeout:
    seconds that it may take."""

    folder: Path
    fetcher: Fetcher
    ripe_stat: str = ""
    ripe_timeout: float = 180.0


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
            raise OSError(f"{host}: {text}")
    return sorted(((int(each[0]), str(each[4][0])) for each in found), key=lambda each: each[0] != socket.AF_INET)
