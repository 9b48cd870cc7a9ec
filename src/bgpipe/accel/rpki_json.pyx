"""Entries of `roas` and `aspas` in the JSON of validators, and lines of their CSV, as far as they are written as usual:
see bgpipe.rpki.json_file and csv_file.

An entry of `roas` is an object with `asn`, `prefix`, `maxLength`, one of `aspas` an object with a customer and its
providers, both perhaps with `expires`, and other members, in any order and with blanks anywhere. Anything else is
declined: escapes, text that is not ASCII, members that come twice, numbers with a point, values that can't be. A line
has no quotes and no blanks around its fields.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, qsort, realloc
from libc.string cimport memcmp, memcpy, memset

from .octets cimport Reader, Writer, close_writer, left, open_writer, reader, room, take, u8, u32, wrote
from .text cimport get_ipv4, get_ipv6, match, put_u32, read_number


cdef enum:
    MAX_DEPTH = 16
    MAX_TIME = 0xFFFFFFFF
    MAX_LINE = 1 << 16
    FIRST_ROOM = 1 << 16


cdef enum Member:
    ASN = 1
    PREFIX = 2
    MAX_LENGTH = 4
    EXPIRES = 8
    CUSTOMER = 16
    PROVIDERS = 32
    OTHER = 0


cdef enum Kind:
    ROAS
    ASPAS
    LINES


cdef enum Outcome:
    DECLINED   # or it is not whole
    READ
    NO_MEMORY


cdef struct Roa:
    uint8_t address[16]
    bint ipv6
    unsigned seen
    uint64_t asn
    uint64_t length
    uint64_t max_length
    uint64_t expires


cdef struct Aspa:
    unsigned seen
    uint64_t customer
    uint64_t expires
    uint32_t* providers
    size_t count
    size_t room  # providers for which there is memory


cdef inline void skip_blanks(Reader* r) noexcept nogil:
    cdef uint8_t octet
    while r.pos < r.end:
        octet = r.base[r.pos]
        if octet != c" " and octet != c"\n" and octet != c"\t" and octet != c"\r":
            return
        r.pos += 1


cdef inline bint next_is(Reader* r, uint8_t octet) noexcept nogil:
    """Passes over blanks, and over this octet if it comes next."""
    skip_blanks(r)
    if r.pos < r.end and r.base[r.pos] == octet:
        r.pos += 1
        return True
    return False


cdef inline bint skip_string(Reader* r) noexcept nogil:
    """The rest of a string of printable ASCII without escapes, and its closing quote."""
    cdef uint8_t octet
    while r.pos < r.end:
        octet = r.base[r.pos]
        r.pos += 1
        if octet == c'"':
            return True
        if octet < 32 or octet > 126 or octet == c"\\":
            return False
    return False


cdef bint skip_value(Reader* r, unsigned depth) noexcept nogil:
    """Any value: text, a whole number, true, false, null, a list, an object."""
    cdef uint64_t number
    cdef uint8_t closing
    if depth > MAX_DEPTH:
        return False
    if next_is(r, c'"'):
        return skip_string(r)
    if next_is(r, c"["):
        closing = c"]"
    elif next_is(r, c"{"):
        closing = c"}"
    else:
        return match(r, b"true") or match(r, b"false") or match(r, b"null") or read_number(r, ~<uint64_t> 0, &number)
    if next_is(r, closing):
        return True
    while True:
        if closing == c"}" and not (next_is(r, c'"') and skip_string(r) and next_is(r, c":")):
            return False
        if not skip_value(r, depth + 1):
            return False
        if next_is(r, c","):
            continue
        return next_is(r, closing)


cdef inline Member member_of(const uint8_t* name, size_t size) noexcept nogil:
    if size == 3:
        return ASN if memcmp(name, b"asn", 3) == 0 else OTHER
    if size == 6:
        return PREFIX if memcmp(name, b"prefix", 6) == 0 else OTHER
    if size == 9:
        return MAX_LENGTH if memcmp(name, b"maxLength", 9) == 0 else OTHER
    if size == 7:
        return EXPIRES if memcmp(name, b"expires", 7) == 0 else OTHER
    return OTHER


cdef inline Member aspa_member_of(const uint8_t* name, size_t size) noexcept nogil:
    """Routinator, rpki-client and the original bgpipe have names of their own."""
    if size == 8:
        return CUSTOMER if memcmp(name, b"customer", 8) == 0 else OTHER
    if size == 9:
        return PROVIDERS if memcmp(name, b"providers", 9) == 0 else OTHER
    if size == 13:
        return CUSTOMER if memcmp(name, b"customer_asid", 13) == 0 else OTHER
    if size == 14:
        return PROVIDERS if memcmp(name, b"provider_asids", 14) == 0 else OTHER
    if size == 7:
        return EXPIRES if memcmp(name, b"expires", 7) == 0 else OTHER
    return OTHER


cdef inline bint read_asn(Reader* r, uint64_t* asn) noexcept nogil:
    if not next_is(r, c'"'):
        return read_number(r, 0xFFFFFFFF, asn)
    match(r, b"AS")
    return read_number(r, 0xFFFFFFFF, asn) and match(r, b'"')


cdef inline bint read_prefix(Reader* r, Roa* roa) noexcept nogil:
    """A prefix as text, without bits behind its length."""
    cdef Reader ahead
    cdef unsigned i, size
    memset(roa.address, 0, 16)
    ahead = r[0]
    roa.ipv6 = get_ipv4(roa.address, &ahead) == NULL
    if roa.ipv6:
        memset(roa.address, 0, 16)
        ahead = r[0]
        if get_ipv6(roa.address, &ahead) == NULL:
            return False
    r.pos = ahead.pos
    size = 16 if roa.ipv6 else 4
    if not match(r, b"/") or not read_number(r, size * 8, &roa.length):
        return False
    if roa.length & 7 and roa.address[roa.length >> 3] << (roa.length & 7) & 0xFF:
        return False
    for i in range(<unsigned> (roa.length + 7) >> 3, size):
        if roa.address[i]:
            return False
    return True


cdef inline bint ends_here(Reader* r) noexcept nogil:
    """Whether what comes next can stand behind a number."""
    cdef uint8_t octet
    if r.pos >= r.end:
        return False
    octet = r.base[r.pos]
    return octet == c"," or octet == c"}" or octet == c"]" or octet == c" " or octet == c"\n" or octet == c"\r" or octet == c"\t"


cdef bint read_roa(Reader* r, Roa* roa) noexcept nogil:
    """One entry; False declines, or it isn't whole."""
    cdef size_t start
    cdef Member member
    roa.seen = 0
    if not next_is(r, c"{"):
        return False
    while True:
        if not next_is(r, c'"'):
            return False
        start = r.pos
        if not skip_string(r):
            return False
        member = member_of(r.base + start, r.pos - 1 - start)
        if not next_is(r, c":"):
            return False
        skip_blanks(r)
        if roa.seen & member:
            return False
        roa.seen |= member
        if member == ASN:
            if not read_asn(r, &roa.asn):
                return False
        elif member == PREFIX:
            if not (next_is(r, c'"') and read_prefix(r, roa) and match(r, b'"')):
                return False
        elif member == MAX_LENGTH:
            if not read_number(r, 128, &roa.max_length):
                return False
        elif member == EXPIRES:
            if not read_number(r, MAX_TIME, &roa.expires):
                return False
        elif not skip_value(r, 0):
            return False
        if not ends_here(r):
            return False
        if next_is(r, c","):
            continue
        break
    if not next_is(r, c"}") or roa.seen & (ASN | PREFIX | MAX_LENGTH) != ASN | PREFIX | MAX_LENGTH:
        return False
    return roa.length <= roa.max_length <= <uint64_t> (128 if roa.ipv6 else 32)


