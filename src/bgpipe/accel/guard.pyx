"""The stage `guard` over blocks: which UPDATEs certainly pass all its checks, and tables of prefixes and AS numbers.

Tables of prefixes are open-addressing hash tables. Beside them stands, for each value of some leading bits of an
address, which lengths there are: so a route costs a probe only where there may be something.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from .adj_rib_in cimport VERDICT_SHIFT, Route
from .attributes cimport AS4_PATH, AS_PATH, COMMUNITY, EXT_COMMUNITY, LARGE_COMMUNITY, MP_REACH, NEXT_HOP
from .block cimport AS4, GUESS_AS, MESSAGE_HEADER, OWN_PEER, PEER_AS4, Entry, message_of, next_entry, peer_of
from .judge cimport Judge
from .octets cimport Reader, left, reader, skip, take, u8, u16, u32
from .update cimport AS_SEQUENCE, Update, has, locate, plausible, value_of

from os import urandom


cdef enum:
    UPDATE = 2
    SLOTS = 8192          # values of the leading bits
    MAX_HOPS = 4096       # next hops that are remembered as good; a power of two
    HOP_OCTETS = 32
    MAX_EXEMPT = 4
    BLACKHOLE = 0xFFFF029A
    GRACEFUL_SHUTDOWN = 0xFFFF0000


cdef extern from *:
    """
    static inline int lowest_bit(unsigned long long word) { return __builtin_ctzll(word); }
    """
    int lowest_bit(unsigned long long word) noexcept nogil


cdef inline uint64_t mix(uint64_t hash, uint64_t word) noexcept nogil:
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u
    hash ^= hash >> 32
    hash *= 0xD6E8FEB86659FD93u
    return hash ^ hash >> 29


# ---------------------------------------------------------------------------------------------------------------------
# Prefixes

cdef struct Ranged4:
    uint32_t address
    uint8_t length
    uint8_t shortest
    uint8_t longest
    uint8_t used


cdef struct Ranged6:
    uint64_t high
    uint64_t low
    uint8_t length
    uint8_t shortest
    uint8_t longest
    uint8_t used


cdef inline uint32_t masked4(uint32_t address, unsigned length) noexcept nogil:
    return address & <uint32_t> (0xFFFFFFFFu << (32 - length)) if length else 0


cdef inline uint64_t masked_half(uint64_t half, int length) noexcept nogil:
    """The first `length` bits of 64; all for 64 and more, none for 0 and less."""
    return 0 if length <= 0 else half if length >= 64 else half & (~<uint64_t> 0 << (64 - length))


cdef inline unsigned slot4(uint32_t address) noexcept nogil:
    return address >> 19


cdef inline unsigned slot6(uint64_t high) noexcept nogil:
    """Without the first three bits, which are the same in all of the Internet (2000::/3)."""
    return <unsigned> (high >> 48) & (SLOTS - 1)


cdef class PrefixTable:
    """Prefixes with the lengths of routes that they mean: see bgpipe.routes.prefix_lists."""

    cdef Ranged4* four
    cdef Ranged6* six
    cdef size_t mask4, mask6
    cdef uint64_t seed
    cdef uint64_t* any4      # bit n: a prefix of length n may cover an address with these leading bits
    cdef uint64_t* ranged4   # the same for prefixes that mean longer routes too
    cdef uint64_t* any6      # two words each: bit n, and bit 127 for 127 and 128
    cdef uint64_t* ranged6

    def __cinit__(self):
        self.four = NULL
        self.six = NULL
        self.any4 = self.ranged4 = self.any6 = self.ranged6 = NULL

    def __init__(self, ipv4 not None, ipv6 not None):
        """ipv4: an array of numbers as PrefixList has them. ipv6: a sequence of such numbers."""
        cdef Py_buffer view
        cdef size_t count, i
        cdef const uint64_t* numbers
        self.seed = int.from_bytes(urandom(8), "little")
        self.any4 = <uint64_t*> calloc(SLOTS * 6, sizeof(uint64_t))
        if self.any4 == NULL:
            raise MemoryError
        self.ranged4 = self.any4 + SLOTS
        self.any6 = self.any4 + 2 * SLOTS
        self.ranged6 = self.any4 + 4 * SLOTS
        PyObject_GetBuffer(ipv4, &view, PyBUF_SIMPLE)
        try:
            numbers = <const uint64_t*> view.buf
            count = view.len // 8
            self.mask4 = slots_for(count) - 1
            self.mask6 = slots_for(len(ipv6)) - 1
            self.four = <Ranged4*> calloc(self.mask4 + 1, sizeof(Ranged4))
            self.six = <Ranged6*> calloc(self.mask6 + 1, sizeof(Ranged6))
            if self.four == NULL or self.six == NULL:
                raise MemoryError
            with nogil:
                for i in range(count):
                    self.add4(numbers[i])
        finally:
            PyBuffer_Release(&view)
        for number in ipv6:
            self.add6(number >> 88, number >> 24 & 0xFFFFFFFFFFFFFFFF, number & 0xFFFFFF)

    def __dealloc__(self):
        free(self.four)
        free(self.six)
        free(self.any4)

    cdef void add4(self, uint64_t number) noexcept nogil:
        cdef uint32_t address = <uint32_t> (number >> 24)
        cdef unsigned length = (number >> 16) & 0xFF, first, last
        cdef size_t at = mix(mix(self.seed, address), length) & self.mask4
        cdef Ranged4* slot
        while self.four[at].used:
            at = (at + 1) & self.mask4
        slot = self.four + at
        slot.address = address
        slot.length = <uint8_t> length
        slot.shortest = (number >> 8) & 0xFF
        slot.longest = number & 0xFF
        slot.used = 1
        first = slot4(address)
        last = first if length >= 13 else first + (1 << (13 - length)) - 1
        while first <= last:
            self.any4[first] |= <uint64_t> 1 << length
            if slot.longest > length:
                self.ranged4[first] |= <uint64_t> 1 << length
            first += 1

    cdef void add6(self, uint64_t high, uint64_t low, unsigned rest) noexcept nogil:
        cdef unsigned length = rest >> 16, bit = min(length, 127), first, last, slot_number
        cdef size_t at = mix(mix(mix(self.seed, high), low), length) & self.mask6
        cdef Ranged6* slot
        while self.six[at].used:
            at = (at + 1) & self.mask6
        slot = self.six + at
        slot.high = high
        slot.low = low
        slot.length = <uint8_t> length
        slot.shortest = (rest >> 8) & 0xFF
        slot.longest = rest & 0xFF
        slot.used = 1
        first = <unsigned> (high >> 48)
        last = first if length >= 16 else first + (1 << (16 - length)) - 1
        while first <= last:
            slot_number = (first & (SLOTS - 1)) * 2 + (bit >> 6)
            self.any6[slot_number] |= <uint64_t> 1 << (bit & 63)
            if slot.longest > length:
                self.ranged6[slot_number] |= <uint64_t> 1 << (bit & 63)
            first += 1

    cdef inline bint probe4(self, uint32_t address, unsigned length, unsigned wanted) noexcept nogil:
        """Whether there is a prefix of this length that means routes of the length `wanted`; any route for 255."""
        cdef uint32_t key = masked4(address, length)
        cdef size_t at = mix(mix(self.seed, key), length) & self.mask4
        cdef const Ranged4* slot
        while self.four[at].used:
            slot = self.four + at
            if slot.address == key and slot.length == length:
                if wanted == 255 or slot.shortest <= wanted <= slot.longest:
                    return True
            at = (at + 1) & self.mask4
        return False

    cdef inline bint probe6(self, uint64_t high, uint64_t low, unsigned length, unsigned wanted) noexcept nogil:
        cdef uint64_t key_high = masked_half(high, <int> length), key_low = masked_half(low, <int> length - 64)
        cdef size_t at = mix(mix(mix(self.seed, key_high), key_low), length) & self.mask6
        cdef const Ranged6* slot
        while self.six[at].used:
            slot = self.six + at
            if slot.high == key_high and slot.low == key_low and slot.length == length:
                if wanted == 255 or slot.shortest <= wanted <= slot.longest:
                    return True
            at = (at + 1) & self.mask6
        return False

    cdef inline bint covers4(self, uint32_t address, unsigned length) noexcept nogil:
        cdef uint64_t lengths = self.any4[slot4(address)] & ((<uint64_t> 2 << length) - 1)
        while lengths:
            if self.probe4(address, lowest_bit(lengths), 255):
                return True
            lengths &= lengths - 1
        return False

    cdef inline bint matches4(self, uint32_t address, unsigned length) noexcept nogil:
        cdef unsigned slot = slot4(address)
        cdef uint64_t own = <uint64_t> 1 << length
        cdef uint64_t lengths = self.ranged4[slot] & (own - 1) | self.any4[slot] & own
        while lengths:
            if self.probe4(address, lowest_bit(lengths), length):
                return True
            lengths &= lengths - 1
        return False

    cdef inline bint find6(self, const uint64_t* words, uint64_t high, uint64_t low, unsigned length,
                           unsigned wanted) noexcept nogil:
        """The same for IPv6: any prefix that is not longer than the route, of the lengths in two words."""
        cdef uint64_t lengths
        cdef unsigned word, found
        for word in range(2):
            lengths = words[word]
            while lengths:
                found = word * 64 + lowest_bit(lengths)
                if found > length:
                    return False
                if self.probe6(high, low, found, wanted):
                    return True
                if found == 127 and length == 128 and self.probe6(high, low, 128, wanted):
                    return True
                lengths &= lengths - 1
        return False

    cdef inline bint covers6(self, uint64_t high, uint64_t low, unsigned length) noexcept nogil:
        return self.find6(self.any6 + 2 * slot6(high), high, low, length, 255)

    cdef inline bint matches6(self, uint64_t high, uint64_t low, unsigned length) noexcept nogil:
        return (
            (self.any6[2 * slot6(high) + (min(length, 127) >> 6)] >> (min(length, 127) & 63)) & 1
            and self.probe6(high, low, length, length)
            or self.find6(self.ranged6 + 2 * slot6(high), high, low, length, length)
        )

    def covers(self, unsigned afi, address, unsigned length) -> bool:
        if afi == 1:
            return self.covers4(address, length)
        return self.covers6(address >> 64, address & 0xFFFFFFFFFFFFFFFF, length)

    def matches(self, unsigned afi, address, unsigned length) -> bool:
        if afi == 1:
            return self.matches4(address, length)
        return self.matches6(address >> 64, address & 0xFFFFFFFFFFFFFFFF, length)


cdef inline size_t slots_for(size_t count) noexcept nogil:
    """Slots of a table that is at most half full."""
    cdef size_t size = 16
    while size < count * 2:
        size *= 2
    return size


# ---------------------------------------------------------------------------------------------------------------------
# AS numbers

cdef class AsnTable:
    """Ranges of AS numbers, in ascending order."""

    cdef uint32_t* starts
    cdef uint32_t* ends
    cdef size_t count

    def __cinit__(self):
        self.starts = NULL

    def __init__(self, ranges not None):
        cdef size_t i
        self.count = len(ranges)
        self.starts = <uint32_t*> malloc((2 * self.count + 1) * sizeof(uint32_t))
        if self.starts == NULL:
            raise MemoryError
        self.ends = self.starts + self.count
        for i, (low, high) in enumerate(ranges):
            self.starts[i] = low
            self.ends[i] = high

    def __dealloc__(self):
        free(self.starts)

    cdef inline bint has(self, uint32_t asn) noexcept nogil:
        cdef size_t low = 0, high = self.count, middle
        while low < high:
            middle = (low + high) >> 1
            if self.starts[middle] <= asn:
                low = middle + 1
            else:
                high = middle
        return low > 0 and asn <= self.ends[low - 1]

    def __contains__(self, asn):
        return self.has(asn)


# ---------------------------------------------------------------------------------------------------------------------
# The filter

cdef struct Hop:
    uint8_t size  # 0: free
    uint8_t octets[HOP_OCTETS]


cdef class Filter:
    """What `guard` asks of an UPDATE, without exceptions: who passes here is not looked at again.

    None and 0 ask nothing. bogons, own: no route may be inside. prefixes: all must match. shortest, longest: lengths of
    IPv4 and IPv6 routes. origins: the last AS must be one of these. bogon_as: no AS may be, but the sender and
    `exempt`. locked: only as the first AS. first_as: the first AS must be the sender; unknown senders pass. attributes,
    needed: bit n: attribute n may be there, or must be. scrubbed: for standard, extended and large communities the
    first parts that must not be there. shutdown, blackhole: whether these communities must not be there. nothing:
    whether no UPDATE that announces a route passes.
    """

    cdef PrefixTable bogons, own, prefixes
    cdef AsnTable origins, bogon_as, locked, scrubbed, scrubbed_extended, scrubbed_large
    cdef unsigned shortest4, longest4, shortest6, longest6, max_path, max_communities, exempts
    cdef bint no_default, first_as, hops, shutdown, blackhole, nothing
    cdef uint64_t attributes, needed
    cdef uint32_t exempt[MAX_EXEMPT]
    cdef public long long sender   # the AS of the peer; 0: not known; -1: as the per-peer header says
    cdef Hop good[MAX_HOPS]
    cdef size_t good_count

    def __init__(self, *, PrefixTable bogons, PrefixTable own, PrefixTable prefixes, AsnTable origins,
                 AsnTable bogon_as, AsnTable locked, scrubbed, lengths, unsigned max_path,
                 unsigned max_communities, bint no_default, bint first_as, bint hops, bint shutdown, bint blackhole,
                 bint nothing, uint64_t attributes, uint64_t needed):
        self.bogons, self.own, self.prefixes = bogons, own, prefixes
        self.origins, self.bogon_as, self.locked = origins, bogon_as, locked
        self.scrubbed, self.scrubbed_extended, self.scrubbed_large = scrubbed
        self.shortest4, self.longest4, self.shortest6, self.longest6 = lengths
        self.max_path, self.max_communities = max_path, max_communities
        self.no_default, self.first_as, self.hops = no_default, first_as, hops
        self.shutdown, self.blackhole, self.nothing = shutdown, blackhole, nothing
        self.attributes, self.needed = attributes, needed
        self.sender = -1
        self.exempts = 0
        self.forget()

    def exempt_from_bogons(self, ases) -> None:
        """These AS numbers, and that of the sender, are no bogons; at most four."""
        self.exempts = 0
        for asn in ases[:MAX_EXEMPT]:
            self.exempt[self.exempts] = asn
            self.exempts += 1

    def learn(self, bytes hop not None) -> None:
        """A next hop that has passed."""
        cdef size_t size = PyBytes_GET_SIZE(hop)
        cdef Hop* slot
        if size == 0 or size > HOP_OCTETS or self.good_count * 2 >= MAX_HOPS:
            return
        slot = self.hop_at(<const uint8_t*> PyBytes_AS_STRING(hop), size)
        if slot.size == 0:
            slot.size = <uint8_t> size
            memcpy(slot.octets, PyBytes_AS_STRING(hop), size)
            self.good_count += 1

    def forget(self) -> None:
        """Next hops are to be looked at again."""
        cdef size_t i
        for i in range(MAX_HOPS):
            self.good[i].size = 0
        self.good_count = 0

    cdef inline Hop* hop_at(self, const uint8_t* octets, size_t size) noexcept nogil:
        """The slot of a next hop, or the free one that is for it. There always is a free one."""
        cdef uint64_t hash = size
        cdef size_t i
        for i in range(size):
            hash = hash * 0x100000001B3u ^ octets[i]
        i = mix(hash, size) & (MAX_HOPS - 1)
        while self.good[i].size != 0 and (
            self.good[i].size != size or memcmp(self.good[i].octets, octets, size) != 0
        ):
            i = (i + 1) & (MAX_HOPS - 1)
        return &self.good[i]

    cdef inline bint good_hop(self, Reader hop) noexcept nogil:
        cdef size_t size = left(&hop)
        return size <= HOP_OCTETS and self.hop_at(hop.base + hop.pos, size).size != 0

    cdef inline bint is_bogon(self, uint32_t asn, uint32_t sender) noexcept nogil:
        cdef unsigned i
        if not self.bogon_as.has(asn) or (asn == sender and asn != 0):
            return False
        for i in range(self.exempts):
            if self.exempt[i] == asn:
                return False
        return True

    cdef bint path_passes(self, Reader path, unsigned width, uint32_t sender) noexcept nogil:
        cdef unsigned kind, count, i, total = 0
        cdef uint32_t asn = 0, first = 0, last = 0
        while left(&path):
            kind = u8(&path)
            count = u8(&path)
            if kind != AS_SEQUENCE:
                return False
            for i in range(count):
                asn = u32(&path) if width == 4 else u16(&path)
                if total == 0:
                    first = asn
                total += 1
                if asn == last:
                    continue
                last = asn
                if self.bogon_as is not None and self.is_bogon(asn, sender):
                    return False
                if self.locked is not None and asn != first and self.locked.has(asn):
                    return False
        if total > self.max_path or (self.first_as and sender != 0 and (total == 0 or first != sender)):
            return False
        if self.locked is not None and total and first != sender and self.locked.has(first):
            return False
        return self.origins is None or total != 0 and self.origins.has(asn)

    cdef bint communities_pass(self, const Update* update) noexcept nogil:
        cdef Reader values
        cdef uint32_t value
        cdef unsigned count = 0, kind
        if has(update, COMMUNITY):
            values = value_of(update, COMMUNITY)
            while left(&values):
                value = u32(&values)
                count += 1
                if value >> 16 == 0xFFFF:
                    if self.shutdown and value == GRACEFUL_SHUTDOWN or self.blackhole and value == BLACKHOLE:
                        return False
                if self.scrubbed is not None and self.scrubbed.has(value >> 16):
                    return False
        if has(update, EXT_COMMUNITY):
            values = value_of(update, EXT_COMMUNITY)
            while left(&values):
                kind = u16(&values)
                count += 1
                value = u16(&values) if kind & 0x3F00 == 0 else u32(&values)
                skip(&values, 4 if kind & 0x3F00 == 0 else 2)
                if self.scrubbed_extended is not None and self.scrubbed_extended.has(value):
                    return False
        if has(update, LARGE_COMMUNITY):
            values = value_of(update, LARGE_COMMUNITY)
            while left(&values):
                value = u32(&values)
                count += 1
                skip(&values, 8)
                if self.scrubbed_large is not None and self.scrubbed_large.has(value):
                    return False
        return count <= self.max_communities

    cdef bint prefixes_pass4(self, Reader nlri, bint add_path) noexcept nogil:
        cdef unsigned length, i
        cdef uint32_t address
        while left(&nlri):
            if add_path:
                skip(&nlri, 4)
            length = u8(&nlri)
            if length < self.shortest4 or length > self.longest4 or (length == 0 and self.no_default):
                return False
            address = 0
            for i in range((length + 7) >> 3):
                address |= <uint32_t> u8(&nlri) << (24 - 8 * i)
            address = masked4(address, length)
            if self.bogons is not None and self.bogons.covers4(address, length):
                return False
            if self.own is not None and self.own.covers4(address, length):
                return False
            if self.prefixes is not None and not self.prefixes.matches4(address, length):
                return False
        return not nlri.failed

    cdef bint prefixes_pass6(self, Reader nlri, bint add_path) noexcept nogil:
        cdef unsigned length, i
        cdef uint64_t high, low, octet
        while left(&nlri):
            if add_path:
                skip(&nlri, 4)
            length = u8(&nlri)
            if length < self.shortest6 or length > self.longest6 or (length == 0 and self.no_default):
                return False
            high = low = 0
            for i in range((length + 7) >> 3):
                octet = u8(&nlri)
                if i < 8:
                    high |= octet << (56 - 8 * i)
                else:
                    low |= octet << (120 - 8 * i)
            high = masked_half(high, <int> length)
            low = masked_half(low, <int> length - 64)
            if self.bogons is not None and self.bogons.covers6(high, low, length):
                return False
            if self.own is not None and self.own.covers6(high, low, length):
                return False
            if self.prefixes is not None and not self.prefixes.matches6(high, low, length):
                return False
        return not nlri.failed

    cdef bint passes(self, Reader message, unsigned flags, uint32_t sender) noexcept nogil:
        cdef Update update
        cdef Reader header = message
        cdef bint has_nlri
        skip(&header, MESSAGE_HEADER - 1)
        if u8(&header) != UPDATE:
            return not header.failed
        if flags & GUESS_AS or not locate(&update, message, flags) or not plausible(&update):
            return False
        has_nlri = left(&update.nlri) != 0
        if not has_nlri and not (has(&update, MP_REACH) and left(&update.reach.nlri)):
            return True
        if self.nothing or update.seen & ~self.attributes or update.seen & self.needed != self.needed or (has(&update, AS4_PATH) and not update.as4):
            return False
        if self.hops:
            if has_nlri and not self.good_hop(value_of(&update, NEXT_HOP)):
                return False
            if has(&update, MP_REACH) and not self.good_hop(update.reach.next_hop):
                return False
        if not self.path_passes(value_of(&update, AS_PATH), 4 if update.as4 else 2, sender):
            return False
        if not self.communities_pass(&update):
            return False
        if has_nlri and not self.prefixes_pass4(update.nlri, update.add_path):
            return False
        if not has(&update, MP_REACH):
            return True
        if update.reach.afi == 1:
            return self.prefixes_pass4(update.reach.nlri, update.reach.add_path)
        return self.prefixes_pass6(update.reach.nlri, update.reach.add_path)

    def undecided(self, bytes octets not None, index not None) -> list:
        """The positions of the messages that may not pass."""
        cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
        cdef size_t size = PyBytes_GET_SIZE(octets)
        cdef Py_buffer view
        cdef Reader entries, header
        cdef Entry entry
        cdef uint32_t sender
        cdef Py_ssize_t position = 0
        cdef bint passed
        found = []
        PyObject_GetBuffer(index, &view, PyBUF_SIMPLE)
        try:
            entries = reader(<const uint8_t*> view.buf, 0, view.len)
            while left(&entries):
                with nogil:
                    passed = True
                    while passed and next_entry(&entries, &entry):
                        position += 1
                        if self.sender >= 0:
                            sender = <uint32_t> self.sender
                        else:
                            header = peer_of(base, size, &entry)
                            sender = u32(&header) if entry.flags & PEER_AS4 else u16(&header)
                        if self.sender < 0 and entry.flags & OWN_PEER:
                            passed = False
                        else:
                            passed = self.passes(message_of(base, size, &entry), entry.flags, sender)
                if not passed:
                    found.append(position - 1)
        finally:
            PyBuffer_Release(&view)
        return found


# ---------------------------------------------------------------------------------------------------------------------
# Routes that were kept

cdef class PrefixJudge(Judge):
    """What becomes of the routes of a table by their prefixes alone: 0 for those that pass, 2 for others. Those that a
    check of a whole UPDATE holds back, which have 1, stay as they are. None asks nothing."""

    cdef PrefixTable bogons, own, prefixes
    cdef unsigned shortest4, longest4, shortest6, longest6
    cdef bint no_default

    def __init__(self, *, PrefixTable bogons, PrefixTable own, PrefixTable prefixes, lengths, bint no_default):
        self.bogons, self.own, self.prefixes = bogons, own, prefixes
        self.shortest4, self.longest4, self.shortest6, self.longest6 = lengths
        self.no_default = no_default
        self.unwanted = 0b110

    cdef unsigned verdict(self, const Route* route, unsigned kind, uint32_t origin, unsigned marks) noexcept nogil:
        cdef unsigned before = route.state >> VERDICT_SHIFT
        if before == 1:
            return before
        return 0 if self.passes(route) else 2

    cdef bint passes(self, const Route* route) noexcept nogil:
        cdef unsigned length = route.length
        cdef uint32_t address
        if length == 0 and self.no_default:
            return False
        if route.family == 1:
            address = <uint32_t> route.high
            if length and not self.shortest4 <= length <= self.longest4:
                return False
            if length and self.bogons is not None and self.bogons.covers4(address, length):
                return False
            if self.own is not None and self.own.covers4(address, length):
                return False
            return self.prefixes is None or self.prefixes.matches4(address, length)
        if length and not self.shortest6 <= length <= self.longest6:
            return False
        if length and self.bogons is not None and self.bogons.covers6(route.high, route.low, length):
            return False
        if self.own is not None and self.own.covers6(route.high, route.low, length):
            return False
        return self.prefixes is None or self.prefixes.matches6(route.high, route.low, length)
