"""An UPDATE located in one pass: where its sections and attributes are, and that they are well-formed and common.

`locate` says yes only where every later read is without doubt: known attributes with the flags that the table says
(RFC 4271 section 4.3, extended length allowed), each at most once, with a length that it says; AS_PATH segments
and prefixes that end where their section ends; MP_REACH and MP_UNREACH of IPv4 and IPv6 unicast and multicast with
next hops of 4, 16 or 32 octets. Anything else is for the Python codec, which alone judges.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .attributes cimport (
    AGGREGATOR, AS4_AGGREGATOR, AS4_PATH, AS_PATH, EXTENDED, KNOWN_ATTRIBUTES, MP_REACH, MP_UNREACH, NEXT_HOP, OPTIONAL,
    ORIGIN, OTC, PARTIAL, RULES, TRANSITIVE, Rule, sound_length,
)
from .block cimport ADD_PATH, ADD_PATH_IPV4, ADD_PATH_IPV6, AS4, MESSAGE_HEADER
from .octets cimport Reader, left, reader, skip, sub, take, u8, u16, u32


cdef enum:
    AS_SET = 1
    AS_SEQUENCE = 2


cdef enum:
    OBJECTS = 1 << 15  # beside the flags of an entry: MP_REACH and MP_UNREACH may be of families in locate_objects, and
                       # other attributes than those that accel knows are located, not looked at: they are `foreign`
    MOST_FOREIGN = 8


cdef struct Attribute:
    uint8_t code
    uint8_t flags
    bint foreign
    Reader value


cdef struct Mp:
    uint16_t afi
    uint8_t safi
    bint add_path
    Reader next_hop  # empty in MP_UNREACH
    Reader nlri


cdef struct Update:
    bint as4        # AS numbers have 4 octets
    unsigned flags  # of its entry
    bint add_path   # prefixes of withdrawn routes and NLRI follow a path identifier
    Reader withdrawn
    Reader nlri
    uint64_t seen   # bit n: attribute n is there
    uint32_t count  # attributes, in wire order
    uint32_t foreign  # so many of them
    Attribute attributes[KNOWN_ATTRIBUTES + MOST_FOREIGN]
    uint8_t where[64]  # of each attribute seen: its place in `attributes`
    Mp reach        # valid if MP_REACH was seen
    Mp unreach      # valid if MP_UNREACH was seen


cdef inline bint has(const Update* u, int code) noexcept nogil:
    """Whether the attribute is there."""
    return (u.seen >> code) & 1


cdef inline Reader value_of(const Update* u, int code) noexcept nogil:
    """The value of an attribute; an empty reader if it isn't there."""
    if not has(u, code):
        return reader(u.nlri.base, 0, 0)
    return u.attributes[u.where[code]].value


cdef inline bint sound_prefixes(Reader r, unsigned bits, bint add_path) noexcept nogil:
    """Whether the octets are prefixes of at most `bits` bits, to the last (RFC 4271 section 4.3, RFC 7911)."""
    cdef unsigned length
    while left(&r):
        if add_path:
            skip(&r, 4)
        length = u8(&r)
        if length > bits:
            return False
        skip(&r, (length + 7) >> 3)
    return not r.failed


cdef inline bint sound_path(Reader r, unsigned width) noexcept nogil:
    """Whether the octets are AS_SET and AS_SEQUENCE segments of AS numbers of `width` octets, to the last.

    Empty segments and a sequence after a sequence are for Python: their text doesn't say how they were split.
    """
    cdef unsigned kind, before = 0, count
    while left(&r):
        kind = u8(&r)
        count = u8(&r)
        if count == 0 or (kind != AS_SEQUENCE and kind != AS_SET) or (kind == AS_SEQUENCE and before == AS_SEQUENCE):
            return False
        before = kind
        skip(&r, count * width)
    return not r.failed


cdef inline bint has_path_ids(unsigned flags, unsigned afi, unsigned safi) noexcept nogil:
    """Whether prefixes of a family follow a path identifier, by the flags of an entry."""
    if flags & ADD_PATH:
        return True
    return safi == 1 and (flags & (ADD_PATH_IPV4 if afi == 1 else ADD_PATH_IPV6)) != 0


cdef inline void put_reader(Reader* to, const uint8_t* base, size_t pos, size_t end) noexcept nogil:
    """Field by field: to copy a whole reader, the processor would wait until its fields, just written, are in memory."""
    to.base = base
    to.pos = pos
    to.end = end
    to.failed = False