cdef Outcome read_providers(Reader* r, Aspa* aspa) noexcept nogil:
    """A list of AS numbers with at least one."""
    cdef uint64_t asn
    cdef void* grown
    aspa.count = 0
    if not next_is(r, c"["):
        return DECLINED
    while True:
        skip_blanks(r)
        if not read_asn(r, &asn) or not ends_here(r):
            return DECLINED
        if aspa.count == aspa.room:
            grown = realloc(aspa.providers, (2 * aspa.room + 16) * sizeof(uint32_t))
            if grown == NULL:
                return NO_MEMORY
            aspa.providers = <uint32_t*> grown
            aspa.room = 2 * aspa.room + 16
        aspa.providers[aspa.count] = <uint32_t> asn
        aspa.count += 1
        if next_is(r, c","):
            continue
        return READ if next_is(r, c"]") else DECLINED


cdef Outcome read_aspa(Reader* r, Aspa* aspa) noexcept nogil:
    cdef size_t start
    cdef Member member
    cdef Outcome outcome
    aspa.seen = 0
    if not next_is(r, c"{"):
        return DECLINED
    while True:
        if not next_is(r, c'"'):
            return DECLINED
        start = r.pos
        if not skip_string(r):
            return DECLINED
        member = aspa_member_of(r.base + start, r.pos - 1 - start)
        if aspa.seen & member or not next_is(r, c":"):
            return DECLINED
        skip_blanks(r)
        aspa.seen |= member
        if member == CUSTOMER:
            if not read_asn(r, &aspa.customer) or aspa.customer == 0:
                return DECLINED
        elif member == PROVIDERS:
            outcome = read_providers(r, aspa)
            if outcome != READ:
                return outcome
        elif member == EXPIRES:
            if not read_number(r, MAX_TIME, &aspa.expires):
                return DECLINED
        elif not skip_value(r, 0):
            return DECLINED
        if not ends_here(r):
            return DECLINED
        if next_is(r, c","):
            continue
        break
    if not next_is(r, c"}") or aspa.seen & (CUSTOMER | PROVIDERS) != CUSTOMER | PROVIDERS:
        return DECLINED
    sort_providers(aspa)
    return READ


