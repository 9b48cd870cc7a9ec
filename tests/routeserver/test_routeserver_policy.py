"""What peers are announced: by their own rules, those of their group and of the configuration."""

from __future__ import annotations

import asyncio
import math
import random
from types import SimpleNamespace

import msgspec
import pytest

from bgpipe.routes import group_change
from bgpipe.routes.attributes import Attributes
from bgpipe.routes.difference import compare
from bgpipe.routes.prefixes import PrefixSet
from bgpipe.routeserver import budget_worker, max_routes
from bgpipe.routeserver.config import Bgp, Config, ConfiguredPeer, Defaults, Group, PrefixSource
from bgpipe.routeserver.ends import Ends
from bgpipe.routeserver.kept_routes import KeptRoutes
from bgpipe.routeserver.peers import Peer, new_peer
from bgpipe.routeserver.rules import Entry, Rules, resolve
from bgpipe.routeserver.tables import PeerTables
from bgpipe.routeserver.trials import show_comparison, try_change, try_difference, try_subscription
from bgpipe.session.facts import Facts
from bgpipe.tasks import Tasks
from bgpipe.wire.communities import parse_any_community, write_ext_community
from bgpipe.wire.errors import TextError

HOSTS = [f"10.{net}.0.{host}/32" for net in range(10) for host in range(0, 256, 8)]
BGP = Bgp(asn=65000, router_id="192.0.2.1", next_hop_ipv6="2001:db8::1")


class FakeLists(dict):
    """Lists by name, as PeerTables wants them."""

    @property
    def lists(self):
        return self

    def say(self, name: str, prefixes, **settings) -> str:
        made = PrefixSource(name=name, **settings)
        self[name] = SimpleNamespace(
            settings=made, prefixes=PrefixSet.parse(prefixes), known=True, private=False, fetched=made.kind != "file"
        )
        return name


def tables_of(lists: dict, config: Config | None = None) -> tuple[PeerTables, FakeLists]:
    """lists: prefixes by name, or prefixes and settings."""
    fake = FakeLists()
    for name, said in lists.items():
        prefixes, settings = said if isinstance(said, tuple) else (said, {})
        fake.say(name, prefixes, **settings)
    tables = PeerTables(config or Config(bgp=BGP), fake)  # type: ignore[arg-type]
    tables.update(fake)
    return tables, fake


def peer(**fields) -> Peer:
    return msgspec.structs.replace(new_peer("192.0.2.7", 65007), **({"lists": ("a",)} | fields))


def routes(tables: PeerTables, who: Peer) -> set[str]:
    return set(PrefixSet.joined(tables.of(who).table.routes().values()))


def change(tables: PeerTables, fake: FakeLists, name: str, prefixes, **settings) -> None:
    fake.say(name, prefixes, **settings)
    tables.update({name})


def test_hold_keeps_what_was_announced():
    tables, lists = tables_of({"a": HOSTS[:10]})
    small = peer(max_routes=10)
    assert routes(tables, small) == set(HOSTS[:10])
    change(tables, lists, "a", HOSTS[:12])
    view = tables.of(small)
    assert routes(tables, small) == set(HOSTS[:10])
    assert (view.settled, view.limit) == (True, "12 routes, MaxRoutes is 10: what was announced before is held")
    change(tables, lists, "a", HOSTS[:13])
    assert routes(tables, small) == set(HOSTS[:10])
    assert routes(tables, peer()) == set(HOSTS[:13])
    change(tables, lists, "a", HOSTS[2:11])
    assert routes(tables, small) == set(HOSTS[2:11])
    assert tables.of(small).limit == ""


def test_nobody_is_announced_more_than_the_limit():
    tables, _ = tables_of({"a": HOSTS[:10]})
    small = peer(max_routes=9)
    view = tables.of(small)
    assert (view.table.count, view.why) == (0, "10 routes, MaxRoutes is 9: nothing is announced")
    one = peer()
    assert tables.of(one).table.count == 10
    lower = Peer(**{name: getattr(one, name) for name in one.__struct_fields__} | {"max_routes": 9})
    assert tables.of(lower).table.count == 0


def test_what_is_held_is_cut_by_new_exclusions():
    tables, lists = tables_of({"a": ["192.0.2.0/24", "198.51.100.0/24"]})
    small = peer(max_routes=2)
    assert tables.of(small).table.count == 2
    change(tables, lists, "a", HOSTS)
    cut = Peer(**{name: getattr(small, name) for name in small.__struct_fields__} | {"exclude": ("192.0.2.0/25",)})
    assert routes(tables, cut) == {"192.0.2.128/25", "198.51.100.0/24"}


