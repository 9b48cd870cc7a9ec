"""The API on its HTTP server: who asks, how often, from where, and what an answer looks like."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from ...net.http import Answer, HttpServer, is_loopback
from ...net.tcp import allowed, parse_networks, plain_address
from ...pipeline.metrics import CONTENT_TYPE, Metrics
from ...pipeline.rate import TokenBucket
from ..access import COOKIE, LOOPBACK, Identity
from ..config import Config, RateLimit
from ..management import Refused
from ..server import RouteServer
from ..store.store import StoreError
from . import status
from .call import Call, as_answer, failure
from .openapi import document
from .operations import OPERATIONS, Operation
from .reference import html

MAX_CLIENTS: Final = 4096
"""Addresses whose requests are counted at the same time."""
REQUEST_TIMEOUT: Final = 40.0
"""Seconds that a connection lives."""


class Buckets:
    """A token bucket for each address (the section ApiRateLimit)."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = max(1, limit.token_limit)
        self._rate = max(1, limit.tokens_per_period) / max(1, limit.period_seconds)
        self._clock = clock
        self._buckets: dict[str, TokenBucket] = {}
        """those that have asked nothing for the longest time first"""

    def admits(self, client: str) -> bool:
        bucket = self._buckets.pop(client, None) or TokenBucket(self._rate, self._clock, self._burst)
        self._buckets[client] = bucket
        if len(self._buckets) > MAX_CLIENTS:
            del self._buckets[next(iter(self._buckets))]
        return not bucket.take()


Refusal = Callable[[Call, Refused], web.StreamResponse]


