"""Filters over blocks: the program of bgpipe.filters.program run over each message of an index.

A step gives the answer that the closures of bgpipe.filters give, or declines: an UPDATE that `locate` declines, a path
to be merged with AS4_PATH, and what no step can answer are left to Python.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from .attributes cimport (
    AS4_PATH, AS_PATH, COMMUNITY, EXTENDED, EXT_COMMUNITY, LARGE_COMMUNITY, LOCAL_PREF, MED, MP_REACH, MP_UNREACH,
    NEXT_HOP, ORIGIN, OTC,
)
from .block cimport (
    CHECKED, LEFT, MALFORMED, MESSAGE_HEADER, NO_PEER, OWN_PEER, PEER_AS4, RIGHT, Entry, message_of, next_entry,
    octets_of, peer_of,
)
from .octets cimport Reader, left, reader, skip, take, u8, u16, u32
from .program cimport (
    ABSENT, ACCEPT, Answer, CLOSING, COLON, COMMA, DECLINE, END, EQUAL, GREATER, GREATER_OR_EQUAL, LESS,
    LESS_OR_EQUAL, LIKE, LOOK_ASK, LOOK_COMMUNITY, LOOK_COMMUNITY_TEXT, LOOK_DIRECTION, LOOK_EXT_COMMUNITY,
    LOOK_FAMILY, LOOK_HOP, LOOK_LARGE_COMMUNITY, LOOK_LARGE_COMMUNITY_TEXT, LOOK_LOCAL_AS, LOOK_LOCAL_IP,
    LOOK_LOCAL_PREF, LOOK_MED, LOOK_NEXT_HOP, LOOK_ORIGIN, LOOK_OTC, LOOK_PATH, LOOK_PATH_HOPS, LOOK_PATH_LEN,
    LOOK_PATH_TEXT, LOOK_PEER_AS, LOOK_PREFIX, LOOK_REACH, LOOK_SEQ, LOOK_TAG, LOOK_TIME, LOOK_TYPE, LOOK_UNREACH, MATCH, NO,
    OPENING, PRESENT, Program, QUOTE, REJECT, ROW, START, Step, UPDATE, WANT_FALSE, WANT_NOT_TRUE, WANT_TRUE, YES,
    load,
)
from .update cimport AS_SET, Attribute, Mp, Update, has, locate, plausible, value_of


# ---------------------------------------------------------------------------------------------------------------------
# What steps look at

cdef inline Answer compare(int64_t value, unsigned operator, int64_t reference) noexcept nogil:
    if operator == PRESENT:
        return YES
    if operator == EQUAL:
        return YES if value == reference else NO
    if operator == LESS:
        return YES if value < reference else NO
    if operator == LESS_OR_EQUAL:
        return YES if value <= reference else NO
    if operator == GREATER:
        return YES if value > reference else NO
    if operator == GREATER_OR_EQUAL:
        return YES if value >= reference else NO
    return DECLINE


cdef inline bint same_bits(const uint8_t* p, const uint8_t* q, unsigned bits) noexcept nogil:
    """Whether the first `bits` bits are the same; both have octets for them."""
    cdef unsigned i
    for i in range(bits >> 3):
        if p[i] != q[i]:
            return False
    return bits & 7 == 0 or (p[bits >> 3] ^ q[bits >> 3]) >> (8 - (bits & 7)) == 0


cdef struct Tally:
    size_t seen
    size_t matched


cdef inline void tally_prefixes(Tally* tally, Reader r, unsigned afi, bint add_path, const Step* step) noexcept nogil:
    """Counts prefixes, and those that match."""
    cdef unsigned length, shared
    cdef const uint8_t* p
    cdef bint fits
    while left(&r):
        if add_path:
            skip(&r, 4)
        length = u8(&r)
        p = take(&r, (length + 7) >> 3)
        if p == NULL:
            return
        tally.seen += 1
        if afi != <unsigned> step.number:
            continue
        if step.operator == LIKE:
            fits = True
        elif step.operator == EQUAL:
            fits = length == step.size
        elif step.operator == LESS:
            fits = length > step.size
        elif step.operator == LESS_OR_EQUAL:
            fits = length >= step.size
        elif step.operator == GREATER:
            fits = length < step.size
        else:
            fits = length <= step.size
        shared = length if length < step.size else step.size
        if fits and same_bits(p, step.address, shared):
            tally.matched += 1
            if not step.every:
                return


cdef inline void tally_mp(Tally* tally, const Update* u, int code, const Mp* mp, const Step* step) noexcept nogil:
    if has(u, code):
        tally_prefixes(tally, mp.nlri, mp.afi, mp.add_path, step)


cdef inline Answer look_at_prefixes(const Update* u, const Step* step) noexcept nogil:
    cdef Tally tally
    tally.seen = tally.matched = 0
    if step.look != LOOK_UNREACH:
        tally_prefixes(&tally, u.nlri, 1, u.add_path, step)
        tally_mp(&tally, u, MP_REACH, &u.reach, step)
    if step.look != LOOK_REACH:
        tally_prefixes(&tally, u.withdrawn, 1, u.add_path, step)
        tally_mp(&tally, u, MP_UNREACH, &u.unreach, step)
    if step.operator == PRESENT:
        return YES if tally.seen else NO
    if tally.seen == 0:
        return ABSENT
    return YES if (tally.matched == tally.seen if step.every else tally.matched != 0) else NO


cdef inline Answer look_at_family(const Update* u, const Step* step) noexcept nogil:
    cdef unsigned afi = 1, safi = 1
    cdef unsigned wanted_afi = <unsigned> step.number >> 8, wanted_safi = <unsigned> step.number & 0xFF
    if has(u, MP_REACH):
        afi, safi = u.reach.afi, u.reach.safi
    elif has(u, MP_UNREACH):
        afi, safi = u.unreach.afi, u.unreach.safi
    return YES if (wanted_afi == 0 or wanted_afi == afi) and (wanted_safi == 0 or wanted_safi == safi) else NO


cdef inline Answer look_at_next_hop(const Update* u, const Step* step) noexcept nogil:
    cdef Reader r = u.reach.next_hop if has(u, MP_REACH) else value_of(u, NEXT_HOP)
    cdef size_t size = left(&r)
    cdef const uint8_t* p
    if size == 0:
        return NO if step.operator == PRESENT else ABSENT
    if step.operator == PRESENT:
        return YES
    if size == 32:  # the first is the global address (RFC 2545 section 3)
        size = 16
    p = take(&r, size)
    if size != (<size_t> 4 if step.number == 1 else <size_t> 16):
        return NO
    if step.operator == LIKE:
        return YES if same_bits(p, step.address, step.size) else NO
    return compare(memcmp(p, step.address, size), step.operator, 0)


cdef inline Answer look_at_hop(Reader r, bint as4, const Step* step) noexcept nogil:
    """The hop of the index, or (every) any hop; a set is one hop, and any of its members will do."""
    cdef Reader again = r
    cdef int64_t hop = 0, wanted = step.hop
    cdef unsigned kind, count, i
    cdef uint32_t asn
    if wanted < 0:
        while left(&again):
            kind = u8(&again)
            count = u8(&again)
            wanted += 1 if kind == AS_SET else count
            skip(&again, count * (4 if as4 else 2))
        if wanted < 0:
            return NO
    while left(&r):
        kind = u8(&r)
        count = u8(&r)
        for i in range(count):
            asn = u32(&r) if as4 else u16(&r)
            if (step.every or hop == wanted) and compare(asn, step.operator, step.number) == YES:
                return YES
            if kind != AS_SET:
                hop += 1
        if kind == AS_SET:
            hop += 1
        if hop > wanted and not step.every:
            return NO
    return NO


cdef inline uint32_t count_hops(Reader r, bint as4, bint collapsed) noexcept nogil:
    """Hops of a path; collapsed: of an AS that repeats the one before, none."""
    cdef uint32_t hops = 0, asn, before = 0
    cdef bint known = False  # whether the hop before was one AS
    cdef unsigned kind, count, i
    while left(&r):
        kind = u8(&r)
        count = u8(&r)
        if not collapsed or kind == AS_SET and count > 1:
            hops += 1 if kind == AS_SET else count
            known = False
            skip(&r, count * (4 if as4 else 2))
            continue
        for i in range(count):
            asn = u32(&r) if as4 else u16(&r)
            if not known or asn != before:
                hops += 1
            before = asn
            known = True
    return hops


cdef inline unsigned follow(const uint8_t* table, unsigned state, unsigned letter) noexcept nogil:
    return table[state * ROW + letter]


cdef inline unsigned follow_number(const uint8_t* table, unsigned state, uint32_t number) noexcept nogil:
    """The state behind the digits of a number."""
    cdef uint8_t digits[10]
    cdef unsigned count = 0
    while number >= 10:
        digits[count] = number % 10
        number = number // 10
        count += 1
    state = follow(table, state, number)
    while count:
        count -= 1
        state = follow(table, state, digits[count])
    return state


cdef inline Answer look_at_path_text(Reader r, bint as4, const uint8_t* table) noexcept nogil:
    """Spells the path out, as in `1,2,[3,4]`, and runs the table over it."""
    cdef unsigned state = START, kind, count, i
    cdef bint first = True
    while left(&r) and state > MATCH:
        kind = u8(&r)
        count = u8(&r)
        for i in range(count):
            if not first:
                state = follow(table, state, COMMA)
            first = False
            if kind == AS_SET and i == 0:
                state = follow(table, state, OPENING)
            state = follow_number(table, state, u32(&r) if as4 else u16(&r))
            if state <= MATCH:
                break
        if kind == AS_SET:
            state = follow(table, state, CLOSING)
    return YES if follow(table, state, END) == MATCH else NO


cdef inline Answer look_at_list_text(const Update* u, int code, unsigned parts, const uint8_t* table) noexcept nogil:
    """The same for communities of two parts of 16 bits or three of 32, as in `"1:2","3:4"`."""
    cdef Reader r = value_of(u, code)
    cdef unsigned state = START, i
    cdef bint first = True
    if left(&r) == 0:
        return ABSENT
    while left(&r) and state > MATCH:
        if not first:
            state = follow(table, state, COMMA)
        first = False
        state = follow(table, state, QUOTE)
        for i in range(parts):
            if i:
                state = follow(table, state, COLON)
            state = follow_number(table, state, u32(&r) if parts == 3 else u16(&r))
        state = follow(table, state, QUOTE)
    return YES if follow(table, state, END) == MATCH else NO


cdef inline Answer look_at_path(const Program* program, const Update* u, const Step* step) noexcept nogil:
    cdef Reader r = value_of(u, AS_PATH)
    if has(u, AS4_PATH) and not u.as4:  # to be merged into it (RFC 6793 section 4.2.3)
        return DECLINE
    if left(&r) == 0:
        return NO if step.operator == PRESENT else ABSENT
    if step.operator == PRESENT:
        return YES
    if step.look == LOOK_HOP:
        return look_at_hop(r, u.as4, step)
    if step.look == LOOK_PATH_LEN:
        return compare(count_hops(r, u.as4, False), step.operator, step.number)
    if step.look == LOOK_PATH_HOPS:
        return compare(count_hops(r, u.as4, True), step.operator, step.number)
    if step.look == LOOK_PATH_TEXT:
        return look_at_path_text(r, u.as4, program.octets + step.table)
    return DECLINE


cdef inline Answer look_at_number(const Update* u, int code, const Step* step) noexcept nogil:
    cdef Reader r = value_of(u, code)
    if not has(u, code):
        return NO if step.operator == PRESENT else ABSENT
    return compare(u8(&r) if code == ORIGIN else u32(&r), step.operator, step.number)


cdef inline Answer look_at_list(const Update* u, int code, size_t width, const Step* step) noexcept nogil:
    """Communities of `width` octets each."""
    cdef Reader r = value_of(u, code)
    if left(&r) == 0:
        return NO if step.operator == PRESENT else ABSENT
    if step.operator == PRESENT:
        return YES
    while left(&r) >= width:
        if memcmp(take(&r, width), step.address, width) == 0:
            return YES
    return NO


cdef inline Answer look_at_update(const Program* program, const Update* u, const Step* step) noexcept nogil:
    if step.look == LOOK_PREFIX or step.look == LOOK_REACH or step.look == LOOK_UNREACH:
        return look_at_prefixes(u, step)
    if LOOK_PATH <= step.look <= LOOK_PATH_TEXT:
        return look_at_path(program, u, step)
    if step.look == LOOK_FAMILY:
        return look_at_family(u, step)
    if step.look == LOOK_NEXT_HOP:
        return look_at_next_hop(u, step)
    if step.look == LOOK_ORIGIN:
        return look_at_number(u, ORIGIN, step)
    if step.look == LOOK_MED:
        return look_at_number(u, MED, step)
    if step.look == LOOK_LOCAL_PREF:
        return look_at_number(u, LOCAL_PREF, step)
    if step.look == LOOK_OTC:
        return look_at_number(u, OTC, step)
    if step.look == LOOK_COMMUNITY:
        return look_at_list(u, COMMUNITY, 4, step)
    if step.look == LOOK_EXT_COMMUNITY:
        return look_at_list(u, EXT_COMMUNITY, 8, step)
    if step.look == LOOK_LARGE_COMMUNITY:
        return look_at_list(u, LARGE_COMMUNITY, 12, step)
    if step.look == LOOK_COMMUNITY_TEXT:
        return look_at_list_text(u, COMMUNITY, 2, program.octets + step.table)
    if step.look == LOOK_LARGE_COMMUNITY_TEXT:
        return look_at_list_text(u, LARGE_COMMUNITY, 3, program.octets + step.table)
    return DECLINE


cdef inline Answer look_at_peer(Reader r, bint as4, const Step* step) noexcept nogil:
    """Tags that the per-peer header says (RFC 6396 section 4.4.2); zero is none."""
    cdef uint32_t peer_as = u32(&r) if as4 else u16(&r)
    cdef uint32_t local_as = u32(&r) if as4 else u16(&r)
    cdef unsigned afi
    cdef size_t size, i
    cdef uint8_t any_bit = 0
    cdef const uint8_t* p
    skip(&r, 2)
    afi = u16(&r)
    if r.failed or afi != 1 and afi != 2:
        return DECLINE
    size = 4 if afi == 1 else 16
    p = take(&r, size)
    if step.look == LOOK_LOCAL_IP:
        p = take(&r, size)
    if p == NULL:
        return DECLINE
    if step.look == LOOK_PEER_AS or step.look == LOOK_LOCAL_AS:
        peer_as = peer_as if step.look == LOOK_PEER_AS else local_as
        if peer_as == 0:
            return NO if step.operator == PRESENT else ABSENT
        return compare(peer_as, step.operator, step.number)
    for i in range(size):
        any_bit |= p[i]
    if any_bit == 0:
        return NO if step.operator == PRESENT else ABSENT
    if step.operator == PRESENT:
        return YES
    if step.operator == LIKE:
        return YES if step.number == afi and same_bits(p, step.address, step.size) else NO
    return YES if step.number == afi and memcmp(p, step.address, size) == 0 else NO


cdef inline Answer look_at_tag(const Program* program, const Entry* entry, const Step* step) noexcept nogil:
    """What was found out about the text of its tags. A per-peer header has no tag that such a step asks about."""
    cdef Reader r = program.answers
    if entry.tags == 0:
        return NO if step.operator == PRESENT else ABSENT
    skip(&r, <size_t> step.number * program.messages + program.message)
    return <Answer> u8(&r) if left(&r) else DECLINE


cdef inline Answer look_at_entry(const Entry* entry, unsigned kind, const Step* step) noexcept nogil:
    """What needs no look into the body; DECLINE for everything else."""
    cdef int64_t value
    if step.look == LOOK_TYPE:
        return YES if kind == step.number else NO
    if step.look == LOOK_DIRECTION:
        value = entry.flags & (LEFT | RIGHT)
    elif step.look == LOOK_SEQ:
        value = entry.seq
    elif step.look == LOOK_TIME and entry.time >= 0:
        value = entry.time
    else:
        return DECLINE
    if value == 0:
        return NO if step.operator == PRESENT else ABSENT
    return compare(value, step.operator, step.number)


# ---------------------------------------------------------------------------------------------------------------------
# Judging

cdef inline bint meets(Answer answer, unsigned want) noexcept nogil:
    if want == WANT_TRUE:
        return answer == YES
    if want == WANT_FALSE:
        return answer == NO
    if want == WANT_NOT_TRUE:
        return answer != YES
    return answer != NO


cdef inline Answer run(
    const Program* program,
    const uint8_t* octets,
    size_t size,
    const Entry* entry,
    unsigned kind,
    Update* u,
    bint located,
) noexcept nogil:
    """YES, NO or DECLINE. kind: the message's type. located: whether `u` is filled; else it is where that is needed."""
    cdef unsigned at = program.header.first_update if kind == UPDATE else program.header.first_other
    cdef const Step* step
    cdef Answer answer
    while at < REJECT:
        step = &program.steps[at]
        answer = look_at_entry(entry, kind, step)
        if step.look == LOOK_TAG:
            answer = look_at_tag(program, entry, step)
        elif answer == DECLINE and LOOK_PEER_AS <= step.look <= LOOK_LOCAL_IP:
            if entry.flags & OWN_PEER:
                return DECLINE
            if entry.peer == NO_PEER:
                answer = NO if step.operator == PRESENT else ABSENT
            else:
                answer = look_at_peer(peer_of(octets, size, entry), entry.flags & PEER_AS4 != 0, step)
        elif answer == DECLINE and kind == UPDATE and step.look != LOOK_ASK:
            if not located:
                if not locate(u, message_of(octets, size, entry), entry.flags):
                    return DECLINE
                located = True
            answer = look_at_update(program, u, step)
        if answer == DECLINE:
            return DECLINE
        at = step.yes if meets(answer, step.want) else step.no
    return YES if at == ACCEPT else NO


