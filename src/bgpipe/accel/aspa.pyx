"""Verification of AS paths by ASPAs in blocks: the verdicts and tags of bgpipe.rpki.aspa, for well-formed common UPDATEs."""

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from .adj_rib_in cimport OUT, VERDICT_SHIFT, WANTED, Attributes, Route
from .attributes cimport AS4_PATH, AS_PATH, EXTENDED, MP_REACH
from .block cimport AS4, LEFT, MESSAGE_HEADER, NO_PEER, PEER_AS4, RIGHT, Entry, message_of, peer_of, tags_of
from .json_out cimport PEERS, Peer
from .judge cimport Judge, States
from .octets cimport Reader, Writer, close_writer, left, open_writer, reader, room, sub, u8, u16, u32
from .prefix cimport mix
from .tag_text cimport USUAL_TEXT_PER_MESSAGE, copy_tags, has_text, keep_text, put_old_tags, put_text
from .text cimport match, read_number
from .update cimport AS_SEQUENCE, Update, has, locate, value_of


cdef enum:
    UPDATE = 2
    MOST_ASES = 1024       # of a path
    TEXT_PER_MESSAGE = 400  # a peer's tags, and those of a verdict
    MOST_PROVIDERS = 1 << 28


cdef enum Hop:
    PROVIDER
    NO_ATTESTATION
    NOT_PROVIDER


cdef enum Validity:
    VALID
    UNKNOWN
    INVALID


cdef enum Outcome:
    PASSED    # it is not judged
    JUDGED
    DECLINED


cdef struct Customer:
    uint32_t asn
    uint32_t first  # its first provider
    uint32_t count  # its providers; 0 is a free slot


cdef struct Neighbour:
    bint known       # messages of this direction are judged
    bint downstream  # it is a provider of ours
    bint first_hop   # the path must begin with its AS
    uint32_t asn     # 0 if nobody knows


cdef struct Verdict:
    Validity validity
    uint32_t customer  # of the hop that is at fault
    uint32_t provider  # of that hop; 0 with customer 0 for none


cdef struct Path:
    uint32_t ases[MOST_ASES]
    size_t count


cdef struct Work:
    Update update
    Peer peers[PEERS]
    Neighbour neighbours[4]  # by the flags LEFT and RIGHT of messages
    const uint8_t* tag       # of the neighbour's AS number: `"NAME":"`; NULL if there is none
    size_t tag_size
    bint tag_is_peer         # without text, it is in the per-peer header
    Path path
    size_t counts[3]
    bint tags