def test_widen_in_a_process_of_its_own():
    async def run() -> None:
        tables, lists = tables_of({"a": HOSTS, "b": (["2001:db8::/48"], {"community": "65000:7"})})
        small = peer(lists=("a", "b"), max_routes=11, max_routes_action="widen")
        view = tables.of(small)
        assert (view.settled, view.whole, view.table.count) == (False, False, 0)
        assert "being widened" in view.why
        view = await tables.settle(small)
        wide = {f"10.{net}.0.0/24" for net in range(10)} | {"2001:db8::/48"}
        assert routes(tables, small) == wide
        assert (view.table.budget.foreign, view.table.budget.foreign_ipv6) == (2240, 0)
        assert "2240 foreign addresses have come in" in view.limit
        again = peer(ip="192.0.2.8", lists=("a", "b"), max_routes=11, max_routes_action="widen")
        assert tables.of(again).settled  # one work for all with the same subscription
        change(tables, lists, "a", [*HOSTS, "10.3.0.77/32"])
        meanwhile = tables.of(small)
        assert (meanwhile.settled, routes(tables, small)) == (False, wide)
        assert not compare(view.table, (await tables.settle(small)).table)
        excluded = peer(ip="192.0.2.9", max_routes=100, max_routes_action="widen", exclude=("10.3.0.1/32",))
        cut = PrefixSet.joined((await tables.settle(excluded)).table.routes().values())
        assert len(cut) <= 100
        limited = peer(ip="192.0.2.10", max_routes=10, max_routes_action="widen", max_foreign=2238)
        view = await tables.settle(limited)
        assert (view.table.count, view.whole) == (0, True)
        assert "MaxForeign is 2238" in view.why

    asyncio.run(run())


def test_a_worker_that_fails_changes_nothing(monkeypatch):
    async def run() -> None:
        tables, lists = tables_of({"a": HOSTS[:10]})
        small = peer(max_routes=10, max_routes_action="widen")
        assert tables.of(small).table.count == 10
        change(tables, lists, "a", HOSTS)
        monkeypatch.setattr(budget_worker.sys, "executable", "/bin/false")
        view = await tables.settle(small)
        assert view.table.count == 10
        assert "widening takes too much memory or time" in view.limit
        assert "is held" in view.limit

    asyncio.run(run())


def test_widening_leaves_the_event_loop_alone(monkeypatch):
    """All that runs here is in pieces: as many turns as there are runs of prefixes."""
    monkeypatch.setattr(budget_worker, "_RUN", 10)

    async def run() -> int:
        tables, _ = tables_of({"a": HOSTS})
        small = peer(max_routes=10, max_routes_action="widen")
        turns = 0
        work = asyncio.ensure_future(tables.settle(small))
        while not work.done():
            turns += 1
            await asyncio.sleep(0)
        assert (await work).table.count == 10
        return turns

    assert asyncio.run(run()) >= len(HOSTS) / 10


def test_widened_tables_that_are_kept_are_bounded(monkeypatch):
    monkeypatch.setattr(max_routes, "MAX_WIDENED", 1)

    async def run() -> None:
        tables, _ = tables_of({"a": HOSTS[:4]})
        for limit in (1, 2):
            view = await tables.settle(peer(max_routes=limit, max_routes_action="widen"))
            assert 0 < view.table.count <= limit

    asyncio.run(run())


def test_try_and_diff():
    async def run() -> None:
        tables, _ = tables_of({"a": HOSTS, "b": ["192.0.2.0/24"]})
        trial = await try_subscription(tables, lists=("a", "b", "none"), exclude=("10.0.0.0/8",))
        assert list(trial.routes) == ["192.0.2.0/24"]
        shown = trial.show()
        assert (shown["routes"], shown["lists"], shown["unread"]) == (1, {"a": 320, "b": 1}, ["none"])
        trial = await try_subscription(tables, lists=("a",), max_routes=10, max_routes_action="widen")
        shown = trial.show()
        assert (shown["routes"], shown["exact"], shown["foreign"], shown["held"]) == (10, 320, 2240, False)
        one = peer(lists=("b",), custom_prefixes=("203.0.113.0/24",))
        has = tables.of(one).table
        assert not await try_difference(tables, one, has)
        found = await try_difference(tables, one, has, lists=("a",), custom_prefixes=("203.0.113.0/25",))
        assert show_comparison(found) == {
            "announced": [*HOSTS, "203.0.113.0/25"],
            "withdrawn": ["192.0.2.0/24", "203.0.113.0/24"],
            "changed": [],
        }
        found = await try_difference(tables, one, None, add_communities=("65000:9",))
        assert show_comparison(found)["changed"] == ["192.0.2.0/24", "203.0.113.0/24"]
        held = peer(lists=("b",), max_routes=1)
        assert tables.of(held).table.count == 1
        trial = await try_change(tables, held, lists=("a", "b"))
        assert (list(trial.routes), trial.show()["held"]) == (["192.0.2.0/24"], True)

    asyncio.run(run())


