"""BGP messages, one behind the other, to BMP: the same bytes as bgpipe.wire.bmp.monitor makes."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from .octets cimport Reader, Writer, close_writer, left, open_writer, reader, room, take, wrote

cdef enum:
    HEADER = 19
    UPDATE = 2
    BMP_HEADER = 48


def monitor(bytes octets not None, bytes header not None):
    """A Route Monitoring for each UPDATE in `octets`; None if the messages do not fill them, or the header is of another
    size.

    octets: whole BGP messages. header: common and per-peer header, whose length is set here. Raises MemoryError.
    """
    cdef Reader r = reader(<const uint8_t*> PyBytes_AS_STRING(octets), 0, PyBytes_GET_SIZE(octets))
    cdef Writer w
    cdef size_t length, size
    cdef const uint8_t* message
    cdef const uint8_t* first
    cdef uint8_t* p
    cdef const uint8_t* start = <const uint8_t*> PyBytes_AS_STRING(header)
    cdef bint whole = True
    if PyBytes_GET_SIZE(header) != BMP_HEADER:
        return None
    open_writer(&w, 2 * left(&r) + BMP_HEADER)
    with nogil:
        while left(&r):
            first = take(&r, HEADER)
            if first == NULL:
                whole = False
                break
            length = (<size_t> first[16] << 8) | first[17]
            if length < HEADER or take(&r, length - HEADER) == NULL:
                whole = False
                break
            if first[18] != UPDATE:
                continue
            size = BMP_HEADER + length
            p = room(&w, size)
            if p == NULL:
                whole = False
                break
            memcpy(p, start, BMP_HEADER)
            p[1], p[2], p[3], p[4] = 0, <uint8_t> (size >> 16), <uint8_t> (size >> 8), <uint8_t> size
            memcpy(p + BMP_HEADER, first, length)
            wrote(&w, p + size)
    made = close_writer(&w)
    return made if whole else None
