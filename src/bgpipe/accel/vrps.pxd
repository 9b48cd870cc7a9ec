"""A table of VRPs for the compiled functions that judge routes by it."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef enum Verdict:  # RFC 6811 section 2, the worst last
    VALID
    NOT_FOUND
    INVALID


cdef enum:
    NO_ORIGIN = 0  # AS 0 matches nothing, and neither does a path without an origin


cdef struct Family:
    const uint8_t* records  # sorted, see bgpipe.rpki.vrps
    uint32_t* parents       # of each record: the last one of the longest prefix around its own
    uint32_t* buckets       # for each value of an address's first bits: the first record with it or a greater one
    uint64_t first          # the first bits of the first record
    uint64_t size           # buckets, less the one behind all
    uint32_t count
    unsigned shift          # bits of the first 64 of an address that don't count for its bucket
    unsigned width          # octets of a record


cdef class VrpTable:
    cdef object owners  # the octets of both families
    cdef Family families[2]
    cdef int fill(self, Family* family, bytes records, unsigned width) except -1
    cdef Verdict judge(
        self, unsigned afi, uint64_t high, uint64_t low, unsigned length, uint32_t origin, bint longer
    ) noexcept nogil
