"""Finding messages in octets: the index of a block (see bgpipe.wire.block)."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcmp

from .block cimport ADD_PATH, AS4, LEFT, MESSAGE_HEADER, NO_PEER, PEER_AS4, RIGHT, Entry
from .octets cimport Reader, left, reader, skip, sub, take, u8, u16, u32


cdef enum:
    BGP4MP = 16
    BGP4MP_ET = 17
    USUAL_RECORD = 128  # octets: those of real archives have 110 to 180 on average


cdef enum:
    OPEN = 1
    UPDATE = 2
    NOTIFICATION = 3
    KEEPALIVE = 4
    ROUTE_REFRESH = 5


cdef enum Kind:
    ODD
    MESSAGE
    STATE


cdef inline bint sound_header(Reader r) noexcept nogil:
    """Whether a whole BGP message starts with a header that message.check_header takes, and has that length."""
    cdef size_t size = left(&r)
    cdef const uint8_t* marker = take(&r, 16)
    cdef size_t length = u16(&r)
    cdef unsigned kind = u8(&r)
    if r.failed or length != size or memcmp(marker, b"\xff" * 16, 16) != 0:
        return False
    if kind == UPDATE or kind == ROUTE_REFRESH:
        return length >= 23
    if kind == KEEPALIVE:
        return length == MESSAGE_HEADER
    if kind == OPEN:
        return 29 <= length <= 4096
    return kind == NOTIFICATION and length >= 21


cdef inline Kind read_record(Reader* r, Entry* entry) noexcept nogil:
    """One BGP4MP or BGP4MP_ET record (RFC 6396 section 4.4, RFC 8050 section 3); fills `entry` if it is a message."""
    cdef int64_t micros = 0
    cdef int64_t seconds = u32(r)
    cdef unsigned kind = u16(r)
    cdef unsigned subtype = u16(r)
    cdef Reader body = sub(r, u32(r))
    cdef unsigned flags, afi
    if r.failed or kind != BGP4MP and kind != BGP4MP_ET:
        return ODD
    if kind == BGP4MP_ET:
        micros = u32(&body)
        if micros >= 1000000:
            return ODD
    if subtype == 0 or subtype == 1 or subtype == 6:
        flags = 0
    elif subtype == 4 or subtype == 5 or subtype == 7:
        flags = AS4 | PEER_AS4
    elif subtype == 8 or subtype == 10:
        flags = ADD_PATH
    elif subtype == 9 or subtype == 11:
        flags = AS4 | PEER_AS4 | ADD_PATH
    else:
        return ODD
    entry.peer = <uint32_t> body.pos
    skip(&body, 10 if flags & PEER_AS4 else 6)
    afi = u16(&body)
    if afi != 1 and afi != 2:
        return ODD
    skip(&body, 8 if afi == 1 else 32)
    if body.failed:
        return ODD
    if subtype == 0 or subtype == 5:
        return STATE if left(&body) == 4 else ODD
    if not sound_header(body):
        return ODD
    entry.seq = 0
    entry.time = seconds * 1000000 + micros
    entry.offset = <uint32_t> body.pos
    entry.length = <unsigned short> left(&body)
    entry.flags = flags
    entry.tags = 0
    return MESSAGE


def mrt(bytes octets not None, Py_ssize_t start, bint stop_at_states):
    """(index, end, records, states): the messages of the run of BGP4MP and BGP4MP_ET records from `start` on.

    The run ends before the first record that is cut short, of another type or subtype, or odd in any way, or at the
    end of `octets`: `end` is there. records: how many were passed. states: how many of these were state changes; with
    `stop_at_states` the run ends before the first one.
    """
    cdef size_t size = min(PyBytes_GET_SIZE(octets), <Py_ssize_t> NO_PEER)
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef size_t begin, end, top, count = 0, records = 0, states = 0
    cdef Entry* entries
    cdef Kind kind
    cdef Reader r
    if start < 0:
        raise ValueError("start is before the first octet")
    r = reader(base, start, size)
    begin = end = r.pos
    top = left(&r) // USUAL_RECORD + 1
    index = PyByteArray_FromStringAndSize(NULL, top * sizeof(Entry))
    while left(&r):
        entries = <Entry*> PyByteArray_AS_STRING(index)
        with nogil:
            while left(&r) and count < top:
                kind = read_record(&r, &entries[count])
                if kind == ODD or kind == STATE and stop_at_states:
                    break
                if kind == MESSAGE:
                    count += 1
                else:
                    states += 1
                records += 1
                end = r.pos
        if count < top:
            break
        top += top
        PyByteArray_Resize(index, top * sizeof(Entry))
    PyByteArray_Resize(index, count * sizeof(Entry))
    return index, end if end > begin else start, records, states


def stamp(bytearray index not None, unsigned flags, int64_t seq, int64_t time):
    """Gives every message the direction bits `flags` and, where it has none, a number from `seq` on and the time
    `time`; returns the first number not used."""
    cdef Py_buffer view
    cdef Entry* entries
    cdef size_t count, i
    PyObject_GetBuffer(index, &view, PyBUF_WRITABLE)
    entries = <Entry*> view.buf
    count = view.len // sizeof(Entry)
    flags &= LEFT | RIGHT
    with nogil:
        for i in range(count):
            if entries[i].seq == 0:
                entries[i].seq = seq
                seq += 1
            if entries[i].time == 0:
                entries[i].time = time
            entries[i].flags = (entries[i].flags & ~<unsigned> (LEFT | RIGHT)) | flags
    PyBuffer_Release(&view)
    return seq
