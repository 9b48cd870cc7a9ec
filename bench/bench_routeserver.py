"""What a route server does for many clients, in seconds, beside BIRD, GoBGP and ExaBGP on the same machine.

    python bench/bench_routeserver.py [--only WORD] [--prefixes N] [--peers N] [--many N] [--no-daemons] [--json]

Clients are connections of one process, from an address each, that wait for the End-of-RIB. The time counts from the
first session that is up to the last End-of-RIB. It prints; a slow machine is not a failure. The daemons are fetched
once, as those of `make interop`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/interop")]

from daemons import (  # type: ignore[import-not-found]  # noqa: E402
    Bird,
    Daemon,
    ExaBgp,
    GoBgp,
    Neighbor,
    Unavailable,
    fetch,
)

from bgpipe.routes.attributes import PLAIN, UpdateGroup, head  # noqa: E402
from bgpipe.routes.lookup import Lookup  # noqa: E402
from bgpipe.routes.packing import announce  # noqa: E402
from bgpipe.routes.prefixes import PrefixSet, prefix_of  # noqa: E402
from bgpipe.wire import caps  # noqa: E402
from bgpipe.wire.caps import Capability, mp  # noqa: E402
from bgpipe.wire.family import IPV4_UNICAST  # noqa: E402
from bgpipe.wire.message import KEEPALIVE, MARKER, OPEN, ROUTE_REFRESH, Message  # noqa: E402
from bgpipe.wire.open import Open  # noqa: E402

ASN, CLIENT_ASN = 65000, 65003
PORT, API_PORT = 17900, 17901
END_OF_RIB = MARKER + b"\0\x17\2\0\0\0\0"
ALIVE = Message(KEEPALIVE).octets
REFRESH = Message(ROUTE_REFRESH, b"\0\1\0\1").octets
END_OF_REFRESH = Message(ROUTE_REFRESH, b"\0\1\2\1").octets
LENGTHS = [24] * 60 + [23] * 8 + [22] * 12 + [21] * 5 + [20] * 5 + [19] * 4 + [18] * 2 + [17] + [16] * 2
LISTS, CHOSEN = 20, 5
COMPILED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""The environment of an installation: its modules are compiled once, and not at each start."""
PATIENCE = 600.0
"""Seconds after which a measurement is given up."""


def random_prefixes(count: int) -> list[str]:
    """Prefixes that all daemons take, with the lengths of real ones, none of which joins with another one."""
    found: set[int] = set()
    while len(found) < count:
        length, address = random.choice(LENGTHS), random.getrandbits(32)
        if 11 <= address >> 24 < 224 and not 126 < address >> 24 < 129:
            found.add((address >> 32 - length << 32 - length) << 8 | length)
    return list(PrefixSet.of(found))


# clients


class Client(asyncio.Protocol):
    """One session, from the address of its number. up, ended: when it came up, and when `wanted` came last."""

    def __init__(self, number: int, hold_time: int = 180) -> None:
        self.number = number
        self.up = self.ended = self.heard = 0.0
        self.octets = 0
        self.gap = 0.0
        """the longest time without a message from the server, since it is up"""
        self.wanted = END_OF_RIB
        self.arrived = asyncio.Event()
        self.came_up = asyncio.Event()
        self.gone = asyncio.Event()
        self._hold_time = hold_time
        self._tail = b""
        self.transport: asyncio.Transport

    @property
    def address(self) -> str:
        return f"127.90.{self.number // 250}.{self.number % 250 + 1}"

    def wait_for(self, wanted: bytes) -> None:
        self.wanted, self._tail = wanted, b""
        self.arrived.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        offered = [
            Capability(caps.MP, mp.encode(IPV4_UNICAST)),
            Capability(caps.ROUTE_REFRESH),
            Capability(caps.GRACEFUL_RESTART, b"\0\x78\0\1\1\0"),
            Capability(caps.AS4, CLIENT_ASN.to_bytes(4, "big")),
            Capability(caps.ENHANCED_ROUTE_REFRESH),
        ]
        identifier = f"10.1.{self.number // 250}.{self.number % 250 + 1}"
        opening = Open(CLIENT_ASN, self._hold_time, identifier, tuple(offered))
        transport.write(Message(OPEN, opening.encode()).octets)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        if not self.up:
            self.up = now
            self.came_up.set()
            self.transport.write(ALIVE)
        else:
            self.gap = max(self.gap, now - self.heard)
        self.heard = now
        self.octets += len(data)
        if self.wanted in self._tail + data:
            self.ended = now
            self.arrived.set()
        self._tail = data[-len(self.wanted) + 1 :]

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self.arrived.set()


