"""Prefixes as keys of tables: an address as two numbers, and a hash of it."""

from libc.stdint cimport uint8_t, uint64_t

from .octets cimport Reader, take


cdef inline uint64_t mix(uint64_t hash, uint64_t word) noexcept nogil:
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u
    hash ^= hash >> 32
    hash *= 0xD6E8FEB86659FD93u
    return hash ^ hash >> 29


cdef inline void read_address(Reader* r, unsigned afi, unsigned length, uint64_t* high, uint64_t* low) noexcept nogil:
    """The address octets of a prefix of a field that `locate` has found sound, its bits behind the mask cleared.

    high: an IPv4 address, or the first 64 bits of an IPv6 address; low: the other 64 bits.
    """
    cdef unsigned size = (length + 7) >> 3, i
    cdef const uint8_t* octets = take(r, size)
    high[0] = low[0] = 0
    if octets == NULL:
        return
    if afi == 1:
        for i in range(size):
            high[0] |= <uint64_t> octets[i] << (24 - 8 * i)
        high[0] &= (<uint64_t> 0xFFFFFFFFu << (32 - length)) & <uint64_t> 0xFFFFFFFFu
        return
    for i in range(min(size, 8)):
        high[0] |= <uint64_t> octets[i] << (56 - 8 * i)
    for i in range(8, size):
        low[0] |= <uint64_t> octets[i] << (120 - 8 * i)
    if length < 64:
        high[0] = high[0] & ~(<uint64_t> 0xFFFFFFFFFFFFFFFFu >> length)
    elif length < 128:
        low[0] = low[0] & ~(<uint64_t> 0xFFFFFFFFFFFFFFFFu >> (length - 64))
