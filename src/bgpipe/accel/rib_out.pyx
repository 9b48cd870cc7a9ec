"""Routes of blocks into the table of bgpipe.formats.rib, and its records out: the same as RibTable does in Python.

The table is that of Python: a dict of prefixes, each with a dict of routes by the number of the peer; a route is
(time, attributes), both octets as they stand in an entry.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem, PyDict_Next, PyDict_SetItem
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcmp, memcpy

from .attributes cimport MP_REACH, MP_UNREACH, NEXT_HOP
from .block cimport ADD_PATH, ADD_PATH_IPV4, ADD_PATH_IPV6, AS4, GUESS_AS, NO_PEER, PEER_AS4, Entry
from .block cimport message_of, next_entry, peer_of
from .octets cimport Reader, Writer, close_writer, left, open_writer, reader, room, take, u8, wrote
from .update cimport Attribute, Update, has, locate

cdef enum:
    UPDATE = 2
    MICRO = 1000000
    MAX_ENTRY = 65535
    RECORD = 12
    TABLE_DUMP_V2 = 13


cdef bytes big4(uint32_t number):
    cdef uint8_t octets[4]
    octets[0], octets[1], octets[2], octets[3] = number >> 24, number >> 16 & 255, number >> 8 & 255, number & 255
    return PyBytes_FromStringAndSize(<char*> octets, 4)


cdef size_t header_size(const Attribute* attribute):
    """Octets of an attribute's header, as it came."""
    return 4 if attribute.flags & 0x10 else 3


cdef bytes attributes_of(const Update* u, bint reach, bint drop_next_hop, uint8_t* scratch):
    """The attributes of an entry with their length before them; reach: with the next hop of MP_REACH_NLRI alone."""
    cdef uint8_t* p = scratch + 2
    cdef const Attribute* attribute
    cdef size_t size, head
    cdef uint32_t i
    for i in range(u.count):
        attribute = &u.attributes[i]
        if attribute.code == MP_UNREACH or attribute.code == NEXT_HOP and drop_next_hop:
            continue
        if attribute.code == MP_REACH:
            if reach:
                size = left(&u.reach.next_hop)
                p[0], p[1], p[2], p[3] = 0x80, MP_REACH, <uint8_t> (size + 1), <uint8_t> size
                memcpy(p + 4, u.reach.next_hop.base + u.reach.next_hop.pos, size)
                p += 4 + size
            continue
        head = header_size(attribute)
        size = head + left(&attribute.value)
        memcpy(p, attribute.value.base + attribute.value.pos - head, size)
        p += size
    size = p - scratch - 2
    scratch[0], scratch[1] = <uint8_t> (size >> 8), <uint8_t> size
    return PyBytes_FromStringAndSize(<char*> scratch, size + 2)


cdef int announce(dict table, Reader r, object number, tuple route) except -1:
    cdef const uint8_t* start
    cdef size_t size
    cdef bytes prefix
    cdef PyObject* found
    while left(&r):
        start = r.base + r.pos
        size = 1 + ((u8(&r) + 7) >> 3)
        take(&r, size - 1)
        prefix = PyBytes_FromStringAndSize(<char*> start, size)
        found = PyDict_GetItem(table, prefix)
        if found == NULL:
            PyDict_SetItem(table, prefix, {number: route})
        else:
            PyDict_SetItem(<object> found, number, route)
    return 0


cdef int withdraw(dict table, Reader r, object number) except -1:
    cdef const uint8_t* start
    cdef size_t size
    cdef bytes prefix
    cdef dict entries
    while left(&r):
        start = r.base + r.pos
        size = 1 + ((u8(&r) + 7) >> 3)
        take(&r, size - 1)
        prefix = PyBytes_FromStringAndSize(<char*> start, size)
        found = table.get(prefix)
        if found is not None:
            entries = found
            entries.pop(number, None)
            if not entries:
                del table[prefix]
    return 0


