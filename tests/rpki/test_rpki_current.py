"""The snapshot that counts, and who hears of the next one."""

from __future__ import annotations

from bgpipe.rpki.current import Rpki
from bgpipe.rpki.snapshot import EMPTY, Snapshot
from bgpipe.rpki.vrps import Vrp
from bgpipe.wire.prefix import parse_prefix

ONE = Snapshot.of([Vrp(parse_prefix("192.0.2.0/24"), 24, 64500)])
TWO = Snapshot.of([Vrp(parse_prefix("192.0.2.0/24"), 24, 64501)])


def test_each_new_snapshot_is_told_with_the_old_one():
    rpki = Rpki()
    heard: list[tuple[Snapshot, Snapshot]] = []

    def hear(old: Snapshot, new: Snapshot) -> None:
        assert rpki.snapshot is new
        heard.append((old, new))

    rpki.on_change(hear)
    rpki.replace(ONE)
    rpki.replace(TWO)
    rpki.off_change(hear)
    rpki.off_change(hear)
    rpki.replace(ONE)
    assert heard == [(EMPTY, ONE), (ONE, TWO)]


def test_who_waits_is_called_once_at_the_first_snapshot_or_at_the_error():
    rpki = Rpki()
    calls: list[str] = []
    rpki.when_ready(lambda: calls.append("first"))
    assert (rpki.ready, calls) == (False, [])
    rpki.replace(EMPTY)
    rpki.replace(ONE)
    rpki.when_ready(lambda: calls.append("later"))
    assert (rpki.ready, calls) == (True, ["first", "later"])
    failing = Rpki()
    failing.when_ready(lambda: calls.append("failed"))
    failing.fail("no such file")
    assert (calls[2:], failing.ready) == (["failed"], False)
    failing.replace(ONE)
    assert (failing.ready, failing.error) == (True, "")
