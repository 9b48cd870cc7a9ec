"""RIB entries to UPDATEs, by the rules of bgpipe.formats.mrt_bundle, which has the same class in Python."""

from cpython.bytearray cimport PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport Py_XDECREF
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memset

from .attributes cimport EXTENDED, MP_REACH, OPTIONAL
from .block cimport ADD_PATH, AS4, MESSAGE_HEADER, PEER_AS4, RIB, Entry
from .octets cimport (
    Reader, Writer, bytes_start, close_writer, left, open_writer, reader, room, skip, sub, take, u8, u16, u32, wrote
)


cdef enum:
    TABLE_DUMP = 12
    TABLE_DUMP_V2 = 13


cdef enum:
    UPDATE = 2
    ESTIMATE = 3800        # octets that a bundle may have by its estimate
    FIXED = 19 + 4 + 64    # what the estimate adds to attributes (without MP_REACH_NLRI) and prefixes
    MOST = 60000           # octets of attributes; Python looks whether more still fit into a message
    PEER_HEADER = 44       # octets of the longest
    MP_HEAD = 5 + 255      # octets of the longest MP_REACH_NLRI before its NLRI
    SEARCHED = 64          # peers among which TABLE_DUMP's are looked for here
    MAX_PEERS = 65536
    ENOUGH = 1 << 24       # octets of messages that wait
    MAX_RECORD = 1 << 24


cdef struct Route:
    uint16_t flags   # of its message's Entry
    Reader before    # the attributes in front of MP_REACH_NLRI: all, if there is none
    Reader mp        # MP_REACH_NLRI up to its NLRI; empty if the prefixes are the UPDATE's own NLRI field
    Reader after


cdef struct Bundle:
    bint pending
    uint16_t flags
    int64_t time
    size_t estimate  # octets of the message
    size_t before
    size_t mp
    size_t after
    Writer octets    # before, mp, after
    Writer nlri
    uint64_t block   # the number of the block that has the peer's header already, and where
    uint32_t header


cdef inline bint copy(Writer* w, Reader r) noexcept nogil:
    """Writes what `r` reads; False if memory ran out."""
    cdef size_t size = left(&r)
    cdef uint8_t* p = room(w, size)
    if p == NULL:
        return False
    memcpy(p, take(&r, size), size)
    wrote(w, p + size)
    return True


cdef inline Reader written(const Writer* w, size_t start, size_t size) noexcept nogil:
    """Reads `size` of the octets written, from `start` on."""
    if w.octets == NULL or start + size > w.used:
        return reader(NULL, 1, 0)
    return reader(bytes_start(w.octets), start, start + size)


cdef inline bint same(Reader a, Reader b) noexcept nogil:
    """Whether both read the same octets."""
    cdef size_t size = left(&a)
    return left(&b) == size and memcmp(take(&a, size), take(&b, size), size) == 0


cdef inline bint same_route(const Bundle* bundle, const Route* route) noexcept nogil:
    return (
        bundle.flags == route.flags
        and same(written(&bundle.octets, 0, bundle.before), route.before)
        and same(written(&bundle.octets, bundle.before, bundle.mp), route.mp)
        and same(written(&bundle.octets, bundle.before + bundle.mp, bundle.after), route.after)
    )


cdef inline Reader next_hop(Reader value) noexcept nogil:
    """That of an MP_REACH_NLRI in the short form of RFC 6396 section 4.3.4, or whole; a failed reader declines."""
    cdef Reader r = value
    cdef size_t size = u8(&r)
    if size != left(&r):
        if size != 0:
            return reader(value.base, 1, 0)
        skip(&r, 2)
        size = u8(&r)
    return sub(&r, size)


cdef inline Reader mp_head(uint8_t* mp, unsigned afi, unsigned safi, Reader hop) noexcept nogil:
    """MP_REACH_NLRI up to its NLRI (RFC 4760 section 3), in the MP_HEAD octets of `mp`; hop: at most 255 octets."""
    cdef size_t size = min(left(&hop), <size_t> 255)
    mp[0] = 0
    mp[1] = afi
    mp[2] = safi
    mp[3] = size
    memcpy(mp + 4, take(&hop, size), size)
    mp[4 + size] = 0
    return reader(mp, 0, 5 + size)


