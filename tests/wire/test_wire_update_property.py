"""The promise: every UPDATE that decodes gives strict JSON, and that gives the same octets again.

The wire spells some things in two ways where JSON has one. These are all of them:

- bits behind the mask of a prefix: they are cleared (RFC 4271 section 4.3: their value is irrelevant);
- with -g, AS numbers of the other width than the context has: they get the context's.
"""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bgpipe.wire.attrs import KNOWN, MP_REACH, MP_UNREACH, TABLE
from bgpipe.wire.attrs.attribute import Attribute, attribute_from_json, encode_header
from bgpipe.wire.context import AS2, AS2_ADD_PATH, AS4, AS4_ADD_PATH, WireContext
from bgpipe.wire.errors import TextError, WireError
from bgpipe.wire.family import IPV4_UNICAST, Family
from bgpipe.wire.prefix import AFI_BITS, decode_prefixes, encode_prefixes
from bgpipe.wire.update import Update
from bgpipe.wire.update_body import join, split_attributes

contexts = st.sampled_from((AS4, AS2, AS4_ADD_PATH, AS2_ADD_PATH))
numbers = st.integers(0, 0xFFFFFFFF) | st.integers(0, 0xFFFF)


@st.composite
def nlri(draw: st.DrawFn, afi: int, add_path: bool) -> bytes:
    """Prefixes as NLRI, whatever is behind their masks."""
    octets = []
    for length in draw(st.lists(st.integers(0, AFI_BITS[afi]), max_size=4)):
        size = (length + 7) // 8
        path_id = draw(st.binary(min_size=4, max_size=4)) if add_path else b""
        octets.append(path_id + bytes((length,)) + draw(st.binary(min_size=size, max_size=size)))
    return b"".join(octets)


@st.composite
def segments(draw: st.DrawFn, width: int) -> bytes:
    octets = []
    for _ in range(draw(st.integers(0, 3))):
        count = draw(st.sampled_from((1, 2, 3, 255)))
        kind = draw(st.integers(1, 4))
        ases = [draw(numbers) & ((1 << 8 * width) - 1)] * count
        octets.append(bytes((kind, count)) + b"".join(asn.to_bytes(width, "big") for asn in ases))
    return b"".join(octets)


