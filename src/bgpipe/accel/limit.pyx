"""Counting routes for the stage `limit`: the tables of bgpipe.routes.prefix_limits, and whole blocks past them.

Tables are open-addressing hash tables with a seed of their own, so that nobody outside can choose prefixes that
collide. A route that is gone leaves its slot, for the case that it comes back, until the table is made anew.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from .attributes cimport AS4_PATH, AS_PATH, EXTENDED, MP_REACH, MP_UNREACH
from .block cimport LEFT, MESSAGE_HEADER, Entry, message_of, next_entry
from .octets cimport Reader, Writer, close_writer, left, open_writer, reader, room, skip, u8, u16, u32, wrote
from .prefix cimport mix, read_address
from .update cimport AS_SEQUENCE, Attribute, Update, has, locate, value_of

from os import urandom


cdef enum:
    UPDATE = 2
    SMALLEST = 64  # slots of a new table


cdef enum Field:  # of an UPDATE, in the order in which they are looked at
    WITHDRAWN
    MP_WITHDRAWN
    NLRI
    MP_NLRI


cdef enum:  # what is violations of a prefix
    SHORT = 1
    LONG = 2
    ORIGIN = 4
    BLOCK = 8
    SESSION = 16
    TOTAL = 32
    NEAR = 8  # bits to the left of a limit that has come near
    FAILED = 1 << 16  # no memory
    REASONS = 6  # SHORT to TOTAL


cdef struct Violation:
    Field field
    unsigned place
    unsigned what


# ---------------------------------------------------------------------------------------------------------------------
# Tables

cdef struct Route:
    uint64_t high        # the first 64 bits of an IPv6 address, or an IPv4 address
    uint64_t low
    uint32_t path_id
    uint32_t origins[2]  # by side
    uint8_t length
    uint8_t family       # 0: the slot is free
    uint8_t sides        # bit n: side n announces it
    uint8_t spare


cdef struct Routes:
    Route* slots
    size_t mask  # slots less one
    size_t used  # slots that are not free
    size_t live  # routes
    uint64_t seed
    bint with_origin  # what sets two routes apart is their origins[0] too


cdef struct Cell:
    uint64_t key
    uint32_t kind  # 0: the slot is free
    uint32_t count


cdef struct Cells:
    Cell* slots
    size_t mask
    size_t used
    uint64_t seed


cdef inline Route* route_at(const Routes* table, const Route* key) noexcept nogil:
    """The slot that holds the route, or the free one that is for it. There always is a free one."""
    cdef uint64_t word = <uint64_t> key.path_id << 32 | <uint64_t> key.length << 8 | key.family
    cdef uint64_t hash = mix(mix(mix(table.seed, key.high), key.low), word)
    cdef Route* slot
    cdef size_t at
    if table.with_origin:
        hash = mix(hash, key.origins[0])
    at = hash & table.mask
    while True:
        slot = table.slots + at
        if slot.family == 0 or (
            slot.high == key.high
            and slot.low == key.low
            and slot.path_id == key.path_id
            and slot.length == key.length
            and slot.family == key.family
            and (not table.with_origin or slot.origins[0] == key.origins[0])
        ):
            return slot
        at = (at + 1) & table.mask


cdef inline Cell* cell_at(const Cells* table, uint32_t kind, uint64_t key) noexcept nogil:
    """The slot that counts for this key, or the free one that is for it. There always is a free one."""
    cdef size_t at = mix(mix(table.seed, key), kind) & table.mask
    cdef Cell* slot
    while True:
        slot = table.slots + at
        if slot.kind == 0 or (slot.key == key and slot.kind == kind):
            return slot
        at = (at + 1) & table.mask


cdef inline size_t roomy(size_t live) noexcept nogil:
    """Slots for a table with so many entries: at most half full, so that it lasts."""
    cdef size_t size = SMALLEST
    while size < live * 2:
        size *= 2
    return size


cdef bint renew_routes(Routes* table) noexcept nogil:
    """A table with room, and without the routes that are gone; whether there was memory."""
    cdef Routes new = table[0]
    cdef Route* slot
    cdef size_t i
    new.mask = roomy(table.live) - 1
    new.slots = <Route*> calloc(new.mask + 1, sizeof(Route))
    new.used = table.live
    if new.slots == NULL:
        return False
    if table.slots != NULL:
        for i in range(table.mask + 1):
            slot = table.slots + i
            if slot.family != 0 and slot.sides != 0:
                route_at(&new, slot)[0] = slot[0]
        free(table.slots)
    table[0] = new
    return True


cdef bint renew_cells(Cells* table) noexcept nogil:
    """The same for counts: those of nothing are left out."""
    cdef Cells new = table[0]
    cdef Cell* slot
    cdef size_t i, live = 0
    if table.slots != NULL:
        for i in range(table.mask + 1):
            live += table.slots[i].count != 0
    new.mask = roomy(live) - 1
    new.slots = <Cell*> calloc(new.mask + 1, sizeof(Cell))
    new.used = live
    if new.slots == NULL:
        return False
    if table.slots != NULL:
        for i in range(table.mask + 1):
            slot = table.slots + i
            if slot.count != 0:
                cell_at(&new, slot.kind, slot.key)[0] = slot[0]
        free(table.slots)
    table[0] = new
    return True


cdef inline bint has_room(size_t used, size_t mask) noexcept nogil:
    """Whether two more entries leave a quarter of the slots free."""
    return (used + 2) * 4 <= (mask + 1) * 3


# ---------------------------------------------------------------------------------------------------------------------
# Limits

cdef class Total:
    """The number of routes in all tables that share this total."""

    cdef public long long count


cdef class Table:
    """See bgpipe.routes.prefix_limits.RouteTable, whose results these are."""

    cdef unsigned families, minimum, maximum, block_bits_4, block_bits_6
    cdef uint64_t session, origin, block, total_limit
    cdef bint permanent, near, counts
    cdef Total total
    cdef Routes routes, pairs
    cdef Cells cells
    cdef Violation* violations  # of the message at hand
    cdef size_t found, most     # how many there are, and how many there is memory for
    cdef uint64_t removed[REASONS]

    def __cinit__(
        self, *, unsigned families, unsigned minimum, unsigned maximum, uint64_t session, uint64_t origin,
        uint64_t block, uint64_t total_limit, unsigned block_bits_4, unsigned block_bits_6, bint permanent, bint near,
        Total total not None
    ):
        """families: bit 0 for AFI 1 SAFI 1, bit 1 for AFI 2 SAFI 1, bits 2 and 3 for SAFI 2. A limit of 0 is none."""
        if block_bits_4 > 32 or block_bits_6 > 64:
            raise ValueError("a block's length is at most 32 (IPv4) or 64 (IPv6)")
        self.families = families
        self.minimum = minimum
        self.maximum = maximum
        self.session = session
        self.origin = origin
        self.block = block
        self.total_limit = total_limit
        self.block_bits_4 = block_bits_4
        self.block_bits_6 = block_bits_6
        self.permanent = permanent
        self.near = near
        self.counts = session or origin or block or total_limit
        self.total = total
        self.pairs.with_origin = True
        self.routes.seed = int.from_bytes(urandom(8), "big")
        self.pairs.seed = int.from_bytes(urandom(8), "big")
        self.cells.seed = int.from_bytes(urandom(8), "big")
        self.make_empty()

    def __dealloc__(self):
        free(self.violations)
        free(self.routes.slots)
        free(self.pairs.slots)
        free(self.cells.slots)

    cdef int make_empty(self) except -1:
        free(self.routes.slots)
        free(self.pairs.slots)
        free(self.cells.slots)
        self.routes.slots = self.pairs.slots = NULL
        self.cells.slots = NULL
        self.routes.live = self.pairs.live = 0
        if not (renew_routes(&self.routes) and renew_routes(&self.pairs) and renew_cells(&self.cells)):
            raise MemoryError
        return 0

    @property
    def count(self):
        """Routes in the table."""
        return self.routes.live

    def clear(self):
        """Removes all routes."""
        self.total.count -= self.routes.live
        self.make_empty()

    # One prefix, for messages that Python reads

    def announce(self, prefix, unsigned safi, uint32_t origin, unsigned side):
        """The violation of an announced prefix, 0 for none. The prefix is counted if it is admitted."""
        cdef Route route = route_of(prefix, safi)
        return self.checked(self.admit(&route, origin, side & 1))

    def withdraw(self, prefix, unsigned safi, unsigned side):
        cdef Route route = route_of(prefix, safi)
        self.remove(&route, side & 1)

    cdef unsigned checked(self, unsigned violations) except? 0xFFFFFFFF:
        if violations & FAILED:
            raise MemoryError
        return violations

    # Blocks

    def run(
        self, bytes octets not None, index not None, Py_ssize_t position, unsigned quiet=0, dict bodies=None
    ):
        """(position, violations): passes over a block from `position` on, up to a message of which there is something to say.

        violations: (field, place in it, what) of each of its prefixes of which there is something to say; None if the
        message is for Python to read. Behind the last message, the position is the number of messages.
        quiet: the sum of what need not be said. Prefixes that are removed for such a reason are taken out here, and
        counted for `take_removed`; `bodies` gets the body that is left by the message's position, or None.
        """
        cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
        cdef size_t size = PyBytes_GET_SIZE(octets)
        cdef Py_buffer view
        cdef Reader entries, message
        cdef Entry entry
        cdef Update u
        PyObject_GetBuffer(index, &view, PyBUF_SIMPLE)
        try:
            entries = reader(<const uint8_t*> view.buf, <size_t> position * sizeof(Entry), view.len)
            while next_entry(&entries, &entry):
                message = message_of(base, size, &entry)
                if message.failed:
                    return position, None
                if message.base[message.pos + MESSAGE_HEADER - 1] == UPDATE:
                    if not locate(&u, message, entry.flags) or not u.as4 and has(&u, AS4_PATH):
                        return position, None
                    self.found = 0
                    self.read(&u, 1 if entry.flags & LEFT else 0)
                    if self.found:
                        if bodies is None or not self.is_quiet(quiet):
                            return position, self.listed()
                        bodies[position] = self.stripped(&u, left(&message) - MESSAGE_HEADER)
                position += 1
        finally:
            PyBuffer_Release(&view)
        return position, []

    def take_removed(self):
        """How many announced prefixes `run` has removed since the last call, by violation."""
        taken = {1 << bit: self.removed[bit] for bit in range(REASONS) if self.removed[bit]}
        memset(self.removed, 0, sizeof(self.removed))
        return taken

    cdef list listed(self):
        cdef size_t i
        return [(self.violations[i].field, self.violations[i].place, self.violations[i].what) for i in range(self.found)]

    cdef int violate(self, Field field, unsigned place, unsigned what) except -1:
        """Notes a prefix of the message at hand."""
        cdef Violation* grown
        if self.found == self.most:
            grown = <Violation*> realloc(self.violations, (2 * self.most + SMALLEST) * sizeof(Violation))
            if grown == NULL:
                raise MemoryError
            self.violations = grown
            self.most = 2 * self.most + SMALLEST
        self.violations[self.found] = Violation(field, place, what)
        self.found += 1
        return 0

    cdef bint is_quiet(self, unsigned quiet):
        """Whether nothing has to be said of the message at hand. Of what is withdrawn nothing ever is."""
        cdef size_t i
        for i in range(self.found):
            if self.violations[i].field >= NLRI and self.violations[i].what & ~quiet:
                return False
        return True

    cdef stripped(self, Update* u, size_t size):
        """What bgpipe.routes.prefix_limits.strip gives: the body without the prefixes noted, None if nothing is left."""
        cdef Writer w
        cdef size_t i
        cdef unsigned bit
        cdef uint8_t* start
        cdef uint8_t* p
        cdef Attribute* attribute
        cdef bint reaches = False, nothing = True
        cdef uint8_t* mark
        for i in range(self.found):
            for bit in range(REASONS):
                if self.violations[i].field >= NLRI and self.violations[i].what == <unsigned> 1 << bit:
                    self.removed[bit] += 1
        open_writer(&w, size)
        start = p = room(&w, size)
        p = self.put_left(start + 2, u.withdrawn, u.add_path, WITHDRAWN)
        put_length(start, p - start - 2)
        nothing = p == start + 2
        reaches = self.leaves(u.nlri, u.add_path, NLRI) or has(u, MP_REACH) and (
            not self.notes(MP_NLRI) or self.leaves(u.reach.nlri, u.reach.add_path, MP_NLRI)
        )
        mark = p
        p += 2
        for i in range(u.count):
            attribute = &u.attributes[i]
            if reaches or attribute.code == MP_UNREACH:
                p = self.put_attribute(p, u, attribute)
        put_length(mark, p - mark - 2)
        nothing = nothing and not reaches and p == mark + 2
        p = self.put_left(p, u.nlri, u.add_path, NLRI)
        wrote(&w, p)
        body = close_writer(&w)
        return None if nothing else body

    cdef uint8_t* put_attribute(self, uint8_t* p, Update* u, const Attribute* attribute) noexcept:
        """An attribute with what is left of its prefixes; nothing where none are left of some."""
        cdef Reader value = attribute.value
        cdef Reader nlri
        cdef bint add_path
        cdef Field field = MP_NLRI if attribute.code == MP_REACH else MP_WITHDRAWN
        cdef size_t header = 4 if attribute.flags & EXTENDED else 3
        cdef size_t size = left(&value)
        cdef uint8_t* end
        if attribute.code != MP_REACH and attribute.code != MP_UNREACH or not self.notes(field):
            memcpy(p + header, value.base + value.pos, size)
            end = p + header + size
        else:
            nlri = u.reach.nlri if attribute.code == MP_REACH else u.unreach.nlri
            add_path = u.reach.add_path if attribute.code == MP_REACH else u.unreach.add_path
            if not self.leaves(nlri, add_path, field):
                return p
            size -= left(&nlri)
            memcpy(p + header, value.base + value.pos, size)
            end = self.put_left(p + header + size, nlri, add_path, field)
            size = end - p - header
        p[0] = attribute.flags
        p[1] = attribute.code
        if header == 4:
            put_length(p + 2, size)
        else:
            p[2] = <uint8_t> size
        return end

    cdef bint notes(self, Field field) noexcept:
        """Whether a prefix of a field is noted."""
        cdef size_t i
        for i in range(self.found):
            if self.violations[i].field == field:
                return True
        return False

    cdef size_t leaves(self, Reader r, bint add_path, Field field) noexcept:
        """Octets that are left of a field."""
        cdef size_t size = 0, start = r.pos, i = 0
        cdef unsigned place = 0
        while left(&r):
            pass_prefix(&r, add_path)
            if not self.is_noted(field, place, &i):
                size += r.pos - start
            start = r.pos
            place += 1
        return size

    cdef uint8_t* put_left(self, uint8_t* p, Reader r, bint add_path, Field field) noexcept:
        """The prefixes of a field that are left, octet by octet."""
        cdef size_t start = r.pos, i = 0
        cdef unsigned place = 0
        while left(&r):
            pass_prefix(&r, add_path)
            if not self.is_noted(field, place, &i):
                memcpy(p, r.base + start, r.pos - start)
                p += r.pos - start
            start = r.pos
            place += 1
        return p

    cdef inline bint is_noted(self, Field field, unsigned place, size_t* i) noexcept:
        """Whether the prefix at a place is noted; i: where to look first, for places that ascend."""
        while i[0] < self.found and (
            self.violations[i[0]].field < field or self.violations[i[0]].field == field and self.violations[i[0]].place < place
        ):
            i[0] += 1
        return i[0] < self.found and self.violations[i[0]].field == field and self.violations[i[0]].place == place

    cdef int read(self, Update* u, unsigned side) except -1:
        """One UPDATE. What it withdraws is gone before what it announces comes."""
        cdef uint32_t origin
        if not self.permanent:
            self.read_field(u.withdrawn, 1, 1, u.add_path, WITHDRAWN, 0, side)
            if has(u, MP_UNREACH):
                self.read_field(u.unreach.nlri, u.unreach.afi, u.unreach.safi, u.unreach.add_path, MP_WITHDRAWN, 0, side)
        if left(&u.nlri) or has(u, MP_REACH):
            origin = origin_of(u)
            self.read_field(u.nlri, 1, 1, u.add_path, NLRI, origin, side)
            if has(u, MP_REACH):
                self.read_field(u.reach.nlri, u.reach.afi, u.reach.safi, u.reach.add_path, MP_NLRI, origin, side)
        return 0

    cdef int read_field(
        self, Reader r, unsigned afi, unsigned safi, bint add_path, Field field, uint32_t origin, unsigned side
    ) except -1:
        cdef unsigned what, place = 0
        cdef Route route
        route.family = family_code(afi, safi)
        route.spare = 0
        if not (self.families >> (route.family - 1)) & 1:
            return 0
        while left(&r):
            read_prefix(&r, &route, afi, add_path)
            if route.length < self.minimum:
                what = SHORT
            elif self.maximum and route.length > self.maximum:
                what = LONG
            elif not self.counts:
                what = 0
            elif field >= NLRI:
                what = self.checked(self.admit(&route, origin, side))
            else:
                self.remove(&route, side)
                what = 0
            if what:
                self.violate(field, place, what)
            place += 1
        return 0

    cdef unsigned admit(self, const Route* key, uint32_t origin, unsigned side) noexcept nogil:
        """What is violations of an announced route, which is counted unless it is over a limit."""
        cdef Route* route
        cdef Route* pair = NULL
        cdef Route wanted
        cdef Cell* of_origin = NULL
        cdef Cell* of_block = NULL
        cdef bint is_new, counts_origin = False
        cdef uint64_t block
        if (
            not has_room(self.routes.used, self.routes.mask) and not renew_routes(&self.routes)
            or not has_room(self.pairs.used, self.pairs.mask) and not renew_routes(&self.pairs)
            or not has_room(self.cells.used, self.cells.mask) and not renew_cells(&self.cells)
        ):
            return FAILED
        route = route_at(&self.routes, key)
        is_new = route.family == 0 or route.sides == 0
        if self.origin:
            if self.permanent:
                wanted = key[0]
                wanted.origins[0] = origin
                wanted.origins[1] = 0
                wanted.sides = 1
                pair = route_at(&self.pairs, &wanted)
                counts_origin = pair.family == 0
            else:
                counts_origin = not has_origin(route, origin)
            if counts_origin:
                of_origin = self.cell(1, origin)
                if of_origin.count >= self.origin:
                    return ORIGIN
        if is_new:
            if self.block:
                block = self.block_of(key)
                of_block = self.cell(2 if key.family & 1 else 3, block)
                if of_block.count >= self.block:
                    return BLOCK
            if self.session and self.routes.live >= self.session:
                return SESSION
            if self.total_limit and self.total.count >= <long long> self.total_limit:
                return TOTAL
        return self.enter(route, key, is_new, origin, side, pair, &wanted, of_origin, of_block)

    cdef inline unsigned enter(
        self, Route* route, const Route* key, bint is_new, uint32_t origin, unsigned side, Route* pair,
        const Route* wanted, Cell* of_origin, Cell* of_block
    ) noexcept nogil:
        """Counts an admitted route; what comes near its limit by it."""
        cdef unsigned what = 0
        cdef uint32_t old
        cdef bint had
        if is_new:
            if route.family == 0:
                self.routes.used += 1
            route[0] = key[0]
            route.sides = 0
            self.routes.live += 1
            self.total.count += 1
            if of_block != NULL:
                of_block.count += 1
                if of_block.count == near(self.block):
                    what |= BLOCK << NEAR
            if self.session and self.routes.live == near(self.session):
                what |= SESSION << NEAR
            if self.total_limit and <uint64_t> self.total.count == near(self.total_limit):
                what |= TOTAL << NEAR
        had = (route.sides >> side) & 1
        old = route.origins[side]
        route.origins[side] = origin
        route.sides |= 1 << side
        if of_origin != NULL:
            of_origin.count += 1
            if of_origin.count == near(self.origin):
                what |= ORIGIN << NEAR
        if pair != NULL:
            if pair.family == 0:
                pair[0] = wanted[0]
                self.pairs.used += 1
                self.pairs.live += 1
        elif self.origin and had and not has_origin(route, old):
            self.cell(1, old).count -= 1
        return what if self.near else 0

    cdef void remove(self, const Route* key, unsigned side) noexcept nogil:
        """A route is withdrawn at one side."""
        cdef Route* route = route_at(&self.routes, key)
        cdef uint32_t old
        if route.family == 0 or not (route.sides >> side) & 1:
            return
        old = route.origins[side]
        route.sides ^= 1 << side
        if self.origin and not has_origin(route, old):
            self.cell(1, old).count -= 1
        if route.sides == 0:
            self.routes.live -= 1
            self.total.count -= 1
            if self.block:
                self.cell(2 if key.family & 1 else 3, self.block_of(key)).count -= 1

    cdef inline Cell* cell(self, uint32_t kind, uint64_t key) noexcept nogil:
        """The count of an origin AS (kind 1), an IPv4 block (2) or an IPv6 block (3). It begins with 0."""
        cdef Cell* cell = cell_at(&self.cells, kind, key)
        if cell.kind == 0:
            cell.kind = kind
            cell.key = key
            self.cells.used += 1
        return cell

    cdef inline uint64_t block_of(self, const Route* route) noexcept nogil:
        """The first bits of an address, as a number."""
        cdef unsigned shift = 32 - self.block_bits_4 if route.family & 1 else 64 - self.block_bits_6
        return route.high >> shift if shift < 64 else 0


cdef inline void put_length(uint8_t* p, size_t length) noexcept nogil:
    p[0] = <uint8_t> (length >> 8)
    p[1] = <uint8_t> (length & 0xFF)


cdef inline void pass_prefix(Reader* r, bint add_path) noexcept nogil:
    if add_path:
        skip(r, 4)
    skip(r, (<size_t> u8(r) + 7) >> 3)


cdef inline bint has_origin(const Route* route, uint32_t origin) noexcept nogil:
    """Whether a side announces the route with this origin AS."""
    return route.family != 0 and (
        route.sides & 1 and route.origins[0] == origin or route.sides & 2 and route.origins[1] == origin
    )


cdef inline uint64_t near(uint64_t limit) noexcept nogil:
    """The count at which three quarters of a limit are reached."""
    return limit - limit // 4


cdef inline uint8_t family_code(unsigned afi, unsigned safi) noexcept nogil:
    """1 and 2 for unicast of IPv4 and IPv6, 3 and 4 for multicast."""
    return <uint8_t> (afi + 2 * (safi - 1))


cdef Route route_of(prefix, unsigned safi):
    """A route without its origin."""
    cdef Route route
    afi, address, length, path_id = prefix
    if not (1 <= afi <= 2 and 1 <= safi <= 2):
        raise ValueError("not a family whose prefixes are counted")
    route.high = address if afi == 1 else address >> 64
    route.low = 0 if afi == 1 else address & 0xFFFFFFFFFFFFFFFF
    route.path_id = path_id or 0
    route.origins[0] = route.origins[1] = 0
    route.length = length
    route.family = family_code(afi, safi)
    route.sides = route.spare = 0
    return route


cdef inline void read_prefix(Reader* r, Route* route, unsigned afi, bint add_path) noexcept nogil:
    """The next prefix of a field that `locate` has found sound, its bits behind the mask cleared."""
    route.path_id = u32(r) if add_path else 0
    route.length = u8(r)
    route.origins[0] = route.origins[1] = 0
    route.sides = 0
    read_address(r, afi, route.length, &route.high, &route.low)


cdef inline uint32_t origin_of(Update* u) noexcept nogil:
    """The last AS of the path; 0 if there is none or it ends in an AS_SET."""
    cdef Reader r = value_of(u, AS_PATH)
    cdef unsigned kind = 0, count
    cdef uint32_t origin = 0
    while left(&r):
        kind = u8(&r)
        count = u8(&r)
        skip(&r, (count - 1) * (4 if u.as4 else 2))
        origin = u32(&r) if u.as4 else u16(&r)
    return origin if kind == AS_SEQUENCE else 0
