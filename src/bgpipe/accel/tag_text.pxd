"""Tags that judges add to the messages of a block, as text behind those that are there (see bgpipe.wire.tags)."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memcpy, strlen

from .block cimport NO_PEER, PEER_AS4, Entry, peer_of
from .json_out cimport Peer, find_tags
from .octets cimport Reader, Writer, left, room, wrote


cdef enum:
    USUAL_TEXT_PER_MESSAGE = 256
    MOST_TEXT = 0xFFFF
    LAST_PLACE = 0xFFFFFFFE


cdef inline int copy_tags(Writer* w, const uint8_t* tags, size_t size) except -1:
    """The tags of the old block, to which entries point. Raises MemoryError."""
    cdef uint8_t* p = room(w, size)
    if p == NULL:
        raise MemoryError
    memcpy(p, tags, size)
    wrote(w, p + size)
    return 0


cdef inline bint has_text(Reader text, const char* wanted) noexcept nogil:
    """Whether this is somewhere in the text."""
    cdef const uint8_t* p = text.base + text.pos
    cdef size_t size = left(&text), width = strlen(wanted), i
    for i in range(width, size + 1):
        if memcmp(p + i - width, wanted, width) == 0:
            return True
    return False


cdef inline uint8_t* put_text(uint8_t* p, const char* text) noexcept nogil:
    cdef size_t size = strlen(text)
    memcpy(p, text, size)
    return p + size


cdef inline uint8_t* put_old_tags(
    uint8_t* p, Peer* peers, const uint8_t* base, size_t size, const Entry* entry, Reader text
) noexcept nogil:
    """The tags that a message has, with a comma behind them; NULL declines. text: of the entry, if it has one."""
    cdef const uint8_t* old
    cdef size_t old_size
    cdef Peer* peer
    if entry.tags:
        old = text.base + text.pos
        old_size = left(&text)
    elif entry.peer == NO_PEER:
        return p
    else:
        peer = find_tags(peers, peer_of(base, size, entry), (entry.flags & PEER_AS4) != 0)
        if peer == NULL:
            return NULL
        old = peer.text + 1
        old_size = peer.text_size - 2  # without braces
    if old_size == 0:
        return p
    memcpy(p, old, old_size)
    p[old_size] = c","
    return p + old_size + 1


cdef inline bint keep_text(Entry* entry, Writer* w, uint8_t* start, uint8_t* end) noexcept nogil:
    """Writes the length of a message's tags, and where they are into its entry; False if they are too long. The text
    begins 4 octets behind `start`."""
    cdef size_t size = end - start - 4, place = w.used
    if size > MOST_TEXT or place + 4 + size > LAST_PLACE:
        return False
    start[0] = start[1] = 0
    start[2] = <uint8_t> (size >> 8)
    start[3] = <uint8_t> (size & 0xFF)
    wrote(w, end)
    entry.tags = <uint32_t> (place + 1)
    return True
