"""ONLY_TO_CUSTOMER of blocks: what bgpipe.wire.roles says of usual UPDATEs."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t

from .attributes cimport MP_REACH, OTC
from .block cimport GUESS_AS, MESSAGE_HEADER, OWN_PEER, PEER_AS4, Entry, message_of, next_entry, peer_of
from .octets cimport Reader, left, reader, u16, u32
from .update cimport Update, has, locate, value_of


cdef enum:
    UPDATE = 2


cdef enum Found:
    NOTHING    # that is judged
    DECLINED
    MISSING
    OWN        # with the AS number of the sender
    OTHER


cdef Found look(
    const uint8_t* base, size_t size, const Entry* entry, uint32_t asn, bint needs_as, uint32_t* otc
) noexcept nogil:
    """otc: gets the value of ONLY_TO_CUSTOMER."""
    cdef Reader message = message_of(base, size, entry), value, header
    cdef Update update
    if message.failed:
        return DECLINED
    if message.base[message.pos + MESSAGE_HEADER - 1] != UPDATE:
        return NOTHING
    if entry.flags & GUESS_AS or not locate(&update, message, entry.flags):
        return DECLINED
    if has(&update, MP_REACH):
        if update.reach.safi != 1:
            return DECLINED
        if left(&update.nlri) == 0 and left(&update.reach.nlri) == 0:
            return NOTHING
    elif left(&update.nlri) == 0:
        return NOTHING
    if asn == 0 and needs_as:
        header = peer_of(base, size, entry)
        asn = u32(&header) if entry.flags & PEER_AS4 else u16(&header)
        if header.failed or asn == 0 or entry.flags & OWN_PEER:
            return DECLINED
    if not has(&update, OTC):
        return MISSING
    value = value_of(&update, OTC)
    otc[0] = u32(&value)
    if otc[0] == 0:
        return DECLINED
    return OWN if otc[0] == asn else OTHER


def find(bytes octets not None, index not None, uint32_t asn, bint needs_as):
    """(found, values) of a block. found: an octet for each message: 0 if it announces no route of IPv4 or IPv6 unicast,
    1 where that is for Python to say, 2 without ONLY_TO_CUSTOMER, 3 with the AS number of the sender in it, 4 with
    another. values: 4 octets for each message, in the order of this machine: that AS number, 0 without.

    asn: that of the sender; 0: as the per-peer header of each message says, if needs_as. Raises MemoryError.
    """
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef size_t size = PyBytes_GET_SIZE(octets)
    cdef Py_buffer view
    cdef Reader entries
    cdef Entry entry
    cdef bytearray found, values
    cdef uint8_t* p
    cdef uint32_t* value
    PyObject_GetBuffer(index, &view, PyBUF_SIMPLE)
    try:
        found = bytearray(view.len // sizeof(Entry))
        values = bytearray(len(found) * sizeof(uint32_t))
        p = <uint8_t*> PyByteArray_AS_STRING(found)
        value = <uint32_t*> PyByteArray_AS_STRING(values)
        entries = reader(<const uint8_t*> view.buf, 0, view.len)
        with nogil:
            while next_entry(&entries, &entry):
                p[0] = look(base, size, &entry, asn, needs_as, value)
                p += 1
                value += 1
    finally:
        PyBuffer_Release(&view)
    return bytes(found), bytes(values)
