"""The program of a filter, word for word as bgpipe.filters.program writes it."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from .octets cimport Reader, reader, take


cdef enum Look:
    LOOK_ASK
    LOOK_TYPE
    LOOK_FAMILY
    LOOK_PREFIX
    LOOK_REACH
    LOOK_UNREACH
    LOOK_NEXT_HOP
    LOOK_PATH
    LOOK_HOP
    LOOK_PATH_LEN
    LOOK_PATH_HOPS
    LOOK_PATH_TEXT
    LOOK_ORIGIN
    LOOK_MED
    LOOK_LOCAL_PREF
    LOOK_OTC
    LOOK_COMMUNITY
    LOOK_EXT_COMMUNITY
    LOOK_LARGE_COMMUNITY
    LOOK_DIRECTION
    LOOK_SEQ
    LOOK_TIME
    LOOK_COMMUNITY_TEXT
    LOOK_LARGE_COMMUNITY_TEXT
    LOOK_PEER_AS
    LOOK_PEER_IP
    LOOK_LOCAL_AS
    LOOK_LOCAL_IP
    LOOK_TAG


cdef enum Operator:
    PRESENT
    EQUAL
    LESS
    LESS_OR_EQUAL
    GREATER
    GREATER_OR_EQUAL
    LIKE


cdef enum Want:
    WANT_TRUE
    WANT_FALSE
    WANT_NOT_TRUE
    WANT_NOT_FALSE


cdef enum Answer:
    NO
    YES
    ABSENT
    DECLINE


cdef enum:
    ACCEPT = 0xFFFF
    REJECT = 0xFFFE
    UPDATE = 2


cdef enum:
    MATCH = 1   # states of a table
    START = 2
    ROW = 16
    COMMA = 10  # letters behind the ten digits
    OPENING = 11
    CLOSING = 12
    COLON = 13
    QUOTE = 14
    END = 15


cdef struct Header:
    uint16_t count
    uint16_t first_update
    uint16_t first_other
    uint16_t zero


cdef struct Step:
    uint8_t look
    uint8_t operator
    uint8_t want
    uint8_t every
    uint16_t yes
    uint16_t no
    int32_t hop
    uint32_t size
    uint32_t table
    uint32_t table_size
    int64_t number
    uint8_t address[16]


cdef struct Program:
    Header header
    const Step* steps
    const uint8_t* octets
    Reader answers   # to steps LOOK_TAG: an octet for each message, step after step; empty for none
    size_t messages  # of the index
    size_t message   # that is looked at, its number


cdef inline bint leads(const Program* program, Py_ssize_t here, Py_ssize_t there) noexcept nogil:
    return there == ACCEPT or there == REJECT or here < there < program.header.count


cdef inline bint load(Program* program, const uint8_t* octets, size_t size) noexcept nogil:
    """Whether a program is sound: every step leads to a later one, every table's states to states of its own."""
    cdef Reader r = reader(octets, 0, size)
    cdef const uint8_t* p = take(&r, sizeof(Header))
    cdef const Step* step
    cdef size_t i, k
    if p == NULL:
        return False
    memcpy(&program.header, p, sizeof(Header))
    p = take(&r, program.header.count * sizeof(Step))
    if p == NULL:
        return False
    program.octets = octets
    program.answers = reader(octets, 0, 0)
    program.messages = program.message = 0
    program.steps = <const Step*> p
    if not (leads(program, -1, program.header.first_update) and leads(program, -1, program.header.first_other)):
        return False
    for i in range(program.header.count):
        step = &program.steps[i]
        if not (leads(program, i, step.yes) and leads(program, i, step.no)) or step.size > 128:
            return False
        if (
            step.look == LOOK_PATH_TEXT
            or step.look == LOOK_COMMUNITY_TEXT
            or step.look == LOOK_LARGE_COMMUNITY_TEXT
        ):
            r = reader(octets, step.table, size)
            p = take(&r, step.table_size)
            if p == NULL or step.table_size <= START * ROW or step.table_size % ROW != 0:
                return False
            for k in range(step.table_size):
                if p[k] * ROW >= step.table_size:
                    return False
    return True