cdef inline bint has_objects(unsigned afi, unsigned safi) noexcept nogil:
    """Whether the NLRI of a family are objects in JSON (the table of bgpipe.wire.nlri)."""
    if afi == 25:
        return safi == 65 or safi == 70
    if afi != 1 and afi != 2:
        return False
    return (
        safi == 4 or safi == 5 or safi == 73 or safi == 128 or safi == 129 or safi == 133 or safi == 134
        or safi == 132 and afi == 1
    )


cdef inline bint locate_objects(Mp* mp, Reader r, bint is_reach, unsigned flags) noexcept nogil:
    """The rest of MP_REACH_NLRI or MP_UNREACH_NLRI whose NLRI are objects. Where these are is all that is found: who
    reads them checks them."""
    cdef size_t size = 0
    cdef bint vpn = mp.safi == 128 or mp.safi == 129
    cdef Reader distinguisher
    if not has_objects(mp.afi, mp.safi):
        return False
    if is_reach:
        size = u8(&r)
    if is_reach and vpn:
        distinguisher = sub(&r, 8)
        if u32(&distinguisher) != 0 or u32(&distinguisher) != 0 or distinguisher.failed or size != 12 and size != 24:
            return False
        size -= 8
    elif is_reach and size != 4 and size != 16 and size != 32 and (size != 0 or mp.safi < 133):  # FlowSpec needs none
        return False
    mp.next_hop = sub(&r, size)
    if is_reach and u8(&r) != 0 or r.failed:
        return False
    put_reader(&mp.nlri, r.base, r.pos, r.end)
    mp.add_path = has_path_ids(flags, mp.afi, mp.safi)
    return True


cdef inline bint locate_mp(Mp* mp, Reader r, bint is_reach, unsigned flags) noexcept nogil:
    """MP_REACH_NLRI or MP_UNREACH_NLRI (RFC 4760 sections 3 and 4, next hops of RFC 2545 and RFC 8950)."""
    cdef size_t size = 0
    mp.afi = u16(&r)
    mp.safi = u8(&r)
    if mp.afi != 1 and mp.afi != 2 or mp.safi != 1 and mp.safi != 2:
        return flags & OBJECTS and locate_objects(mp, r, is_reach, flags)
    if is_reach:
        size = u8(&r)
        if size != 16 and size != 32 and (size != 4 or mp.afi == 2):
            return False
    mp.next_hop = sub(&r, size)
    if is_reach and u8(&r) != 0:
        return False
    if r.failed:
        return False
    put_reader(&mp.nlri, r.base, r.pos, r.end)
    mp.add_path = has_path_ids(flags, mp.afi, mp.safi)
    return sound_prefixes(mp.nlri, 32 if mp.afi == 1 else 128, mp.add_path)


cdef inline bint sound_value(Update* u, int code, Reader value) noexcept nogil:
    """Whether a value has the structure that its attribute must have; for those whose length doesn't say it all."""
    if code == ORIGIN:
        return u8(&value) <= 2
    if code == AS_PATH:
        return sound_path(value, 4 if u.as4 else 2)
    if code == MP_REACH:
        return locate_mp(&u.reach, value, True, u.flags)
    if code == MP_UNREACH:
        return locate_mp(&u.unreach, value, False, u.flags)
    return code == AS4_PATH and sound_path(value, 4)


cdef inline bint pass_foreign(Update* u, uint32_t count, const uint8_t* header, Reader* r, size_t size) noexcept nogil:
    """An attribute that is located only, behind `count` others, its value next in `r`; False declines."""
    cdef Attribute* attribute = &u.attributes[count]
    cdef uint32_t i
    if not u.flags & OBJECTS or u.foreign == MOST_FOREIGN:
        return False
    for i in range(count):
        if u.attributes[i].code == header[1]:
            return False
    u.foreign += 1
    attribute.flags = header[0]
    attribute.code = header[1]
    attribute.foreign = True
    put_reader(&attribute.value, r.base, r.pos, r.pos + size)
    return skip(r, size)


