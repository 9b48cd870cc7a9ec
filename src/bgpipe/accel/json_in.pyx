"""JSON lines to blocks: the same messages as bgpipe.formats.json makes, or the place where it must go on.

Taken are lines that say it as our own encoder does: no spaces, keys in its order, numbers without leading zeros,
addresses in the form of RFC 5952, tags of printable ASCII. A line with blanks, or with
keys in another order, is put into that form first (see `canonical`). Everything else is declined.

Octets are written without looking at how much room is left, because `decode` has asked for enough before each line:
no character becomes more than OCTETS_PER_CHARACTER octets (AS numbers "1," are the worst: each four octets, and with
every 255th the two of a segment's header), and what there is once in a message (its header, the lengths of its
sections, the per-peer header) stays below OCTETS_PER_LINE.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memmove, memset

from .attributes cimport (
    AGGREGATOR, AS4_AGGREGATOR, AS4_PATH, AS_PATH, ATOMIC_AGGREGATE, CLUSTER_LIST, COMMUNITY, EXTENDED,
    EXT_COMMUNITY, KNOWN_ATTRIBUTES, LARGE_COMMUNITY, LOCAL_PREF, MED, MP_REACH, MP_UNREACH, NEXT_HOP, OPTIONAL,
    ORIGIN, ORIGINATOR_ID, OTC, PARTIAL, TRANSITIVE,
)
from .block cimport AS4, LEFT, MESSAGE_HEADER, NO_PEER, PEER_AS4, RIB, RIGHT, Entry
from .octets cimport Reader, Writer, bytes_start, close_writer, left, open_writer, reader, room, sub, take, u8, wrote
from .spelling cimport OTHER_RANK, canonical, rank_of
from .text cimport get_ipv4, get_ipv6, get_number, get_prefixes, match, put_u16, put_u32, read_digits, read_number
from .update cimport AS_SEQUENCE, AS_SET

from .attributes import NAMES as ATTRIBUTE_NAMES



cdef enum:
    OCTETS_PER_CHARACTER = 3
    OCTETS_PER_LINE = 256
    MAX_LINE = 1 << 16
    MAX_MESSAGE = 4096
    ENOUGH = 1 << 24  # octets of messages after which `decode` stops
    UPDATE = 2
    KEEPALIVE = 4
    MAX_SEGMENT = 255
    PEER_HEADER = 44  # octets of the longest
    MAX_OTHER_TAGS = 32
    FRAGMENTS = 256   # slots of the cache of texts of tags


cdef struct Width:
    unsigned octets  # of an AS number in AS_PATH and AGGREGATOR
    bint said        # by the line itself
    bint rib         # whether the line says that the message is of a RIB


cdef inline bint ends_with(Reader* r, const char* text, size_t size) noexcept nogil:
    return left(r) > size and memcmp(r.base + r.end - size, text, size) == 0


cdef inline Width read_width(Reader* r) noexcept nogil:
    """What WIRE says, which is the last key of a line in our own spelling (see bgpipe.formats.json_meta)."""
    cdef Width width
    width.octets = 2 if ends_with(r, b'"WIRE":"AS2"}]', 14) or ends_with(r, b'"WIRE":"AS2|RIB"}]', 18) else 4
    width.said = width.octets == 2 or ends_with(r, b'"WIRE":"AS4"}]', 14) or ends_with(r, b'"WIRE":"AS4|RIB"}]', 18)
    width.rib = ends_with(r, b'"WIRE":"RIB"}]', 14) or width.said and ends_with(r, b'|RIB"}]', 7)
    return width


# ---------------------------------------------------------------------------------------------------------------------
# Path attributes: values

cdef inline uint8_t* get_set(uint8_t* p, Reader* r, unsigned width) noexcept nogil:
    """An AS_SET from behind its opening bracket."""
    cdef uint8_t* count = p + 1
    p[0] = AS_SET
    count[0] = 0
    p += 2
    while count[0] < MAX_SEGMENT:
        p = get_number(p, r, width)
        if p == NULL:
            return NULL
        count[0] += 1
        if match(r, b"]"):
            return p
        if not match(r, b","):
            return NULL
    return NULL


cdef inline uint8_t* get_path(uint8_t* p, Reader* r, unsigned width) noexcept nogil:
    """AS_PATH from behind its opening bracket: numbers are of as few AS_SEQUENCEs as hold them, a list is an AS_SET."""
    cdef uint8_t* count = NULL  # that of the sequence that the next number belongs to
    if match(r, b"]"):
        return p
    while True:
        if match(r, b"["):
            p = get_set(p, r, width)
            count = NULL
        else:
            if count == NULL or count[0] == MAX_SEGMENT:
                count = p + 1
                p[0] = AS_SEQUENCE
                count[0] = 0
                p += 2
            count[0] += 1
            p = get_number(p, r, width)
        if p == NULL:
            return NULL
        if match(r, b","):
            continue
        return p if match(r, b"]") else NULL


cdef inline uint8_t* get_tuples(uint8_t* p, Reader* r, unsigned parts, unsigned width) noexcept nogil:
    """A list of strings, each of so many numbers with colons between them, from behind its opening bracket."""
    cdef unsigned i
    while True:
        if not match(r, b'"'):
            return NULL
        for i in range(parts):
            if i and not match(r, b":"):
                return NULL
            p = get_number(p, r, width)
            if p == NULL:
                return NULL
        if match(r, b'",'):
            continue
        return p if match(r, b'"]') else NULL


cdef inline uint8_t* get_addresses(uint8_t* p, Reader* r) noexcept nogil:
    """A list of IPv4 addresses, from behind its opening bracket."""
    while True:
        if not match(r, b'"'):
            return NULL
        p = get_ipv4(p, r)
        if p == NULL:
            return NULL
        if match(r, b'",'):
            continue
        return p if match(r, b'"]') else NULL


cdef inline uint8_t* get_ext_communities(uint8_t* p, Reader* r) noexcept nogil:
    """Route targets and route origins (RFC 4360, RFC 5668), from behind the list's opening bracket."""
    cdef unsigned kind, subtype
    while True:
        if not match(r, b'{"type":"'):
            return NULL
        kind = 1 if match(r, b"IP4_") else 2 if match(r, b"AS4_") else 0
        subtype = 2 if match(r, b"TARGET") else 3 if match(r, b"ORIGIN") else 0
        if not subtype or not match(r, b'","value":"'):
            return NULL
        p[0] = kind
        p[1] = subtype
        p = get_ipv4(p + 2, r) if kind == 1 else get_number(p + 2, r, 4 if kind else 2)
        if p == NULL or not match(r, b":"):
            return NULL
        p = get_number(p, r, 2 if kind else 4)
        if p == NULL or not match(r, b'"}'):
            return NULL
        if match(r, b","):
            continue
        return p if match(r, b"]") else NULL


