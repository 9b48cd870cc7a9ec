"""UPDATEs of a block without some of the routes that they announce, or in parts, as bgpipe.wire.routes_apart makes them.

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


cdef enum Verdict:  # what an octet says of a route; others are those of routes that stay
    INVALID = 2


cdef enum Label:  # of a message of a block that was parted; below these: the verdict of all routes that it announces
    WITHDRAWS = 3  # it withdraws INVALID routes, and does nothing else
    REST = 4       # it announces routes with other verdicts
    AS_IT_WAS = 5
    NEW = 8        # beside the others: its routes are not those of the message that it was


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
    Routes groups[3][2]  # by verdict


cdef struct Plan:
    bint marked    # routes with different verdicts are parted
    bint keep      # INVALID routes are announced
    bint withdraw  # INVALID routes are withdrawn
    bint apart     # in a message of their own


cdef struct Target:
    Writer w
    Entry* entries
    uint8_t* labels
    size_t count


def cut_routes(bytes octets not None, bytearray index not None, list positions not None, list gone, bint withdraw):
    """(octets, index, empty, declined): of the block in which the UPDATEs at these positions announce less.

    gone: for each position an octet for each route of the unicast families, those of the NLRI field first: its verdict.
    INVALID ones go; None if all of all messages do. withdraw: they are withdrawn. empty: positions of messages with nothing left; declined: of those that
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
    if not fits_unreach(u, work.gone):
        return DECLINED
    start = room(w, entry.length + 16)
    if start == NULL:
        return DECLINED
    p = put_message(start, u, work.stay, work.gone, base + entry.offset, False)
    if p == NULL:
        return EMPTY
    return CUT if keep_message(w, start, p, entry) else DECLINED


cdef inline bint keep_message(Writer* w, uint8_t* start, uint8_t* p, Entry* entry) noexcept nogil:
    """Keeps the message that begins at `start`, and makes it that of the entry; False if it is too long."""
    cdef size_t size = p - start, place = w.used
    if size > MOST_OCTETS or place + size > LAST_PLACE:
        return False
    put_size(start + 16, size)
    wrote(w, p)
    entry.offset = <uint32_t> place
    entry.length = <unsigned short> size
    entry.flags = <unsigned short> (entry.flags & ~(<unsigned> (CHECKED | MALFORMED)))
    return True


