"""Blocks to MRT records of type BGP4MP_ET: the octets that bgpipe.formats.mrt writes, or the place where it must go on."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from .block cimport (
    ADD_PATH, ADD_PATH_IPV4, ADD_PATH_IPV6, AS4, NO_PEER, OWN_PEER, PEER_AS4, Entry, message_of, next_entry, octets_of,
    peer_of,
)
from .octets cimport Reader, Writer, close_writer, left, open_writer, reader, room, skip, take, u16, u32, wrote


cdef enum:
    RECORD_HEADER = 16  # octets, microseconds included (RFC 6396 section 3)
    PEER_HEADER = 44    # octets of the longest
    BGP4MP_ET = 17
    MESSAGE = 1
    MESSAGE_AS4 = 4
    MESSAGE_ADD_PATH = 8
    MESSAGE_AS4_ADD_PATH = 9
    AS_TRANS = 23456


cdef const uint8_t* NOBODY = b"\0\0\0\0" b"\0\0\0\0" b"\0\0" b"\0\1" b"\0\0\0\0" b"\0\0\0\0"

cdef inline uint8_t* put_u16(uint8_t* p, uint16_t number) noexcept nogil:
    p[0] = number >> 8
    p[1] = number & 255
    return p + 2


cdef inline uint8_t* put_u32(uint8_t* p, uint32_t number) noexcept nogil:
    return put_u16(put_u16(p, number >> 16), number & 0xFFFF)


cdef inline uint8_t* put_as(uint8_t* p, uint32_t asn, bint as4) noexcept nogil:
    """In two octets, AS_TRANS stands for a number that doesn't fit (RFC 6793 section 9)."""
    return put_u32(p, asn) if as4 else put_u16(p, asn if asn <= 0xFFFF else AS_TRANS)


cdef inline uint8_t* put_record(uint8_t* p, const Entry* entry, Reader message, Reader peer) noexcept nogil:
    """One message as a record (RFC 6396 section 4.4, RFC 8050 section 3); NULL declines.

    A message without a per-peer header gets one that says nothing. Declined are a time that 32 bits of seconds
    can't hold, path identifiers in some families only, and tags that say something else of the peer.
    """
    cdef bint as4 = (entry.flags & AS4) != 0
    cdef bint add_path = (entry.flags & ADD_PATH) != 0
    cdef bint peer_as4 = (entry.flags & PEER_AS4) != 0
    cdef size_t size = left(&message)
    cdef size_t rest
    cdef uint32_t peer_as, local_as
    cdef const uint8_t* start
    if message.failed or entry.flags & (OWN_PEER | ADD_PATH_IPV4 | ADD_PATH_IPV6) or entry.time < 0 or (entry.time // 1000000) >> 32 != 0:
        return NULL
    if entry.peer == NO_PEER:
        peer = reader(NOBODY, 0, 20)
        peer_as4 = True
    peer_as = u32(&peer) if peer_as4 else u16(&peer)
    local_as = u32(&peer) if peer_as4 else u16(&peer)
    start = take(&peer, 4)  # interface and AFI; the addresses come behind
    if start == NULL:
        return NULL
    rest = 32 if start[2] == 0 and start[3] == 2 else 8
    if not skip(&peer, rest):
        return NULL
    rest += 4
    p = put_u32(p, <uint32_t> (entry.time // 1000000))
    p = put_u16(p, BGP4MP_ET)
    p = put_u16(p, (MESSAGE_AS4_ADD_PATH if as4 else MESSAGE_ADD_PATH) if add_path else MESSAGE_AS4 if as4 else MESSAGE)
    p = put_u32(p, <uint32_t> (4 + (8 if as4 else 4) + rest + size))
    p = put_u32(p, <uint32_t> (entry.time % 1000000))
    p = put_as(put_as(p, peer_as, as4), local_as, as4)
    memcpy(p, start, rest)
    memcpy(p + rest, take(&message, size), size)
    return p + rest + size


def encode(bytes octets not None, index not None, Py_ssize_t position):
    """(records, position): the messages of a block from `position` to before the first one declined, or the end.

    octets, index: a block's. Raises MemoryError.
    """
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef size_t size = PyBytes_GET_SIZE(octets)
    cdef Py_buffer view
    cdef Writer w
    cdef Reader entries, message
    cdef Entry entry
    cdef uint8_t* p
    PyObject_GetBuffer(index, &view, PyBUF_SIMPLE)
    try:
        entries = reader(<const uint8_t*> view.buf, <size_t> position * sizeof(Entry), view.len)
        open_writer(&w, octets_of(entries) + left(&entries) // sizeof(Entry) * (RECORD_HEADER + PEER_HEADER))
        with nogil:
            while next_entry(&entries, &entry):
                message = message_of(base, size, &entry)
                p = room(&w, RECORD_HEADER + PEER_HEADER + left(&message))
                if p == NULL:
                    break
                p = put_record(p, &entry, message, peer_of(base, size, &entry))
                if p == NULL:
                    break
                wrote(&w, p)
                position += 1
    finally:
        PyBuffer_Release(&view)
    return close_writer(&w), position