cdef inline uint8_t* get_aggregator(uint8_t* p, Reader* r, unsigned width) noexcept nogil:
    if not match(r, b'{"asn":'):
        return NULL
    p = get_number(p, r, width)
    if p == NULL or not (match(r, b', "addr":"') or match(r, b',"addr":"')):
        return NULL
    p = get_ipv4(p, r)
    return p if p != NULL and match(r, b'"}') else NULL


cdef inline uint8_t* get_next_hop(uint8_t* p, Reader* r) noexcept nogil:
    """An IPv4 or IPv6 address, which may be an IPv4-mapped one, and the quote behind it."""
    cdef Reader again = r[0]
    cdef uint8_t* end
    if match(r, b"::ffff:"):
        memcpy(p, b"\0\0\0\0\0\0\0\0\0\0\xff\xff", 12)
        end = get_ipv4(p + 12, r)
    else:
        end = get_ipv4(p, r)
    if end == NULL:
        r[0] = again
        end = get_ipv6(p, r)
    return end if end != NULL and match(r, b'"') else NULL


cdef inline uint8_t* get_mp(uint8_t* p, Reader* r, bint is_reach) noexcept nogil:
    """MP_REACH_NLRI or MP_UNREACH_NLRI of IPv4 and IPv6, unicast and multicast (RFC 4760)."""
    cdef bint ipv6
    cdef uint8_t* hop
    if match(r, b'{"af":"IPV4/'):
        ipv6 = False
    elif match(r, b'{"af":"IPV6/'):
        ipv6 = True
    else:
        return NULL
    p[0] = 0
    p[1] = 2 if ipv6 else 1
    p[2] = 1 if match(r, b'UNICAST",') else 2 if match(r, b'MULTICAST",') else 0
    if p[2] == 0:
        return NULL
    p += 3
    if is_reach:
        if not match(r, b'"nexthop":"'):
            return NULL
        hop = p
        p = get_next_hop(hop + 1, r)
        if p != NULL and match(r, b',"link-local":"'):
            p = get_next_hop(p, r)
        if p == NULL or not match(r, b","):
            return NULL
        hop[0] = <uint8_t> (p - hop - 1)
        if hop[0] != 16 and hop[0] != 32 and (hop[0] != 4 or ipv6):
            return NULL
        p[0] = 0
        p += 1
    if not match(r, b'"prefixes":['):
        return NULL
    p = get_prefixes(p, r, ipv6)
    return p if p != NULL and match(r, b"}") else NULL


