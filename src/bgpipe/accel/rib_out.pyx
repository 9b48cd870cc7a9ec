"""Tables of routes of bgpipe.formats.rib: filled from blocks, and written as records. The same as PlainTable does in Python.

A prefix is found in a hash table, with a seed of its own, so that nobody outside can choose prefixes that collide. Its
routes stand side by side, in the order of the numbers of their peers and of their path identifiers. Attributes of an
entry are objects of Python, which routes share.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort, realloc
from libc.string cimport memcmp, memcpy, memmove

from .attributes cimport MP_REACH, MP_UNREACH, NEXT_HOP
from .block cimport AS4, GUESS_AS, NO_PEER, PEER_AS4, Entry, message_of, next_entry, peer_of
from .octets cimport Reader, Writer, close_writer, left, open_writer, reader, room, skip, sub, take, u8, u16, u32, wrote
from .prefix cimport mix
from .update cimport Attribute, Mp, Update, has, locate

from os import urandom

cdef enum:
    UPDATE = 2
    MICRO = 1000000
    MAX_ENTRIES = 65535  # of a record
    RECORD = 12
    RECORDS = 4096       # given out at once
    TABLE_DUMP_V2 = 13
    SMALLEST = 64        # slots of a new table
    FEW = 16             # entries that are sorted by insertion


# ---------------------------------------------------------------------------------------------------------------------
# The table of one family

cdef struct Route:
    PyObject* attributes  # with their length before them; the route owns a reference
    uint32_t number       # of the peer
    uint32_t path_id
    uint32_t time         # seconds


cdef struct Prefix:
    uint64_t high         # the first eight octets of the address as they came, zeros behind them
    uint64_t low
    Route* routes
    uint32_t count
    uint32_t capacity
    uint32_t next         # the number of the next one in its chain, or of the next free one; 0: there is none
    uint8_t length
    uint8_t written       # whether `records` leaves it out


cdef struct Place:
    uint32_t rank         # of the peer
    uint32_t path_id
    const Route* route


cdef struct Ordered:
    uint64_t high
    uint64_t low
    uint32_t number       # of the prefix
    uint8_t length


cdef int by_address(const void* a, const void* b) noexcept nogil:
    cdef const Ordered* x = <const Ordered*> a
    cdef const Ordered* y = <const Ordered*> b
    if x.high != y.high:
        return 1 if x.high > y.high else -1
    if x.low != y.low:
        return 1 if x.low > y.low else -1
    return <int> x.length - <int> y.length


cdef inline bint is_before(const Place* a, const Place* b) noexcept nogil:
    return a.rank < b.rank or a.rank == b.rank and a.path_id < b.path_id


cdef int by_rank(const void* a, const void* b) noexcept nogil:
    return -1 if is_before(<const Place*> a, <const Place*> b) else 1


cdef inline void sort_places(Place* places, size_t count) noexcept nogil:
    cdef size_t i, j
    cdef Place here
    if count > FEW:
        for i in range(1, count):
            if is_before(&places[i], &places[i - 1]):
                qsort(places, count, sizeof(Place), by_rank)
                return
        return
    for i in range(1, count):
        here = places[i]
        j = i
        while j and is_before(&here, &places[j - 1]):
            places[j] = places[j - 1]
            j -= 1
        places[j] = here


cdef inline bint read_prefix(Reader* r, unsigned bits, Prefix* prefix) noexcept nogil:
    """Fills length and address from the next prefix; False if it is too long or cut short."""
    cdef const uint8_t* octets
    cdef unsigned size, i
    prefix.length = u8(r)
    size = (prefix.length + 7) >> 3
    octets = take(r, size)
    if octets == NULL or r.failed or prefix.length > bits:
        return False
    prefix.high = prefix.low = 0
    for i in range(min(size, <unsigned> 8)):
        prefix.high |= <uint64_t> octets[i] << (56 - 8 * i)
    for i in range(8, size):
        prefix.low |= <uint64_t> octets[i] << (120 - 8 * i)
    return True


cdef inline uint8_t* put_prefix(uint8_t* p, const Prefix* prefix) noexcept nogil:
    """At most 17 octets."""
    cdef unsigned size = (prefix.length + 7) >> 3, i
    p[0] = prefix.length
    for i in range(size):
        p[1 + i] = <uint8_t> (prefix.high >> (56 - 8 * i) if i < 8 else prefix.low >> (120 - 8 * i))
    return p + 1 + size


cdef inline uint8_t* put_u16(uint8_t* p, unsigned number) noexcept nogil:
    p[0], p[1] = <uint8_t> (number >> 8), <uint8_t> number
    return p + 2


cdef inline uint8_t* put_u32(uint8_t* p, uint32_t number) noexcept nogil:
    return put_u16(put_u16(p, number >> 16), number & 0xFFFF)


cdef inline size_t attributes_size(const Route* route) noexcept:
    return PyBytes_GET_SIZE(<object> route.attributes)


cdef class Table:
    """See bgpipe.formats.rib.PlainTable. bits: of an address."""

    cdef Prefix* prefixes  # from 1 on
    cdef uint32_t* slots   # of the hash table: the first prefix of each chain
    cdef size_t mask       # slots less one
    cdef size_t size       # prefixes that there is memory for
    cdef size_t used       # prefixes that were in use once, and 1
    cdef size_t live
    cdef uint32_t unused   # the first of those that are not in use any more
    cdef uint64_t seed
    cdef unsigned bits
    cdef bint add_path
    cdef Place* places     # of one record
    cdef size_t places_size

    def __cinit__(self, unsigned bits, bint add_path):
        self.bits = bits
        self.add_path = add_path
        self.seed = int.from_bytes(urandom(8), "big")
        self.mask, self.size, self.used = SMALLEST - 1, SMALLEST, 1
        self.slots = <uint32_t*> calloc(SMALLEST, sizeof(uint32_t))
        self.prefixes = <Prefix*> calloc(SMALLEST, sizeof(Prefix))
        if self.slots == NULL or self.prefixes == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef size_t i, j
        if self.prefixes != NULL:
            for i in range(1, self.used):
                for j in range(self.prefixes[i].count):
                    Py_DECREF(<object> self.prefixes[i].routes[j].attributes)
                free(self.prefixes[i].routes)
        free(self.prefixes)
        free(self.slots)
        free(self.places)

    def __len__(self):
        """Prefixes that have routes."""
        return self.live

    cdef inline uint32_t* slot_of(self, const Prefix* key) noexcept:
        return self.slots + (mix(mix(self.seed ^ key.length, key.high), key.low) & self.mask)

    cdef inline Prefix* find(self, const Prefix* key) noexcept:
        cdef uint32_t number = self.slot_of(key)[0]
        cdef Prefix* prefix
        while number:
            prefix = self.prefixes + number
            if prefix.high == key.high and prefix.low == key.low and prefix.length == key.length:
                return prefix
            number = prefix.next
        return NULL

    cdef Prefix* add(self, const Prefix* key) except NULL:
        """A new prefix, without routes."""
        cdef uint32_t number = self.unused
        cdef uint32_t* slot
        cdef Prefix* prefix
        if self.live > self.mask:
            self.widen()
        if number:
            self.unused = self.prefixes[number].next
        else:
            if self.used == self.size:
                prefix = <Prefix*> realloc(self.prefixes, 2 * self.size * sizeof(Prefix))
                if prefix == NULL:
                    raise MemoryError
                self.prefixes = prefix
                self.size *= 2
            number = <uint32_t> self.used
            self.used += 1
        slot = self.slot_of(key)
        prefix = self.prefixes + number
        prefix[0] = key[0]
        prefix.routes = NULL
        prefix.count = prefix.capacity = 0
        prefix.written = False
        prefix.next = slot[0]
        slot[0] = number
        self.live += 1
        return prefix

    cdef int widen(self) except -1:
        """Twice as many slots."""
        cdef size_t i
        cdef uint32_t* slot
        cdef uint32_t* slots = <uint32_t*> calloc(2 * self.mask + 2, sizeof(uint32_t))
        if slots == NULL:
            raise MemoryError
        free(self.slots)
        self.slots = slots
        self.mask = 2 * self.mask + 1
        for i in range(1, self.used):
            if self.prefixes[i].count:
                slot = self.slot_of(self.prefixes + i)
                self.prefixes[i].next = slot[0]
                slot[0] = <uint32_t> i
        return 0

    cdef int remove(self, Prefix* prefix) except -1:
        """Takes away a prefix that has no routes."""
        cdef uint32_t number = <uint32_t> (prefix - self.prefixes)
        cdef uint32_t* at = self.slot_of(prefix)
        while at[0] != number:
            at = &self.prefixes[at[0]].next
        at[0] = prefix.next
        free(prefix.routes)
        prefix.routes = NULL
        prefix.count = prefix.capacity = 0
        prefix.next = self.unused
        self.unused = number
        self.live -= 1
        return 0

    cdef inline size_t place_of(self, const Prefix* prefix, uint32_t number, uint32_t path_id) noexcept:
        """Where the route is, or would be."""
        cdef size_t low = 0, high = prefix.count, middle
        cdef const Route* route
        while low < high:
            middle = (low + high) >> 1
            route = prefix.routes + middle
            if route.number < number or route.number == number and route.path_id < path_id:
                low = middle + 1
            else:
                high = middle
        return low

    cdef int put(self, const Prefix* key, uint32_t number, uint32_t path_id, uint32_t time, bytes attributes) except -1:
        cdef Prefix* prefix = self.find(key)
        cdef size_t at, capacity
        cdef Route* route
        if prefix == NULL:
            prefix = self.add(key)
        at = self.place_of(prefix, number, path_id)
        route = prefix.routes + at
        Py_INCREF(attributes)
        if at < prefix.count and route.number == number and route.path_id == path_id:
            Py_DECREF(<object> route.attributes)
        else:
            if prefix.count == prefix.capacity:
                capacity = 2 * prefix.capacity if prefix.capacity else 1
                route = <Route*> realloc(prefix.routes, capacity * sizeof(Route))
                if route == NULL:
                    Py_DECREF(attributes)
                    if not prefix.count:
                        self.remove(prefix)
                    raise MemoryError
                prefix.routes = route
                prefix.capacity = <uint32_t> capacity
            route = prefix.routes + at
            memmove(route + 1, route, (prefix.count - at) * sizeof(Route))
            prefix.count += 1
            route.number, route.path_id = number, path_id
        route.attributes, route.time = <PyObject*> attributes, time
        return 0

    cdef int take_away(self, const Prefix* key, uint32_t number, uint32_t path_id) except -1:
        cdef Prefix* prefix = self.find(key)
        cdef size_t at
        cdef Route* route
        if prefix == NULL:
            return 0
        at = self.place_of(prefix, number, path_id)
        route = prefix.routes + at
        if at == prefix.count or route.number != number or route.path_id != path_id:
            return 0
        Py_DECREF(<object> route.attributes)
        prefix.count -= 1
        memmove(route, route + 1, (prefix.count - at) * sizeof(Route))
        if not prefix.count:
            self.remove(prefix)
        return 0

    cdef bint announce_field(self, Reader r, uint32_t number, uint32_t time, bytes attributes) except -1:
        cdef Prefix key
        cdef uint32_t path_id = 0
        while left(&r):
            if self.add_path:
                path_id = u32(&r)
            if not read_prefix(&r, self.bits, &key):
                return False
            self.put(&key, number, path_id, time, attributes)
        return True

    cdef bint withdraw_field(self, Reader r, uint32_t number) except -1:
        cdef Prefix key
        cdef uint32_t path_id = 0
        while left(&r):
            if self.add_path:
                path_id = u32(&r)
            if not read_prefix(&r, self.bits, &key):
                return False
            self.take_away(&key, number, path_id)
        return True

    def announce(self, bytes nlri not None, uint32_t number, bytes time not None, bytes attributes not None):
        """Takes the routes of a field; False if a prefix is too long or cut short, behind those that it has taken."""
        return self.announce_field(field_of(nlri), number, seconds_of(time), attributes)

    def withdraw(self, bytes nlri not None, uint32_t number):
        """Takes away the routes of a field; False as `announce`."""
        return self.withdraw_field(field_of(nlri), number)

    def purge(self, bytes gone not None):
        """Takes away the routes of peers; gone: by their numbers, 1 for one whose routes go."""
        cdef size_t i, j, kept
        cdef Prefix* prefix
        cdef const uint8_t* flags = <const uint8_t*> PyBytes_AS_STRING(gone)
        cdef size_t size = PyBytes_GET_SIZE(gone)
        for i in range(1, self.used):
            prefix = self.prefixes + i
            if not prefix.count:
                continue
            kept = 0
            for j in range(prefix.count):
                if prefix.routes[j].number < size and flags[prefix.routes[j].number]:
                    Py_DECREF(<object> prefix.routes[j].attributes)
                else:
                    prefix.routes[kept] = prefix.routes[j]
                    kept += 1
            prefix.count = <uint32_t> kept
            if not kept:
                self.remove(prefix)

    def routes(self, bytes prefix not None):
        """The routes of a prefix, (time, attributes), by peer; empty if it is marked as written."""
        cdef Prefix key
        cdef const Prefix* found
        cdef Reader r = field_of(prefix)
        cdef size_t i
        cdef const Route* route
        cdef dict made = {}
        found = self.find(&key) if read_prefix(&r, self.bits, &key) else NULL
        if found != NULL and not found.written:
            for i in range(found.count):
                route = found.routes + i
                at = (route.number, big4(route.path_id)) if self.add_path else route.number
                made[at] = big4(route.time), <object> route.attributes
        return made

    def mark(self, bytes prefix not None):
        """Marks a prefix as written."""
        cdef Prefix key
        cdef Prefix* found
        cdef Reader r = field_of(prefix)
        found = self.find(&key) if read_prefix(&r, self.bits, &key) else NULL
        if found != NULL:
            found.written = True

    def unmark(self):
        """Marks no prefix as written."""
        cdef size_t i
        for i in range(1, self.used):
            self.prefixes[i].written = False

    def restore(
        self, bytes octets not None, size_t pos, unsigned subtype, list numbers not None, object is_same,
        uint32_t sequence,
    ):
        """(records, position, sequence): records of a table that was read, with what is left of them, from `pos` on to
        before the first one declined, or the end. The same as bgpipe.formats.rib_source does in Python.

        numbers: of the peers by their indexes. is_same: whether attributes of a record are still those of a route.
        Declined is a record of another subtype, or with other routes than those that it has had.
        """
        cdef Reader all = field_of(octets)
        cdef Reader r, record, attributes
        cdef Writer w
        cdef Prefix key
        cdef Prefix* found
        cdef uint8_t* start
        cdef uint8_t* p
        cdef uint32_t time, number
        cdef size_t place, size
        cdef unsigned count, made, i
        open_writer(&w, left(&all) - pos + 64)
        all.pos = pos
        while left(&all):
            r = all
            time = u32(&r)
            if u16(&r) != TABLE_DUMP_V2 or u16(&r) != subtype:
                break
            record = sub(&r, u32(&r))
            place = record.pos
            number = u32(&record)
            if record.failed or not read_prefix(&record, self.bits, &key):
                break
            found = self.find(&key)
            if found != NULL and found.count > MAX_ENTRIES:
                break
            if found != NULL and not found.written:
                start = p = room(&w, r.pos - all.pos)
                if p == NULL:
                    break
                size = record.pos + 2 - all.pos
                memcpy(p, all.base + all.pos, size)
                p += size
                count = u16(&record)
                made = 0
                for i in range(count):
                    place = record.pos
                    number = u16(&record)
                    skip(&record, 4)  # when the route came to the peer
                    number = self.route_of(found, numbers, number, u32(&record) if self.add_path else 0)
                    attributes = record
                    skip(&record, u16(&record))
                    attributes.end = record.pos
                    if record.failed:
                        break
                    if number == found.count:
                        continue
                    if found.routes[number].time != time or not is_same_route(&found.routes[number], attributes, is_same):
                        break
                    memcpy(p, all.base + place, record.pos - place)
                    p += record.pos - place
                    made += 1
                if record.failed or made != found.count or left(&record):
                    break
                found.written = True
                put_u32(start + 8, <uint32_t> (p - start - RECORD))
                put_u16(start + size - 2, made)
                wrote(&w, p)
            sequence = max(sequence, sequence_of(all) + 1)
            all.pos = r.pos
        return close_writer(&w), all.pos, sequence

    cdef uint32_t route_of(self, const Prefix* prefix, list numbers, uint32_t index, uint32_t path_id) except? 0xFFFFFFFF:
        """The place of the route of a peer among those of a prefix; their count if there is none."""
        cdef object known = numbers[index] if index < <uint32_t> len(numbers) else -1
        cdef int64_t number = known
        cdef size_t at
        if number < 0:
            return prefix.count
        at = self.place_of(prefix, <uint32_t> number, path_id)
        if at < prefix.count and prefix.routes[at].number == number and prefix.routes[at].path_id == path_id:
            return <uint32_t> at
        return prefix.count

    def records(self, list ranks not None, unsigned subtype, bytes head not None, uint32_t sequence):
        """(octets, sequence), some records at each step, and the number of the next one. What is marked is left out.

        ranks: the index of each peer by its number. head: what stands before a prefix.
        """
        cdef size_t start, stop, count
        order = self.order()
        count = len(order) // sizeof(uint32_t)
        for start in range(0, count, RECORDS):
            stop = min(start + RECORDS, count)
            octets, sequence = self.piece(order, start, stop, ranks, subtype, sequence)
            yield octets, sequence

    cdef bytes order(self):
        """The numbers of all prefixes by address and length."""
        cdef Ordered* ordered = <Ordered*> malloc((self.live + 1) * sizeof(Ordered))
        cdef bytes numbers
        cdef uint32_t* number
        cdef const Prefix* prefix
        cdef size_t i, count = 0
        if ordered == NULL:
            raise MemoryError
        try:
            for i in range(1, self.used):
                prefix = self.prefixes + i
                if prefix.count and not prefix.written:
                    ordered[count] = Ordered(prefix.high, prefix.low, <uint32_t> i, prefix.length)
                    count += 1
            qsort(ordered, count, sizeof(Ordered), by_address)
            numbers = PyBytes_FromStringAndSize(NULL, count * sizeof(uint32_t))
            number = <uint32_t*> PyBytes_AS_STRING(numbers)
            for i in range(count):
                number[i] = ordered[i].number
        finally:
            free(ordered)
        return numbers

    cdef tuple piece(
        self, bytes order, size_t start, size_t stop, list ranks, unsigned subtype, uint32_t sequence
    ):
        cdef const uint32_t* numbers = <const uint32_t*> PyBytes_AS_STRING(order)
        cdef const Prefix* prefix
        cdef Writer w
        cdef size_t i, first
        open_writer(&w, 256 * (stop - start) + 64)
        for i in range(start, stop):
            prefix = self.prefixes + numbers[i]
            self.rank_routes(prefix, ranks)
            for first in range(0, prefix.count, MAX_ENTRIES):
                if not self.put_record(&w, prefix, first, min(prefix.count - first, <size_t> MAX_ENTRIES), subtype, sequence):
                    break
                sequence += 1
        return close_writer(&w), sequence

    cdef int rank_routes(self, const Prefix* prefix, list ranks) except -1:
        """Fills `places` with the routes of a prefix, in the order of their peers."""
        cdef Place* places = self.places
        cdef size_t i
        if prefix.count > self.places_size:
            places = <Place*> realloc(places, 2 * prefix.count * sizeof(Place))
            if places == NULL:
                raise MemoryError
            self.places = places
            self.places_size = 2 * prefix.count
        for i in range(prefix.count):
            places[i].route = prefix.routes + i
            places[i].rank = ranks[prefix.routes[i].number]
            places[i].path_id = prefix.routes[i].path_id
        sort_places(places, prefix.count)
        return 0

    cdef bint put_record(
        self, Writer* w, const Prefix* prefix, size_t first, size_t count, unsigned subtype, uint32_t sequence
    ) noexcept:
        """A record of some of the routes in `places`; False if memory ran out."""
        cdef size_t before = 6 + (4 if self.add_path else 0), size = 4 + 17 + 2, i
        cdef uint32_t latest = 0
        cdef uint8_t* start
        cdef uint8_t* p
        cdef const Route* route
        for i in range(first, first + count):
            route = self.places[i].route
            size += before + attributes_size(route)
            latest = max(latest, route.time)
        start = room(w, RECORD + size)
        if start == NULL:
            return False
        p = put_prefix(put_u32(start + RECORD, sequence), prefix)
        p = put_u16(p, <unsigned> count)
        for i in range(first, first + count):
            route = self.places[i].route
            p = put_u32(put_u16(p, self.places[i].rank), route.time)
            if self.add_path:
                p = put_u32(p, route.path_id)
            memcpy(p, PyBytes_AS_STRING(<object> route.attributes), attributes_size(route))
            p += attributes_size(route)
        put_u32(put_u16(put_u16(put_u32(start, latest), TABLE_DUMP_V2), subtype), <uint32_t> (p - start - RECORD))
        wrote(w, p)
        return True


cdef bint is_same_route(const Route* route, Reader attributes, object is_same) except -1:
    """Whether a route has the attributes of an entry, which are read with their length before them."""
    cdef size_t size = left(&attributes)
    cdef const uint8_t* start = take(&attributes, size)
    if start == NULL:
        return False
    if attributes_size(route) == size and memcmp(PyBytes_AS_STRING(<object> route.attributes), start, size) == 0:
        return True
    return is_same(PyBytes_FromStringAndSize(<char*> start, size), <object> route.attributes)


cdef inline uint32_t sequence_of(Reader record) noexcept:
    skip(&record, RECORD)
    return u32(&record)


cdef inline Reader field_of(bytes nlri) noexcept:
    return reader(<const uint8_t*> PyBytes_AS_STRING(nlri), 0, PyBytes_GET_SIZE(nlri))


cdef inline uint32_t seconds_of(bytes time) noexcept:
    cdef Reader r = field_of(time)
    return u32(&r)


# ---------------------------------------------------------------------------------------------------------------------
# Blocks

cdef bytes big4(uint32_t number):
    cdef uint8_t octets[4]
    octets[0], octets[1], octets[2], octets[3] = number >> 24, number >> 16 & 255, number >> 8 & 255, number & 255
    return PyBytes_FromStringAndSize(<char*> octets, 4)


cdef size_t header_size(const Attribute* attribute):
    """Octets of an attribute's header, as it came."""
    return 4 if attribute.flags & 0x10 else 3


