"""Keys of peers on the listening sockets, with sockets that only remember what they were told."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest

from bgpipe.net.tcp import parse_networks
from bgpipe.routeserver.keys import Key, Keys


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


def test_a_kernel_without_tcp_ao_says_so(log):
    keys = make(log, Sockets(ao=False))
    keys.change({"192.0.2.7": Key(ao="1:c")})
    assert "this kernel has no TCP-AO" in keys.trouble("192.0.2.7")
    assert parse_networks(["192.0.2.7"])
    keys.change({})
    assert keys.trouble("192.0.2.7") == ""