cdef inline uint8_t* get_value(uint8_t* p, Reader* r, unsigned code, unsigned width) noexcept nogil:
    if code == ORIGIN:
        p[0] = 0 if match(r, b'"IGP"') else 1 if match(r, b'"EGP"') else 2
        return p + 1 if p[0] < 2 or match(r, b'"INCOMPLETE"') else NULL
    if code == MED or code == LOCAL_PREF or code == OTC:
        return get_number(p, r, 4)
    if code == ATOMIC_AGGREGATE:
        return p if match(r, b"true") else NULL
    if code == AGGREGATOR or code == AS4_AGGREGATOR:
        return get_aggregator(p, r, width if code == AGGREGATOR else 4)
    if code == MP_REACH or code == MP_UNREACH:
        return get_mp(p, r, code == MP_REACH)
    if code == NEXT_HOP or code == ORIGINATOR_ID:
        if not match(r, b'"'):
            return NULL
        p = get_ipv4(p, r)
        return p if p != NULL and match(r, b'"') else NULL
    if not match(r, b"["):
        return NULL
    if code == AS_PATH or code == AS4_PATH:
        return get_path(p, r, width if code == AS_PATH else 4)
    if code == COMMUNITY:
        return get_tuples(p, r, 2, 2)
    if code == LARGE_COMMUNITY:
        return get_tuples(p, r, 3, 4)
    if code == EXT_COMMUNITY:
        return get_ext_communities(p, r)
    return get_addresses(p, r) if code == CLUSTER_LIST else NULL


# ---------------------------------------------------------------------------------------------------------------------
# Path attributes: names and flags

cdef struct Name:
    uint8_t code
    uint8_t size
    uint8_t text[30]  # with the quote behind it


cdef Name NAMES[KNOWN_ATTRIBUTES]


cdef fill_names():
    if not ATTRIBUTE_NAMES:
        raise ImportError("accel has not been told of path attributes: import bgpipe.wire.attrs first")
    for place, (code, name) in enumerate(ATTRIBUTE_NAMES.items()):
        NAMES[place] = Name(code, len(name) + 1, list((name + b'"').ljust(30)))


fill_names()