cdef inline Answer judge(
    const Program* program, const uint8_t* octets, size_t size, const Entry* entry, Update* u
) noexcept nogil:
    """YES, NO or DECLINE."""
    cdef Reader message = message_of(octets, size, entry)
    if message.failed:
        return DECLINE
    # message_of says that the header is there
    return run(program, octets, size, entry, message.base[message.pos + 18], u, False)


cdef inline Answer check_and_judge(
    const Program* program, const uint8_t* octets, size_t size, Entry* entry, Update* u, bint* doubt
) noexcept nogil:
    """As `judge`. Sets CHECKED; doubt: the message may be malformed, so that nothing was asked."""
    cdef Reader message = message_of(octets, size, entry)
    cdef unsigned kind
    if message.failed:
        doubt[0] = True
        return DECLINE
    kind = message.base[message.pos + 18]
    if kind == UPDATE and not (locate(u, message, entry.flags) and plausible(u)):
        doubt[0] = True
        return DECLINE
    entry.flags |= CHECKED
    return run(program, octets, size, entry, kind, u, kind == UPDATE)


def select(
    bytes octets not None, index not None, bytes program not None, bint keep, bint check=False, bytes answers not None=b"",
):
    """(index, declined): the index of the messages for which the program says yes, or (not keep) no, in their order.

    octets, index: a block's. declined: positions in the new index of messages that accel did not judge; they are
    all in it. check: sets CHECKED for all messages of the new index, and returns None if any message of the old one
    is not beyond doubt well-formed. answers: to steps LOOK_TAG, as bgpipe.filters.of_tags gives them.
    Raises ValueError for a program that bgpipe.filters.program can't have written.
    """
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef size_t size = PyBytes_GET_SIZE(octets)
    cdef Py_ssize_t kept = 0, undecided = 0
    cdef Py_buffer view
    cdef Reader entries
    cdef Entry entry
    cdef Entry* selected
    cdef uint8_t* marks
    cdef Answer answer
    cdef Program loaded
    cdef Update u
    cdef bint doubt = False
    if not load(&loaded, <const uint8_t*> PyBytes_AS_STRING(program), PyBytes_GET_SIZE(program)):
        raise ValueError("not a filter program")
    PyObject_GetBuffer(index, &view, PyBUF_SIMPLE)
    try:
        chosen = PyByteArray_FromStringAndSize(NULL, view.len)
        marked = PyByteArray_FromStringAndSize(NULL, view.len // sizeof(Entry))
        selected = <Entry*> PyByteArray_AS_STRING(chosen)
        marks = <uint8_t*> PyByteArray_AS_STRING(marked)
        entries = reader(<const uint8_t*> view.buf, 0, view.len)
        loaded.answers = reader(<const uint8_t*> PyBytes_AS_STRING(answers), 0, PyBytes_GET_SIZE(answers))
        loaded.messages = view.len // sizeof(Entry)
        with nogil:
            while next_entry(&entries, &entry):  # so there is room in both for each
                if check and not entry.flags & CHECKED:
                    answer = check_and_judge(&loaded, base, size, &entry, &u, &doubt)
                    if doubt:
                        break
                else:
                    answer = judge(&loaded, base, size, &entry, &u)
                if answer == DECLINE or (answer == YES) == keep:
                    selected[kept] = entry
                    marks[kept] = answer == DECLINE
                    undecided += answer == DECLINE
                    kept += 1
                loaded.message += 1
    finally:
        PyBuffer_Release(&view)
    if doubt:
        return None
    PyByteArray_Resize(chosen, kept * sizeof(Entry))
    declined = []
    at = -1
    while len(declined) < undecided:
        at = marked.find(1, at + 1)
        declined.append(at)
    return chosen, declined


# ---------------------------------------------------------------------------------------------------------------------
# Narrowing: an UPDATE with only the routes that match, as bgpipe.wire.narrow has it

cdef enum:
    MP_BITS = (1 << MP_REACH) | (1 << MP_UNREACH)


cdef struct Output:
    uint8_t* octets
    size_t size
    size_t room


cdef struct Narrowing:
    const Program* program
    const uint8_t* octets
    size_t size
    const Entry* entry
    bint keep
    bint declined
    size_t routes
    size_t kept


cdef inline void put(Output* output, const uint8_t* octets, size_t size) noexcept nogil:
    """A narrowed message is no longer than it was, so there is room for it (see `narrow`)."""
    if size <= output.room - output.size:
        memcpy(output.octets + output.size, octets, size)
        output.size += size


cdef inline void put_length(Output* output, size_t at, size_t size, unsigned width) noexcept nogil:
    """Writes a length of one or two octets where room was left for it."""
    if width == 2:
        output.octets[at] = <uint8_t> (size >> 8)
        at += 1
    output.octets[at] = <uint8_t> size


cdef inline void put_routes(
    Narrowing* n, Update* alone, Reader* field, Reader routes, bint add_path, Output* output
) noexcept nogil:
    """Writes those of `routes` for which the program says what is wanted. field: where each is put alone in `alone`."""
    cdef size_t start
    cdef Answer answer
    while left(&routes) and not n.declined:
        start = routes.pos
        if add_path:
            skip(&routes, 4)
        skip(&routes, (u8(&routes) + 7) >> 3)
        field[0] = reader(routes.base, start, routes.pos)
        n.routes += 1
        answer = run(n.program, n.octets, n.size, n.entry, UPDATE, alone, True)
        if answer == DECLINE:
            n.declined = True
        elif (answer == YES) == n.keep:
            n.kept += 1
            put(output, routes.base + start, routes.pos - start)
    field[0] = reader(routes.base, 0, 0)


cdef inline void put_mp(
    Narrowing* n, Update* alone, Mp* mp, const Attribute* attribute, Reader routes, Output* output
) noexcept nogil:
    """Writes MP_REACH_NLRI or MP_UNREACH_NLRI with the routes that are wanted; nothing if there are none."""
    cdef size_t before = n.kept, start = output.size
    cdef unsigned width = 2 if attribute.flags & EXTENDED else 1
    cdef size_t header = attribute.value.pos - 2 - width  # flags, code and length stand before the value
    put(output, attribute.value.base + header, routes.pos - header)
    alone.seen |= <uint64_t> 1 << attribute.code
    put_routes(n, alone, &mp.nlri, routes, mp.add_path, output)
    alone.seen &= ~(<uint64_t> MP_BITS)
    if n.kept == before:
        output.size = start
    else:
        put_length(output, start + 2, output.size - start - 2 - width, width)


cdef inline void put_attributes(Narrowing* n, Update* alone, const Update* u, Output* output) noexcept nogil:
    cdef const Attribute* attribute
    cdef size_t header
    cdef uint32_t i
    for i in range(u.count):
        attribute = &u.attributes[i]
        if attribute.code == MP_REACH:
            put_mp(n, alone, &alone.reach, attribute, u.reach.nlri, output)
        elif attribute.code == MP_UNREACH:
            put_mp(n, alone, &alone.unreach, attribute, u.unreach.nlri, output)
        else:
            header = attribute.value.pos - (4 if attribute.flags & EXTENDED else 3)
            put(output, attribute.value.base + header, attribute.value.end - header)


cdef inline Answer narrow_update(Narrowing* n, Reader message, Output* output) noexcept nogil:
    """YES: the UPDATE stays as it is. NO: nothing of it stays. ABSENT: what stays of it is written. DECLINE."""
    cdef Update u, alone
    cdef size_t start = output.size, attributes
    if not locate(&u, message, n.entry.flags):
        return DECLINE
    alone = u
    alone.seen &= ~(<uint64_t> MP_BITS)
    alone.withdrawn = alone.nlri = reader(message.base, 0, 0)
    n.routes = n.kept = 0
    n.declined = False
    put(output, message.base + message.pos, MESSAGE_HEADER + 2)
    put_routes(n, &alone, &alone.withdrawn, u.withdrawn, u.add_path, output)
    put_length(output, start + MESSAGE_HEADER, output.size - start - MESSAGE_HEADER - 2, 2)
    attributes = output.size
    put(output, message.base + message.pos, 2)  # room for their length
    put_attributes(n, &alone, &u, output)
    put_length(output, attributes, output.size - attributes - 2, 2)
    put_routes(n, &alone, &alone.nlri, u.nlri, u.add_path, output)
    put_length(output, start + 16, output.size - start, 2)
    if n.declined:
        return DECLINE
    if n.routes == 0:
        return run(n.program, n.octets, n.size, n.entry, UPDATE, &u, True)
    if n.kept == n.routes:
        return YES if n.keep else NO
    if n.kept == 0:
        return NO if n.keep else YES
    return ABSENT


def narrow(bytes octets not None, index not None, bytes program not None, bint keep):
    """(octets, index, declined): the block with only the routes for which the program says yes, or (not keep) no.

    UPDATEs that lose routes stand behind the other octets. declined: as `select` has it.
    Raises ValueError for a program that bgpipe.filters.program can't have written.
    """
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef size_t size = PyBytes_GET_SIZE(octets), start
    cdef Py_ssize_t kept = 0
    cdef Py_buffer view
    cdef Reader entries, message
    cdef Entry entry
    cdef Entry* selected
    cdef Answer answer
    cdef Program loaded
    cdef Narrowing n
    cdef Output output
    cdef Update u
    declined = []
    if not load(&loaded, <const uint8_t*> PyBytes_AS_STRING(program), PyBytes_GET_SIZE(program)):
        raise ValueError("not a filter program")
    PyObject_GetBuffer(index, &view, PyBUF_SIMPLE)
    try:
        entries = reader(<const uint8_t*> view.buf, 0, view.len)
        output.size = 0
        output.room = octets_of(entries)
        written = PyByteArray_FromStringAndSize(NULL, output.room)
        output.octets = <uint8_t*> PyByteArray_AS_STRING(written)
        chosen = PyByteArray_FromStringAndSize(NULL, view.len)
        selected = <Entry*> PyByteArray_AS_STRING(chosen)
        n.program, n.octets, n.size, n.entry, n.keep = &loaded, base, size, &entry, keep
        while next_entry(&entries, &entry):
            start = output.size
            message = message_of(base, size, &entry)
            if message.failed:
                answer = DECLINE
            elif message.base[message.pos + 18] == UPDATE:
                with nogil:
                    answer = narrow_update(&n, message, &output)
            else:
                answer = judge(&loaded, base, size, &entry, &u)
            if answer == ABSENT and size + output.size <= NO_PEER:
                entry.offset = <uint32_t> (size + start)
                entry.length = <uint16_t> (output.size - start)
                entry.flags &= ~(CHECKED | MALFORMED)
            else:
                output.size = start
                if answer == ABSENT:
                    answer = DECLINE
                if answer == DECLINE:
                    declined.append(kept)
                elif (answer == YES) != keep:
                    continue
            selected[kept] = entry
            kept += 1
    finally:
        PyBuffer_Release(&view)
    PyByteArray_Resize(chosen, kept * sizeof(Entry))
    PyByteArray_Resize(written, output.size)
    return octets + written if output.size else octets, chosen, declined