cdef inline bint read_route(Route* route, Reader attributes, unsigned afi, unsigned safi, uint8_t* mp) noexcept nogil:
    """The route of an entry's attributes, but for its flags; False declines. mp: MP_HEAD octets for `route.mp`."""
    cdef Reader r = attributes
    cdef Reader value
    cdef Reader hop = reader(mp, 0, 0)
    cdef size_t start = 0, before = 0, after = 0, size
    cdef unsigned flags, code
    cdef bint has_mp = False
    if left(&r) > MOST:
        return False
    while left(&r):
        start = r.pos
        flags = u8(&r)
        code = u8(&r)
        value = sub(&r, u16(&r) if flags & EXTENDED else u8(&r))
        if code == MP_REACH:
            if has_mp:
                return False
            has_mp = True
            before = start
            after = r.pos
            hop = next_hop(value)
    if r.failed:
        return False
    if not has_mp:
        route.before = attributes
        route.mp = route.after = reader(mp, 0, 0)
        return afi == 1 and safi == 1
    if hop.failed or left(&hop) == 0 or afi == 1 and safi == 1 and left(&hop) == 4:
        return False
    route.before = reader(attributes.base, attributes.pos, before)
    route.after = reader(attributes.base, after, attributes.end)
    route.mp = mp_head(mp, afi, safi, hop)
    return True


cdef inline Reader read_prefix(Reader* r, unsigned afi) noexcept nogil:
    """The prefix of a RIB record, which is written like NLRI; a failed reader if it is too long."""
    cdef Reader prefix = r[0]
    cdef unsigned bits = u8(r)
    skip(r, (bits + 7) >> 3)
    if r.failed or bits > (32 if afi == 1 else 128):
        return reader(r.base, 1, 0)
    prefix.end = r.pos
    return prefix


cdef inline Reader whole(bytes octets) noexcept:
    return reader(<const uint8_t*> PyBytes_AS_STRING(octets), 0, PyBytes_GET_SIZE(octets))