def part_routes(
    bytes octets not None, bytearray index not None, bytearray full not None, list positions not None,
    list verdicts not None, bint marked, bint keep, bint withdraw, bint apart
):
    """(octets, index, labels, starts, declined): of the block in which the UPDATEs at these positions, which ascend, are
    parted by the verdicts of their routes, as bgpipe.stages.base.judging does it.

    full: the index with the tags of the whole messages: for messages that stay as they are, and for those that announce
    nothing. Others have the tags that `index` says. verdicts: for each position an octet for each route. marked, keep,
    withdraw, apart: see Plan. labels: an octet for each new message. starts: for each old one, the number of new ones
    before it, 4 octets in the order of this machine. declined: positions of those that are as before. Raises
    MemoryError, ValueError.
    """
    cdef size_t count = len(index) // sizeof(Entry), size = PyBytes_GET_SIZE(octets), i, number = 0, next = 0
    cdef size_t wanted = len(positions)
    cdef const Entry* old = <const Entry*> PyByteArray_AS_STRING(index)
    cdef const Entry* whole = <const Entry*> PyByteArray_AS_STRING(full)
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef bytearray new = bytearray((count + 3 * wanted) * sizeof(Entry)), labels = bytearray(count + 3 * wanted)
    cdef bytearray starts = bytearray(count * sizeof(uint32_t))
    cdef uint32_t* places = <uint32_t*> PyByteArray_AS_STRING(starts)
    cdef Plan plan = Plan(marked, keep, withdraw, apart)
    cdef Target target
    cdef Work* work = NULL
    cdef list declined = []
    cdef bytes said
    cdef uint8_t* p
    if len(verdicts) != <Py_ssize_t> wanted or len(full) != len(index):
        raise ValueError("verdicts for each position, and tags for each message are expected")
    work = <Work*> calloc(1, sizeof(Work))
    if work == NULL:
        raise MemoryError
    try:
        target.entries = <Entry*> PyByteArray_AS_STRING(new)
        target.labels = <uint8_t*> PyByteArray_AS_STRING(labels)
        target.count = 0
        open_writer(&target.w, size + size // 4)
        p = room(&target.w, size)
        if p == NULL:
            raise MemoryError
        memcpy(p, base, size)
        wrote(&target.w, p + size)
        if wanted:
            next = positions[0]
        for i in range(count):
            places[i] = <uint32_t> target.count
            if number == wanted or i != next:
                put_entry(&target, &whole[i], AS_IT_WAS)
                continue
            said = <bytes?> verdicts[number]
            number += 1
            if number < wanted:
                next = positions[number]
                if next <= i:
                    raise ValueError("positions must ascend")
            if not put_parts(
                work, base, size, &old[i], &whole[i], <const uint8_t*> PyBytes_AS_STRING(said), PyBytes_GET_SIZE(said),
                &plan, &target,
            ):
                target.count = places[i]
                put_entry(&target, &old[i], AS_IT_WAS)
                declined.append(i)
        if number < wanted:
            raise ValueError("there is no message at this position")
        new, labels = new[: target.count * sizeof(Entry)], labels[: target.count]
        return close_writer(&target.w), new, bytes(labels), bytes(starts), declined
    finally:
        free(work)


cdef inline Entry* put_entry(Target* target, const Entry* entry, unsigned label) noexcept nogil:
    target.entries[target.count] = entry[0]
    target.labels[target.count] = <uint8_t> label
    target.count += 1
    return &target.entries[target.count - 1]


cdef bint put_parts(
    Work* work, const uint8_t* base, size_t size, const Entry* entry, const Entry* whole, const uint8_t* said,
    size_t said_size, const Plan* plan, Target* target
) noexcept nogil:
    """The parts of one message; False declines, and then there are perhaps some of them."""
    cdef Reader message = message_of(base, size, entry), marks = reader(said, 0, said_size), nlri
    cdef Update* u = &work.update
    cdef Routes* gone = work.groups[<unsigned> INVALID]
    cdef Routes* none = work.gone
    cdef unsigned verdict, first = 0
    cdef bint withdraws
    if message.failed or left(&message) > MOST_OCTETS or base[entry.offset + MESSAGE_HEADER - 1] != UPDATE:
        return False
    if said_size == 0:
        return False  # it announces nothing
    if not locate(u, message, entry.flags):
        return False
    if has(u, MP_REACH) and u.reach.safi != 1:
        return False  # it announces routes that are not judged too
    nlri = u.reach.nlri if has(u, MP_REACH) else reader(base, 0, 0)
    for verdict in range(3):
        work.groups[verdict][0].size = work.groups[verdict][1].size = 0
    none[0].size = none[1].size = 0
    if not group(work, u.nlri, u.add_path, &marks, 0, plan) or not group(work, nlri, u.reach.add_path, &marks, 1, plan):
        return False
    if marks.failed or left(&marks):
        return False
    withdraws = not plan.keep and has_routes(gone)
    if not plan.marked:
        return (
            put_part(work, work.groups[0], none, base, entry, entry, REST, target)
            and (not withdraws or put_withdrawal(gone, u, base, entry, target))
        )
    while first < (3 if plan.keep else 2) and not has_routes(work.groups[first]):
        first += 1
    if first == (3 if plan.keep else 2):
        first = 0
    if not withdraws and is_one(work, first):
        put_entry(target, whole, first)
        return True
    if withdraws and plan.withdraw and not plan.apart:
        none = gone
    if not put_part(work, work.groups[first], none, base, entry, whole, first, target):
        return False
    work.gone[0].size = work.gone[1].size = 0
    for verdict in range(first + 1, 3 if plan.keep else 2):
        if has_routes(work.groups[verdict]) and not put_alone(work.groups[verdict], u, base, entry, verdict, target):
            return False
    return not (withdraws and plan.apart) or put_withdrawal(gone, u, base, entry, target)


cdef inline bint has_routes(const Routes* routes) noexcept nogil:
    return routes[0].size != 0 or routes[1].size != 0


cdef inline bint is_one(Work* work, unsigned first) noexcept nogil:
    """Whether all routes have one verdict."""
    cdef unsigned verdict
    for verdict in range(3):
        if verdict != first and has_routes(work.groups[verdict]):
            return False
    return True


cdef inline bint group(Work* work, Reader r, bint add_path, Reader* marks, unsigned field, const Plan* plan) noexcept nogil:
    """The routes of a field by their verdict; INVALID and others if they are not parted. False for no verdict."""
    cdef Routes* routes
    cdef size_t start
    cdef unsigned verdict
    while left(&r):
        start = r.pos
        if add_path:
            skip(&r, 4)
        skip(&r, (<size_t> u8(&r) + 7) >> 3)
        verdict = u8(marks)
        if verdict > INVALID:
            return False
        routes = &work.groups[verdict if plan.marked or verdict == INVALID else 0][field]
        memcpy(routes.octets + routes.size, r.base + start, r.pos - start)
        routes.size += r.pos - start
    return True


cdef inline bint put_part(
    Work* work, Routes* stay, Routes* gone, const uint8_t* base, const Entry* entry, const Entry* whole,
    unsigned label, Target* target
) noexcept nogil:
    """The message with some of its routes, and all else that it does; none if nothing is left. whole: has the tags of a
    part that announces nothing."""
    cdef const Update* u = &work.update
    cdef uint8_t* start = room(&target.w, entry.length + 16)
    cdef uint8_t* p
    cdef Entry* new
    if start == NULL or has_routes(gone) and not fits_unreach(u, gone):
        return False
    p = put_message(start, u, stay, gone, base + entry.offset, False)
    if p == NULL:
        return True
    new = put_entry(target, entry if has_routes(stay) else whole, label | (NEW if has_routes(stay) else 0))
    return keep_message(&target.w, start, p, new)


cdef inline bint fits_unreach(const Update* u, const Routes* gone) noexcept nogil:
    """Whether routes of MP_REACH_NLRI can be withdrawn beside those that MP_UNREACH_NLRI has."""
    return gone[1].size == 0 or not has(u, MP_UNREACH) or u.unreach.afi == u.reach.afi and u.unreach.safi == 1


cdef inline bint put_alone(
    Routes* stay, const Update* u, const uint8_t* base, const Entry* entry, unsigned label, Target* target
) noexcept nogil:
    """A message that announces these routes, and does nothing else."""
    cdef uint8_t* start = room(&target.w, entry.length + 16)
    cdef uint8_t* p
    if start == NULL:
        return False
    p = put_message(start, u, stay, NULL, base + entry.offset, True)
    return p != NULL and keep_message(&target.w, start, p, put_entry(target, entry, label | NEW))


cdef inline bint put_withdrawal(
    const Routes* gone, const Update* u, const uint8_t* base, const Entry* entry, Target* target
) noexcept nogil:
    """A message that withdraws these routes, and does nothing else."""
    cdef uint8_t* start = room(&target.w, entry.length + 16)
    cdef uint8_t* p
    cdef uint8_t* section
    if start == NULL:
        return False
    p = put(start, base + entry.offset, MESSAGE_HEADER)
    p = put(put_size(p, gone[0].size), gone[0].octets, gone[0].size)
    section = p
    p += 2
    if gone[1].size:
        p = put_header(p, OPTIONAL, MP_UNREACH, 3 + gone[1].size)
        p = put_size(p, u.reach.afi)
        p[0] = u.reach.safi
        p = put(p + 1, gone[1].octets, gone[1].size)
    put_size(section, p - section - 2)
    return keep_message(&target.w, start, p, put_entry(target, entry, WITHDRAWS))


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
        routes = gone if all or u8(marks) == INVALID else stay
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


cdef inline uint8_t* put_unreach(uint8_t* p, const Update* u, const Routes* gone) noexcept nogil:
    """MP_UNREACH_NLRI with what it had, and the routes of MP_REACH_NLRI that go."""
    cdef Reader old = u.unreach.nlri if has(u, MP_UNREACH) else reader(u.nlri.base, 0, 0)
    p = put_header(p, OPTIONAL, MP_UNREACH, 3 + left(&old) + gone.size)
    p = put_size(p, u.reach.afi)
    p[0] = u.reach.safi
    return put(put_reader(p + 1, old), gone.octets, gone.size)


cdef inline uint8_t* put_attributes(
    uint8_t* p, const Update* u, const Routes* stay, const Routes* gone, bint alone
) noexcept nogil:
    cdef const Attribute* attribute
    cdef const uint8_t* head
    cdef size_t i, size
    cdef bint unicast = has(u, MP_REACH) and u.reach.safi == 1
    cdef bint announces = has_routes(stay) or has(u, MP_REACH) and not unicast
    cdef bint withdraws = not alone and gone[1].size != 0
    if withdraws and not has(u, MP_UNREACH):
        p = put_unreach(p, u, &gone[1])
    for i in range(u.count):
        attribute = &u.attributes[i]
        if attribute.code == MP_UNREACH and withdraws:
            p = put_unreach(p, u, &gone[1])
        elif alone and (attribute.code == MP_UNREACH or attribute.code == MP_REACH and not unicast):
            continue
        elif attribute.code == MP_REACH and unicast:
            if stay[1].size:
                size = u.reach.nlri.pos - attribute.value.pos
                head = attribute.value.base + attribute.value.pos
                p = put_header(p, attribute.flags, MP_REACH, size + stay[1].size)
                p = put(put(p, head, size), stay[1].octets, stay[1].size)
        elif announces or attribute.code == MP_UNREACH:
            p = put_reader(put_header(p, attribute.flags, attribute.code, left(&attribute.value)), attribute.value)
    return p


cdef inline uint8_t* put_message(
    uint8_t* p, const Update* u, const Routes* stay, const Routes* gone, const uint8_t* header, bint alone
) noexcept nogil:
    """The message with the routes that stay, whose length is still that of the old one; NULL if it says nothing.

    gone: are withdrawn. alone: the message does nothing else, and `gone` is not looked at.
    """
    cdef uint8_t* section
    cdef size_t withdrawn = 0 if alone else left(&u.withdrawn) + gone[0].size
    p = put_size(put(p, header, MESSAGE_HEADER), withdrawn)
    if not alone:
        p = put(put_reader(p, u.withdrawn), gone[0].octets, gone[0].size)
    section = p
    p = put_attributes(section + 2, u, stay, gone, alone)
    put_size(section, p - section - 2)
    if p == section + 2 and stay[0].size == 0 and withdrawn == 0:
        return NULL
    return put(p, stay[0].octets, stay[0].size)
