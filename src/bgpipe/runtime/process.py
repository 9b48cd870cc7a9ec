"""The process of a command: its event loop, its signals, and uncaught exceptions. Only this module handles signals.

A command gives `serve` what it runs, a Service. `bgpipe.run` has a loop for itself and leaves signals to the program
that calls it; `bgpipe.run_async` is in the caller's loop.
"""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import Final, Protocol

from ..pipeline.log import Log
from ..tasks import Tasks, run
from .systemd import Notifier
from .unexpected import Unexpected, caught

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Service(Protocol):
    """What a process runs: `start`, then `run`, and always `close`."""

    async def start(self, process: Process) -> None:
        """Opens what it needs. Raises StageError, ConfigError."""

    async def run(self) -> None:
        """Returns when there is nothing more to do. Raises StageError, ConfigError."""

    async def close(self) -> None:
        """Closes what `start` has opened, also after an error."""

    def stop(self) -> None:
        """Called at SIGINT or SIGTERM: `run` must return within seconds."""

    def reload(self) -> None:
        """Called at SIGHUP: reads files again. It ends nothing."""

    def health(self) -> str:
        """What is wrong at the moment, "" if nothing is."""


class Process:
    """What the process gives to its service.

    log: for people. tasks: the scope for what belongs to no session. unexpected: counts uncaught exceptions.
    """

    def __init__(self, log: Log, unexpected: Unexpected | None = None) -> None:
        self.log = log
        self.unexpected = unexpected or Unexpected(log)
        self.tasks = Tasks(partial(self.unexpected.tell, "process"))


def serve(service: Service, log: Log) -> None:
    """Runs a service as the only thing that this process does. Raises what the service raises.

    The first SIGINT or SIGTERM stops it, the second one ends the process at once, and SIGHUP reloads it. Uncaught
    exceptions are logged. With Type=notify, systemd is told about all this.
    """
    unexpected = Unexpected(log)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # outside the event loop too it ends nothing
    with caught(unexpected):
        run(_serve(service, log, unexpected))


async def _serve(service: Service, log: Log, unexpected: Unexpected) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(unexpected.in_loop)
    process = Process(log, unexpected)
    notifier = Notifier(service.health)

    def on_signal() -> None:
        log.info("signal received, stopping...")
        for number in SIGNALS:  # the next one ends the process at once
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        notifier.stopping()
        service.stop()

    def on_hangup() -> None:
        notifier.reloading()
        service.reload()
        notifier.ready()

    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        await service.start(process)
        notifier.ready()
        if notifier.interval:
            process.tasks.spawn("systemd watchdog", notifier.keep_alive())
        await service.run()
    finally:
        await service.close()
        await process.tasks.close()
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
