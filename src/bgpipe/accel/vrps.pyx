"""VRPs as packed records (see bgpipe.rpki.vrps): sorted, merged and compared, and a table for lookups.

The table adds to the sorted records an index by the first bits of an address, and for each record the place of the
longest prefix around it. So a lookup is one search in a bucket, then steps from one covering prefix to the next.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memcmp, memcpy, memset

from .octets cimport Reader, Writer, close_writer, left, open_writer, reader, room, take, wrote


cdef enum:
    WIDTH_4 = 10
    WIDTH_6 = 22
    MOST_BUCKETS = 1 << 16
    NO_PARENT = 0xFFFFFFFF
    MOST_RECORDS = 0x7FFFFFFF


cdef enum Fault:
    DUPLICATE = 1
    UNKNOWN = 2


cdef struct Item:
    uint64_t key           # the first 8 octets of the record
    const uint8_t* record  # of two equal records the first one has the lower address


cdef inline uint64_t read_u32(const uint8_t* p) noexcept nogil:
    return <uint64_t> p[0] << 24 | <uint64_t> p[1] << 16 | <uint64_t> p[2] << 8 | p[3]


cdef inline uint64_t read_u64(const uint8_t* p) noexcept nogil:
    return read_u32(p) << 32 | read_u32(p + 4)


cdef int by_record_4(const void* one, const void* other) noexcept nogil:
    return by_record(<const Item*> one, <const Item*> other, WIDTH_4)


cdef int by_record_6(const void* one, const void* other) noexcept nogil:
    return by_record(<const Item*> one, <const Item*> other, WIDTH_6)


cdef inline int by_record(const Item* one, const Item* other, size_t width) noexcept nogil:
    cdef int order
    if one.key != other.key:
        return -1 if one.key < other.key else 1
    order = memcmp(one.record + 8, other.record + 8, width - 8)
    return order if order != 0 else -1 if one.record < other.record else 1


cdef size_t count_of(bytes records, unsigned width) except? 0xFFFFFFFF:
    """How many records there are. Raises ValueError if they are not whole, or too many."""
    cdef size_t size = PyBytes_GET_SIZE(records)
    if width != WIDTH_4 and width != WIDTH_6:
        raise ValueError("not the width of a record")
    if size % width or size // width > MOST_RECORDS:
        raise ValueError("not a whole number of records")
    return size // width


cdef inline bint ascending(const Item* items, size_t count, unsigned width) noexcept nogil:
    cdef size_t i
    for i in range(1, count):
        if by_record(items + i - 1, items + i, width) > 0:
            return False
    return True


cdef void sort_items(Item* items, Item* spare, size_t count, unsigned width) noexcept nogil:
    """Sorts by the octets of keys, the last ones first, then those that have the same key. spare: room for as many."""
    cdef size_t counts[8][256]
    cdef size_t i, start, place, size
    cdef unsigned digit, octet
    cdef Item* source = items
    cdef Item* target = spare
    memset(counts, 0, sizeof(counts))
    for i in range(count):
        for digit in range(8):
            counts[digit][(items[i].key >> (8 * digit)) & 255] += 1
    for digit in range(8):
        if counts[digit][(source[0].key >> (8 * digit)) & 255] == count:
            continue  # all have the same
        start = 0
        for octet in range(256):
            size = counts[digit][octet]
            counts[digit][octet] = start
            start += size
        for i in range(count):
            octet = (source[i].key >> (8 * digit)) & 255
            place = counts[digit][octet]
            target[place] = source[i]
            counts[digit][octet] = place + 1
        source, target = target, source
    if source != items:
        memcpy(items, source, count * sizeof(Item))
    start = 0
    for i in range(1, count + 1):
        if i == count or items[i].key != items[start].key:
            if i - start > 1:
                qsort(items + start, i - start, sizeof(Item), by_record_4 if width == WIDTH_4 else by_record_6)
            start = i


def merge(unsigned width, bytes base not None, bytes records not None, bytes announced not None, size_t most):
    """(records, duplicates, unknown, duplicate_count, unknown_count): what bgpipe.rpki.vrps.merge_records gives."""
    cdef size_t count = count_of(records, width), base_count = count_of(base, width), i
    cdef const uint8_t* start = <const uint8_t*> PyBytes_AS_STRING(records)
    cdef const uint8_t* operations = <const uint8_t*> PyBytes_AS_STRING(announced)
    cdef const uint8_t* old = <const uint8_t*> PyBytes_AS_STRING(base)
    cdef const uint8_t* old_end = old + base_count * width
    cdef Item* items = NULL
    cdef Item* spare = NULL
    cdef uint8_t* faults = NULL
    cdef uint8_t* p
    cdef bint in_order
    cdef Writer w
    if <size_t> PyBytes_GET_SIZE(announced) != count:
        raise ValueError("an octet for each record is expected")
    try:
        items = <Item*> malloc((count + 1) * sizeof(Item))
        faults = <uint8_t*> calloc(count + 1, 1)
        if items == NULL or faults == NULL:
            raise MemoryError
        with nogil:
            for i in range(count):
                items[i].record = start + i * width
                items[i].key = read_u64(items[i].record)
            in_order = ascending(items, count, width)
        if not in_order:
            spare = <Item*> malloc(count * sizeof(Item))
            if spare == NULL:
                raise MemoryError
            with nogil:
                sort_items(items, spare, count, width)
            free(spare)
            spare = NULL
        open_writer(&w, (count + base_count) * width)
        p = room(&w, (count + base_count) * width)
        with nogil:
            p = merge_sorted(p, old, old_end, items, count, start, operations, faults, width)
        wrote(&w, p)
        merged = close_writer(&w)
        duplicates, duplicate_count = numbers_of(faults, count, DUPLICATE, most)
        unknown, unknown_count = numbers_of(faults, count, UNKNOWN, most)
        return merged, duplicates, unknown, duplicate_count, unknown_count
    finally:
        free(items)
        free(spare)
        free(faults)


cdef uint8_t* merge_sorted(
    uint8_t* p, const uint8_t* old, const uint8_t* old_end, const Item* items, size_t count, const uint8_t* start,
    const uint8_t* operations, uint8_t* faults, unsigned width
) noexcept nogil:
    """Writes the records that are there after all operations; returns the place behind the last one."""
    cdef size_t i = 0, number
    cdef const uint8_t* record
    cdef bint there
    while i < count:
        record = items[i].record
        while old < old_end and memcmp(old, record, width) < 0:
            memcpy(p, old, width)
            p += width
            old += width
        there = old < old_end and memcmp(old, record, width) == 0
        if there:
            old += width
        while i < count and memcmp(items[i].record, record, width) == 0:
            number = <size_t> (items[i].record - start) // width
            if operations[number] != 0:
                if there:
                    faults[number] = DUPLICATE
                there = True
            else:
                if not there:
                    faults[number] = UNKNOWN
                there = False
            i += 1
        if there:
            memcpy(p, record, width)
            p += width
    memcpy(p, old, old_end - old)
    return p + (old_end - old)


cdef tuple numbers_of(const uint8_t* faults, size_t count, unsigned fault, size_t most):
    """The numbers of the first operations with this fault, and how many have it."""
    cdef size_t i, found = 0
    cdef list numbers = []
    for i in range(count):
        if faults[i] == fault:
            found += 1
            if found <= most:
                numbers.append(i)
    return numbers, found


def subtract(unsigned width, bytes these not None, bytes others not None):
    """The records of `these` that are not among `others`; all are sorted, none twice."""
    cdef size_t count = count_of(these, width), other_count = count_of(others, width)
    cdef const uint8_t* one = <const uint8_t*> PyBytes_AS_STRING(these)
    cdef const uint8_t* end = one + count * width
    cdef const uint8_t* other = <const uint8_t*> PyBytes_AS_STRING(others)
    cdef const uint8_t* other_end = other + other_count * width
    cdef int order
    cdef uint8_t* p
    cdef Writer w
    open_writer(&w, count * width)
    p = room(&w, count * width)
    with nogil:
        while one < end:
            order = memcmp(one, other, width) if other < other_end else -1
            if order > 0:
                other += width
                continue
            if order < 0:
                memcpy(p, one, width)
                p += width
            one += width
    wrote(&w, p)
    return close_writer(&w)


cdef inline bint possible(const uint8_t* record, unsigned size) noexcept nogil:
    """Whether the lengths of a record fit its address of `size` octets, which has no bits behind the first."""
    cdef unsigned length = record[size], i
    if length > record[size + 1] or record[size + 1] > size * 8:
        return False
    if length & 7 and record[length >> 3] << (length & 7) & 0xFF:
        return False
    for i in range((length + 7) >> 3, size):
        if record[i]:
            return False
    return True


def find_impossible(unsigned width, bytes records not None):
    """The number of the first record that is no VRP, None if there is none."""
    cdef size_t count = count_of(records, width), i
    cdef const uint8_t* p = <const uint8_t*> PyBytes_AS_STRING(records)
    with nogil:
        i = 0
        while i < count and possible(p + i * width, width - 6):
            i += 1
    return None if i == count else i


def prefix_pdus(octets not None, Py_ssize_t start, unsigned version):
    """(end, ipv4, announced4, ipv6, announced6): what bgpipe.rpki.pdu_runs.read_prefixes gives."""
    cdef Py_buffer view
    if start < 0:
        raise ValueError("start is before the first octet")
    PyObject_GetBuffer(octets, &view, PyBUF_SIMPLE)
    try:
        return copy_prefixes(<const uint8_t*> view.buf, start, view.len, version)
    finally:
        PyBuffer_Release(&view)


cdef tuple copy_prefixes(const uint8_t* base, size_t start, size_t size, unsigned version):
    cdef size_t end = min(start, size)
    cdef size_t counts[2]
    cdef Reader r
    cdef Writer writers[4]
    cdef uint8_t* p[4]
    cdef const uint8_t* pdu
    cdef unsigned kind, address, i
    counts[0] = counts[1] = 0
    with nogil:
        r = reader(base, end, size)
        while left(&r):
            kind = prefix_pdu(&r, version)
            if kind == 0:
                break
            counts[kind == 6] += 1
            end = r.pos
    for i in range(2):
        open_writer(&writers[2 * i], counts[i] * (WIDTH_6 if i else WIDTH_4))
        open_writer(&writers[2 * i + 1], counts[i])
        p[2 * i] = room(&writers[2 * i], counts[i] * (WIDTH_6 if i else WIDTH_4))
        p[2 * i + 1] = room(&writers[2 * i + 1], counts[i])
    with nogil:
        r = reader(base, min(start, size), end)
        while left(&r):
            address = 4 if base[r.pos + 1] == 4 else 16
            i = 0 if address == 4 else 2
            pdu = take(&r, 16 + address)
            if pdu == NULL:
                break
            memcpy(p[i], pdu + 12, address)
            memcpy(p[i] + address, pdu + 9, 2)
            memcpy(p[i] + address + 2, pdu + 12 + address, 4)
            p[i] += address + 6
            p[i + 1][0] = pdu[8]
            p[i + 1] += 1
    for i in range(4):
        wrote(&writers[i], p[i])
    return end, *[close_writer(&writers[i]) for i in range(4)]


cdef inline unsigned prefix_pdu(Reader* r, unsigned version) noexcept nogil:
    """The type of an IPv4 Prefix or IPv6 Prefix PDU that is whole and has only what it may have; else 0."""
    cdef const uint8_t* p = take(r, 8)
    cdef unsigned kind, size
    cdef uint8_t record[18]
    if p == NULL or p[0] != version or p[2] != 0 or p[3] != 0 or p[1] != 4 and p[1] != 6:
        return 0
    kind = p[1]
    size = 4 if kind == 4 else 16
    if read_u32(p + 4) != 16 + size:
        return 0
    p = take(r, 8 + size)
    if p == NULL or p[0] > 1 or p[3] != 0:
        return 0
    memcpy(record, p + 4, size)
    record[size] = p[1]
    record[size + 1] = p[2]
    return kind if possible(record, size) else 0


# ---------------------------------------------------------------------------------------------------------------------
# The table

cdef inline uint64_t high_of(const Family* family, size_t place) noexcept nogil:
    """The first 64 bits of an address; an IPv4 address is the first 32 of them."""
    cdef const uint8_t* record = family.records + place * family.width
    return read_u32(record) << 32 if family.width == WIDTH_4 else read_u64(record)


cdef inline uint64_t low_of(const Family* family, size_t place) noexcept nogil:
    return 0 if family.width == WIDTH_4 else read_u64(family.records + place * family.width + 8)


cdef inline unsigned length_of(const Family* family, size_t place) noexcept nogil:
    return family.records[(place + 1) * family.width - 6]


cdef inline bint covers(const Family* family, size_t place, uint64_t high, uint64_t low, unsigned length) noexcept nogil:
    """Whether the prefix of a record is this one or is around it."""
    cdef unsigned bits = length_of(family, place)
    if bits > length:
        return False
    if bits == 0:
        return True
    if bits <= 64:
        return (high_of(family, place) ^ high) >> (64 - bits) == 0
    return high_of(family, place) == high and (low_of(family, place) ^ low) >> (128 - bits) == 0


cdef inline bint is_behind(const Family* family, size_t place, uint64_t high, uint64_t low, unsigned length) noexcept nogil:
    """Whether a record stands behind those of this prefix."""
    cdef uint64_t there = high_of(family, place)
    if there != high:
        return there > high
    there = low_of(family, place)
    if there != low:
        return there > low
    return length_of(family, place) > length


cdef inline size_t find_end(const Family* family, uint64_t high, uint64_t low, unsigned length) noexcept nogil:
    """How many records stand before those that are behind this prefix."""
    cdef uint64_t bucket = high >> family.shift
    cdef size_t start, end, middle
    if family.count == 0 or bucket < family.first:
        return 0
    bucket -= family.first
    if bucket >= family.size:
        return family.count
    start, end = family.buckets[bucket], family.buckets[bucket + 1]
    while start < end:
        middle = (start + end) >> 1
        if is_behind(family, middle, high, low, length):
            end = middle
        else:
            start = middle + 1
    return start


cdef class VrpTable:
    """The VRPs of a snapshot, for lookups of half a microsecond."""

    def __cinit__(self, bytes ipv4 not None, bytes ipv6 not None):
        """ipv4, ipv6: packed records, sorted, none twice."""
        self.owners = ipv4, ipv6
        self.fill(&self.families[0], ipv4, WIDTH_4)
        self.fill(&self.families[1], ipv6, WIDTH_6)

    def __dealloc__(self):
        cdef unsigned i
        for i in range(2):
            free(self.families[i].parents)
            free(self.families[i].buckets)

    cdef int fill(self, Family* family, bytes records, unsigned width) except -1:
        cdef uint64_t most
        cdef size_t count = count_of(records, width)
        family.records = <const uint8_t*> PyBytes_AS_STRING(records)
        family.width = width
        family.count = <uint32_t> count
        if count == 0:
            return 0
        most = 16 if count < 16 else MOST_BUCKETS if count > <size_t> MOST_BUCKETS else count
        family.shift = 0
        while (high_of(family, count - 1) >> family.shift) - (high_of(family, 0) >> family.shift) >= most:
            family.shift += 1
        family.first = high_of(family, 0) >> family.shift
        family.size = (high_of(family, count - 1) >> family.shift) - family.first + 1
        family.parents = <uint32_t*> malloc(count * sizeof(uint32_t))
        family.buckets = <uint32_t*> malloc((family.size + 1) * sizeof(uint32_t))
        if family.parents == NULL or family.buckets == NULL:
            raise MemoryError
        with nogil:
            index_records(family)
        return 0

    def judge_one(self, unsigned afi, uint64_t high, uint64_t low, unsigned length, uint32_t origin):
        """0 for VALID, 1 for NOT_FOUND, 2 for INVALID. high, low: the address, an IPv4 one in the first 32 bits.
        origin: 0 for none."""
        if afi != 1 and afi != 2 or length > (32 if afi == 1 else 128):
            raise ValueError("not a prefix")
        return <int> self.judge(afi, high, low, length, origin, False)

    cdef Verdict judge(
        self, unsigned afi, uint64_t high, uint64_t low, unsigned length, uint32_t origin, bint longer
    ) noexcept nogil:
        """longer: the route may be longer than maxLength."""
        cdef const Family* family = &self.families[afi - 1]
        cdef size_t place = find_end(family, high, low, length)
        cdef const uint8_t* record
        cdef Verdict found = NOT_FOUND
        if place == 0:
            return found
        place -= 1
        while not covers(family, place, high, low, length):
            place = family.parents[place]
            if place == NO_PARENT:
                return found
        while place != NO_PARENT:  # what is around a covering prefix covers
            found = INVALID
            record = family.records + place * family.width
            if longer or record[family.width - 5] >= length:
                if origin != NO_ORIGIN and read_u32(record + family.width - 4) == origin:
                    return VALID
            if place and memcmp(record - family.width, record, family.width - 5) == 0:
                place -= 1
            else:
                place = family.parents[place]
        return found


cdef void index_records(Family* family) noexcept nogil:
    """Fills `parents` and `buckets`."""
    cdef size_t here, before = 0
    cdef size_t parent = NO_PARENT
    cdef uint64_t bucket = 0, own
    for here in range(family.count):
        own = (high_of(family, here) >> family.shift) - family.first
        while bucket <= own:
            family.buckets[bucket] = <uint32_t> here
            bucket += 1
        if here == 0:
            parent = NO_PARENT
        elif same_prefix(family, before, here):
            parent = family.parents[before]
        else:
            parent = before
            while parent != NO_PARENT and not covers(
                family, parent, high_of(family, here), low_of(family, here), length_of(family, here)
            ):
                parent = family.parents[parent]
        family.parents[here] = <uint32_t> parent
        before = here
    family.buckets[family.size] = family.count


cdef inline bint same_prefix(const Family* family, size_t one, size_t other) noexcept nogil:
    cdef unsigned width = family.width
    return memcmp(family.records + one * width, family.records + other * width, width - 5) == 0
