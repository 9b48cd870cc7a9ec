"""Messages of a live session: finds them in the octets of one read, and tells what a proxy must know about them."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp

from .attributes cimport MP_REACH, MP_UNREACH
from .block cimport CHECKED, MESSAGE_HEADER, NO_PEER, PEER_AS4, Entry, message_of, next_entry
from .octets cimport Reader, left, reader, skip, sub, take, u8, u16, u32
from .update cimport Update, has, locate, locate_body, plausible


cdef enum:
    UPDATE = 2
    SMALLEST_UPDATE = 23


cdef inline bint is_end_of_rib(Reader body) noexcept nogil:
    """Whether a body is empty, or holds nothing but an MP_UNREACH_NLRI without prefixes."""
    cdef size_t size = left(&body)
    if size != 4 and size != 10 and size != 11:
        return False
    return u16(&body) == 0 and u16(&body) == size - 4 and (size == 4 or (u8(&body) & 0x80 and u8(&body) == MP_UNREACH))


def frame(
    bytes octets not None,
    Py_ssize_t start,
    Py_ssize_t stop,
    unsigned flags,
    int64_t time,
    unsigned limit,
    bint has_peer,
):
    """(index, end): the run of whole UPDATE messages from `start` to before `stop`, of at most `limit` octets each.

    The run ends at `end`: before a message that is cut short, of another type, an End-of-RIB (RFC 4724 section 2), or
    with a header that can't be. flags, time: for every entry. has_peer: behind `stop` there is a per-peer header with
    4-octet AS numbers, which belongs to all of them.
    """
    cdef size_t size = min(max(stop, 0), PyBytes_GET_SIZE(octets), <Py_ssize_t> NO_PEER)
    cdef uint32_t peer = <uint32_t> size if has_peer else NO_PEER
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef const uint8_t* marker
    cdef size_t begin, end, top, length, count = 0
    cdef unsigned kind
    cdef Entry* entries
    cdef Reader r, body
    if start < 0:
        raise ValueError("start is before the first octet")
    if has_peer:
        flags |= PEER_AS4
    r = reader(base, start, size)
    begin = end = r.pos
    top = left(&r) // MESSAGE_HEADER + 1
    index = PyByteArray_FromStringAndSize(NULL, top * sizeof(Entry))
    entries = <Entry*> PyByteArray_AS_STRING(index)
    with nogil:
        while left(&r) >= MESSAGE_HEADER and count < top:
            marker = take(&r, 16)
            length = u16(&r)
            kind = u8(&r)
            if memcmp(marker, b"\xff" * 16, 16) != 0 or kind != UPDATE or not SMALLEST_UPDATE <= length <= limit:
                break
            body = sub(&r, length - MESSAGE_HEADER)
            if body.failed or is_end_of_rib(body):
                break
            entries[count].seq = 0
            entries[count].time = time
            entries[count].offset = <uint32_t> end
            entries[count].peer = peer
            entries[count].length = <uint16_t> length
            entries[count].flags = flags
            entries[count].tags = 0
            count += 1
            end = r.pos
    PyByteArray_Resize(index, count * sizeof(Entry))
    return index, end if end > begin else start


def survey(bytes octets not None, index not None):
    """(every, some, longest): the flags that all entries have, that some have, and the octets of the longest message."""
    cdef Py_buffer view
    cdef Reader entries
    cdef Entry entry
    cdef unsigned every = 0xFFFF, some = 0, longest = 0
    PyObject_GetBuffer(index, &view, PyBUF_SIMPLE)
    entries = reader(<const uint8_t*> view.buf, 0, view.len)
    with nogil:
        while next_entry(&entries, &entry):
            every &= entry.flags
            some |= entry.flags
            if entry.length > longest:
                longest = entry.length
    PyBuffer_Release(&view)
    return every, some, longest


def families(bytes octets not None, index not None):
    """Families of the routes in the UPDATEs of a block, each as AFI * 256 + SAFI; None if accel can't tell.

    It knows IPv4 and IPv6, unicast and multicast. The fields outside of attributes are IPv4 unicast.
    """
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef size_t size = PyBytes_GET_SIZE(octets)
    cdef Py_buffer view
    cdef Reader entries
    cdef Entry entry
    cdef Update update
    cdef unsigned seen = 0
    cdef bint sure = True
    PyObject_GetBuffer(index, &view, PyBUF_SIMPLE)
    entries = reader(<const uint8_t*> view.buf, 0, view.len)
    with nogil:
        while sure and next_entry(&entries, &entry):
            sure = locate(&update, message_of(base, size, &entry), entry.flags)
            if not sure:
                break
            if left(&update.withdrawn) or left(&update.nlri) or not update.count:
                seen |= 1
            if has(&update, MP_REACH):
                seen |= family_bit(update.reach.afi, update.reach.safi)
            if has(&update, MP_UNREACH):
                seen |= family_bit(update.unreach.afi, update.unreach.safi)
    PyBuffer_Release(&view)
    if not sure:
        return None
    return [family for bit, family in ((1, 0x101), (2, 0x102), (4, 0x201), (8, 0x202)) if seen & bit]


cdef inline unsigned family_bit(unsigned afi, unsigned safi) noexcept nogil:
    """A bit for each family that `locate` knows."""
    return (1 if afi == 1 else 4) << (safi == 2)


def is_sound(bytes body not None, unsigned flags):
    """True if the body of an UPDATE, decoded as `flags` say, has no error. False if accel can't tell."""
    cdef Reader r = reader(<const uint8_t*> PyBytes_AS_STRING(body), 0, PyBytes_GET_SIZE(body))
    cdef Update update
    cdef bint sound
    with nogil:
        sound = locate_body(&update, r, flags) and plausible(&update)
    return sound


cdef inline bint beyond_doubt(Update* update, Reader message, unsigned flags) noexcept nogil:
    """Whether a message is none that could be malformed: no UPDATE, or one that is well-formed and common."""
    cdef Reader header = message
    skip(&header, MESSAGE_HEADER - 1)
    return u8(&header) != UPDATE and not header.failed or locate(update, message, flags) and plausible(update)


def check(bytes octets not None, bytearray index not None):
    """Sets CHECKED for each message that is not malformed. Returns the positions of those that Python must validate.

    Where CHECKED is set already, that stays so.
    """
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef size_t size = PyBytes_GET_SIZE(octets)
    cdef Py_buffer view
    cdef Entry* entries
    cdef Update update
    cdef Py_ssize_t position = 0, count
    found = []
    PyObject_GetBuffer(index, &view, PyBUF_WRITABLE)
    try:
        entries = <Entry*> view.buf
        count = view.len // <Py_ssize_t> sizeof(Entry)
        while position < count:
            with nogil:
                while position < count:
                    if not entries[position].flags & CHECKED:
                        if not beyond_doubt(&update, message_of(base, size, &entries[position]), entries[position].flags):
                            break
                        entries[position].flags |= CHECKED
                    position += 1
            if position < count:
                found.append(position)
                position += 1
    finally:
        PyBuffer_Release(&view)
    return found
