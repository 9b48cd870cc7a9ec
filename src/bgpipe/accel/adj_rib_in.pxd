"""Routes as they came in: what a slot holds, and how prefixes and paths are read and written (bgpipe.routes.adj_rib_in)."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from .attributes cimport AS_PATH, COMMUNITY
from .octets cimport Reader, left, skip, u8, u16, u32
from .prefix cimport mix, read_address
from .update cimport AS_SEQUENCE, Update, has, value_of


cdef enum:
    BLACKHOLE_COMMUNITY = 0xFFFF029A  # RFC 7999


cdef enum:  # bits of a route's state; the others are the verdict of the stage
    OUT = 1
    WANTED = 2
    VERDICT_SHIFT = 2


cdef enum:  # marks of a route
    STALE = 1    # it was not announced again since the beginning of a refresh (RFC 7313)
    PENDING = 2  # its slot is in the list of what has to be told
    AGAIN = 4    # it has to be announced again, because what is said with it has changed


cdef enum OriginKind:  # of a path
    NO_ORIGIN = 0      # it ends in an AS_SET
    ORIGIN_AS = 1
    OF_SENDER = 2      # it is empty: the route is of the AS that has sent it


cdef enum:  # marks of attributes
    BLACKHOLE = 1


cdef struct Route:
    uint64_t high        # an IPv4 address, or the first 64 bits of an IPv6 address
    uint64_t low
    uint32_t path_id
    uint32_t attributes  # their number; 0: the route is gone
    uint8_t length
    uint8_t family       # AFI; 0: the slot is free
    uint8_t state
    uint8_t marks


cdef struct Attributes:
    uint8_t* octets      # MP_REACH_NLRI up to its NLRI, then the octets of all other attributes; NULL: the number is free
    uint32_t head        # octets of the first part, 0 where prefixes are in the NLRI field
    uint32_t size        # of both parts
    uint32_t hash
    uint32_t references  # routes
    uint32_t next        # number of the next one in its chain, or of the next free one
    uint32_t origin
    uint8_t origin_kind
    uint8_t flags        # of an entry of a block: how AS numbers and prefixes are to be written
    uint8_t marks
    uint8_t verdict      # for whoever judges attributes


cdef inline bint is_due(const Route* route) noexcept nogil:
    """Whether a route has to be announced now. One that is stale may be gone at the end of the refresh."""
    return (
        route.attributes != 0 and route.state & WANTED and not route.marks & STALE
        and (not route.state & OUT or route.marks & AGAIN)
    )


cdef inline uint32_t hash_of(uint64_t seed, const uint8_t* octets, size_t size, uint32_t more) noexcept nogil:
    cdef uint64_t hash = mix(seed, <uint64_t> size << 32 | more), word
    while size >= 8:
        memcpy(&word, octets, 8)
        hash = mix(hash, word)
        octets += 8
        size -= 8
    if size:
        word = 0
        memcpy(&word, octets, size)
        hash = mix(hash, word)
    return <uint32_t> (hash >> 16)


cdef inline unsigned origin_of(Update* u, uint32_t* origin) noexcept nogil:
    """The origin of the path as RFC 6811 section 2 has it, and its kind."""
    cdef Reader r = value_of(u, AS_PATH)
    cdef unsigned kind = 0, count
    if not left(&r):
        return OF_SENDER
    while left(&r):
        kind = u8(&r)
        count = u8(&r)
        skip(&r, (count - 1) * (4 if u.as4 else 2))
        origin[0] = u32(&r) if u.as4 else u16(&r)
    if kind == AS_SEQUENCE:
        return ORIGIN_AS
    origin[0] = 0
    return NO_ORIGIN


cdef inline bint has_blackhole(Reader r) noexcept nogil:
    while left(&r):
        if u32(&r) == <uint32_t> BLACKHOLE_COMMUNITY:
            return True
    return False


cdef inline unsigned marks_of(Update* u) noexcept nogil:
    """The marks of the attributes of an UPDATE."""
    return BLACKHOLE if has(u, COMMUNITY) and has_blackhole(value_of(u, COMMUNITY)) else 0


cdef inline void read_key(Reader* r, Route* key, bint add_path) noexcept nogil:
    """The next prefix of a field of the AFI `key.family`."""
    key.path_id = u32(r) if add_path else 0
    key.length = u8(r)
    read_address(r, key.family, key.length, &key.high, &key.low)


cdef inline uint8_t* put_key(uint8_t* p, const Route* route, bint add_path) noexcept nogil:
    """A prefix as NLRI; at most 21 octets."""
    cdef unsigned size = (route.length + 7) >> 3, i
    if add_path:
        for i in range(4):
            p[i] = <uint8_t> (route.path_id >> (24 - 8 * i))
        p += 4
    p[0] = route.length
    for i in range(size):
        if route.family == 1:
            p[1 + i] = <uint8_t> (route.high >> (24 - 8 * i))
        elif i < 8:
            p[1 + i] = <uint8_t> (route.high >> (56 - 8 * i))
        else:
            p[1 + i] = <uint8_t> (route.low >> (120 - 8 * i))
    return p + 1 + size


cdef inline void put_length(uint8_t* p, size_t length) noexcept nogil:
    p[0] = <uint8_t> (length >> 8)
    p[1] = <uint8_t> (length & 0xFF)
