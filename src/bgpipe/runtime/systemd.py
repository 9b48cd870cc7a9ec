"""Tells systemd the state of a service of Type=notify: ready, reloading, stopping, alive (sd_notify(3))."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable


class Notifier:
    """Does nothing where no NOTIFY_SOCKET is in the environment.

    health: returns what is wrong, "" for nothing. interval: seconds between two messages that the process is alive, 0
    for none (WatchdogSec=). They come from the event loop, so that systemd restarts a process whose loop hangs.
    """

    def __init__(self, health: Callable[[], str]) -> None:
        self._health = health
        # removed, so that programs which the service starts do not send messages in its name
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        wanted = os.environ.pop("WATCHDOG_USEC", "") if self._address else ""
        self.interval = int(wanted) / 2e6 if wanted.isdecimal() else 0.0

    def ready(self) -> None:
        self._tell("READY=1", self._status())

    def reloading(self) -> None:
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    async def keep_alive(self) -> None:
        """Tells systemd that the event loop runs, until it is cancelled."""
        while True:
            self._tell("WATCHDOG=1", self._status())
            await asyncio.sleep(self.interval)

    def _status(self) -> str:
        return "STATUS=" + (self._health().replace("\n", " ") or "ok")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        import socket

        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as link:
                link.sendto("\n".join(lines).encode(), address)
        except OSError:
            pass  # the service works without systemd too