def take_block(
    bytes octets not None, index not None, Py_ssize_t position, dict numbers not None, list peers not None,
    dict table4 not None, dict table6 not None, dict shared not None, bytes latest not None,
):
    """(position, latest): takes the messages of a block from `position` to before the first one declined, or the end.

    numbers, peers, shared, latest: as RibTable has them. table4, table6: of IPv4 and IPv6 unicast without path
    identifiers.
    """
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef size_t size = PyBytes_GET_SIZE(octets), header
    cdef Py_buffer view
    cdef Reader entries, message, peer
    cdef Entry entry
    cdef Update u
    cdef uint8_t scratch[70000]
    cdef bytes key = b"", attributes, seconds = b""
    cdef int64_t before = -1
    cdef object number = None
    cdef tuple route
    PyObject_GetBuffer(index, &view, PyBUF_SIMPLE)
    try:
        entries = reader(<const uint8_t*> view.buf, <size_t> position * sizeof(Entry), view.len)
        while next_entry(&entries, &entry):
            message = message_of(base, size, &entry)
            if message.failed or entry.peer == NO_PEER or not entry.flags & PEER_AS4 or entry.time < 0:
                break
            if message.base[message.pos + 18] != UPDATE:
                position += 1
                continue
            if not entry.flags & AS4 or entry.flags & (ADD_PATH | ADD_PATH_IPV4 | ADD_PATH_IPV6 | GUESS_AS):
                break
            peer = peer_of(base, size, &entry)
            if left(&peer) < 20:
                break
            header = 44 if peer.base[peer.pos + 11] == 2 else 20
            if left(&peer) < header or not locate(&u, message, entry.flags):
                break
            if has(&u, MP_REACH) and u.reach.safi != 1 or has(&u, MP_UNREACH) and u.unreach.safi != 1:
                break
            if <size_t> PyBytes_GET_SIZE(key) != header or memcmp(PyBytes_AS_STRING(key), peer.base + peer.pos, header):
                key = PyBytes_FromStringAndSize(<char*> (peer.base + peer.pos), header)
                number = numbers.get(key)
                if number is None:
                    number = numbers[key] = len(peers)
                    peers.append(key)
            if entry.time // MICRO != before:
                before = entry.time // MICRO
                seconds = big4(<uint32_t> before)
            withdraw(table4, u.withdrawn, number)
            if has(&u, MP_UNREACH):
                withdraw(table4 if u.unreach.afi == 1 else table6, u.unreach.nlri, number)
            if has(&u, MP_REACH):
                attributes = attributes_of(&u, True, left(&u.nlri) > 0, scratch)
                announce(table4 if u.reach.afi == 1 else table6, u.reach.nlri, number, (seconds, attributes))
                latest = max(latest, seconds)
            if left(&u.nlri):
                attributes = attributes_of(&u, False, False, scratch)
                route = (seconds, shared.setdefault(attributes, attributes))
                announce(table4, u.nlri, number, route)
                latest = max(latest, seconds)
            position += 1
    finally:
        PyBuffer_Release(&view)
    return position, latest


cdef struct Place:
    uint32_t index
    PyObject* route


cdef Place PLACES[MAX_ENTRY]  # of one record; the GIL is held while it is in use


def records(
    list prefixes not None, Py_ssize_t start, Py_ssize_t stop, dict table not None, list ranks not None,
    unsigned subtype, uint32_t sequence,
):
    """(octets, sequence): the records of prefixes[start:stop], and the number of the next one.

    ranks: by the number of a peer its index, -1 for one that has none. Tables with path identifiers are not for this.
    """
    cdef Writer w
    cdef Place* places = PLACES
    cdef Place here
    cdef Py_ssize_t at, pos, rank
    cdef size_t count, size, i, j
    cdef PyObject* key
    cdef PyObject* route
    cdef bytes prefix, time, attributes
    cdef dict found
    cdef uint32_t latest, seconds
    cdef uint8_t* p
    cdef const uint8_t* t
    open_writer(&w, 256 * (stop - start) + 64)
    for at in range(start, stop):
        prefix = prefixes[at]
        found = table[prefix]
        count = 0
        size = 4 + PyBytes_GET_SIZE(prefix) + 2
        latest = 0
        pos = 0
        while PyDict_Next(found, &pos, &key, &route):
            rank = ranks[<object> key]
            if rank < 0 or count == MAX_ENTRY:
                continue
            here.index, here.route = <uint32_t> rank, route
            j = count
            while j and places[j - 1].index > here.index:
                places[j] = places[j - 1]
                j -= 1
            places[j] = here
            count += 1
            time, attributes = <tuple> route
            size += 6 + PyBytes_GET_SIZE(attributes)
            t = <const uint8_t*> PyBytes_AS_STRING(time)
            seconds = (<uint32_t> t[0] << 24) | (<uint32_t> t[1] << 16) | (<uint32_t> t[2] << 8) | t[3]
            latest = seconds if seconds > latest else latest
        if not count:
            continue
        p = room(&w, RECORD + size)
        if p == NULL:
            break
        p[0], p[1], p[2], p[3] = latest >> 24, latest >> 16 & 255, latest >> 8 & 255, latest & 255
        p[4], p[5], p[6], p[7] = 0, TABLE_DUMP_V2, 0, <uint8_t> subtype
        p[8], p[9], p[10], p[11] = size >> 24, size >> 16 & 255, size >> 8 & 255, size & 255
        p += RECORD
        p[0], p[1], p[2], p[3] = sequence >> 24, sequence >> 16 & 255, sequence >> 8 & 255, sequence & 255
        memcpy(p + 4, PyBytes_AS_STRING(prefix), PyBytes_GET_SIZE(prefix))
        p += 4 + PyBytes_GET_SIZE(prefix)
        p[0], p[1] = count >> 8, count & 255
        p += 2
        for i in range(count):
            time, attributes = <tuple> places[i].route
            p[0], p[1] = places[i].index >> 8, places[i].index & 255
            memcpy(p + 2, PyBytes_AS_STRING(time), 4)
            memcpy(p + 6, PyBytes_AS_STRING(attributes), PyBytes_GET_SIZE(attributes))
            p += 6 + PyBytes_GET_SIZE(attributes)
        wrote(&w, p)
        sequence += 1
    return close_writer(&w), sequence