cdef inline unsigned read_name(Reader* r, unsigned* place) noexcept nogil:
    """The code of the attribute whose name and closing quote come next, 0 declines; place: where to look first."""
    cdef Reader ahead
    cdef const uint8_t* text
    cdef const Name* name
    cdef unsigned i
    for i in range(<unsigned> KNOWN_ATTRIBUTES):
        if place[0] == KNOWN_ATTRIBUTES:
            place[0] = 0
        name = &NAMES[place[0]]
        place[0] += 1
        ahead = r[0]
        text = take(&ahead, name.size)
        if text != NULL and memcmp(text, name.text, name.size) == 0:
            r.pos = ahead.pos
            return name.code
    return 0


cdef inline Reader read_value(Reader* r) noexcept nogil:
    """The object or list that comes next, which is passed over; a failed reader if it is none, or has escapes."""
    cdef Reader value = r[0]
    cdef size_t depth = 0
    cdef bint in_text = False
    cdef uint8_t char
    while left(r):
        char = u8(r)
        if char == c"\\" or depth == 0 and char != c"{" and char != c"[":
            break
        if char == c'"':
            in_text = not in_text
        elif in_text:
            continue
        elif char == c"{" or char == c"[":
            depth += 1
        elif char == c"}" or char == c"]":
            depth -= 1
            if depth == 0:
                value.end = r.pos
                return value
    return reader(r.base, 1, 0)


cdef uint8_t* get_foreign(uint8_t* p, Reader* r, PyObject* parse, Reader name, unsigned* code) noexcept with gil:
    """A value of an attribute that Python reads; NULL declines. code: is set."""
    cdef Reader text = read_value(r)
    cdef size_t size = left(&text)
    if text.failed:
        return NULL
    try:
        found = <bytes?> (<object> parse)(
            PyBytes_FromStringAndSize(<const char*> (name.base + name.pos), left(&name)),
            PyBytes_FromStringAndSize(<const char*> (text.base + text.pos), size),
        )
    except Exception:
        return NULL
    if not found or found[0] > 63 or <size_t> PyBytes_GET_SIZE(found) > OCTETS_PER_CHARACTER * size:
        return NULL
    code[0] = found[0]
    memcpy(p, PyBytes_AS_STRING(found) + 1, PyBytes_GET_SIZE(found) - 1)
    return p + PyBytes_GET_SIZE(found) - 1


cdef inline Reader read_text(Reader* r) noexcept nogil:
    """What comes up to the next quote, which is passed over; a failed reader if there is none."""
    cdef Reader ahead = r[0]
    cdef size_t size = left(r)
    cdef const uint8_t* text = take(&ahead, size)
    cdef const uint8_t* quote = <const uint8_t*> memchr(text, c'"', size)
    cdef Reader found
    if quote == NULL:
        return reader(r.base, 1, 0)
    found = sub(r, quote - text)
    take(r, 1)
    return found


cdef inline uint8_t* get_attributes(uint8_t* p, Reader* r, Width* width, PyObject* parse) noexcept nogil:
    """The members of "attrs", from behind its opening brace to behind its closing one."""
    cdef Reader name, again
    cdef uint8_t* start
    cdef uint8_t* value
    cdef uint64_t seen = 0
    cdef unsigned place = 0, code, flags
    cdef size_t size
    while True:
        if not match(r, b'"'):
            return NULL
        again = r[0]
        code = read_name(r, &place)
        if code == 0:
            name = read_text(r)
        else:
            name = reader(r.base, again.pos, r.pos - 1)
        if name.failed or not match(r, b':{"flags":"'):
            return NULL
        if (code == AS4_PATH or code == AS4_AGGREGATOR) and not width.said:
            return NULL  # which width the other AS numbers have then is for Python to find out
        flags = OPTIONAL if match(r, b"O") else 0
        if match(r, b"T"):
            flags |= TRANSITIVE
        if match(r, b"P"):
            flags |= PARTIAL
        if match(r, b"X"):
            flags |= EXTENDED
        if not match(r, b'","value":'):
            return NULL
        start = p
        value = p + (4 if flags & EXTENDED else 3)
        again = r[0]
        p = get_value(value, r, code, width.octets) if code else NULL
        if p == NULL and parse != NULL and (
            code == 0 or code == EXT_COMMUNITY or code == MP_REACH or code == MP_UNREACH
        ):
            r[0] = again
            p = get_foreign(value, r, parse, name, &code)
        if p == NULL or not match(r, b"}") or (seen >> code) & 1:
            return NULL
        seen |= <uint64_t> 1 << code
        size = p - value
        if size > 255 and not flags & EXTENDED:
            flags |= EXTENDED
            memmove(value + 1, value, size)
            p += 1
        start[0] = flags
        start[1] = code
        start[2] = size
        if flags & EXTENDED:
            put_u16(start + 2, <uint32_t> size)
        if match(r, b","):
            continue
        return p if match(r, b"}") else NULL


