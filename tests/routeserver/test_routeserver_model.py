"""The running server under random changes: after each one, every client holds what the policy says of what was written,
worked out anew by a second, slow implementation, and nothing was withdrawn that it is to have."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from bgplite import BgpLite, Client, as4, bgplite
from peers import IPV4, IPV6, wait_until
from slow_policy import policy, told

from bgpipe.routes.attributes import Attributes, UpdateGroup
from bgpipe.routes.policy import Common, Custom, Guards, PrefixList, Subscription
from bgpipe.routes.prefixes import PrefixSet
from bgpipe.wire.communities import parse_any_community

NAMES = ("a", "b", "c")
COMMUNITIES = ("65000:1", "65000:2", "65535:666", "no-export", "65000:0:7")
WITNESS = "127.67.0.9"
"""A peer that always has all lists, and shows that what was written of them is read."""
PEERS = ("127.67.0.1", "127.67.0.2")
GROUPS = ("", "one", "two")
EXCLUDED = "10.0.0.77/32"
CONFIG = f"""\
Exclude: [{EXCLUDED}]
DefaultPrefixSource: a
CustomPrefixCommunity: "65000:100"
Defaults: {{AddCommunities: ["65000:9"]}}
PrefixSources:
  - {{Name: a, Path: a.txt, MaxShrink: 1}}
  - {{Name: b, Path: b.txt, MaxShrink: 1, Community: "65000:1", Med: 5}}
  - {{Name: c, Path: c.txt, MaxShrink: 1, AddCommunities: ["65000:0:7", "65535:666"], Prepends: 2, NextHop: 192.0.2.66}}
"""
LISTS = {
    "a": Attributes(),
    "b": Attributes(frozenset({65000 << 16 | 1}), med=5),
    "c": Attributes(frozenset({65535 << 16 | 666}), frozenset({(65000, 0, 7)}), prepends=2, next_hop_ipv4="192.0.2.66"),
}
FORM = UpdateGroup(65000, "10.99.0.1", "2001:db8::1")


class Model:
    """What was written, and what follows from that."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lists: dict[str, set[str]] = {name: self.some(12) for name in NAMES}
        self.groups: dict[str, dict[str, Any]] = {name: {} for name in GROUPS}
        self.peers: dict[str, dict[str, Any]] = {ip: {} for ip in (*PEERS, WITNESS)}

    def some(self, most: int) -> set[str]:
        """Prefixes that lie close together, of both families; at least one."""
        found = set()
        for _ in range(self.random.randint(1, most)):
            if self.random.random() < 0.2:
                length = self.random.randint(124, 128)
                low = self.random.randrange(16) >> 128 - length << 128 - length
                found.add(f"2001:470::{low:x}/{length}" if low else f"2001:470::/{length}")
            else:
                length = self.random.randint(25, 32)
                low = self.random.randrange(256) >> 32 - length << 32 - length
                found.add(f"10.0.0.{low}/{length}")
        return found

    def said(self, *, lists: bool = True) -> dict[str, Any]:
        """Some fields of a peer or a group, as a request has them."""
        pick, rare = self.random.sample, lambda: self.random.random() < 0.4
        fields: dict[str, Any] = {"lists": pick(NAMES, self.random.randint(0, 3))} if lists else {}
        if rare():
            fields["exclude"] = sorted(self.some(2))
        if rare():
            fields["communities"] = pick(COMMUNITIES, 2)
        if rare():
            fields["addCommunities"] = pick(COMMUNITIES, self.random.randint(1, 2))
        if rare():
            fields["med"] = self.random.choice([0, 7])
        if rare():
            fields["prepends"] = self.random.choice([0, 1])
        if rare():
            fields["union"] = self.random.random() < 0.5
        if rare():
            fields |= {"minLengthIpv4": self.random.choice([1, 26, 28]), "maxLengthIpv4": self.random.choice([30, 32])}
        return fields

    def customs(self) -> list[str | dict[str, Any]]:
        found: list[str | dict[str, Any]] = []
        for prefix in sorted(self.some(3)):
            kind = self.random.randrange(3)
            more = {"communities": self.random.sample(COMMUNITIES, 1), "med": 3} if kind == 1 else {"prepends": 1}
            found.append({"prefix": prefix} | more if kind else prefix)
        return found

    # what follows

    def routes(self, ip: str) -> dict[str, dict[str, Any]]:
        """What the client at an address is to hold."""
        subscription = self.subscription(ip)
        common = Common(PrefixSet.parse([EXCLUDED]), default="a")
        lists = {name: PrefixList(name, PrefixSet.parse(self.lists[name]), LISTS[name]) for name in NAMES}
        return told(policy(subscription, lists, common), FORM)

    def subscription(self, ip: str) -> Subscription:
        peer = self.peers[ip]
        levels = [peer, self.groups[peer.get("group", "")], {"addCommunities": ["65000:9"]}]

        def first(name: str, otherwise: Any = None) -> Any:
            return next((level[name] for level in levels if level.get(name) not in (None, [])), otherwise)

        def all_of(name: str) -> list[str]:
            return [each for level in levels for each in level.get(name, ())]

        customs = []
        for each in peer.get("customPrefixes", ()):
            entry = {"prefix": each} if isinstance(each, str) else each
            communities = entry.get("communities") or ["65000:100"]
            said = attributes(communities, entry.get("med"), entry.get("prepends"))
            customs.append(Custom(PrefixSet.parse([entry["prefix"]]), said))
        wanted = attributes(first("communities", []))
        return Subscription(
            tuple(first("lists", [])),
            tuple(customs),
            PrefixSet.parse(all_of("exclude")),
            Guards(first("minLengthIpv4", 1), first("maxLengthIpv4", 32)),
            wanted.communities | wanted.large_communities,
            attributes=attributes(all_of("addCommunities"), first("med"), first("prepends")),
            union=first("union", True),
        )


