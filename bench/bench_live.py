"""The live table: bgpipe between two peers on loopback, beside a plain TCP relay and what else is found.

    python bench/bench_live.py [--runs N] [--json] [--only TEXT] [--against FOLDER]

The peers are sockets of this process: one sends 325,000 real UPDATEs (of ../shared/data where it is, else of the
sample) as fast as they are taken, the other one waits for the last octet. A relay in Python that does nothing but
receive and send is the limit of such a measurement. The Go bgpipe runs beside ours as `bgpipe-go` on PATH or named by
BGPIPE_GO. Figures are medians of N runs, in which the tools take turns. It prints; a slow machine is not a failure.

FOLDER is a checkout of another version, with its compiled part built in place. It is measured beside this one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

import revalidation

import bgpipe
from bgpipe.wire import caps
from bgpipe.wire.attribute_edits import AttributeEditor, Edits, Prepend
from bgpipe.wire.caps import Capability
from bgpipe.wire.context import AS4
from bgpipe.wire.message import KEEPALIVE, OPEN, UPDATE, Message
from bgpipe.wire.open import Open
from bgpipe.wire.update import Update

HERE = Path(__file__).resolve().parent.parent
ARCHIVE = Path(os.environ.get("BGPIPE_SHARED", HERE.parent / "shared")) / "data" / "updates.20190101.0000.bz2"
COUNT = 325_000
HOST = "127.88.0.1"
GO = os.environ.get("BGPIPE_GO") or shutil.which("bgpipe-go")
IPV4, IPV6 = Capability(caps.MP, b"\0\1\0\1"), Capability(caps.MP, b"\0\2\0\1")
ALIVE = Message(KEEPALIVE).octets
SENTINEL = Message(UPDATE, Update.make(withdrawn=["203.0.113.0/24"]).body).octets
"""Comes last: stages may take out and edit what they like before it."""
POLICY = """
def update(m):
    m.update.origin_as, m.update.reach
"""
RELAY = """
import asyncio, sys
class Half(asyncio.Protocol):
    def __init__(self, other=None): self.other = other
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.other.transport.write(data)
async def main():
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    async def accept(reader, writer): pass
    class Left(Half):
        def connection_made(self, transport):
            self.transport = transport
            transport.pause_reading()
            asyncio.ensure_future(self.dial())
        async def dial(self):
            _, self.other = await loop.create_connection(lambda: Half(self), sys.argv[1], int(sys.argv[3]))
            self.transport.resume_reading()
        def connection_lost(self, error): done.set()
    await loop.create_server(Left, sys.argv[1], int(sys.argv[2]))
    await done.wait()