# rules


def test_all_records_name_the_same_rules():
    group_only, peer_only = {"name", "description", "local_asn"}, {"address", "remote_asn", "md5_password", "group"}
    rules = set(Rules.__struct_fields__)
    assert set(Defaults.__struct_fields__) == rules - {"lists"}
    assert set(Group.__struct_fields__) - group_only == rules
    assert rules <= set(ConfiguredPeer.__struct_fields__) | peer_only
    assert rules <= set(Peer.__struct_fields__)


def test_the_nearest_word_counts():
    own = Rules(max_routes=0, exclude=("192.0.2.0/24",), add_communities=("1:1",), union=False)
    group = Rules(max_routes=5, med=7, lists=("a",), exclude=("192.0.2.0/24", "10.0.0.0/8"), next_hop="10.0.0.1")
    found = resolve(own, group, Rules(med=8, min_length_ipv4=9, add_communities=("1:2",), max_length_ipv6=48))
    assert found == Rules(
        max_routes=0,
        med=7,
        lists=("a",),
        exclude=("192.0.2.0/24", "10.0.0.0/8"),
        next_hop="10.0.0.1",
        min_length_ipv4=9,
        max_length_ipv6=48,
        add_communities=("1:1", "1:2"),
        union=False,
    )
    assert found.guards == (9, 32, 1, 48)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("65001:100", "standard", 65001 << 16 | 100),
        ("65535:666", "standard", 0xFFFF029A),
        ("blackhole", "standard", 0xFFFF029A),
        ("No-Export", "standard", 0xFFFFFF01),
        ("4200000000:1:2", "large", (4200000000, 1, 2)),
        ("rt:65001:100", "extended", 0x0002_FDE9_0000_0064),
        ("rt:4200000000:100", "extended", 0x0202_FA56_EA00_0064),
        ("RT:192.0.2.1:100", "extended", 0x0102_C000_0201_0064),
        ("soo:65001:100", "extended", 0x0003_FDE9_0000_0064),
        ("0x4300000000000002", "extended", 0x4300_0000_0000_0002),
    ],
)
def test_communities_as_people_write_them(text, kind, value):
    assert parse_any_community(text) == (kind, value)
    if kind == "extended":
        assert write_ext_community(value) == text.lower()


def test_any_extended_community_is_written_so_that_it_can_be_read():
    numbers = random.Random(1)
    types = [0x0002, 0x0003, 0x0102, 0x0202, 0x0203, 0x4002, 0x4003, 0x8006, 0x0B02, 0x4300, 0xFFFF]
    for kind in types * 20:
        value = kind << 48 | numbers.getrandbits(48)
        assert parse_any_community(write_ext_community(value)) == ("extended", value)
    small = 0x0202_0000_0001_0001  # an AS number of 4 octets where 2 would do: `rt:1:1` is another community
    assert write_ext_community(small) == "0x0202000000010001"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1:2:3:4",
        "65536:1",
        "x:1",
        "rt:1",
        "rt:x:1",
        "rt:65001:4294967296",
        "0x1",
        "0x" + "g" * 16,
        "0x-300000000000002",
    ],
)
def test_what_is_no_community(text):
    with pytest.raises(TextError):
        parse_any_community(text)


