"""A session of many routes while VRPs change: rows of the live table (see bench_live.py).

1,000,000 routes stand behind `rov`, which has 125,000 VRPs of an RTR cache, one for eight routes each. Then 1,000 of
them change, twice: 8,000 routes become invalid, and valid again. At last a VRP for 0.0.0.0/0 comes, so that all routes
are judged again, and one of them becomes invalid. Seconds are from the first octet of the cache to the last UPDATE.
BIRD is measured beside ours as `bird` on PATH or named by BGPIPE_BIRD. It keeps an import table, since it would ask the
router for its routes again otherwise, and waits for its settle time, which is made as short as it can be.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from bgpipe.rpki.rtr_pdu import PduType
from bgpipe.wire.message import HEADER, KEEPALIVE, UPDATE, Message
from bgpipe.wire.prefix import Prefix
from bgpipe.wire.update import Update

ROUTES: Final = 1_000_000
PER_VRP: Final = 8
PER_UPDATE: Final = 5
CHANGED: Final = 1_000
ORIGIN: Final = 64999
OTHER: Final = 64998
FIRST: Final = 1 << 24
"""The address of the first /24."""
LAST: Final = Prefix(1, 99 << 24, 24)
"""A route that no VRP is about, but that of 0.0.0.0/0."""
SESSION: Final = 4711
VERSION: Final = 1
BIRD: Final = os.environ.get("BGPIPE_BIRD") or shutil.which("bird")
BIRD_CONF: Final = """
router id 192.0.2.99;
roa4 table r4;
protocol device {{}}
protocol rpki cache {{ roa4 {{ table r4; }}; remote {host} port {cache}; retry 1; }}
ipv4 table t;
template bgp both {{
  local {bird} as 65099; multihop; connect retry time 1; error wait time 1, 2;
  ipv4 {{ table t; import table on; next hop keep;
    import filter {{ if roa_check(r4, net, bgp_path.last) = ROA_INVALID then reject; accept; }}; export all;
    rpki reload on; }};
}}
protocol bgp left from both {{ neighbor {left} port {left_port} as 65001; }}
protocol bgp right from both {{ neighbor {right} port {right_port} as 65002; }}
"""


def vrp_pdu(prefix: Prefix, longest: int, asn: int, announce: bool = True) -> bytes:
    flags, address = int(announce), prefix.address.to_bytes(4, "big")
    return struct.pack(
        ">BBHIBBBB4sI", VERSION, PduType.IPV4_PREFIX, 0, 20, flags, prefix.length, longest, 0, address, asn
    )


def vrp(number: int, asn: int, announce: bool = True) -> bytes:
    """The VRP of eight routes."""
    return vrp_pdu(Prefix(1, FIRST + (number * PER_VRP << 8), 21), 24, asn, announce)


class Cache:
    """An RTR cache that tells everything, then what `change` is called with."""

    def __init__(self, host: str) -> None:
        self._listening = socket.create_server((host, 0))
        self.place: tuple[str, int] = (host, int(self._listening.getsockname()[1]))
        self._all = b"".join(vrp(number, ORIGIN) for number in range(ROUTES // PER_VRP))
        self._serial = 1
        self._delta = b""
        self._routers: list[socket.socket] = []
        self.told = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def change(self, pdus: bytes) -> None:
        self._serial += 1
        self._delta = pdus
        for router in self._routers:
            router.sendall(struct.pack(">BBHII", VERSION, PduType.SERIAL_NOTIFY, SESSION, 12, self._serial))

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        try:
            while True:
                router, _ = self._listening.accept()
                self._routers = [router]
                threading.Thread(target=self._answer, args=(router,), daemon=True).start()
        except OSError:
            return

    def _answer(self, router: socket.socket) -> None:
        with router, router.makefile("rb") as octets:
            while len(head := octets.read(8)) == 8:
                version, kind, _, length = struct.unpack(">BBHI", head)
                octets.read(length - 8)
                if version != VERSION:
                    text = struct.pack(">BBHIII", VERSION, PduType.ERROR_REPORT, 4, 16, 0, 0)
                    router.sendall(text)
                    return
                if kind in (PduType.RESET_QUERY, PduType.SERIAL_QUERY):
                    data = self._all if kind == PduType.RESET_QUERY else self._delta
                    start = struct.pack(">BBHI", VERSION, PduType.CACHE_RESPONSE, SESSION, 8)
                    timers = (self._serial, 3600, 600, 7200)
                    end = struct.pack(">BBHIIIII", VERSION, PduType.END_OF_DATA, SESSION, 24, *timers)
                    router.sendall(start + data + end)
                    self.told.set()


def routes() -> bytes:
    """UPDATEs with all routes, those of each with a path of their own; at the end the route of no VRP."""
    head = b"\xff" * 16 + struct.pack(">HBHH", 19 + 4 + 32 + 4 * PER_UPDATE, UPDATE, 0, 32)
    origin, hop = bytes.fromhex("40010100"), bytes.fromhex("400304c0000201")
    made = []
    for number in range(0, ROUTES, PER_UPDATE):
        path = struct.pack(">BBBBBIIII", 0x40, 2, 18, 2, 4, 65001, 100_000 + number // PER_UPDATE, 3356, ORIGIN)
        nlri = b"".join(struct.pack(">I", 24 << 24 | (FIRST >> 8) + number + place) for place in range(PER_UPDATE))
        made.append(head + origin + path + hop + nlri)
    attrs: dict[str | int, Any] = {"ORIGIN": "IGP", "ASPATH": [65001, ORIGIN]}
    last = Update.make(reach=[str(LAST)], attrs=attrs, next_hop="192.0.2.1")
    return b"".join((*made, Message(UPDATE, last.body).octets))


class Router:
    """A peer that counts what it is told, and keeps its session alive."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.withdrawn = self.announced = 0
        self.last_heard = time.perf_counter()
        self.longest = 0.0
        """seconds for which it heard nothing"""
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        octets = b""
        while piece := self._receive():
            octets += piece
            place = 0
            with self.changed:
                while len(octets) - place >= HEADER:
                    end = place + int.from_bytes(octets[place + 16 : place + 18], "big")
                    if end > len(octets):
                        break
                    if octets[place + 18] == UPDATE:
                        self._count(octets[place + HEADER : end])
                    place = end
                now = time.perf_counter()
                self.longest, self.last_heard = max(self.longest, now - self.last_heard), now
                self.changed.notify_all()
            octets = octets[place:]

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(1 << 20)
        except OSError:
            return b""

    def _count(self, body: bytes) -> None:
        """Prefixes of IPv4: all are /24."""
        withdrawn = int.from_bytes(body[:2], "big")
        attributes = int.from_bytes(body[2 + withdrawn : 4 + withdrawn], "big")
        self.withdrawn += withdrawn // 4
        self.announced += (len(body) - 4 - withdrawn - attributes) // 4

    def wait(self, withdrawn: int, announced: int, seconds: float = 120) -> float:
        """The time at which it had heard so much."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.withdrawn >= withdrawn and self.announced >= announced, seconds):
                raise TimeoutError(f"{self.withdrawn} withdrawn, {self.announced} announced")
            return self.last_heard


Rows = Iterator[tuple[str, float, str]]


def measure(process: int, left: socket.socket, router: Router, cache: Cache, octets: bytes) -> Rows:
    """(work, value, unit) of each row, with the session up. process: its number, whose memory counts."""
    rng = random.Random(1)
    before = resident(process)
    threading.Thread(target=left.sendall, args=(octets,), daemon=True).start()
    router.wait(0, ROUTES + 1)
    time.sleep(1.0)
    yield "memory of 1,000,000 routes that may be judged again, each", (resident(process) - before) / ROUTES, "octets"
    changed = rng.sample(range(ROUTES // PER_VRP), CHANGED)
    for asn, old in ((OTHER, ORIGIN), (ORIGIN, OTHER)):
        pdus = b"".join(vrp(number, old, False) + vrp(number, asn) for number in changed)
        withdrawn, announced = router.withdrawn, router.announced
        router.longest = 0.0
        start = time.perf_counter()
        cache.change(pdus)
        many = CHANGED * PER_VRP
        end = router.wait(withdrawn + many, announced) if asn == OTHER else router.wait(withdrawn, announced + many)
        work = "withdrawn" if asn == OTHER else "announced again"
        yield f"1,000 of 125,000 VRPs change under 1,000,000 routes: 8,000 {work}", end - start, "s"
    start, withdrawn = time.perf_counter(), router.withdrawn
    cache.change(vrp_pdu(Prefix(1, 0, 0), 0, 0))
    yield "a VRP for 0.0.0.0/0: 1,000,000 routes are judged again", router.wait(withdrawn + 1, 0) - start, "s"


def resident(process: int) -> int:
    """Octets of memory, without what is shared with other processes."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


