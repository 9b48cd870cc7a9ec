"""Sorted numbers of IPv4 prefixes (see bgpipe.routes.prefixes): parted by sets, compared, united, ordered for packing.

Each function takes arrays of 64-bit numbers, sorted, none twice, and gives such arrays. bgpipe.routes has each of them in
Python too.
"""

from array import array

from cpython cimport array as arrays
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

cdef enum:
    MOST_SETS = 64
    SIZES = 5  # octets of the address of an IPv4 prefix in NLRI: 0 to 4
    FIRST_GROUPS = 256

cdef arrays.array EMPTY = array("Q")


cdef struct Run:
    const uint64_t* at
    const uint64_t* end
    uint64_t bit


cdef struct Groups:
    # masks that were found so far, and how many numbers have each; a table of places by mask, 0 for none
    uint64_t* masks
    Py_ssize_t* counts
    uint32_t* table
    Py_ssize_t count
    Py_ssize_t most


cdef inline const uint64_t* numbers_of(arrays.array numbers) noexcept:
    return <const uint64_t*> numbers.data.as_voidptr


cdef inline Py_ssize_t lower_bound(const uint64_t* numbers, Py_ssize_t count, uint64_t wanted) noexcept nogil:
    cdef Py_ssize_t low = 0, high = count, middle
    while low < high:
        middle = (low + high) >> 1
        if numbers[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline void sink(Run* heap, Py_ssize_t count, Py_ssize_t place) noexcept nogil:
    cdef Run moved = heap[place]
    cdef Py_ssize_t child
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and heap[child + 1].at[0] < heap[child].at[0]:
            child += 1
        if moved.at[0] <= heap[child].at[0]:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = moved


cdef inline uint64_t step(Run* heap, Py_ssize_t* count) noexcept nogil:
    """Goes past the lowest number in all runs that have it; gives the bits of these."""
    cdef uint64_t number = heap[0].at[0]
    cdef uint64_t mask = 0
    while count[0] and heap[0].at[0] == number:
        mask |= heap[0].bit
        heap[0].at += 1
        if heap[0].at == heap[0].end:
            count[0] -= 1
            heap[0] = heap[count[0]]
        if count[0]:
            sink(heap, count[0], 0)
    return mask


cdef inline uint64_t spread(uint64_t mask) noexcept nogil:
    mask *= <uint64_t> 0x9E3779B97F4A7C15
    return mask >> 32


cdef bint open_groups(Groups* groups) noexcept nogil:
    groups.most, groups.count = FIRST_GROUPS, 0
    groups.masks = <uint64_t*> malloc(groups.most * sizeof(uint64_t))
    groups.counts = <Py_ssize_t*> malloc(groups.most * sizeof(Py_ssize_t))
    groups.table = <uint32_t*> calloc(2 * groups.most, sizeof(uint32_t))
    return groups.masks != NULL and groups.counts != NULL and groups.table != NULL


cdef void close_groups(Groups* groups) noexcept nogil:
    free(groups.masks)
    free(groups.counts)
    free(groups.table)


cdef bint grow(Groups* groups) noexcept nogil:
    cdef Groups larger
    cdef Py_ssize_t place
    cdef uint64_t slot
    larger.most, larger.count = 2 * groups.most, groups.count
    larger.masks = <uint64_t*> malloc(larger.most * sizeof(uint64_t))
    larger.counts = <Py_ssize_t*> malloc(larger.most * sizeof(Py_ssize_t))
    larger.table = <uint32_t*> calloc(2 * larger.most, sizeof(uint32_t))
    if larger.masks == NULL or larger.counts == NULL or larger.table == NULL:
        close_groups(&larger)
        return False
    memcpy(larger.masks, groups.masks, groups.count * sizeof(uint64_t))
    memcpy(larger.counts, groups.counts, groups.count * sizeof(Py_ssize_t))
    for place in range(larger.count):
        slot = spread(larger.masks[place]) & (2 * larger.most - 1)
        while larger.table[slot]:
            slot = (slot + 1) & (2 * larger.most - 1)
        larger.table[slot] = <uint32_t> place + 1
    close_groups(groups)
    groups[0] = larger
    return True


cdef Py_ssize_t group_of(Groups* groups, uint64_t mask) noexcept nogil:
    """The place of a mask; -1 if there is no memory for it."""
    cdef uint64_t slot = spread(mask) & (2 * groups.most - 1)
    while groups.table[slot]:
        if groups.masks[groups.table[slot] - 1] == mask:
            return groups.table[slot] - 1
        slot = (slot + 1) & (2 * groups.most - 1)
    if groups.count == groups.most:
        if not grow(groups):
            return -1
        return group_of(groups, mask)
    groups.masks[groups.count], groups.counts[groups.count] = mask, 0
    groups.count += 1
    groups.table[slot] = <uint32_t> groups.count
    return groups.count - 1


def part(dict parts not None, list sets not None, list bits not None, uint64_t first, uint64_t last):
    """Adds the numbers from `first` to below `last` to the arrays of those that are in the same sets.

    parts: arrays by mask, the sum of the bits of the sets. sets: at most 64. bits: of each set, below 2 ** 64.
    Returns whether it has done so: not if there are more sets.
    """
    cdef Run heap[MOST_SETS]
    cdef Groups groups
    cdef Py_ssize_t count = 0, total = 0, place, start
    cdef arrays.array numbers
    cdef const uint64_t* own
    cdef Py_ssize_t begin, stop
    if len(sets) > MOST_SETS:
        return False
    for place in range(len(sets)):
        numbers = sets[place]
        own = numbers_of(numbers)
        begin = lower_bound(own, len(numbers), first)
        stop = lower_bound(own, len(numbers), last)
        if begin < stop:
            heap[count].at, heap[count].end, heap[count].bit = own + begin, own + stop, bits[place]
            total += stop - begin
            count += 1
    if not count:
        return True
    cdef uint64_t* found = <uint64_t*> malloc(total * sizeof(uint64_t))
    cdef uint64_t* ordered = <uint64_t*> malloc(total * sizeof(uint64_t))
    cdef uint32_t* owners = <uint32_t*> malloc(total * sizeof(uint32_t))
    cdef Py_ssize_t* ends = NULL
    try:
        if not open_groups(&groups) or found == NULL or ordered == NULL or owners == NULL:
            raise MemoryError
        total = merge(heap, count, &groups, found, owners)
        if total < 0:
            raise MemoryError
        ends = <Py_ssize_t*> malloc(groups.count * sizeof(Py_ssize_t))
        if ends == NULL:
            raise MemoryError
        start = 0
        for place in range(groups.count):
            ends[place] = start
            start += groups.counts[place]
        for place in range(total):
            ordered[ends[owners[place]]] = found[place]
            ends[owners[place]] += 1
        for place in range(groups.count):
            mask = groups.masks[place]
            if mask not in parts:
                parts[mask] = arrays.clone(EMPTY, 0, False)
            add(parts[mask], ordered + ends[place] - groups.counts[place], groups.counts[place])
    finally:
        close_groups(&groups)
        free(found)
        free(ordered)
        free(owners)
        free(ends)
    return True


cdef Py_ssize_t merge(Run* heap, Py_ssize_t count, Groups* groups, uint64_t* found, uint32_t* owners) noexcept nogil:
    """Writes all numbers, each once, and the group of each; gives how many, -1 if there is no memory."""
    cdef Py_ssize_t total = 0, place, owner
    cdef uint64_t mask, before = 0
    for place in range(count // 2 - 1, -1, -1):
        sink(heap, count, place)
    owner = -1
    while count:
        found[total] = heap[0].at[0]
        mask = step(heap, &count)
        if owner < 0 or mask != before:
            before, owner = mask, group_of(groups, mask)
            if owner < 0:
                return -1
        owners[total] = <uint32_t> owner
        groups.counts[owner] += 1
        total += 1
    return total


cdef add(arrays.array numbers, const uint64_t* more, Py_ssize_t count):
    cdef Py_ssize_t before = len(numbers)
    arrays.resize_smart(numbers, before + count)
    memcpy(numbers.data.as_ulonglongs + before, more, count * sizeof(uint64_t))


cdef arrays.array filled(const uint64_t* numbers, Py_ssize_t count):
    made = arrays.clone(EMPTY, count, False)
    memcpy(made.data.as_voidptr, numbers, count * sizeof(uint64_t))
    return made


def different(arrays.array old not None, arrays.array new not None):
    """The numbers that are in only one of two arrays."""
    cdef Py_ssize_t first = 0, second = 0, count = 0, firsts = len(old), seconds = len(new)
    cdef const uint64_t* before = numbers_of(old)
    cdef const uint64_t* after = numbers_of(new)
    made = arrays.clone(EMPTY, firsts + seconds, False)
    cdef uint64_t* out = <uint64_t*> made.data.as_voidptr
    while first < firsts and second < seconds:
        if before[first] == after[second]:
            first += 1
            second += 1
        elif before[first] < after[second]:
            out[count] = before[first]
            first += 1
            count += 1
        else:
            out[count] = after[second]
            second += 1
            count += 1
    memcpy(out + count, before + first, (firsts - first) * sizeof(uint64_t))
    count += firsts - first
    memcpy(out + count, after + second, (seconds - second) * sizeof(uint64_t))
    return filled(out, count + seconds - second)


cdef inline uint64_t rank(uint64_t number) noexcept nogil:
    """Where a number stands in the order of packing: by the octets of its address, then by itself."""
    return <uint64_t> min((<uint8_t> number + 7) >> 3, 4) << 48 | number


def delta(arrays.array old not None, arrays.array new not None):
    """(numbers that are only in the old one, and only in the new one) of two arrays in the order of packing; so are
    these."""
    return parted(old, new, True)


def apart(arrays.array old not None, arrays.array new not None):
    """(numbers that are only in the old one, and only in the new one) of two sorted arrays."""
    return parted(old, new, False)


cdef parted(arrays.array old, arrays.array new, bint packed):
    cdef Py_ssize_t first = 0, second = 0, gone_count = 0, come_count = 0, firsts = len(old), seconds = len(new)
    cdef const uint64_t* before = numbers_of(old)
    cdef const uint64_t* after = numbers_of(new)
    gone = arrays.clone(EMPTY, firsts, False)
    come = arrays.clone(EMPTY, seconds, False)
    cdef uint64_t* out = <uint64_t*> gone.data.as_voidptr
    cdef uint64_t* into = <uint64_t*> come.data.as_voidptr
    while first < firsts or second < seconds:
        if first < firsts and second < seconds and before[first] == after[second]:
            first += 1
            second += 1
        elif second == seconds or (
            first < firsts and (rank(before[first]) < rank(after[second]) if packed else before[first] < after[second])
        ):
            out[gone_count] = before[first]
            first += 1
            gone_count += 1
        else:
            into[come_count] = after[second]
            second += 1
            come_count += 1
    return filled(out, gone_count), filled(into, come_count)


def merged(list sets not None):
    """All numbers of at most 64 arrays; None if there are more."""
    cdef Run heap[MOST_SETS]
    cdef Py_ssize_t count = 0, total = 0, place
    cdef arrays.array numbers
    if len(sets) > MOST_SETS:
        return None
    for numbers in sets:
        if len(numbers):
            heap[count].at, heap[count].bit = numbers_of(numbers), 0
            heap[count].end = heap[count].at + len(numbers)
            total += len(numbers)
            count += 1
    made = arrays.clone(EMPTY, total, False)
    cdef uint64_t* out = <uint64_t*> made.data.as_voidptr
    total = 0
    for place in range(count // 2 - 1, -1, -1):
        sink(heap, count, place)
    while count:
        out[total] = heap[0].at[0]
        step(heap, &count)
        total += 1
    return filled(out, total)


def united(arrays.array numbers not None, uint64_t shortest):
    """The fewest prefixes with the same addresses. shortest: none shorter than this is made."""
    cdef Py_ssize_t place, count = 0, total = len(numbers)
    cdef const uint64_t* own = numbers_of(numbers)
    cdef uint64_t number, length, bit, covered = 0
    cdef bint any_covered = False
    made = arrays.clone(EMPTY, total, False)
    cdef uint64_t* out = <uint64_t*> made.data.as_voidptr
    for place in range(total):
        number = own[place]
        if any_covered and number <= covered:
            continue
        length = number & 0xFF
        covered = number | ((<uint64_t> 1 << (32 - min(length, <uint64_t> 32))) - 1) << 8 | 0xFF
        any_covered = True
        while shortest < length <= 32 and count:
            bit = <uint64_t> 1 << (40 - length)
            if not number & bit or out[count - 1] != number ^ bit:
                break
            count -= 1
            number = out[count] - 1  # the lower half: with a length of one less it is both
            length -= 1
        out[count] = number
        count += 1
    return filled(out, count)


def packing_order(arrays.array numbers not None):
    """(the numbers by the octets of their addresses, how many have 0 to 4); see bgpipe.routes.packing."""
    cdef Py_ssize_t place, size, total = len(numbers)
    cdef Py_ssize_t counts[SIZES]
    cdef Py_ssize_t starts[SIZES]
    cdef const uint64_t* own = numbers_of(numbers)
    for size in range(SIZES):
        counts[size] = 0
    for place in range(total):
        counts[min((<uint8_t> own[place] + 7) >> 3, 4)] += 1
    starts[0] = 0
    for size in range(1, SIZES):
        starts[size] = starts[size - 1] + counts[size - 1]
    made = arrays.clone(EMPTY, total, False)
    cdef uint64_t* out = <uint64_t*> made.data.as_voidptr
    for place in range(total):
        size = min((<uint8_t> own[place] + 7) >> 3, 4)
        out[starts[size]] = own[place]
        starts[size] += 1
    return made, (counts[0], counts[1], counts[2], counts[3], counts[4])