def test_what_is_said_of_routes_on_all_levels():
    source = {"community": "65000:1", "add_communities": ("65000:1:1", "rt:65000:5"), "med": 5, "next_hop": "10.0.0.5"}
    config = Config(
        bgp=Bgp(asn=65000, router_id="192.0.2.1", next_hop="192.0.2.9"),
        groups=(Group(name="g", add_communities=("no-export",), prepends=2, lists=("a", "b"), med=9),),
        defaults=Defaults(add_communities=("65000:3",), next_hop_ipv6="2001:db8::3", prepends=7),
    )
    tables, _ = tables_of({"a": (["192.0.2.0/24"], source), "b": ["198.51.100.0/24"]}, config)
    found = tables.of(peer(lists=(), group="g", add_communities=("65000:2",))).table.routes()
    shared = frozenset({65000 << 16 | 2, 65000 << 16 | 3, 0xFFFFFF01})
    assert {next(iter(prefixes)): attributes for attributes, prefixes in found.items()} == {
        "192.0.2.0/24": Attributes(
            shared | {65000 << 16 | 1},
            frozenset({(65000, 1, 1)}),
            frozenset({0x0002_FDE8_0000_0005}),
            5,
            2,
            "10.0.0.5",
            "2001:db8::3",
        ),
        "198.51.100.0/24": Attributes(shared, med=9, prepends=2, next_hop_ipv6="2001:db8::3"),
    }


@pytest.mark.parametrize(
    ("said", "local", "expected"),
    [
        (Attributes(), "10.0.0.1", ("192.0.2.9", "2001:db8::1")),
        (Attributes(next_hop_ipv4="self", next_hop_ipv6="self"), "10.0.0.1", ("10.0.0.1", "2001:db8::1")),
        (Attributes(next_hop_ipv4="self", next_hop_ipv6="self"), "2001:db8::7", ("192.0.2.1", "2001:db8::7")),
        (Attributes(next_hop_ipv4="10.9.9.9", next_hop_ipv6="2001:db8::99"), "10.0.0.1", ("10.9.9.9", "2001:db8::99")),
    ],
)
def test_next_hops(said, local, expected):
    config = Config(bgp=Bgp(asn=65000, router_id="192.0.2.1", next_hop="192.0.2.9", next_hop_ipv6="2001:db8::1"))
    form = tables_of({}, config)[0].form(65001, local, Facts(), 65000)
    ipv4, ipv6 = form.next_hop(said, 1), form.next_hop(said, 2)
    from bgpipe.wire.address import format_address

    assert (format_address(ipv4), format_address(ipv6)) == expected


def test_custom_prefixes_with_something_to_say():
    config = Config(bgp=BGP, custom_prefix_community="65000:100")
    tables, _ = tables_of({"a": []}, config)
    tables.clock = lambda: 1000.0
    one = peer(
        custom_prefixes=(
            "192.0.2.0/24",
            Entry(prefix="203.0.113.1/32", communities=("65535:666", "65000:1:1"), expires="1970-01-01T01:00:00Z"),
            Entry(prefix="203.0.113.2/32", med=3, expires="1970-01-01T00:00:01Z"),
        )
    )
    found = {text: attributes for attributes, prefixes in tables.of(one).table.routes().items() for text in prefixes}
    assert found == {
        "192.0.2.0/24": Attributes(frozenset({65000 << 16 | 100})),
        "203.0.113.1/32": Attributes(frozenset({0xFFFF029A}), frozenset({(65000, 1, 1)})),
    }


# what is kept for a restart


def restarted(tables: PeerTables, folder, lists: dict) -> PeerTables:
    """Other tables, which know of the ones before only what is on disk."""
    after, _ = tables_of(lists)
    after.limited.load = KeptRoutes(folder).load
    after.limited.on_change = KeptRoutes(folder).save
    return after


def test_after_a_restart_peers_have_what_was_held_for_them(tmp_path):
    tables, lists = tables_of({"a": (HOSTS[:10], {"community": "65000:1", "next_hop": "10.0.0.1", "med": 5})})
    tables.limited.on_change = KeptRoutes(tmp_path).save
    small = peer(max_routes=10)
    before = tables.of(small).table.routes()
    assert list(tmp_path.iterdir()) == []
    change(tables, lists, "a", HOSTS[:12])
    assert tables.of(small).table.routes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["192.0.2.7%2365007.routes"]
    after = restarted(tables, tmp_path, {"a": HOSTS[:12]})
    again = peer(max_routes=10)  # another id: as a peer of the configuration has after a restart
    assert after.of(again).table.routes() == before
    assert "is held" in after.of(again).limit
    cut = restarted(tables, tmp_path, {"a": HOSTS[:12]}).of(peer(max_routes=10, exclude=(HOSTS[3],))).table
    assert cut.count == 9
    within = restarted(tables, tmp_path, {"a": HOSTS[:9]})
    assert routes(within, peer(max_routes=10)) == set(HOSTS[:9])
    assert list(tmp_path.iterdir()) == []