@st.composite
def values(draw: st.DrawFn, code: int, context: WireContext) -> bytes:
    """A likely value for an attribute, or any octets."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=30))
    match code:
        case 1:
            return bytes((draw(st.integers(0, 4)),))
        case 2:
            return draw(segments(4 if context.as4 else 2))
        case 17:
            return draw(segments(4))
        case 3 | 4 | 5 | 9 | 35:
            return draw(st.binary(min_size=4, max_size=4))
        case 7 | 18:
            return draw(st.binary(min_size=6, max_size=8))
        case 14 | 15:
            family = Family(draw(st.sampled_from((1, 2))), draw(st.sampled_from((1, 2))))
            octets = draw(nlri(family.afi, family in context.add_path))
            if code == 14:
                size = draw(st.sampled_from((4, 16, 24, 32, 48) if family.afi == 1 else (16, 24, 32, 48)))
                hop = draw(st.binary(min_size=size, max_size=size) | st.just(bytes(size)))
                octets = bytes((size,)) + hop + bytes((draw(st.sampled_from((0, 0, 0, 1))),)) + octets
            return family.afi.to_bytes(2, "big") + bytes((family.safi,)) + octets
    unit = {8: 4, 10: 4, 16: 8, 32: 12}.get(code, 1)
    return draw(st.binary(max_size=320 // unit).map(lambda octets: octets[: len(octets) // unit * unit]))


@st.composite
def attributes(draw: st.DrawFn, context: WireContext) -> Attribute:
    code = draw(st.sampled_from(sorted(KNOWN)) | st.integers(0, 255))
    octets = draw(values(code, context))
    flags = draw(st.just(TABLE[code].default) | st.integers(0, 255))
    return Attribute(flags, code, octets, context)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, WireContext]:
    context = draw(contexts)
    add_path = IPV4_UNICAST in context.add_path
    found = draw(st.lists(attributes(context), max_size=6))
    section = b"".join(attribute.encode() for attribute in found)
    if draw(st.integers(0, 9)) == 0:
        section = section[: draw(st.integers(0, len(section)))]
    return join(draw(nlri(1, add_path)), section, draw(nlri(1, add_path))), context


def masked(octets: bytes, afi: int, add_path: bool) -> bytes:
    return encode_prefixes(decode_prefixes(octets, afi, add_path), afi, add_path)


def one_spelling(body: bytes, context: WireContext) -> bytes:
    """The body with the bits behind masks cleared, where JSON shows prefixes."""
    withdrawn, section, reach = Update(body, context).parts()
    add_path = IPV4_UNICAST in context.add_path
    try:
        found = [Attribute(*one, context) for one in split_attributes(section, 0, len(section))]
    except WireError:
        found = []
    if found:  # an attribute that stands there again has no form in JSON but its octets
        first = [one.code not in {before.code for before in found[:place]} for place, one in enumerate(found)]
        section = b"".join(
            (spell(one, context) if new else one).encode() for one, new in zip(found, first, strict=True)
        )
    return join(masked(withdrawn, 1, add_path), section, masked(reach, 1, add_path))


def spell(one: Attribute, context: WireContext) -> Attribute:
    shown = json.loads("{" + one.format_json() + "}")[one.name]["value"]
    if one.code not in (MP_REACH, MP_UNREACH) or not isinstance(shown, dict) or "prefixes" not in shown:
        return one
    value = one.value
    clean = value._replace(nlri=masked(value.nlri, value.family.afi, value.add_path))
    return Attribute(one.flags, one.code, TABLE[one.code].codec.encode(clean, context), context)


TWICE = "00000011 800000800000 800f08 000101000000 0101"
"""An attribute that stands there again, before withdrawn routes with a bit behind the mask."""


@given(bodies())
@example((bytes.fromhex(TWICE), AS4))
def test_octets_come_back(case):
    body, context = case
    text = Update.decode(body, context).format_json()
    item = json.loads(text, parse_constant=pytest.fail)
    assert text.isascii()
    assert text.isprintable()
    assert Update.from_json(item, context) == one_spelling(body, context)
    assert Update.from_json(msgspec.json.decode(text), context) == one_spelling(body, context)
    assert Update.decode(body, context).format_json() == text


@given(st.binary(max_size=60), contexts)
def test_anything_is_json_or_a_wire_error(octets, context):
    update = Update.decode(octets, context)
    try:
        text = update.format_json()
    except WireError:
        assert update.reaction is not None
        return
    assert Update.from_json(json.loads(text), context) == one_spelling(octets, context)


@given(contexts.flatmap(lambda context: st.tuples(attributes(context), st.just(context))))
def test_values_come_back_from_octets(case):
    """decode and encode of every codec are each other's inverse, where a value can be decoded."""
    one, context = case
    try:
        value = one.value
    except WireError:
        return
    assert TABLE[one.code].codec.encode(value, context) == one.octets


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "flags",
                        "value",
                        "type",
                        "af",
                        "prefixes",
                        "data",
                        "nh",
                        "nexthop",
                        "asn",
                        "addr",
                        "confed_set",
                        "terminal",
                    ]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    ),
    st.sampled_from([TABLE[code].name for code in sorted(KNOWN)]),
)
def test_any_json_is_octets_or_a_text_error(item, name):
    try:
        one = attribute_from_json(name, item, AS4)
    except TextError:
        return
    assert encode_header(one.flags, one.code, len(one.octets)) + one.octets == one.encode()


@given(bodies())
def test_recoding_says_the_same(case):
    body, context = case
    update = Update(body, context)
    other = context._replace(as4=not context.as4)
    again = Update(update.encode(other), other)
    assert again.nlri == update.nlri
    assert again.withdrawn_routes == update.withdrawn_routes
    if {2, 7, 17, 18}.isdisjoint(update.attrs):
        assert again.body == body
