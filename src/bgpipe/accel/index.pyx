"""Finding messages in octets: the index of a block (see bgpipe.wire.block)."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport (
    PyByteArray_AS_STRING,
    PyByteArray_FromStringAndSize,
    PyByteArray_GET_SIZE,
    PyByteArray_Resize,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

from .block cimport ADD_PATH, AS4, LEFT, MESSAGE_HEADER, NO_PEER, PEER_AS4, RIGHT, Entry
from .octets cimport Reader, left, reader, skip, sub, take, u8, u16, u32


cdef enum:
    BGP4MP = 16
    BGP4MP_ET = 17
    MAX_PEER_HEADER = 44  # octets: two AS numbers, an interface, an address family, two IPv6 addresses
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
    """Sets the direction bits of every message to `flags`. A message without a number gets one, from `seq` on; one
    without a time gets `time`. Returns the first number not used."""
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


def survey(bytearray index not None, Py_ssize_t start, Py_ssize_t stop, int64_t floor):
    """(latest, backwards, untimed) of the entries from `start` to before `stop`: the latest time, `floor` included; how
    many have a time before that of an earlier one, or before `floor`; how many have none."""
    cdef const Entry* entries
    cdef Py_ssize_t i
    cdef size_t backwards = 0, untimed = 0
    check_range(index, start, stop)
    entries = <const Entry*> PyByteArray_AS_STRING(index)
    with nogil:
        for i in range(start, stop):
            if entries[i].time == 0:
                untimed += 1
            elif entries[i].time >= floor:
                floor = entries[i].time
            else:
                backwards += 1
    return floor, backwards, untimed


def find_later(bytearray index not None, Py_ssize_t start, Py_ssize_t stop, int64_t bound):
    """The first entry from `start` to before `stop` whose time is above `bound`; `stop` if none is."""
    cdef const Entry* entries
    cdef Py_ssize_t i = start
    check_range(index, start, stop)
    entries = <const Entry*> PyByteArray_AS_STRING(index)
    with nogil:
        while i < stop and entries[i].time <= bound:
            i += 1
    return i


def extent(bytearray index not None, Py_ssize_t start, Py_ssize_t stop):
    """(first, end): the place of the octets of the entries from `start` to before `stop`. It includes their per-peer
    headers, each of which counts with the longest possible length."""
    cdef const Entry* entries
    cdef Py_ssize_t i
    cdef size_t first = NO_PEER, end = 0
    check_range(index, start, stop)
    entries = <const Entry*> PyByteArray_AS_STRING(index)
    with nogil:
        for i in range(start, stop):
            first = min(first, <size_t> entries[i].offset)
            if entries[i].peer != NO_PEER:
                first = min(first, <size_t> entries[i].peer)
                end = max(end, <size_t> entries[i].peer + MAX_PEER_HEADER)
            end = max(end, <size_t> entries[i].offset + entries[i].length)
    return first, end


def shift(bytearray index not None, int64_t octets, int64_t tags):
    """Adds `octets` and `tags` to the places in the entries, because what they point to was moved so far."""
    cdef Entry* entries = <Entry*> PyByteArray_AS_STRING(index)
    cdef size_t count = PyByteArray_GET_SIZE(index) // sizeof(Entry), i
    with nogil:
        for i in range(count):
            entries[i].offset = <uint32_t> (entries[i].offset + octets)
            if entries[i].peer != NO_PEER:
                entries[i].peer = <uint32_t> (entries[i].peer + octets)
            if entries[i].tags:
                entries[i].tags = <uint32_t> (entries[i].tags + tags)


def merge(bytearray index not None, list runs not None):
    """An index with the entries of `index` in the order of their times, equal ones in the order in which they are.

    runs: for each run of entries whose own order stays as it is, how many they are, and the earliest time that they
    count as; an entry counts as no earlier than the one before it.
    """
    cdef Py_ssize_t count = PyByteArray_GET_SIZE(index) // <Py_ssize_t> sizeof(Entry)
    cdef size_t width = len(runs), i, left
    cdef Py_ssize_t at = 0, stop, place
    cdef int64_t floor
    cdef size_t* ends = NULL
    cdef int64_t* memory = NULL
    cdef int64_t* keys
    cdef int64_t* other_keys
    cdef Entry* entries
    cdef Entry* others
    first = bytearray(index)
    second = PyByteArray_FromStringAndSize(NULL, count * sizeof(Entry))
    ends = <size_t*> malloc((width + 1) * sizeof(size_t))
    memory = <int64_t*> malloc((2 * count + 1) * sizeof(int64_t))
    try:
        if ends == NULL or memory == NULL:
            raise MemoryError
        keys, other_keys = memory, memory + count
        entries = <Entry*> PyByteArray_AS_STRING(first)
        others = <Entry*> PyByteArray_AS_STRING(second)
        for i in range(width):
            stop, floor = at + runs[i][0], runs[i][1]
            if stop < at or stop > count:
                raise ValueError("the runs are longer than the index")
            for place in range(at, stop):
                floor = max(floor, entries[place].time)
                keys[place] = floor
            at = stop
            ends[i] = at
        if at != count:
            raise ValueError("the runs are shorter than the index")
        with nogil:
            while width > 1:
                left = 0
                for i in range(0, width, 2):
                    if i + 1 < width:
                        merge_two(entries, keys, left, ends[i], ends[i + 1], others, other_keys)
                    else:
                        memcpy(others + left, entries + left, (ends[i] - left) * sizeof(Entry))
                        memcpy(other_keys + left, keys + left, (ends[i] - left) * sizeof(int64_t))
                    left = ends[min(i + 1, width - 1)]
                    ends[i // 2] = left
                width = (width + 1) // 2
                entries, others = others, entries
                keys, other_keys = other_keys, keys
        return first if entries == <Entry*> PyByteArray_AS_STRING(first) else second
    finally:
        free(ends)
        free(memory)


cdef void merge_two(
    const Entry* entries, const int64_t* keys, size_t at, size_t middle, size_t end, Entry* out, int64_t* out_keys
) noexcept nogil:
    """Merges two runs that follow each other, from `at` and from `middle` on, to the same place of `out`."""
    cdef size_t left = at, right = middle
    while at < end:
        if right >= end or left < middle and keys[left] <= keys[right]:
            out[at] = entries[left]
            out_keys[at] = keys[left]
            left += 1
        else:
            out[at] = entries[right]
            out_keys[at] = keys[right]
            right += 1
        at += 1


cdef int check_range(bytearray index, Py_ssize_t start, Py_ssize_t stop) except -1:
    """Raises ValueError unless both are places in the index."""
    if not 0 <= start <= stop <= PyByteArray_GET_SIZE(index) // <Py_ssize_t> sizeof(Entry):
        raise ValueError("outside the index")
    return 0