cdef int by_number(const void* one, const void* other) noexcept nogil:
    cdef uint32_t a = (<const uint32_t*> one)[0]
    cdef uint32_t b = (<const uint32_t*> other)[0]
    return -1 if a < b else 1 if a > b else 0


cdef void sort_providers(Aspa* aspa) noexcept nogil:
    """As bgpipe.rpki.snapshot.sort_providers."""
    cdef uint32_t* numbers = aspa.providers
    cdef size_t i, count = 1
    for i in range(1, aspa.count):
        if numbers[i] < numbers[i - 1]:
            qsort(numbers, aspa.count, sizeof(uint32_t), by_number)
            break
    for i in range(1, aspa.count):
        if numbers[i] != numbers[count - 1]:
            numbers[count] = numbers[i]
            count += 1
    if count > 1 and numbers[0] == 0:
        count -= 1
        for i in range(count):
            numbers[i] = numbers[i + 1]
    aspa.count = count


cdef struct Columns:
    int asn  # their places in a line; -1 for one that is not there
    int prefix
    int max_length
    int expires
    int least  # columns that a line must have


cdef inline bint is_field_end(const Reader* r) noexcept nogil:
    return r.pos < r.end and (r.base[r.pos] == c"," or r.base[r.pos] == c"\n" or r.base[r.pos] == c"\r")


