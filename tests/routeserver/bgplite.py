"""What tests of the route server are made of: the command in a process of its own, and clients that keep what they
are told in a table, as a router does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from peers import ALIVE, IPV4, IPV6, Peer, another_id, kind, place, wait_until

import fork_server
from bgpipe.formats.json import JsonEncoder
from bgpipe.stages.speaker import end_of_rib
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.family import Family
from bgpipe.wire.message import HEADER, KEEPALIVE, OPEN, UPDATE, Message
from bgpipe.wire.open import AS_TRANS, Open
from fork_server import Process

ROUTE_REFRESH = Capability(caps.ROUTE_REFRESH)
ENHANCED = Capability(caps.ENHANCED_ROUTE_REFRESH)
GRACEFUL = Capability(caps.GRACEFUL_RESTART, b"\0\x78\0\1\1\x80")
_clients = count(2)


def as4(asn: int) -> Capability:
    return Capability(caps.AS4, asn.to_bytes(4, "big"))


class Client:
    """A router that has called the route server. routes: what it has, by prefix: the path attributes as JSON has them.

    withdrawn: all prefixes that were ever withdrawn. updates: how many UPDATEs came.
    """

    def __init__(self, peer: Peer, asn: int) -> None:
        self.peer = peer
        self.asn = asn
        self.routes: dict[str, dict[str, Any]] = {}
        self.withdrawn: list[str] = []
        self.updates = 0
        self.ended: set[Family] = set()
        self.marks: list[int] = []
        self.open: Open | None = None
        self.last = b""

    def hear(self, seconds: float = 20.0) -> bytes:
        """Takes the next message into the table; b"" when the connection has ended."""
        message = self.last = self.peer.hear(seconds)
        if message:
            self._note(message)
        return message

    def hear_so_far(self) -> None:
        """Takes all messages that have come into the table."""
        for message in self.peer.hear_so_far():
            self._note(message)

    def _note(self, message: bytes) -> None:
        if kind(message) == OPEN:
            self.open = Open.decode(message[HEADER:])
        elif kind(message) == UPDATE:
            self._take(message)
        elif kind(message) == 5:
            self.marks.append(message[HEADER + 2])

    def _take(self, octets: bytes) -> None:
        message = Message(UPDATE, octets[HEADER:])
        if family := end_of_rib(message):
            self.ended.add(family)
            return
        self.updates += 1
        update = message.update
        attributes = json.loads(JsonEncoder().encode_message(message))[4].get("attrs", {})
        for prefix in update.withdrawn:
            self.withdrawn.append(str(prefix))
            self.routes.pop(str(prefix), None)
        for prefix in update.reach:
            self.routes[str(prefix)] = attributes

    def until(self, what: str, happened: Any, seconds: float = 20.0) -> None:
        """Hears until something is so."""
        while not happened():
            assert self.hear(seconds), f"the connection has ended before: {what}"

    def until_complete(self, families: int = 2) -> None:
        """Hears until the End-of-RIB of so many families is there."""
        self.until("End-of-RIB", lambda: len(self.ended) >= families)

    def refresh(self, afi: int = 1) -> None:
        self.peer.say(Message(5, bytes((0, afi, 0, 1))).octets)


class BgpLite:
    """The running command. folder: where its configuration and its state are."""

    def __init__(self, folder: Path, process: Process, address: tuple[str, int], api: int) -> None:
        self.folder = folder
        self.process = process
        self.clients: list[Client] = []
        self.address = address
        self.api_port = api

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def waits_for_log(self, text: str) -> None:
        wait_until(f"{text!r} in the log:\n{self.log}", lambda: text in self.log or self.process.poll() is not None)
        assert text in self.log, self.log

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status and the JSON, or text, of an answer of the API."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        request = urllib.request.Request(
            f"http://{self.address[0]}:{self.api_port}{path}", data=data, method=method, headers=sent
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status = answer.status
                endless = answer.headers.get_content_type() == "text/event-stream"
                text = "" if endless else answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def get(self, path: str) -> Any:
        status, shown = self.call("GET", path)
        assert status == 200, shown
        return shown

    def headers(self, method: str, path: str) -> Any:
        """The headers of an answer."""
        request = urllib.request.Request(f"http://{self.address[0]}:{self.api_port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.headers

    def octets(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://{self.address[0]}:{self.api_port}{path}", timeout=20) as answer:
            found: bytes = answer.read()
            return found

    def client(
        self, asn: int = 65003, *capabilities: Capability, source: str = "", offers: bool = True, bgp_id: str = ""
    ) -> Client:
        """A client that has a session, from an address of its own. offers: some capabilities, IPv4 and IPv6 among them
        if none are named."""
        source = source or f"127.201.{next(_clients) // 250}.{next(_clients) % 250 + 1}"
        offered = capabilities or (IPV4, IPV6, ROUTE_REFRESH, as4(asn))
        opened = Open(asn if asn <= 0xFFFF else AS_TRANS, 90, bgp_id or another_id(), offered if offers else ())
        peer = Peer(socket.create_connection(self.address, timeout=20, source_address=(source, 0)))
        client = Client(peer, asn)
        self.clients.append(client)
        peer.say(Message(OPEN, opened.encode()).octets)
        while kind(client.hear() or bytes(19)) not in (KEEPALIVE, 0, 3):
            pass
        peer.say(ALIVE)
        return client

    def write(self, name: str, prefixes: Iterable[str]) -> None:
        """Writes a list file."""
        new = self.folder / f"{name}.new"
        new.write_text("".join(f"{prefix}\n" for prefix in prefixes))
        new.replace(self.folder / name)

    def shell(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One of the commands that ask a running server."""
        return command(*words, BGPLITE_API=f"http://{self.address[0]}:{self.api_port}", **environment)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


def command(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    code, out, err = fork_server.run(words, command="bgplite", env=os.environ | environment)
    return subprocess.CompletedProcess(words, code, out.decode(), err.decode())


def configuration(address: tuple[str, int], api: int, more: str = "", bgp: str = "") -> str:
    return (
        f"Bgp:\n  Asn: 65000\n  RouterId: 10.99.0.1\n  NextHopIpv6: 2001:db8::1\n  Port: {address[1]}\n"
        f"  Listen: [{address[0]}]\n  MaxAcceptsPerIpPerMinute: 0\n{bgp}ApiListen: {address[0]}\nApiPort: {api}\n{more}"
    )


@contextmanager
def bgplite(
    folder: Path,
    more: str = "",
    *,
    bgp: str = "",
    environment: dict[str, str] | None = None,
    at: tuple[tuple[str, int], int] | None = None,
) -> Iterator[BgpLite]:
    """The command, running. more, bgp: lines of its configuration, at the top and under Bgp. at: its address, and the
    port of its API, if they are to be those of one before."""
    address, api = at or (place(), 0)
    api = api or address[1] + 1000
    config = folder / "appsettings.yml"
    config.write_text(configuration(address, api, more, bgp))
    with (folder / "log").open("wb") as log:
        process = Process(
            [config],
            command="bgplite",
            cwd=folder,
            stderr=log,
            env=os.environ | {"BGPLITE_DATA": str(folder / "data")} | (environment or {}),
        )
    running = BgpLite(folder, process, address, api)
    try:
        running.waits_for_log("API on")
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for client in running.clients:
            client.peer.close()
    assert "Traceback" not in running.log, running.log
    assert "unexpected" not in running.log, running.log