asyncio.run(main())
"""


@dataclass
class Figure:
    """One line of the table."""

    work: str
    tool: str
    value: float
    unit: str


def greeting(asn: int, hold_time: int = 90, number: int = 1) -> bytes:
    capabilities = (IPV4, IPV6, Capability(caps.AS4, asn.to_bytes(4, "big")))
    bgp_id = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return Message(OPEN, Open(asn if asn < 65536 else 23456, hold_time, bgp_id, capabilities).encode()).octets


LEFT_OPEN = greeting(65001)


def archive() -> Path:
    """The archive that the UPDATEs come from: a real one, or a sample."""
    if ARCHIVE.exists():
        return ARCHIVE
    folder = HERE / "build" / "bench" / "sample"
    subprocess.run([sys.executable, "-m", "bgpipe.sample", str(folder), "--messages", "60000"], check=True)
    return folder / "updates.mrt.gz"


def real_updates() -> list[bytes]:
    """UPDATEs with 4-octet AS numbers, as octets. Their paths begin with the AS of the peer that sends them."""
    path = archive()
    found = [
        m.octets for m in bgpipe.read(str(path)) if m.type == "UPDATE" and m.context.as4 and not m.context.add_path
    ]
    editor = AttributeEditor(Edits(prepend=(Prepend(65001, 1),)))
    found = [Message(UPDATE, editor.edit(octets[19:], AS4)).octets for octets in found]
    return (found * (COUNT // len(found) + 1))[:COUNT]


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


class Peers:
    """Two peers with something between them."""

    def __init__(self, process: subprocess.Popen[bytes], left: socket.socket, right: socket.socket) -> None:
        self.process = process
        self.left = left
        self.right = right

    def greet(self) -> None:
        """Opens the session, for which the left peer has sent its OPEN, and leaves nothing unread."""
        receive(self.right, len(LEFT_OPEN))
        octets = greeting(65002)
        self.right.sendall(octets)
        receive(self.left, len(octets))
        for one, other in ((self.left, self.right), (self.right, self.left)):
            one.sendall(ALIVE)
            receive(other, len(ALIVE))


def receive(peer: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        piece = peer.recv(count - len(octets))
        if not piece:
            raise ConnectionError("the connection was closed")
        octets += piece
    return octets


@contextmanager
def between(argv: list[str], outgoing: socket.socket, port: int, first: bytes = b"") -> Iterator[Peers]:
    """Starts what is to be between two peers: it listens on `port` and connects to `outgoing`, once the left peer has
    sent its OPEN, which is `first`."""
    null = subprocess.DEVNULL
    process = subprocess.Popen(argv, stdin=null, stdout=null, stderr=null)
    left = right = None
    try:
        deadline = time.monotonic() + 10
        while left is None:
            try:
                left = socket.create_connection((HOST, port))
                left.sendall(first or LEFT_OPEN)
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise ConnectionError(f"{argv[0]} does not listen") from None
                time.sleep(0.02)
        outgoing.settimeout(10)
        right, _ = outgoing.accept()
        for each in (left, right):
            each.settimeout(60)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Peers(process, left, right)
    finally:
        for opened in (left, right):
            if opened is not None:
                opened.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def version(folder: Path) -> list[str]:
    """How the version of a checkout is started."""
    return ["env", f"PYTHONPATH={folder.resolve() / 'src'}", sys.executable, "-m", "bgpipe"]


def command(tool: list[str], port: int, out: int, *stages: str, options: tuple[str, ...] = ()) -> list[str]:
    middle = [word for stage in stages for word in ("--", *stage.split(" "))]
    ends = ["listen", f"{HOST}:{port}"], ["connect", "--wait", "listen", f"{HOST}:{out}"]
    return [*tool, *options, "--", *ends[0], *middle, "--", *ends[1]]


def throughput(argv: list[str], port: int, outgoing: socket.socket, octets: bytes) -> float:
    """Seconds from the first octet sent to the last one received."""
    with between(argv, outgoing, port) as peers:
        peers.greet()
        start = time.perf_counter()
        sender = threading.Thread(target=peers.left.sendall, args=(octets + SENTINEL,), daemon=True)
        sender.start()
        tail = b""
        while tail != SENTINEL:
            piece = peers.right.recv(1 << 20)
            if not piece:
                raise ConnectionError("the connection was closed")
            tail = (tail + piece)[-len(SENTINEL) :] if len(piece) < len(SENTINEL) else piece[-len(SENTINEL) :]
        seconds = time.perf_counter() - start
        sender.join()
    return seconds


def delays(peers: Peers | None, updates: list[bytes], count: int = 600, rate: int = 200) -> list[float]:
    """Milliseconds from sending to receiving, of single UPDATEs; without `peers` over a direct connection."""
    if peers is None:
        with socket.create_server((HOST, 0)) as server:
            left = socket.create_connection(server.getsockname())
            right, _ = server.accept()
            left.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        left, right = peers.left, peers.right
    found = []
    for number in range(count):
        update = updates[number]
        start = time.perf_counter()
        left.sendall(update)
        receive(right, len(update))
        now = time.perf_counter()
        found.append((now - start) * 1000)
        time.sleep(max(0.0, 1 / rate - (now - start)))
    if peers is None:
        left.close()
        right.close()
    return found


def percentiles(found: list[float]) -> tuple[float, float]:
    """The 50th and the 99th."""
    cuts = quantiles(found, n=100)
    return cuts[49], cuts[98]


def resident(process: subprocess.Popen[bytes]) -> int:
    """Octets of resident memory."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    return 0


