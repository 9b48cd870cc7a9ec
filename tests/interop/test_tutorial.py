"""The tutorial for two routers (docs/tutorial-routers.md) as it is written: its picture in network namespaces, its
configurations of BIRD and FRR, its commands and its policy."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Bird, Frr, Installed, inside, wait_until
from processes import Run, add_namespace

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("ip"), reason="network namespaces need root, and the command ip"
    ),
]
PAGE = (Path(__file__).resolve().parent.parent.parent / "docs/tutorial-routers.md").read_text()
BLOCK = re.compile(r"^```(\w+)(?: title=\"[^\"]+\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LEFT, RIGHT = "203.0.113.0/24", "10.99.0.0/16"


def block(language: str, *parts: str) -> str:
    """The first block of the page in a language that has all these parts."""
    return next(text for kind, text in BLOCK.findall(PAGE) if kind == language and all(part in text for part in parts))


class RouterA(Bird):
    """As the page configures BIRD, with a route to announce."""

    def config(self) -> str:
        head = f"log stderr all;\nrouter id {self.address};\nprotocol device {{ }}\n"
        return head + f"protocol static {{ ipv4; route {LEFT} blackhole; }}\n" + block("text", "protocol bgp")


class RouterB(Frr):
    """As the page configures FRR, but as router B: with the other AS numbers and addresses, and passive."""

    def config(self) -> str:
        text = block("text", "router bgp").replace("65001", "A").replace("65002", "65001").replace("A", "65002")
        text = text.replace("192.0.2.9", "198.51.100.9") + " neighbor 198.51.100.9 passive\n"
        text += " bgp router-id 198.51.100.2\n"  # where there is no zebra that knows the addresses
        return text + f" no bgp network import-check\n address-family ipv4 unicast\n  network {RIGHT}\n"


def ip(*words: str, namespace: str = "") -> None:
    subprocess.run([*inside(namespace), "ip", *words], capture_output=True, check=True)


@pytest.fixture
def picture() -> Iterator[dict[str, str]]:
    """Network namespaces by what the picture of the page has: a, bgpipe, b."""
    names = {each: f"tutor{os.getpid()}{each[:2]}" for each in ("a", "bgpipe", "b")}
    add_namespace(names["a"])
    try:
        for each in ("bgpipe", "b"):
            ip("netns", "add", names[each])
        for router, address, middle in (
            ("a", "192.0.2.1/24", "192.0.2.9/24"),
            ("b", "198.51.100.2/24", "198.51.100.9/24"),
        ):
            link, namespace = f"to{router}", names[router]
            ip("link", "add", link, "netns", names["bgpipe"], "type", "veth", "peer", "eth0", "netns", namespace)
            for where, device, place in ((namespace, "eth0", address), (names["bgpipe"], link, middle)):
                ip("address", "add", place, "dev", device, namespace=where)
                ip("link", "set", device, "up", namespace=where)
        yield names
    finally:
        for name in names.values():
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@pytest.mark.parametrize(("step", "reachable"), [("-o -- listen :179 -- connect", False), ("py -LR nexthop.py", True)])
def test_two_routers(
    installed: Installed, tmp_path, monkeypatch, run: Run, picture: dict[str, str], step: str, reachable: bool
) -> None:
    (tmp_path / "nexthop.py").write_text(block("python", "next_hop"))
    monkeypatch.chdir(tmp_path)
    line = next(line for line in block("sh", step).splitlines() if step in line)
    passing = run(*shlex.split(line.removeprefix("$ bgpipe")), namespace=picture["bgpipe"])
    passing.listens()
    right = RouterB(installed, tmp_path / "b", "198.51.100.2", 65002, port=179, namespace=picture["b"])
    left = RouterA(installed, tmp_path / "a", "192.0.2.1", 65001, port=179, namespace=picture["a"])
    try:
        right.start()
        left.start()
        wait_until("A has the route of B", lambda: RIGHT in left.control("show", "route", RIGHT))
        assert "Established" in left.control("show", "protocols", "b")
        shown = left.control("show", "route", RIGHT)
        assert ("via 192.0.2.9" in shown) is reachable
        assert ("unreachable" in shown) is not reachable
        assert "ESTABLISHED" in passing.log
    finally:
        left.stop()
        right.stop()
