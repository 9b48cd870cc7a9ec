"""Everything that an RTR cache can do wrong, and how the client answers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.rpki.rtr import RtrClient, State
from bgpipe.rpki.rtr_pdu import (
    ErrorCode,
    PduType,
    encode_prefix,
    encode_reset_query,
    encode_serial_query,
)
from bgpipe.rpki.snapshot import EMPTY, Snapshot
from bgpipe.rpki.vrps import Vrp
from bgpipe.wire.prefix import parse_prefix
from rtr_cache import (
    cache_reset,
    cache_response,
    end_of_data,
    payload,
    pdu,
    serial_notify,
)
from rtr_talk import DATA, MORE, PLAIN, SESSION, VRPS, Talk, full, up

# what a cache must not do


OUT_OF_CONTEXT = {
    "a second Cache Response": full()[:8] + cache_response(2, SESSION),
    "Cache Reset behind Cache Response": cache_response(2, SESSION) + cache_reset(2),
    "a prefix without Cache Response": encode_prefix(2, VRPS[0], announce=True),
    "End of Data without Cache Response": end_of_data(2, SESSION, 1),
    "an ASPA without Cache Response": payload(2, Snapshot.of((), {1: [2]})),
    "a Serial Query": encode_serial_query(2, SESSION, 1),
    "a Reset Query": encode_reset_query(2),
    "Cache Reset after a Reset Query": cache_reset(2),
}


@pytest.mark.parametrize("octets", OUT_OF_CONTEXT.values(), ids=OUT_OF_CONTEXT)
def test_what_is_out_of_context(octets: bytes):
    talk = Talk()
    talk.open()
    talk.get(octets)
    assert talk.error()[0] == ErrorCode.CORRUPT_DATA
    assert len(talk.closes) == 1


@pytest.mark.parametrize("octets", [full()[8:], cache_response(2, SESSION), end_of_data(2, SESSION, 1)])
def test_what_nobody_has_asked_for(octets: bytes):
    talk = up()
    talk.get(octets)
    assert talk.error()[0] == ErrorCode.CORRUPT_DATA
    assert talk.client.snapshot == DATA


BROKEN = {
    "Cache Response of 12 octets": pdu(2, PduType.CACHE_RESPONSE, SESSION, bytes(4)),
    "End of Data of version 0": pdu(2, PduType.END_OF_DATA, SESSION, bytes(4)),
    "IPv4 Prefix of 24 octets": pdu(2, PduType.IPV4_PREFIX, 0, bytes(16)),
    "IPv6 Prefix of 20 octets": pdu(2, PduType.IPV6_PREFIX, 0, bytes(12)),
    "a header shorter than itself": struct.pack(">BBHI", 2, PduType.CACHE_RESPONSE, 0, 7),
    "a PDU of 4 GB": struct.pack(">BBHI", 2, PduType.ASPA, 0, 0xFFFFFFFC),
    "an ASPA without a customer": pdu(2, PduType.ASPA, 0x100),
    "an ASPA that is cut": pdu(2, PduType.ASPA, 0x100, bytes(6)),
}


@pytest.mark.parametrize("octets", BROKEN.values(), ids=BROKEN)
def test_lengths_that_can_not_be(octets: bytes):
    talk = Talk()
    talk.open()
    talk.get(cache_response(2, SESSION)[:8], octets)
    assert talk.error() == (ErrorCode.CORRUPT_DATA, octets[:8])


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (pdu(2, PduType.IPV4_PREFIX, 0, bytes((1, 25, 24, 0)) + bytes(8)), ErrorCode.CORRUPT_DATA),
        (pdu(2, PduType.IPV4_PREFIX, 0, bytes((1, 24, 33, 0)) + bytes(8)), ErrorCode.CORRUPT_DATA),
        (pdu(2, PduType.IPV6_PREFIX, 0, bytes((1, 24, 129, 0)) + bytes(20)), ErrorCode.CORRUPT_DATA),
        (pdu(2, PduType.ASPA, 0x100, struct.pack(">3I", 1, 3, 2)), ErrorCode.ASPA_PROVIDER_LIST),
        (pdu(2, PduType.ASPA, 0x100, struct.pack(">3I", 1, 2, 2)), ErrorCode.ASPA_PROVIDER_LIST),
        (pdu(2, PduType.ASPA, 0x100, struct.pack(">I", 1)), ErrorCode.ASPA_PROVIDER_LIST),
        (pdu(2, PduType.ASPA, 0, struct.pack(">2I", 64500, 2)), ErrorCode.ASPA_PROVIDER_LIST),
    ],
)
def test_contents_that_can_not_be(octets: bytes, code: ErrorCode):
    talk = Talk()
    talk.open()
    talk.get(cache_response(2, SESSION), octets)
    assert talk.error() == (code, octets)


@pytest.mark.parametrize(
    ("version", "octets", "code"),
    [
        (2, struct.pack(">BBHI", 2, 5, 0, 8), ErrorCode.UNSUPPORTED_PDU_TYPE),
        (2, struct.pack(">BBHI", 2, 12, 0, 8), ErrorCode.UNSUPPORTED_PDU_TYPE),
        (1, pdu(1, PduType.ASPA, 0x100, bytes(8)), ErrorCode.UNSUPPORTED_PDU_TYPE),
        (0, pdu(0, PduType.ROUTER_KEY, 0x100, bytes(28)), ErrorCode.UNSUPPORTED_PDU_TYPE),
        (2, struct.pack(">BBHI", 3, 3, 0, 8), ErrorCode.UNSUPPORTED_VERSION),
    ],
)
def test_types_and_versions_that_are_not_known(version: int, octets: bytes, code: ErrorCode):
    talk = Talk(RtrClient(version))
    talk.open()
    talk.get(cache_response(version, SESSION), octets)
    assert talk.error() == (code, octets[:8])


def test_a_duplicate_and_an_unknown_withdrawal():
    for announce, code in ((True, ErrorCode.DUPLICATE_ANNOUNCEMENT), (False, ErrorCode.WITHDRAWAL_OF_UNKNOWN)):
        talk = up()
        odd = encode_prefix(2, VRPS[0] if announce else Vrp(parse_prefix("198.51.100.0/24"), 24, 1), announce=announce)
        talk.get(serial_notify(2, SESSION, 2), cache_response(2, SESSION), payload(2, MORE, DATA)[:0], odd)
        talk.get(end_of_data(2, SESSION, 2))
        assert talk.error() == (code, odd)
        assert talk.client.snapshot == DATA
        talk.open()
        assert talk.last() == encode_reset_query(2)  # a delta would end in the same way


def test_a_duplicate_among_all_data():
    talk = Talk()
    talk.open()
    twice = encode_prefix(2, VRPS[1], announce=True)
    talk.get(cache_response(2, SESSION), twice, twice, end_of_data(2, SESSION, 1))
    assert talk.error() == (ErrorCode.DUPLICATE_ANNOUNCEMENT, twice)
    assert talk.client.snapshot is None


def test_an_unknown_aspa_is_withdrawn():
    talk = up()
    gone = pdu(2, PduType.ASPA, 0, struct.pack(">I", 1))
    talk.get(serial_notify(2, SESSION, 2), cache_response(2, SESSION), gone, end_of_data(2, SESSION, 2))
    assert talk.error() == (ErrorCode.WITHDRAWAL_OF_UNKNOWN, gone)


def test_withdrawn_and_announced_again_in_one_response():
    talk = up()
    pdus = [encode_prefix(2, VRPS[0], announce=announce) for announce in (False, True)]
    talk.get(serial_notify(2, SESSION, 2), cache_response(2, SESSION), *pdus, end_of_data(2, SESSION, 2))
    assert (talk.client.snapshot, talk.closes) == (DATA, [])


def test_another_session_in_the_answer():
    talk = up()
    talk.get(serial_notify(2, SESSION, 2), cache_response(2, 1))
    assert talk.error()[0] == ErrorCode.CORRUPT_DATA
    talk.open()
    assert talk.last() == encode_reset_query(2)
    talk.get(cache_response(2, 1), end_of_data(2, 2, 2))
    assert talk.error()[0] == ErrorCode.CORRUPT_DATA
    assert talk.client.snapshot == DATA


@pytest.mark.parametrize("code", [code for code in (*ErrorCode, 99) if code not in (2, 4)])
def test_an_error_report_is_never_answered(code: int):
    for talk in (Talk(), up()):
        if talk.client.state is State.CLOSED:
            talk.open()
        count = len(talk.sent)
        report = struct.pack(">BBHIII", 2, PduType.ERROR_REPORT, code, 19, 0, 3) + b"why"
        talk.get(report)
        assert len(talk.sent) == count
        assert "'why'" in talk.closes[0].text
        assert not talk.closes[0].again


@pytest.mark.parametrize(
    "octets",
    [
        struct.pack(">BBHI", 2, PduType.ERROR_REPORT, 0, 12) + bytes(4),
        struct.pack(">BBHI", 2, PduType.ERROR_REPORT, 0, 0xFFFFFFFF),
        struct.pack(">BBHIII", 2, PduType.ERROR_REPORT, 0, 16, 500, 500),
        struct.pack(">BBHIII", 9, PduType.ERROR_REPORT, 0, 16, 0, 0),
    ],
)
def test_not_even_one_that_is_malformed(octets: bytes):
    talk = Talk()
    talk.open()
    talk.get(octets)
    assert len(talk.sent) == 1
    assert len(talk.closes) == 1


def test_nothing_is_said_behind_the_end():
    talk = Talk()
    talk.open()
    talk.get(cache_reset(2), full())
    count = len(talk.sent)
    talk.get(full(), cache_reset(2))
    talk.wait(10_000)
    talk.lose()
    assert (len(talk.sent), len(talk.closes)) == (count, 1)


def test_aspas_in_the_old_form_are_told_and_left_out():
    old = bytes.fromhex("020b000000000018010000020000fde90000fdf20000fdf3")
    talk = Talk()
    talk.open()
    talk.get(
        cache_response(2, SESSION), old, old[:8] + b"\x01\x01" + old[10:], payload(2, PLAIN), end_of_data(2, SESSION, 1)
    )
    assert talk.client.snapshot == PLAIN
    assert (len(talk.notes), talk.client.old_aspas) == (1, 2)
    assert "draft-ietf-sidrops-8210bis-10" in talk.notes[0]


def test_a_withdrawal_with_providers_is_not_taken_for_the_old_form():
    odd = pdu(2, PduType.ASPA, 0, struct.pack(">3I", 65001, 2, 3))
    talk = Talk()
    talk.open()
    talk.get(cache_response(2, SESSION), odd)
    assert talk.error() == (ErrorCode.ASPA_PROVIDER_LIST, odd)


# anything at all


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_any_octets_end_in_a_state_that_is_known(pieces: list[bytes]):
    talk = Talk()
    talk.open()
    for piece in pieces:
        talk.get(piece)
    assert talk.client.snapshot in (None, EMPTY)
    assert len(talk.closes) <= 1
    assert all(octets[1] in (1, 2, 10) for octets in talk.sent)


@given(st.data())
def test_any_mutant_of_a_response_changes_nothing_or_ends_the_connection(data: st.DataObject):
    octets = bytearray(full())
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    talk = up()
    talk.do(talk.client.ask(0.0))
    talk.get(bytes(octets))
    if talk.closes or talk.client.state is not State.IDLE:
        assert talk.client.snapshot == DATA