cdef inline bint read_field(Reader* r, const Columns* columns, int column, Roa* roa) noexcept nogil:
    """One field of a line of CSV; False declines."""
    if column == columns.asn:
        match(r, b"AS")
        roa.seen |= ASN
        return read_number(r, 0xFFFFFFFF, &roa.asn)
    if column == columns.prefix:
        roa.seen |= PREFIX
        return read_prefix(r, roa)
    if column == columns.max_length and not is_field_end(r):
        roa.seen |= MAX_LENGTH
        return read_number(r, 128, &roa.max_length)
    if column == columns.expires and not is_field_end(r):
        roa.seen |= EXPIRES
        return read_number(r, MAX_TIME, &roa.expires)
    while r.pos < r.end and not is_field_end(r):
        if r.base[r.pos] < 32 or r.base[r.pos] > 126 or r.base[r.pos] == c'"':
            return False
        r.pos += 1
    return True


cdef bint read_line(Reader* r, const Columns* columns, Roa* roa) noexcept nogil:
    """A line of CSV and its end; False declines, or it isn't whole."""
    cdef int column = 0
    cdef size_t start = r.pos
    roa.seen = 0
    if r.pos < r.end and (r.base[r.pos] <= 32 or r.base[r.pos] == c"#"):
        return False
    while read_field(r, columns, column, roa):
        column += 1
        if match(r, b","):
            continue
        match(r, b"\r")
        if not match(r, b"\n") or column < columns.least or roa.seen & (ASN | PREFIX) != ASN | PREFIX:
            return False
        if r.pos - start > MAX_LINE:
            return False
        if not roa.seen & MAX_LENGTH:
            roa.max_length = roa.length
        return roa.length <= roa.max_length <= <uint64_t> (128 if roa.ipv6 else 32)
    return False