# ---------------------------------------------------------------------------------------------------------------------
# Messages

cdef struct Clock:
    uint8_t text[19]  # YYYY-MM-DDTHH:MM:SS
    int64_t second    # since 1970


cdef inline bint read_second(const uint8_t* text, int64_t* second) noexcept nogil:
    """YYYY-MM-DDTHH:MM:SS, UTC, from 1970 on. Years are counted from March, so that a leap day comes last."""
    cdef Reader r = reader(text, 0, 19)
    cdef unsigned year, month, day, hour, minute, sec, last
    cdef int64_t years, days
    if not (
        read_digits(&r, 4, &year) and match(&r, b"-") and read_digits(&r, 2, &month) and match(&r, b"-")
        and read_digits(&r, 2, &day) and match(&r, b"T") and read_digits(&r, 2, &hour) and match(&r, b":")
        and read_digits(&r, 2, &minute) and match(&r, b":") and read_digits(&r, 2, &sec)
    ):
        return False
    if month == 2:
        last = 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    else:
        last = 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31
    if year < 1970 or not 1 <= month <= 12 or not 1 <= day <= last or hour > 23 or minute > 59 or sec > 59:
        return False
    years = year - (1 if month < 3 else 0)
    days = years * 365 + years // 4 - years // 100 + years // 400
    days += (153 * (month + (9 if month < 3 else -3)) + 2) // 5 + day - 1 - 719468
    second[0] = days * 86400 + hour * 3600 + minute * 60 + sec
    return True


cdef inline bint read_time(Reader* r, Clock* clock, int64_t* time) noexcept nogil:
    """A time with three or six digits of the second's fraction, and the quote behind it; in microseconds since 1970."""
    cdef const uint8_t* text = take(r, 19)
    cdef unsigned millis, micros = 0
    if text == NULL:
        return False
    if memcmp(text, clock.text, 19) != 0:
        if not read_second(text, &clock.second):
            return False
        memcpy(clock.text, text, 19)
    if not match(r, b".") or not read_digits(r, 3, &millis):
        return False
    if not match(r, b'"') and not (read_digits(r, 3, &micros) and match(r, b'"')):
        return False
    time[0] = clock.second * 1000000 + millis * 1000 + micros
    return True


cdef inline bint match_member(Reader* r, const char* name, bint* first) noexcept nogil:
    """Passes over an object's next name, and the comma before it unless it is the first; otherwise over nothing."""
    cdef Reader again = r[0]
    if (first[0] or match(r, b",")) and match(r, name):
        first[0] = False
        return True
    r[0] = again
    return False


cdef inline Reader read_list(Reader* r) noexcept nogil:
    """What comes up to the next closing bracket, with it; a failed reader if there is none."""
    cdef Reader ahead = r[0]
    cdef size_t size = left(r)
    cdef const uint8_t* text = take(&ahead, size)
    cdef const uint8_t* bracket = <const uint8_t*> memchr(text, c"]", size)
    return sub(r, size + 1 if bracket == NULL else bracket - text + 1)


