"""bgplite under peers that come and go and lists that change, for as long as one wants.

    python tests/routeserver/soak.py --minutes 480

Each round some peers come, some go without a word, lists change, the API is written to, and peers ask for all routes
again. At the end everybody must hold what the API says, and the process must have no more memory, descriptors and
threads than after the first rounds.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [
    str(Path(__file__).parent),
    str(Path(__file__).parent.parent / "live"),
    str(Path(__file__).parent.parent),
]

from bgplite import BgpLite, Client, bgplite  # noqa: E402
from peers import wait_until  # noqa: E402

LISTS = ("one", "two", "three")
CONFIG = "DefaultPrefixSource: one\nPrefixSources:\n" + "".join(
    f"  - {{Name: {name}, Path: {name}.txt, MaxShrink: 1, MaxGrowth: 10000, Community: '65000:{place}'}}\n"
    for place, name in enumerate(LISTS)
)
PEERS = 12
WARM = 5
"""Rounds before memory is looked at for the first time."""
MEMORY = 1.3
"""How much more memory there may be at the end, as a factor."""
SPARE = 20
"""MB, descriptors and threads that may come and go."""


class Figures:
    """Of a process: memory in MB, open descriptors, threads."""

    def __init__(self, pid: int) -> None:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        self.memory = next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))
        self.descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        self.threads = len(list(Path(f"/proc/{pid}/task").iterdir()))

    def __str__(self) -> str:
        return f"{self.memory} MB, {self.descriptors} descriptors, {self.threads} threads"


class Soak:
    def __init__(self, server: BgpLite, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.clients: dict[int, Client] = {}

    def address(self, number: int) -> str:
        return f"127.66.0.{number + 1}"

    def write_lists(self) -> None:
        for name in LISTS:
            count = self.random.randrange(500, 3000)
            numbers = self.random.sample(range(1 << 16), count)
            self.server.write(f"{name}.txt", (f"11.{each >> 8}.{each & 255}.0/24" for each in numbers))

    def subscribe(self, number: int) -> None:
        chosen = self.random.sample(LISTS, self.random.randrange(1, len(LISTS) + 1))
        body = {"ip": self.address(number), "asn": 65003, "lists": chosen}
        body["customPrefixes"] = [f"5.{number}.{self.random.randrange(256)}.0/24"]
        body["exclude"] = [f"11.{self.random.randrange(256)}.0.0/16"]
        status, shown = self.server.call("POST", "/api/peers", body)
        assert status == 200, shown

    def round(self) -> None:
        for number in self.random.sample(range(PEERS), 4):
            client = self.clients.pop(number, None)
            if client is None:
                self.clients[number] = self.server.client(source=self.address(number), bgp_id=f"10.66.0.{number + 1}")
            else:
                client.peer.close()
                self.server.clients.remove(client)
        self.subscribe(self.random.randrange(PEERS))
        self.write_lists()
        for client in self.clients.values():
            client.refresh()
            client.peer.say(self.alive)
        self.settle()

    alive = b"\xff" * 16 + b"\0\x13\4"

    def settle(self) -> None:
        """Waits until everybody holds what the API says."""
        wait_until("lists are read", self._lists_read)
        peers = {(each["ip"], each["asn"]): each["id"] for each in self.server.get("/api/peers")}
        for number, client in self.clients.items():
            id = peers[self.address(number), 65003]

            def equal(client: Client = client, id: str = id) -> bool:
                wanted = self.server.get(f"/api/peers/{id}/prefixes?format=json")
                client.hear_so_far()
                assert not client.peer.ended, "a session has ended"
                return bool(client.routes.keys() == set(wanted))

            wait_until(f"the table of {self.address(number)}", equal, 60)

    def _lists_read(self) -> bool:
        found = self.server.get("/api/sources")
        files = {name: len((self.server.folder / f"{name}.txt").read_text().split()) for name in LISTS}
        return all(not each["error"] and each["prefixes"] == files[each["name"]] for each in found)


def soak(folder: Path, seconds: float, seed: int = 1, tell: Callable[[str], object] = lambda text: None) -> None:
    """Raises AssertionError where something grows, or somebody holds something else than it should."""
    for name in LISTS:
        (folder / f"{name}.txt").write_text("11.0.0.0/24\n")
    with bgplite(folder, CONFIG) as server:
        run = Soak(server, seed)
        for number in range(PEERS):
            run.subscribe(number)
        end, rounds, first = time.monotonic() + seconds, 0, None
        while time.monotonic() < end or rounds < 2 * WARM:
            run.round()
            rounds += 1
            figures = Figures(server.process.pid)
            if rounds == WARM:
                first = figures
            if rounds % 10 == 0:
                tell(f"round {rounds}: {figures}")
        last = Figures(server.process.pid)
        assert first is not None
        tell(f"{rounds} rounds: {first} at first, {last} at last")
        assert last.memory <= first.memory * MEMORY + SPARE
        assert last.descriptors <= first.descriptors + SPARE
        assert last.threads <= first.threads + SPARE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak(Path(folder), arguments.minutes * 60, arguments.seed, lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
