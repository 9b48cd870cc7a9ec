"""Who a peer is that has called: known by its address, by a network, or by the key that it has come in by."""

from __future__ import annotations

import socket

import msgspec
import pytest
from bgplite import bgplite, command
from peers import ALIVE, Peer, greeting, kind, place, wait_until

from bgpipe.net.acceptor import Acceptor
from bgpipe.net.tcp import TcpOptions, ao_id_of, parse_networks, set_md5
from bgpipe.routeserver import admission
from bgpipe.routeserver.admission import Admission, Entrance
from bgpipe.routeserver.config import Bgp, Config, ConfiguredPeer, Listener
from bgpipe.routeserver.configured_peers import PeerRegistry
from bgpipe.routeserver.keys import Key, joined
from bgpipe.routeserver.peers import Peers, new_peer
from bgpipe.stages.listen import GREETING
from bgpipe.wire.message import NOTIFICATION, OPEN
from bgpipe.wire.open import Open

HOMES = Listener(address="192.0.2.1", port=1790, md5_key="sesame", group="homes")
PLAIN = Listener(address="192.0.2.1")
LISTS = "PrefixSources:\n  - {Name: a, Path: a.txt}\n  - {Name: b, Path: b.txt}\nDefaultPrefixSource: a\n"


def signed(place, source: str, key: str) -> socket.socket:
    """A connection, signed with a key. Raises TimeoutError where nobody takes it."""
    made = socket.socket()
    made.settimeout(20 if key == "sesame" else 1)
    made.bind((source, 0))
    if key:
        set_md5(made, key, parse_networks([place[0]])[0])
    try:
        made.connect(place)
    except BaseException:
        made.close()
        raise
    return made


def test_a_listener_with_a_key_tells_who_its_peers_are(tmp_path):
    """Its key stands in a file; peers by it are known as long as they have a session, also where strangers are not
    let in."""
    (tmp_path / "a.txt").write_text("1.0.0.0/24\n")
    (tmp_path / "b.txt").write_text("1.1.0.0/24\n")
    (tmp_path / "key").write_text("sesame\n")
    address = place()
    keyed = (address[0], address[1] + 1)
    bgp = (
        "  UnknownPeers: reject\n"
        f"  Listeners: [{{Address: {address[0]}, Port: {keyed[1]}, Md5Key: {tmp_path}/key, Group: homes}}]\n"
    )
    groups = "Groups: [{Name: homes, Lists: [b]}]\n"
    with bgplite(tmp_path, LISTS + groups, bgp=bgp, at=(address, address[1] + 1000)) as server:
        stranger = server.client(65003, source="127.88.0.1")
        assert kind(stranger.last) == NOTIFICATION
        with pytest.raises(TimeoutError):
            signed(keyed, "127.88.0.2", "")
        home = Peer(signed(keyed, "127.88.0.2", "sesame"))
        home.say(greeting(65003, bgp_id="192.0.2.7"), ALIVE)
        assert kind(home.hear()) == OPEN
        wait_until("it is up", lambda: server.get("/api/sessions")["active"] == 1)
        [peer] = server.get("/api/peers")
        assert (peer["ip"], peer["group"], peer["owner"]) == ("127.88.0.2", "homes", "config")
        assert server.get(f"/api/peers/{peer['id']}/prefixes?format=json") == ["1.1.0.0/24"]
        status, said = server.call("PUT", f"/api/peers/{peer['id']}", {"lists": ["a"]})
        assert (status, f"known by the listener {keyed[0]}:{keyed[1]} only" in said["error"]) == (409, True)
        # the same router without the key is a stranger, and its session by the key goes on
        again = server.client(65003, source="127.88.0.2", bgp_id="192.0.2.7")
        assert kind(again.last) == NOTIFICATION
        assert b"known by another key" in again.last
        assert server.get("/api/sessions")["active"] == 1
        home.close()
        wait_until("it is forgotten", lambda: server.get("/api/peers") == [])


