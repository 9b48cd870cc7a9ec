"""What is wrong in a request is told with the name of the field, in words of JSON."""

from __future__ import annotations

import pytest

from bgpipe.routeserver.api.peer_handlers import PeersQuery
from bgpipe.routeserver.api.records import NewPeer, decode, decode_query


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('"ip":1', "ip: expected a text, got a whole number"),
        ('"ip":"x"', "asn: is missing"),
        ('"ip":"x","asn":"1"', "asn: expected a whole number, got a text"),
        ('"ip":"x","asn":1.5', "asn: expected a whole number, got a number"),
        ('"ip":"x","asn":1,"lists":"x"', "lists: expected a list or null, got a text"),
        ('"ip":"x","asn":1,"lists":[1]', "lists[0]: expected a text, got a whole number"),
        ('"ip":"x","asn":1,"union":1', "union: expected true or false or null, got a whole number"),
        ('"ip":"x","asn":1,"maxRoutesAction":"eat"', "maxRoutesAction: one of hold, widen is expected"),
        ('"ip":"x","asn":1,"customPrefixes":[{}]', "customPrefixes[0].prefix: is missing"),
        (
            '"ip":"x","asn":1,"customPrefixes":[{"prefix":1}]',
            "customPrefixes[0].prefix: expected a text, got a whole number",
        ),
    ],
)
def test_a_body_with_a_fault(body, said):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        decode(f"{{{body}}}".encode(), NewPeer)
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"asn": "x"}, "asn: expected a whole number or null, got a text"),
        ({"limit": "0"}, "limit: expected a whole number >= 1"),
        ({"status": "x"}, "status: one of active, barred, inactive, pending is expected"),
    ],
)
def test_a_query_with_a_fault(query, said):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        decode_query(query, PeersQuery)
    assert str(raised.value) == said
