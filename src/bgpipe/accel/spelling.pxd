"""A line of JSON in another spelling to the one that our own encoder has: no blanks, keys in its order.

Nothing is judged here: keys that nobody knows, keys that come twice and values of any kind stay as they are, and what
reads the result declines them. What is no JSON fails here or there.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memcmp, memcpy

from .octets cimport Reader, Writer, left, reader, room, take, u8


cdef enum:
    MAX_MEMBERS = 32  # of an object
    MAX_DEPTH = 6     # line, body, attributes, attribute, value, list inside


cdef enum:
    OTHER_RANK = 8    # behind the tags of a per-peer header, in front of WIRE


cdef inline bint same(const uint8_t* text, const char* key, size_t size) noexcept nogil:
    return memcmp(text, key, size) == 0


cdef inline unsigned rank_of(const uint8_t* text, size_t size) noexcept nogil:
    """Where our encoder writes the member with this key (its quotes included) among those of its object."""
    if size == 7:
        if same(text, b'"flags"', 7) or same(text, b'"reach"', 7):
            return 1
        return 2 if same(text, b'"value"', 7) else 3 if same(text, b'"attrs"', 7) else OTHER_RANK
    if size == 9:
        if same(text, b'"PEER_AS"', 9):
            return 1
        if same(text, b'"PEER_IP"', 9) or same(text, b'"nexthop"', 9) or same(text, b'"unreach"', 9):
            return 2
        return OTHER_RANK
    if size == 10:
        if same(text, b'"LOCAL_AS"', 10):
            return 3
        return 4 if same(text, b'"LOCAL_IP"', 10) or same(text, b'"prefixes"', 10) else OTHER_RANK
    if size == 4:
        return 1 if same(text, b'"af"', 4) else OTHER_RANK
    if size == 5:
        return 1 if same(text, b'"asn"', 5) else OTHER_RANK
    if size == 6:
        if same(text, b'"type"', 6):
            return 1
        return 2 if same(text, b'"addr"', 6) else 9 if same(text, b'"WIRE"', 6) else OTHER_RANK
    if size == 11:
        return 5 if same(text, b'"INTERFACE"', 11) else OTHER_RANK
    if size == 12:
        return 3 if same(text, b'"link-local"', 12) else OTHER_RANK
    return OTHER_RANK


cdef inline void skip_blanks(Reader* r) noexcept nogil:
    while r.pos < r.end and (r.base[r.pos] == c" " or r.base[r.pos] == c"\t" or r.base[r.pos] == c"\r"):
        r.pos += 1


cdef inline bint next_is(Reader* r, uint8_t char) noexcept nogil:
    """Passes over blanks, and over `char` if it comes next."""
    skip_blanks(r)
    if r.pos < r.end and r.base[r.pos] == char:
        r.pos += 1
        return True
    return False


cdef inline uint8_t* copy_string(uint8_t* p, Reader* r) noexcept nogil:
    """A string with its quotes."""
    cdef size_t start = r.pos
    cdef uint8_t char
    r.pos += 1
    while r.pos < r.end:
        char = r.base[r.pos]
        r.pos += 1
        if char == c"\\":
            r.pos += 1
        elif char == c'"':
            if r.pos > r.end:
                return NULL
            memcpy(p, r.base + start, r.pos - start)
            return p + (r.pos - start)
    return NULL


cdef inline uint8_t* copy_word(uint8_t* p, Reader* r) noexcept nogil:
    """A number, true, false or null."""
    cdef uint8_t char
    cdef size_t start = r.pos
    while r.pos < r.end:
        char = r.base[r.pos]
        if char <= c" " or char == c"," or char == c"]" or char == c"}" or char == c'"' or char == c"[" or char == c"{":
            break
        p[0] = char
        p += 1
        r.pos += 1
    return p if r.pos > start else NULL


cdef struct Member:
    size_t start
    size_t size
    unsigned rank


cdef inline uint8_t* sort_members(uint8_t* first, uint8_t* p, Member* members, unsigned count) noexcept nogil:
    """Puts the members of an object, which have commas between them, in order of their ranks; `first` starts them."""
    cdef uint8_t* q = p
    cdef unsigned rank, i
    for rank in range(1, 10):
        for i in range(count):
            if members[i].rank == rank:
                if q != p:
                    q[0] = c","
                    q += 1
                memcpy(q, first + members[i].start, members[i].size)
                q += members[i].size
    memcpy(first, p, q - p)
    return first + (q - p)


cdef inline uint8_t* copy_list(uint8_t* p, Reader* r, unsigned depth) noexcept nogil:
    """A list from behind its opening bracket."""
    p[0] = c"["
    p += 1
    if next_is(r, c"]"):
        p[0] = c"]"
        return p + 1
    while True:
        p = copy_value(p, r, depth)
        if p == NULL:
            return NULL
        if next_is(r, c","):
            p[0] = c","
            p += 1
            continue
        p[0] = c"]"
        return p + 1 if next_is(r, c"]") else NULL


cdef inline uint8_t* copy_object(uint8_t* p, Reader* r, unsigned depth) noexcept nogil:
    """An object from behind its opening brace."""
    cdef Member members[MAX_MEMBERS]
    cdef unsigned count = 0
    cdef bint sorted = True
    cdef uint8_t* first = p + 1
    cdef uint8_t* start
    p[0] = c"{"
    p += 1
    if next_is(r, c"}"):
        p[0] = c"}"
        return p + 1
    while count < MAX_MEMBERS:
        start = p
        skip_blanks(r)
        if r.pos >= r.end or r.base[r.pos] != c'"':
            return NULL
        p = copy_string(p, r)
        if p == NULL or not next_is(r, c":"):
            return NULL
        members[count].rank = rank_of(start, p - start)
        p[0] = c":"
        p = copy_value(p + 1, r, depth)
        if p == NULL:
            return NULL
        members[count].start = start - first
        members[count].size = p - start
        if count and members[count].rank < members[count - 1].rank:
            sorted = False
        count += 1
        if next_is(r, c","):
            p[0] = c","
            p += 1
            continue
        if not next_is(r, c"}"):
            return NULL
        if not sorted:
            p = sort_members(first, p, members, count)
        p[0] = c"}"
        return p + 1
    return NULL


cdef inline uint8_t* copy_value(uint8_t* p, Reader* r, unsigned depth) noexcept nogil:
    """Any value without its blanks; the room at `p` is twice what is left to read. NULL declines."""
    skip_blanks(r)
    if r.pos >= r.end:
        return NULL
    if r.base[r.pos] == c'"':
        return copy_string(p, r)
    if r.base[r.pos] == c"[" or r.base[r.pos] == c"{":
        if depth == 0:
            return NULL
        r.pos += 1
        if r.base[r.pos - 1] == c"[":
            return copy_list(p, r, depth - 1)
        return copy_object(p, r, depth - 1)
    return copy_word(p, r)


cdef inline Reader canonical(Writer* scratch, Reader line) noexcept nogil:
    """The line as our encoder spells it, which lives in `scratch` until the next call; a failed reader declines."""
    cdef uint8_t* start = room(scratch, 2 * left(&line) + 64)
    cdef uint8_t* p
    if start == NULL:
        return reader(line.base, 1, 0)
    p = copy_value(start, &line, MAX_DEPTH)
    skip_blanks(&line)
    if p == NULL or left(&line):
        return reader(line.base, 1, 0)
    return reader(start, 0, p - start)
