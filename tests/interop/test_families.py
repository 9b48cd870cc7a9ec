"""Routes of VPNs, EVPN and FlowSpec between daemons, through a bgpipe that decodes each of them and makes it anew.

GoBGP announces, or FRR what it has heard of GoBGP; who is behind bgpipe must have the same routes as without it. A
policy in Python reads all routes and makes each message again from its JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from daemons import PORT, Daemon, Frr, GoBgp, Installed, Neighbor, wait_until
from processes import Bgpipe, Run

pytestmark = pytest.mark.interop
FAMILIES = ("ipv4-unicast", "l3vpn-ipv4-unicast", "l2vpn-evpn", "ipv4-flowspec")
SHORT = {"vpnv4": "l3vpn-ipv4-unicast", "evpn": "l2vpn-evpn", "ipv4-flowspec": "ipv4-flowspec"}
"""What the command gobgp calls families."""
ROUTES = (
    "10.1.0.0/24 label 100 rd 65101:1 rt 65101:1 nexthop 192.0.2.254 -a vpnv4",
    "10.2.0.0/16 label 200 rd 192.0.2.1:7 rt 65101:1 rt 65101:2 nexthop 192.0.2.254 -a vpnv4",
    "macadv aa:bb:cc:dd:ee:01 10.0.0.1 esi 0 etag 100 label 1000 rd 192.0.2.1:100 rt 65101:200 encap vxlan -a evpn",
    "macadv aa:bb:cc:dd:ee:02 0.0.0.0 esi 0 etag 100 label 1000 rd 192.0.2.1:100 rt 65101:200 encap vxlan -a evpn",
    "multicast 192.0.2.1 etag 100 rd 192.0.2.1:100 rt 65101:200 encap vxlan -a evpn",
    "prefix 10.3.0.0/24 gw 10.0.0.9 esi 0 etag 0 label 77 rd 192.0.2.1:100 rt 65101:200 encap vxlan -a evpn",
    "match destination 10.4.0.0/24 protocol tcp destination-port ==80 then rate-limit 10000 -a ipv4-flowspec",
    "match source 10.5.0.0/24 port >=1024&<=2048 tcp-flags =S then discard -a ipv4-flowspec",
)
POLICY = """
import json

def update(message):
    update = message.update
    [str(route.members) for route in update.routes]
    made = type(update).from_json(json.loads(update.format_json()), message.context)
    assert made == message.body, (made.hex(), message.body.hex())
    message.tags["routes"] = str(len(update.routes))
    shown = json.loads(update.format_json()).get("attrs", {}).get("MP_REACH", {}).get("value", {})
    if shown.get("nexthop", "").startswith("127."):
        message.update = update.replace(attrs={"MP_REACH": shown | {"nexthop": "192.0.2.254"}})