async def connect(clients: Sequence[Client], server: tuple[str, int]) -> None:
    """Opens their sessions, 100 at a time as routers do after an outage."""
    loop = asyncio.get_running_loop()
    for start in range(0, len(clients), 100):
        await asyncio.gather(
            *(
                loop.create_connection(lambda each=each: each, *server, local_addr=(each.address, 0))  # type: ignore[misc]
                for each in clients[start : start + 100]
            )
        )


async def until_all(clients: Sequence[Client]) -> None:
    async with asyncio.timeout(PATIENCE):
        for each in clients:
            await each.arrived.wait()
    if lost := sum(each.gone.is_set() for each in clients):
        raise RuntimeError(f"{lost} sessions have ended")


async def first_to_last(clients: Sequence[Client], server: tuple[str, int]) -> float:
    """Seconds from the first session that is up to the last End-of-RIB."""
    await connect(clients, server)
    await until_all(clients)
    return max(each.ended for each in clients) - min(each.up for each in clients)


# the server


class Server:
    """bgplite in a folder, with lists in files and a subscription for each client."""

    address = ("127.90.255.1", PORT)

    def __init__(
        self, folder: Path, lists: dict[str, list[str]], chosen: Sequence[Sequence[str]], hold: int, probed: bool
    ) -> None:
        self.folder = folder
        self.probed = probed
        """whether it tells how late its event loop is"""
        for name, prefixes in lists.items():
            (folder / f"{name}.txt").write_text("\n".join(prefixes))
        sources = "".join(
            f"  - {{Name: {name}, Path: {name}.txt, Community: '65000:{place}'}}\n" for place, name in enumerate(lists)
        )
        peers = "".join(
            f"  - {{Address: {Client(number).address}, RemoteAsn: {CLIENT_ASN}, Lists: [{', '.join(names)}]}}\n"
            for number, names in enumerate(chosen)
        )
        (folder / "appsettings.yml").write_text(
            f"Bgp:\n  Asn: {ASN}\n  RouterId: 10.99.0.1\n  NextHop: 192.0.2.254\n  Listen: [{self.address[0]}]\n"
            f"  Port: {PORT}\n  MaxAcceptsPerIpPerMinute: 0\n  HoldTime: {hold}\n  SendHoldTime: 10\n"
            f"ApiListen: 127.0.0.1\nApiPort: {API_PORT}\nPrefixSources:\n{sources}Peers:\n{peers}"
        )
        self.start()
        self._await(lambda: all(each["version"] for each in self.call("GET", "/api/sources")))
        self.rest()

    def start(self) -> None:
        with (self.folder / "log").open("wb") as log:
            words = [sys.executable, str(ROOT / "bench/late_loop.py"), "late", "appsettings.yml"]
            if not self.probed:
                words = [sys.executable, "-m", "bgpipe.routeserver", "appsettings.yml"]
            self.process = subprocess.Popen(words, cwd=self.folder, stderr=log, env=COMPILED)

    def late(self) -> tuple[list[float], list[float]]:
        """Seconds that the event loop was late each time since this was asked last, and processor seconds between."""
        path = self.folder / "late"
        path.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        self._await(path.exists)
        late, busy = json.loads(path.read_text())
        return late, busy

    def rest(self) -> None:
        """Waits until it has worked all of it out."""
        self._await(self._rests)

    def _rests(self) -> bool:
        """Whether it has worked all of it out."""
        before = cpu(self.process.pid)
        time.sleep(1)
        return cpu(self.process.pid) - before < (0.15 if self.probed else 0.03)

    def _await(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if ready():
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"bgplite does not start: {(self.folder / 'log').read_text()[-500:]}")
            time.sleep(0.1)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{API_PORT}{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def cpu(pid: int) -> float:
    """Seconds of CPU of a process so far, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int, peak: bool = True) -> int:
    """MB that a process has in memory, or had at most."""
    name = "VmHWM" if peak else "VmRSS"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(name))


# what is measured


class Bench:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.prefixes: int = arguments.prefixes
        self.peers: int = arguments.peers
        self.many: int = arguments.many
        self.rows: list[dict[str, Any]] = []

    def add(self, what: str, who: str, **figures: float) -> None:
        row = {"what": what, "who": who} | {name: round(value, 3) for name, value in figures.items()}
        self.rows.append(row)
        shown = ", ".join(
            f"{name.replace('_', ' ')} {value:g}" for name, value in row.items() if name not in ("what", "who")
        )
        print(f"{what:<46} {who:<8} {shown}", file=sys.stderr, flush=True)

    @contextmanager
    def bgplite(
        self, lists: dict[str, list[str]], chosen: Sequence[Sequence[str]], hold: int = 180, probed: bool = False
    ) -> Iterator[tuple[Server, list[Client]]]:
        with tempfile.TemporaryDirectory() as folder:
            server = Server(Path(folder), lists, chosen, hold, probed)
            clients = [Client(number, hold) for number in range(len(chosen))]
            try:
                yield server, clients
            finally:
                for each in clients:
                    if hasattr(each, "transport"):
                        each.transport.abort()
                server.stop()

    def one_list(self) -> dict[str, list[str]]:
        return {"list": random_prefixes(self.prefixes)}

    def many_lists(self) -> dict[str, list[str]]:
        """20 lists, of which any 5 have about as many prefixes as are wanted; one of 12 is in another list too."""
        size = self.prefixes // CHOSEN
        own = size - size // 12
        found = random_prefixes(own * LISTS)
        random.shuffle(found)
        return {
            f"list{place}": sorted({*found[place * own : (place + 1) * own], *random.sample(found, size - own)})
            for place in range(LISTS)
        }

    async def tables(self, what: str, server: Server, clients: Sequence[Client]) -> None:
        """All clients come at once, and get their tables."""
        before = cpu(server.process.pid)
        seconds = await first_to_last(clients, server.address)
        self.add(what, "bgplite", seconds=seconds, CPU=cpu(server.process.pid) - before, MB=memory(server.process.pid))

    async def one_set(self) -> None:
        what = f"one list of {self.prefixes:,} to {self.peers} peers"
        with self.bgplite(self.one_list(), [["list"]] * self.peers) as (server, clients):
            before = cpu(server.process.pid)
            seconds = await first_to_last(clients, server.address)
            self.add(
                what, "bgplite", seconds=seconds, CPU=cpu(server.process.pid) - before, MB=memory(server.process.pid)
            )

    def choices(self, peers: int) -> list[list[str]]:
        """The lists that each of so many peers has chosen."""
        return [random.sample([f"list{place}" for place in range(LISTS)], CHOSEN) for _ in range(peers)]

    async def different_sets(self, peers: int = 0) -> None:
        peers = peers or self.peers
        chosen = self.choices(peers)
        with self.bgplite(self.many_lists(), chosen) as (server, clients):
            await self.tables(f"{CHOSEN} of {LISTS} lists, {self.prefixes:,} each, to {peers} peers", server, clients)

    async def many_peers(self) -> None:
        await self.different_sets(self.many)

    async def million(self) -> None:
        """A list five times as long, to one peer."""
        count = 5 * self.prefixes
        with self.bgplite({"list": random_prefixes(count)}, [["list"]]) as (server, clients):
            await self.tables(f"one list of {count:,} to 1 peer", server, clients)

    async def one_line(self) -> None:
        lists = self.one_list()
        with self.bgplite(lists, [["list"]] * self.peers) as (server, clients):
            await first_to_last(clients, server.address)
            new = "203.0.113.77/32"
            path = server.folder / "list.txt"
            path.write_text("\n".join([*lists["list"], new]))
            os.utime(path, (time.time() - 1,) * 2)  # else it is looked at twice, for it may still be written
            before = [each.octets for each in clients]
            for each in clients:
                each.wait_for(b"\x20\xcb\x00\x71\x4d")
            start = time.monotonic()
            await asyncio.to_thread(server.call, "POST", "/api/sources/list/refresh", {})
            await until_all(clients)
            self.add(
                f"one line of {self.prefixes:,} changed, {self.peers} peers",
                "bgplite",
                seconds=max(each.ended for each in clients) - start,
                octets_a_peer=max(each.octets - octets for each, octets in zip(clients, before, strict=True)),
            )

    async def refreshes(self) -> None:
        with self.bgplite(self.one_list(), [["list"]] * self.peers) as (server, clients):
            await first_to_last(clients, server.address)
            memory_before = memory(server.process.pid, peak=False)
            start = time.monotonic()
            for each in clients:
                each.wait_for(END_OF_REFRESH)
                each.transport.write(REFRESH)
            await until_all(clients)
            self.add(
                f"route refresh of {self.peers} peers at once",
                "bgplite",
                seconds=max(each.ended for each in clients) - start,
                MB_more=memory(server.process.pid, peak=False) - memory_before,
            )

    async def slow_reader(self) -> None:
        """The best of ten times, with and without it in turns."""
        best = {False: PATIENCE, True: PATIENCE}
        with self.bgplite(self.one_list(), [["list"]] * 20) as (server, _):
            for slow in (False, True) * 10:
                clients = [Client(number) for number in range(20)]
                await connect(clients[:1], server.address)
                if slow:
                    await clients[0].came_up.wait()
                    clients[0].transport.pause_reading()
                best[slow] = min(best[slow], await first_to_last(clients[1:], server.address))
                for each in clients:
                    each.transport.abort()
                await asyncio.to_thread(server.rest)
        for slow, seconds in best.items():
            self.add(f"20 peers, {'one reads nothing' if slow else 'all of them read'}", "bgplite", seconds=seconds)

    async def keepalives(self) -> None:
        """20 sessions with a hold time of 3 s, while lists change and the API is written to."""
        lists = self.many_lists()
        chosen = [random.sample(sorted(lists), CHOSEN) for _ in range(20)]
        with self.bgplite(lists, chosen, hold=3) as (server, clients):
            beating = asyncio.ensure_future(beat(clients))
            try:
                await first_to_last(clients, server.address)
                for round_ in range(4):
                    for name, prefixes in lists.items():
                        (server.folder / f"{name}.txt").write_text("\n".join(prefixes[round_ * 100 :]))
                    for number in range(20):
                        body = {"ip": f"127.91.0.{number + 1}", "asn": 65004, "customPrefixes": [f"5.0.{number}.0/24"]}
                        await asyncio.to_thread(server.call, "POST", "/api/peers", body)
                    await asyncio.sleep(3)
            finally:
                beating.cancel()
            self.add(
                "hold time 3 s, 20 peers, lists and peers change",
                "bgplite",
                longest_gap=max(each.gap for each in clients),
                expired=sum(each.gone.is_set() for each in clients),
            )

    async def late_loop(self) -> None:
        """All lists change while all peers get their tables."""
        lists = self.many_lists()
        chosen = [random.sample(sorted(lists), CHOSEN) for _ in range(self.peers)]
        with self.bgplite(lists, chosen, probed=True) as (server, clients):
            server.late()
            getting = asyncio.ensure_future(first_to_last(clients, server.address))
            for name, prefixes in lists.items():
                (server.folder / f"{name}.txt").write_text("\n".join(prefixes[len(prefixes) // 100 :]))
            for name in lists:
                await asyncio.to_thread(server.call, "POST", f"/api/sources/{name}/refresh", {})
            await getting
            await asyncio.to_thread(server.rest)
            late, busy = map(sorted, server.late())
            self.add(
                f"{LISTS} lists refreshed at once, {self.peers} peers",
                "bgplite",
                late_99_in_100=late[len(late) * 99 // 100],
                late_most=late[-1],
                CPU_99_in_100=busy[len(busy) * 99 // 100],
                CPU_most=busy[-1],
            )

    async def restart(self) -> None:
        """From its start to the first End-of-RIB, with lists that were kept and without their sources."""
        lists = self.many_lists()
        with self.bgplite(lists, [sorted(lists)]) as (server, clients):
            server.stop()
            for name in lists:
                (server.folder / f"{name}.txt").unlink()
            start = time.monotonic()
            server.start()
            while not clients[0].ended and time.monotonic() - start < PATIENCE:
                try:
                    await connect(clients, server.address)
                    await until_all(clients)
                except OSError:
                    await asyncio.sleep(0.02)
            self.add(
                f"{LISTS} kept lists of {self.prefixes // CHOSEN:,}: start to End-of-RIB",
                "bgplite",
                seconds=clients[0].ended - start,
                CPU=cpu(server.process.pid),
            )

    async def shell(self) -> None:
        with self.bgplite({"list": random_prefixes(1000)}, [["list"]] * self.peers):
            for words in (("peers",), ("sources",), ("why", Client(0).address, "192.0.2.1")):
                seconds = []
                for _ in range(3):
                    start = time.monotonic()
                    environment = COMPILED | {"BGPLITE_API": f"http://127.0.0.1:{API_PORT}"}
                    command = [sys.executable, "-m", "bgpipe.routeserver", *words]
                    await asyncio.to_thread(subprocess.check_output, command, env=environment, timeout=60)
                    seconds.append(time.monotonic() - start)
                self.add(f"bgplite {' '.join(words)}", "bgplite", seconds=min(seconds))

    async def lookups(self) -> None:
        prefixes = PrefixSet.parse(random_prefixes(5 * self.prefixes))
        lookup = Lookup(prefixes)
        targets = [prefix_of(random.getrandbits(32) << 8 | 32, 1) for _ in range(100_000)]
        start = time.process_time()
        for each in targets:
            lookup.longest(each)
        seconds = time.process_time() - start
        self.add(
            f"an address among {5 * self.prefixes:,} prefixes", "bgplite", microseconds=seconds / len(targets) * 1e6
        )


async def beat(clients: Sequence[Client]) -> None:
    while True:
        await asyncio.sleep(1)
        for each in clients:
            if each.up and not each.gone.is_set():
                each.transport.write(ALIVE)


# the same by daemons


async def beside(bench: Bench, kind: type[Daemon], folder: Path) -> None:
    """One list to the same clients, by a daemon: BIRD and ExaBGP have the routes in their configuration, GoBGP is told
    them by a session."""
    peers, count = (1, bench.prefixes // 20) if kind is ExaBgp else (bench.peers, bench.prefixes)
    prefixes = random_prefixes(count)
    clients = [Client(number) for number in range(peers)]
    feeder = Client(peers)
    neighbors = [
        Neighbor(each.address, CLIENT_ASN, port=PORT, passive=True, graceful_restart=kind is GoBgp)  # for End-of-RIB
        for each in (*clients, feeder)
    ]
    daemon = kind(fetch(folder), Path(tempfile.mkdtemp()), "127.90.255.2", ASN, neighbors, port=PORT)
    daemon.prefixes = prefixes if kind is not GoBgp else ()
    feed = (feeder, prefixes) if kind is GoBgp else None
    await serve(bench, daemon, clients, f"one list of {count:,} to {peers} peers", feed)


class FilteringBird(Bird):  # type: ignore[misc]  # mypy does not see tests
    """BIRD with one table of all lists, each with a community, and a filter on these for each neighbor."""

    lists: dict[str, list[str]]
    chosen: Sequence[Sequence[str]]

    def config(self) -> str:
        places: dict[str, list[int]] = {}
        for place, prefixes in enumerate(self.lists.values()):
            for prefix in prefixes:
                places.setdefault(prefix, []).append(place)
        routes = (
            f"  route {prefix} blackhole {{ {' '.join(f'bgp_community.add(({ASN},{place}));' for place in found)} }};\n"
            for prefix, found in places.items()
        )
        return f"{super().config()}protocol static lists {{ ipv4;\n{''.join(routes)}}}\n"

    def _neighbor(self, number: int, neighbor: Neighbor) -> str:
        names = list(self.lists)
        wanted = ", ".join(f"({ASN},{names.index(name)})" for name in self.chosen[number])
        self.export = f"export where bgp_community ~ [ {wanted} ];"
        return str(super()._neighbor(number, neighbor))


async def filters(bench: Bench, folder: Path) -> None:
    """The lists of `lists`, by BIRD."""
    lists, chosen = bench.many_lists(), bench.choices(bench.peers)
    clients = [Client(number) for number in range(bench.peers)]
    neighbors = [Neighbor(each.address, CLIENT_ASN, port=PORT, passive=True) for each in clients]
    daemon = FilteringBird(fetch(folder), Path(tempfile.mkdtemp()), "127.90.255.2", ASN, neighbors, port=PORT)
    daemon.lists, daemon.chosen = lists, chosen
    await serve(bench, daemon, clients, f"{CHOSEN} of {LISTS} lists, {bench.prefixes:,} each, to {bench.peers} peers")


async def serve(
    bench: Bench,
    daemon: Daemon,
    clients: Sequence[Client],
    what: str,
    feed: tuple[Client, Sequence[str]] | None = None,
) -> None:
    """All clients come at once to a daemon, and get their tables. feed: who tells it routes, and which."""
    everybody = (*clients, feed[0]) if feed is not None else clients
    beating = asyncio.ensure_future(beat(everybody))
    try:
        daemon.start()
        await _reachable(daemon)
        if feed is not None:
            await _feed(feed[0], daemon, feed[1])
        assert daemon.process is not None
        before = cpu(daemon.process.pid)
        seconds = await first_to_last(clients, (daemon.address, PORT))
        bench.add(
            what,
            daemon.name,
            seconds=seconds,
            CPU=cpu(daemon.process.pid) - before,
            MB=memory(daemon.process.pid),
        )
    finally:
        beating.cancel()
        for each in everybody:
            if hasattr(each, "transport"):
                each.transport.abort()
        daemon.stop()


async def _reachable(daemon: Daemon) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection(daemon.address, PORT, local_addr=("127.90.254.1", 0))
        except OSError:
            await asyncio.sleep(0.5)
        else:
            writer.close()
            await asyncio.sleep(5 if isinstance(daemon, Bird) else 1)  # until it has read its static routes
            return
    raise RuntimeError(f"{daemon.name} does not listen")


async def _feed(feeder: Client, daemon: Daemon, prefixes: Sequence[str]) -> None:
    """Tells a daemon routes, and waits until it has them."""
    await connect([feeder], (daemon.address, PORT))
    await feeder.came_up.wait()
    how = head(PLAIN, UpdateGroup(CLIENT_ASN, "192.0.2.253"), 1)
    assert how is not None
    for block in announce(PrefixSet.parse(prefixes).ipv4, 1, how).blocks:
        feeder.transport.write(block.octets)
    feeder.transport.write(END_OF_RIB)
    for _ in range(int(PATIENCE)):
        shown = await asyncio.to_thread(daemon.control, "global", "rib", "summary")
        if (found := re.search(r"Destination: (\d+)", shown)) and int(found[1]) >= len(prefixes):
            return
        await asyncio.sleep(1)
    raise TimeoutError


CASES: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "set": Bench.one_set,
    "lists": Bench.different_sets,
    "many": Bench.many_peers,
    "million": Bench.million,
    "line": Bench.one_line,
    "refresh": Bench.refreshes,
    "slow": Bench.slow_reader,
    "keepalives": Bench.keepalives,
    "late": Bench.late_loop,
    "restart": Bench.restart,
    "shell": Bench.shell,
    "lookups": Bench.lookups,
}


async def run(bench: Bench, only: str, daemons: bool) -> None:
    for name, measure in CASES.items():
        if not only or only == name:
            try:
                await measure(bench)
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                print(f"{name}: {error or 'not in time'}", file=sys.stderr)
    folder = Path(os.environ.get("BGPIPE_PEERS", ROOT / ".peers"))
    compared: list[tuple[str, type[Daemon], Awaitable[None]]] = []
    if daemons and only in ("", "set"):
        compared += (("set", kind, beside(bench, kind, folder)) for kind in (Bird, GoBgp, ExaBgp))
    if daemons and only in ("", "lists"):
        compared.append(("lists", Bird, filters(bench, folder)))
    for name, kind, case in compared:
        try:
            await case
        except (Unavailable, RuntimeError, OSError, AssertionError, subprocess.SubprocessError) as error:
            print(f"{name}, {kind.name}: {error or 'not in time'}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[*CASES, ""], default="")
    parser.add_argument("--prefixes", type=int, default=200_000)
    parser.add_argument("--peers", type=int, default=100)
    parser.add_argument("--many", type=int, default=1000, help="peers of the case `many`")
    parser.add_argument("--no-daemons", action="store_true")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON too, to standard output")
    arguments = parser.parse_args()
    random.seed(1)
    bench = Bench(arguments)
    asyncio.run(run(bench, arguments.only, not arguments.no_daemons))
    if arguments.json:
        print(json.dumps(bench.rows))


if __name__ == "__main__":
    main()