def attributes(communities: list[str], med: int | None = None, prepends: int | None = None) -> Attributes:
    found = [parse_any_community(each) for each in communities]
    standard = frozenset(value for kind, value in found if kind == "standard")
    large = frozenset(value for kind, value in found if kind == "large")
    return Attributes(standard, large, frozenset(), med, prepends)


class Run:
    """A model, and the server that is told the same."""

    def __init__(self, server: BgpLite, model: Model) -> None:
        self.server = server
        self.model = model
        self.ids: dict[str, str] = {}
        self.clients: dict[str, Client] = {}
        self.steps: tuple[Callable[[], None], ...] = (
            *(self.write, self.write, self.write_two, self.replace, self.replace, self.change, self.regroup),
            *(self.refresh, self.come_again),
        )

    def call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        status, shown = self.server.call(method, path, body)
        assert status == 200, (body, shown)
        found: dict[str, Any] = shown
        return found

    def begin(self) -> None:
        for name in GROUPS[1:]:
            self.call("POST", "/api/groups", {"name": name})
        for ip in (*PEERS, WITNESS):
            self.subscribe(ip, {"lists": list(NAMES), "union": False})
            self.come(ip)
            self.settle(ip, self.clients[ip], self.model.routes(ip))

    def come(self, ip: str) -> None:
        bgp_id = ip.replace("127", "10")
        client = self.server.client(65003, IPV4, IPV6, as4(65003), source=ip, bgp_id=bgp_id)
        self.clients[ip] = client

    def subscribe(self, ip: str, fields: dict[str, Any]) -> None:
        self.model.peers[ip] = fields
        self.ids[ip] = self.call("POST", "/api/peers", {"ip": ip, "asn": 65003} | fields)["id"]

    # the steps

    def write(self) -> None:
        name = self.model.random.choice(NAMES)
        self.model.lists[name] = self.model.some(12)
        self.server.write(f"{name}.txt", sorted(self.model.lists[name]))
        self.server.call("POST", f"/api/sources/{name}/refresh", {})

    def write_two(self) -> None:
        self.write()
        self.write()

    def replace(self) -> None:
        """A peer, whatever was said of it before."""
        fields = self.model.said() | {"group": self.model.random.choice(GROUPS)}
        fields |= {"customPrefixes": self.model.customs()} if self.model.random.random() < 0.5 else {}
        ip = self.model.random.choice(PEERS)
        before = {name: [] for name in ("exclude", "communities", "addCommunities")}
        self.subscribe(ip, before | fields)

    def change(self) -> None:
        """Some of what is said of a peer."""
        ip = self.model.random.choice(PEERS)
        fields = self.model.said(lists=False)
        self.model.peers[ip] = self.model.peers[ip] | fields
        self.call("PUT", f"/api/peers/{self.ids[ip]}", fields)

    def regroup(self) -> None:
        name = self.model.random.choice(GROUPS[1:])
        fields = self.model.said()
        self.model.groups[name] = self.model.groups[name] | fields
        self.call("PUT", f"/api/groups/{name}", fields)

    def refresh(self) -> None:
        client = self.clients[self.model.random.choice(PEERS)]
        client.refresh(self.model.random.choice([1, 2]))

    def come_again(self) -> None:
        ip = self.model.random.choice(PEERS)
        old = self.clients[ip]
        old.peer.close()
        self.server.clients.remove(old)
        self.come(ip)

    # what must be so

    def step(self) -> str:
        chosen = self.model.random.choice(self.steps)
        before = {ip: (client, dict(client.routes), len(client.withdrawn)) for ip, client in self.clients.items()}
        chosen()
        for ip, client in self.clients.items():
            wanted = self.model.routes(ip)
            self.settle(ip, client, wanted)
            same, routes, seen = before[ip]
            if same is client and chosen != self.write_two:  # the second list may be read a little later
                gone = set(client.withdrawn[seen:])
                meant = routes.keys() - wanted.keys()
                assert gone <= meant, f"{ip}: {chosen.__name__} withdraws {gone - meant}"
        return chosen.__name__

    def settle(self, ip: str, client: Client, wanted: dict[str, dict[str, Any]]) -> None:
        def equal() -> bool:
            client.hear_so_far()
            return {prefix: shown(found) for prefix, found in client.routes.items()} == wanted

        try:
            wait_until("the table", equal, 20)
        except AssertionError:
            held = {prefix: shown(found) for prefix, found in client.routes.items()}
            wrong = {each for each in held.keys() & wanted.keys() if held[each] != wanted[each]}
            raise AssertionError(
                f"{ip} holds more: {held.keys() - wanted.keys()}, lacks: {wanted.keys() - held.keys()}, "
                f"others: {[(each, held[each], wanted[each]) for each in wrong]}, of {self.model.subscription(ip)}"
            ) from None


