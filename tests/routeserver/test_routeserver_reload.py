"""What a change of the configuration does to a running server: all keys count, and only sessions that differ end."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from bgplite import BgpLite, bgplite, command, configuration
from peers import kind, place, wait_until

from bgpipe.routeserver.access import Access
from bgpipe.routeserver.api.http import Api
from bgpipe.routeserver.config import Bgp, Config
from bgpipe.routeserver.peers import Peers
from bgpipe.wire.message import HEADER, NOTIFICATION

HERE = Path(__file__).resolve().parent.parent.parent
LISTS = "DefaultPrefixSource: a\nPrefixSources: [{Name: a, Path: a.txt}]\n"


@pytest.fixture
def server(tmp_path):
    (tmp_path / "a.txt").write_text("192.0.2.0/24\n")
    with bgplite(tmp_path, LISTS) as running:
        yield running


def reload(server: BgpLite, before: str, after: str, log: str = "the configuration was read anew") -> None:
    """Changes the configuration, and waits until the log says so once more."""
    path = server.folder / "appsettings.yml"
    text = path.read_text()
    assert before in text
    count = server.log.count(log)
    path.write_text(text.replace(before, after))
    server.process.send_signal(signal.SIGHUP)
    wait_until(f"{log!r} in the log", lambda: server.log.count(log) > count)


def listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=20).close()
    except OSError:
        return False
    return True


def test_where_peers_come_in(server):
    client = server.client()
    client.until_complete()
    (host, port), other = server.address, place()
    reload(server, f"Port: {port}", f"Port: {other[1]}", "listening on")
    assert (listens((host, port)), listens((host, other[1]))) == (False, True)
    server.address = host, other[1]
    second = server.client(65004)
    second.until_complete()
    assert second.routes.keys() == {"192.0.2.0/24"}
    with socket.create_server(other):
        more = f"  Listeners: [{{Address: {other[0]}, Port: {other[1]}}}]\n  Port:"
        reload(server, "  Port:", more, "we listen where we did before: ")
        assert listens(server.address)
    reload(server, "MaxAcceptsPerIpPerMinute: 0", "MaxAcceptsPerIpPerMinute: 1\n  OpenTimeoutSeconds: 7")
    wait_until("the listener is there", lambda: listens(other))
    for _ in range(2):
        listens(other)
    server.waits_for_log("more than 1 a minute")
    for each in (client, second):
        each.hear_so_far()
        assert not each.withdrawn  # neither has ended
    assert server.get("/api/sessions")["active"] == 2


def test_who_we_are(server):
    client = server.client()
    client.until_complete()
    reload(server, "Asn: 65000", "Asn: 65009")
    while kind(client.hear()) != NOTIFICATION:
        pass
    assert client.last[HEADER : HEADER + 2] == b"\6\4"
    again = server.client()
    again.until_complete()
    assert again.open is not None
    assert again.open.asn == 65009
    assert again.routes["192.0.2.0/24"]["ASPATH"]["value"] == [65009]
    assert server.get("/api/community-scheme")["asn"] == 65009


def test_where_the_api_is(server):
    api, (_, other) = server.api_port, place()
    reload(server, f"ApiPort: {api}", f"ApiPort: {other}", "API on")
    assert not listens((server.address[0], api))
    server.api_port = other
    assert server.get("/hc")["status"] == "ok"
    with socket.create_server((server.address[0], api)):
        reload(server, f"ApiPort: {other}", f"ApiPort: {api}", "and stays where it was")
    assert server.get("/hc")["status"] == "ok"
    reload(server, f"ApiPort: {api}", f"ApiPort: {other}")


@pytest.mark.parametrize(("ours", "role"), [("127.0.0.1", "admin"), ("::1", "admin"), ("192.0.2.1", "anyone")])
def test_a_connection_from_before_is_not_taken_for_one_of_this_machine(ours, role):
    """Without tokens all may be done on loopback. Who was let in elsewhere before a change does not gain that."""
    config = Config(bgp=Bgp(asn=65000, router_id="192.0.2.1"))
    api = object.__new__(Api)
    api.server = SimpleNamespace(access=Access(config, Peers()))
    api._proxies = ()
    transport = SimpleNamespace(get_extra_info=lambda name: (ours, 5000))
    request = SimpleNamespace(headers={}, cookies={}, remote="192.0.2.9", host="localhost", transport=transport)
    assert api._identity(request, "192.0.2.9").role == role


def test_a_folder_for_state_that_can_not_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "appsettings.yml").write_text(configuration(place(), place()[1]))
    done = command(tmp_path / "appsettings.yml", BGPLITE_DATA=str(tmp_path / "file/data"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"{tmp_path}/file" in done.stderr
    assert "Not a directory" in done.stderr


def test_every_key_says_when_a_change_counts():
    """The table in the documentation has each key of the top level, and of `Bgp`."""
    page = (HERE / "docs/routeserver.md").read_text()
    table = page.partition("| a change of | counts |")[2].partition("\n\n")[0]
    keys = [each.encode_name for each in msgspec.structs.fields(Config) if each.encode_name != "Bgp"]
    keys += [f"Bgp.{each.encode_name}" for each in msgspec.structs.fields(Bgp)]
    assert [key for key in keys if f"`{key}`" not in table] == []