async def test_the_key_of_a_listener_comes_back_when_another_one_for_all_goes():
    acceptor = Acceptor("127.0.0.1", place()[1], TcpOptions(md5="sesame"), (), Quiet(), GREETING)
    await acceptor.open()
    try:
        where = acceptor._place
        everybody = parse_networks(["0.0.0.0/0"])[0]
        acceptor.sign(everybody, "other")
        with pytest.raises(TimeoutError):
            signed(where, "127.0.0.1", "wrong")
        acceptor.sign(everybody, "")
        with pytest.raises(TimeoutError):
            signed(where, "127.0.0.1", "")
        signed(where, "127.0.0.1", "sesame").close()
    finally:
        await acceptor.close()


class Quiet:
    def info(self, text, **fields):
        pass


# the rules, without sockets


class Rules:
    """An admission and what it has to work with."""

    def __init__(self, *peers: ConfiguredPeer, unknown: str = "reject", listeners=(HOMES,)) -> None:
        self.peers = Peers()
        self.registry = PeerRegistry(self.peers)
        self.peers.listen(listeners)
        self.new: list[str] = []
        self.configure(*peers)
        self.admission = Admission(self.peers, lambda: unknown, lambda peer: self.new.append(peer.ip))

    def configure(self, *peers: ConfiguredPeer) -> list[str]:
        config = Config(bgp=Bgp(asn=65000, router_id="192.0.2.1"), peers=peers)
        return [each.ip for each in self.registry.configure(config)]

    def admit(self, host: str, asn: int = 65003, listener: Listener = PLAIN, **how) -> str:
        """The group of the peer, or why it may not come in."""
        found = self.admission.admit(host, Open(asn, 90, "192.0.2.7"), Entrance(listener, **how))
        return found if isinstance(found, str) else found.group or "-"


def network(ao: str = "", group: str = "", asn: int = 0, address: str = "0.0.0.0/0") -> ConfiguredPeer:
    return ConfiguredPeer(address=address, remote_asn=asn, ao_key=ao, group=group)


def test_whose_key_it_is():
    rules = Rules()
    assert rules.admit("198.51.100.1") == "AS65003 at 198.51.100.1 is no peer of this route server: register it first"
    assert rules.admit("198.51.100.1", listener=HOMES) == "homes"
    # one with a key of its own has come in by that, and not by the key of the listener
    assert "is no peer" in rules.admit("198.51.100.2", listener=HOMES, own=Key(md5="own"))
    assert rules.new == []


def test_a_listener_that_changes():
    rules = Rules()
    assert rules.admit("198.51.100.1", listener=HOMES) == "homes"
    rules.peers.listen([msgspec.structs.replace(HOMES, group="offices")])
    assert rules.configure() == []
    assert [each.group for each in rules.peers] == ["offices"]
    rules.peers.listen([msgspec.structs.replace(HOMES, md5_key="other")])  # those with the old key are strangers
    assert rules.configure() == ["198.51.100.1"]
    assert len(rules.peers) == 0


def test_a_listener_without_a_key_or_a_group_makes_nobody_known():
    without = msgspec.structs.replace(HOMES, md5_key="")
    nothing = msgspec.structs.replace(HOMES, group="")
    for listener in (without, nothing):
        assert "is no peer" in Rules(listeners=(listener,)).admit("198.51.100.1", listener=listener)
    rules = Rules(listeners=(without,), unknown="pending")
    assert rules.admit("198.51.100.1", listener=without) == "homes"
    assert (rules.new, [each.status for each in rules.peers]) == (["198.51.100.1"], ["pending"])


def test_who_calls_with_any_as_number_leaves_little_behind(monkeypatch):
    monkeypatch.setattr(admission, "MAX_STRANGERS", 3)
    rules = Rules(unknown="default")
    said = [rules.admit("198.51.100.1", asn) for asn in range(65001, 65006)]
    assert said[:3] == ["-", "-", "-"]
    assert said[3] == (
        "AS65004 at 198.51.100.1 is no peer of this route server, and 3 at this address are: register it first"
    )
    assert (rules.admit("198.51.100.1", 65002), rules.admit("198.51.100.2", 65005)) == ("-", "-")
    assert len(rules.new) == len(rules.peers) == 4