cdef inline bint locate_attributes(Update* u, Reader r) noexcept nogil:
    """Attributes, to the last octet of `r`."""
    cdef Attribute* attribute
    cdef const Rule* rules = &RULES[1 if u.as4 else 0][0]
    cdef const Rule* rule
    cdef const uint8_t* header
    cdef uint64_t seen = 0
    cdef uint32_t count = 0, size
    cdef size_t start
    cdef unsigned code, flags, odd
    u.foreign = 0
    while left(&r):
        header = take(&r, 3)
        if header == NULL:
            return False
        flags = header[0]
        code = header[1]
        size = header[2]
        if flags & EXTENDED:
            size = size << 8 | u8(&r)
        rule = &rules[code]
        if flags != rule.flags:
            odd = (flags & ~(<unsigned> EXTENDED)) ^ rule.flags
            if odd != 0 and (odd != PARTIAL or rule.flags != (OPTIONAL | TRANSITIVE)):
                if rule.flags or not pass_foreign(u, count, header, &r, size):
                    return False
                count += 1
                continue
        if not sound_length(rule, size) or (seen >> code) & 1:
            return False
        attribute = &u.attributes[count]
        attribute.code = <uint8_t> code
        attribute.flags = <uint8_t> flags
        attribute.foreign = False
        start = r.pos
        if not skip(&r, size):
            return False
        put_reader(&attribute.value, r.base, start, r.pos)
        if rule.looks and not sound_value(u, code, reader(r.base, start, r.pos)):
            r.pos = start
            if code != MP_REACH and code != MP_UNREACH or not pass_foreign(u, count, header, &r, size):
                return False
        u.where[code] = <uint8_t> count
        seen |= <uint64_t> 1 << code
        count += 1
    u.seen = seen
    u.count = count
    return not r.failed


cdef inline bint locate(Update* u, Reader message, unsigned flags) noexcept nogil:
    """Fills `u` from a whole UPDATE message, `flags` being its entry's; False declines."""
    skip(&message, MESSAGE_HEADER)
    return locate_body(u, message, flags)


cdef inline bint locate_body(Update* u, Reader r, unsigned flags) noexcept nogil:
    """Fills `u` from an UPDATE without its message header (RFC 4271 section 4.3); False declines."""
    cdef Reader attributes
    u.as4 = (flags & AS4) != 0
    u.flags = flags
    u.add_path = has_path_ids(flags, 1, 1)
    u.withdrawn = sub(&r, u16(&r))
    attributes = sub(&r, u16(&r))
    put_reader(&u.nlri, r.base, r.pos, r.end)
    return (
        not r.failed
        and locate_attributes(u, attributes)
        and sound_prefixes(u.withdrawn, 32, u.add_path)
        and sound_prefixes(u.nlri, 32, u.add_path)
    )


cdef inline bint has_as_0(Reader path, unsigned width) noexcept nogil:
    """Whether AS 0 is in a sound AS_PATH or AS4_PATH."""
    cdef unsigned count
    while left(&path):
        skip(&path, 1)
        for count in range(u8(&path)):
            if (u32(&path) if width == 4 else u16(&path)) == 0:
                return True
    return False


cdef inline bint aggregated_by_0(Reader value, unsigned width) noexcept nogil:
    return left(&value) and (u32(&value) if width == 4 else u16(&value)) == 0


cdef inline bint plausible(const Update* u) noexcept nogil:
    """Whether an UPDATE that `locate` has found well-formed also has no error for wire/validation.py: the mandatory
    attributes are there (RFC 7606 section 3(d)), the next hop is a host's (RFC 4271 section 6.3), and there is no
    AS 0 (RFC 7607)."""
    cdef unsigned width = 4 if u.as4 else 2, first
    cdef Reader value
    if left(&u.nlri) or has(u, MP_REACH):
        if not has(u, ORIGIN) or not has(u, AS_PATH) or left(&u.nlri) and not has(u, NEXT_HOP):
            return False
    if has(u, NEXT_HOP):
        value = value_of(u, NEXT_HOP)
        first = u8(&value)
        if first == 0 or first == 127 or first >= 224:
            return False
    if has(u, OTC):
        value = value_of(u, OTC)
        if u32(&value) == 0:
            return False
    return not (
        has_as_0(value_of(u, AS_PATH), width)
        or has_as_0(value_of(u, AS4_PATH), 4)
        or aggregated_by_0(value_of(u, AGGREGATOR), width)
        or aggregated_by_0(value_of(u, AS4_AGGREGATOR), 4)
    )
