"""Keys of peers on the listening sockets, with sockets that only remember what they were told."""

from __future__ import annotations

import errno
import os
import socket
from types import SimpleNamespace

import msgspec
import pytest
from peers import place

from bgpipe.net import acceptor
from bgpipe.net.acceptor import Acceptor
from bgpipe.net.tcp import TcpOptions, parse_networks
from bgpipe.routeserver.config import Bgp
from bgpipe.routeserver.keys import Key, Keys
from bgpipe.routeserver.listening import Listening
from bgpipe.routeserver.peers import new_peer
from bgpipe.routeserver.sessions import PeerSessions
from bgpipe.routeserver.settings import SessionOptions
from bgpipe.stages.listen import GREETING


class Sockets:
    """Stands for an acceptor. room: how many keys it takes. ao: whether its kernel has TCP-AO."""

    def __init__(self, room: int = 100, ao: bool = True) -> None:
        self.room, self.ao = room, ao
        self.md5: dict[str, str] = {}
        self.keys: dict[str, str] = {}

    def sign(self, network, key):
        if not key:
            del self.md5[str(network)]
        elif len(self.md5) >= self.room:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        else:
            self.md5[str(network)] = key

    def authenticate(self, network, key, before=""):
        if not self.ao:
            raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
        assert self.keys.pop(str(network), "") == before
        if key:
            self.keys[str(network)] = key


@pytest.fixture
def log():
    return SimpleNamespace(errors=[])


def make(log, *sockets):
    log.error = lambda text, **fields: log.errors.append((text, fields))
    return Keys(list(sockets), log)


def test_keys_are_set_changed_and_removed_on_all_sockets(log):
    one, two = Sockets(), Sockets()
    keys = make(log, one, two)
    keys.change({"192.0.2.7": Key("a"), "10.0.0.0/8": Key("b"), "192.0.2.9": Key(ao="1:c")})
    assert one.md5 == two.md5 == {"192.0.2.7/32": "a", "10.0.0.0/8": "b"}
    assert one.keys == {"192.0.2.9/32": "1:c"}
    keys.change({"192.0.2.7": Key("z"), "192.0.2.9": Key(ao="2:d")})
    assert one.md5 == {"192.0.2.7/32": "z"}
    assert one.keys == two.keys == {"192.0.2.9/32": "2:d"}
    keys.change({})
    assert one.md5 == two.keys == {}
    assert log.errors == []


def test_the_longest_network_that_holds_an_address_counts(log):
    keys = make(log, Sockets())
    keys.change({"10.0.0.0/8": Key("a"), "10.1.0.0/16": Key("b"), "10.1.1.1": Key("c"), "2001:db8::/32": Key("d")})
    found = [
        keys.of(each).md5 for each in ("10.9.9.9", "10.1.9.9", "10.1.1.1", "2001:db8::7", "11.0.0.1", "fe80::1%lo")
    ]
    assert found == ["a", "b", "c", "d", "", ""]


def test_a_peer_whose_key_finds_no_room_is_not_let_in_until_there_is(log):
    sockets = Sockets(room=1)
    keys = make(log, sockets)
    keys.change({"192.0.2.7": Key("a"), "10.0.0.0/8": Key("b")})
    assert keys.trouble("192.0.2.7") == ""
    assert "net.core.optmem_max" in keys.trouble("10.1.1.1")
    [(text, fields)] = log.errors
    assert text.startswith("the key of a peer can't be set, so it is not let in: 1 keys fill")
    assert fields == {"peer": "10.0.0.0/8"}
    keys.change({"10.0.0.0/8": Key("b")})
    assert (keys.trouble("10.1.1.1"), sockets.md5) == ("", {"10.0.0.0/8": "b"})


def test_keys_of_tcp_ao_come_and_go_by_their_ids(monkeypatch):
    """Roll-over (RFC 5925 section 3.1): the new key is there beside the old one, which is removed later."""
    done: list[tuple[str, str]] = []
    monkeypatch.setattr(acceptor, "set_ao", lambda made, key, network: done.append(("set", key)))
    monkeypatch.setattr(acceptor, "remove_ao", lambda made, key, network: done.append(("remove", key)))
    listening = Acceptor("127.0.0.1", 0, TcpOptions(), (), None, GREETING)
    with socket.socket() as made:
        listening._sockets = [made]
        keys = Keys([listening], log)
        for ao in ("1:a", "1:a\n2:b", "2:b", "2:c", ""):
            keys.change({"192.0.2.7": Key(ao=ao)} if ao else {})
    assert done == [
        ("set", "1:a"), ("set", "2:b"), ("remove", "1:a"), ("remove", "2:b"), ("set", "2:c"), ("remove", "2:c"),
    ]  # fmt: skip