cdef class Bundler:
    """Routes, peer by peer, to UPDATEs: in by `feed` and `add`, out by `take`."""

    cdef dict numbers     # of peers, by their header
    cdef Bundle* bundles  # one for each peer
    cdef size_t count
    cdef size_t capacity  # bundles that there is memory for
    cdef size_t table     # so many of them are of the PEER_INDEX_TABLE
    cdef Writer headers   # per-peer headers, each in PEER_HEADER octets
    cdef Writer octets
    cdef Writer entries
    cdef uint64_t block
    cdef bint entries_alone  # each entry is a message of its own

    def __cinit__(self, bint entries=False):
        self.entries_alone = entries
        self.numbers = {}
        self.block = 1
        open_writer(&self.headers, 64 * PEER_HEADER)
        open_writer(&self.octets, 1 << 12)
        open_writer(&self.entries, 64 * sizeof(Entry))

    def __dealloc__(self):
        self.forget()
        Py_XDECREF(self.headers.octets)
        Py_XDECREF(self.octets.octets)
        Py_XDECREF(self.entries.octets)

    cdef bint forget(self) noexcept:
        """Leaves no peer."""
        cdef size_t i
        for i in range(self.count):
            Py_XDECREF(self.bundles[i].octets.octets)
            Py_XDECREF(self.bundles[i].nlri.octets)
        free(self.bundles)
        self.bundles = NULL
        self.count = self.capacity = self.table = 0
        self.headers.used = 0
        return True

    cdef bint introduce(self, bytes peer) except False:
        """The peer with the next number."""
        cdef size_t size = min(PyBytes_GET_SIZE(peer), <Py_ssize_t> PEER_HEADER)
        cdef size_t capacity = max(self.capacity, <size_t> 32)
        cdef Bundle* bundle = self.bundles
        cdef uint8_t* p = room(&self.headers, PEER_HEADER)
        if self.count == self.capacity:
            capacity += capacity
            bundle = <Bundle*> realloc(bundle, capacity * sizeof(Bundle))
            if bundle != NULL:
                self.bundles = bundle
                self.capacity = capacity
        if bundle == NULL or p == NULL:
            raise MemoryError
        memset(p, 0, PEER_HEADER)
        memcpy(p, PyBytes_AS_STRING(peer), size)
        wrote(&self.headers, p + PEER_HEADER)
        bundle += self.count
        memset(bundle, 0, sizeof(Bundle))
        self.count += 1
        open_writer(&bundle.octets, 128)
        open_writer(&bundle.nlri, 32)
        return True

    def set_peers(self, list peers not None):
        """Sends out what is pending, and starts anew with the peers of a PEER_INDEX_TABLE.

        peers: per-peer headers with 4-octet AS numbers, see bgpipe.wire.block.
        """
        self.flush()
        self.forget()
        for peer in peers:
            self.introduce(peer)
        self.table = self.count
        self.numbers = {peer: number for number, peer in reversed(list(enumerate(peers)))}

    def number(self, bytes peer not None):
        """The number of a peer that no table has introduced (TABLE_DUMP). Beyond 65536 all start anew."""
        number = self.numbers.get(peer)
        if number is None:
            if self.count >= MAX_PEERS:
                self.set_peers([])
            number = self.numbers[peer] = self.count
            self.introduce(peer)
        return number

    def add(self, size_t number, int64_t time, route not None, bytes nlri not None):
        """One entry: its peer's number, microseconds since 1970, its mrt_bundle.RouteAttributes, and its prefix as NLRI.

        Raises ValueError if there is no such peer, or no message that holds the route.
        """
        cdef bytes head = route.head
        cdef bytes tail = route.tail
        cdef bytes next_hop = route.next_hop or b""
        cdef uint8_t mp[MP_HEAD]
        cdef Route own
        if number >= self.count:
            raise ValueError(f"the PEER_INDEX_TABLE has no peer with index {number}")
        if FIXED + len(head) + len(tail) + len(next_hop) + len(nlri) > 65535:
            raise ValueError("the route does not fit in one message")
        own.flags = (AS4 if route.context.as4 else 0) | (ADD_PATH if route.family in route.context.add_path else 0)
        own.before = whole(head)
        own.after = whole(tail)
        own.mp = reader(mp, 0, 0)
        if route.next_hop is not None:
            own.mp = mp_head(mp, route.family.afi, route.family.safi, whole(next_hop))
        if not self.join(number, time, &own, whole(nlri)):
            raise MemoryError

    def feed(self, bytes octets not None, Py_ssize_t start):
        """(end, records): takes the run of RIB records from `start` on, to `end`.

        There `octets` end, or the next record is cut short, odd in any way, or not of a RIB; or much waits for `take`.
        """
        cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
        cdef size_t size = PyBytes_GET_SIZE(octets)
        cdef size_t end, records = 0
        cdef Reader r
        if start < 0:
            raise ValueError("start is before the first octet")
        r = reader(base, start, size)
        end = r.pos
        with nogil:
            while left(&r) and self.octets.used < ENOUGH and self.record(&r):
                records += 1
                end = r.pos
        if self.octets.octets == NULL or self.entries.octets == NULL:
            raise MemoryError
        return end, records

    def flush(self):
        """Makes messages of all that is pending, in the order of the peers' numbers."""
        cdef size_t i
        for i in range(self.count):
            if self.bundles[i].pending and not self.send(i):
                raise MemoryError

    def take(self):
        """(octets, index): a block of the messages that were made since the last time."""
        cdef size_t size = self.octets.used
        cdef bytes entries = close_writer(&self.entries)
        octets = close_writer(&self.octets)
        open_writer(&self.octets, size + (size >> 3) + 4096)
        open_writer(&self.entries, PyBytes_GET_SIZE(entries) + 64 * sizeof(Entry))
        self.block += 1
        return octets, PyByteArray_FromStringAndSize(PyBytes_AS_STRING(entries), PyBytes_GET_SIZE(entries))

    cdef bint record(self, Reader* r) noexcept nogil:
        """One record, whole or not at all; False declines."""
        cdef int64_t time = <int64_t> u32(r) * 1000000
        cdef unsigned kind = u16(r)
        cdef unsigned subtype = u16(r)
        cdef size_t size = u32(r)
        cdef Reader body = sub(r, size)
        if body.failed or size > MAX_RECORD:
            return False
        if kind == TABLE_DUMP_V2:
            return self.table_dump_v2(body, subtype, time)
        return kind == TABLE_DUMP and self.table_dump(body, subtype, time)

    cdef bint table_dump(self, Reader r, unsigned afi, int64_t time) noexcept nogil:
        """RFC 6396 section 4.2."""
        cdef unsigned width = 4 if afi == 1 else 16
        cdef uint8_t peer[PEER_HEADER]
        cdef uint8_t nlri[17]
        cdef Reader prefix, address, system, attributes
        cdef unsigned bits, size
        cdef size_t number
        if afi != 1 and afi != 2:
            return False
        skip(&r, 4)  # the view and sequence numbers
        prefix = sub(&r, width)
        bits = u8(&r)
        skip(&r, 5)  # the status and when the route came to the peer
        address = sub(&r, width)
        system = sub(&r, 2)
        attributes = sub(&r, u16(&r))
        if r.failed or left(&r) or bits > width * 8:
            return False
        memset(peer, 0, PEER_HEADER)
        memcpy(peer + 2, take(&system, 2), 2)
        peer[11] = afi
        memcpy(peer + 12, take(&address, width), width)
        for number in range(min(self.count, <size_t> SEARCHED)):
            if same(written(&self.headers, number * PEER_HEADER, PEER_HEADER), reader(peer, 0, PEER_HEADER)):
                break
        else:
            return False
        size = (bits + 7) >> 3
        nlri[0] = bits
        memcpy(nlri + 1, take(&prefix, size), size)
        return self.entry(number, time, 0, afi, 1, attributes, reader(nlri, 0, 1 + size))

    cdef bint table_dump_v2(self, Reader r, unsigned subtype, int64_t time) noexcept nogil:
        """RFC 6396 section 4.3.2, RFC 8050 section 4.1."""
        cdef bint add_path = subtype >= 8
        cdef unsigned family = subtype - (8 if add_path else 2)
        cdef unsigned afi = 1 + (family >> 1)
        cdef unsigned safi = 1 + (family & 1)
        cdef unsigned flags = AS4 | (ADD_PATH if add_path else 0)
        cdef unsigned count, i
        cdef uint8_t nlri[21]
        cdef Reader prefix, path_id, attributes
        cdef size_t size, number
        if subtype < 2 or family > 3:
            return False
        skip(&r, 4)  # the sequence number
        prefix = read_prefix(&r, afi)
        count = u16(&r)
        if r.failed or prefix.failed or count > 1 and not self.sound(r, count, afi, safi, add_path):
            return False
        size = left(&prefix)
        memcpy(nlri + 4, take(&prefix, size), size)
        for i in range(count):
            number = u16(&r)
            skip(&r, 4)  # when the route came to the peer
            if add_path:
                path_id = sub(&r, 4)
                if r.failed:
                    return False
                memcpy(nlri, take(&path_id, 4), 4)
            attributes = sub(&r, u16(&r))
            if number >= self.table or r.failed or i == count - 1 and left(&r):
                return False
            if not self.entry(number, time, flags, afi, safi, attributes, reader(nlri, 0 if add_path else 4, 4 + size)):
                return False
        return left(&r) == 0

    cdef bint sound(self, Reader r, unsigned count, unsigned afi, unsigned safi, bint add_path) noexcept nogil:
        """Whether all entries of a record will be taken: none may be before it is sure that the last one will."""
        cdef uint8_t mp[MP_HEAD]
        cdef Route route
        cdef Reader attributes
        cdef unsigned i
        for i in range(count):
            if u16(&r) >= self.table:
                return False
            skip(&r, 8 if add_path else 4)
            attributes = sub(&r, u16(&r))
            if r.failed or not read_route(&route, attributes, afi, safi, mp):
                return False
        return left(&r) == 0

    cdef bint entry(
        self, size_t number, int64_t time, unsigned flags, unsigned afi, unsigned safi, Reader attributes, Reader nlri
    ) noexcept nogil:
        """One entry; False declines."""
        cdef uint8_t mp[MP_HEAD]
        cdef Route route
        route.flags = flags
        return read_route(&route, attributes, afi, safi, mp) and self.join(number, time, &route, nlri)

    cdef bint join(self, size_t number, int64_t time, const Route* route, Reader nlri) noexcept nogil:
        """Bundler.add of bgpipe.formats.mrt_bundle; False if memory ran out."""
        cdef Bundle* bundle = &self.bundles[number]
        if bundle.pending:
            if bundle.time == time and bundle.estimate + left(&nlri) <= ESTIMATE and same_route(bundle, route):
                bundle.estimate += left(&nlri)
                return copy(&bundle.nlri, nlri)
            if not self.send(number):
                return False
        bundle.octets.used = bundle.nlri.used = 0
        if not (
            copy(&bundle.octets, route.before)
            and copy(&bundle.octets, route.mp)
            and copy(&bundle.octets, route.after)
            and copy(&bundle.nlri, nlri)
        ):
            return False
        bundle.pending = True
        bundle.flags = route.flags
        bundle.time = time
        bundle.estimate = FIXED + left(&route.before) + left(&route.after) + left(&nlri)
        bundle.before = left(&route.before)
        bundle.mp = left(&route.mp)
        bundle.after = left(&route.after)
        return not self.entries_alone or self.send(number)

    cdef bint send(self, size_t number) noexcept nogil:
        """Makes a message of a pending bundle; False if memory ran out."""
        cdef Bundle* bundle = &self.bundles[number]
        cdef Reader before = written(&bundle.octets, 0, bundle.before)
        cdef Reader mp = written(&bundle.octets, bundle.before, bundle.mp)
        cdef Reader after = written(&bundle.octets, bundle.before + bundle.mp, bundle.after)
        cdef Reader nlri = written(&bundle.nlri, 0, bundle.nlri.used)
        cdef size_t value = bundle.mp + bundle.nlri.used
        cdef size_t attributes = bundle.before + bundle.after
        cdef size_t size
        cdef Entry entry
        cdef uint8_t* p
        bundle.pending = False
        if bundle.mp:
            attributes += value + (4 if value > 255 else 3)
        size = MESSAGE_HEADER + 4 + attributes + (0 if bundle.mp else bundle.nlri.used)
        if not self.send_header(number):
            return False
        entry.seq = 0
        entry.time = bundle.time
        entry.offset = <uint32_t> self.octets.used
        entry.peer = bundle.header
        entry.length = <uint16_t> size
        entry.flags = bundle.flags | RIB | (PEER_AS4 if number < self.table else 0)
        entry.tags = 0
        p = room(&self.octets, MESSAGE_HEADER + 4)
        if p == NULL:
            return False
        memset(p, 0xFF, 16)
        p[16] = size >> 8
        p[17] = size & 255
        p[18] = UPDATE
        p[19] = p[20] = 0
        p[21] = attributes >> 8
        p[22] = attributes & 255
        wrote(&self.octets, p + 23)
        if not copy(&self.octets, before):
            return False
        if bundle.mp:
            p = room(&self.octets, 4)
            if p == NULL:
                return False
            p[0] = OPTIONAL
            p[1] = MP_REACH
            p[2] = value
            if value > 255:
                p[0] = OPTIONAL | EXTENDED
                p[2] = value >> 8
                p[3] = value & 255
            wrote(&self.octets, p + (4 if value > 255 else 3))
            if not (copy(&self.octets, mp) and copy(&self.octets, nlri)):
                return False
        if not copy(&self.octets, after):
            return False
        if not bundle.mp and not copy(&self.octets, nlri):
            return False
        return copy(&self.entries, reader(<const uint8_t*> &entry, 0, sizeof(Entry)))

    cdef bint send_header(self, size_t number) noexcept nogil:
        """Puts a peer's header into the block, once; False if memory ran out.

        Its AS numbers have 4 octets if the peer is of a PEER_INDEX_TABLE, 2 if it is of TABLE_DUMP.
        """
        cdef Bundle* bundle = &self.bundles[number]
        cdef Reader header = written(&self.headers, number * PEER_HEADER, PEER_HEADER)
        cdef Reader systems = header
        if bundle.block == self.block:
            return True
        bundle.block = self.block
        bundle.header = <uint32_t> self.octets.used
        if header.base[header.pos + 11] == 1:
            header.end = header.pos + 20
        if number >= self.table:
            skip(&systems, 2)
            skip(&header, 6)
            return copy(&self.octets, sub(&systems, 2)) and copy(&self.octets, header)
        return copy(&self.octets, header)
