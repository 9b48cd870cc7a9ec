"""The index of a block as accel sees it: the structs and flags of bgpipe.wire.block, word for word."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from .octets cimport Reader, reader, sub, take, u32


cdef enum:
    AS4 = 1
    ADD_PATH = 2
    PEER_AS4 = 4
    RIGHT = 8
    LEFT = 16
    GUESS_AS = 32
    CHECKED = 64
    MALFORMED = 128
    TOLD = 256
    OWN_PEER = 512
    RIB = 1024
    ADD_PATH_IPV4 = 2048
    ADD_PATH_IPV6 = 4096


cdef enum:
    NO_PEER = 0xFFFFFFFF


cdef enum:
    MESSAGE_HEADER = 19


cdef struct Entry:
    int64_t seq
    int64_t time
    uint32_t offset
    uint32_t peer
    uint16_t length
    uint16_t flags
    uint32_t tags


cdef inline bint next_entry(Reader* index, Entry* entry) noexcept nogil:
    """Copies the next entry of an index; whether there was one."""
    cdef const uint8_t* p
    if index.end - index.pos < sizeof(Entry):
        return False
    p = take(index, sizeof(Entry))
    memcpy(entry, p, sizeof(Entry))
    return True


cdef inline size_t octets_of(Reader index) noexcept nogil:
    """Octets of all messages that are left in an index."""
    cdef Entry entry
    cdef size_t octets = 0
    while next_entry(&index, &entry):
        octets += entry.length
    return octets


cdef inline Reader message_of(const uint8_t* octets, size_t size, const Entry* entry) noexcept nogil:
    """The message of an entry, its header included; a failed reader if it is not inside the `size` octets."""
    cdef size_t end = <size_t> entry.offset + entry.length
    if end > size or entry.length < MESSAGE_HEADER:
        return reader(octets, 1, 0)
    return reader(octets, entry.offset, end)


cdef inline Reader tags_of(const uint8_t* tags, size_t size, const Entry* entry) noexcept nogil:
    """The text of an entry's tags (bgpipe.wire.tags); a failed reader if it isn't inside the `size` octets of `tags`."""
    cdef Reader r = reader(tags, <size_t> entry.tags - 1, size) if entry.tags else reader(tags, 1, 0)
    return sub(&r, u32(&r))


cdef inline Reader peer_of(const uint8_t* octets, size_t size, const Entry* entry) noexcept nogil:
    """The octets from an entry's per-peer header on; a failed reader if it has none."""
    if entry.peer == NO_PEER:
        return reader(octets, 1, 0)
    return reader(octets, entry.peer, size)
