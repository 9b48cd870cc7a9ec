"""Unexpected errors, and warnings of libraries: they go to our log instead of standard error.

Tasks, timers and threads have owners (tasks.py), so these handlers should never be called. An exception that comes here
is logged in one line, a few times a minute at most, and counted for the metrics.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from ..pipeline.log import Log
from ..pipeline.log_limit import LogLimit

MAX_IN_A_MINUTE: Final = 10
"""Lines in the log a minute. Further exceptions are only counted."""
_LIBRARIES: Final = ("asyncio", "aiohttp", "websockets", "py.warnings")


class Unexpected(logging.Handler):
    """Logs exceptions that nothing else has caught. count: how many so far."""

    def __init__(self, log: Log, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self.count = 0
        self._log = log
        self._limit = LogLimit(clock, window=60.0, most=MAX_IN_A_MINUTE)

    def tell(self, where: str, error: BaseException | None, text: str = "") -> None:
        self.count += 1
        if self._limit.admit():
            what = f"{type(error).__name__}: {error}" if error is not None else text
            self._log.error(f"unexpected error: {what}", where=where, count=self.count)
            if error is not None:
                self._log.debug("unexpected error", exc_info=error)

    def in_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The exception handler of the event loop."""
        self.tell("event loop", context.get("exception"), str(context.get("message", "")))

    def in_thread(self, arguments: threading.ExceptHookArgs) -> None:
        self.tell(f"thread {arguments.thread.name if arguments.thread else ''}".strip(), arguments.exc_value)

    def unraisable(self, arguments: Any) -> None:
        self.tell("destructor", arguments.exc_value, str(arguments.err_msg or ""))

    def emit(self, record: logging.LogRecord) -> None:
        """Passes on a log record of a library."""
        error = record.exc_info[1] if record.exc_info else None
        self.tell(record.name, error, record.getMessage())


@contextmanager
def caught(unexpected: Unexpected) -> Iterator[None]:
    """Catches all exceptions and warnings that reach the hooks of the interpreter meanwhile."""
    hooks = threading.excepthook, sys.unraisablehook
    threading.excepthook, sys.unraisablehook = unexpected.in_thread, unexpected.unraisable
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    raising, logging.raiseExceptions = logging.raiseExceptions, False
    logging.captureWarnings(True)
    for logger in loggers:
        logger.addHandler(unexpected)
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(unexpected)
            logger.propagate = True
        logging.captureWarnings(False)
        logging.raiseExceptions = raising
        threading.excepthook, sys.unraisablehook = hooks