class Running:
    """Stands for a session and its connection. error: of the kernel, when it is given another key."""

    def __init__(self, options: SessionOptions, error: OSError | None = None) -> None:
        self.peer = new_peer("192.0.2.7", 65003, session=options)
        self.connection = self
        self.error = error
        self.added: list[str] = []
        self.ended = False

    def add_ao(self, keys, network):
        if self.error is not None:
            raise self.error
        assert str(network) == "192.0.2.7/32"
        self.added += keys

    def end(self, notification):
        self.ended = True


@pytest.mark.parametrize(
    ("before", "after", "error", "added", "ended"),
    [
        ("1:a", "1:a\n2:b", None, ["2:b"], False),
        ("1:a\n2:b", "2:b\n1:a", None, [], False),
        ("1:a\n2:b", "2:b", None, [], True),
        ("1:a", "1:b", None, [], True),
        ("", "1:a", None, [], True),
        ("1:a", "", None, [], True),
        ("1:a", "1:a\n2:b", OSError(errno.ENOMEM, "no room"), [], True),
    ],
)
def test_a_session_goes_on_when_it_gets_more_keys(log, before, after, error, added, ended):
    log.error = lambda text, **fields: log.errors.append(text)
    sessions = PeerSessions(Bgp(asn=65000, router_id="192.0.2.1"), log, identify=None, begin=None)
    running = Running(SessionOptions(ao=before), error)
    sessions._all[running.peer.id] = [running]
    changed = msgspec.structs.replace(running.peer, session=SessionOptions(ao=after))
    sessions.options_changed(changed)
    assert (running.added, running.ended) == (added, ended)
    assert bool(log.errors) == (error is not None)
    if not ended:
        sessions.options_changed(changed)
        assert running.added == added  # once


def test_a_kernel_without_tcp_ao_says_so(log):
    keys = make(log, Sockets(ao=False))
    keys.change({"192.0.2.7": Key(ao="1:c")})
    assert "this kernel has no TCP-AO" in keys.trouble("192.0.2.7")
    assert parse_networks(["192.0.2.7"])
    keys.change({})
    assert keys.trouble("192.0.2.7") == ""


def test_a_key_that_finds_no_room_where_we_listen_later_is_tried_again(log):
    first, later = Sockets(), Sockets(room=0)
    keys = make(log, first)
    keys.change({"192.0.2.7": Key("a")})
    keys._acceptors = [first, later]
    keys.set_at(later)
    assert keys.trouble("192.0.2.7")
    keys.change({"192.0.2.7": Key("a")})
    assert keys.trouble("192.0.2.7")
    later.room = 1
    keys.change({"192.0.2.7": Key("a")})
    assert (keys.trouble("192.0.2.7"), later.md5) == ("", {"192.0.2.7/32": "a"})


async def test_nobody_connects_before_the_keys_are_set(log):
    """Else a connection that waits to be accepted when we start would have none."""
    log.info = lambda text, **fields: None
    log.error = lambda text, **fields: log.errors.append(text)
    told: list[str] = []

    def set_at(acceptor):
        with socket.socket() as client:
            client.settimeout(5)
            told.append(errno.errorcode.get(client.connect_ex(acceptor._sockets[0].getsockname()), ""))
        Keys.set_at(listening.keys, acceptor)

    listening = Listening(log, lambda host: "", lambda listener, arrival: None)
    listening.keys.change({"127.0.0.1": Key("sesame")})
    listening.keys.set_at = set_at
    bgp = Bgp(asn=65000, router_id="192.0.2.1", listen=("127.0.0.1",), port=place()[1])
    try:
        await listening.open(bgp)
        assert told == ["ECONNREFUSED"]
        where = listening.acceptors[0]._sockets[0].getsockname()
        with pytest.raises(TimeoutError):
            socket.create_connection(where, timeout=1)
    finally:
        await listening.close()
