"""Events sent to URLs that the configuration names, signed with a secret that both sides know (HMAC-SHA-256).

They are sent one after the other. What can't be delivered is tried again a number of times, and then left out.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

import msgspec

from ..net.secret import read_secret
from ..pipeline.log import Log
from ..tasks import Tasks
from .config import Webhook
from .events import Event, Events
from .sources.base import SourceError
from .sources.fetch import Fetcher

WAITS: Final = (1.0, 5.0, 30.0, 120.0)
"""Seconds before each further attempt."""
TIMEOUT: Final = 10.0
"""Seconds for one attempt."""
SIGNATURE: Final = "X-Bgplite-Signature"


def sign(secret: str, body: bytes) -> str:
    """What the header X-Bgplite-Signature says of a body: `sha256=` and the HMAC in hexadecimal digits (RFC 2104)."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Webhooks:
    """sent, dropped: events that were delivered, and that were given up."""

    def __init__(self, events: Events, fetcher: Fetcher, log: Log) -> None:
        self.sent = self.dropped = 0
        self._events = events
        self._fetcher = fetcher
        self._log = log
        self._scope: Tasks | None = None
        self._running: dict[Webhook, asyncio.Task[None]] = {}

    def start(self, tasks: Tasks, hooks: Sequence[Webhook]) -> None:
        self._scope = tasks
        self.configure(hooks)

    def configure(self, hooks: Sequence[Webhook]) -> None:
        """These are the webhooks from now on; those that stay the same go on."""
        assert self._scope is not None
        for hook in self._running.keys() - set(hooks):
            self._running.pop(hook).cancel()
        for hook in hooks:
            if hook not in self._running:
                self._running[hook] = self._scope.spawn("webhook", self._send_all(hook))

    async def _send_all(self, hook: Webhook) -> None:
        secret = read_secret(hook.secret)[0]
        listener = self._events.listen()
        try:
            while True:
                event = await listener.next()
                self.dropped += event.missed
                if not hook.events or event.kind in hook.events:
                    await self._send(hook, secret, event)
        finally:
            self._events.leave(listener)

    async def _send(self, hook: Webhook, secret: str, event: Event) -> None:
        body = msgspec.json.encode(event)
        headers = {
            "Content-Type": "application/json",
            "X-Bgplite-Event": event.kind,
            "X-Bgplite-Delivery": str(event.id),
            SIGNATURE: sign(secret, body),
        }
        for wait in (*WAITS, None):
            try:
                await self._fetcher.post(hook.url, body, headers, timeout=TIMEOUT)
            except SourceError as error:
                if wait is not None and error.temporary:
                    await asyncio.sleep(wait)
                    continue
                self.dropped += 1
                self._log.warning("an event can't be delivered", webhook=hook.name, kind=event.kind, error=str(error))
            else:
                self.sent += 1
            return
