"""Paths verified by ASPAs: rows of other programs, a second and slow implementation, blocks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_rpki_origin import block_of, update

from bgpipe.rpki.aspa import ROLES, Hop, Neighbour, PathValidity, PathVerdict, hop, judge_block, verify
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.wire.attrs import as_path
from bgpipe.wire.message import UPDATE, Message
from bgpipe.wire.peer import make_peer
from bgpipe.wire.tags import TagTable

ROLE = {"upstream": "customer", "downstream": "provider"}
INVALID = PathVerdict(PathValidity.INVALID)


def rows(shared, kind: str) -> list[dict]:
    found = []
    for name in ("openbgpd_aspa", "bgpfix_rpki"):
        for line in (shared / "vectors" / f"{name}.jsonl").read_text().splitlines():
            row = json.loads(line)
            if row["kind"] == kind:
                if isinstance(row["aspas"], str):
                    row["aspas"] = json.loads((shared / "vectors" / row["aspas"]).read_text())["aspas"]
                row["aspas"] = {int(customer): providers for customer, providers in row["aspas"].items()}
                found.append(row)
    return found


def test_hops_of_other_programs(shared):
    found = rows(shared, "aspa-hop")
    assert len(found) > 20
    names = {"PROVIDER": Hop.PROVIDER, "NOT_PROVIDER": Hop.NOT_PROVIDER, "NO_RECORD": Hop.NO_ATTESTATION}
    for row in found:
        expected = names.get(row["expected"], Hop.NO_ATTESTATION)
        assert hop(Snapshot.of(aspas=row["aspas"]), row["cas"], row["pas"]) is expected, row["id"]


def test_paths_of_other_programs(shared):
    found = rows(shared, "aspa-path")
    assert sum(row["id"].startswith("openbgpd") for row in found) == 44
    for row in found:
        path = as_path.from_json(row["path"])
        neighbour = Neighbour(ROLE[row["procedure"]], row["path"][0] if row["path"] else 0)
        verdict = verify(Snapshot.of(aspas=row["aspas"]), path, neighbour)
        assert verdict.validity.name == row["expected"], row["id"]
        if "failing_hop" in row:
            assert verdict.hop == tuple(row["failing_hop"]), row["id"]


ASES = st.integers(1, 5)
TABLES = st.dictionaries(ASES, st.lists(st.integers(0, 5), max_size=4), max_size=5)


def slowly(aspas: dict[int, list[int]], path: list[int], role: str) -> PathValidity:
    """The definition: of all ways to cut the path into one that goes up and one that goes down, the best one counts."""

    def good(customer: int, provider: int) -> int:
        if customer not in aspas:
            return 1
        return 2 if provider in aspas[customer] else 0

    path = [asn for place, asn in enumerate(path) if place == 0 or path[place - 1] != asn]
    last = len(path) - 1
    best = 0
    for down_end in range(last + 1):
        for up_end in (down_end, down_end + 1):
            if up_end > last or (role != "provider" and up_end):
                continue
            ups = [good(path[place], path[place - 1]) for place in range(up_end + 1, last + 1)]
            downs = [good(path[place], path[place + 1]) for place in range(down_end)]
            best = max(best, min(ups + downs, default=2))
    return (PathValidity.INVALID, PathValidity.UNKNOWN, PathValidity.VALID)[best]


@given(TABLES, st.lists(ASES, min_size=1, max_size=7), st.sampled_from(ROLES))
def test_the_definition(aspas, path, role):
    snapshot = Snapshot.of(aspas=aspas)
    verdict = verify(snapshot, as_path.make_path(*path), Neighbour(role, path[0]))
    assert verdict.validity is slowly(aspas, path, role)
    assert (verdict.hop is not None) == (verdict.validity is PathValidity.INVALID)
    if verdict.hop is not None:
        assert hop(snapshot, *verdict.hop) is Hop.NOT_PROVIDER


@pytest.mark.parametrize("role", ROLES)
def test_what_is_never_valid(role):
    snapshot = Snapshot.of(aspas={65002: [65001]})
    neighbour = Neighbour(role, 65001)
    for path in ([], [65001, [65002]], [{"confed_sequence": [65001]}], [65001, {"confed_set": [65002]}, 65003]):
        assert verify(snapshot, as_path.from_json(path), neighbour) == INVALID
    assert verify(snapshot, None, neighbour) == INVALID
    other = as_path.make_path(65002)
    assert verify(snapshot, other, neighbour).validity is (PathValidity.VALID if role == "rs" else PathValidity.INVALID)
    assert verify(snapshot, other, neighbour, first_hop=False).validity is PathValidity.VALID
    assert verify(snapshot, other, Neighbour(role)).validity is PathValidity.VALID
    assert verify(snapshot, as_path.make_path(65001, 65001), neighbour).validity is PathValidity.VALID


def test_as_0_is_no_provider():
    snapshot = Snapshot.of(aspas={65001: [0]})
    assert hop(snapshot, 65001, 0) is Hop.NOT_PROVIDER


SNAPSHOT = Snapshot.of(aspas={65002: [65009], 65003: [65001]})


def messages():
    paths = [[65001, 65003], [65001, 65002], [65001, 65004], [65002], []]
    found = [Message(UPDATE, update("198.51.100.0/24", path=path).body, direction="R") for path in paths]
    found.append(Message(UPDATE, update().body, direction="R"))
    found.append(Message(UPDATE, b"\0\0\0\0\xff", direction="R"))
    found.append(Message(UPDATE, update("2001:db8::/32", path=[65001]).body, direction="L"))
    return [*found, Message(4, direction="R")]


@pytest.mark.parametrize("neighbour", [Neighbour("customer", 65001), Neighbour("customer", tag="PEER_AS")])
def test_blocks(neighbour):
    said = {"PEER_AS": "65001"}
    block = block_of(*messages(), peer=make_peer(65001, bytes(4), 0, bytes(4), b"\0\0"))
    judged = judge_block(SNAPSHOT, block, {"R": neighbour})
    assert [message.tags for message in judged.block] == [
        said | {"aspa/status": "VALID"},
        said | {"aspa/status": "INVALID", "aspa/invalid-hop": "65002 65001"},
        said | {"aspa/status": "UNKNOWN"},
        said | {"aspa/status": "INVALID"},
        said | {"aspa/status": "INVALID"},
        said,
        said,
        said,
        said,
    ]
    assert judged.invalid == [1, 3, 4]
    assert judged.counts == {PathValidity.VALID: 1, PathValidity.INVALID: 3, PathValidity.UNKNOWN: 1}
    bare = judge_block(SNAPSHOT, block, {"R": neighbour}, tag=False, first_hop=False)
    assert bare.block is block
    assert bare.invalid == [1, 4]
    again = judge_block(Snapshot.of(aspas={65009: [1]}), judged.block, {"R": neighbour})
    assert list(again.block)[1].tags == said | {"aspa/status": "UNKNOWN"}


@pytest.mark.parametrize("text", ["", "x", "0", "4294967296", "99999999999999999999", "-1", "٣"])
def test_a_tag_that_is_no_as_number(text):
    message = messages()[0]
    message.tags = {"WHO": text} if text else {}
    assert not any(judge_block_of(message).counts.values())


def judge_block_of(message: Message):
    block = block_of(message)
    table = TagTable()
    entry = table.enter(message.tags, None)
    return judge_block(SNAPSHOT, block.tagged({0: entry}, table), {"R": Neighbour("customer", tag="WHO")})