cdef bytes attributes_of(const Update* u, bint reach, bint drop_next_hop, uint8_t* scratch):
    """The attributes of an entry with their length before them; reach: with the next hop of MP_REACH_NLRI alone."""
    cdef uint8_t* p = scratch + 2
    cdef const Attribute* attribute
    cdef size_t size, head
    cdef uint32_t i
    for i in range(u.count):
        attribute = &u.attributes[i]
        if attribute.code == MP_UNREACH or attribute.code == NEXT_HOP and drop_next_hop:
            continue
        if attribute.code == MP_REACH:
            if reach:
                size = left(&u.reach.next_hop)
                p[0], p[1], p[2], p[3] = 0x80, MP_REACH, <uint8_t> (size + 1), <uint8_t> size
                memcpy(p + 4, u.reach.next_hop.base + u.reach.next_hop.pos, size)
                p += 4 + size
            continue
        head = header_size(attribute)
        size = head + left(&attribute.value)
        memcpy(p, attribute.value.base + attribute.value.pos - head, size)
        p += size
    size = p - scratch - 2
    scratch[0], scratch[1] = <uint8_t> (size >> 8), <uint8_t> size
    return PyBytes_FromStringAndSize(<char*> scratch, size + 2)


cdef Table table_of(list tables, unsigned afi, unsigned safi, bint add_path):
    """tables: of IPv4 unicast, IPv4 multicast, IPv6 unicast, IPv6 multicast, then of these with path identifiers."""
    return <Table?> tables[2 * (afi - 1) + safi - 1 + (4 if add_path else 0)]


