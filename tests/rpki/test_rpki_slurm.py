"""Local exceptions (RFC 8416)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_rpki_snapshot import is_inside, vrp, vrps

from bgpipe.rpki.slurm import PrefixFilter, Slurm, SlurmError, parse_slurm
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.rpki.vrps import Vrp
from bgpipe.wire.prefix import parse_prefix


def slurm(filters=(), assertions=(), *, version: int = 1, **more) -> bytes:
    item = {
        "slurmVersion": version,
        "validationOutputFilters": {"prefixFilters": list(filters), "bgpsecFilters": []},
        "locallyAddedAssertions": {"prefixAssertions": list(assertions), "bgpsecAssertions": [{"SKI": "x"}]},
    }
    for key, value in more.items():
        item["validationOutputFilters" if key.endswith("Filters") else "locallyAddedAssertions"][key] = value
    return json.dumps(item).encode()


def test_filters_and_assertions():
    snapshot = Snapshot.of(
        [
            vrp("192.0.2.0/24", 26),
            vrp("192.0.2.0/25"),
            vrp("198.51.100.0/24", asn=64501),
            vrp("2001:db8::/32", asn=64501),
        ],
        {64500: [1], 64501: [2], 64502: [3]},
    )
    said = parse_slurm(
        slurm(
            [{"prefix": "192.0.2.0/25", "comment": "too long"}, {"asn": 64501, "prefix": "2001::/16"}, {"asn": 7}],
            [{"asn": 64509, "prefix": "192.0.2.0/25", "maxPrefixLength": 27}, {"asn": 0, "prefix": "2001:db8:1::/48"}],
            version=2,
            aspaFilters=[{"customerAsid": 64500}, {"customerAsid": 64502}, {"customerAsid": 9}],
            aspaAssertions=[
                {"customerAsid": 64501, "providers": [5]},
                {"customerAsid": 64502, "providers": [6], "comment": "another"},
                {"customerAsid": 64503, "providers": [0]},
            ],
        )
    )
    found = said.apply(snapshot)
    assert {*found.vrps(1), *found.vrps(2)} == {
        vrp("192.0.2.0/24", 26),
        vrp("192.0.2.0/25", 27, 64509),
        vrp("198.51.100.0/24", asn=64501),
        Vrp(parse_prefix("2001:db8:1::/48"), 48, 0),
    }
    assert found.aspas == {64501: (2, 5), 64502: (6,), 64503: (0,)}
    assert Slurm().apply(snapshot) is snapshot


FILTERS = st.lists(
    st.one_of(
        vrps().map(lambda each: PrefixFilter(each.prefix, None)),
        vrps().map(lambda each: PrefixFilter(each.prefix, each.asn)),
        vrps().map(lambda each: PrefixFilter(None, each.asn)),
    ),
    max_size=3,
)


@given(st.lists(vrps(), max_size=20), FILTERS, st.lists(vrps(), max_size=3))
def test_filters_as_the_words_say(there, filters, added):
    def removed(each: Vrp) -> bool:
        return any(
            (said.prefix is None or (said.prefix.afi == each.prefix.afi and is_inside(each.prefix, said.prefix)))
            and (said.asn is None or said.asn == each.asn)
            for said in filters
        )

    found = Slurm(tuple(filters), tuple(added)).apply(Snapshot.of(there))
    assert {*found.vrps(1), *found.vrps(2)} == {each for each in there if not removed(each)} | set(added)


@pytest.mark.parametrize(
    ("octets", "errors"),
    [
        (b"{", ["no JSON"]),
        (b"[" * 9999, ["no JSON"]),
        (b"[]", ["$: an object", "$.slurmVersion: 1 or 2", "$.validationOutputFilters: is missing", "$.locallyAdded"]),
        (slurm(version=3), ["$.slurmVersion: 1 or 2"]),
        (slurm(version=True), ["$.slurmVersion: 1 or 2"]),
        (slurm(aspaFilters=[]), ["$.validationOutputFilters.aspaFilters: unknown"]),
        (slurm(prefixFilters={}), ["$.validationOutputFilters.prefixFilters: a list"]),
        (
            slurm([{}, 5, {"prefix": "192.0.2.0/33"}, {"prefix": 1}, {"asn": -1}, {"asn": True}, {"asn": 1, "as": 2}]),
            [
                "$.validationOutputFilters.prefixFilters[0]: prefix or asn is missing",
                "$.validationOutputFilters.prefixFilters[1]: an object",
                "$.validationOutputFilters.prefixFilters[2].prefix: prefix length must be",
                "$.validationOutputFilters.prefixFilters[3].prefix: a prefix",
                "$.validationOutputFilters.prefixFilters[4].asn: an AS number",
                "$.validationOutputFilters.prefixFilters[5].asn: an AS number",
                "$.validationOutputFilters.prefixFilters[6].as: unknown",
            ],
        ),
        (
            slurm(
                [],
                [
                    {"asn": 1},
                    {"prefix": "192.0.2.0/24"},
                    {"asn": 1, "prefix": "192.0.2.1/24"},
                    {"asn": 1, "prefix": "192.0.2.0/24", "maxPrefixLength": 23},
                    {"asn": 1, "prefix": "192.0.2.0/24", "maxPrefixLength": 33},
                    {"asn": 2**32, "prefix": "#1#192.0.2.0/24", "comment": 5},
                    None,
                ],
            ),
            [
                "$.locallyAddedAssertions.prefixAssertions[0].prefix: a prefix",
                "$.locallyAddedAssertions.prefixAssertions[1].asn: an AS number",
                "$.locallyAddedAssertions.prefixAssertions[2].prefix: bits are set",
                "$.locallyAddedAssertions.prefixAssertions[3].maxPrefixLength: 24 to 32",
                "$.locallyAddedAssertions.prefixAssertions[4].maxPrefixLength: 24 to 32",
                "$.locallyAddedAssertions.prefixAssertions[5].prefix: a prefix",
                "$.locallyAddedAssertions.prefixAssertions[5].asn: an AS number",
                "$.locallyAddedAssertions.prefixAssertions[5].comment: text",
                "$.locallyAddedAssertions.prefixAssertions[6]: an object",
            ],
        ),
        (
            slurm(
                version=2,
                aspaFilters=[{}, 5],
                aspaAssertions=[{"customerAsid": 1, "providers": []}, {"customerAsid": 1, "providers": ["2"]}, []],
            ),
            [
                "$.validationOutputFilters.aspaFilters[0].customerAsid: an AS number",
                "$.validationOutputFilters.aspaFilters[1]: an object",
                "$.locallyAddedAssertions.aspaAssertions[0].providers: a list",
                "$.locallyAddedAssertions.aspaAssertions[1].providers[0]: an AS number",
                "$.locallyAddedAssertions.aspaAssertions[2]: an object",
            ],
        ),
        (
            b'{"slurmVersion":1,"validationOutputFilters":{},"locallyAddedAssertions":[]}',
            [
                "$.validationOutputFilters.bgpsecFilters: is missing",
                "$.validationOutputFilters.prefixFilters: is missing",
                "$.locallyAddedAssertions: an object",
            ],
        ),
    ],
)
def test_every_error_is_told_with_its_place(octets, errors):
    with pytest.raises(SlurmError) as caught:
        parse_slurm(octets)
    found = caught.value.errors
    assert len(found) == len(errors), found
    for text, start in zip(found, errors, strict=True):
        assert text.startswith(start)
    assert str(caught.value).startswith(f"not a SLURM file: {found[0]}")
