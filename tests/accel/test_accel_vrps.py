"""VRPs in compiled code and in Python: the same records, lookups, verdicts and tags."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgpipe import accel
from bgpipe.rpki.origin import Rules, judge_block
from bgpipe.rpki.pdu_runs import read_prefixes
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.rpki.vrps import WIDTHS, Validity, find_impossible, merge_records, subtract_records
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.flags import CONTEXTS
from bgpipe.wire.prefix import AFI_BITS, Prefix
from bgpipe.wire.tags import TagTable
from bgpipe.wire.update import Update

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)


def both(function, *arguments):
    """What the compiled part and Python give."""
    compiled = function(*arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accel, "AVAILABLE", False)
        return compiled, function(*arguments)


def random_records(source: random.Random, afi: int, count: int) -> bytes:
    """Records of prefixes of all lengths, most of them around or inside others."""
    bits, found = AFI_BITS[afi], []
    roots = [source.getrandbits(bits) for _ in range(max(count // 8, 1))]
    for _ in range(count):
        length = min(bits, int(source.triangular(0, bits + 1, bits * 0.7)))
        address = (source.choice(roots) ^ source.getrandbits(bits) >> source.randrange(bits)) >> bits - length
        most = source.randint(length, min(length + 8, bits))
        found.append((address << bits - length).to_bytes(bits // 8, "big") + bytes((length, most)))
        found[-1] += source.choice((0, 1, 2, 2**32 - 1)).to_bytes(4, "big")
    return b"".join(found)


SEEDS = st.integers(0, 2**32)


@given(SEEDS, st.sampled_from([1, 2]), st.integers(0, 40))
def test_merging_and_comparing(seed, afi, count):
    source = random.Random(seed)
    width, pool = WIDTHS[afi], random_records(source, afi, 12)
    few = [pool[place : place + width] for place in range(0, len(pool), width)]
    records = b"".join(source.choices(few, k=count))
    announced = bytes(source.choices((0, 1), k=count))
    base = b"".join(sorted(set(source.choices(few, k=source.randrange(6)))))
    compiled, plain = both(merge_records, afi, base, records, announced)
    assert compiled == plain
    for pair in ((base, plain.records), (plain.records, base)):
        compiled, plain_rest = both(subtract_records, afi, *pair)
        assert compiled == plain_rest


@given(SEEDS, st.sampled_from([1, 2]), st.sampled_from([255, 257, 3000]))
@settings(deadline=None, max_examples=20)
def test_sorting_many(seed, afi, count):
    """Many have the same address and length, and some come twice."""
    source = random.Random(seed)
    width, size = WIDTHS[afi], WIDTHS[afi] - 4
    pool = random_records(source, afi, count // 4)
    heads = [pool[place : place + size] for place in range(0, len(pool), width)]
    records = [source.choice(heads) + source.randrange(1 << 18).to_bytes(4, "big") for _ in range(count)]
    records += source.choices(records, k=9)
    announced = bytes(source.choices((0, 1), weights=(1, 9), k=len(records)))
    base = b"".join(sorted(set(source.choices(records, k=30))))
    compiled, plain = both(merge_records, afi, base, b"".join(records), announced)
    assert compiled == plain


def test_usual_aspas_are_read_in_compiled_code():
    """And the others are left, from the first of them on."""
    usual = (
        b'{"customer": "AS64500", "providers": ["AS64502", "AS64501", 0, 64502], "ta": "x"}',
        b'{ "providers" : [ 0 ] , "customer" : 64500 }',
        b'{"customer_asid":64500,"expires":2000,"providers":[1]}',
        b'{"customer_asid":"64500","provider_asids":["1"],"source":[{"type":"aspa"}]}',
    )
    unusual = (
        b'{"customer":64500,"providers":[]}',
        b'{"customer":0,"providers":[1]}',
        b'{"customer":64500,"providers":[1],"customer_asid":64500}',
        b'{"customer":64500,"providers":[1.0]}',
        b'{"customer":64500,"providers":[4294967296]}',
        b'{"customer":64500,"providers":[1]',
        b'{"customer":64500}',
        b'{"customer":"as64500","providers":[1]}',
    )
    octets = b",".join(usual)
    scanner = accel.rpki_json.Scanner(1000.0)
    found = [(64500, (64501, 64502)), (64500, (0,)), (64500, (1,)), (64500, (1,))]
    assert scanner.scan_aspas(octets, 0) == (len(octets), 4, found)
    for each in unusual:
        assert scanner.scan_aspas(usual[0] + b"," + each, 0) == (len(usual[0]), 1, found[:1])
    assert scanner.scan_aspas(usual[2].replace(b"2000", b"1000"), 0) == (54, 1, [])
    assert scanner.take() == (b"", b"", 1, 2000)
    with pytest.raises(ValueError, match="the scanner is empty"):
        scanner.scan_aspas(octets, 0)


@given(SEEDS, st.sampled_from([1, 2]), st.integers(0, 5))
def test_impossible_records(seed, afi, errors):
    source = random.Random(seed)
    records = bytearray(random_records(source, afi, 6))
    for _ in range(errors):
        records[source.randrange(len(records))] = source.randrange(256)
    compiled, plain = both(find_impossible, afi, bytes(records))
    assert compiled == plain


@pytest.mark.parametrize("width", [1, 10, 22])
def test_records_that_are_not_whole(width):
    calls = {"merge": (b"", bytes(23), b"", 9), "subtract": (bytes(23), b""), "find_impossible": (bytes(23),)}
    for function, arguments in calls.items():
        with pytest.raises(ValueError, match="record"):
            getattr(accel.vrps, function)(width, *arguments)
    with pytest.raises(ValueError, match="octet for each"):
        accel.vrps.merge(10, b"", bytes(10), b"", 9)


def pdu(version: int, afi: int, record: bytes, flags: int = 1) -> bytes:
    size = AFI_BITS[afi] // 8
    head = bytes((version, 4 if afi == 1 else 6, 0, 0)) + (16 + size).to_bytes(4, "big")
    return head + bytes((flags,)) + record[size : size + 2] + b"\0" + record[:size] + record[size + 2 :]


@given(SEEDS, st.integers(0, 3), st.integers(0, 60))
def test_runs_of_pdus(seed, errors, cut):
    source = random.Random(seed)
    octets, expected, flags = b"", {1: b"", 2: b""}, {1: b"", 2: b""}
    for _ in range(source.randrange(8)):
        afi = source.choice((1, 2))
        record, flag = random_records(source, afi, 1), source.choice((0, 1))
        octets += pdu(1, afi, record, flag)
        expected[afi] += record
        flags[afi] += bytes((flag,))
    compiled, plain = both(read_prefixes, octets, 0, 1)
    assert compiled == plain == (len(octets), expected, flags)
    odd = bytearray(octets)
    for _ in range(errors if odd else 0):
        odd[source.randrange(len(odd))] ^= 1 << source.randrange(8)
    compiled, plain = both(read_prefixes, memoryview(odd)[: max(len(odd) - cut, 0)], 0, 1)
    assert compiled == plain
    assert both(read_prefixes, octets, len(octets), 1)[0].end == len(octets)
    assert both(read_prefixes, octets, 0, 0)[0].end == 0


def routes(source: random.Random, afi: int, records: bytes, count: int):
    """Prefixes near those of records, and origins."""
    bits, width = AFI_BITS[afi], WIDTHS[afi]
    for _ in range(count):
        if records and source.random() < 0.9:
            place = source.randrange(len(records) // width) * width
            address = int.from_bytes(records[place : place + bits // 8], "big")
            length = min(bits, records[place + bits // 8] + source.choice((-1, 0, 0, 1, 2, 9)))
            address ^= source.choice((0, 0, 1 << source.randrange(bits)))
        else:
            address, length = source.getrandbits(bits), source.randint(0, bits)
        length = max(length, 0)
        yield Prefix(afi, address >> bits - length << bits - length, length), source.choice((None, 0, 1, 2, 2**32 - 1))


@pytest.mark.parametrize("afi", [1, 2])
@given(SEEDS, st.integers(0, 300))
@settings(deadline=None)
def test_lookups(afi, seed, count):
    source = random.Random(seed)
    records = merge_records(afi, b"", random_records(source, afi, count), b"\1" * count).records
    compiled = Snapshot(records) if afi == 1 else Snapshot(b"", records)
    asked = list(routes(source, afi, records, 40))
    found = [compiled.validate(*each) for each in asked]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accel, "AVAILABLE", False)
        plain = Snapshot(compiled.ipv4, compiled.ipv6)
        assert found == [plain.validate(*each) for each in asked]
    for (prefix, origin), validity in zip(asked, found, strict=True):
        by_words = [each for each in compiled.vrps(afi) if is_inside(prefix, each.prefix)]
        assert sorted(compiled.covering(prefix)) == by_words
        matched = any(prefix.length <= each.max_length and each.asn and each.asn == origin for each in by_words)
        assert validity is (Validity.VALID if matched else Validity.INVALID if by_words else Validity.NOT_FOUND)


def is_inside(prefix: Prefix, around: Prefix) -> bool:
    shift = AFI_BITS[prefix.afi] - around.length
    return prefix.length >= around.length and prefix.address >> shift == around.address >> shift


@pytest.mark.slow
@pytest.mark.parametrize("afi", [1, 2])
def test_lookups_among_a_million(afi):
    source = random.Random(afi)
    records = merge_records(afi, b"", random_records(source, afi, 1_000_000), b"\1" * 1_000_000).records
    compiled = Snapshot(records) if afi == 1 else Snapshot(b"", records)
    asked = list(routes(source, afi, records, 100_000))
    found = [compiled.validate(*each) for each in asked]
    # short ones among a million cover everything, so none is NOT_FOUND
    assert min(found.count(each) for each in (Validity.VALID, Validity.INVALID)) > 100
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accel, "AVAILABLE", False)
        plain = Snapshot(compiled.ipv4, compiled.ipv6)
        assert found == [plain.validate(*each) for each in asked]


def test_an_empty_table():
    table = accel.vrps.VrpTable(b"", b"")
    assert table.judge_one(1, 0, 0, 0, 1) == table.judge_one(2, 1 << 63, 0, 128, 1) == 1
    for afi, length in ((0, 8), (3, 8), (1, 33), (2, 129)):
        with pytest.raises(ValueError, match="prefix"):
            table.judge_one(afi, 0, 0, length, 1)


# Blocks


def random_block(source: random.Random, records: dict[int, bytes], count: int) -> Block:
    """UPDATEs of all kinds: with and without per-peer headers, tags, ADD-PATH, confederations, and malformed ones."""
    octets, index, tags = b"", bytearray(), TagTable()
    for number in range(count):
        flags = source.choice((1, 1, 1, 0)) | source.choice((0, 0, 0, 2)) | source.choice((0, 8, 16, 24))
        add_path = flags & 2
        fields = {}
        for family in (1, 2):
            asked = [prefix for prefix, _ in routes(source, family, records[family], source.choice((0, 0, 1, 3)))]
            fields[family] = [each._replace(path_id=source.randrange(9) if add_path else None) for each in asked]
            if fields[family] and source.random() < 0.05:
                fields[family] += fields[family][:1]
        attrs = {"ORIGIN": "IGP", "ASPATH": source.choice(PATHS)}
        if source.random() < 0.1:
            attrs["AS4PATH"] = [2**32 - 1]
        body = Update.make(reach=fields[1], attrs=attrs, next_hop="192.0.2.1", context=CONTEXTS[flags & 3])
        if fields[2]:
            safi = source.choice(("UNICAST", "UNICAST", "MULTICAST"))
            body = body.replace(attrs={"MP_REACH": mp_reach(fields[2], safi)})
        message = bytearray(b"\xff" * 16 + (len(body.body) + 19).to_bytes(2, "big") + b"\2" + body.body)
        if source.random() < 0.1:
            message[source.randrange(18, len(message))] ^= 1 << source.randrange(8)
        peer, place = NO_PEER, 0
        if source.random() < 0.6:
            peer, wide = len(octets), source.random() < 0.5
            flags |= 4 if wide else 0
            asns = [source.choice((0, 1, 2)).to_bytes(4 if wide else 2, "big") for _ in range(2)]
            afi = source.choice((1, 2))
            octets += asns[0] + asns[1] + b"\0\0" + afi.to_bytes(2, "big") + source.randbytes(8 if afi == 1 else 32)
        if source.random() < 0.2:
            said = source.choice(({"PEER_AS": "2"}, {"K": "v"}, {"rov/status": "VALID"}, {"rov/x": "y", "K": "w"}))
            place, own = tags.enter(said, None)
            flags |= 512 if own else 0
        index += ENTRY.pack(number, 1, len(octets), peer, len(message), flags, place)
        octets += message
    return Block(octets, index, tags.octets)


PATHS = [[], [1], [2], [1, 2], [2**32 - 1], [1, [2]], [[1], 2], [0], [{"confed_sequence": [2]}], [1] * 3]


def mp_reach(prefixes, safi: str) -> dict:
    return {"af": f"IPV6/{safi}", "nexthop": "2001:db8::1", "prefixes": list(map(str, prefixes))}


def outcome(snapshot: Snapshot, block: Block, strict: bool, tag: bool, senders) -> tuple:
    judged = judge_block(snapshot, block, senders=senders, rules=Rules(strict), tag=tag)
    said = [list(message.tags.items()) for message in judged.block]
    octets = [message.octets for message in judged.block]
    return judged.invalid, judged.unfit, judged.messages, judged.counts, said, octets, judged.block is block


@given(SEEDS, st.booleans(), st.booleans(), st.sampled_from([{}, {"R": 1}, {"L": 2, "R": 0}]))
@settings(deadline=None)
def test_blocks(seed, strict, tag, senders):
    source = random.Random(seed)
    records = {afi: merge_records(afi, b"", random_records(source, afi, 20), b"\1" * 20).records for afi in (1, 2)}
    block = random_block(source, records, 12)
    compiled = outcome(Snapshot(records[1], records[2]), block, strict, tag, senders)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accel, "AVAILABLE", False)
        assert compiled == outcome(Snapshot(records[1], records[2]), block, strict, tag, senders)
