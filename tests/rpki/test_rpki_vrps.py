"""Route origin validation, compared with the definition of RFC 6811 word by word, and with rows of other programs."""

from __future__ import annotations

import ipaddress
import json
import pickle

from hypothesis import given
from hypothesis import strategies as st

from bgpipe.rpki.snapshot import Snapshot
from bgpipe.rpki.vrps import Validity, Vrp
from bgpipe.wire.prefix import parse_prefix

IPV4 = st.tuples(st.integers(0, 31), st.integers(24, 32)).map(
    lambda pair: str(ipaddress.ip_network((0x0A000000 + pair[0] * 8, pair[1]), strict=False))
)
IPV6 = st.tuples(st.integers(0, 7), st.integers(0, 8)).map(
    lambda pair: str(ipaddress.ip_network(((0x2001 << 112) + (pair[0] << 120), pair[1]), strict=False))
)
PREFIXES = st.one_of(IPV4, IPV4, IPV6, st.sampled_from(["0.0.0.0/0", "::/0", "10.0.0.0/8"]))
ASNS = st.sampled_from([0, 64500, 64501, 4200000000])
ROWS = st.lists(st.tuples(PREFIXES, st.integers(0, 4), ASNS), max_size=12)


def by_the_words(rows, prefix: str, origin: int | None) -> Validity:
    """RFC 6811 section 2: covered, matched."""
    route = ipaddress.ip_network(prefix)
    covered = matched = False
    for text, most, asn in rows:
        vrp = ipaddress.ip_network(text)
        if vrp.version == route.version and route.subnet_of(vrp):  # type: ignore[arg-type]
            covered = True
            matched |= route.prefixlen <= most and asn == origin and asn != 0
    return Validity.VALID if matched else Validity.INVALID if covered else Validity.NOT_FOUND


@given(ROWS, st.lists(st.tuples(PREFIXES, st.sampled_from([None, 0, 64500, 64501])), min_size=1, max_size=8))
def test_the_validity_is_that_of_the_definition(some, routes):
    rows = []
    for text, more, asn in some:
        network = ipaddress.ip_network(text)
        rows.append((text, min(network.prefixlen + more, network.max_prefixlen), asn))
    vrps = Snapshot.of(Vrp(parse_prefix(text), most, asn) for text, most, asn in rows)
    assert len(vrps) == len(set(rows))
    for prefix, origin in routes:
        expected = by_the_words(rows, prefix, origin)
        assert vrps.validate(parse_prefix(prefix), origin) is expected
        assert pickle.loads(pickle.dumps(vrps)).validate(parse_prefix(prefix), origin) is expected


def test_one_of_several_origins():
    vrps = Snapshot.of([Vrp(parse_prefix("192.0.2.0/24"), 24, 64500)])
    number = parse_prefix("192.0.2.0/24").address << 8 | 24
    assert vrps.validate_number(number, 1, {64501, 64500}) is Validity.VALID
    assert vrps.validate_number(number, 1, {64501}) is Validity.INVALID


def test_rows_of_another_program(shared):
    rows = map(json.loads, (shared / "vectors" / "bgpfix_rpki.jsonl").read_text().splitlines())
    rows = [row for row in rows if row["kind"] == "rov"]
    assert len(rows) == 15
    for row in rows:
        vrps = Snapshot.of(Vrp(parse_prefix(each["prefix"]), each["max_length"], each["asn"]) for each in row["vrps"])
        found = vrps.validate(parse_prefix(row["prefix"]), row["origin"])
        assert found.name == row["expected"], row["name"]
