"""Blocks to lines of bgpdump -m: the same octets as bgpipe.formats.bgpdump writes, or the place where it must go on.

What all lines of an UPDATE have in common behind the prefix is made once. No octet of a message becomes more than
TEXT_PER_OCTET octets of it, and what is there once stays below TEXT_PER_LINE.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset, strlen

from .attributes cimport (
    AGGREGATOR, AS4_AGGREGATOR, AS4_PATH, AS_PATH, ATOMIC_AGGREGATE, COMMUNITY, LOCAL_PREF, MED, MP_REACH, MP_UNREACH,
    NEXT_HOP, ORIGIN,
)
from .block cimport GUESS_AS, NO_PEER, PEER_AS4, RIB, Entry, message_of, next_entry, octets_of, peer_of
from .octets cimport Reader, Writer, close_writer, left, open_writer, reader, room, skip, sub, take, u8, u16, u32, wrote
from .update cimport AS_SET, Mp, Update, has, locate, value_of

cdef enum:
    TEXT_PER_OCTET = 6
    TEXT_PER_LINE = 512
    UPDATE = 2
    OPEN = 1
    REFRESH = 5
    MICRO = 1000000


cdef struct Line:
    int64_t time
    bint rib
    bint as4
    Reader address    # of the peer: 4 or 16 octets, empty where it is not known
    uint32_t asn


# ---------------------------------------------------------------------------------------------------------------------
# Text: each function writes at `p` and returns the place behind; NULL declines

cdef inline uint8_t* put(uint8_t* p, const char* text) noexcept nogil:
    cdef size_t size = strlen(text)
    memcpy(p, text, size)
    return p + size


cdef inline uint8_t* put_number(uint8_t* p, uint64_t number) noexcept nogil:
    cdef uint8_t digits[20]
    cdef unsigned count = 0
    while True:
        digits[count] = <uint8_t> (c"0" + number % 10)
        number //= 10
        count += 1
        if number == 0:
            break
    while count:
        count -= 1
        p[0] = digits[count]
        p += 1
    return p


cdef inline uint8_t* put_char(uint8_t* p, uint8_t char) noexcept nogil:
    p[0] = char
    return p + 1


cdef inline uint8_t* put_ipv4(uint8_t* p, const uint8_t* address) noexcept nogil:
    cdef unsigned i
    for i in range(4):
        if i:
            p = put_char(p, c".")
        p = put_number(p, address[i])
    return p


cdef inline uint8_t* put_hex(uint8_t* p, unsigned word) noexcept nogil:
    cdef bint begun = False
    cdef unsigned shift, digit
    for shift in range(12, -1, -4):
        digit = word >> shift & 15
        if digit or begun or shift == 0:
            begun = True
            p = put_char(p, <uint8_t> (c"0" + digit if digit < 10 else c"a" + digit - 10))
    return p


cdef inline uint8_t* put_ipv6(uint8_t* p, const uint8_t* address) noexcept nogil:
    """As bgpdump does: `::` stands for the longest run of zeros, and for a single one too. IPv4-compatible addresses are
    declined."""
    cdef unsigned words[8]
    cdef unsigned i, start = 8, size = 0, run = 0
    for i in range(8):
        words[i] = <unsigned> address[2 * i] << 8 | address[2 * i + 1]
        run = run + 1 if words[i] == 0 else 0
        if run > size:
            size = run
            start = i + 1 - run
    if start == 0 and size >= 5:
        if size == 5 and words[5] == 0xFFFF:
            return put_ipv4(put(p, b"::ffff:"), address + 12)
        if size == 6 or size == 7 and words[7] > 1:
            return NULL
    i = 0
    while i < 8:
        if i == start:
            p = put_char(p, c":")
            i += size
            if i == 8:
                p = put_char(p, c":")
            continue
        if i:
            p = put_char(p, c":")
        p = put_hex(p, words[i])
        i += 1
    return p


cdef inline uint8_t* put_path(uint8_t* p, Reader r, bint as4) noexcept nogil:
    """AS_PATH: sets in braces, segments with a space between."""
    cdef unsigned kind, count, i
    cdef bint first = True
    while left(&r):
        kind = u8(&r)
        count = u8(&r)
        if not first:
            p = put_char(p, c" ")
        first = False
        if kind == AS_SET:
            p = put_char(p, c"{")
        for i in range(count):
            if i:
                p = put_char(p, c"," if kind == AS_SET else c" ")
            p = put_number(p, u32(&r) if as4 else u16(&r))
        if kind == AS_SET:
            p = put_char(p, c"}")
    return p


cdef inline uint8_t* put_communities(uint8_t* p, Reader r) noexcept nogil:
    cdef uint32_t community
    cdef bint first = True
    while left(&r):
        community = u32(&r)
        if not first:
            p = put_char(p, c" ")
        first = False
        if community == <uint32_t> 0xFFFFFF01:
            p = put(p, b"no-export")
        elif community == <uint32_t> 0xFFFFFF02:
            p = put(p, b"no-advertise")
        elif community == <uint32_t> 0xFFFFFF03:
            p = put(p, b"local-AS")
        else:
            p = put_number(put_char(put_number(p, community >> 16), c":"), community & 0xFFFF)
    return p


cdef inline uint8_t* put_next_hop(uint8_t* p, Reader hop) noexcept nogil:
    """The first address of a next hop."""
    if left(&hop) == 0:
        return put(p, b"255.255.255.255")
    return put_ipv4(p, hop.base + hop.pos) if left(&hop) == 4 else put_ipv6(p, hop.base + hop.pos)


cdef inline uint32_t number_of(const Update* u, int code) noexcept nogil:
    """The value of an attribute of 4 octets, 0 without it."""
    cdef Reader value = value_of(u, code)
    return u32(&value) if left(&value) else 0


cdef uint8_t* put_common(uint8_t* p, const Update* u) noexcept nogil:
    """The fields behind the next hop, to the end of the line."""
    cdef Reader value
    p = put_char(p, c"|")
    p = put_number(put_char(put_number(p, number_of(u, LOCAL_PREF)), c"|"), number_of(u, MED))
    p = put_char(put_communities(put_char(p, c"|"), value_of(u, COMMUNITY)), c"|")
    p = put(p, b"AG|" if has(u, ATOMIC_AGGREGATE) else b"NAG|")
    if has(u, AGGREGATOR):
        value = value_of(u, AGGREGATOR)
        p = put_char(put_number(p, u32(&value) if u.as4 else u16(&value)), c" ")
        p = put_ipv4(p, value.base + value.pos)
    return put(p, b"|\n")


cdef uint8_t* put_head(uint8_t* p, const Line* line, bint add_path, uint8_t letter, bint ipv6) noexcept nogil:
    """From the start of a line to before the prefix."""
    cdef int64_t micros = line.time % MICRO
    cdef unsigned digits = 100000
    if line.rib:
        p = put(p, b"TABLE_DUMP2" if line.as4 else b"TABLE_DUMP")
    else:
        p = put(p, b"BGP4MP_ET" if micros else b"BGP4MP")
    p = put(p, b"_AP|" if add_path else b"|")
    p = put_number(p, <uint64_t> (line.time // MICRO))
    if micros:
        p = put_char(p, c".")
        while digits:
            p = put_char(p, <uint8_t> (c"0" + micros // digits % 10))
            digits //= 10
    p = put_char(put_char(put_char(p, c"|"), letter), c"|")
    if left(&line.address) == 4:
        p = put_ipv4(p, line.address.base + line.address.pos)
    elif left(&line.address) == 16:
        p = put_ipv6(p, line.address.base + line.address.pos)
    else:
        p = put(p, b"::" if ipv6 else b"0.0.0.0")
    if p == NULL:
        return NULL
    return put_char(put_number(put_char(p, c"|"), line.asn), c"|")


cdef bint put_lines(
    Writer* w, const Line* line, Reader prefixes, bint ipv6, bint add_path, uint8_t letter, const uint8_t* tail,
    size_t size,
) noexcept nogil:
    """A line for each prefix; False declines."""
    cdef uint8_t head[256]
    cdef uint8_t address[16]
    cdef const uint8_t* octets
    cdef uint8_t* p = put_head(head, line, add_path, letter, ipv6)
    cdef size_t before
    cdef unsigned length, count
    cdef uint32_t path_id = 0
    if p == NULL:
        return False
    before = p - head
    while left(&prefixes):
        if add_path:
            path_id = u32(&prefixes)
        length = u8(&prefixes)
        count = (length + 7) >> 3
        octets = take(&prefixes, count)
        p = room(w, before + 80 + size)
        if octets == NULL or p == NULL:
            return False
        memset(address, 0, 16)
        memcpy(address, octets, count)
        if length & 7:
            address[count - 1] &= 0xFF00 >> (length & 7)
        memcpy(p, head, before)
        p += before
        p = put_ipv6(p, address) if ipv6 else put_ipv4(p, address)
        if p == NULL:
            return False
        p = put_number(put_char(p, c"/"), length)
        if add_path:
            p = put_number(put_char(p, c"|"), path_id)
        memcpy(p, tail, size)
        wrote(w, p + size)
    return True


cdef uint8_t* put_tail(uint8_t* p, const Update* u, Reader hop) noexcept nogil:
    """What follows the prefix of an announcement."""
    cdef Reader value = value_of(u, ORIGIN)
    cdef unsigned origin = u8(&value) if left(&value) else 2
    p = put_path(put_char(p, c"|"), value_of(u, AS_PATH), u.as4)
    p = put(p, b"|IGP|" if origin == 0 else b"|EGP|" if origin == 1 else b"|INCOMPLETE|")
    p = put_next_hop(p, hop)
    return NULL if p == NULL else put_common(p, u)


cdef bint put_update(Writer* w, const Line* line, const Update* u, uint8_t* tail) noexcept nogil:
    """All lines of an UPDATE; False declines."""
    cdef uint8_t letter = c"B" if line.rib else c"A"
    cdef uint8_t* end
    if has(u, AS4_PATH) or has(u, AS4_AGGREGATOR):
        return False
    tail[0] = c"\n"
    if not put_lines(w, line, u.withdrawn, False, u.add_path, c"W", tail, 1):
        return False
    if has(u, MP_UNREACH):
        if not put_lines(w, line, u.unreach.nlri, u.unreach.afi == 2, u.unreach.add_path, c"W", tail, 1):
            return False
    if left(&u.nlri):
        end = put_tail(tail, u, value_of(u, NEXT_HOP))
        if end == NULL or not put_lines(w, line, u.nlri, False, u.add_path, letter, tail, end - tail):
            return False
    if has(u, MP_REACH) and left(&u.reach.nlri):
        end = put_tail(tail, u, u.reach.next_hop)
        if end == NULL:
            return False
        return put_lines(w, line, u.reach.nlri, u.reach.afi == 2, u.reach.add_path, letter, tail, end - tail)
    return True


cdef bint read_line(Line* line, const Entry* entry, Reader peer) noexcept nogil:
    """What the entry and its per-peer header say; False declines."""
    cdef unsigned afi, i
    cdef const uint8_t* address
    cdef size_t size
    if entry.tags or entry.peer == NO_PEER or entry.time < 0 or entry.flags & GUESS_AS:
        return False
    line.time = entry.time
    line.rib = (entry.flags & RIB) != 0
    line.asn = u32(&peer) if entry.flags & PEER_AS4 else u16(&peer)
    skip(&peer, 4 if entry.flags & PEER_AS4 else 2)  # our AS
    skip(&peer, 2)  # the interface
    afi = u16(&peer)
    size = 16 if afi == 2 else 4
    line.address = sub(&peer, size)
    if peer.failed:
        return False
    address = line.address.base + line.address.pos
    for i in range(size):
        if address[i]:
            return True
    line.address = reader(line.address.base, 0, 0)
    return True


def encode(bytes octets not None, index not None, Py_ssize_t position):
    """(lines, position): the messages of a block from `position` to before the first one declined, or the end.

    octets, index: a block's. Raises MemoryError.
    """
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef size_t size = PyBytes_GET_SIZE(octets)
    cdef Py_buffer view
    cdef Writer w
    cdef Reader entries, message
    cdef Entry entry
    cdef Update u
    cdef Line line
    cdef const uint8_t* header
    cdef size_t before
    cdef uint8_t* tail = <uint8_t*> malloc(TEXT_PER_OCTET * 65536 + TEXT_PER_LINE)
    if tail == NULL:
        raise MemoryError
    PyObject_GetBuffer(index, &view, PyBUF_SIMPLE)
    try:
        entries = reader(<const uint8_t*> view.buf, <size_t> position * sizeof(Entry), view.len)
        open_writer(&w, 2 * octets_of(entries) + TEXT_PER_LINE)
        with nogil:
            while next_entry(&entries, &entry):
                message = message_of(base, size, &entry)
                if message.failed:
                    break
                header = message.base + message.pos
                if header[18] != UPDATE:
                    if header[18] < OPEN or header[18] > REFRESH:
                        break
                    position += 1
                    continue
                if not read_line(&line, &entry, peer_of(base, size, &entry)) or not locate(&u, message, entry.flags):
                    break
                line.as4 = u.as4
                before = w.used
                if not put_update(&w, &line, &u, tail):
                    w.used = before
                    break
                position += 1
    finally:
        PyBuffer_Release(&view)
        free(tail)
    return close_writer(&w), position