"""
"""GoBGP puts its own address in the place of next hops, and FRR refuses those in 127/8."""
LEFT_AS, RIGHT_AS = 65101, 65102


class GoBgpOfFamilies(GoBgp):
    """It announces ROUTES, if it is told to."""

    announces: tuple[str, ...] = ()

    def start(self) -> None:
        super().start()
        for route in self.announces:
            self.control("global", "rib", "add", *route.split())

    def tables(self) -> dict[str, Any]:
        """What it knows, by family and route: its path attributes, but for the AS path and the next hop."""
        found = {}
        for short in SHORT:
            text = self.control("global", "rib", "-a", short, "-j")
            for name, paths in (json.loads(text) if text.strip().startswith("{") else {}).items():
                attributes = [each for each in paths[0]["attrs"] if each["type"] in (16, 22)]
                found[short, name] = attributes
        return found


class FrrOfFamilies(Frr):
    def config(self) -> str:
        families = "".join(
            f" address-family {family}\n  neighbor {neighbor.address} activate\n exit-address-family\n"
            for family in ("ipv4 vpn", "l2vpn evpn", "ipv4 flowspec")
            for neighbor in self.neighbors
        )
        head, mark, rest = super().config().partition("route-map NH permit 10")
        return head + families + mark + rest

    def tables(self) -> str:
        """What it knows of the families, as it shows it."""
        shown = ("show bgp ipv4 vpn", "show bgp l2vpn evpn", "show bgp ipv4 flowspec detail")
        return "\n".join(self.control(command) for command in shown)


def proxy(run: Run, folder: Path, left: str, here: str, right: str) -> Bgpipe:
    policy = folder / "policy.py"
    policy.write_text(POLICY)
    started = run(
        *("-o", "--", "listen", "--allow", left, f"{here}:{PORT}", "--", "py", policy),
        *("--", "connect", "--bind", here, "--wait", "listen", "--retry", f"{right}:{PORT}"),
    )
    started.listens()
    return started


def start(daemon: Daemon, calls: str) -> None:
    daemon.start()
    wait_until(f"{daemon.name} is up", lambda: daemon.established(calls), 60)


@pytest.mark.parametrize("kind", [GoBgpOfFamilies, FrrOfFamilies])
def test_routes_pass_unchanged(installed: Installed, tmp_path: Path, run: Run, kind: type[Daemon]) -> None:
    net = "127.88.1" if kind is GoBgpOfFamilies else "127.88.2"
    left, here, right = f"{net}.1", f"{net}.3", f"{net}.2"
    passing = proxy(run, tmp_path, left, here, right)
    behind = kind(
        installed, tmp_path / "right", right, RIGHT_AS, [Neighbor(here, LEFT_AS, passive=True, families=FAMILIES)]
    )
    before = GoBgpOfFamilies(installed, tmp_path / "left", left, LEFT_AS, [Neighbor(here, RIGHT_AS, families=FAMILIES)])
    before.announces = ROUTES
    try:
        behind.start()
        start(before, here)
        assert len(before.tables()) == len(ROUTES)
        if isinstance(behind, GoBgpOfFamilies):
            wait_until("all routes are there", lambda: behind.tables().keys() == before.tables().keys(), 60)
            assert behind.tables() == before.tables()
        else:
            assert isinstance(behind, FrrOfFamilies)
            wanted = ("10.1.0.0/24", "10.2.0.0/16", "aa:bb:cc:dd:ee:01", "aa:bb:cc:dd:ee:02", "10.3.0.0", "10.4.0.0/24")
            wait_until("all routes are there", lambda: all(each in behind.tables() for each in wanted), 60)
        seen = [message for message in passing.messages("R", "UPDATE") if "routes" in message[5]]
        assert sum(int(message[5]["routes"]) for message in seen) >= len(ROUTES)
        shown = json.dumps([message[4] for message in seen])
        for part in ('"MAC_IP"', '"IP_PREFIX"', '"MULTICAST"', '"DST": "10.4.0.0/24"', '"labels": [100]', '"VXLAN"'):
            assert part in shown
        assert '"data"' not in shown
        assert "policy" not in passing.log or "ERR" not in passing.log
    finally:
        before.stop()
        behind.stop()


def test_routes_that_frr_announces_pass_unchanged(installed: Installed, tmp_path: Path, run: Run) -> None:
    """GoBGP tells FRR of them, and FRR announces them to another GoBGP: a bgpipe is in both sessions."""
    first, before_frr, frr, behind_frr, last = (f"127.88.3.{n}" for n in range(1, 6))
    end_as = 65103
    for name in ("one", "two", "first", "frr", "last"):
        (tmp_path / name).mkdir()
    proxy(run, tmp_path / "one", first, before_frr, frr)
    passing = proxy(run, tmp_path / "two", frr, behind_frr, last)
    neighbors = [Neighbor(before_frr, LEFT_AS, passive=True), Neighbor(behind_frr, end_as)]
    middle = FrrOfFamilies(installed, tmp_path / "frr", frr, RIGHT_AS, neighbors)
    called = Neighbor(behind_frr, RIGHT_AS, passive=True, families=FAMILIES)
    behind = GoBgpOfFamilies(installed, tmp_path / "last", last, end_as, [called])
    calling = Neighbor(before_frr, RIGHT_AS, families=FAMILIES)
    before = GoBgpOfFamilies(installed, tmp_path / "first", first, LEFT_AS, [calling])
    before.announces = ROUTES
    try:
        behind.start()
        middle.start()
        start(before, before_frr)
        wait_until("all routes are there", lambda: behind.tables().keys() == before.tables().keys(), 90)
        assert behind.tables() == before.tables()
        seen = [message for message in passing.messages("R", "UPDATE") if "routes" in message[5]]
        assert sum(int(message[5]["routes"]) for message in seen) >= len(ROUTES)
        shown = json.dumps([message[4] for message in seen])
        for part in ('"MAC_IP"', '"IP_PREFIX"', '"MULTICAST"', '"DST": "10.4.0.0/24"', '"VXLAN"'):
            assert part in shown
        assert '"data"' not in shown  # the labels are FRR's own: it is the next hop of what it passes on
    finally:
        before.stop()
        middle.stop()
        behind.stop()