def many_sessions(
    name: str, tool: list[str], count: int = 200, prefixes: int = 1000, hold_time: int = 3, seconds: float = 12.0
) -> list[Figure]:
    """Sessions side by side that announce at the same time, with the shortest hold time that there is."""
    port = free_port()
    outgoing = socket.create_server((HOST, 0), backlog=count)
    window = f"{HOST}:{free_port()}"
    words = [*tool, "--http", window, "--http-open", "--", "listen", "--many", f"{HOST}:{port}", "--", "connect"]
    argv = [*words, "-W", "listen", f"{HOST}:{outgoing.getsockname()[1]}"]
    pairs: list[tuple[socket.socket, socket.socket]] = []
    with between(argv, outgoing, port, greeting(65001, hold_time, count)) as first:
        before = resident(first.process)
        pairs.append((first.left, first.right))
        for _ in range(count - 1):
            left = socket.create_connection((HOST, port))
            left.sendall(greeting(65001, hold_time, len(pairs)))
            pairs.append((left, outgoing.accept()[0]))
        for _, right in pairs:
            right.sendall(greeting(65002, hold_time))
        for left, right in pairs:
            left.sendall(ALIVE)
            right.sendall(ALIVE)
            receive(left, len(greeting(65002, hold_time)) + len(ALIVE))
            receive(right, len(greeting(65001, hold_time)) + len(ALIVE))
        idle = (resident(first.process) - before) / count
        octets = b"".join(
            Message(
                UPDATE,
                Update.make(
                    reach=[f"10.{n >> 8}.{n & 255}.0/24"],
                    attrs={"ORIGIN": "IGP", "ASPATH": [65001, 64512 + n % 500], "NEXTHOP": "192.0.2.1"},
                ).body,
            ).octets
            for n in range(prefixes)
        )
        gap, expired = exchange(pairs, octets, hold_time, seconds)
        lag = loop_lag(window)
        for left, right in pairs[1:]:
            left.close()
            right.close()
    outgoing.close()
    work = f"{count} sessions, {prefixes} prefixes each, hold time {hold_time} s"
    return [
        Figure(work + ": expired", name, expired, ""),
        Figure(work + ": longest gap between KEEPALIVEs", name, gap, "s"),
        Figure(work + ": event loop lag, p99: at most", name, lag * 1000, "ms"),
        Figure(work + ": memory of an idle session", name, idle / 1024, "KiB"),
    ]


def loop_lag(window: str) -> float:
    """Seconds that 99 % of the looks at the event loop found it late at most; the bound of a bucket."""
    with urllib.request.urlopen(f"http://{window}/metrics") as answer:
        text = answer.read().decode()
    buckets = re.findall(r'bgpipe_loop_lag_seconds_bucket\{le="(.+?)"\} (\d+)', text)
    counts = [(float(bound), int(count)) for bound, count in buckets]
    return next(bound for bound, count in counts if count >= 0.99 * counts[-1][1])


def exchange(
    pairs: list[tuple[socket.socket, socket.socket]], octets: bytes, hold_time: int, seconds: float
) -> tuple[float, int]:
    """All left peers announce, all send a KEEPALIVE each second; (longest silence at any peer, how many expired)."""
    import selectors

    selector = selectors.DefaultSelector()
    peers = [peer for pair in pairs for peer in pair]
    heard = {peer: time.monotonic() for peer in peers}
    for peer in peers:
        peer.setblocking(False)
        selector.register(peer, selectors.EVENT_READ)
    waiting = {left: memoryview(octets) for left, _ in pairs}
    start = last = time.monotonic()
    longest, expired = 0.0, 0
    while (now := time.monotonic()) < start + seconds:
        if now - last >= 1.0:
            last = now
            for peer in peers:
                if not waiting.get(peer):
                    peer.send(ALIVE)
        for peer in [peer for peer, rest in waiting.items() if rest]:
            try:
                waiting[peer] = waiting[peer][peer.send(waiting[peer]) :]
            except BlockingIOError:
                continue
        for key, _ in selector.select(0.05):
            reader = key.fileobj
            assert isinstance(reader, socket.socket)
            if not reader.recv(1 << 20):
                expired += 1
                selector.unregister(reader)
                continue
            now = time.monotonic()
            longest = max(longest, now - heard[reader])
            heard[reader] = now
    selector.close()
    for peer in peers:
        peer.setblocking(True)
    return longest, expired


def table_memory(name: str, tool: list[str], octets: bytes) -> Figure:
    """How much memory a full table needs on its way, above an idle session."""
    port = free_port()
    with socket.create_server((HOST, 0)) as outgoing:
        argv = command(tool, port, outgoing.getsockname()[1])
        with between(argv, outgoing, port) as peers:
            peers.greet()
            before = resident(peers.process)
            sender = threading.Thread(target=peers.left.sendall, args=(octets,), daemon=True)
            sender.start()
            left, most, buffer = len(octets), before, bytearray(1 << 18)
            while left > 0:
                left -= peers.right.recv_into(buffer)
                most = max(most, resident(peers.process))
            sender.join()
    return Figure("a full table on its way, above idle", name, (most - before) / (1 << 20), "MiB")