def test_a_barred_network_leaves_nothing_behind():
    rules = Rules(network("", "first"))
    rules.registry.put(msgspec.structs.replace(new_peer("198.51.100.0/24", 0), status="barred"))
    assert "is barred" in rules.admit("198.51.100.1")
    assert len(rules.peers) == 0
    assert rules.admit("198.51.101.1") == "first"


def test_a_listener_with_a_key_of_tcp_ao():
    listener = msgspec.structs.replace(HOMES, md5_key="", ao_key="5:sesame")
    rules = Rules(listeners=(listener,))
    assert rules.admit("198.51.100.1", listener=listener, ao=5) == "homes"
    assert "is no peer" in rules.admit("198.51.100.2", listener=listener)
    assert "is no peer" in rules.admit("198.51.100.3", listener=listener, ao=5, own=Key(ao="5:own"))
    assert "known by another key" in rules.admit("198.51.100.1", listener=listener, ao=6, own=Key(ao="6:own"))


def test_networks_are_told_apart_by_the_ids_of_their_keys():
    rules = Rules(network("1:a", "first"), network("2:b", "second"), network("3:c", "third", 65009))
    assert [rules.admit(f"198.51.100.{ao}", ao=ao) for ao in (1, 2)] == ["first", "second"]
    assert "is no peer" in rules.admit("198.51.100.3", ao=3)  # another AS number
    assert rules.admit("198.51.100.3", 65009, ao=3) == "third"
    assert "is no peer" in rules.admit("198.51.100.4")
    assert "known by another key" in rules.admit("198.51.100.1", ao=2)
    before = {each.ip: each.template for each in rules.peers}
    # a key more, and one less: who is known by what is left stays what it is
    assert rules.configure(network("2:b", "second"), network("1:a", "first"), network("3:c", "third", 65009)) == []
    assert {each.ip: (each.template, each.group) for each in rules.peers} == {
        ip: (before[ip], group)
        for ip, group in (("198.51.100.1", "first"), ("198.51.100.2", "second"), ("198.51.100.3", "third"))
    }


def test_a_peer_with_a_key_of_tcp_ao_is_not_the_one_beside_it():
    """Behind one address, each with its own key: the kernel takes both keys, and the id says whose it is."""
    one = ConfiguredPeer(address="192.0.2.9", remote_asn=65001, ao_key="1:a", group="one")
    two = ConfiguredPeer(address="192.0.2.9", remote_asn=65002, ao_key="2:b", group="two")
    rules = Rules(one, two)
    assert rules.admit("192.0.2.9", 65001, ao=1) == "one"
    assert rules.admit("192.0.2.9", 65002, ao=2) == "two"
    assert (
        rules.admit("192.0.2.9", 65001, ao=2)
        == "AS65001 at 192.0.2.9 is known by another key than the one of this connection"
    )


@pytest.mark.parametrize(
    ("keys", "found", "odd"),
    [
        ([Key("a")], Key("a"), False),
        ([Key("b"), Key("a"), Key("a")], Key("a"), True),
        ([Key(ao="1:a"), Key(ao="2:b\n1:a")], Key(ao="1:a\n2:b"), False),
        ([Key(ao="1:a"), Key(ao="1:b")], Key(ao="1:a"), True),
        ([Key("x"), Key(ao="1:a")], Key(ao="1:a"), True),
    ],
)
def test_the_keys_of_peers_at_one_address(keys, found, odd):
    assert joined(keys) == (found, odd)


def test_a_connection_without_tcp_ao_has_no_key_of_it():
    with socket.socket() as made:
        assert ao_id_of(made) is None


def test_two_networks_with_one_key_are_a_fault(tmp_path):
    config = tmp_path / "appsettings.yml"
    same = "Peers:\n  - {Address: 0.0.0.0/0, AoKeys: ['1:a', '2:b']}\n  - {Address: 0.0.0.0/0, AoKey: '%s'}\n"
    config.write_text("Bgp: {Asn: 65000, RouterId: 192.0.2.1}\n" + same % "3:c")
    assert command("check", config).returncode == 0
    config.write_text("Bgp: {Asn: 65000, RouterId: 192.0.2.1}\n" + same % "2:c")
    found = command("check", config)
    assert found.returncode == 2
    assert "Peers[0] has this address and AS number already, and a key with the id 2" in found.stderr