def shown(found: dict[str, Any]) -> dict[str, Any]:
    """Path attributes in JSON, as slow_policy.told has them."""

    def value(name: str, otherwise: Any) -> Any:
        return found[name]["value"] if name in found else otherwise

    hop = value("NEXTHOP", None) or value("MP_REACH", {}).get("nexthop")
    return {
        "communities": set(value("COMMUNITY", ())),
        "large_communities": set(value("LARGE_COMMUNITY", ())),
        "med": value("MED", None),
        "path": tuple(value("ASPATH", ())),
        "next_hop": hop,
    }


def run(folder, seed: int, steps: int) -> None:
    model = Model(seed)
    for name in NAMES:
        (folder / f"{name}.txt").write_text("\n".join(sorted(model.lists[name])))
    with bgplite(folder, CONFIG, bgp="  Settle: 0.01\n") as server:
        wait_until("the lists are read", lambda: server.call("GET", "/readyz")[0] == 200)
        found = Run(server, model)
        found.begin()
        done: list[str] = []
        for _ in range(steps):
            try:
                done.append(found.step())
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, after {done}: {error}") from None


def test_some_changes(tmp_path):
    run(tmp_path, 1, 25)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 4))
def test_many_changes(tmp_path, seed):
    run(tmp_path, seed, 120)
