"""Routes as they came in, for stages that judge them again: the tables of bgpipe.routes.adj_rib_in, and whole blocks.

A route takes a slot of 32 octets in a hash table, with a seed of its own, so that nobody outside can choose prefixes
that collide. A route that is gone leaves its slot, for the case that it comes back, until the table is made anew: so
a slot is the same route for as long as `generation` is the same. Path attributes are kept once for all routes.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort, realloc
from libc.string cimport memcmp, memcpy, memset

from .attributes cimport AS4_PATH, COMMUNITY, EXTENDED, MP_REACH, MP_UNREACH, OPTIONAL
from .block cimport ADD_PATH, AS4, MESSAGE_HEADER, Entry, message_of, next_entry
from .judge cimport Judge, States
from .octets cimport Reader, Writer, close_writer, left, open_writer, reader, room, wrote
from .prefix cimport mix
from .update cimport Attribute, Update, has, locate, locate_body, value_of

from os import urandom


cdef enum:
    UPDATE = 2
    SMALLEST = 64            # slots of a new table
    SCRATCH = 1 << 16        # octets of the longest attributes
    UNCHANGED = 0xFF


# ---------------------------------------------------------------------------------------------------------------------
# Ranges

cdef class Ranges:
    """See bgpipe.routes.adj_rib_in.PlainRanges. Of an IPv6 address, the first 64 bits count."""

    cdef uint64_t bitmap[1024]  # of IPv4 blocks of 16 bits: those that a range touches
    cdef uint64_t* bounds[2]    # by AFI less one: first and last address of each range, ascending
    cdef size_t counts[2]

    def __cinit__(self, prefixes):
        """prefixes: tuples of AFI, address, length, ...; ascending in each AFI, none inside another."""
        cdef list found
        cdef size_t i
        cdef uint64_t block
        for afi in (1, 2):
            found = [self.range_of(prefix) for prefix in prefixes if prefix[0] == afi]
            self.counts[afi - 1] = len(found)
            self.bounds[afi - 1] = <uint64_t*> malloc((2 * len(found) + 1) * sizeof(uint64_t))
            if self.bounds[afi - 1] == NULL:
                raise MemoryError
            for i, (first, last) in enumerate(found):
                self.bounds[afi - 1][2 * i] = first
                self.bounds[afi - 1][2 * i + 1] = last
        for i in range(self.counts[0]):
            for block in range(self.bounds[0][2 * i] >> 16, (self.bounds[0][2 * i + 1] >> 16) + 1):
                self.bitmap[block >> 6] |= <uint64_t> 1 << (block & 63)

    def __dealloc__(self):
        free(self.bounds[0])
        free(self.bounds[1])

    def range_of(self, prefix):
        afi, address, length = prefix[:3]
        bits = 32 if afi == 1 else 128
        last = address | ((1 << bits - length) - 1)
        return (address, last) if afi == 1 else (address >> 64, last >> 64)

    cdef bint has(self, const Route* route) noexcept nogil:
        """Whether the address of a route is in a range."""
        cdef const uint64_t* bounds = self.bounds[route.family - 1]
        cdef size_t low = 0, high = self.counts[route.family - 1], middle
        if route.family == 1 and not (self.bitmap[route.high >> 22] >> ((route.high >> 16) & 63)) & 1:
            return False
        while low < high:  # the first range that ends at the address or behind it
            middle = (low + high) >> 1
            if bounds[2 * middle + 1] < route.high:
                low = middle + 1
            else:
                high = middle
        return low < self.counts[route.family - 1] and bounds[2 * low] <= route.high


# ---------------------------------------------------------------------------------------------------------------------
# States that a stage gives

cdef States states_of(bytes states, Py_ssize_t place):
    cdef States found
    found.base = NULL if states is None else <const uint8_t*> PyBytes_AS_STRING(states)
    found.size = 0 if states is None else PyBytes_GET_SIZE(states)
    found.place = place
    return found


# ---------------------------------------------------------------------------------------------------------------------
# The table

cdef struct Waiting:
    uint64_t order
    uint32_t slot


cdef int by_order(const void* a, const void* b) noexcept nogil:
    cdef uint64_t x = (<const Waiting*> a).order
    cdef uint64_t y = (<const Waiting*> b).order
    if x != y:
        return 1 if x > y else -1
    return 1 if (<const Waiting*> a).slot > (<const Waiting*> b).slot else -1


cdef class Rib:
    """See bgpipe.routes.adj_rib_in.PlainRib, whose results these are."""

    cdef Route* slots
    cdef size_t mask   # slots less one
    cdef size_t used   # slots that are not free
    cdef size_t live   # routes
    cdef readonly size_t count_ipv6  # those of IPv6
    cdef uint64_t seed
    cdef Attributes* entries
    cdef uint32_t* chains
    cdef size_t entries_size, chains_mask, entries_live
    cdef uint32_t entries_used, free_entry
    cdef uint32_t* waiting
    cdef size_t waiting_size, waiting_used
    cdef bint ordered
    cdef bint sticky
    cdef uint8_t* scratch
    cdef readonly unsigned generation

    def __cinit__(self, bint sticky=False):
        self.sticky = sticky
        self.seed = int.from_bytes(urandom(8), "big")
        self.scratch = <uint8_t*> malloc(SCRATCH)
        if self.scratch == NULL:
            raise MemoryError
        self.make_empty()

    def __dealloc__(self):
        self.free_all()
        free(self.scratch)

    cdef free_all(self):
        cdef size_t i
        if self.entries != NULL:
            for i in range(self.entries_used):
                free(self.entries[i].octets)
        free(self.entries)
        free(self.chains)
        free(self.slots)
        free(self.waiting)
        self.entries = NULL
        self.chains = self.waiting = NULL
        self.slots = NULL

    cdef int make_empty(self) except -1:
        self.free_all()
        self.mask = self.chains_mask = SMALLEST - 1
        self.used = self.live = self.count_ipv6 = self.entries_live = self.waiting_used = self.waiting_size = 0
        self.entries_size = SMALLEST
        self.entries_used = 1  # no route has the number 0
        self.free_entry = 0
        self.generation += 1
        self.slots = <Route*> calloc(SMALLEST, sizeof(Route))
        self.entries = <Attributes*> calloc(SMALLEST, sizeof(Attributes))
        self.chains = <uint32_t*> calloc(SMALLEST, sizeof(uint32_t))
        if self.slots == NULL or self.entries == NULL or self.chains == NULL:
            raise MemoryError
        return 0

    @property
    def count(self):
        """Routes in the table."""
        return self.live

    @property
    def attribute_count(self):
        """Different attributes of them."""
        return self.entries_live

    @property
    def pending(self):
        """Routes of which something has to be told, at most."""
        return self.waiting_used

    @property
    def slot_count(self):
        """Places for `find`."""
        return self.mask + 1

    def clear(self):
        """Removes all routes."""
        self.make_empty()

    # what comes in

    def apply(
        self, bytes octets not None, index not None, Py_ssize_t position, bytes states=None, Py_ssize_t place=0,
        Judge judge=None
    ):
        """(position, place): takes the messages of a block from `position` on, up to one that is for Python to read.

        states: of each announced unicast prefix of these messages in their order, from `place` on; without them all
        routes were let through. judge: says what becomes of the routes. Behind the last message, the position is the
        number of messages.
        """
        cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
        cdef size_t size = PyBytes_GET_SIZE(octets)
        cdef Py_buffer view
        cdef Reader entries, message
        cdef Entry entry
        cdef Update u
        cdef States given = states_of(states, place)
        PyObject_GetBuffer(index, &view, PyBUF_SIMPLE)
        try:
            entries = reader(<const uint8_t*> view.buf, <size_t> position * sizeof(Entry), view.len)
            while next_entry(&entries, &entry):
                message = message_of(base, size, &entry)
                if message.failed:
                    break
                if message.base[message.pos + MESSAGE_HEADER - 1] != UPDATE:
                    break
                if not locate(&u, message, entry.flags) or not u.as4 and has(&u, AS4_PATH):
                    break
                if judge is not None:
                    given = judge.states(&u)
                    if judge.declined:
                        break
                self.take(&u, &given)
                position += 1
        finally:
            PyBuffer_Release(&view)
        return position, given.place

    def apply_body(self, bytes body not None, unsigned flags, bytes states=None):
        """Takes the body of one UPDATE; False if it is for Python to read. flags: as an entry of a block has them."""
        cdef Update u
        cdef States given = states_of(states, 0)
        if not locate_body(&u, reader(<const uint8_t*> PyBytes_AS_STRING(body), 0, PyBytes_GET_SIZE(body)), flags):
            return False
        if not u.as4 and has(&u, AS4_PATH):
            return False
        self.take(&u, &given)
        return True

    cdef int take(self, Update* u, States* states) except -1:
        """One UPDATE. What it withdraws is gone before what it announces comes."""
        self.take_away(u.withdrawn, 1, u.add_path)
        if has(u, MP_UNREACH) and u.unreach.safi == 1:
            self.take_away(u.unreach.nlri, u.unreach.afi, u.unreach.add_path)
        if left(&u.nlri):
            self.take_in(u, u.nlri, 1, u.add_path, False, states)
        if has(u, MP_REACH) and u.reach.safi == 1 and left(&u.reach.nlri):
            self.take_in(u, u.reach.nlri, u.reach.afi, u.reach.add_path, True, states)
        return 0

    cdef int take_away(self, Reader r, unsigned afi, bint add_path) except -1:
        cdef Route key
        key.family = <uint8_t> afi
        while left(&r):
            read_key(&r, &key, add_path)
            self.remove(&key)
        return 0

    cdef int take_in(self, Update* u, Reader r, unsigned afi, bint add_path, bint multiprotocol, States* states) except -1:
        cdef Route key
        cdef unsigned state = OUT | WANTED
        cdef uint32_t number = self.number_of(u, add_path, multiprotocol)
        self.entries[number].references += 1  # while routes come and go
        key.family = <uint8_t> afi
        try:
            while left(&r):
                read_key(&r, &key, add_path)
                if states.base != NULL:
                    if states.place >= states.size:
                        raise ValueError("fewer states than announced prefixes")
                    state = states.base[states.place]
                    states.place += 1
                self.put(&key, number, state)
        finally:
            self.let_go(number)
        return 0

    cdef uint32_t number_of(self, Update* u, bint add_path, bint multiprotocol) except 0:
        """The number of the attributes of an UPDATE, for its NLRI field or for its MP_REACH_NLRI."""
        cdef uint8_t* p = self.scratch
        cdef uint32_t head = 0, origin = 0
        cdef unsigned i, kind
        cdef size_t start
        cdef const Attribute* attribute
        cdef const Reader* value
        if multiprotocol:
            value = &u.attributes[u.where[MP_REACH]].value
            head = <uint32_t> (u.reach.nlri.pos - value.pos)
            memcpy(p, value.base + value.pos, head)
            p += head
        for i in range(u.count):
            attribute = &u.attributes[i]
            if attribute.code == MP_REACH or attribute.code == MP_UNREACH:
                continue
            value = &attribute.value
            start = value.pos - (4 if attribute.flags & EXTENDED else 3)
            memcpy(p, value.base + start, value.end - start)
            p += value.end - start
        kind = origin_of(u, &origin)
        return self.intern(
            self.scratch, head, <uint32_t> (p - self.scratch), (AS4 if u.as4 else 0) | (ADD_PATH if add_path else 0),
            kind, origin, marks_of(u),
        )

    def announce(
        self, prefix, bytes octets not None, uint32_t head, unsigned flags, unsigned kind, uint32_t origin,
        unsigned marks, unsigned state
    ):
        """Takes one route of a message that Python has read. See PlainRib.announce."""
        cdef Route key = key_of(prefix)
        cdef uint32_t number = self.intern(
            <const uint8_t*> PyBytes_AS_STRING(octets), head, <uint32_t> PyBytes_GET_SIZE(octets), flags, kind, origin,
            marks,
        )
        self.entries[number].references += 1
        try:
            self.put(&key, number, state)
        finally:
            self.let_go(number)

    def withdraw(self, prefix):
        """Takes a route away."""
        cdef Route key = key_of(prefix)
        self.remove(&key)

    def refresh(self, unsigned afi, bint begins):
        """A refresh of all routes of an AFI begins, or ends: then those that were not announced again go (RFC 7313)."""
        cdef size_t i
        cdef Route* route
        for i in range(self.mask + 1):
            route = self.slots + i
            if route.family != afi or route.attributes == 0:
                continue
            if begins:
                route.marks |= STALE
            elif route.marks & STALE:
                self.drop(route)

    # routes

    cdef inline Route* slot_of(self, const Route* key) noexcept nogil:
        """The slot that holds the route, or the free one that is for it. There always is a free one."""
        cdef uint64_t word = <uint64_t> key.path_id << 32 | <uint64_t> key.length << 8 | key.family
        cdef size_t at = mix(mix(mix(self.seed, key.high), key.low), word) & self.mask
        cdef Route* slot
        while True:
            slot = self.slots + at
            if slot.family == 0 or (
                slot.high == key.high
                and slot.low == key.low
                and slot.path_id == key.path_id
                and slot.length == key.length
                and slot.family == key.family
            ):
                return slot
            at = (at + 1) & self.mask

    cdef int put(self, const Route* key, uint32_t attributes, unsigned state) except -1:
        """A route is announced, with what became of it."""
        cdef Route* route
        if (self.used + 1) * 4 > (self.mask + 1) * 3:
            self.renew()
        route = self.slot_of(key)
        if route.family == 0:
            self.used += 1
            route.high = key.high
            route.low = key.low
            route.path_id = key.path_id
            route.length = key.length
            route.family = key.family
            route.marks = 0
        self.entries[attributes].references += 1
        if route.attributes:
            if self.sticky:
                state |= route.state & OUT
            self.let_go(route.attributes)
        else:
            self.live += 1
            self.count_ipv6 += route.family == 2
        route.attributes = attributes
        route.state = <uint8_t> state
        route.marks &= PENDING  # its slot stays in the list, and is passed over there
        return 0

    cdef void remove(self, const Route* key) noexcept nogil:
        cdef Route* route = self.slot_of(key)
        if route.family != 0 and route.attributes:
            self.drop(route)

    cdef void drop(self, Route* route) noexcept nogil:
        self.let_go(route.attributes)
        route.attributes = 0
        route.state = 0
        route.marks &= PENDING
        self.live -= 1
        self.count_ipv6 -= route.family == 2

    cdef int renew(self) except -1:
        """A table with room, and without the routes that are gone."""
        cdef size_t size = SMALLEST, i
        cdef Route* old = self.slots
        cdef size_t old_size = self.mask + 1
        cdef Route* new
        while size < (self.live + 1) * 2:
            size *= 2
        new = <Route*> calloc(size, sizeof(Route))
        if new == NULL:
            raise MemoryError
        self.slots = new
        self.mask = size - 1
        self.used = self.live
        self.waiting_used = 0
        self.ordered = False
        self.generation += 1
        for i in range(old_size):
            if old[i].family != 0 and old[i].attributes:
                new = self.slot_of(old + i)
                new[0] = old[i]
                if new.marks & PENDING:
                    self.note(new)
        free(old)
        return 0

    cdef int note(self, Route* route) except -1:
        """Puts a route's slot into the list of what has to be told."""
        cdef uint32_t* grown
        if self.waiting_used == self.waiting_size:
            grown = <uint32_t*> realloc(self.waiting, (2 * self.waiting_size + SMALLEST) * sizeof(uint32_t))
            if grown == NULL:
                raise MemoryError
            self.waiting = grown
            self.waiting_size = 2 * self.waiting_size + SMALLEST
        self.waiting[self.waiting_used] = <uint32_t> (route - self.slots)
        self.waiting_used += 1
        self.ordered = False
        route.marks |= PENDING
        return 0

    # judging again

    def find(self, Ranges ranges, size_t cursor, size_t slots):
        """(cursor, routes): the routes in the ranges, or all of them, in so many slots from `cursor` on.

        A route is a tuple of its prefix (AFI, address, length, path identifier), the number of its attributes and its
        state. The cursor is -1 behind the last slot. It is of no use once `generation` has changed.
        """
        cdef list routes = []
        cdef size_t end = min(self.mask + 1, cursor + slots), i
        cdef Route* route
        for i in range(cursor, end):
            route = self.slots + i
            if route.family != 0 and route.attributes and (ranges is None or ranges.has(route)):
                routes.append((prefix_of(route), route.attributes, route.state))
        return (end if end <= self.mask else -1), routes

    def judge(self, prefix, bint wanted, unsigned verdict=0, bint again=False):
        """Sets what is thought of a route. See PlainRib.judge."""
        cdef Route key = key_of(prefix)
        cdef Route* route = self.slot_of(&key)
        if route.family != 0 and route.attributes:
            self.set_state(route, wanted, verdict, again)

    def judge_attributes(self, verdicts, size_t cursor, size_t slots, unsigned unwanted, bint again=False):
        """As `judge` for all routes in so many slots, by their attributes; returns the cursor as `find` does.

        verdicts: a buffer with a verdict below 32 for each number of attributes, UNCHANGED for those that stay as they
        are. unwanted: bit n: routes with the verdict n are not wanted.
        """
        cdef Py_buffer view
        cdef const uint8_t* known
        cdef size_t end = min(self.mask + 1, cursor + slots), i
        cdef Route* route
        cdef unsigned verdict
        PyObject_GetBuffer(verdicts, &view, PyBUF_SIMPLE)
        try:
            known = <const uint8_t*> view.buf
            for i in range(cursor, end):
                route = self.slots + i
                if route.family == 0 or route.attributes == 0 or route.attributes >= <size_t> view.len:
                    continue
                verdict = known[route.attributes]
                if verdict != UNCHANGED:
                    self.set_state(route, not (unwanted >> (verdict & 31)) & 1, verdict, again)
        finally:
            PyBuffer_Release(&view)
        return end if end <= self.mask else -1

    def judge_routes(self, Judge judge not None, Ranges ranges, size_t cursor, size_t slots, bint again=False):
        """As `judge` for the routes in the ranges, in so many slots; returns the cursor as `find` does, or as it was if
        the judge declines one of them."""
        cdef size_t end = min(self.mask + 1, cursor + slots), i
        cdef Route* route
        cdef unsigned verdict
        for i in range(cursor, end):
            route = self.slots + i
            if route.family == 0 or route.attributes == 0 or ranges is not None and not ranges.has(route):
                continue
            verdict = judge.verdict_by(route, self.entries + route.attributes)
            if judge.declined:
                return cursor
            self.set_state(route, not judge.unwanted >> verdict & 1, verdict, again)
        return end if end <= self.mask else -1

    cdef int set_state(self, Route* route, bint wanted, unsigned verdict, bint again) except -1:
        cdef unsigned state = (route.state & OUT) | (WANTED if wanted else 0) | (verdict << VERDICT_SHIFT & 0xFC)
        if again and (route.state ^ state) >> VERDICT_SHIFT:
            route.marks |= AGAIN
        route.state = <uint8_t> state
        if not route.marks & PENDING and (((state >> 1) ^ state) & 1 or wanted and route.marks & AGAIN):
            self.note(route)
        return 0

    def attributes(self, uint32_t number):
        """(octets, size of the head, flags, kind of the origin, origin, marks) of attributes; None if no route has
        them."""
        cdef Attributes* entry
        if number == 0 or number >= self.entries_used or self.entries[number].octets == NULL:
            return None
        entry = self.entries + number
        octets = PyBytes_FromStringAndSize(<const char*> entry.octets, entry.size)
        return octets, entry.head, entry.flags, entry.origin_kind, entry.origin, entry.marks

    @property
    def attribute_limit(self):
        """All numbers of attributes are below this."""
        return self.entries_used

    # what has to be told

    def take_withdrawals(self, size_t size, size_t most):
        """(flags, body) of at most so many UPDATEs, each of at most `size` octets, which withdraw what was let through
        and is not wanted any more."""
        cdef list bodies = []
        cdef unsigned family, add_path
        for family in range(1, 3):
            for add_path in range(2):
                while len(bodies) < <Py_ssize_t> most:
                    body = self.withdrawal(family, add_path, size)
                    if body is None:
                        break
                    bodies.append((ADD_PATH if add_path else 0, body))
        self.forget_told()
        return bodies

    cdef bytes withdrawal(self, unsigned family, bint add_path, size_t size):
        """One body; None if there is nothing to withdraw."""
        cdef Writer w
        cdef uint8_t* start
        cdef uint8_t* p
        cdef Route* route
        cdef size_t i
        cdef bint any = False
        open_writer(&w, size)
        start = p = room(&w, size)
        p += 2 if family == 1 else 11
        for i in range(self.waiting_used):
            route = self.slots + self.waiting[i]
            if (
                route.family != family or not route.attributes or route.state & (OUT | WANTED) != OUT
                or ((self.entries[route.attributes].flags & ADD_PATH) != 0) != add_path
            ):
                continue
            if <size_t> (p - start) + 23 > size:
                break
            p = put_key(p, route, add_path)
            route.state &= 0xFF ^ OUT
            any = True
        if not any:
            wrote(&w, start)
            close_writer(&w)
            return None
        if family == 1:
            put_length(start, p - start - 2)
            put_length(p, 0)
            p += 2
        else:
            put_length(start, 0)
            put_length(start + 2, p - start - 4)
            start[4] = OPTIONAL | EXTENDED
            start[5] = MP_UNREACH
            put_length(start + 6, p - start - 8)
            put_length(start + 8, 2)
            start[10] = 1
        wrote(&w, p)
        return close_writer(&w)

    def take_announcements(self, size_t size, size_t most):
        """(flags, verdict, body) of at most so many UPDATEs, each of at most `size` octets, which announce what is
        wanted and was not let through, or has to be announced again. Routes with the same attributes and verdict are
        in the same UPDATE. (flags, verdict, None) for attributes that leave no room for a prefix."""
        cdef list bodies = []
        cdef size_t at = 0
        if not self.ordered:
            self.order_waiting()
        while at < self.waiting_used and len(bodies) < <Py_ssize_t> most:
            if is_due(self.slots + self.waiting[at]):
                at = self.announcement(at, size, bodies)
            else:
                at += 1
        self.forget_told()
        return bodies

    cdef size_t announcement(self, size_t at, size_t size, list bodies) except? 0:
        """Appends one body, with the route at a place of the list and those behind it that go with it."""
        cdef Route* route = self.slots + self.waiting[at]
        cdef uint32_t number = route.attributes
        cdef unsigned verdict = route.state >> VERDICT_SHIFT
        cdef const Attributes* entry = self.entries + number
        cdef bint add_path = (entry.flags & ADD_PATH) != 0
        cdef size_t before = entry.size + (8 if entry.head else 4)
        cdef Writer w
        cdef uint8_t* start
        cdef uint8_t* p
        if before + 21 > size:
            route.state |= OUT  # what cannot be announced is not tried again
            route.marks &= 0xFF ^ AGAIN
            bodies.append((entry.flags, verdict, None))
            return at + 1
        open_writer(&w, size)
        start = room(&w, size)
        p = start + (8 + entry.head if entry.head else 4 + entry.size)
        if not entry.head:
            memcpy(start + 4, entry.octets, entry.size)
        else:
            memcpy(start + 8, entry.octets, entry.head)
        while at < self.waiting_used:
            route = self.slots + self.waiting[at]
            if is_due(route):
                if route.attributes != number or route.state >> VERDICT_SHIFT != verdict:
                    break
                if <size_t> (p - start) + 21 + (entry.size - entry.head if entry.head else 0) > size:
                    break
                p = put_key(p, route, add_path)
                route.state |= OUT
                route.marks &= 0xFF ^ AGAIN
            at += 1
        put_length(start, 0)
        if entry.head:
            start[4] = OPTIONAL | EXTENDED
            start[5] = MP_REACH
            put_length(start + 6, p - start - 8)
            memcpy(p, entry.octets + entry.head, entry.size - entry.head)
            p += entry.size - entry.head
            put_length(start + 2, p - start - 4)
        else:
            put_length(start + 2, entry.size)
        wrote(&w, p)
        bodies.append((entry.flags, verdict, close_writer(&w)))
        return at

    cdef int order_waiting(self) except -1:
        """Sorts what has to be told by attributes and verdict."""
        cdef Waiting* rows
        cdef size_t i
        cdef const Route* route
        rows = <Waiting*> malloc((self.waiting_used + 1) * sizeof(Waiting))
        if rows == NULL:
            raise MemoryError
        for i in range(self.waiting_used):
            route = self.slots + self.waiting[i]
            rows[i].order = <uint64_t> route.attributes << 8 | route.state >> VERDICT_SHIFT
            rows[i].slot = self.waiting[i]
        qsort(rows, self.waiting_used, sizeof(Waiting), by_order)
        for i in range(self.waiting_used):
            self.waiting[i] = rows[i].slot
        free(rows)
        self.ordered = True
        return 0

    cdef void forget_told(self) noexcept:
        """Leaves out of the list what has been told, or was settled by a message."""
        cdef size_t i, kept = 0
        cdef Route* route
        for i in range(self.waiting_used):
            route = self.slots + self.waiting[i]
            if route.attributes and (((route.state >> 1) ^ route.state) & 1 or route.marks & AGAIN and route.state & WANTED):
                self.waiting[kept] = self.waiting[i]
                kept += 1
            else:
                route.marks &= 0xFF ^ (PENDING | AGAIN)
        self.waiting_used = kept

    # attributes

    cdef uint32_t intern(
        self, const uint8_t* octets, uint32_t head, uint32_t size, unsigned flags, unsigned kind, uint32_t origin,
        unsigned marks
    ) except? 0:
        """The number of these attributes. It is theirs for as long as a route has them."""
        cdef uint32_t hash = hash_of(self.seed, octets, size, head << 8 | flags)
        cdef uint32_t number = self.chains[hash & self.chains_mask]
        cdef Attributes* entry
        while number:
            entry = self.entries + number
            if (
                entry.hash == hash and entry.size == size and entry.head == head and entry.flags == flags
                and memcmp(entry.octets, octets, size) == 0
            ):
                return number
            number = entry.next
        if self.free_entry == 0 and self.entries_used == self.entries_size:
            self.grow_entries()
        entry = self.entries + (self.free_entry or self.entries_used)
        if not self.copy_octets(entry, octets, size):
            raise MemoryError
        if self.free_entry:
            number = self.free_entry
            self.free_entry = entry.next
        else:
            number = self.entries_used
            self.entries_used += 1
        entry.head = head
        entry.size = size
        entry.hash = hash
        entry.references = 0
        entry.origin = origin
        entry.origin_kind = <uint8_t> kind
        entry.flags = <uint8_t> flags
        entry.marks = <uint8_t> marks
        entry.verdict = 0
        entry.next = self.chains[hash & self.chains_mask]
        self.chains[hash & self.chains_mask] = number
        self.entries_live += 1
        return number

    cdef bint copy_octets(self, Attributes* entry, const uint8_t* octets, uint32_t size) noexcept:
        entry.octets = <uint8_t*> malloc(size or 1)
        if entry.octets == NULL:
            return False
        memcpy(entry.octets, octets, size)
        return True

    cdef int grow_entries(self) except -1:
        cdef size_t size = self.entries_size * 2, i
        cdef Attributes* entries
        cdef uint32_t* chains
        entries = <Attributes*> realloc(self.entries, size * sizeof(Attributes))
        if entries == NULL:
            raise MemoryError
        self.entries = entries
        memset(entries + self.entries_size, 0, self.entries_size * sizeof(Attributes))
        self.entries_size = size
        chains = <uint32_t*> calloc(size, sizeof(uint32_t))
        if chains == NULL:
            return 0  # the chains get longer
        free(self.chains)
        self.chains = chains
        self.chains_mask = size - 1
        for i in range(1, self.entries_used):
            if entries[i].octets != NULL:
                entries[i].next = chains[entries[i].hash & self.chains_mask]
                chains[entries[i].hash & self.chains_mask] = <uint32_t> i
        return 0

    cdef void let_go(self, uint32_t number) noexcept nogil:
        """One route fewer has these attributes."""
        cdef Attributes* entry = self.entries + number
        cdef uint32_t* link
        entry.references -= 1
        if entry.references:
            return
        link = self.chains + (entry.hash & self.chains_mask)
        while link[0] != number:
            link = &self.entries[link[0]].next
        link[0] = entry.next
        free(entry.octets)
        entry.octets = NULL
        entry.next = self.free_entry
        self.free_entry = number
        self.entries_live -= 1


cdef Route key_of(prefix):
    cdef Route key
    afi, address, length, path_id = prefix
    if not 1 <= afi <= 2 or not 0 <= length <= (32 if afi == 1 else 128):
        raise ValueError("not a prefix of IPv4 or IPv6")
    key.high = address if afi == 1 else address >> 64
    key.low = 0 if afi == 1 else address & 0xFFFFFFFFFFFFFFFF
    key.path_id = path_id or 0
    key.attributes = 0
    key.length = length
    key.family = afi
    key.state = key.marks = 0
    return key


cdef prefix_of(const Route* route):
    if route.family == 1:
        return 1, route.high, route.length, route.path_id
    return 2, <object> route.high << 64 | route.low, route.length, route.path_id
