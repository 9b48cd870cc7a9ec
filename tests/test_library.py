"""`import bgpipe`: reading, writing, elements, and that it is typed, quick to import and gentle about damage."""

from __future__ import annotations

import asyncio
import bz2
import gc
import gzip
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from threading import Thread, active_count
from threading import enumerate as enumerate_threads

import pytest

import bgpipe
from bgpipe import library
from bgpipe.sample import write_sample
from bgpipe.wire.block import Block
from bgpipe.wire.context import AS2, WireContext
from bgpipe.wire.family import Family
from bgpipe.wire.flags import FLAG_RIB
from bgpipe.wire.update import Update

MESSAGES = 3000


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> tuple[Path, Path]:
    updates, rib = write_sample(tmp_path_factory.mktemp("library"), messages=MESSAGES, seed=7)
    return updates, rib


@pytest.fixture(scope="session")
def updates(made) -> Path:
    return made[0]


@pytest.fixture
def web(updates) -> Iterator[str]:
    """A URL of the sample, on a server of our own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith("/updates.mrt.gz"):
                self.send_error(404)
                return
            octets = updates.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/updates.mrt.gz"
        server.shutdown()
        thread.join()


def forms(messages) -> list[tuple[int, int, bytes, str | None]]:
    """What must survive."""
    return [(m.type_code, m.time, m.body, m.tags.get("PEER_IP")) for m in messages]


def test_reads_a_path(updates):
    with bgpipe.read(updates) as messages:
        kinds = {message.type for message in messages}
    assert kinds == {"UPDATE", "KEEPALIVE", "OPEN", "NOTIFY"}
    assert messages.counts.messages >= MESSAGES
    assert messages.counts.damaged == 0
    assert messages.counts.states > 0


def test_reads_text_paths_and_iterates_like_an_iterator(updates):
    messages = bgpipe.read(str(updates))
    first = next(messages)
    assert isinstance(first, bgpipe.Message)
    times = [first.time, next(messages).time, next(iter(messages)).time]
    assert times == [message.time for message in bgpipe.read(updates)][:3]
    messages.close()
    assert list(messages) == []


def test_reads_a_url(web, updates):
    assert forms(bgpipe.read(web)) == forms(bgpipe.read(updates))


def test_a_url_that_is_not_there(web):
    with pytest.raises(OSError, match="404"):
        list(bgpipe.read(web.replace("updates", "nothing")))


def test_reads_file_objects(updates):
    octets = gzip.decompress(updates.read_bytes())
    wanted = forms(bgpipe.read(updates))
    assert forms(bgpipe.read(io.BytesIO(octets))) == wanted
    assert forms(bgpipe.read(io.BytesIO(bz2.compress(octets)))) == wanted
    with updates.open("rb") as stream:
        assert forms(bgpipe.read(stream)) == wanted


def test_reads_standard_input(updates):
    code = "import bgpipe; print(sum(1 for _ in bgpipe.read('-', filter='update')))"
    with updates.open("rb") as stream:
        done = subprocess.run([sys.executable, "-c", code], stdin=stream, capture_output=True, text=True, check=True)
    assert int(done.stdout) == sum(1 for message in bgpipe.read(updates) if message.type == "UPDATE")


def test_filter(updates):
    everything = [message for message in bgpipe.read(updates) if message.type == "UPDATE"]
    wanted = [m for m in everything if any(asn > 65535 for elem in m.elems() for asn in elem.origin_asns)]
    assert 0 < len(wanted) < len(everything)
    assert forms(bgpipe.read(updates, filter="as_origin > 65535")) == forms(wanted)
    assert forms(bgpipe.read(updates, filter=bgpipe.compile_filter("as_origin > 65535"))) == forms(wanted)


def test_wrong_filter_is_told_at_once(updates):
    with pytest.raises(bgpipe.FilterError, match="column 1"):
        bgpipe.read(updates, filter="prefex ~ 10.0.0.0/8")


def test_missing_file_is_told_at_once(tmp_path):
    with pytest.raises(OSError, match=r"nothing\.mrt: no such file"):
        bgpipe.read(tmp_path / "nothing.mrt")


def test_unknown_format(updates, tmp_path):
    with pytest.raises(bgpipe.TextError, match="unknown format 'mtr'"):
        bgpipe.read(updates, format="mtr")
    strange = tmp_path / "strange"
    strange.write_bytes(b"neither this nor that" * 1000)
    with pytest.raises(bgpipe.TextError, match="format"):
        list(bgpipe.read(strange))


def test_states(updates):
    states = [message for message in bgpipe.read(updates, states=True) if message.type == "STATE"]
    elems = [elem for message in states for elem in message.elems()]
    assert [elem.elem_type for elem in elems] == ["S"] * len(states)
    assert (elems[0].old_state, elems[0].new_state) == (6, 1)
    assert elems[0].fields == {"old-state": 6, "new-state": 1}
    assert not any(message.type == "STATE" for message in bgpipe.read(updates))


def test_damage_costs_itself(updates):
    octets = bytearray(gzip.decompress(updates.read_bytes()))
    whole = forms(bgpipe.read(io.BytesIO(octets)))
    third = 0
    for _ in range(2):
        third += 12 + int.from_bytes(octets[third + 8 : third + 12], "big")
    marker = octets.index(b"\xff" * 16, third)
    octets[marker] = 0
    heard = []
    with bgpipe.read(io.BytesIO(octets), on_damage=heard.append) as messages:
        assert forms(messages) == whole[:2] + whole[3:]
    assert len(heard) == messages.counts.damaged == 1


def test_elems(updates):
    for message in bgpipe.read(updates, filter="reach && ipv6"):
        elems = list(message.elems())
        update = message.update
        assert [elem.prefix for elem in elems if elem.elem_type == "A"] == [str(p) for p in update.reach]
        for elem in elems:
            assert elem.peer_asn == int(message.tags["PEER_AS"])
            assert elem.timestamp == message.timestamp
            assert elem.next_hop == update.next_hop
            assert update.origin_as is None or elem.origin_asns == [update.origin_as]
            assert set(elem.fields) == {"prefix", "next-hop", "as-path", "communities"}
            assert elem.to_dict()["prefix"] == elem.prefix


def test_elems_of_a_rib(made):
    elems = [elem for message in islice(bgpipe.read(made[1]), 2000) for elem in message.elems()]
    assert {elem.elem_type for elem in elems} == {"R"}
    assert all(re.fullmatch(r"TABLE_DUMP2(_AP)?\|\d+\|B\|.*", str(elem)) for elem in elems)
    assert not any(message.from_rib for message in bgpipe.read(made[0]))
    narrowed = islice(bgpipe.read(made[1], filter="prefix < 128.0.0.0/1", narrow=True), 2000)
    assert {elem.elem_type for message in narrowed for elem in message.elems()} == {"R"}
    message = next(bgpipe.read(made[1]))
    message.update = message.update.replace(attrs={"MED": 5})
    assert message.from_rib


def test_elems_of_an_old_rib_have_its_name():
    message = bgpipe.Message(2, bgpipe.Update.make(reach=["192.0.2.0/24"]).body, context=AS2, verdict=FLAG_RIB, time=5)
    assert str(next(message.elems())).startswith("TABLE_DUMP|0.000005|B|")


def test_elems_of_one_message_share_nothing():
    attrs = {
        "ASPATH": [64500, 64501],
        "COMMUNITY": ["64500:1"],
        "EXT_COMMUNITY": [{"type": "TARGET", "value": "64500:7"}],
        "OTC": 64500,
    }
    update = bgpipe.Update.make(reach=["192.0.2.0/24", "198.51.100.0/24"], withdrawn=["203.0.113.0/24"], attrs=attrs)
    message = bgpipe.Message(2, update.body, tags={"COLLECTOR": "rrc00"})
    withdrawn, first, second = message.elems()
    for name in ("communities", "ext_communities", "origin_asns"):
        assert len(getattr(first, name)) == 1
        getattr(first, name).clear()
        assert len(getattr(second, name)) == 1
    assert second.to_dict()["ext_communities"] == update.ext_communities
    assert (second.otc, withdrawn.otc) == (64500, None)
    assert [elem.collector for elem in (withdrawn, first, second)] == ["rrc00"] * 3


def test_elems_of_routes_say_what_their_nlri_do():
    route = {"id": 7, "rd": "65000:1", "prefix": "10.1.0.0/24", "labels": [16]}
    mac = {"type": "MAC_IP", "rd": "65000:1", "esi": "0", "tag": 0, "mac": "00:00:5e:00:53:01", "labels": [0]}
    attrs = {
        "MP_REACH": {"af": "IPV4/MPLS_VPN", "nexthop": "192.0.2.1", "routes": [route]},
        "MP_UNREACH": {"af": "L2VPN/EVPNS", "routes": [mac]},
    }
    context = WireContext(add_path=frozenset({Family(1, 128)}))
    message = bgpipe.Message(2, Update.make(attrs=attrs, context=context).body, context=context)
    withdrawn, announced = message.elems()
    assert (withdrawn.elem_type, withdrawn.prefix, withdrawn.mac, withdrawn.family) == (
        "W",
        None,
        "00:00:5e:00:53:01",
        "L2VPN/EVPNS",
    )
    assert withdrawn.route == mac
    assert (announced.prefix, announced.path_id, announced.rd, announced.labels, announced.next_hop) == (
        "10.1.0.0/24",
        7,
        "65000:1",
        [16],
        "192.0.2.1",
    )
    assert str(withdrawn) == "BGP4MP|0|W|0.0.0.0|0|"


def test_elem_without_attributes():
    message = bgpipe.Message(2, b"\0\4\x18\xc6\x33\x64\0\0", time=1_767_323_045_000_000)
    (elem,) = message.elems()
    assert str(elem) == "BGP4MP|1767323045|W|0.0.0.0|0|198.51.100.0/24"
    assert (elem.peer_ip, elem.peer_asn, elem.as_path, elem.med, elem.fields) == (
        None,
        None,
        None,
        None,
        {"prefix": "198.51.100.0/24"},
    )


def test_elems_of_an_update_that_cannot_be_read():
    assert list(bgpipe.Message(2, b"\0\4\x7f\xc6\x33\x64\0\0").elems()) == []
    assert list(bgpipe.Message(4).elems()) == []


def meanings(messages) -> list[tuple[object, ...]]:
    """As `forms`, where octets may differ: JSON does not say how wide the AS numbers of a message were."""
    return [
        (m.type, m.time, m.tags.get("PEER_IP"), *map(str, (m.update.reach, m.update.withdrawn, m.update.communities)))
        if m.type == "UPDATE"
        else (m.type, m.time, m.body)
        for m in messages
    ]


@pytest.mark.parametrize("name", ["out.json", "out.mrt.gz", "out.jsonl.zst", "out.mrt.bz2"])
def test_writes_what_it_reads(name, updates, tmp_path):
    path = tmp_path / name
    with bgpipe.read(updates) as messages:
        count = bgpipe.write(path, messages)
    assert count == messages.counts.messages
    same = meanings if ".json" in name else forms
    assert same(bgpipe.read(path)) == same(bgpipe.read(updates))


def test_writes_single_messages_and_appends(updates, tmp_path):
    path = tmp_path / "some.mrt"
    some = list(bgpipe.read(updates))[:20]
    assert bgpipe.write(path, some[:10]) == 10
    assert bgpipe.write(path, some[10:], append=True) == 10
    assert forms(bgpipe.read(path)) == forms(some)


def test_write_leaves_the_old_file_when_it_fails(updates, tmp_path):
    path = tmp_path / "some.json"
    path.write_text("old")

    def failing() -> Iterator[bgpipe.Message]:
        yield next(bgpipe.read(updates))
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        bgpipe.write(path, failing())
    assert path.read_text() == "old"
    assert {each.name for each in tmp_path.iterdir()} <= {"some.json", "some.json.partial"}


def test_truncated_compression_is_damage(updates, tmp_path):
    cut = tmp_path / "cut.mrt.gz"
    cut.write_bytes(updates.read_bytes()[:50_000])
    with bgpipe.read(cut) as messages:
        got = forms(messages)
    assert got == forms(bgpipe.read(updates))[: len(got)]
    assert len(got) > 500
    assert messages.counts.damaged >= 1


def test_a_reader_left_half_read_ends_its_thread(updates):
    before = active_count()
    for _ in range(3):
        next(bgpipe.read(updates))
        bgpipe.read(updates)
    gc.collect()
    for thread in enumerate_threads():
        if thread.name.startswith("read "):
            thread.join(10)
    assert active_count() == before


def test_write_without_a_format(tmp_path):
    with pytest.raises(bgpipe.TextError, match="format"):
        bgpipe.write(tmp_path / "out.strange", [])


def test_blocks_are_offered(updates):
    from bgpipe import accel

    items = list(bgpipe.read(updates).items())
    assert sum(len(item) if isinstance(item, Block) else 1 for item in items) >= MESSAGES
    assert any(isinstance(item, Block) for item in items) == accel.AVAILABLE


async def test_async_twin(updates, web):
    wanted = forms(bgpipe.read(updates, filter="update"))
    for source in (updates, web):
        async with bgpipe.read_async(source, filter="update") as messages:
            assert forms([message async for message in messages]) == wanted
        assert messages.counts.messages >= MESSAGES


async def test_async_twin_lets_others_run(updates):
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    octets = gzip.decompress(updates.read_bytes()) * 10
    async for _ in bgpipe.read_async(io.BytesIO(octets)):
        pass
    task.cancel()
    assert turns >= len(octets) // library.PIECE > 10


async def test_reading_inside_a_running_loop(updates, web):
    """As in a notebook: the plain form works where a loop is already running."""
    assert forms(bgpipe.read(updates)) == forms(bgpipe.read(web))


def test_names():
    assert {"read", "read_async", "write", "Message", "Prefix", "WireError", "__version__"} <= set(dir(bgpipe))
    assert set(bgpipe.__all__) == set(bgpipe._HOME)
    for name in bgpipe.__all__:
        assert getattr(bgpipe, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        bgpipe.nothing  # noqa: B018


def test_update_can_be_made():
    update = bgpipe.Update(b"\0\0\0\0")
    assert update.is_eor


def test_narrow_leaves_the_routes_that_match(updates: Path) -> None:
    every = [elem.prefix for message in bgpipe.read(updates) for elem in message.elems()]
    text = "prefix <= 128.0.0.0/1"
    found = [elem.prefix for message in bgpipe.read(updates, filter=text, narrow=True) for elem in message.elems()]
    assert 0 < len(found) < len(every)
    assert found == [each for each in every if ":" not in each and int(each.partition(".")[0]) >= 128]
    with pytest.raises(ValueError, match="narrow=True needs a filter"):
        bgpipe.read(updates, narrow=True)


@pytest.mark.parametrize("how", ["reader", "generator", "file object", "link"])
def test_what_is_read_is_not_appended_to(updates, tmp_path, how):
    path = tmp_path / "a.mrt.gz"
    path.write_bytes(updates.read_bytes())
    (tmp_path / "link.mrt").symlink_to(path)
    with open(path, "rb") as file:
        reader = bgpipe.read(file if how == "file object" else tmp_path / "link.mrt" if how == "link" else path)
        messages = (message for message in reader) if how == "generator" else reader
        with pytest.raises(OSError, match="is being read"):
            bgpipe.write(path, messages, append=True)
        reader.close()
    assert path.read_bytes() == updates.read_bytes()
    messages = list(bgpipe.read(path))
    assert bgpipe.write(path, messages, append=True) == len(messages)
    assert len(list(bgpipe.read(path))) == 2 * len(messages)


@pytest.mark.parametrize("ending", ["gz", "bz2", "zst"])
def test_a_plain_file_with_the_name_of_a_packed_one_is_read(tmp_path, ending):
    message = bgpipe.Message(4, time=1_700_000_000_000_000)
    bgpipe.write(tmp_path / "a.mrt", [message] * 3)
    path = (tmp_path / "a.mrt").rename(tmp_path / f"a.mrt.{ending}")
    assert [each.type for each in bgpipe.read(path)] == ["KEEPALIVE"] * 3


def test_capabilities_say_how_to_read(shared):
    """ADD-PATH in records that have no place to say so, and in messages of a live session."""
    path = shared / "cases" / "case-04-addpath-in-plain-subtype.mrt"
    caps = {"ADDPATH": ["IPV4/UNICAST/BIDIR", "IPV6/UNICAST/BIDIR"]}
    messages = list(bgpipe.read(path, caps=caps))[:4]  # the last one has no path identifiers
    prefixes = [str(prefix) for message in messages for prefix in message.update.reach]
    assert {prefix[0] for prefix in prefixes} == {"#"}, "each has its path identifier"
    assert prefixes[-1] == "#2#2001:db8:8::/48"

    async def read() -> list[bgpipe.WireContext]:
        async with bgpipe.read_async(path, caps=caps) as messages:
            return [message.context async for message in messages]

    assert asyncio.run(read())[:4] == [message.context for message in messages]
    with pytest.raises(bgpipe.TextError, match="ADDPATH"):
        bgpipe.read(path, caps={"ADDPATH": ["IPV4/UNICAST/SIDEWAYS"]})


def test_the_dialect_of_another_program(updates, tmp_path):
    """What `write --compat go` writes: three digits of a second."""
    out, mine = tmp_path / "go.json", tmp_path / "own.json"
    count = bgpipe.write(out, bgpipe.read(updates, filter="reach"), compat="go")
    assert count == bgpipe.write(mine, bgpipe.read(updates, filter="reach"))
    times = [re.search(rb"\.(\d+)\"", line)[1] for line in out.read_bytes().splitlines()]
    assert {len(digits) for digits in times} == {3}
    assert out.read_bytes() != mine.read_bytes()
    with pytest.raises(bgpipe.TextError, match="dialect"):
        bgpipe.write(out, [], compat="rust")
    with pytest.raises(bgpipe.TextError, match="dialect"):
        bgpipe.write(tmp_path / "x.mrt", [], compat="go")
