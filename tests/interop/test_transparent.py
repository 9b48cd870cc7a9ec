"""Two routers with bgpipe on the path between them, which neither knows of: --transparent in network namespaces.

    left 10.77.1.2 ---- 10.77.1.1 middle 10.77.2.1 ---- 10.77.2.2 right

The routers are neighbours of each other, over the router in the middle, whose kernel hands their TCP to bgpipe.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from daemons import Bird, Installed, Neighbor, inside, wait_until
from processes import Run, add_namespace

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("ip"), reason="network namespaces need root, and the command ip"
    ),
]
LEFT_AS, RIGHT_AS = 65101, 65102
LEFT, RIGHT = ["198.51.100.0/24", "2001:db8:100::/48"], ["203.0.113.0/24", "2001:db8:200::/48"]
PATH = {
    4: ("10.77.1.2", "10.77.1.1", "10.77.2.1", "10.77.2.2", 24),
    6: ("2001:db8:77:1::2", "2001:db8:77:1::1", "2001:db8:77:2::1", "2001:db8:77:2::2", 64),
}


def ip(*words: object, namespace: str = "") -> None:
    done = subprocess.run([*inside(namespace), "ip", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {words}: {done.stderr}"


def sysctl(namespace: str, *settings: str) -> None:
    subprocess.run([*inside(namespace), "sysctl", "-q", "-w", *settings], check=True, capture_output=True)


@pytest.fixture
def middle() -> Iterator[str]:
    """The namespace in the middle; those of the routers have `l` and `r` for its `m`."""
    name = f"bgpipe{os.getpid()}"
    left, here, right = (f"{name}{letter}" for letter in "lmr")
    add_namespace(left)
    try:
        for namespace in (left, here, right):
            if namespace != left:
                ip("netns", "add", namespace)
            sysctl(namespace, "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
            ip("link", "set", "lo", "up", namespace=namespace)
        for namespace, link in ((left, "toleft"), (right, "toright")):
            ip("link", "add", link, "netns", here, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            ip("link", "set", "eth0", "up", namespace=namespace)
            ip("link", "set", link, "up", namespace=here)
        for version, (one, near, far, other, length) in PATH.items():
            family = f"-{version}"
            for namespace, link, address, gateway in ((left, "eth0", one, near), (right, "eth0", other, far)):
                ip(family, "address", "add", f"{address}/{length}", "dev", link, namespace=namespace)
                ip(family, "route", "add", "default", "via", gateway, namespace=namespace)
            ip(family, "address", "add", f"{near}/{length}", "dev", "toleft", namespace=here)
            ip(family, "address", "add", f"{far}/{length}", "dev", "toright", namespace=here)
            for link in ("toleft", "toright"):
                for port in ("dport", "sport"):
                    ip(family, "rule", "add", "iif", link, "ipproto", "tcp", port, 179, "lookup", 100, namespace=here)
            ip(family, "route", "add", "local", "default", "dev", "lo", "table", 100, namespace=here)
        sysctl(here, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        yield here
    finally:
        for namespace in (left, here, right):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)


@pytest.mark.parametrize(("version", "key"), [(4, ""), (4, "solarwinds123"), (6, "solarwinds123")])
def test_routers_that_do_not_know(
    installed: Installed, tmp_path, run: Run, middle: str, version: int, key: str
) -> None:
    one, _, _, other, _ = PATH[version]
    signed = ("--md5", key) if key else ()
    anywhere = "[::]" if version == 6 else "0.0.0.0"
    passing = run(
        *("-o", "--", "listen", "--transparent", *signed, ":179"),
        *("--", "connect", "--transparent", *signed, "--ttl", "255", "--wait", "listen", anywhere),
        namespace=middle,
    )
    passing.listens()
    options = {"port": 179, "password": key}
    left_peer = Neighbor(other, RIGHT_AS, **options)
    right_peer = Neighbor(one, LEFT_AS, passive=True, ttl_security=True, **options)  # which is what --ttl 255 is for
    names = {side: f"{middle[:-1]}{side[0]}" for side in ("left", "right")}
    right = Bird(
        installed, tmp_path / "right", other, RIGHT_AS, [right_peer], RIGHT, port=179, namespace=names["right"]
    )
    left = Bird(installed, tmp_path / "left", one, LEFT_AS, [left_peer], LEFT, port=179, namespace=names["left"])
    try:
        right.start()
        left.start()
        for daemon, neighbor, prefixes in ((left, other, RIGHT), (right, one, LEFT)):
            wait_until(f"{daemon.folder.name} is up", lambda: daemon.established(neighbor))  # noqa: B023
            wait_until(f"{daemon.folder.name} has all", lambda: set(prefixes) <= daemon.routes())  # noqa: B023
        assert set(LEFT) <= passing.prefixes("R"), "it went through bgpipe"
        assert set(RIGHT) <= passing.prefixes("L")
        assert f"remote={'[' + one + ']' if version == 6 else one}:" in passing.log
    finally:
        left.stop()
        right.stop()


@pytest.mark.parametrize("caller", ["left", "right"])
def test_the_left_router_stays_at_the_left(installed: Installed, tmp_path, run: Run, middle: str, caller: str) -> None:
    """With --left-is, -L and -R mean the same routers, whichever of them calls."""
    one, _, _, other, _ = PATH[4]
    passing = run(
        *("-o", "--", "listen", "--transparent", "--again", "--left-is", one, ":179"),
        *("--", "connect", "--transparent", "--wait", "listen", "0.0.0.0"),
        namespace=middle,
    )
    passing.listens()
    sides = {"left": (one, LEFT_AS, LEFT, other, RIGHT_AS), "right": (other, RIGHT_AS, RIGHT, one, LEFT_AS)}
    daemons = {}
    for side, (address, asn, prefixes, neighbor, neighbor_as) in sides.items():
        peer = Neighbor(neighbor, neighbor_as, port=179, passive=side != caller)
        namespace = f"{middle[:-1]}{side[0]}"
        daemons[side] = Bird(installed, tmp_path / side, address, asn, [peer], prefixes, port=179, namespace=namespace)
    try:
        for side in sorted(daemons, key=lambda side: side == caller):
            daemons[side].start()
        for side, wanted in (("left", RIGHT), ("right", LEFT)):
            wait_until(f"{side} has all", lambda: set(wanted[:1]) <= daemons[side].routes())  # noqa: B023
        assert set(LEFT[:1]) <= passing.prefixes("R"), "what the left router announces travels to the right"
        assert set(RIGHT[:1]) <= passing.prefixes("L")
    finally:
        for daemon in daemons.values():
            daemon.stop()