cdef inline uint8_t* get_update(uint8_t* p, Reader* r, Width* width, PyObject* parse) noexcept nogil:
    """The body of an UPDATE (RFC 4271 section 4.3). "reach" stands first in the text and last in the message."""
    cdef Reader reach = reader(r.base, r.pos, r.pos)
    cdef bint first = True
    cdef uint8_t* start = p
    if not match(r, b"{"):
        return NULL
    if match_member(r, b'"reach":[', &first):
        reach = read_list(r)
        if reach.failed:
            return NULL
    p += 2
    if match_member(r, b'"unreach":[', &first):
        p = get_prefixes(p, r, False)
        if p == NULL:
            return NULL
    put_u16(start, <uint32_t> (p - start - 2))
    start = p
    p += 2
    if match_member(r, b'"attrs":{', &first):
        p = get_attributes(p, r, width, parse)
        if p == NULL:
            return NULL
    put_u16(start, <uint32_t> (p - start - 2))
    if left(&reach):
        p = get_prefixes(p, &reach, False)
    return p if match(r, b"}") else NULL


cdef inline size_t get_address(uint8_t* address, Reader* r) noexcept nogil:
    """The octets of an address, 4 or 16, and the quote behind it; 0 declines.

    Declined are the unspecified address, which is no tag, and addresses whose text may end like an IPv4 address.
    """
    cdef uint8_t* end = get_next_hop(address, r)
    cdef size_t size = end - address
    if end == NULL or memcmp(address, b"\0" * 10, 4 if size == 4 else 10) == 0:
        return 0
    return size


cdef inline bint skip_text(Reader* r) noexcept nogil:
    """Passes over a string of printable ASCII without escapes that is not empty, and its quotes."""
    cdef uint8_t char
    cdef size_t start
    if not match(r, b'"'):
        return False
    start = r.pos
    while True:
        char = u8(r)
        if char == c'"':
            return r.pos > start + 1
        if char < c" " or char > c"~" or char == c"\\":
            return False


cdef inline bint skip_other_tags(Reader* r, bint* first) noexcept nogil:
    """Passes over the tags that a per-peer header has no place for, none of which may come twice; False declines."""
    cdef Reader keys[MAX_OTHER_TAGS]
    cdef Reader again
    cdef unsigned count = 0, i
    cdef size_t size
    while count < MAX_OTHER_TAGS:
        again = r[0]
        if not first[0] and not match(r, b","):
            return True
        keys[count] = reader(r.base, r.pos, r.end)
        if not skip_text(r):
            r[0] = again
            return True
        size = r.pos - keys[count].pos
        keys[count].end = r.pos
        if rank_of(r.base + keys[count].pos, size) != OTHER_RANK or memcmp(r.base + keys[count].pos, b'"ACTION"', 8) == 0:
            r[0] = again
            return True
        for i in range(count):
            if left(&keys[i]) == size and memcmp(r.base + keys[i].pos, r.base + keys[count].pos, size) == 0:
                return False
        if not match(r, b":") or not skip_text(r):
            return False
        first[0] = False
        count += 1
    return False


