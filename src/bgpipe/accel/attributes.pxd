"""Path attributes: the codes that accel knows, and the rules that the table of bgpipe.wire.attrs has for them."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef enum:
    ORIGIN = 1
    AS_PATH = 2
    NEXT_HOP = 3
    MED = 4
    LOCAL_PREF = 5
    ATOMIC_AGGREGATE = 6
    AGGREGATOR = 7
    COMMUNITY = 8
    ORIGINATOR_ID = 9
    CLUSTER_LIST = 10
    MP_REACH = 14
    MP_UNREACH = 15
    EXT_COMMUNITY = 16
    AS4_PATH = 17
    AS4_AGGREGATOR = 18
    LARGE_COMMUNITY = 32
    OTC = 35
    KNOWN_ATTRIBUTES = 17


cdef enum:
    OPTIONAL = 0x80
    TRANSITIVE = 0x40
    PARTIAL = 0x20
    EXTENDED = 0x10


cdef struct Rule:
    uint16_t least     # octets of the value
    uint16_t span      # how many more it can have
    uint32_t multiple  # a length is a multiple of the size if length * multiple, in 32 bits, is at most `top`
    uint32_t top
    uint8_t flags      # OPTIONAL and TRANSITIVE as they must be
    bint looks         # there is more to check than the length


cdef Rule RULES[2][256]  # where AS numbers have 2 octets, and 4; by code. An unknown attribute has no possible length


cdef inline bint sound_length(const Rule* rule, uint32_t length) noexcept nogil:
    """Whether a value can have this length."""
    return length - rule.least <= rule.span and <uint32_t> (length * rule.multiple) <= rule.top