cdef class AspaTable:
    """The ASPAs of a snapshot, for lookups of some nanoseconds."""

    cdef object owner  # of the providers
    cdef Customer* slots
    cdef const uint32_t* providers
    cdef size_t mask

    def __cinit__(self, bytes customers not None, bytes counts not None, bytes providers not None):
        """Numbers of 4 octets in the order of this machine. customers: none twice. counts: how many providers each has,
        at least one. providers: of all, those of one customer in a row."""
        cdef size_t count = PyBytes_GET_SIZE(customers) // 4, size = 16, i
        cdef const uint32_t* asns = <const uint32_t*> PyBytes_AS_STRING(customers)
        cdef const uint32_t* numbers = <const uint32_t*> PyBytes_AS_STRING(counts)
        cdef size_t first = 0, all = PyBytes_GET_SIZE(providers) // 4, place
        if <size_t> PyBytes_GET_SIZE(counts) // 4 != count or all > MOST_PROVIDERS:
            raise ValueError("a count for each customer is expected")
        while size < count * 2:
            size *= 2
        self.owner = providers
        self.providers = <const uint32_t*> PyBytes_AS_STRING(providers)
        self.mask = size - 1
        self.slots = <Customer*> calloc(size, sizeof(Customer))
        if self.slots == NULL:
            raise MemoryError
        for i in range(count):
            if numbers[i] == 0 or numbers[i] > all - first:
                raise ValueError("as many providers as the counts say are expected")
            place = mix(0, asns[i]) & self.mask
            while self.slots[place].count:
                place = (place + 1) & self.mask
            self.slots[place].asn = asns[i]
            self.slots[place].first = <uint32_t> first
            self.slots[place].count = numbers[i]
            first += numbers[i]

    def __dealloc__(self):
        free(self.slots)

    cdef Hop hop(self, uint32_t customer, uint32_t provider) noexcept nogil:
        """Whether one AS is a provider of another (bgpipe.rpki.aspa.hop)."""
        cdef size_t place = mix(0, customer) & self.mask
        cdef const Customer* slot
        cdef uint32_t i
        while True:
            slot = &self.slots[place]
            if slot.count == 0:
                return NO_ATTESTATION
            if slot.asn == customer:
                break
            place = (place + 1) & self.mask
        if provider:
            for i in range(slot.first, slot.first + slot.count):
                if self.providers[i] == provider:
                    return PROVIDER
        return NOT_PROVIDER

    cdef Verdict verify_upstream(self, const uint32_t* ases, size_t count) noexcept nogil:
        """ases: from the neighbour to the origin, no AS beside itself."""
        cdef Verdict found = verdict_of(VALID, 0, 0)
        cdef Hop hop
        cdef size_t i
        for i in range(1, count):
            hop = self.hop(ases[i], ases[i - 1])
            if hop == NOT_PROVIDER:
                return verdict_of(INVALID, ases[i], ases[i - 1])
            if hop == NO_ATTESTATION:
                found.validity = UNKNOWN
        return found

    cdef Verdict verify_downstream(self, const uint32_t* ases, size_t count) noexcept nogil:
        """ases: as in verify_upstream."""
        cdef size_t up_most = count, up_least = 0, down_most = count, down_least = 0, i
        cdef Hop hop
        for i in range(1, count):  # from the origin up
            hop = self.hop(ases[count - i], ases[count - 1 - i])
            if hop != PROVIDER and up_least == 0:
                up_least = i
            if hop == NOT_PROVIDER:
                up_most = i
                break
        for i in range(1, count):  # from the neighbour up
            hop = self.hop(ases[i - 1], ases[i])
            if hop != PROVIDER and down_least == 0:
                down_least = i
            if hop == NOT_PROVIDER:
                down_most = i
                break
        if up_most + down_most < count:
            return verdict_of(INVALID, ases[down_most - 1], ases[down_most])
        return verdict_of(UNKNOWN if (up_least or count) + (down_least or count) < count else VALID, 0, 0)


cdef inline Verdict verdict_of(Validity validity, uint32_t customer, uint32_t provider) noexcept nogil:
    cdef Verdict found
    found.validity = validity
    found.customer = customer
    found.provider = provider
    return found


def judge_block(
    AspaTable table not None, bytes octets not None, bytearray index not None, bytes tags not None,
    neighbours not None, bytes tag, bint tag_is_peer, bint with_tags
):
    """(index, tags, invalid, declined, counts): what bgpipe.rpki.aspa.judge_block finds.

    neighbours: (known, downstream, first_hop, asn) for each direction: ?, R, L, LR. tag: `"NAME":"` if their AS number
    is in this tag, else None; tag_is_peer: it is PEER_AS. index, tags: of the new block; None without `with_tags`.
    invalid, declined: positions of messages; those declined are not counted and keep their tags. counts: messages that
    are VALID, UNKNOWN, INVALID. Raises MemoryError.
    """
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef size_t size = PyBytes_GET_SIZE(octets)
    cdef const uint8_t* old = <const uint8_t*> PyBytes_AS_STRING(tags)
    cdef size_t old_size = PyBytes_GET_SIZE(tags)
    cdef bytearray new = bytearray(index)
    cdef Entry* entries = <Entry*> PyByteArray_AS_STRING(new)
    cdef size_t count = len(new) // sizeof(Entry), i
    cdef list invalid = [], declined = []
    cdef Work* work = <Work*> calloc(1, sizeof(Work))
    cdef Outcome outcome
    cdef Validity validity = VALID
    cdef Writer w
    if work == NULL:
        raise MemoryError
    try:
        for i, (known, downstream, first_hop, asn) in enumerate(neighbours):
            if i < 4:
                work.neighbours[i] = Neighbour(known, downstream, first_hop, asn)
        if tag is not None:
            work.tag = <const uint8_t*> PyBytes_AS_STRING(tag)
            work.tag_size = PyBytes_GET_SIZE(tag)
        work.tag_is_peer = tag_is_peer
        work.tags = with_tags
        open_writer(&w, (old_size + count * USUAL_TEXT_PER_MESSAGE) if with_tags else 0)
        if with_tags:
            copy_tags(&w, old, old_size)
        for i in range(count):
            outcome = judge_message(work, table, base, size, old, old_size, &entries[i], &w, &validity)
            if outcome == DECLINED:
                declined.append(i)
            elif outcome == JUDGED:
                work.counts[<unsigned> validity] += 1
                if validity == INVALID:
                    invalid.append(i)
        counts = work.counts[0], work.counts[1], work.counts[2]
        text = close_writer(&w)
        return new if with_tags else None, text if with_tags else None, invalid, declined, counts
    finally:
        free(work)