cdef inline uint8_t* get_tags(uint8_t* p, Reader* r, Reader* members) noexcept nogil:
    """The per-peer header that says these tags, with AS numbers of 4 octets (see bgpipe.wire.peer).

    members: the text of all tags if the header doesn't say them all, else nothing.
    """
    cdef uint8_t address[16]
    cdef uint64_t number = 1
    cdef size_t size = 4, peer_size = 0, start
    cdef bint first = True
    if not match(r, b"{"):
        return NULL
    members[0] = reader(r.base, r.pos, r.pos)
    memset(p, 0, PEER_HEADER)
    if match_member(r, b'"PEER_AS":"', &first):
        if not read_number(r, 0xFFFFFFFF, &number) or number == 0 or not match(r, b'"'):
            return NULL
        put_u32(p, <uint32_t> number)
    if match_member(r, b'"PEER_IP":"', &first):
        size = peer_size = get_address(p + 12, r)
        if size == 0:
            return NULL
    if match_member(r, b'"LOCAL_AS":"', &first):
        if not read_number(r, 0xFFFFFFFF, &number) or number == 0 or not match(r, b'"'):
            return NULL
        put_u32(p + 4, <uint32_t> number)
    if match_member(r, b'"LOCAL_IP":"', &first):
        size = get_address(address, r)
        if size == 0 or peer_size != 0 and peer_size != size:
            return NULL
        memcpy(p + 12 + size, address, size)
    if match_member(r, b'"INTERFACE":"', &first):
        if not read_number(r, 0xFFFF, &number) or number == 0 or not match(r, b'"'):
            return NULL
        put_u16(p + 8, <uint32_t> number)
    start = r.pos
    if not skip_other_tags(r, &first):
        return NULL
    if r.pos > start:
        members.end = r.pos
    if match_member(r, b'"WIRE":"', &first):  # read_width has seen what it says
        start = r.pos
        if match(r, b"AS2") or match(r, b"AS4"):
            match(r, b"|")
        if not match(r, b"RIB") and r.pos != start + 3 or not match(r, b'"'):
            return NULL
    p[11] = 1 if size == 4 else 2
    return p + 12 + 2 * size if match(r, b"}") else NULL


cdef inline uint8_t* get_line(
    uint8_t* p, Reader* r, Clock* clock, Entry* entry, Reader* members, PyObject* parse
) noexcept nogil:
    """A message, and its per-peer header behind it; fills the entry, with offsets from `p`, but not its tags.

    members: the text of the tags if the header doesn't say them all, else nothing.
    """
    cdef uint8_t* start = p
    cdef uint64_t seq
    cdef unsigned kind
    cdef Width width = read_width(r)
    if match(r, b'["R",'):
        entry.flags = AS4 | PEER_AS4 | RIGHT
    elif match(r, b'["L",'):
        entry.flags = AS4 | PEER_AS4 | LEFT
    elif match(r, b'["LR",'):
        entry.flags = AS4 | PEER_AS4 | LEFT | RIGHT
    elif match(r, b'["?",'):
        entry.flags = AS4 | PEER_AS4
    else:
        return NULL
    if not read_number(r, 1000000000000000000, &seq) or not match(r, b',"') or not read_time(r, clock, &entry.time):
        return NULL
    p += MESSAGE_HEADER
    if match(r, b',"UPDATE",'):
        kind = UPDATE
        p = get_update(p, r, &width, parse)
    elif match(r, b',"KEEPALIVE",null'):
        kind = KEEPALIVE
    else:
        return NULL
    if p == NULL or p - start > MAX_MESSAGE:
        return NULL
    memset(start, 0xFF, 16)
    put_u16(start + 16, <uint32_t> (p - start))
    start[18] = kind
    entry.seq = <int64_t> seq
    entry.offset = 0
    entry.peer = <uint32_t> (p - start)
    entry.length = <uint16_t> (p - start)
    entry.tags = 0
    members[0] = reader(r.base, 0, 0)
    if width.octets == 2:
        entry.flags ^= AS4
    if width.rib and kind == UPDATE:
        entry.flags |= RIB
    if match(r, b"]") or match(r, b",null]"):
        entry.peer = NO_PEER
        return p if left(r) == 0 else NULL
    if not match(r, b","):
        return NULL
    p = get_tags(p, r, members)
    return p if p != NULL and match(r, b"]") and left(r) == 0 else NULL


cdef struct Fragment:
    uint32_t hash
    uint32_t place  # behind its length; 0 is a free slot
    uint32_t size