cdef int withdraw(list tables, const Update* u, uint32_t number) except -1:
    if left(&u.withdrawn):
        table_of(tables, 1, 1, u.add_path).withdraw_field(u.withdrawn, number)
    if has(u, MP_UNREACH):
        table_of(tables, u.unreach.afi, u.unreach.safi, u.unreach.add_path).withdraw_field(u.unreach.nlri, number)
    return 0


cdef int announce(list tables, const Update* u, uint32_t number, uint32_t time, dict shared, uint8_t* scratch) except -1:
    cdef bytes attributes
    if has(u, MP_REACH):
        attributes = attributes_of(u, True, left(&u.nlri) > 0, scratch)
        table_of(tables, u.reach.afi, u.reach.safi, u.reach.add_path).announce_field(
            u.reach.nlri, number, time, shared.setdefault(attributes, attributes)
        )
    if left(&u.nlri):
        attributes = attributes_of(u, False, False, scratch)
        table_of(tables, 1, 1, u.add_path).announce_field(
            u.nlri, number, time, shared.setdefault(attributes, attributes)
        )
    return 0


def take_block(
    bytes octets not None, index not None, Py_ssize_t position, dict numbers not None, list peers not None,
    list tables not None, dict shared not None, bytes latest not None,
):
    """(position, latest): takes the messages of a block from `position` to before the first one declined, or the end.

    numbers, peers, shared, latest: as RibTable has them. tables: see table_of.
    """
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef size_t size = PyBytes_GET_SIZE(octets), header
    cdef Py_buffer view
    cdef Reader entries, message, peer
    cdef Entry entry
    cdef Update u
    cdef uint8_t scratch[70000]
    cdef bytes key = b""
    cdef int64_t seconds
    cdef uint32_t last = seconds_of(latest), number = 0
    PyObject_GetBuffer(index, &view, PyBUF_SIMPLE)
    try:
        entries = reader(<const uint8_t*> view.buf, <size_t> position * sizeof(Entry), view.len)
        while next_entry(&entries, &entry):
            message = message_of(base, size, &entry)
            seconds = entry.time // MICRO
            if message.failed or entry.peer == NO_PEER or not entry.flags & PEER_AS4 or entry.time < 0 or seconds >> 32:
                break
            if message.base[message.pos + 18] != UPDATE:
                position += 1
                continue
            if not entry.flags & AS4 or entry.flags & GUESS_AS:
                break
            peer = peer_of(base, size, &entry)
            if left(&peer) < 20:
                break
            header = 44 if peer.base[peer.pos + 11] == 2 else 20
            if left(&peer) < header or not locate(&u, message, entry.flags):
                break
            if <size_t> PyBytes_GET_SIZE(key) != header or memcmp(PyBytes_AS_STRING(key), peer.base + peer.pos, header):
                key = PyBytes_FromStringAndSize(<char*> (peer.base + peer.pos), header)
                known = numbers.get(key)
                if known is None:
                    known = numbers[key] = len(peers)
                    peers.append(key)
                number = known
            withdraw(tables, &u, number)
            announce(tables, &u, number, <uint32_t> seconds, shared, scratch)
            if left(&u.nlri) or has(&u, MP_REACH):
                last = max(last, <uint32_t> seconds)
            position += 1
    finally:
        PyBuffer_Release(&view)
    return position, big4(last)
