"""The RTR client without a socket: conversations with a cache that is in order, or silent, or of another version."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.rpki.rtr import AT_ONCE, RESPONSE_TIMEOUT, VERSION_MEMORY, RtrClient, State
from bgpipe.rpki.rtr_pdu import (
    ErrorCode,
    PduType,
    Timers,
    encode_error,
    encode_prefix,
    encode_reset_query,
    encode_serial_query,
    is_newer,
    within_limits,
)
from bgpipe.rpki.snapshot import EMPTY, Snapshot
from bgpipe.rpki.vrps import Vrp
from bgpipe.wire.prefix import parse_prefix
from rtr_cache import (
    Cache,
    CacheConnection,
    cache_response,
    end_of_data,
    payload,
    pdu,
    serial_notify,
)
from rtr_talk import DATA, MORE, PLAIN, SESSION, VRPS, Talk, full, up
from vectors import cases

# what goes well


@pytest.mark.parametrize("version", [0, 1, 2])
def test_all_data_and_then_a_delta(version: int):
    cache = Cache(DATA)
    connection = CacheConnection(cache)
    talk = Talk(RtrClient(version))
    talk.open()
    assert talk.last() == encode_reset_query(version)
    talk.get(connection.receive(talk.last()))
    assert talk.client.snapshot == (DATA if version == 2 else PLAIN)
    cache.replace(MORE)
    talk.get(connection.notify())
    assert talk.last() == encode_serial_query(version, SESSION, 1)
    talk.get(connection.receive(talk.last()))
    assert talk.client.snapshot == (
        MORE if version == 2 else Snapshot.of(vrp for afi in (1, 2) for vrp in MORE.vrps(afi))
    )
    assert (talk.client.session, talk.client.serial) == (SESSION, 2)
    assert (talk.closes, talk.notes, connection.errors) == ([], [], [])


def test_very_many_aspas_are_taken_in_several_calls():
    """An event loop has others to serve."""
    data = Snapshot.of(aspas={customer: [1] for customer in range(2, AT_ONCE * 2 + 50)})
    talk = Talk()
    talk.open()
    talk.client.received(cache_response(2, SESSION) + payload(2, data) + end_of_data(2, SESSION, 1), 0.0)
    calls = 0
    while talk.client.more:
        assert talk.client.state is State.RECEIVING
        talk.do(talk.client.go_on(0.0))
        calls += 1
    assert calls == 2
    assert talk.client.snapshot == data
    assert talk.client.go_on(0.0) == []


@given(st.lists(st.integers(1, 60), max_size=60))
def test_octets_may_be_cut_anywhere(sizes: list[int]):
    octets = full() + serial_notify(2, SESSION, 2)
    talk = Talk()
    talk.open()
    place = 0
    for size in [*sizes, len(octets)]:
        talk.get(octets[place : place + size])
        place += size
    assert talk.client.snapshot == DATA
    assert talk.last() == encode_serial_query(2, SESSION, 1)


def test_a_delta_is_applied_at_its_end_or_not_at_all():
    talk = up()
    talk.get(serial_notify(2, SESSION, 2), cache_response(2, SESSION), payload(2, MORE, DATA))
    assert talk.client.snapshot == DATA
    talk.lose()
    assert talk.client.snapshot == DATA
    assert "before End of Data" in talk.closes[0].text
    talk.open()
    assert talk.last() == encode_serial_query(2, SESSION, 1)
    talk.get(cache_response(2, SESSION), payload(2, MORE, DATA), end_of_data(2, SESSION, 2))
    assert talk.client.snapshot == MORE


def test_half_of_all_data_is_nothing():
    talk = Talk()
    talk.open()
    talk.get(full()[:-10])
    talk.lose()
    assert (talk.client.snapshot, talk.client.serial) == (None, None)
    talk.open()
    assert talk.last() == encode_reset_query(2)


def test_what_comes_while_data_are_applied_waits():
    talk = Talk()
    talk.holds = True
    talk.open()
    talk.get(full(), serial_notify(2, SESSION, 2))
    talk.get(serial_notify(2, SESSION, 3))
    assert (talk.client.state, len(talk.sent)) == (State.APPLYING, 1)
    talk.apply()
    assert talk.last() == encode_serial_query(2, SESSION, 1)
    assert len(talk.sent) == 2


def test_a_connection_that_is_lost_while_data_are_applied():
    talk = Talk()
    talk.holds = True
    talk.open()
    talk.get(full())
    talk.lose()
    talk.apply()
    assert talk.client.snapshot is None


def test_router_keys_and_other_flags_are_skipped():
    key = pdu(2, PduType.ROUTER_KEY, 0x100, bytes(20) + (64500).to_bytes(4, "big") + b"key.")
    odd = bytearray(encode_prefix(2, VRPS[0], announce=True))
    odd[8] |= 0xFE  # flags that nobody knows
    odd[11] = 9
    talk = Talk()
    talk.open()
    talk.get(cache_response(2, SESSION), key, bytes(odd), key, end_of_data(2, SESSION, 1))
    assert talk.client.snapshot == Snapshot.of(VRPS[:1])


def test_an_announcement_of_an_aspa_replaces_it():
    talk = up()
    announce = payload(2, Snapshot.of((), {64500: [1, 2, 3]}))
    talk.get(serial_notify(2, SESSION, 2), cache_response(2, SESSION), announce, end_of_data(2, SESSION, 2))
    assert talk.client.snapshot is not None
    assert talk.client.snapshot.aspas == {64500: (1, 2, 3), 64510: (0,)}


# when it asks


def test_a_notify_without_news_asks_nothing():
    talk = up()
    talk.get(serial_notify(2, SESSION, 1), serial_notify(2, SESSION, 0))
    assert len(talk.sent) == 1


def test_serial_numbers_wrap():
    talk = Talk()
    talk.open()
    talk.get(full(serial=0xFFFFFFFF))
    talk.get(serial_notify(2, SESSION, 0))
    assert talk.last() == encode_serial_query(2, SESSION, 0xFFFFFFFF)
    talk.get(cache_response(2, SESSION), end_of_data(2, SESSION, 0))
    assert talk.client.serial == 0
    talk.get(serial_notify(2, SESSION, 0xFFFFFFFF))
    assert len(talk.sent) == 2


def test_a_serial_number_that_is_neither_newer_nor_older():
    talk = up()
    talk.get(serial_notify(2, SESSION, 1 + (1 << 31)))
    assert talk.last() == encode_reset_query(2)
    assert talk.client.snapshot == DATA


@pytest.mark.parametrize(
    ("serial", "other", "newer"),
    [(1, 0, True), (0, 1, False), (5, 5, False), (0, 0xFFFFFFFF, True), (0xFFFFFFFF, 0, False), (0x7FFFFFFF, 0, True)],
)
def test_the_arithmetic_of_serial_numbers(serial: int, other: int, newer: bool):
    assert is_newer(serial, other) is newer
    assert is_newer(1 << 31, 0) is None


def test_another_session_in_a_notify_asks_for_all():
    talk = up()
    talk.get(serial_notify(2, SESSION + 1, 9))
    assert talk.last() == encode_reset_query(2)
    assert talk.client.snapshot == DATA
    talk.get(full(session=SESSION + 1, serial=9, data=MORE))
    assert (talk.client.snapshot, talk.client.session, talk.client.serial) == (MORE, SESSION + 1, 9)


def test_a_cache_that_was_restarted_resets():
    cache = Cache(DATA)
    talk = up()
    talk.lose()
    cache.restart(99)
    cache.data = MORE
    connection = CacheConnection(cache)
    talk.open()
    talk.get(connection.receive(talk.last()))
    assert talk.last() == encode_reset_query(2)
    assert talk.client.snapshot == DATA
    talk.get(connection.receive(talk.last()))
    assert (talk.client.snapshot, talk.client.session) == (MORE, 99)


def test_it_asks_after_the_refresh_time_and_a_little_earlier_than_others():
    talk = up(jitter=lambda: 1.0)
    assert talk.client.due == 3240.0
    talk.wait(3239)
    assert len(talk.sent) == 1
    talk.wait(1)
    assert talk.last() == encode_serial_query(2, SESSION, 1)


def test_the_timers_of_the_cache_count_and_options_before_them():
    talk = Talk(RtrClient(expire=900.0))
    talk.open()
    talk.get(cache_response(2, SESSION), end_of_data(2, SESSION, 1, (60, 30, 6000)))
    assert (talk.client.refresh, talk.client.retry, talk.client.expire) == (60, 30, 900.0)
    assert (talk.client.due, talk.notes) == (60, [])


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ((0, 0, 0), (1, 1, 600)),
        ((86401, 7201, 172801), (86400, 7200, 172800)),
        ((4000, 600, 3000), (4000, 600, 4001)),
        ((3600, 600, 7200), (3600, 600, 7200)),
    ],
)
def test_timers_outside_of_their_limits(said: tuple[int, int, int], taken: tuple[int, int, int]):
    assert within_limits(Timers(*said)) == taken
    talk = Talk()
    talk.open()
    talk.get(cache_response(2, SESSION), end_of_data(2, SESSION, 1, said))
    assert talk.client.timers == taken
    assert len(talk.notes) == (said != taken)


def test_no_data_available_is_no_end():
    cache = Cache(None)
    connection = CacheConnection(cache)
    talk = Talk()
    talk.open()
    talk.get(connection.receive(talk.last()))
    assert (talk.client.state, talk.closes) == (State.IDLE, [])
    assert "No Data Available" in talk.lacks[0]
    cache.data = DATA
    talk.wait(600)
    assert talk.last() == encode_reset_query(2)
    talk.get(connection.receive(talk.last()))
    assert talk.client.snapshot == DATA


def test_all_is_asked_for_again_on_demand():
    talk = up()
    talk.do(talk.client.ask(talk.now))
    assert talk.last() == encode_reset_query(2)
    talk.do(talk.client.ask(talk.now))
    assert len(talk.sent) == 2
    talk.get(full())
    assert talk.client.snapshot == DATA


# silence


def test_a_cache_that_is_silent():
    talk = Talk()
    talk.open()
    talk.get(full()[:30])
    talk.wait(RESPONSE_TIMEOUT - 1)
    talk.get(full()[30:40])
    talk.wait(RESPONSE_TIMEOUT - 1)
    assert talk.closes == []
    talk.wait(1)
    assert "silent" in talk.closes[0].text
    assert talk.client.due is None


# versions


def test_a_cache_that_reports_its_version():
    talk = Talk()
    for version in (2, 1):
        talk.open()
        assert talk.last() == encode_reset_query(version)
        talk.get(encode_error(version - 1, ErrorCode.UNSUPPORTED_VERSION, talk.last(), "no"))
        assert talk.closes[-1].again
    talk.open()
    talk.get(full(0, PLAIN))
    assert (talk.client.version, talk.client.snapshot) == (0, PLAIN)


def test_a_cache_that_reports_the_version_that_it_was_asked_in():
    talk = Talk()
    talk.open()
    talk.get(encode_error(2, ErrorCode.UNSUPPORTED_VERSION, b"", ""))
    assert (talk.client.version, talk.closes[-1].again) == (1, True)


def test_a_cache_that_speaks_no_version():
    talk = Talk(RtrClient(0))
    talk.open()
    talk.get(encode_error(0, ErrorCode.UNSUPPORTED_VERSION, b"", ""))
    assert (talk.client.version, talk.closes[-1].again) == (0, False)


@pytest.mark.parametrize("version", [0, 1])
def test_a_cache_that_goes_down_in_silence(version: int):
    talk = Talk()
    talk.open()
    talk.get(serial_notify(version, SESSION, 7), full(version, PLAIN))
    assert (talk.client.version, talk.client.snapshot) == (version, PLAIN)
    talk.get(serial_notify(version, SESSION, 7))
    assert talk.last() == encode_serial_query(version, SESSION, 1)


def test_a_cache_that_closes_the_connection():
    talk = Talk()
    for version in (2, 1, 0, 2):
        talk.open()
        assert talk.last() == encode_reset_query(version)
        talk.lose()
        assert talk.closes[-1].again == (version > 0)


def test_a_version_that_was_spoken_is_given_up_at_the_second_time():
    talk = up()
    for version, again in ((2, False), (2, True), (1, True)):
        talk.lose()
        talk.open()
        assert talk.last()[0] == version
        talk.lose()
        assert talk.closes[-1].again == again


def test_a_lower_version_is_forgotten_after_an_hour():
    talk = Talk()
    talk.open()
    talk.get(full(1, PLAIN))
    talk.lose()
    talk.now += VERSION_MEMORY - 1
    talk.open()
    assert talk.last() == encode_serial_query(1, SESSION, 1)
    talk.lose()
    talk.now += 1
    talk.open()
    assert talk.last() == encode_reset_query(2)


def test_a_notify_before_the_version_is_agreed_on_means_nothing():
    talk = Talk()
    talk.open()
    for version in (0, 1, 2):
        talk.get(serial_notify(version, 1, 1))
    assert (talk.client.state, len(talk.sent)) == (State.QUERIED, 1)
    talk.get(full())
    assert len(talk.sent) == 1


def test_another_version_behind_the_agreement():
    talk = up()
    talk.get(serial_notify(1, SESSION, 2))
    assert talk.error() == (ErrorCode.UNEXPECTED_VERSION, serial_notify(1, SESSION, 2)[:8])
    talk = up(0, PLAIN)
    talk.get(serial_notify(1, SESSION, 2))
    assert talk.error()[0] == ErrorCode.UNSUPPORTED_VERSION


def test_a_higher_version_than_asked_for():
    talk = Talk(RtrClient(1))
    talk.open()
    talk.get(cache_response(2, SESSION))
    assert talk.error()[0] == ErrorCode.UNSUPPORTED_VERSION


def test_a_serial_number_counts_in_its_version_only():
    talk = up()
    talk.lose()
    talk.open()
    talk.get(cache_response(1, SESSION), end_of_data(1, SESSION, 2))
    assert talk.error()[0] == ErrorCode.CORRUPT_DATA
    assert talk.client.snapshot == DATA
    talk.open()
    assert talk.last() == encode_reset_query(1)


# the vectors of others


@cases("bgpfix_rtr")
def test_vectors(row):
    if row["kind"] == "rtr-session":
        talk = Talk()
        talk.open()
        assert [each.hex() for each in talk.sent] == [step["hex"] for step in row["steps"]]
        return
    octets = bytes.fromhex(str(row["hex"]))
    version, kind = octets[0], octets[1]
    talk = Talk(RtrClient(version))
    talk.open()
    staged = kind in (4, 6, 7, 9, 11)
    if staged:
        talk.get(cache_response(version, int.from_bytes(octets[2:4], "big") if kind == 7 else SESSION))
    elif kind == 8:
        talk.get(full(version, PLAIN))
    talk.sent.clear()
    talk.holds = True
    talk.get(octets)
    expected = row["expected"]
    if expected == "error":
        assert talk.error()[0] == ErrorCode.CORRUPT_DATA
        return
    assert isinstance(expected, dict)
    wanted = expected["client_sends_hex"]
    assert [each.hex() for each in talk.sent] == ([wanted] if wanted else [])
    for event in expected["events"] or ():
        check_event(talk, event)


def check_event(talk: Talk, event: dict[str, object]) -> None:
    changes = talk.client._changes
    if event["event"] == "roa":
        vrp = Vrp(parse_prefix(str(event["prefix"])), int(str(event["max_length"])), int(str(event["asn"])))
        base = EMPTY if event["add"] else Snapshot.of([vrp])
        assert changes.apply(base)[:3] == (Snapshot.of([vrp]) if event["add"] else EMPTY, (), ())
    elif event["event"] == "aspa":
        applied = changes.apply(EMPTY if event["add"] else Snapshot.of((), {65001: [1]}))
        assert applied.snapshot.aspas == ({65001: (65002, 65003)} if event["add"] else {})
    elif event["event"] == "end-of-data":
        assert talk.client._finished == (event["session"], event["serial"])
        assert talk.client.state is State.APPLYING
    elif event["event"] == "error-report":
        assert len(talk.closes) == 1
        assert str(event["text"]) in talk.closes[0].text
    else:
        assert event["event"] == "cache-reset"