def rows(policy: str, folder: Path, station: int) -> list[tuple[str, list[str], tuple[str, ...]]]:
    """(work, stages between, options). folder: for lists and VRPs. station: the port of a BMP station."""
    prefixes, vrps = folder / "prefixes.txt", folder / "vrps.json"
    prefixes.write_text("0.0.0.0/0 le 32\n::/0 le 128\n")
    subprocess.run(
        [sys.executable, str(HERE / "bench" / "rpki_data.py"), str(archive()), "500000", str(vrps)], check=True
    )
    limit4 = "limit -LR --ipv4 --min-length 8 --max-length 24 --session 1000000"
    limit6 = "limit -LR --ipv6 --min-length 16 --max-length 48 --session 250000"
    return [
        ("nothing between", [], ()),
        ("-o to /dev/null", [], ("-o",)),
        ("drop 'as_origin == 4200000001'", ["drop as_origin==4200000001"], ()),
        ("limit -LR, both families", [limit4, limit6], ()),
        ("update -R", ["update -R --prepend 65000*3 --med 50 --add-com 65000:666 --drop-com 65535:*"], ()),
        ("otc -LR, from a provider", ["otc -LR --role provider"], ()),
        ("rov -R, 500,000 VRPs", ["rov -R"], ("--rpki", str(vrps))),
        ("rov -R --revalidate=false", ["rov -R --revalidate=false"], ("--rpki", str(vrps))),
        ("aspa -R, 50,000 ASPAs", ["aspa -R --role provider"], ("--rpki", str(vrps))),
        ("aspa -R --revalidate=false", ["aspa -R --role provider --revalidate=false"], ("--rpki", str(vrps))),
        ("guard -R", ["guard -R"], ()),
        ("guard -R, which keeps routes for a list", [f"guard -R --prefixes {prefixes}"], ()),
        ("exec -LR cat", ["exec -LR cat"], ()),
        ("bmp --send, to a station that reads", [f"bmp -LR --send {HOST}:{station}"], ()),
        ("py policy that reads origin and prefixes", [f"py -LR {policy}"], ()),
    ]


Tools = dict[str, list[str]]
"""How each tool is started, by its name."""


def compare_throughput(
    work: str, commands: Callable[[str, int, int], list[str]], tools: Iterable[str], runs: int, octets: bytes
) -> Iterator[Figure]:
    """The rates of the tools, which take turns. commands: how a tool is started."""
    seconds: dict[str, list[float]] = {name: [] for name in tools}
    with socket.create_server((HOST, 0)) as outgoing:
        out = int(outgoing.getsockname()[1])
        for _ in range(runs):
            for name in list(seconds):
                port = free_port()
                argv = commands(name, port, out)
                try:
                    seconds[name].append(throughput(argv, port, outgoing, octets))
                except OSError as error:
                    print(f"{work}: {name}: {error}", file=sys.stderr)
                    del seconds[name]
    for name, found in seconds.items():
        if found:
            yield Figure(work, name, COUNT / median(found), "UPDATE/s")


def compare_latency(tools: Tools, runs: int, updates: list[bytes], options: tuple[str, ...] = ()) -> Iterator[Figure]:
    """What a relay and the tools, which take turns, add to a direct connection."""
    found: dict[str, list[list[float]]] = {"limit: plain TCP relay": [], **{name: [] for name in tools}}
    with socket.create_server((HOST, 0)) as outgoing:
        out = int(outgoing.getsockname()[1])
        for _ in range(runs):
            for name, added in found.items():
                port = free_port()
                argv = command(tools[name], port, out, options=options) if name in tools else relay(port, out)
                direct = percentiles(delays(None, updates))
                with between(argv, outgoing, port) as peers:
                    peers.greet()
                    through = percentiles(delays(peers, updates))
                added.append([one - other for one, other in zip(through, direct, strict=True)])
    work = " ".join(("added latency at 200 UPDATE/s", *options))
    limit = found["limit: plain TCP relay"]
    for name, added in found.items():
        for place, word in enumerate(("p50", "p99")):
            yield Figure(f"{work}, {word}", name, median(run[place] for run in added), "ms")
            if added is not limit:
                more = [run[place] - relayed[place] for run, relayed in zip(added, limit, strict=True)]
                yield Figure(f"{work}, {word}, beyond the relay of the same run", name, median(more), "ms")


