"""bgplite, and how late its event loop is: `python bench/late_loop.py RESULT CONFIG`, then SIGUSR1.

A task asks to be woken each 2 ms. After SIGUSR1, RESULT has a JSON array of the seconds that each of them came late
since the last SIGUSR1. What other processes of the machine take counts too: processor seconds between two of them are
the second array.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

from bgpipe.routeserver import service
from bgpipe.routeserver.cli import main

INTERVAL = 0.002
RESULT = Path(sys.argv.pop(1))


class LateService(service.RouteServerService):
    async def run(self) -> None:
        result = RESULT
        late: list[float] = []
        busy: list[float] = []

        def tell() -> None:
            new = result.with_suffix(".new")
            new.write_text(json.dumps([late, busy]))
            new.replace(result)
            late.clear()
            busy.clear()

        async def probe() -> None:
            while True:
                asked, used = time.monotonic(), time.thread_time()
                await asyncio.sleep(INTERVAL)
                late.append(time.monotonic() - asked - INTERVAL)
                busy.append(time.thread_time() - used)

        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)
        probing = asyncio.ensure_future(probe())
        try:
            await super().run()
        finally:
            probing.cancel()


service.RouteServerService = LateService  # type: ignore[misc]
raise SystemExit(main())
