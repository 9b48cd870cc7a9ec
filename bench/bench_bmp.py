"""A BMP station with many routers: messages a second, memory for each router, and how late the event loop is.

    python bench/bench_bmp.py                      50 routers at once, then 1,000
    python bench/bench_bmp.py --routers 200 --peers 5 --routes 2000

The routers are connections of this process, each from an address of its own in 127/8. All say the same.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HERE / "src"), str(HERE / "tests" / "stages")]
BATCH = 100
"""Routers that connect at the same moment."""
PATIENCE = 300.0
"""Seconds after which no more messages are waited for."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def report(peers: int, routes: int) -> bytes:
    """What a router says."""
    from bmp_routers import initiation, peer, peer_up, update  # type: ignore[import-not-found]

    from bgpipe.wire.bmp import monitor

    updates = b"".join(update(f"10.{number >> 8 & 255}.{number & 255}.0/24") for number in range(routes))
    said = [initiation()]
    for number in range(1, peers + 1):
        said += peer_up(number), monitor(updates, peer(number))
    return b"".join(said)


async def call(number: int, port: int, said: bytes) -> asyncio.StreamWriter:
    await asyncio.sleep(number // BATCH * 0.3)
    source = f"127.1.{number >> 8}.{number & 255 or 1}", 0
    _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=source)
    writer.write(said)
    await writer.drain()
    return writer


class Station:
    """bgpipe, which prints what it gets to /dev/null."""

    def __init__(self) -> None:
        self.port, self.http = free_port(), free_port()
        words = ["-l", "error", "--http", f"127.0.0.1:{self.http}", "--http-open", "-o", "--", "bmp", f":{self.port}"]
        environment = {**os.environ, "PYTHONPATH": str(HERE / "src")}
        command = [sys.executable, "-m", "bgpipe", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=60) as page:
            return str(page.read().decode())

    def messages(self) -> int:
        found = re.search(r"^bgpipe_bmp_messages_total\{[^}]*\} (\d+)", self.metrics(), re.MULTILINE)
        return int(found[1]) if found else 0

    def memory(self) -> int:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(found[1]) * 1024 if found else 0

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def late(self) -> str:
        """The bound below which 99 % of the event loop's delays are."""
        counts = re.findall(r'^bgpipe_loop_lag_seconds_bucket\{le="([^"]+)"\} (\d+)', self.metrics(), re.MULTILINE)
        total = int(counts[-1][1])
        return next(str(bound) for bound, count in counts if int(count) >= 0.99 * total)


async def bench(routers: int, peers: int, routes: int) -> None:
    said, wanted = report(peers, routes), routers * peers * (routes + 2)
    station = Station()
    try:
        await asyncio.sleep(2)
        before, begun = station.memory(), time.monotonic()
        writers = await asyncio.gather(*(call(number, station.port, said) for number in range(routers)))
        while (got := await asyncio.to_thread(station.messages)) < wanted and time.monotonic() - begun < PATIENCE:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        seconds, memory = time.monotonic() - begun, (station.memory() - before) / routers / 1000
        print(f"{routers:,} routers with {peers} peers and {routes:,} routes each: {got:,} of {wanted:,} messages")
        print(f"    {got / seconds:,.0f} messages/s, {got / station.cpu():,.0f} for each second of processor time")
        print(f"    {memory:,.0f} KB a router, 99 % of the event loop's delays below {station.late()} s", flush=True)
        for writer in writers:
            writer.close()
    finally:
        station.process.terminate()
        station.process.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--routers", type=int, default=0, help="instead of 50, then 1,000")
    parser.add_argument("--peers", type=int, default=10, help="of each router (10)")
    parser.add_argument("--routes", type=int, default=1000, help="of each peer (1,000)")
    options = parser.parse_args()
    for routers in [options.routers] if options.routers else [50, 1000]:
        asyncio.run(bench(routers, options.peers, options.routes))


if __name__ == "__main__":
    main()
