"""The HTTP server of --http: its options and paths."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from aiohttp import web

from ..net.errors import explain
from ..net.http import HttpServer, is_loopback, parse_http_address, read_credentials
from ..net.refusals import RefusalLog
from ..pipeline.errors import ConfigError, StageError
from ..pipeline.log import Log
from ..pipeline.metrics import CONTENT_TYPE
from ..tasks import Tasks
from .dashboard import page
from .options import GlobalOptions
from .status import Overview
from .unexpected import Unexpected

TICK: Final = 0.1
"""Seconds between two measurements of the lag of the event loop."""


class StatusServer:
    """The HTTP server of a bgpipe, through which the overview can be seen. Raises ConfigError."""

    def __init__(self, options: GlobalOptions, overview: Overview, log: Log) -> None:
        self.unexpected: Unexpected | None = None
        self._overview = overview
        self._log = log
        try:
            self._host, self._port = parse_http_address(options.http)
        except ValueError as error:
            raise ConfigError(f"--http: {error}") from None
        if bool(options.http_auth) == options.http_open:
            raise ConfigError("--http needs --http-auth or --http-open, one of them")
        try:
            credentials = read_credentials(options.http_auth) if options.http_auth else None
        except ValueError as error:
            raise ConfigError(f"--http-auth: {error}") from None
        if credentials is None and not is_loopback(self._host):
            log.warning("--http-open: everybody who reaches this address sees everything", http=options.http)
        answers = {
            "/": self._page,
            "/hc": self._health,
            "/livez": self._live,
            "/readyz": self._ready,
            "/metrics": self._metrics,
            "/sessions": self._sessions,
            "/rpki": self._rpki,
            "/stage/{slug}": self._stage,
            "/stage/{slug}/": self._stage,
        }
        self._refusals = RefusalLog(log)
        self._server = HttpServer(
            answers, credentials=credentials, on_error=self._on_error, on_refused=self._on_refused
        )

    async def open(self, tasks: Tasks) -> None:
        """tasks: those of the process. Raises StageError."""
        self._tasks = tasks.child()
        try:
            await self._server.start(self._host, self._port, self._tasks)
        except OSError as error:
            raise StageError(f"--http: can't listen on {self._host}:{self._port}: {explain(error)}") from error
        self._log.info(f"http on {self._host}:{self._port}")
        self._tasks.spawn("watch the event loop", self._watch_loop())

    def stopping(self) -> None:
        """Called after the first signal: from now on, /readyz has status 503."""
        self._overview.stopping = True

    async def close(self) -> None:
        await self._server.close()
        await self._tasks.close()

    async def _watch_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK
            await asyncio.sleep(TICK)
            self._overview.lag.observe(max(0.0, loop.time() - due))

    def _on_error(self, path: str, error: Exception) -> None:
        self._log.error(f"http {path}: {type(error).__name__}: {error}")
        self._log.debug("unexpected error", exc_info=error)

    def _on_refused(self, remote: str, reason: str) -> None:
        self._refusals.note("http", f"http request refused: {reason}", remote, subject=reason)

    # answers

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=page(self._overview), content_type="text/html", charset="utf-8")

    async def _health(self, request: web.Request) -> web.Response:
        return _json(self._overview.health())

    async def _live(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, request: web.Request) -> web.Response:
        why_not = self._overview.why_not_ready()
        return web.Response(text=f"{why_not or 'ok'}\n", status=503 if why_not else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        metrics = self._overview.metrics()
        metrics.add("bgpipe_tasks", len(asyncio.all_tasks()))
        metrics.add("bgpipe_unexpected_errors_total", self.unexpected.count if self.unexpected else 0)
        return web.Response(body=metrics.text().encode(), headers={"Content-Type": CONTENT_TYPE})

    async def _sessions(self, request: web.Request) -> web.Response:
        return _json(self._overview.sessions())

    async def _rpki(self, request: web.Request) -> web.Response:
        told = self._overview.rpki()
        return _json(told) if told is not None else web.Response(status=404, text="no stage needs RPKI data\n")

    async def _stage(self, request: web.Request) -> web.Response:
        told = self._overview.stage(request.match_info["slug"])
        return _json(told) if told is not None else web.Response(status=404, text="no such stage\n")


def _json(value: Any) -> web.Response:
    text = json.dumps(value, default=str, separators=(",", ":")) + "\n"
    return web.Response(text=text, content_type="application/json")