def relay(port: int, out: int) -> list[str]:
    return [sys.executable, "-c", RELAY, HOST, str(port), str(out)]


def reading_station() -> int:
    """The port of a BMP station that reads and forgets, in a thread."""
    listening = socket.create_server((HOST, 0))

    def read(connection: socket.socket) -> None:
        with connection:
            while connection.recv(1 << 20):
                pass

    def serve() -> None:
        while True:
            threading.Thread(target=read, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return int(listening.getsockname()[1])


def while_vrps_change(runs: int, ours: Tools) -> Iterator[Figure]:
    """See revalidation.py."""
    octets = revalidation.routes()
    found: dict[tuple[str, str, str], list[float]] = {}
    tools = [*ours, *(["BIRD"] if revalidation.BIRD else [])]
    for _ in range(runs):
        for name in tools:
            cache = revalidation.Cache(HOST)
            try:
                with between_routers(ours.get(name), cache) as (process, left, right):
                    cache.told.wait(30)
                    time.sleep(1.0)
                    rows = revalidation.measure(process, left, revalidation.Router(right), cache, octets)
                    for work, value, unit in rows:
                        found.setdefault((work, name, unit), []).append(value)
            except OSError as error:
                print(f"VRPs change: {name}: {error}", file=sys.stderr)
            finally:
                cache.close()
    for (work, name, unit), values in found.items():
        yield Figure(work, name, median(values), unit)


@contextmanager
def between_routers(
    tool: list[str] | None, cache: revalidation.Cache
) -> Iterator[tuple[int, socket.socket, socket.socket]]:
    """The number of a process with `rov`, and both its peers; tool: None for BIRD."""
    if tool is None:
        hosts = (HOST, "127.88.0.3", "127.88.0.4")
        with revalidation.beside_bird(cache, hosts, (LEFT_OPEN, greeting(65002, number=2))) as (process, left, right):
            yield process.pid, left, right
        return
    host, rtr = cache.place
    port = free_port()
    with socket.create_server((HOST, 0)) as outgoing:
        argv = command(tool, port, outgoing.getsockname()[1], "rov -R", options=("--rpki", f"{host}:{rtr}"))
        with between(argv, outgoing, port) as peers:
            peers.greet()
            yield peers.process.pid, peers.left, peers.right


def measure(runs: int, only: str, tools: Tools) -> Iterator[Figure]:
    updates = real_updates()
    octets = b"".join(updates)
    ours = {name: tool for name, tool in tools.items() if name != "Go bgpipe"}
    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder) / "policy.py"
        policy.write_text(POLICY)
        if only in "plain TCP relay":
            limit = "plain TCP relay"
            yield from compare_throughput(limit, lambda _, port, out: relay(port, out), ["limit"], runs, octets)
        for work, stages, options in rows(str(policy), Path(folder), reading_station()):
            if only not in work:
                continue
            takes = ours if work.startswith(("py policy", "guard", "bmp")) else tools

            def commands(
                name: str, port: int, out: int, stages: list[str] = stages, options: tuple[str, ...] = options
            ) -> list[str]:
                return command(tools[name], port, out, *stages, options=options)

            yield from compare_throughput(work, commands, takes, runs, octets)
        if only in "added latency":
            for flags in (), ("-o",):
                yield from compare_latency(tools, runs, updates, flags)
    if only in "VRPs change":
        yield from while_vrps_change(runs, ours)
    for name, tool in ours.items():
        if only in "sessions":
            yield from many_sessions(name, tool)
        if only in "full table":
            yield table_memory(name, tool, octets)


def main() -> None:
    parser = argparse.ArgumentParser(description="the live table")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="only work whose name holds this text")
    parser.add_argument("--against", type=Path, help="a checkout of another version, to be measured beside this one")
    arguments = parser.parse_args()
    tools = {"bgpipe": version(HERE)}
    if arguments.against:
        tools[f"bgpipe of {arguments.against.resolve().name}"] = version(arguments.against)
    if GO:
        tools["Go bgpipe"] = [GO]
    for figure in measure(max(1, arguments.runs), arguments.only, tools):
        if arguments.json:
            print(json.dumps(asdict(figure)), flush=True)
        else:
            value = f"{figure.value:,.0f}" if figure.value >= 100 else f"{figure.value:.3g}"
            print(f"{figure.work:74} {figure.tool:24} {value:>12} {figure.unit}", flush=True)


if __name__ == "__main__":
    main()
