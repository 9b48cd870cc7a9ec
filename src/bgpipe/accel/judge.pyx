"""Verdicts about the routes of UPDATEs and of tables (RFC 6811), as the stage rov has them."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from .adj_rib_in cimport (
    BLACKHOLE, OF_SENDER, OUT, VERDICT_SHIFT, WANTED, Attributes, Route, marks_of, origin_of, read_key,
)
from .attributes cimport MP_REACH
from .octets cimport Reader, left
from .update cimport Update, has
from .vrps cimport INVALID, NOT_FOUND, VrpTable


cdef enum:
    MOST_ROUTES = 1 << 16  # of one message


cdef class Judge:
    """What becomes of routes, by the verdict of a class below this one."""

    def __cinit__(self, *args, **settings):
        self.found = <uint8_t*> malloc(MOST_ROUTES)
        if self.found == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.found)

    cdef unsigned verdict(self, const Route* route, unsigned kind, uint32_t origin, unsigned marks) noexcept nogil:
        """kind, origin: of its path. marks: of its attributes."""
        return 0

    cdef unsigned verdict_by(self, const Route* route, const Attributes* attributes) noexcept nogil:
        """About a route of a table."""
        return self.verdict(route, attributes.origin_kind, attributes.origin, attributes.marks)

    cdef States states(self, Update* u) noexcept nogil:
        """The states of all announced routes of an UPDATE."""
        cdef States found
        cdef Py_ssize_t i
        found.base = self.found
        found.size = found.place = 0
        if left(&u.nlri):
            self.judge_field(u, u.nlri, 1, u.add_path, &found)
        if has(u, MP_REACH) and u.reach.safi == 1:
            self.judge_field(u, u.reach.nlri, u.reach.afi, u.reach.add_path, &found)
        if self.together:
            for i in range(found.size):
                if self.unwanted >> (self.found[i] >> VERDICT_SHIFT) & 1:
                    for i in range(found.size):
                        self.found[i] &= 0xFF ^ (OUT | WANTED)
                    break
        return found

    cdef void judge_field(self, Update* u, Reader r, unsigned afi, bint add_path, States* found) noexcept nogil:
        cdef Route key
        cdef uint32_t origin = 0
        cdef unsigned kind = origin_of(u, &origin), marks = marks_of(u), verdict
        key.family = <uint8_t> afi
        while left(&r):
            read_key(&r, &key, add_path)
            verdict = self.verdict(&key, kind, origin, marks)
            self.found[found.size] = <uint8_t> (
                verdict << VERDICT_SHIFT | (0 if self.unwanted >> verdict & 1 else OUT | WANTED)
            )
            found.size += 1


cdef class OriginJudge(Judge):
    """By the origin of routes (RFC 6811), as the stage rov has it."""

    def __init__(
        self, VrpTable table not None, uint32_t sender, bint strict, bint keep, bint together, bint blackhole=False
    ):
        """sender: AS number of the peer, 0 if nobody knows. strict: NOT_FOUND is INVALID. keep: INVALID routes are let
        through too. together: with one INVALID route none of its message is. blackhole: routes with the community
        BLACKHOLE may be longer than maxLength."""
        self.table = table
        self.sender = sender
        self.strict = strict
        self.unwanted = 0 if keep else 1 << INVALID
        self.together = together
        self.blackhole = blackhole

    cdef unsigned verdict(self, const Route* route, unsigned kind, uint32_t origin, unsigned marks) noexcept nogil:
        cdef uint64_t high = route.high << 32 if route.family == 1 else route.high
        cdef unsigned verdict
        if kind == OF_SENDER:
            origin = self.sender
        verdict = self.table.judge(
            route.family, high, route.low, route.length, origin, self.blackhole and marks & BLACKHOLE
        )
        return INVALID if verdict == NOT_FOUND and self.strict else verdict