cdef class Scanner:
    """Collects the VRPs of the entries that it reads."""

    cdef Writer writers[2]
    cdef Writer attestations  # of one call: customer, number of providers, providers
    cdef Aspa aspa
    cdef double now
    cdef uint64_t until
    cdef size_t expired
    cdef bint taken

    def __cinit__(self, double now):
        """now: seconds since 1970."""
        self.now = now
        self.until = <uint64_t> MAX_TIME + 1
        self.taken = True
        open_writer(&self.writers[0], FIRST_ROOM)
        open_writer(&self.writers[1], FIRST_ROOM)
        self.taken = False

    def __dealloc__(self):
        free(self.aspa.providers)
        if not self.taken:
            self.taken = True
            close_writer(&self.writers[0])
            close_writer(&self.writers[1])

    def scan(self, octets not None, Py_ssize_t start):
        """(end, count): reads entries of `roas` with commas between them from `start` on. `end` is behind the last one
        that was read. Raises MemoryError."""
        return self.read(octets, start, ROAS, NULL)

    def scan_lines(self, octets not None, Py_ssize_t start, int asn, int prefix, int max_length, int expires, int least):
        """(end, count): reads lines of CSV from `start` on. `end` is behind the last one that was read. asn, prefix,
        max_length, expires: the places of the columns, -1 for one that is not there. least: columns that a line must
        have. Raises MemoryError."""
        cdef Columns columns = Columns(asn, prefix, max_length, expires, least)
        return self.read(octets, start, LINES, &columns)

    def scan_aspas(self, octets not None, Py_ssize_t start):
        """(end, count, found): reads entries of `aspas`, likewise. found: the customer and its providers, ascending,
        of each entry whose time is not over. Raises MemoryError."""
        open_writer(&self.attestations, FIRST_ROOM)
        try:
            end, count = self.read(octets, start, ASPAS, NULL)
        except BaseException:
            self.attestations.used = 0
            close_writer(&self.attestations)
            raise
        return end, count, attestations_of(close_writer(&self.attestations))

    cdef tuple read(self, octets, Py_ssize_t start, Kind kind, const Columns* columns):
        """Raises MemoryError."""
        cdef Py_buffer view
        cdef Reader r
        cdef size_t end, count = 0
        cdef Outcome outcome = READ
        if start < 0 or self.taken:
            raise ValueError("start is before the first octet, or the scanner is empty")
        PyObject_GetBuffer(octets, &view, PyBUF_SIMPLE)
        try:
            end = start
            with nogil:
                r = reader(<const uint8_t*> view.buf, start, view.len)
                while True:
                    outcome = self.read_one(&r, kind, columns)
                    if outcome != READ:
                        break
                    count += 1
                    end = r.pos
                    if kind != LINES and not next_is(&r, c","):
                        break
        finally:
            PyBuffer_Release(&view)
        if outcome == NO_MEMORY:
            raise MemoryError
        return end, count

    cdef Outcome read_one(self, Reader* r, Kind kind, const Columns* columns) noexcept nogil:
        cdef Roa roa
        cdef Outcome outcome
        if kind == ASPAS:
            outcome = read_aspa(r, &self.aspa)
            return self.keep_aspa() if outcome == READ else outcome
        if not (read_roa(r, &roa) if kind == ROAS else read_line(r, columns, &roa)):
            return DECLINED
        return self.keep(&roa)

    cdef bint is_over(self, uint64_t expires) noexcept nogil:
        """Whether the time of an entry is over; counts it if it is."""
        if <double> expires <= self.now:
            self.expired += 1
            return True
        self.until = min(self.until, expires)
        return False

    cdef Outcome keep(self, const Roa* roa) noexcept nogil:
        """Keeps a VRP unless its time is over."""
        cdef unsigned size = 16 if roa.ipv6 else 4
        cdef Writer* w = &self.writers[1 if roa.ipv6 else 0]
        cdef uint8_t* p
        if roa.seen & EXPIRES and self.is_over(roa.expires):
            return READ
        p = room(w, size + 6)
        if p == NULL:
            return NO_MEMORY
        memcpy(p, roa.address, size)
        p[size] = <uint8_t> roa.length
        p[size + 1] = <uint8_t> roa.max_length
        wrote(w, put_u32(p + size + 2, <uint32_t> roa.asn))
        return READ

    cdef Outcome keep_aspa(self) noexcept nogil:
        """Keeps an ASPA unless its time is over."""
        cdef const Aspa* aspa = &self.aspa
        cdef size_t size = aspa.count * sizeof(uint32_t)
        cdef uint8_t* p
        if aspa.seen & EXPIRES and self.is_over(aspa.expires):
            return READ
        p = room(&self.attestations, size + 8)
        if p == NULL:
            return NO_MEMORY
        p = put_u32(put_u32(p, <uint32_t> aspa.customer), <uint32_t> aspa.count)
        memcpy(p, aspa.providers, size)
        wrote(&self.attestations, p + size)
        return READ

    def take(self):
        """(ipv4, ipv6, expired, until): the records, how many entries were over, and when the next one is, None if no
        entry has a time. The scanner is empty then."""
        if self.taken:
            raise ValueError("the scanner is empty")
        self.taken = True
        ipv4, ipv6 = close_writer(&self.writers[0]), close_writer(&self.writers[1])
        return ipv4, ipv6, self.expired, None if self.until > MAX_TIME else self.until


cdef list attestations_of(bytes written):
    """(customer, providers) of each ASPA that was kept."""
    cdef Reader r = reader(<const uint8_t*> PyBytes_AS_STRING(written), 0, PyBytes_GET_SIZE(written))
    cdef const uint8_t* p
    cdef uint32_t customer, asn
    cdef Py_ssize_t count, i
    cdef list found = []
    while left(&r):
        customer = u32(&r)
        count = u32(&r)
        p = take(&r, count * sizeof(uint32_t))
        if p == NULL:
            break
        providers = PyTuple_New(count)
        for i in range(count):
            memcpy(&asn, p + i * sizeof(uint32_t), sizeof(uint32_t))
            number = <object> asn
            Py_INCREF(number)
            PyTuple_SET_ITEM(providers, i, number)
        found.append((customer, providers))
    return found
