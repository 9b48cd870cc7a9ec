"""UPDATEs that are filled to the last octet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import SETS

from bgpipe.routes import packing, partition
from bgpipe.routes.attributes import PLAIN, Attributes, UpdateGroup, head, why_not
from bgpipe.routes.prefixes import PrefixSet
from bgpipe.routes.steps import finish
from bgpipe.wire.attrs import AS4_PATH, COMMUNITY, LOCAL_PREF, MP_REACH, NEXT_HOP, OTC
from bgpipe.wire.context import AS2, AS4, WireContext

MANY = PrefixSet.parse(f"10.{high}.{low}.0/24" for high in range(20) for low in range(256))
MANY_IPV6 = PrefixSet.parse(f"2001:db8:{number:x}::/48" for number in range(3000))
FORM = UpdateGroup(65000, "192.0.2.1", "2001:db8::1")


def messages(blocks):
    return [message for block in blocks for message in block]


@pytest.mark.parametrize("context", [AS4, WireContext(extended_message=True)])
@pytest.mark.parametrize(("prefixes", "afi", "octets"), [(MANY, 1, 4), (MANY_IPV6, 2, 7)])
def test_messages_are_full(prefixes, afi, octets, context):
    how = head(PLAIN, FORM._replace(context=context), afi)
    packed = packing.announce(prefixes.numbers(afi), afi, how)
    found = messages(packed.blocks)
    assert all(context.max_message - octets < len(message.octets) <= context.max_message for message in found[:-1])
    assert len(found) == -(-len(prefixes) // (how.room // octets))
    assert [str(prefix) for message in found for prefix in message.update.reach] == list(prefixes)
    assert all(len(block.octets) <= packing.MAX_BLOCK for block in packed.blocks)
    gone = messages(packing.withdraw(prefixes.numbers(afi), afi, context))
    assert [str(prefix) for message in gone for prefix in message.update.withdrawn] == list(prefixes)
    assert all(context.max_message - octets < len(message.octets) <= context.max_message for message in gone[:-1])


@given(SETS)
def test_prefixes_of_any_length(prefixes):
    for afi in (1, 2):
        order, counts = packing.packing_order(prefixes.numbers(afi), afi)
        *_, packed = packing.announcing(order, counts, afi, head(PLAIN, FORM, afi))
        reach = [prefix for message in messages(packed.blocks) for prefix in message.update.reach]
        assert PrefixSet.from_prefixes(reach).numbers(afi) == prefixes.numbers(afi)
        assert len(reach) == len(order)
        assert [packing.place_of(number, order, counts) for number in order] == list(range(len(order)))
        assert packing.place_of(7 << 8 | 32, order, counts) == -1


def test_attributes_of_each_form():
    attributes = Attributes(
        frozenset({2, 1}), frozenset({(65000, 1, 2)}), frozenset({0x0002FDE800000064}), 50, 1, "192.0.2.9"
    )

    def update(form, afi=1):
        how = head(attributes, form, afi)
        (message,) = messages(packing.announce((MANY if afi == 1 else MANY_IPV6).numbers(afi)[:1], afi, how).blocks)
        assert message.update.check("internal" if form.internal else "external") == []
        return message.update

    plain = update(FORM)
    assert plain.communities == ["0:1", "0:2"]
    assert plain.large_communities == ["65000:1:2"]
    assert len(plain.ext_communities) == 1
    assert (plain.med, plain.next_hop, plain.as_path.hops) == (50, "192.0.2.9", (65000, 65000))
    assert plain.local_pref is None
    assert list(plain.attrs) == sorted(plain.attrs)
    ipv6 = update(FORM, 2)
    assert (ipv6.next_hop, NEXT_HOP in ipv6.attrs, next(iter(ipv6.attrs))) == ("2001:db8::1", False, MP_REACH)
    internal = update(FORM._replace(internal=True))
    assert (internal.as_path.hops, internal.value(LOCAL_PREF)) == ((65000,), 100)
    old = update(FORM._replace(asn=4200000000, context=AS2))
    assert AS4_PATH in old.attrs
    assert old.as_path.hops == (4200000000, 4200000000)
    assert update(FORM._replace(otc=65000)).value(OTC) == 65000


def test_ipv4_with_an_ipv6_next_hop():
    """RFC 8950."""
    form = FORM._replace(next_hop_ipv4="2001:db8::1")
    how = head(PLAIN, form, 1)
    for message in messages(packing.announce(MANY.ipv4, 1, how).blocks):
        assert NEXT_HOP not in message.update.attrs
        assert message.update.next_hop == "2001:db8::1"
        assert message.update.family.afi == 1
        assert message.update.nlri == []
    withdrawn = messages(packing.withdraw(MANY.ipv4, 1, AS4, multiprotocol=True))
    assert [str(prefix) for message in withdrawn for prefix in message.update.withdrawn] == list(MANY)
    assert withdrawn[0].update.withdrawn_routes == []


def test_routes_without_a_next_hop_are_not_announced():
    assert head(PLAIN, UpdateGroup(65000, "192.0.2.1"), 2) is None
    assert head(Attributes(next_hop_ipv6="self"), UpdateGroup(65000, "192.0.2.1"), 2) is None
    assert head(Attributes(next_hop_ipv6="2001:db8::9"), UpdateGroup(65000), 2) is not None


def test_attributes_that_leave_no_room():
    many = Attributes(frozenset(range(1012)))
    assert head(many, FORM, 1) is None
    assert why_not(many, FORM, 1) == "path attributes leave no room for a prefix in an UPDATE"
    some = Attributes(frozenset(range(1000)))
    found = messages(packing.announce(MANY.ipv4[:50], 1, head(some, FORM, 1)).blocks)
    assert sum(len(message.update.reach) for message in found) == 50
    assert COMMUNITY in found[0].update.attrs


def test_joined_attributes():
    first = Attributes(frozenset({1}), med=1, next_hop_ipv4="192.0.2.1")
    second = Attributes(frozenset({2}), frozenset({(1, 2, 3)}), med=2, prepends=0, next_hop_ipv6="2001:db8::1")
    assert first.joined(second) == Attributes(
        frozenset({1, 2}), frozenset({(1, 2, 3)}), frozenset(), 1, 0, "192.0.2.1", "2001:db8::1"
    )
    assert PLAIN.joined(first) == first.joined(PLAIN) == first


def numbers(places: int, lengths: st.SearchStrategy[int]) -> st.SearchStrategy[set[int]]:
    return st.sets(st.builds(lambda place, length: place << 8 | length, st.integers(0, places), lengths))


NUMBERS = {1: numbers(40, st.integers(0, 32)), 2: numbers(9, st.sampled_from([0, 7, 8, 64, 128]))}


@pytest.mark.parametrize("afi", [1, 2])
@given(data=st.data())
def test_an_order_that_is_edited_is_that_of_the_numbers(afi, data):
    before, after = data.draw(NUMBERS[afi]), data.draw(NUMBERS[afi])
    order, counts = packing.packing_order(sorted(before), afi)
    edited = packing.edited(order, counts, sorted(before - after), sorted(after - before))
    wanted = packing.packing_order(sorted(after), afi)
    assert (list(edited[0]), edited[1]) == (list(wanted[0]), wanted[1])


@given(NUMBERS[1], NUMBERS[1], st.integers(1, 5))
def test_what_differs_is_found_in_steps(old, new, step):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "_STEP", step)
        assert finish(partition._different(sorted(old), sorted(new))) == sorted(old ^ new)
