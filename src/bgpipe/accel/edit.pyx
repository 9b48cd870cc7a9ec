"""Edits of path attributes, for blocks: the bodies that bgpipe.wire.attribute_edits makes of usual UPDATEs.

What is declined: UPDATEs whose attributes are cut short or come twice, paths with confederations or a first segment
without room, AS paths with AS numbers of two octets, next hops of VPNs, and what is longer than 4,096 octets or gets
so.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from .attributes cimport (
    AS_PATH, COMMUNITY, EXT_COMMUNITY, EXTENDED, LARGE_COMMUNITY, MP_REACH, NEXT_HOP, OPTIONAL, OTC, TRANSITIVE,
)
from .block cimport (
    AS4, CHECKED, GUESS_AS, MALFORMED, MESSAGE_HEADER, OWN_PEER, PEER_AS4, Entry, message_of, peer_of,
)
from .octets cimport Reader, Writer, close_writer, left, open_writer, reader, room, skip, sub, take, u8, u16, u32, wrote
from .update cimport AS_SEQUENCE, AS_SET


cdef enum:
    UPDATE = 2
    MOST = 4096 - MESSAGE_HEADER  # octets of a body that is not split
    MOST_AS = 255                 # in a segment
    LAST_PLACE = 0xFFFFFFFF
    NONTRANSITIVE = 0x40


cdef enum Action:
    KEEP
    REMOVE
    CONSTANT   # the same value for all
    PATH
    HOP
    REACH
    SELECT     # of communities


cdef enum Outcome:
    UNCHANGED
    EDITED
    DECLINED


cdef struct Out:
    uint8_t* p
    uint8_t* end
    bint full    # there was no room; what has come since is not there


cdef struct Step:
    uint32_t asn     # 0: the AS that was prepended last
    uint32_t times


cdef struct Span:
    uint64_t low
    uint64_t high


cdef struct Pattern:
    unsigned parts   # 0: any community, or the one of span[0]
    Span span[4]


cdef struct Selection:
    unsigned width   # octets of a community
    bint fixed       # those to add take the place of all others
    size_t patterns
    Pattern* pattern
    const uint8_t* add
    size_t added     # octets


cdef struct Addition:
    uint8_t code
    const uint8_t* octets
    size_t size


cdef inline void open_out(Out* out, uint8_t* octets, size_t size) noexcept nogil:
    out.p = octets
    out.end = octets + size
    out.full = False


cdef inline bint put(Out* out, const uint8_t* octets, size_t size) noexcept nogil:
    if <size_t> (out.end - out.p) < size:
        out.full = True
        return False
    if size:
        memcpy(out.p, octets, size)
    out.p += size
    return True


cdef inline bint put_u8(Out* out, unsigned number) noexcept nogil:
    cdef uint8_t octet = <uint8_t> number
    return put(out, &octet, 1)


cdef inline bint put_u16(Out* out, unsigned number) noexcept nogil:
    cdef uint8_t octets[2]
    octets[0] = <uint8_t> (number >> 8)
    octets[1] = <uint8_t> number
    return put(out, octets, 2)


cdef inline bint put_u32(Out* out, uint32_t number) noexcept nogil:
    return put_u16(out, number >> 16) and put_u16(out, number & 0xFFFF)


cdef inline bint put_attribute(Out* out, unsigned flags, unsigned code, const uint8_t* value, size_t size) noexcept nogil:
    """An attribute with its header, which has an extended length if the flags say so or the value needs it."""
    cdef uint8_t header[4]
    if size > 255:
        flags |= EXTENDED
    header[0] = <uint8_t> flags
    header[1] = <uint8_t> code
    if flags & EXTENDED:
        header[2] = <uint8_t> (size >> 8)
        header[3] = <uint8_t> size
        return put(out, header, 4) and put(out, value, size)
    header[2] = <uint8_t> size
    return put(out, header, 3) and put(out, value, size)


cdef inline uint32_t read_u32(const uint8_t* octets) noexcept nogil:
    return <uint32_t> octets[0] << 24 | <uint32_t> octets[1] << 16 | <uint32_t> octets[2] << 8 | octets[3]


cdef inline bint inside(const Span* span, uint64_t number) noexcept nogil:
    return span.low <= number <= span.high


cdef bint matches(const Pattern* pattern, const uint8_t* octets, unsigned width) noexcept nogil:
    """Whether a community is one of a pattern (bgpipe.wire.communities)."""
    cdef uint64_t high = read_u32(octets), low, form
    if width == 4:
        if pattern.parts == 0:
            return inside(&pattern.span[0], high)
        return inside(&pattern.span[0], high >> 16) and inside(&pattern.span[1], high & 0xFFFF)
    low = read_u32(octets + 4)
    if width == 12:
        return pattern.parts == 0 or (
            inside(&pattern.span[0], high)
            and inside(&pattern.span[1], low)
            and inside(&pattern.span[2], read_u32(octets + 8))
        )
    if pattern.parts == 0:
        return inside(&pattern.span[0], high << 32 | low)
    form = octets[0] & ~NONTRANSITIVE & 0xFF
    if form > 2 or not inside(&pattern.span[0], form) or not inside(&pattern.span[1], octets[1]):
        return False
    if form == 0:
        return inside(&pattern.span[2], high & 0xFFFF) and inside(&pattern.span[3], low)
    return inside(&pattern.span[2], (high & 0xFFFF) << 16 | low >> 16) and inside(&pattern.span[3], low & 0xFFFF)


cdef class Editor:
    """The edits of an AttributeEditor."""

    cdef uint8_t actions[256]
    cdef const uint8_t* constants[256]
    cdef size_t constant_sizes[256]
    cdef bint edits_path, has_hop4, has_hop6, adds_otc
    cdef uint32_t otc
    cdef Step* steps
    cdef size_t step_count, addition_count, span_count
    cdef Span* spans               # AS numbers to strip
    cdef Addition* additions
    cdef Selection standard, extended, large
    cdef uint8_t hop4[4]
    cdef uint8_t hop6[16]
    cdef const uint8_t* added_hop  # NEXT_HOP, header included
    cdef size_t added_hop_size
    cdef list held

    def __cinit__(self):
        self.steps = NULL
        self.spans = NULL
        self.additions = NULL
        self.standard.pattern = self.extended.pattern = self.large.pattern = NULL

    def __dealloc__(self):
        free(self.steps)
        free(self.spans)
        free(self.additions)
        free(self.standard.pattern)
        free(self.extended.pattern)
        free(self.large.pattern)

    def __init__(self, *, strip=(), prepend=(), constants=(), removed=(), selections=(), bytes hop4=b"", bytes hop6=b"",
                 bytes added_hop=b"", additions=(), otc=None):
        """strip: ranges of AS numbers. prepend: AS numbers, 0 for the one that was prepended last, and how often.
        constants: values by type code. removed: type codes. selections: (type code, octets of a community, whether those
        to add take the place of all others, patterns, octets of those to add). A pattern is the number of its ranges and
        these, one for each part; or 0 and one for the whole community. additions: type codes and octets of attributes,
        header included; added_hop: the same for NEXT_HOP. otc: the AS number for ONLY_TO_CUSTOMER where that is missing;
        0: that of the sender, as the per-peer header of each message says. Raises MemoryError.
        """
        cdef size_t i
        self.held = []
        for i in range(256):
            self.actions[i] = KEEP
        for code, value in constants:
            self.actions[code] = CONSTANT
            self.constants[code] = self.hold(value)
            self.constant_sizes[code] = len(value)
        self.edits_path = bool(strip) or bool(prepend)
        if self.edits_path:
            self.actions[AS_PATH] = PATH
        self.spans = <Span*> allocate(len(strip), sizeof(Span))
        for low, high in strip:
            self.spans[self.span_count] = Span(low, high)
            self.span_count += 1
        self.steps = <Step*> allocate(len(prepend), sizeof(Step))
        for asn, times in prepend:
            self.steps[self.step_count] = Step(asn, times)
            self.step_count += 1
        for code, width, fixed, patterns, add in selections:
            self.select(code, width, fixed, patterns, add)
        self.additions = <Addition*> allocate(len(additions), sizeof(Addition))
        for code, octets in additions:
            self.additions[self.addition_count] = Addition(code, self.hold(octets), len(octets))
            self.addition_count += 1
        self.has_hop4, self.has_hop6 = len(hop4) == 4, len(hop6) == 16
        if self.has_hop4:
            memcpy(self.hop4, PyBytes_AS_STRING(hop4), 4)
            self.actions[NEXT_HOP] = HOP
        if self.has_hop6:
            memcpy(self.hop6, PyBytes_AS_STRING(hop6), 16)
        if self.has_hop4 or self.has_hop6:
            self.actions[MP_REACH] = REACH
        for code in removed:
            self.actions[code] = REMOVE
        self.adds_otc = otc is not None
        self.otc = otc or 0
        self.added_hop, self.added_hop_size = self.hold(added_hop), len(added_hop)

    cdef const uint8_t* hold(self, bytes octets):
        """Keeps the octets for as long as the editor lives."""
        self.held.append(octets)
        return <const uint8_t*> PyBytes_AS_STRING(octets)

    cdef select(self, unsigned code, unsigned width, bint fixed, patterns, bytes add):
        cdef Selection* selection = self.selection(code)
        cdef Pattern* pattern
        cdef size_t i
        self.actions[code] = SELECT
        selection.width, selection.fixed = width, fixed
        selection.pattern = <Pattern*> allocate(len(patterns), sizeof(Pattern))
        for parts, ranges in patterns:
            pattern = &selection.pattern[selection.patterns]
            pattern.parts = parts
            for i, (low, high) in enumerate(ranges[:4]):
                pattern.span[i] = Span(low, high)
            selection.patterns += 1
        selection.add, selection.added = self.hold(add), len(add)

    cdef inline Selection* selection(self, unsigned code) noexcept nogil:
        return &self.standard if code == COMMUNITY else &self.extended if code == EXT_COMMUNITY else &self.large

    # single values; each is False where it is for Python to say

    cdef bint is_stripped(self, uint32_t asn) noexcept nogil:
        cdef size_t i
        for i in range(self.span_count):
            if inside(&self.spans[i], asn):
                return True
        return False

    cdef bint strip_path(self, Reader path, Out* out) noexcept nogil:
        """The segments with what is left in them."""
        cdef unsigned kind, count, i, kept
        cdef const uint8_t* numbers
        cdef uint8_t* start
        while left(&path):
            kind = u8(&path)
            count = u8(&path)
            numbers = take(&path, 4 * count)
            if numbers == NULL or count == 0 or (kind != AS_SEQUENCE and kind != AS_SET):
                return False
            start = out.p
            if not put_u16(out, kind << 8 | count):
                return False
            kept = 0
            for i in range(count):
                if self.span_count and self.is_stripped(read_u32(numbers + 4 * i)):
                    continue
                if not put(out, numbers + 4 * i, 4):
                    return False
                kept += 1
            if kept:
                start[1] = <uint8_t> kept
            else:
                out.p = start
        return not path.failed

    cdef bint edit_path(self, Reader path, Out* out) noexcept nogil:
        """The path without the AS numbers to strip, behind those to prepend."""
        cdef uint8_t octets[MOST]
        cdef uint32_t front[MOST_AS]
        cdef Out stripped
        cdef uint32_t first = 0, asn
        cdef size_t count = 0, size, i, j, behind = 0
        open_out(&stripped, octets, MOST)
        if not self.strip_path(path, &stripped):
            return False
        size = stripped.p - octets
        if size and octets[0] == AS_SEQUENCE:
            first = read_u32(octets + 2)
            behind = octets[1]
        for i in range(self.step_count):
            asn = self.steps[i].asn if self.steps[i].asn else first
            if asn == 0:
                continue
            if count + self.steps[i].times + behind > MOST_AS:
                return False
            for j in range(self.steps[i].times):
                front[count] = asn
                count += 1
            first = asn
        if count == 0:
            return put(out, octets, size)
        put_u16(out, AS_SEQUENCE << 8 | <unsigned> (count + behind))
        for i in range(count):
            put_u32(out, front[count - 1 - i])
        return put(out, octets + (2 if behind else 0), size - (2 if behind else 0))

    cdef bint edit_reach(self, const uint8_t* value, size_t size, Out* out) noexcept nogil:
        """MP_REACH_NLRI with another next hop."""
        cdef unsigned afi, hop
        cdef bint four
        if size < 5:
            return False
        afi = <unsigned> value[0] << 8 | value[1]
        hop = value[3]
        four = afi == 1
        if not (self.has_hop4 if four else self.has_hop6 and afi == 2):
            return put(out, value, size)
        if size < <size_t> 4 + hop or (hop != 4 and hop != 16 and hop != 32):
            return False
        put(out, value, 3)
        if four:
            return put_u8(out, 4) and put(out, self.hop4, 4) and put(out, value + 4 + hop, size - 4 - hop)
        put_u8(out, 32 if hop == 32 else 16)
        put(out, self.hop6, 16)
        return put(out, value + (20 if hop == 32 else 4 + hop), size - (20 if hop == 32 else 4 + hop))

    cdef bint edit_communities(self, const Selection* selection, const uint8_t* value, size_t size,
                               Out* out) noexcept nogil:
        """The communities without those that match a pattern, and with those to add that are not there."""
        cdef size_t i, j
        cdef unsigned width = selection.width
        cdef const uint8_t* start = out.p
        cdef const uint8_t* each
        cdef const uint8_t* kept
        cdef bint gone
        if size == 0 or size % width:
            return False
        if selection.fixed:
            return put(out, selection.add, selection.added)
        for i in range(size // width):
            each = value + i * width
            gone = False
            for j in range(selection.patterns):
                if matches(&selection.pattern[j], each, width):
                    gone = True
                    break
            if not gone and not put(out, each, width):
                return False
        kept = out.p
        for i in range(selection.added // width):
            each = start
            while each < kept and memcmp(each, selection.add + i * width, width) != 0:
                each += width
            if each == kept and not put(out, selection.add + i * width, width):
                return False
        return True

    cdef bint edit_attribute(self, const uint8_t* octets, unsigned header, size_t size, Out* out,
                             bint* changed) noexcept nogil:
        """Writes an attribute as it is now. header: the octets of its header."""
        cdef uint8_t value[MOST]
        cdef Out new
        cdef unsigned code = octets[1]
        cdef uint8_t action = self.actions[code]
        cdef const uint8_t* old = octets + header
        cdef Reader path
        if action == KEEP:
            return put(out, octets, header + size)
        if action == REMOVE:
            changed[0] = True
            return True
        open_out(&new, value, MOST)
        if action == CONSTANT:
            put(&new, self.constants[code], self.constant_sizes[code])
        elif action == PATH:
            path = reader(old, 0, size)
            if not self.edit_path(path, &new):
                return False
        elif action == HOP:
            put(&new, self.hop4, 4)
        elif action == REACH:
            if not self.edit_reach(old, size, &new):
                return False
        elif not self.edit_communities(self.selection(code), old, size, &new):
            return False
        if new.full:
            return False
        if new.p == value and action == SELECT:
            changed[0] = True
            return True
        if <size_t> (new.p - value) == size and memcmp(value, old, size) == 0:
            return put(out, octets, header + size)
        changed[0] = True
        return put_attribute(out, octets[0], code, value, new.p - value)

    # messages

    cdef Outcome edit_section(self, Reader section, bint has_nlri, uint32_t sender, Out* out) noexcept nogil:
        """Writes the path attributes."""
        cdef uint64_t seen[4]
        cdef const uint8_t* octets
        cdef unsigned code, header
        cdef size_t size, i
        cdef bint announces = has_nlri, changed = False
        seen[0] = seen[1] = seen[2] = seen[3] = 0
        while left(&section):
            octets = take(&section, 3)
            if octets == NULL:
                return DECLINED
            header, code, size = 3, octets[1], octets[2]
            if octets[0] & EXTENDED:
                size = size << 8 | u8(&section)
                header = 4
            if not skip(&section, size) or seen[code >> 6] >> (code & 63) & 1:
                return DECLINED
            seen[code >> 6] |= <uint64_t> 1 << (code & 63)
            if code == MP_REACH and size > 4 and size > <size_t> 5 + octets[header + 3]:
                announces = True
            if not self.edit_attribute(octets, header, size, out, &changed):
                return DECLINED
        if not announces:
            return UNCHANGED
        for i in range(self.addition_count):
            code = self.additions[i].code
            if not seen[code >> 6] >> (code & 63) & 1:
                put(out, self.additions[i].octets, self.additions[i].size)
                changed = True
        if self.added_hop_size and has_nlri and not seen[0] >> NEXT_HOP & 1:
            put(out, self.added_hop, self.added_hop_size)
            changed = True
        if self.adds_otc and not seen[0] >> OTC & 1:
            put_u16(out, (OPTIONAL | TRANSITIVE) << 8 | OTC)
            put_u8(out, 4)
            put_u32(out, sender)
            changed = True
        return EDITED if changed else UNCHANGED

    cdef Outcome edit_message(self, Reader message, unsigned flags, uint32_t sender, Out* out) noexcept nogil:
        """Writes the message with its header, if it is edited."""
        cdef const uint8_t* head = take(&message, MESSAGE_HEADER)
        cdef Reader withdrawn, section
        cdef uint8_t* start = out.p
        cdef uint8_t* length
        cdef Outcome outcome
        if head == NULL:
            return DECLINED
        if head[MESSAGE_HEADER - 1] != UPDATE:
            return UNCHANGED
        if left(&message) > MOST or flags & GUESS_AS or (self.edits_path and not flags & AS4):
            return DECLINED
        withdrawn = sub(&message, u16(&message))
        section = sub(&message, u16(&message))
        if message.failed or withdrawn.failed or section.failed:
            return DECLINED
        if left(&section) == 0:
            return UNCHANGED
        put(out, head, MESSAGE_HEADER)
        put_u16(out, <unsigned> left(&withdrawn))
        put(out, withdrawn.base + withdrawn.pos, left(&withdrawn))
        length = out.p
        put_u16(out, 0)
        outcome = self.edit_section(section, left(&message) != 0, sender, out)
        if outcome != EDITED:
            return DECLINED if out.full else outcome
        put_size(length, out.p - length - 2)
        put(out, message.base + message.pos, left(&message))
        if out.full:
            return DECLINED
        put_size(start + 16, out.p - start)
        return EDITED

    def edit(self, bytes octets not None, index not None, wanted):
        """(octets, index, declined, edited): the octets and the index of a block with edited messages, the positions of
        those that are left to Python, and how many were edited; octets is the same object if none was.

        wanted: octets, one for each message, 0 for those that stay; None for all. Raises MemoryError.
        """
        cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
        cdef size_t size = PyBytes_GET_SIZE(octets)
        cdef bytearray new = bytearray(index)
        cdef Entry* entries = <Entry*> PyByteArray_AS_STRING(new)
        cdef size_t count = len(new) // sizeof(Entry), i, edited = 0
        cdef bytearray declined = bytearray(count)
        cdef uint8_t* marks = <uint8_t*> PyByteArray_AS_STRING(declined)
        cdef const uint8_t* chosen = NULL
        cdef Writer w
        cdef bint copied
        if wanted is not None:
            if <size_t> len(wanted) != count:
                raise ValueError("one octet for each message is needed")
            chosen = <const uint8_t*> PyBytes_AS_STRING(wanted)
        open_writer(&w, size + size // 2 + 2 * (MOST + MESSAGE_HEADER))
        with nogil:
            copied = copy_all(&w, base, size)
            for i in range(count):
                if copied and (chosen == NULL or chosen[i]):
                    marks[i] = self.edit_entry(base, size, &entries[i], &w)
                    edited += marks[i] == EDITED
        left_over = [i for i in range(count) if marks[i] == DECLINED] if DECLINED in declined else []
        written = close_writer(&w)
        return written if edited else octets, new, left_over, edited

    cdef Outcome edit_entry(self, const uint8_t* base, size_t size, Entry* entry, Writer* w) noexcept nogil:
        """Writes a message behind the others, if it is edited, and changes its entry."""
        cdef Reader message = message_of(base, size, entry), header
        cdef uint32_t sender = self.otc
        cdef uint8_t* p = room(w, MOST + MESSAGE_HEADER)
        cdef size_t place = w.used
        cdef Outcome outcome
        cdef Out out
        if message.failed or p == NULL or place + MOST + MESSAGE_HEADER > LAST_PLACE:
            return DECLINED
        if self.adds_otc and sender == 0:
            header = peer_of(base, size, entry)
            sender = u32(&header) if entry.flags & PEER_AS4 else u16(&header)
            if header.failed or sender == 0 or entry.flags & OWN_PEER:
                return DECLINED
        open_out(&out, p, MOST + MESSAGE_HEADER)
        outcome = self.edit_message(message, entry.flags, sender, &out)
        if outcome == EDITED:
            wrote(w, out.p)
            entry.offset = <uint32_t> place
            entry.length = <uint16_t> (out.p - p)
            entry.flags &= <uint16_t> ~(CHECKED | MALFORMED)
        return outcome


cdef inline void put_size(uint8_t* octets, size_t size) noexcept nogil:
    octets[0] = <uint8_t> (size >> 8)
    octets[1] = <uint8_t> size


cdef void* allocate(size_t count, size_t size) except NULL:
    cdef void* found = calloc(count + 1, size)
    if found == NULL:
        raise MemoryError
    return found


cdef inline bint copy_all(Writer* w, const uint8_t* octets, size_t size) noexcept nogil:
    cdef uint8_t* p = room(w, size)
    if p == NULL:
        return False
    memcpy(p, octets, size)
    wrote(w, p + size)
    return True
