"""The tables of peers, on lists that are still being read."""

from __future__ import annotations

import asyncio
from collections import Counter

from bgpipe.routeserver.config import AutoRefresh, Bgp, Config, Irr, PrefixSource, RipeStat
from bgpipe.routeserver.lists import Lists
from bgpipe.routeserver.peers import new_peer
from bgpipe.routeserver.sources.context import Context
from bgpipe.routeserver.sources.fetch import Fetcher
from bgpipe.routeserver.sources.ripestat import RipeStatClient
from bgpipe.routeserver.tables import PeerTables, in_turns
from bgpipe.routeserver.versions import Version
from bgpipe.runtime.log import StderrLog


def test_a_table_is_whole_when_it_has_what_was_read_of_a_list(tmp_path):
    """A list that has just been read is in the tables a moment later: until then the End-of-RIB waits."""
    source = PrefixSource(name="one", path="one.txt")
    fetcher = Fetcher()
    context = Context(tmp_path, fetcher, RipeStatClient(RipeStat(), fetcher), Irr())
    lists = Lists({"config": context}, tmp_path, AutoRefresh(), StderrLog("error"))
    lists.want("config", {"one": source})
    tables = PeerTables(Config(bgp=Bgp(asn=65000, router_id="192.0.2.1")), lists)
    tables.update(["one"])
    peer = new_peer("192.0.2.7", 65003, lists=("one",))
    assert not tables.of(peer).whole
    lists["one"].version = Version(1, 0.0, "", b"", b"", 0, 0, [])
    assert not tables.of(peer).whole
    tables.update(["one"])
    assert tables.of(peer).whole


async def test_of_all_who_are_ready_one_does_a_step_each_time_that_the_event_loop_goes_round():
    turns, rounds, steps = asyncio.Lock(), 0, []
    loop = asyncio.get_running_loop()

    def go_round():
        nonlocal rounds
        rounds += 1
        if len(steps) < 100:
            loop.call_soon(go_round)

    def work(name):
        for _ in range(4):
            steps.append(rounds)
            yield
        steps.append(rounds)
        return name

    go_round()
    assert await asyncio.gather(*(in_turns(work(name), turns) for name in range(20))) == list(range(20))
    assert len(steps) == 100
    assert max(Counter(steps).values()) == 1
