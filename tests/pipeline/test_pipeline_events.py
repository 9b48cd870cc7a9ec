"""Names of events, and who hears of them."""

from __future__ import annotations

import pytest

from bgpipe.pipeline.events import ANY, Bus, Event, expand, expand_all


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("all", ["*"]),
        ("*", ["*"]),
        ("read/STOP", ["read/STOP"]),
        ("limit/session", ["limit/session"]),
        ("bgpfix/pipe.parse", ["bgpfix/pipe.PARSE"]),
        ("pipe.eor", ["bgpfix/pipe.EOR"]),
        ("read", ["read/START"]),
        ("@foo", ["@foo/START"]),
        ("@Foo", ["@Foo/START"]),
        ("established", ["established/START"]),
        ("ESTABLISHED", ["bgpfix/pipe.ESTABLISHED"]),
        ("Eor", ["bgpfix/pipe.EOR"]),
    ],
)
def test_expansion(word, names):
    assert expand(word, ("START",)) == names


def test_a_stage_may_stand_for_several_events():
    assert expand_all(["read", "PARSE"], ("START", "STOP")) == ["read/START", "read/STOP", "bgpfix/pipe.PARSE"]


def fail(owner: object, error: Exception) -> None:
    raise AssertionError(f"{owner}: {error}")


def test_handlers_hear_by_name_and_in_order():
    bus, heard = Bus(fail), []
    bus.on(["a/X"], lambda event: heard.append(("first", event.name, event.seq)))
    bus.on([ANY], lambda event: heard.append(("any", event.name, event.seq)))
    bus.on(["a/X"], lambda event: heard.append(("second", event.name, event.seq)))
    bus.emit(Event("a/X"))
    bus.emit(Event("a/Y"))
    assert heard == [("first", "a/X", 1), ("second", "a/X", 1), ("any", "a/X", 1), ("any", "a/Y", 2)]


def test_a_handler_may_leave():
    bus, heard = Bus(fail), []

    def once(event: Event) -> bool:
        heard.append(event.name)
        return False

    bus.on(["a/X"], once)
    assert bus.wanted("a/X")
    bus.emit(Event("a/X"))
    bus.emit(Event("a/X"))
    assert heard == ["a/X"]
    assert not bus.wanted("a/X")


def test_the_error_of_a_handler_is_its_owners_and_the_others_still_hear():
    errors: list[tuple[object, str]] = []
    heard: list[str] = []
    bus = Bus(lambda owner, error: errors.append((owner, str(error))))
    bus.on(["a/X"], lambda event: [].pop(), "owner")
    bus.on(["a/X"], lambda event: heard.append(event.name))
    bus.emit(Event("a/X"))
    assert (errors, heard) == ([("owner", "pop from empty list")], ["a/X"])
