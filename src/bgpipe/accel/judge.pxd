"""What becomes of routes by their origin, for the tables that keep them."""

from libc.stdint cimport uint8_t, uint32_t

from .adj_rib_in cimport Attributes, Route
from .octets cimport Reader
from .update cimport Update
from .vrps cimport VrpTable


cdef struct States:
    const uint8_t* base  # NULL: all routes were let through
    Py_ssize_t size
    Py_ssize_t place


cdef class Judge:
    cdef unsigned unwanted  # bit n: routes with the verdict n are not let through
    cdef readonly bint declined  # the last verdicts asked for are for Python to say
    cdef bint together
    cdef uint8_t* found
    cdef unsigned verdict(self, const Route* route, unsigned kind, uint32_t origin, unsigned marks) noexcept nogil
    cdef unsigned verdict_by(self, const Route* route, const Attributes* attributes) noexcept nogil
    cdef States states(self, Update* u) noexcept nogil
    cdef void judge_field(self, Update* u, Reader r, unsigned afi, bint add_path, States* found) noexcept nogil


cdef class OriginJudge(Judge):
    cdef VrpTable table
    cdef uint32_t sender
    cdef bint strict
    cdef bint blackhole