cdef inline uint32_t put_fragment(Writer* tags, Fragment* known, Reader members) noexcept nogil:
    """The column `tags` of an entry whose tags have this text (bgpipe.wire.tags); 0 if memory ran out."""
    cdef const uint8_t* text = members.base + members.pos
    cdef uint32_t size = <uint32_t> left(&members)
    cdef uint32_t hash = 2166136261
    cdef uint32_t i
    cdef Fragment* slot
    cdef uint8_t* p
    for i in range(size):
        hash = (hash ^ text[i]) * 16777619
    slot = &known[hash % FRAGMENTS]
    if (
        slot.place
        and slot.hash == hash
        and slot.size == size
        and memcmp(bytes_start(tags.octets) + slot.place, text, size) == 0
    ):
        return slot.place - 3
    slot.hash = hash
    slot.size = size
    slot.place = <uint32_t> tags.used + 4
    p = room(tags, 4 + size)
    if p == NULL:
        return 0
    p = put_u32(p, size)
    memcpy(p, text, size)
    wrote(tags, p + size)
    return slot.place - 3


cdef inline Reader next_line(Reader* r) noexcept nogil:
    """The next line, its end passed over; a failed reader if it has none, or is too long to be ours."""
    cdef Reader ahead = r[0]
    cdef Reader line
    cdef size_t size = min(left(r), <size_t> MAX_LINE)
    cdef const uint8_t* text = take(&ahead, size)
    cdef const uint8_t* end = <const uint8_t*> memchr(text, c"\n", size)
    if end == NULL:
        return reader(r.base, 1, 0)
    line = sub(r, end - text)
    take(r, 1)
    return line


def decode(bytes lines not None, Py_ssize_t start, parse=None):
    """(octets, index, end, tags): a block of the messages from `start` to before the first line that is declined.

    A line without an end is. `end` may also come where enough has been read. parse: called with the name of an attribute
    that accel can't read and the text of its value, gives its code and octets, nothing to decline. Raises MemoryError.
    """
    cdef PyObject* parser = NULL
    cdef Py_ssize_t size = PyBytes_GET_SIZE(lines)
    cdef Writer octets, entries, scratch, tags
    cdef Fragment known[FRAGMENTS]
    cdef size_t offset
    cdef Reader r, line, text, members
    cdef uint8_t* start_of
    cdef Clock clock
    cdef Entry entry
    cdef uint8_t* p
    if parse is not None:
        parser = <PyObject*> parse
    if start < 0:
        raise ValueError("start is before the first octet")
    r = reader(<const uint8_t*> PyBytes_AS_STRING(lines), start, size)
    open_writer(&octets, 1 << 12)  # not more, since the first line may be declined already
    open_writer(&entries, 64 * sizeof(Entry))
    open_writer(&scratch, 64)
    open_writer(&tags, 64)
    memset(known, 0, sizeof(known))
    memcpy(clock.text, b"1970-01-01T00:00:00", 19)
    clock.second = 0
    with nogil:
        while octets.used < ENOUGH:
            line = next_line(&r)
            if line.failed:
                break
            text = line
            p = room(&octets, OCTETS_PER_CHARACTER * left(&line) + OCTETS_PER_LINE)
            if p == NULL:
                break
            offset = octets.used
            start_of = p
            p = get_line(start_of, &line, &clock, &entry, &members, parser)
            if p == NULL:
                line = canonical(&scratch, text)
                p = get_line(start_of, &line, &clock, &entry, &members, parser)
            if p == NULL:
                break
            wrote(&octets, p)
            if left(&members):
                entry.tags = put_fragment(&tags, known, members)
                if entry.tags == 0:
                    break
            entry.offset += <uint32_t> offset
            entry.peer += <uint32_t> offset
            p = room(&entries, sizeof(Entry))
            if p == NULL:
                break
            memcpy(p, &entry, sizeof(Entry))
            wrote(&entries, p + sizeof(Entry))
            start = r.pos
    close_writer(&scratch)
    fragments = close_writer(&tags)
    index = close_writer(&entries)
    return close_writer(&octets), bytearray(index), start, fragments