cdef Outcome judge_message(
    Work* work, AspaTable table, const uint8_t* base, size_t size, const uint8_t* tags, size_t tags_size, Entry* entry,
    Writer* w, Validity* validity
) noexcept nogil:
    """Judges one message; with tags, changes its entry."""
    cdef Reader message = message_of(base, size, entry), text = tags_of(tags, tags_size, entry)
    cdef Neighbour neighbour = work.neighbours[(1 if entry.flags & RIGHT else 0) | (2 if entry.flags & LEFT else 0)]
    cdef Update* u = &work.update
    cdef Verdict found
    cdef Outcome outcome
    if message.failed or entry.tags and text.failed:
        return DECLINED
    if message.base[message.pos + MESSAGE_HEADER - 1] != UPDATE or not neighbour.known:
        return PASSED
    if not locate(u, message, entry.flags) or not u.as4 and has(u, AS4_PATH):
        return DECLINED
    if left(&u.nlri) == 0 and not (has(u, MP_REACH) and u.reach.safi == 1 and left(&u.reach.nlri)):
        return PASSED
    if work.tag != NULL:
        outcome = find_neighbour(work, base, size, entry, text, &neighbour.asn)
        if outcome != JUDGED:
            return outcome
    if not verify(&work.path, value_of(u, AS_PATH), u.as4, table, &neighbour, &found):
        return DECLINED
    validity[0] = found.validity
    if work.tags and not put_tags(work, base, size, entry, text, w, &found):
        return DECLINED
    return JUDGED


cdef inline Outcome find_neighbour(
    Work* work, const uint8_t* base, size_t size, const Entry* entry, Reader text, uint32_t* asn
) noexcept nogil:
    """The AS number that a tag says."""
    cdef uint64_t number = 0
    cdef Reader r
    if entry.tags:
        if not find_tag(&text, work.tag, work.tag_size):
            return PASSED
        if not read_number(&text, 0xFFFFFFFF, &number) or not match(&text, b'"') or number == 0:
            return DECLINED
    elif not work.tag_is_peer:
        return DECLINED
    elif entry.peer == NO_PEER:
        return PASSED
    else:
        r = peer_of(base, size, entry)
        number = u32(&r) if entry.flags & PEER_AS4 else u16(&r)
        if r.failed:
            return DECLINED
        if number == 0:
            return PASSED
    asn[0] = <uint32_t> number
    return JUDGED


cdef inline bint find_tag(Reader* text, const uint8_t* tag, size_t size) noexcept nogil:
    """Passes over all up to the value of a tag. A quote that begins the text, or follows a comma that no quote is open
    before, begins a key: within keys and values, quotes are escaped."""
    cdef size_t place = text.pos
    while place + size <= text.end:
        if text.base[place] == c'"' and memcmp(text.base + place, tag, size) == 0:
            if place == text.pos or text.base[place - 1] == c",":
                text.pos = place + size
                return True
        place += 1
    return False


cdef inline bint verify(
    Path* path, Reader r, bint as4, AspaTable table, const Neighbour* neighbour, Verdict* found
) noexcept nogil:
    """The verdict about an AS_PATH (bgpipe.rpki.aspa.verify); False declines. path: room for its AS numbers."""
    cdef uint32_t asn, first = 0
    cdef size_t count = 0
    cdef unsigned n
    cdef bint any = False
    found[0] = verdict_of(INVALID, 0, 0)
    while left(&r):
        if u8(&r) != AS_SEQUENCE:
            return True
        n = u8(&r)
        while n:
            n -= 1
            asn = u32(&r) if as4 else u16(&r)
            if not any:
                first = asn
                any = True
            if count and path.ases[count - 1] == asn:
                continue
            if count == MOST_ASES:
                return False
            path.ases[count] = asn
            count += 1
    if r.failed:
        return False
    if count == 0 or neighbour.first_hop and neighbour.asn and first != neighbour.asn:
        return True
    if neighbour.downstream:
        found[0] = table.verify_downstream(path.ases, count)
    else:
        found[0] = table.verify_upstream(path.ases, count)
    return True