@contextmanager
def beside_bird(cache: Cache, hosts: tuple[str, str, str], opens: tuple[bytes, bytes]) -> Iterator[tuple[Any, ...]]:
    """BIRD between two peers: (its process, the left peer, the right peer). hosts: its address, and those of the peers.
    opens: what the peers say first."""
    assert BIRD is not None
    with ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server((host, 0))) for host in hosts[1:]]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = dict(zip(("left_port", "right_port"), (each.getsockname()[1] for each in listening), strict=True))
        names = dict(zip(("bird", "left", "right"), hosts, strict=True))
        host, port = cache.place
        (folder / "bird.conf").write_text(BIRD_CONF.format(host=host, cache=port, **ports, **names))
        words = [BIRD, "-f", "-c", str(folder / "bird.conf"), "-s", str(folder / "ctl")]
        null = subprocess.DEVNULL
        process = stack.enter_context(subprocess.Popen(words, stdin=null, stdout=null, stderr=null))
        stack.callback(process.kill)
        peers = []
        for each, said in zip(listening, opens, strict=True):
            each.settimeout(30)
            peer = stack.enter_context(each.accept()[0])
            peer.sendall(said)
            peer.settimeout(60)
            head = _exactly(peer, HEADER)
            _exactly(peer, int.from_bytes(head[16:18], "big") - HEADER)
            peer.sendall(Message(KEEPALIVE).octets)
            peers.append(peer)
        yield (process, *peers)


def _exactly(peer: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count and (piece := peer.recv(count - len(octets))):
        octets += piece
    return octets
