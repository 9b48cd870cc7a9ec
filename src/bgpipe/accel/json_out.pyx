"""Blocks to JSON lines: the same octets as bgpipe.formats.json writes, or the place where it must go on.

Text is written without looking at how much room is left, because `encode` has asked for enough before each message:
no octet of a message becomes more than TEXT_PER_OCTET octets of text (a default route "0.0.0.0/0", is the worst), and
what there is once in a message (envelope, the peer's tags, the heads of at most 17 attributes) stays below
TEXT_PER_MESSAGE. NLRI that are objects, and attributes whose text comes from Python, may need more: those that do, by
more than is in reserve for them, are declined. Tags of its own come as they are in the block, and count in full.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset, strlen

from .attributes cimport (
    AGGREGATOR, AS4_AGGREGATOR, AS4_PATH, AS_PATH, ATOMIC_AGGREGATE, CLUSTER_LIST, COMMUNITY, EXT_COMMUNITY,
    LARGE_COMMUNITY, LOCAL_PREF, MED, MP_REACH, MP_UNREACH, NEXT_HOP, ORIGIN, ORIGINATOR_ID, OTC,
)
from .block cimport (
    ADD_PATH, ADD_PATH_IPV4, ADD_PATH_IPV6, AS4, CHECKED, LEFT, MESSAGE_HEADER, NO_PEER, PEER_AS4, RIB, RIGHT, Entry,
    message_of, next_entry, octets_of, peer_of, tags_of,
)
from .layout cimport (
    ADDRESS, BASE, BITS, CHOICE, COMMUNITY as COMMUNITY_PART, CONSTANT, COUNTED_IP, ESI, FLAGS, GATEWAY, INNER, INNER_TLVS,
    IP, KEY, LABELS, MAC, NAME, NUMBER, OCTETS, PREFIX, RD, STACK, TYPED, WORDS, Layout, Part, Table, find_attribute,
    find_family, find_layout, may_have_name,
)
from .octets cimport (
    Reader, Writer, close_writer, left, open_writer, reader, room, skip, sub, take, u8, u16, u32, wrote,
)
from .update cimport AS_SET, OBJECTS, Attribute, Mp, Update, has, locate, plausible

from .attributes import NAMES


cdef enum:
    TEXT_PER_OCTET = 12
    TEXT_PER_MESSAGE = 8192
    SPARE_PER_FOREIGN = 512  # octets of text that an attribute from Python may have beyond TEXT_PER_OCTET
    CONTEXT = AS4 | ADD_PATH | ADD_PATH_IPV4 | ADD_PATH_IPV6
    USUAL_TEXT_PER_OCTET = 5
    UPDATE = 2
    KEEPALIVE = 4
    PMSI_TUNNEL = 22


# ---------------------------------------------------------------------------------------------------------------------
# Tables, filled on import

cdef uint8_t DECIMAL[1000][4]    # 0 to 999 without leading zeros; [3] is how many digits
cdef uint8_t DECIMAL3[1000][4]   # 000 to 999
cdef uint8_t HEX[256][4]         # 0 to ff without leading zeros; [3] is how many digits
cdef uint8_t HEX2[256][2]        # 00 to ff
cdef uint8_t ZERO_RUN[256][2]    # zero words of an IPv6 address, one bit each: start and length of the run for "::"
cdef uint8_t HEAD[36][16][64]    # "NAME":{"flags":"..","value":   by code and flags >> 4; [63] is its length


cdef fill_tables():
    for number in range(1000):
        text = b"%d" % number
        DECIMAL[number] = [*text.ljust(3, b" "), len(text)]
        DECIMAL3[number] = [*b"%03d" % number, 0]
    for number in range(256):
        text = b"%x" % number
        HEX[number] = [*text.ljust(3, b" "), len(text)]
        HEX2[number] = [*b"%02x" % number]
        runs = [(0, 0)]  # RFC 5952 section 4.2: the longest run of two or more, the first of equals
        for start in range(8):
            size = 0
            while start + size < 8 and number >> (start + size) & 1:
                size += 1
            if size >= 2:
                runs.append((start, size))
        ZERO_RUN[number] = max(runs, key=lambda run: run[1])
    if not NAMES:
        raise ImportError("accel has not been told of path attributes: import bgpipe.wire.attrs first")
    for code, name in NAMES.items():
        for flags in range(16):
            letters = bytes(letter for bit, letter in zip((8, 4, 2, 1), b"OTPX") if flags & bit)
            text = b'"%s":{"flags":"%s","value":' % (name, letters)
            HEAD[code][flags] = [*text.ljust(63), len(text)]


fill_tables()


# ---------------------------------------------------------------------------------------------------------------------
# Text: each function writes at `p` and returns the place behind; NULL declines

cdef inline uint8_t* put(uint8_t* p, const char* text) noexcept nogil:
    cdef size_t size = strlen(text)
    memcpy(p, text, size)
    return p + size


cdef inline uint8_t* put_char(uint8_t* p, uint8_t char) noexcept nogil:
    p[0] = char
    return p + 1


cdef inline uint8_t* close_with(uint8_t* p, uint8_t bracket) noexcept nogil:
    """A closing bracket instead of the comma after the last element."""
    if (p - 1)[0] == c",":
        p -= 1
    p[0] = bracket
    return p + 1


cdef inline uint8_t* put_small(uint8_t* p, uint32_t number) noexcept nogil:
    """0 to 999."""
    memcpy(p, DECIMAL[number], 4)
    return p + DECIMAL[number][3]


cdef inline uint8_t* put_three(uint8_t* p, uint32_t number) noexcept nogil:
    """000 to 999."""
    memcpy(p, DECIMAL3[number], 4)
    return p + 3


cdef inline uint8_t* put_u32(uint8_t* p, uint32_t number) noexcept nogil:
    cdef uint32_t thousands
    if number < 1000:
        return put_small(p, number)
    thousands = number // 1000
    if thousands < 1000:
        p = put_small(p, thousands)
    else:
        if thousands < 1000000:
            p = put_small(p, thousands // 1000)
        else:
            p = put_three(put_small(p, thousands // 1000000), thousands // 1000 % 1000)
        p = put_three(p, thousands % 1000)
    return put_three(p, number % 1000)


cdef inline uint8_t* put_u64(uint8_t* p, uint64_t number) noexcept nogil:
    """0 to 10^18 - 1."""
    if number < 1000000000:
        return put_u32(p, <uint32_t> number)
    p = put_u32(p, <uint32_t> (number // 1000000000))
    number %= 1000000000
    p = put_three(p, <uint32_t> (number // 1000000))
    p = put_three(p, <uint32_t> (number // 1000 % 1000))
    return put_three(p, <uint32_t> (number % 1000))


cdef inline uint8_t* put_hex(uint8_t* p, unsigned word) noexcept nogil:
    """0 to ffff."""
    if word < 256:
        memcpy(p, HEX[word], 4)
        return p + HEX[word][3]
    memcpy(p, HEX[word >> 8], 4)
    p += HEX[word >> 8][3]
    memcpy(p, HEX2[word & 255], 2)
    return p + 2


cdef inline uint8_t* put_hex_u48(uint8_t* p, unsigned high, uint32_t low) noexcept nogil:
    """16 and 32 bits as one number, without leading zeros."""
    cdef unsigned words[3]
    cdef unsigned i = 0
    words[0] = high
    words[1] = low >> 16
    words[2] = low & 0xFFFF
    while i < 2 and words[i] == 0:
        i += 1
    p = put_hex(p, words[i])
    for i in range(i + 1, 3):
        memcpy(p, HEX2[words[i] >> 8], 2)
        memcpy(p + 2, HEX2[words[i] & 255], 2)
        p += 4
    return p


cdef inline uint8_t* put_ipv4(uint8_t* p, const uint8_t* address) noexcept nogil:
    p = put_char(put_small(p, address[0]), c".")
    p = put_char(put_small(p, address[1]), c".")
    p = put_char(put_small(p, address[2]), c".")
    return put_small(p, address[3])


cdef inline uint8_t* put_ipv6(uint8_t* p, const uint8_t* address) noexcept nogil:
    """RFC 5952. IPv4-compatible addresses (::a.b.c.d) are declined: C libraries differ on their text."""
    cdef unsigned words[8]
    cdef unsigned zeros = 0
    cdef unsigned i, start, size
    for i in range(8):
        words[i] = <unsigned> address[2 * i] << 8 | address[2 * i + 1]
        zeros |= <unsigned> (words[i] == 0) << i
    if zeros & 31 == 31:
        if words[5] == 0xFFFF:
            return put_ipv4(put(p, b"::ffff:"), address + 12)
        if words[5] == 0 and (words[6] != 0 or words[7] > 1):
            return NULL
    start = ZERO_RUN[zeros][0]
    size = ZERO_RUN[zeros][1]
    if size == 0:
        start = 8
    i = 0
    while i < 8:
        if i == start:
            p = put_char(p, c":")
            i += size
            if i == 8:
                p = put_char(p, c":")
            continue
        if i:
            p = put_char(p, c":")
        p = put_hex(p, words[i])
        i += 1
    return p


cdef inline uint8_t* put_next_prefix(uint8_t* p, Reader* r, bint ipv6, bint add_path) noexcept nogil:
    """The next prefix; bits behind the mask are cleared."""
    cdef uint8_t address[16]
    cdef const uint8_t* octets
    cdef unsigned length, size
    if add_path:
        p = put_char(put_u32(put_char(p, c"#"), u32(r)), c"#")
    length = u8(r)
    size = (length + 7) >> 3
    octets = take(r, size)
    if octets == NULL or size > 16:
        return NULL
    memset(address, 0, 16)
    memcpy(address, octets, size)
    if length & 7:
        address[size - 1] &= 0xFF00 >> (length & 7)
    p = put_ipv6(p, address) if ipv6 else put_ipv4(p, address)
    return NULL if p == NULL else put_small(put_char(p, c"/"), length)


cdef uint8_t* put_prefix(uint8_t* p, Reader* r, bint ipv6, bint add_path) noexcept nogil:
    return put_next_prefix(p, r, ipv6, add_path)


cdef inline uint8_t* put_prefixes(uint8_t* p, Reader r, bint ipv6, bint add_path) noexcept nogil:
    """Prefixes with a comma behind each."""
    while left(&r):
        p = put_next_prefix(put_char(p, c'"'), &r, ipv6, add_path)
        if p == NULL:
            return NULL
        p = put(p, b'",')
    return p


# ---------------------------------------------------------------------------------------------------------------------
# Path attributes

cdef inline uint8_t* put_path(uint8_t* p, Reader r, bint as4) noexcept nogil:
    """AS_PATH: sequences are flat, a set is a list of its own."""
    cdef unsigned kind, count
    p = put_char(p, c"[")
    while left(&r):
        kind = u8(&r)
        count = u8(&r)
        if kind == AS_SET:
            p = put_char(p, c"[")
        while count and not r.failed:
            p = put_char(put_u32(p, u32(&r) if as4 else u16(&r)), c",")
            count -= 1
        if kind == AS_SET:
            p = put_char(close_with(p, c"]"), c",")
    return close_with(p, c"]")


cdef inline uint8_t* put_addresses(uint8_t* p, Reader r) noexcept nogil:
    p = put_char(p, c"[")
    while left(&r) >= 4:
        p = put(put_ipv4(put_char(p, c'"'), take(&r, 4)), b'",')
    return close_with(p, c"]")


cdef inline uint8_t* put_communities(uint8_t* p, Reader r) noexcept nogil:
    p = put_char(p, c"[")
    while left(&r):
        p = put_char(put_u32(put_char(p, c'"'), u16(&r)), c":")
        p = put(put_u32(p, u16(&r)), b'",')
    return close_with(p, c"]")


cdef inline uint8_t* put_large_communities(uint8_t* p, Reader r) noexcept nogil:
    p = put_char(p, c"[")
    while left(&r):
        p = put_char(put_u32(put_char(p, c'"'), u32(&r)), c":")
        p = put_char(put_u32(p, u32(&r)), c":")
        p = put(put_u32(p, u32(&r)), b'",')
    return close_with(p, c"]")


cdef inline uint8_t* put_next_hop(uint8_t* p, Reader* r, const char* name, size_t size) noexcept nogil:
    """A next hop of 4 or 16 octets."""
    cdef const uint8_t* address = take(r, size)
    if address == NULL:
        return NULL
    p = put(p, name)
    p = put_ipv4(p, address) if size == 4 else put_ipv6(p, address)
    return NULL if p == NULL else put_char(p, c'"')


include "json_families.pxi"


cdef inline uint8_t* put_ext_community(uint8_t* p, Reader* r) noexcept nogil:
    """Route targets, route origins (RFC 4360, RFC 5668), types without a name, and those of put_named_value."""
    cdef unsigned kind = u16(r), high = kind >> 8 & 0xBF, subtype = kind & 0xFF  # without the bit for nontransitive ones
    cdef const uint8_t* address
    p = put(p, b'{"type":"')
    if high <= 2 and (subtype == 2 or subtype == 3):
        p = put(p, b"" if high == 0 else b"IP4_" if high == 1 else b"AS4_")
        p = put(p, b"TARGET" if subtype == 2 else b"ORIGIN")
    elif high == 8 or high & 0x80 or may_have_name(kind & 0xBFFF):
        p = put_named_value(p, r, kind & 0xBFFF)
        if p == NULL or r.failed:
            return NULL
        return put(p, b',"nontransitive":true}' if kind & 0x4000 else b"}")
    else:
        p = put_hex(put(p, b"0x"), kind)
    p = put(p, b'","value":"')
    if high == 0:
        p = put_char(put_u32(p, u16(r)), c":")
        p = put_u32(p, u32(r))
    elif high == 1:
        address = take(r, 4)
        if address == NULL:
            return NULL
        p = put_char(put_ipv4(p, address), c":")
        p = put_u32(p, u16(r))
    elif high == 2:
        p = put_char(put_u32(p, u32(r)), c":")
        p = put_u32(p, u16(r))
    else:
        high = u16(r)
        p = put_hex_u48(put(p, b"0x"), high, u32(r))
    return put(p, b'","nontransitive":true}' if kind & 0x4000 else b'"}')


cdef inline uint8_t* put_ext_communities(uint8_t* p, Reader r) noexcept nogil:
    p = put_char(p, c"[")
    while left(&r):
        p = put_ext_community(p, &r)
        if p == NULL:
            return NULL
        p = put_char(p, c",")
    return close_with(p, c"]")


cdef inline bint go_names(Reader r) noexcept nogil:
    """Whether the Go bgpipe has all names that put_ext_communities writes."""
    cdef unsigned kind
    while left(&r):
        kind = u16(&r) & 0xBFFF
        if kind == 4 or kind >> 8 == 3 or kind >> 8 == 6:
            return False
        skip(&r, 6)
    return True


cdef inline uint8_t* put_aggregator(uint8_t* p, Reader r, bint as4) noexcept nogil:
    cdef uint32_t asn = u32(&r) if as4 else u16(&r)
    cdef const uint8_t* address = take(&r, 4)
    if address == NULL:
        return NULL
    p = put(put_u32(put(p, b'{"asn":'), asn), b', "addr":"')
    return put(put_ipv4(p, address), b'"}')


cdef inline uint8_t* put_mp(uint8_t* p, const Mp* mp) noexcept nogil:
    cdef Reader r = mp.next_hop
    p = put(p, b'{"af":"IPV4/' if mp.afi == 1 else b'{"af":"IPV6/')
    p = put(p, b'UNICAST"' if mp.safi == 1 else b'MULTICAST"')
    if left(&r):
        p = put_next_hop(p, &r, b',"nexthop":"', 4 if left(&r) == 4 else 16)
    if left(&r) and p != NULL:
        p = put_next_hop(p, &r, b',"link-local":"', 16)
    if p == NULL:
        return NULL
    p = put_prefixes(put(p, b',"prefixes":['), mp.nlri, mp.afi == 2, mp.add_path)
    return NULL if p == NULL else put_char(close_with(p, c"]"), c"}")


cdef inline uint8_t* put_value(uint8_t* p, const Update* u, const Attribute* attribute) noexcept nogil:
    cdef Reader r = attribute.value
    cdef int code = attribute.code
    if code == ORIGIN:
        code = u8(&r)
        return put(p, b'"IGP"' if code == 0 else b'"EGP"' if code == 1 else b'"INCOMPLETE"')
    if code == AS_PATH:
        return put_path(p, r, u.as4)
    if code == NEXT_HOP or code == ORIGINATOR_ID:
        return put_char(put_ipv4(put_char(p, c'"'), take(&r, 4)), c'"')
    if code == MED or code == LOCAL_PREF or code == OTC:
        return put_u32(p, u32(&r))
    if code == ATOMIC_AGGREGATE:
        return put(p, b"true")
    if code == AGGREGATOR:
        return put_aggregator(p, r, u.as4)
    if code == COMMUNITY:
        return put_communities(p, r)
    if code == CLUSTER_LIST:
        return put_addresses(p, r)
    if code == MP_REACH:
        return put_objects(p, &u.reach) if u.reach.safi > 2 else put_mp(p, &u.reach)
    if code == MP_UNREACH:
        return put_objects(p, &u.unreach) if u.unreach.safi > 2 else put_mp(p, &u.unreach)
    if code == EXT_COMMUNITY:
        return put_ext_communities(p, r)
    if code == AS4_PATH:
        return put_path(p, r, True)
    if code == AS4_AGGREGATOR:
        return put_aggregator(p, r, True)
    if code == LARGE_COMMUNITY:
        return put_large_communities(p, r)
    return NULL


cdef uint8_t* put_foreign(uint8_t* p, PyObject* show, const Update* u, const Attribute* attribute) noexcept with gil:
    """An attribute as Python shows it; NULL declines."""
    cdef const Reader* value = &attribute.value
    cdef size_t size = left(value)
    try:
        octets = PyBytes_FromStringAndSize(<const char*> (value.base + value.pos), size)
        text = <bytes?> (<object> show)(attribute.flags, attribute.code, octets, u.flags & CONTEXT)
    except Exception:
        return NULL
    if not text or <size_t> PyBytes_GET_SIZE(text) > TEXT_PER_OCTET * size + SPARE_PER_FOREIGN:
        return NULL
    memcpy(p, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
    return put_char(p + PyBytes_GET_SIZE(text), c",")


cdef inline uint8_t* put_update(uint8_t* p, const Update* u, PyObject* show) noexcept nogil:
    cdef const Attribute* attribute
    cdef const uint8_t* head
    cdef uint8_t* start
    cdef unsigned i
    p = put_char(p, c"{")
    if left(&u.nlri):
        p = put_prefixes(put(p, b'"reach":['), u.nlri, False, u.add_path)
        if p == NULL:
            return NULL
        p = put_char(close_with(p, c"]"), c",")
    if left(&u.withdrawn):
        p = put_prefixes(put(p, b'"unreach":['), u.withdrawn, False, u.add_path)
        if p == NULL:
            return NULL
        p = put_char(close_with(p, c"]"), c",")
    if u.count:
        p = put(p, b'"attrs":{')
        for i in range(u.count):
            attribute = &u.attributes[i]
            if attribute.foreign:
                start = p
                p = put_pmsi_tunnel(p, attribute) if attribute.code == PMSI_TUNNEL else put_tlv_attribute(p, attribute)
                if p == NULL and show != NULL:
                    p = put_foreign(start, show, u, attribute)
                if p == NULL:
                    return NULL
                continue
            head = HEAD[attribute.code][attribute.flags >> 4]
            memcpy(p, head, 64)
            start = p
            p = put_value(p + head[63], u, attribute)
            if p != NULL:
                p = put(p, b"},")
            elif show != NULL and (
                attribute.code == EXT_COMMUNITY or attribute.code == MP_REACH or attribute.code == MP_UNREACH
            ):
                p = put_foreign(start, show, u, attribute)
            if p == NULL:
                return NULL
        p = put_char(close_with(p, c"}"), c",")
    return close_with(p, c"}")


# ---------------------------------------------------------------------------------------------------------------------
# What is the same for many messages: the second, the peer

cdef struct Clock:
    bint short      # milliseconds are enough
    int64_t second  # that the text is of
    uint8_t text[24]


cdef inline uint8_t* put_date(uint8_t* p, int64_t days) noexcept nogil:
    """Days since 1970 as YYYY-MM-DD; counted in years from March, so that a leap day comes last."""
    cdef int64_t shifted = days + 719468  # since 0000-03-01
    cdef int64_t era = shifted // 146097
    cdef int64_t day = shifted % 146097
    cdef int64_t year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    cdef int64_t month
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5 - 1
    year += 400 * era + (month >= 10)
    month += 3 if month < 10 else -9
    p = put_u32(p, <uint32_t> year)
    p = put_char(p, c"-")
    p = put_two(p, <unsigned> month)
    p = put_char(p, c"-")
    return put_two(p, <unsigned> day)


cdef inline uint8_t* put_two(uint8_t* p, unsigned number) noexcept nogil:
    """00 to 99."""
    memcpy(p, &DECIMAL3[number][1], 2)
    return p + 2


cdef inline uint8_t* put_time(uint8_t* p, Clock* clock, int64_t time) noexcept nogil:
    """Microseconds since 1970 as YYYY-MM-DDTHH:MM:SS.mmm, or .mmmmmm where milliseconds don't say it all."""
    cdef int64_t second = time // 1000000
    cdef uint32_t micros = <uint32_t> (time % 1000000)
    cdef unsigned of_day
    cdef uint8_t* q
    if second != clock.second:
        clock.second = second
        of_day = <unsigned> (second % 86400)
        q = put_char(put_date(clock.text, second // 86400), c"T")
        q = put_char(put_two(q, of_day // 3600), c":")
        q = put_char(put_two(q, of_day // 60 % 60), c":")
        put_char(put_two(q, of_day % 60), c".")
    memcpy(p, clock.text, 20)
    p = put_three(p + 20, micros // 1000)
    if micros % 1000 and not clock.short:
        p = put_three(p, micros % 1000)
    return p


cdef inline uint8_t* put_tag(uint8_t* p, const char* name, const uint8_t* address, size_t size) noexcept nogil:
    """`"NAME":"address",` or nothing if it is unspecified."""
    if memcmp(address, b"\0" * 16, size) == 0:
        return p
    p = put(p, name)
    p = put_ipv4(p, address) if size == 4 else put_ipv6(p, address)
    return NULL if p == NULL else put(p, b'",')


cdef uint8_t* put_tags(uint8_t* p, Reader r, bint as4) noexcept nogil:
    """The tags of a per-peer header, as block.peer_tags gives them."""
    cdef uint32_t peer_as = u32(&r) if as4 else u16(&r)
    cdef uint32_t local_as = u32(&r) if as4 else u16(&r)
    cdef unsigned interface = u16(&r)
    cdef size_t size = 16 if u16(&r) == 2 else 4
    cdef const uint8_t* peer_ip = take(&r, size)
    cdef const uint8_t* local_ip = take(&r, size)
    if r.failed:
        return NULL
    p = put_char(p, c"{")
    if peer_as:
        p = put(put_u32(put(p, b'"PEER_AS":"'), peer_as), b'",')
    p = put_tag(p, b'"PEER_IP":"', peer_ip, size)
    if p == NULL:
        return NULL
    if local_as:
        p = put(put_u32(put(p, b'"LOCAL_AS":"'), local_as), b'",')
    p = put_tag(p, b'"LOCAL_IP":"', local_ip, size)
    if p == NULL:
        return NULL
    if interface:
        p = put(put_u32(put(p, b'"INTERFACE":"'), interface), b'",')
    return close_with(p, c"}")


cdef inline Peer* find_peer(Peer* peers, Reader r, bint as4) noexcept nogil:
    """The cached tags of the per-peer header that starts in `r`; NULL declines."""
    cdef Reader header = r
    cdef const uint8_t* octets
    cdef uint8_t* end
    cdef size_t size
    cdef uint32_t hash
    cdef Peer* peer
    skip(&r, 10 if as4 else 6)
    skip(&r, 32 if u16(&r) == 2 else 8)
    size = r.pos - header.pos
    octets = take(&header, size)
    if r.failed or octets == NULL:
        return NULL
    # Peers of one collector differ in their AS number and in the last octets of their address.
    memcpy(&hash, octets, 4)
    hash = (hash ^ octets[size // 2 + 1] ^ <uint32_t> octets[size // 2 + 3] << 8) * 0x9E3779B1u
    peer = &peers[hash >> 24]
    if peer.size == size and peer.as4 == as4 and memcmp(peer.header, octets, size) == 0:
        return peer
    end = put_tags(peer.text, reader(octets, 0, size), as4)
    if end == NULL:
        peer.size = 0
        return NULL
    memcpy(peer.header, octets, size)
    peer.size = <uint8_t> size
    peer.as4 = as4
    peer.text_size = <unsigned> (end - peer.text)
    return peer


cdef Peer* find_tags(Peer* peers, Reader r, bint as4) noexcept nogil:
    return find_peer(peers, r, as4)


cdef struct Wire:  # what the key WIRE says (bgpipe.formats.json_meta)
    const char* width     # of AS numbers; NULL for nothing
    const char* path_ids  # which families have them; NULL for nothing
    bint rib


cdef inline bint is_said(const Wire* wire) noexcept nogil:
    """Whether there is a key WIRE."""
    return wire.width != NULL or wire.path_ids != NULL or wire.rib


cdef inline uint8_t* put_wire(uint8_t* p, const Wire* wire) noexcept nogil:
    """The key WIRE, and the brace behind it."""
    cdef const char* before = b'"WIRE":"'
    if wire.width != NULL:
        p = put(put(p, before), wire.width)
        before = b"|"
    if wire.path_ids != NULL:
        p = put(put(p, before), wire.path_ids)
        before = b"|"
    if wire.rib:
        p = put(put(p, before), b"RIB")
    return put(p, b'"}')


cdef inline const char* path_ids_of(unsigned flags) noexcept nogil:
    """The families with path identifiers, by the flags of an entry."""
    if flags & ADD_PATH:
        return b"ADDPATH"
    if flags & ADD_PATH_IPV4:
        return b"ADDPATH:IPV4/UNICAST,IPV6/UNICAST" if flags & ADD_PATH_IPV6 else b"ADDPATH:IPV4/UNICAST"
    if flags & ADD_PATH_IPV6:
        return b"ADDPATH:IPV6/UNICAST"
    return NULL


cdef inline bint may_say_octets(const Update* u) noexcept nogil:
    """Whether a value of the message may be in hexadecimal."""
    return (
        u.foreign != 0 or has(u, EXT_COMMUNITY) or has(u, MP_REACH) and u.reach.safi > 2
        or has(u, MP_UNREACH) and u.unreach.safi > 2
    )


cdef inline bint says_octets(const uint8_t* p, const uint8_t* end) noexcept nogil:
    """Whether a value in a text is in hexadecimal."""
    while p + 3 <= end:
        if p[0] == c'"' and p[1] == c"0" and p[2] == c"x":
            return True
        p += 1
    return False


cdef struct State:
    bint checks  # a message without a verdict is declined if it may be malformed
    PyObject* show  # see encode; NULL if there is none
    Clock clock
    Update update
    Peer peers[PEERS]


cdef uint8_t* put_message(uint8_t* p, State* state, const Entry* entry, Reader message, Reader header, Reader tags) noexcept nogil:
    """One message as a line; NULL declines."""
    cdef unsigned both = entry.flags & (LEFT | RIGHT)
    cdef Reader r = message
    cdef Peer* peer
    cdef unsigned kind
    cdef bint as4 = (entry.flags & AS4) != 0
    cdef Wire wire
    cdef Update* u = &state.update
    cdef uint8_t* start
    wire.width = wire.path_ids = NULL
    wire.rib = False
    skip(&r, MESSAGE_HEADER - 1)
    kind = u8(&r)
    if r.failed or entry.seq < 0 or entry.seq >> 59 or entry.time < 0 or entry.time >> 52:
        return NULL
    p = put(p, b'["R",' if both == RIGHT else b'["L",' if both == LEFT else b'["LR",' if both else b'["?",')
    p = put(put_u64(p, <uint64_t> entry.seq), b',"')
    p = put_time(p, &state.clock, entry.time)
    if kind == UPDATE:
        if not locate(u, message, entry.flags if state.clock.short else entry.flags | OBJECTS):
            return NULL
        if state.checks and not entry.flags & CHECKED and not plausible(u):
            return NULL
        if state.clock.short and has(u, EXT_COMMUNITY) and not go_names(u.attributes[u.where[EXT_COMMUNITY]].value):
            return NULL
        start = put(p, b'","UPDATE",')
        p = put_update(start, u, state.show)
        if p == NULL:
            return NULL
        if not as4 or has(u, AS4_PATH) or has(u, AS4_AGGREGATOR):
            wire.width = b"AS4" if as4 else b"AS2"
        wire.rib = (entry.flags & RIB) != 0 and not state.clock.short
        if path_ids_of(entry.flags) != NULL and may_say_octets(u) and says_octets(start, p):
            wire.path_ids = path_ids_of(entry.flags)
    elif kind == KEEPALIVE and not left(&r):
        p = put(p, b'","KEEPALIVE",null')
    else:
        return NULL
    if entry.tags:
        if tags.failed:
            return NULL
        p = put(p, b",{")
        memcpy(p, tags.base + tags.pos, left(&tags))
        p += left(&tags)
        if is_said(&wire):
            return put(put_wire(put_char(p, c",") if left(&tags) else p, &wire), b"]\n")
        return put(p, b"}]\n")
    if entry.peer == NO_PEER:
        return put(put_wire(put(p, b",{"), &wire) if is_said(&wire) else put(p, b",{}"), b"]\n")
    peer = find_peer(state.peers, header, (entry.flags & PEER_AS4) != 0)
    if peer == NULL:
        return NULL
    p = put_char(p, c",")
    memcpy(p, peer.text, 256)
    p += peer.text_size
    if is_said(&wire):
        p -= 1  # the closing brace
        p = put_wire(put_char(p, c",") if peer.text_size > 2 else p, &wire)
    return put(p, b"]\n")


def encode(
    bytes octets not None, index not None, Py_ssize_t position, bint short=False, bytes tags=b"", bint checks=False,
    show=None,
):
    """(lines, position): the messages of a block from `position` to before the first one that is declined, or the end.

    octets, index, tags: a block's. short: as the Go bgpipe reads it, times in milliseconds, and no word of RIBs. checks:
    messages without CHECKED that may be malformed are declined too. show: called with flags, code and octets of an
    attribute that accel doesn't know, and the flags of a context, gives it as JSON, nothing if it is malformed; without
    it, messages with one are declined. Raises MemoryError.
    """
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef size_t size = PyBytes_GET_SIZE(octets)
    cdef Py_buffer view
    cdef Writer w
    cdef State state
    cdef const uint8_t* tags_base = <const uint8_t*> PyBytes_AS_STRING(tags)
    cdef size_t tags_size = PyBytes_GET_SIZE(tags)
    cdef Reader entries, message, text
    cdef Entry entry
    cdef uint8_t* p
    cdef size_t i
    state.clock.second = -1
    state.clock.short = short
    state.checks = checks
    state.show = NULL
    if show is not None:
        state.show = <PyObject*> show
    for i in range(<size_t> PEERS):
        state.peers[i].size = 0
    PyObject_GetBuffer(index, &view, PyBUF_SIMPLE)
    try:
        entries = reader(<const uint8_t*> view.buf, <size_t> position * sizeof(Entry), view.len)
        open_writer(&w, USUAL_TEXT_PER_OCTET * octets_of(entries) + TEXT_PER_MESSAGE)
        with nogil:
            while next_entry(&entries, &entry):
                message = message_of(base, size, &entry)
                text = tags_of(tags_base, tags_size, &entry)
                p = room(&w, TEXT_PER_OCTET * left(&message) + TEXT_PER_MESSAGE + left(&text))
                if p == NULL:
                    break
                p = put_message(p, &state, &entry, message, peer_of(base, size, &entry), text)
                if p == NULL:
                    break
                wrote(&w, p)
                position += 1
    finally:
        PyBuffer_Release(&view)
    return close_writer(&w), position