cdef inline bint put_tags(
    Work* work, const uint8_t* base, size_t size, Entry* entry, Reader text, Writer* w, const Verdict* found
) noexcept nogil:
    """Writes the tags of a message; False declines."""
    cdef uint8_t* start
    cdef uint8_t* p
    if entry.tags and has_text(text, b'"aspa/'):
        return False  # they are to be replaced
    start = room(w, TEXT_PER_MESSAGE + left(&text))
    if start == NULL:
        return False
    p = put_old_tags(start + 4, work.peers, base, size, entry, text)
    if p == NULL:
        return False
    p = put_text(p, b'"aspa/status":"')
    if found.validity == INVALID:
        p = put_text(p, b'INVALID"')
    else:
        p = put_text(p, b'VALID"' if found.validity == VALID else b'UNKNOWN"')
    if found.customer or found.provider:
        p = put_number(put_text(p, b',"aspa/invalid-hop":"'), found.customer)
        p[0] = c" "
        p = put_number(p + 1, found.provider)
        p[0] = c'"'
        p += 1
    return keep_text(entry, w, start, p)


cdef inline uint8_t* put_number(uint8_t* p, uint32_t number) noexcept nogil:
    cdef uint8_t digits[10]
    cdef unsigned count = 0
    while True:
        digits[9 - count] = <uint8_t> (c"0" + number % 10)
        number //= 10
        count += 1
        if number == 0:
            break
    memcpy(p, digits + 10 - count, count)
    return p + count


# ---------------------------------------------------------------------------------------------------------------------
# Routes that were kept

cdef inline unsigned count_prefixes(Reader r, bint add_path) noexcept nogil:
    """How many prefixes a field has that `locate` has found sound."""
    cdef unsigned count = 0
    while left(&r):
        if add_path:
            u32(&r)
        sub(&r, (<size_t> u8(&r) + 7) >> 3)
        count += 1
    return count


cdef class PathJudge(Judge):
    """By the AS path of routes, as the stage aspa has it."""

    cdef AspaTable table  # None: all paths are UNKNOWN
    cdef Neighbour neighbour
    cdef Path path

    def __init__(self, AspaTable table, bint downstream, bint first_hop, uint32_t asn, bint keep):
        """table: None without any ASPA. downstream: the neighbour is a provider of ours. first_hop: the path must begin
        with its AS, which is `asn`, 0 if nobody knows. keep: INVALID routes are let through too."""
        self.table = table
        self.neighbour = Neighbour(True, downstream, first_hop, asn)
        self.unwanted = 0 if keep else 1 << INVALID

    cdef unsigned verdict_on(self, Reader path, bint as4) noexcept nogil:
        """About an AS_PATH."""
        cdef Verdict found
        if self.table is None:
            return UNKNOWN
        if not verify(&self.path, path, as4, self.table, &self.neighbour, &found):
            self.declined = True
            return UNKNOWN
        return found.validity

    cdef unsigned verdict_by(self, const Route* route, const Attributes* attributes) noexcept nogil:
        cdef Reader r = reader(attributes.octets, attributes.head, attributes.size), value, path = reader(r.base, 0, 0)
        cdef unsigned flags, code
        self.declined = False
        while left(&r):
            flags = u8(&r)
            code = u8(&r)
            value = sub(&r, u16(&r) if flags & EXTENDED else u8(&r))
            if code == AS_PATH:
                path = value
            elif code == AS4_PATH and not attributes.flags & AS4:
                self.declined = True
        if r.failed:
            self.declined = True
        return UNKNOWN if self.declined else self.verdict_on(path, attributes.flags & AS4)

    cdef States states(self, Update* u) noexcept nogil:
        """All routes of an UPDATE have the same path."""
        cdef States found
        cdef unsigned verdict, count = count_prefixes(u.nlri, u.add_path)
        self.declined = False
        if has(u, MP_REACH) and u.reach.safi == 1:
            count += count_prefixes(u.reach.nlri, u.reach.add_path)
        verdict = self.verdict_on(value_of(u, AS_PATH), u.as4) if count else <unsigned> VALID
        memset(self.found, verdict << VERDICT_SHIFT | (0 if self.unwanted >> verdict & 1 else OUT | WANTED), count)
        found.base = self.found
        found.size = count
        found.place = 0
        return found
