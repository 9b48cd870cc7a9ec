"""UPDATEs of a block without some of the routes that they announce, as bgpipe.wire.routes_apart makes them.

Declined are those that one message of the usual length can't hold, and those whose MP_UNREACH_NLRI is of another family
than their MP_REACH_NLRI.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from .attributes cimport EXTENDED, MP_REACH, MP_UNREACH, OPTIONAL
from .block cimport CHECKED, MALFORMED, MESSAGE_HEADER, Entry, message_of
from .octets cimport Reader, Writer, close_writer, left, open_writer, reader, room, skip, u8, wrote
from .update cimport Attribute, Update, has, locate


cdef enum:
    UPDATE = 2
    MOST_OCTETS = 4096  # of a message (RFC 4271 section 4.1)
    LAST_PLACE = 0xFFFFFFFE


cdef enum Outcome:
    CUT
    EMPTY  # nothing is left to say
    DECLINED


cdef struct Routes:
    uint8_t octets[MOST_OCTETS]
    size_t size


cdef struct Work:
    Update update
    Routes stay[2]  # of the NLRI field, of MP_REACH_NLRI
    Routes gone[2]


def cut_routes(bytes octets not None, bytearray index not None, list positions not None, list gone, bint withdraw):
    """(octets, index, empty, declined): of the block in which the UPDATEs at these positions announce less.

    gone: for each position an octet for each route of the unicast families, those of the NLRI field first: 1 if it goes,
    0 if it stays. None if all of all messages go. withdraw: they are withdrawn. empty: positions of messages with nothing left; declined: of those that
    are as before. Raises MemoryError.
    """
    cdef bytearray new = bytearray(index)
    cdef Entry* entries = <Entry*> PyByteArray_AS_STRING(new)
    cdef size_t count = len(new) // sizeof(Entry), size = PyBytes_GET_SIZE(octets), position, number = 0
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef Reader marks = reader(NULL, 0, 0)
    cdef bytes said
    cdef list empty = [], declined = []
    cdef Work* work = <Work*> calloc(1, sizeof(Work))
    cdef Outcome outcome
    cdef Writer w
    cdef uint8_t* p
    if work == NULL:
        raise MemoryError
    try:
        if gone is not None and len(gone) != len(positions):
            raise ValueError("octets for each position are expected")
        open_writer(&w, size + size // 4)
        p = room(&w, size)
        if p == NULL:
            raise MemoryError
        memcpy(p, base, size)
        wrote(&w, p + size)
        for position in positions:
            if position >= count:
                raise ValueError("there is no message at this position")
            if gone is not None:
                said = <bytes?> gone[number]
                marks = reader(<const uint8_t*> PyBytes_AS_STRING(said), 0, PyBytes_GET_SIZE(said))
                number += 1
            outcome = cut(work, base, size, &entries[position], &marks, gone is None, withdraw, &w)
            if outcome == EMPTY:
                empty.append(position)
            elif outcome == DECLINED:
                declined.append(position)
        return close_writer(&w), new, empty, declined
    finally:
        free(work)


cdef Outcome cut(
    Work* work, const uint8_t* base, size_t size, Entry* entry, Reader* marks, bint all, bint withdraw, Writer* w
) noexcept nogil:
    """Writes what is left of one message behind all others, and changes its entry."""
    cdef Reader message = message_of(base, size, entry)
    cdef Update* u = &work.update
    cdef Reader nlri
    cdef uint8_t* start
    cdef uint8_t* p
    cdef size_t place = w.used
    if message.failed or left(&message) > MOST_OCTETS or base[entry.offset + MESSAGE_HEADER - 1] != UPDATE:
        return DECLINED
    if not locate(u, message, entry.flags):
        return DECLINED
    nlri = u.reach.nlri if has(u, MP_REACH) and u.reach.safi == 1 else reader(base, 0, 0)
    part(&work.stay[0], &work.gone[0], u.nlri, u.add_path, marks, all)
    part(&work.stay[1], &work.gone[1], nlri, u.reach.add_path, marks, all)
    if marks.failed or left(marks):
        return DECLINED
    if not withdraw:
        work.gone[0].size = work.gone[1].size = 0
    if work.gone[1].size and has(u, MP_UNREACH) and (u.unreach.afi != u.reach.afi or u.unreach.safi != 1):
        return DECLINED
    start = room(w, entry.length + 16)
    if start == NULL:
        return DECLINED
    p = put_message(start, work, base + entry.offset)
    if p == NULL:
        return EMPTY
    if p - start > MOST_OCTETS or place + (p - start) > LAST_PLACE:
        return DECLINED
    start[16] = <uint8_t> ((p - start) >> 8)
    start[17] = <uint8_t> ((p - start) & 0xFF)
    wrote(w, p)
    entry.offset = <uint32_t> place
    entry.length = <unsigned short> (p - start)
    entry.flags = <unsigned short> (entry.flags & ~(<unsigned> (CHECKED | MALFORMED)))
    return CUT


cdef inline void part(Routes* stay, Routes* gone, Reader r, bint add_path, Reader* marks, bint all) noexcept nogil:
    """The routes of a field that stay, and those that go."""
    cdef Routes* routes
    cdef size_t start
    stay.size = gone.size = 0
    while left(&r):
        start = r.pos
        if add_path:
            skip(&r, 4)
        skip(&r, (<size_t> u8(&r) + 7) >> 3)
        routes = gone if all or u8(marks) else stay
        memcpy(routes.octets + routes.size, r.base + start, r.pos - start)
        routes.size += r.pos - start


cdef inline uint8_t* put(uint8_t* p, const uint8_t* octets, size_t size) noexcept nogil:
    memcpy(p, octets, size)
    return p + size


cdef inline uint8_t* put_reader(uint8_t* p, Reader r) noexcept nogil:
    return put(p, r.base + r.pos, left(&r))


cdef inline uint8_t* put_size(uint8_t* p, size_t size) noexcept nogil:
    p[0] = <uint8_t> (size >> 8)
    p[1] = <uint8_t> (size & 0xFF)
    return p + 2


cdef inline uint8_t* put_header(uint8_t* p, unsigned flags, unsigned code, size_t size) noexcept nogil:
    """As bgpipe.wire.attrs.attribute.encode_header."""
    if size > 255:
        flags |= EXTENDED
    p[0] = <uint8_t> flags
    p[1] = <uint8_t> code
    if flags & EXTENDED:
        return put_size(p + 2, size)
    p[2] = <uint8_t> size
    return p + 3


cdef inline uint8_t* put_unreach(uint8_t* p, Work* work) noexcept nogil:
    """MP_UNREACH_NLRI with what it had, and the routes of MP_REACH_NLRI that go."""
    cdef const Update* u = &work.update
    cdef Reader old = u.unreach.nlri if has(u, MP_UNREACH) else reader(u.nlri.base, 0, 0)
    p = put_header(p, OPTIONAL, MP_UNREACH, 3 + left(&old) + work.gone[1].size)
    p = put_size(p, u.reach.afi)
    p[0] = u.reach.safi
    return put(put_reader(p + 1, old), work.gone[1].octets, work.gone[1].size)


cdef inline uint8_t* put_attributes(uint8_t* p, Work* work) noexcept nogil:
    cdef const Update* u = &work.update
    cdef const Attribute* attribute
    cdef const uint8_t* head
    cdef size_t i, size
    cdef bint unicast = has(u, MP_REACH) and u.reach.safi == 1
    cdef bint announces = work.stay[0].size or work.stay[1].size or has(u, MP_REACH) and not unicast
    if work.gone[1].size and not has(u, MP_UNREACH):
        p = put_unreach(p, work)
    for i in range(u.count):
        attribute = &u.attributes[i]
        if attribute.code == MP_UNREACH and work.gone[1].size:
            p = put_unreach(p, work)
        elif attribute.code == MP_REACH and unicast:
            if work.stay[1].size:
                size = u.reach.nlri.pos - attribute.value.pos
                head = attribute.value.base + attribute.value.pos
                p = put_header(p, attribute.flags, MP_REACH, size + work.stay[1].size)
                p = put(put(p, head, size), work.stay[1].octets, work.stay[1].size)
        elif announces or attribute.code == MP_UNREACH:
            p = put_reader(put_header(p, attribute.flags, attribute.code, left(&attribute.value)), attribute.value)
    return p


cdef inline uint8_t* put_message(uint8_t* p, Work* work, const uint8_t* header) noexcept nogil:
    """The message, whose length is still that of the old one; NULL if it says nothing."""
    cdef const Update* u = &work.update
    cdef uint8_t* section
    p = put(p, header, MESSAGE_HEADER)
    p = put_size(p, left(&u.withdrawn) + work.gone[0].size)
    p = put(put_reader(p, u.withdrawn), work.gone[0].octets, work.gone[0].size)
    section = p
    p = put_attributes(section + 2, work)
    put_size(section, p - section - 2)
    if p == section + 2 and work.stay[0].size == 0 and left(&u.withdrawn) + work.gone[0].size == 0:
        return NULL
    return put(p, work.stay[0].octets, work.stay[0].size)