class Api:
    """The API of a route server, and its pages. refuse: the page that says why something is not done."""

    def __init__(self, server: RouteServer, pages: Iterable[Operation], refuse: Refusal) -> None:
        self.server = server
        self._refuse = refuse
        self._busy = 0
        self._moving = asyncio.Lock()
        self._buckets: Buckets | None = None
        self.configure(server.config)
        answers: dict[str, Answer] = {}
        for operation in (*OPERATIONS, *pages):
            answers[f"{operation.method} {operation.path}"] = partial(self._answer, operation)
        answers |= {
            "OPTIONS /api/{path:.*}": self._options,
            "/api/openapi.json": self._openapi,
            "/api/docs": self._docs,
            "/hc": self._health,
            "/livez": self._live,
            "/readyz": self._ready,
            "/metrics": self._metrics,
        }
        self._http = HttpServer(
            answers,
            credentials=None,
            on_error=self._on_error,
            timeout=REQUEST_TIMEOUT,
            max_request=server.config.max_request_body_bytes + (64 << 10),
            failure=_failure,
        )

    def configure(self, config: Config) -> None:
        """Takes what may change while we run."""
        limit = config.api_rate_limit
        self._buckets = Buckets(limit) if limit is not None and limit.enabled else None
        self._most = limit.max_concurrent_requests if limit is not None and limit.enabled else 0
        self._max_body = config.max_request_body_bytes
        self._proxies = parse_networks(config.trusted_proxies)
        self._real_ip = config.trust_x_real_ip
        self._origins = {origin.lower() for origin in config.cors_allowed_origins}

    async def start(self) -> None:
        """Raises OSError."""
        await self._http.start(*place(self.server.config))

    async def move(self) -> None:
        """Listens where the configuration says now. Raises OSError: then it listens where it did."""
        async with self._moving:
            await self._http.move(*place(self.server.config))

    async def close(self) -> None:
        await self._http.close()

    async def _answer(self, operation: Operation, request: web.Request) -> web.StreamResponse:
        response = await self._bounded(operation, request)
        if not response.prepared:
            response.headers.update(self._origin_headers(request))
        return response

    async def _bounded(self, operation: Operation, request: web.Request) -> web.StreamResponse:
        client = self._client(request)
        if self._buckets is not None and not self._buckets.admits(client):
            return failure(429, "Too many requests")
        if operation.changes and request.headers.get("Sec-Fetch-Site", "").lower() == "cross-site":
            return failure(403, "Requests from other sites may change nothing")
        if self._most and self._busy >= self._most:
            return failure(503, "Too many requests at the same time")
        self._busy += not operation.endless
        headers, prolong = self._origin_headers(request), partial(self._http.prolong, request)
        cookies = operation.is_page or not operation.changes
        identify = partial(self._identity, request, client, cookies=cookies)
        call = Call(self.server, request, client, self._max_body, Identity(), headers, prolong, identify, all=False)
        try:
            call = replace(call, identity=identify())
            call = self._admitted(operation, call)
            response = as_answer(await self._run(operation, call), request)
            if not response.prepared:
                response.headers.update(call.headers)
            return response
        except Refused as error:
            if operation.is_page:
                return self._refuse(call, error)
            return _refused(error)
        except StoreError as error:
            self.server.log.error("the database can't be used", error=str(error))
            return failure(503, "the database can't be used now")
        finally:
            self._busy -= not operation.endless

    def _admitted(self, operation: Operation, call: Call) -> Call:
        """The request, if the one who asks may do so. Raises Refused."""
        identity = call.identity
        everything = identity.may(operation.role)
        if not everything and not (operation.own and (identity.peers or identity.address)):
            if identity.known:
                raise Refused(f"only the role {operation.role} may do this", 403)
            raise Refused("a token is needed: Authorization: Bearer TOKEN", 401)
        if not everything:
            self._check_own(call)
        return replace(call, all=everything)

    def _identity(self, request: web.Request, client: str, *, cookies: bool = False) -> Identity:
        """Who asks. cookies: whether the token may stand in a cookie, as the pages have it. Raises Refused."""
        field = request.headers.get("Authorization")
        if cookies and field is None and (secret := request.cookies.get(COOKIE)) is not None:
            found = self.server.access.identify(secret, client)
            if found is not None:
                return found
        kind, _, secret = (field or "").partition(" ")
        if field is not None and kind.lower() != "bearer":
            raise Refused("Authorization: Bearer TOKEN is expected", 401)
        identity = self.server.access.identify(secret.strip() if field is not None else None, client)
        if field is None and self.server.access.open_on_loopback and not is_loopback(_own_address(request)):
            return Identity()  # it has come in where we listened before the configuration was changed
        if field is None and self.server.access.open_on_loopback and not self._means_us(request):
            text = (
                f"Host: {request.host}: an address or localhost is expected, unless the configuration has AnonymousRole"
            )
            raise Refused(text, 403)
        if identity is None:
            self.server.log.warning("a token that is not ours was shown", client=client)
            raise Refused("the token is not valid", 401)
        return identity

    def _means_us(self, request: web.Request) -> bool:
        """Whether it was sent to us by a name that is always ours, or by a proxy.

        A page on the Internet whose name leads to loopback (DNS rebinding) runs in a browser on this machine, and must
        not be taken for one of its programs.
        """
        if self._proxies and _within((request.remote or "").removeprefix("::ffff:"), self._proxies):
            return True
        try:
            host = urlsplit(f"//{request.host}").hostname or ""
        except ValueError:
            return False
        return _is_address(host) or host == "localhost" or host.endswith(".localhost")

    @staticmethod
    def _check_own(call: Call) -> None:
        """A peer asks for what is its own only. Raises Refused."""
        places = call.request.match_info
        if "id" in places and places["id"] not in call.identity.peers:
            raise Refused("Peer not found", 404)
        if "ip" in places:
            peers = call.management.peers_at(places["ip"])
            if len(call.visible(peers)) < len(peers):
                raise Refused("Peer not found", 404)

    async def _run(self, operation: Operation, call: Call) -> object:
        """Raises Refused."""
        said: dict[str, object] = {}
        if operation.query is not None:
            said["query"] = call.query(operation.query)
        if operation.body is not None:
            said["body"] = await call.read(operation.body)
        return await operation.run(call, **said)

    def _client(self, request: web.Request) -> str:
        """The address of who asks: the last one that no trusted proxy vouches for."""
        address = (request.remote or "").partition("%")[0].removeprefix("::ffff:")
        if not self._proxies or not _within(address, self._proxies):
            return address
        if self._real_ip and (real := request.headers.get("X-Real-IP", "").strip()) and _is_address(real):
            return real
        for hop in reversed(",".join(request.headers.getall("X-Forwarded-For", [])).split(",")):
            hop = hop.strip()
            if not _is_address(hop):
                break
            address = hop
            if not _within(hop, self._proxies):
                break
        return address

    def _origin_headers(self, request: web.Request) -> dict[str, str]:
        """What lets a page of another site that may ask read the answer."""
        origin = request.headers.get("Origin", "")
        if origin.lower() not in self._origins:
            return {}
        exposed = {"Access-Control-Expose-Headers": "ETag, X-Total-Count"}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"} | exposed

    async def _options(self, request: web.Request) -> web.StreamResponse:
        response = web.Response(status=204, headers=self._origin_headers(request))
        if "Access-Control-Allow-Origin" in response.headers:
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
            response.headers["Access-Control-Allow-Headers"] = "Content-Type, Authorization, If-Match, If-None-Match"
        return response

    async def _openapi(self, request: web.Request) -> web.StreamResponse:
        return as_answer(document())

    async def _docs(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=html(document()), content_type="text/html")

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return as_answer(status.health(self.server))

    async def _live(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok\n")

    async def _ready(self, request: web.Request) -> web.StreamResponse:
        why_not = status.why_not_ready(self.server)
        return web.Response(text=f"{why_not or 'ok'}\n", status=503 if why_not else 200)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        try:
            if not self._identity(request, self._client(request)).may("reader"):
                raise Refused("a token is needed: Authorization: Bearer TOKEN", 401)
        except Refused as error:
            return _refused(error)
        metrics = Metrics()
        status.measure(self.server, metrics)
        metrics.add("bgplite_tasks", len(asyncio.all_tasks()))
        return web.Response(body=metrics.text().encode(), headers={"Content-Type": CONTENT_TYPE})

    def _on_error(self, path: str, error: Exception) -> None:
        self.server.log.error(f"http {path}: {type(error).__name__}: {error}")
        self.server.log.debug("unexpected error", exc_info=error)


def _refused(error: Refused) -> web.Response:
    response = failure(error.status, str(error))
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _failure(status: int, reason: str, headers: Mapping[str, str]) -> web.StreamResponse:
    if status == 405:  # as BGPLite answers to a method that a path doesn't have
        status, reason = 404, "Not found"
    made = failure(status, reason.capitalize())
    made.headers.update(headers if status != 404 else {})
    return made


def place(config: Config) -> tuple[str, int]:
    """Where the API listens."""
    return config.api_listen or LOOPBACK, config.api_port


def _own_address(request: web.Request) -> str:
    """Our address of its connection."""
    found = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return plain_address(found) if found else ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _within(address: str, networks: Any) -> bool:
    return _is_address(address) and allowed(address, networks)