def test_after_a_restart_what_was_widened_stays_so(tmp_path):
    async def run() -> None:
        tables, _ = tables_of({"a": HOSTS})
        tables.limited.on_change = KeptRoutes(tmp_path).save
        small = peer(max_routes=12, max_routes_action="widen")
        before = (await tables.settle(small)).table
        after = restarted(tables, tmp_path, {"a": [*HOSTS, "10.3.0.77/32"]})
        view = after.of(small)
        assert (view.settled, view.table.routes(), view.table.budget.foreign) == (
            False,
            before.routes(),
            before.budget.foreign,
        )
        assert (await after.settle(small)).table.routes() == before.routes()
        await try_change(after, small, max_routes=3)
        assert len(list(tmp_path.iterdir())) == 1
        after.forget(small)
        assert list(tmp_path.iterdir()) == []

    asyncio.run(run())


def test_what_is_kept_may_be_torn(tmp_path):
    kept = KeptRoutes(tmp_path)
    assert kept.load("192.0.2.7#65007") is None
    (tmp_path / "192.0.2.7%2365007.routes").write_bytes(b"\x93torn")
    assert kept.load("192.0.2.7#65007") is None


def test_a_list_that_is_over_has_nothing():
    settings = {"expires": "1970-01-01T00:20:00Z"}
    tables, _ = tables_of({"a": (HOSTS[:3], settings), "b": ["192.0.2.0/24"]})
    assert tables.list_ends() == {"a": 1200.0}
    tables.clock = lambda: 1199.0
    tables.update({"a"})
    assert routes(tables, peer(lists=("a", "b"))) == {*HOSTS[:3], "192.0.2.0/24"}
    tables.clock = lambda: 1200.0
    tables.update({"a"})
    assert routes(tables, peer(lists=("a", "b"))) == {"192.0.2.0/24"}
    assert tables.of(peer()).whole


def test_ends_are_told_when_they_are_there():
    async def run() -> None:
        told: asyncio.Queue[tuple[float, float]] = asyncio.Queue()
        tasks = Tasks()
        ends = Ends(lambda after, until: told.put_nowait((after, until)))
        ends.start(tasks)
        first, began = await told.get()
        assert (first, began > 0) == (0.0, True)
        ends.watch((began + 3600, began - 1))
        ends.watch((began + 0.05, math.inf))
        ends.watch((began + 0.1,))
        after, until = await told.get()
        assert after == began < began + 0.05 < until
        ends.watch((until + 0.05,))  # the one that is told says again what is ahead
        assert (await told.get())[0] == until
        await tasks.close()

    asyncio.run(run())


async def test_one_of_many_custom_prefixes_is_prepared_in_steps_and_read_once(monkeypatch):
    monkeypatch.setattr(group_change, "STEP", 64)
    tables, _ = tables_of({"a": HOSTS})
    many = tuple(f"11.{each // 250}.{each % 250}.0/24" for each in range(0, 2000, 2))
    who = peer(custom_prefixes=many)
    assert not tables.is_prepared(who)
    rounds = asyncio.ensure_future(count_rounds(tables.prepare(who)))
    assert await rounds > 30
    assert tables.is_prepared(who)
    assert routes(tables, who) == {*HOSTS, *many}
    one_more = msgspec.structs.replace(who, custom_prefixes=(*many, "12.0.0.0/24"))
    assert await count_rounds(tables.prepare(one_more)) < 20
    assert routes(tables, one_more) == {*HOSTS, *many, "12.0.0.0/24"}
    assert not tables.is_prepared(who)  # nobody has that any more
    assert tables.subscription(one_more).customs is tables.subscription(one_more).customs
    tables.forget(one_more)
    assert tables.subscription(one_more).customs is not tables.subscription(who).customs


async def test_many_custom_prefixes_end_when_they_say():
    tables, _ = tables_of({"a": HOSTS})
    many = [f"11.{each // 250}.{each % 250}.0/24" for each in range(0, 2000, 2)]
    ending = Entry(prefix="12.0.0.0/24", expires="1970-01-01T00:01:00Z")
    who = peer(custom_prefixes=(*many, ending))
    for now, expected in ((59.0, {"12.0.0.0/24"}), (61.0, set())):
        tables.clock = lambda now=now: now
        assert routes(tables, who) == {*HOSTS, *many} | expected


async def count_rounds(work) -> int:
    """How often the event loop goes round until something is done."""
    task, rounds = asyncio.ensure_future(work), 0
    while not task.done():
        rounds += 1
        await asyncio.sleep(0)
    await task
    return rounds
