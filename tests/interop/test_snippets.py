"""What the route server tells people to put into their routers, put into those routers as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Bird, Daemon, Frr, Installed, OpenBgpd, inside, wait_until
from processes import add_namespace

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("ip"), reason="network namespaces need root, and the command ip"
    ),
]
SERVER, ROUTER = "10.66.0.1", "10.66.0.2"
SERVER_IPV6 = "fd66::1"
PREFIXES = {"11.1.0.0/24", "11.2.0.0/16", "2606:4700::/32"}
CONFIG = f"""
Bgp: {{Asn: 65000, RouterId: {SERVER}, NextHopIpv6: "{SERVER_IPV6}"}}
PrefixSources: [{{Name: cloud, Path: cloud.txt}}]
Peers: [{{Address: {ROUTER}, RemoteAsn: 65003, Lists: [cloud]}}]
"""
ASK = """
import json, sys, urllib.request
api = "http://127.0.0.1:5000/api/peers"
peer = json.load(urllib.request.urlopen(api))[0]["id"]
sys.stdout.write(urllib.request.urlopen(f"{api}/{peer}/setup/{sys.argv[1]}?{sys.argv[2]}").read().decode())
"""


class PastedBird(Bird):
    def config(self) -> str:
        return f"log stderr all;\nrouter id {self.address};\nprotocol device {{ }}\n{self.extra}"


class PastedFrr(Frr):
    def config(self) -> str:
        return f"{self.extra}router bgp {self.asn}\n bgp router-id {self.address}\n"  # which zebra would tell it


class PastedOpenBgpd(OpenBgpd):
    def config(self) -> str:
        common = f'fib-update no\nlisten on {self.address}\nsocket "{self.folder}/obgpd.sock"\n'
        return common + self.extra


@pytest.fixture
def link() -> Iterator[tuple[str, str]]:
    """Two network namespaces with a link between them: the server's and the router's."""
    server, router = names = tuple(f"snip{os.getpid()}{each}" for each in "sr")

    def ip(*words: str, namespace: str = "") -> None:
        subprocess.run([*inside(namespace), "ip", *words], capture_output=True, check=True)

    try:
        for name in names:
            add_namespace(name)
        ip("link", "add", "eth0", "netns", server, "type", "veth", "peer", "eth0", "netns", router)
        for name, number in ((server, 1), (router, 2)):
            ip("address", "add", f"10.66.0.{number}/24", "dev", "eth0", namespace=name)
            ip("address", "add", f"fd66::{number}/64", "dev", "eth0", "nodad", namespace=name)
            for device in ("lo", "eth0"):
                ip("link", "set", device, "up", namespace=name)
        yield server, router
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("bird", PastedBird), ("frr", PastedFrr), ("openbgpd", PastedOpenBgpd)],
    ids=lambda each: str(each),
)
def test_a_snippet_as_it_is(
    installed: Installed, tmp_path: Path, link: tuple[str, str], name: str, kind: type[Daemon]
) -> None:
    (tmp_path / "cloud.txt").write_text("\n".join(PREFIXES))
    (tmp_path / "appsettings.yml").write_text(CONFIG)
    with (tmp_path / "log").open("wb") as log:
        command = [*inside(link[0]), sys.executable, "-m", "bgpipe.routeserver"]
        server = subprocess.Popen(command, cwd=tmp_path, stderr=log)
    router = None
    try:
        wait_until("the API answers", lambda: "API on" in (tmp_path / "log").read_text())
        query = f"gateway={SERVER}&gateway6={SERVER_IPV6}&server={SERVER}"
        ask = [*inside(link[0]), sys.executable, "-c", ASK, name, query]
        snippet = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
        router = kind(installed, tmp_path / name, ROUTER, 65003, port=179, extra=snippet, namespace=link[1])
        router.start()
        wait_until(f"the routes are there:\n{snippet}", lambda: router.routes() == PREFIXES, 60)
    finally:
        if router is not None:
            router.stop()
        server.terminate()
        server.wait(10)
