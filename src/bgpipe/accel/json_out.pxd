"""Text of JSON that other compiled modules write too."""

from libc.stdint cimport uint8_t

from .octets cimport Reader


cdef enum:
    PEER_HEADER = 44  # octets of the longest
    PEERS = 256       # slots of the cache of tags


cdef struct Peer:
    uint8_t size      # octets of the header; 0 is a free slot
    bint as4
    uint8_t header[PEER_HEADER]
    unsigned text_size
    uint8_t text[256]  # an object of JSON


cdef Peer* find_tags(Peer* peers, Reader r, bint as4) noexcept nogil
cdef uint8_t* put_prefix(uint8_t* p, Reader* r, bint ipv6, bint add_path) noexcept nogil
