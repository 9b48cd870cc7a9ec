"""The part of json_out.pyx for NLRI that are objects, and for extended communities with a name.

The same text as bgpipe.wire.nlri and bgpipe.wire.ext_community give; NULL declines. Whatever would be shown as octets, or
has a type that accel doesn't know, is declined.
"""


cdef enum:
    PIECE = 192   # octets of text that one piece of a FlowSpec rule has at most
    SPARE = 1024  # octets of text that the NLRI of one attribute may have beyond TEXT_PER_OCTET


cdef inline uint8_t* put_octets(uint8_t* p, const uint8_t* octets, size_t size) noexcept nogil:
    """Two digits each."""
    cdef size_t i
    for i in range(size):
        memcpy(p, HEX2[octets[i]], 2)
        p += 2
    return p


cdef inline uint8_t* put_pairs(uint8_t* p, const uint8_t* octets, size_t size) noexcept nogil:
    """Two digits each, with colons between, in quotes."""
    cdef size_t i
    p = put_char(p, c'"')
    for i in range(size):
        if i:
            p = put_char(p, c":")
        p = put_octets(p, octets + i, 1)
    return put_char(p, c'"')


cdef inline uint8_t* put_rd(uint8_t* p, Reader* r) noexcept nogil:
    """A route distinguisher of type 0, 1 or 2, in quotes (RFC 4364 section 4.2)."""
    cdef unsigned kind = u16(r)
    cdef const uint8_t* address
    cdef uint32_t asn
    p = put_char(p, c'"')
    if kind == 0:
        p = put_char(put_u32(p, u16(r)), c":")
        p = put_u32(p, u32(r))
    elif kind == 1:
        address = take(r, 4)
        if address == NULL:
            return NULL
        p = put_char(put_ipv4(p, address), c":")
        p = put_u32(p, u16(r))
    elif kind == 2:
        asn = u32(r)
        if asn <= 0xFFFF:
            return NULL
        p = put_char(put_u32(p, asn), c":")
        p = put_u32(p, u16(r))
    else:
        return NULL
    return NULL if r.failed else put_char(p, c'"')


cdef inline uint8_t* put_label(uint8_t* p, const uint8_t* octets, unsigned usual) noexcept nogil:
    """An MPLS label; `usual`: what its last four bits are if it is shown as a number."""
    cdef uint32_t number = (<uint32_t> octets[0] << 16) | (<uint32_t> octets[1] << 8) | octets[2]
    if number & 15 == usual:
        return put_u32(p, number >> 4)
    return put_char(put_octets(put(p, b'"0x'), octets, 3), c'"')


cdef inline uint8_t* put_labels(uint8_t* p, Reader r, unsigned last) noexcept nogil:
    """The member "labels", of labels to the end; `last`: the last four bits of the last one, as put_label has them."""
    cdef const uint8_t* octets
    if left(&r) == 0 or left(&r) % 3:
        return NULL
    p = put(p, b'"labels":[')
    while left(&r):
        octets = take(&r, 3)
        p = put_char(put_label(p, octets, last if left(&r) == 0 else 0), c",")
    return close_with(p, c"]")


cdef inline bint is_masked(const uint8_t* octets, size_t size, unsigned length) noexcept nogil:
    """Whether no bit behind the first `length` is set."""
    cdef size_t i = length >> 3
    if length & 7:
        if octets[i] & 0xFF >> (length & 7):
            return False
        i += 1
    while i < size:
        if octets[i]:
            return False
        i += 1
    return True


cdef inline uint8_t* put_address_prefix(uint8_t* p, Reader* r, unsigned length, bint ipv6) noexcept nogil:
    """A prefix of `length` bits whose octets come next, in quotes."""
    cdef uint8_t address[16]
    cdef size_t size = (length + 7) >> 3
    cdef const uint8_t* octets
    if length > (128 if ipv6 else 32):
        return NULL
    octets = take(r, size)
    if octets == NULL or not is_masked(octets, size, length):
        return NULL
    memset(address, 0, 16)
    memcpy(address, octets, size)
    p = put_char(p, c'"')
    p = put_ipv6(p, address) if ipv6 else put_ipv4(p, address)
    return NULL if p == NULL else put_char(put_small(put_char(p, c"/"), length), c'"')


cdef inline uint8_t* put_address(uint8_t* p, Reader* r, size_t size) noexcept nogil:
    """An address of 4 or 16 octets, in quotes."""
    cdef const uint8_t* octets = take(r, size)
    if octets == NULL or size != 4 and size != 16:
        return NULL
    p = put_char(p, c'"')
    p = put_ipv4(p, octets) if size == 4 else put_ipv6(p, octets)
    return NULL if p == NULL else put_char(p, c'"')


cdef inline uint8_t* put_labeled(uint8_t* p, Reader* r, bint ipv6, bint vpn) noexcept nogil:
    """The members of an NLRI that is labels, a route distinguisher in VPNs, a prefix (RFC 8277, RFC 4364)."""
    cdef unsigned bits = u8(r), before = 64 if vpn else 0, most = 128 if ipv6 else 32
    cdef Reader labels = r[0]
    cdef const uint8_t* octets
    while True:
        if bits < 24 + before:
            return NULL
        octets = take(r, 3)
        if octets == NULL:
            return NULL
        bits -= 24
        if octets[2] & 1 or (octets[1] == 0 and octets[2] == 0 and (octets[0] == 0x80 or octets[0] == 0)):
            break
    if bits - before > most:
        return NULL
    labels.end = r.pos
    if vpn:
        p = put_rd(put(p, b'"rd":'), r)
        if p == NULL:
            return NULL
        p = put_char(p, c",")
    p = put_address_prefix(put(p, b'"prefix":'), r, bits - before, ipv6)
    if p == NULL:
        return NULL
    p = put_labels(put_char(p, c","), labels, 1)
    return NULL if p == NULL else put_char(p, c",")


cdef inline uint8_t* put_whole_prefix(uint8_t* p, Reader* r) noexcept nogil:
    """A prefix with all octets of its address (RFC 9136 section 3.1)."""
    cdef size_t size = 4 if left(r) == 12 else 16
    cdef unsigned length = u8(r)
    cdef const uint8_t* octets
    cdef Reader prefix
    if left(r) != 11 and left(r) != 35 or length > 8 * size:
        return NULL
    prefix = sub(r, size)
    octets = prefix.base + prefix.pos
    if not is_masked(octets, size, length):
        return NULL
    return put_address_prefix(p, &prefix, length, size == 16)


cdef inline uint8_t* put_number_of(uint8_t* p, Reader* r, unsigned size) noexcept nogil:
    """A number of up to seven octets."""
    cdef uint64_t value = 0
    cdef unsigned i
    cdef const uint8_t* octets = take(r, size)
    if octets == NULL or size > 7:
        return NULL
    for i in range(size):
        value = value << 8 | octets[i]
    return put_u64(p, value)


cdef inline uint8_t* put_octets_of(uint8_t* p, Reader* r, size_t size) noexcept nogil:
    """So many octets in hexadecimal."""
    cdef const uint8_t* octets = take(r, size)
    return NULL if octets == NULL else put_char(put_octets(put(p, b'"0x'), octets, size), c'"')


cdef inline uint8_t* put_pairs_of(uint8_t* p, Reader* r, size_t size) noexcept nogil:
    cdef const uint8_t* octets = take(r, size)
    return NULL if octets == NULL else put_pairs(p, octets, size)


cdef inline uint8_t* put_part_value(uint8_t* p, Reader* r, const Part* part) noexcept nogil:
    cdef unsigned kind = part.kind
    cdef Reader ahead = r[0]
    cdef const uint8_t* octets
    if kind == RD:
        return put_rd(p, r)
    if kind == ESI:
        octets = take(r, 10)
        if octets == NULL:
            return NULL
        return put(p, b'"0"') if memcmp(octets, b"\0" * 10, 10) == 0 else put_pairs(p, octets, 10)
    if kind == MAC:
        return put_pairs_of(p, r, 6) if u8(r) == 48 else NULL
    if kind == NUMBER:
        return put_number_of(p, r, part.size)
    if kind == ADDRESS:
        return put_address(p, r, left(r))
    if kind == COUNTED_IP:
        return put_address(p, r, u8(r) >> 3)
    if kind == OCTETS:
        return put_octets_of(p, r, part.size)
    if kind == INNER:
        skip(&ahead, 1)
        return put_octets_of(p, r, 2 + <size_t> u8(&ahead))
    if kind == BASE:
        octets = take(r, 3)
        return NULL if octets == NULL else put_label(p, octets, 1)
    if kind == PREFIX:
        return put_whole_prefix(p, r)
    if kind == GATEWAY:
        return put_address(p, r, left(r) - 3) if left(r) >= 3 else NULL
    if kind == IP:
        return put_address(p, r, part.size)
    if kind == WORDS:
        return put_words(p, r)
    return put_ext_community(p, r) if kind == COMMUNITY_PART else NULL


cdef inline uint8_t* put_words(uint8_t* p, Reader* r) noexcept nogil:
    """Printable ASCII without escapes, to the end, that doesn't look like hexadecimal."""
    cdef size_t size = left(r), i
    cdef const uint8_t* octets = take(r, size)
    if size > 64 or size >= 2 and octets[0] == c"0" and (octets[1] == c"x" or octets[1] == c"X"):
        return NULL
    for i in range(size):
        if octets[i] < c" " or octets[i] > c"~" or octets[i] == c'"' or octets[i] == c"\\":
            return NULL
    p = put_char(p, c'"')
    memcpy(p, octets, size)
    return put_char(p + size, c'"')


cdef inline uint8_t* put_stack_entry(uint8_t* p, Reader* r) noexcept nogil:
    """An entry of a label stack (RFC 3032) with a comma behind it."""
    cdef uint32_t entry = u32(r)
    p = put_u32(put(p, b'"label":'), entry >> 12)
    if entry >> 9 & 7:
        p = put_u32(put(p, b',"tc":'), entry >> 9 & 7)
    if entry >> 8 & 1:
        p = put(p, b',"s":true')
    if entry & 0xFF:
        p = put_u32(put(p, b',"ttl":'), entry & 0xFF)
    return NULL if r.failed else put_char(p, c",")


cdef uint8_t* put_layout(uint8_t* p, Reader* r, const Layout* layout, const uint8_t* stop) noexcept nogil:
    """The members of all parts, to the last octet, with a comma behind each."""
    cdef unsigned i
    memcpy(p, layout.name, NAME)
    p += layout.name_size
    for i in range(layout.count):
        if p > stop:
            return NULL
        p = put_part(p, r, &layout.parts[i], stop)
        if p == NULL:
            return NULL
    return NULL if left(r) or r.failed else p


cdef uint8_t* put_tlvs(uint8_t* p, Reader* r, const Table* table, const uint8_t* stop) noexcept nogil:
    """A list of objects, one for each TLV up to the end; types that are not in the table decline."""
    cdef const Layout* layout
    cdef unsigned number
    cdef Reader value
    p = put_char(p, c"[")
    while left(r):
        number = u8(r) if table.type_size == 1 else u16(r)
        value = sub(r, u8(r) if table.length_size == 1 and number < table.long_from else u16(r))
        layout = find_layout(table, number)
        if layout == NULL or value.failed or r.failed or p > stop:
            return NULL
        p = put_layout(put_char(p, c"{"), &value, layout, stop)
        if p == NULL:
            return NULL
        p = put_char(close_with(p, c"}"), c",")
    return close_with(p, c"]")


cdef inline uint8_t* put_tlv_attribute(uint8_t* p, const Attribute* attribute) noexcept nogil:
    """TUNNEL_ENCAPSULATION or BGP_PREFIX_SID with a comma behind it; NULL if accel knows nothing of them."""
    cdef const Table* table = find_attribute(attribute.code)
    cdef Reader r = attribute.value
    cdef const uint8_t* stop = p + TEXT_PER_OCTET * left(&r) + (SPARE_PER_FOREIGN - PIECE)
    if table == NULL or attribute.flags & 0xCF != 0xC0 or left(&r) == 0:
        return NULL
    p = put(p, b'"TUNNEL":{"flags":"OT' if attribute.code == 23 else b'"PREFIX_SID":{"flags":"OT')
    p = put(put(p, b"P" if attribute.flags & 0x20 else b""), b"X" if attribute.flags & 0x10 else b"")
    p = put_tlvs(put(p, b'","value":'), &r, table, stop)
    return NULL if p == NULL else put(p, b"},")


cdef uint8_t* put_part(uint8_t* p, Reader* r, const Part* part, const uint8_t* stop) noexcept nogil:
    """A member with a comma behind it; nothing where none is shown."""
    cdef const uint8_t* octets
    cdef const Layout* layout
    cdef unsigned bits, i
    if part.kind == CONSTANT:
        octets = take(r, part.size)
        return p if octets != NULL and memcmp(octets, part.key, part.size) == 0 else NULL
    if part.kind == STACK:
        return put_stack_entry(p, r)
    if part.kind == CHOICE:
        layout = find_layout(part.table, <unsigned> left(r))
        return NULL if layout == NULL else put_layout(p, r, layout, stop)
    if part.kind == INNER_TLVS:
        if not left(r):
            return p
        memcpy(p, part.key, KEY)
        p = put_tlvs(p + part.key_size, r, part.table, stop)
        return NULL if p == NULL else put_char(p, c",")
    if part.kind == FLAGS:
        octets = take(r, part.size)
        if octets == NULL:
            return NULL
        bits = 0
        for i in range(part.size):
            bits = bits << 8 | octets[i]
        if not bits:
            return p
        memcpy(p, part.key, KEY)
        return put_char(put_u32(p + part.key_size, bits), c",")
    if part.kind == COUNTED_IP and left(r):
        bits = r.base[r.pos]
        if bits == 0:
            skip(r, 1)
            return p
        if bits != 32 and bits != 128:
            return NULL
    if part.kind == LABELS:
        p = put_labels(p, r[0], 0)
        r.pos = r.end
    else:
        memcpy(p, part.key, KEY)
        p = put_part_value(p + part.key_size, r, part)
    return NULL if p == NULL or r.failed else put_char(p, c",")


cdef inline uint8_t* put_parts(uint8_t* p, Reader* nlri, const Table* family, const uint8_t* stop) noexcept nogil:
    """The members of an NLRI of parts."""
    cdef const Layout* layout
    cdef Reader r
    cdef unsigned number, size
    number = size = u8(nlri)
    if family.style == BITS:
        if size & 7:
            return NULL
        number = size = size >> 3
    elif family.style == TYPED:
        size = u8(nlri)
    else:
        number = size = size << 8 | u8(nlri)
    r = sub(nlri, size)
    layout = find_layout(family, number)
    return NULL if layout == NULL or r.failed else put_layout(p, &r, layout, stop)


cdef inline uint8_t* put_operator(uint8_t* p, unsigned bits, bint bitmask, const uint8_t* octets, unsigned size) noexcept nogil:
    """One operator and its value (RFC 8955 section 4.2.1)."""
    cdef uint64_t value = 0
    cdef unsigned i, op = bits & (3 if bitmask else 7), least
    for i in range(size):
        value = value << 8 | octets[i]
    if bits & (0x0C if bitmask else 0x08) or not bitmask and value >> 59:
        return NULL
    p = put(p, b'{"and":true,"op":"' if bits & 0x40 else b'{"op":"')
    if bitmask:
        p = put(p, b"ANY" if op == 0 else b"ALL" if op == 1 else b"NONE" if op == 2 else b"NOT-ALL")
        p = put_small(put(p, b'","len":'), size)
        p = put_hex_u64(put(p, b',"val":"0x'), value)
        return put(p, b'"},')
    p = put(p, b"false" if op == 0 else b"==" if op == 1 else b">" if op == 2 else b">=" if op == 3 else
            b"<" if op == 4 else b"<=" if op == 5 else b"!=" if op == 6 else b"true")
    least = 1 if value < 1 << 8 else 2 if value < 1 << 16 else 4 if value >> 32 == 0 else 8
    p = put_char(p, c'"')
    if size != least:
        p = put_small(put(p, b',"len":'), size)
    return put(put_u64(put(p, b',"val":'), value), b"},")


cdef inline uint8_t* put_hex_u64(uint8_t* p, uint64_t number) noexcept nogil:
    """Without leading zeros."""
    cdef int shift = 48
    while shift and number >> shift == 0:
        shift -= 16
    p = put_hex(p, <unsigned> (number >> shift))
    while shift:
        shift -= 16
        memcpy(p, HEX2[number >> (shift + 8) & 255], 2)
        memcpy(p + 2, HEX2[number >> shift & 255], 2)
        p += 4
    return p


cdef inline uint8_t* put_operators(uint8_t* p, Reader* r, bint bitmask, const uint8_t* stop) noexcept nogil:
    cdef unsigned bits = 0, size
    cdef const uint8_t* octets
    p = put_char(p, c"[")
    while bits & 0x80 == 0:
        bits = u8(r)
        size = 1 << (bits >> 4 & 3)
        octets = take(r, size)
        if octets == NULL or p > stop:
            return NULL
        p = put_operator(p, bits, bitmask, octets, size)
        if p == NULL:
            return NULL
    return close_with(p, c"]")


cdef inline const char* component_name(unsigned code) noexcept nogil:
    return (
        b'"DST":' if code == 1 else b'"SRC":' if code == 2 else b'"PROTO":' if code == 3 else b'"PORT":' if code == 4 else
        b'"PORT_DST":' if code == 5 else b'"PORT_SRC":' if code == 6 else b'"ICMP_TYPE":' if code == 7 else
        b'"ICMP_CODE":' if code == 8 else b'"TCP_FLAGS":' if code == 9 else b'"PKTLEN":' if code == 10 else
        b'"DSCP":' if code == 11 else b'"FRAG":' if code == 12 else b'"LABEL":'
    )


cdef inline uint8_t* put_rule(uint8_t* p, Reader* nlri, bint ipv6, bint vpn, const uint8_t* stop) noexcept nogil:
    """The members of a FlowSpec rule (RFC 8955, RFC 8956): components in ascending order, without offsets."""
    cdef unsigned size = u8(nlri), code = 0, before, length
    cdef Reader r
    if size >= 0xF0:
        size = (size & 15) << 8 | u8(nlri)
        if size < 0xF0:
            return NULL
    r = sub(nlri, size)
    if r.failed or size == 0 or p > stop:
        return NULL
    if vpn:
        p = put_rd(put(p, b'"RD":'), &r)
        if p == NULL or left(&r) == 0:
            return NULL
        p = put_char(p, c",")
    while left(&r):
        before = code
        code = u8(&r)
        if code <= before or code > (13 if ipv6 else 12) or p > stop:
            return NULL
        p = put(p, component_name(code))
        if code <= 2:
            length = u8(&r)
            if ipv6 and u8(&r) != 0:
                return NULL
            p = put_address_prefix(p, &r, length, ipv6)
        else:
            p = put_operators(p, &r, code == 9 or code == 12, stop)
        if p == NULL:
            return NULL
        p = put_char(p, c",")
    return NULL if r.failed else p


cdef inline bint is_labeled(unsigned safi) noexcept nogil:
    return safi == 4 or safi == 128 or safi == 129


cdef inline const char* safi_name(unsigned safi) noexcept nogil:
    """That of a family of bgpipe.wire.nlri, with the quote behind it."""
    return (
        b'MPLS"' if safi == 4 else b'MCAST_VPN"' if safi == 5 else b'VPLS"' if safi == 65 else b'EVPNS"' if safi == 70 else
        b'SR_TE_POLICY"' if safi == 73 else b'MPLS_VPN"' if safi == 128 else b'MULTICAST_VPNS"' if safi == 129 else
        b'ROUTE_TARGET"' if safi == 132 else b'FLOWSPEC"' if safi == 133 else b'L3VPN_FLOWSPEC"'
    )


cdef uint8_t* put_objects(uint8_t* p, const Mp* mp) noexcept nogil:
    """The value of MP_REACH_NLRI or MP_UNREACH_NLRI of a family whose NLRI are objects."""
    cdef Reader hop = mp.next_hop, r = mp.nlri
    cdef const uint8_t* stop = p + TEXT_PER_OCTET * left(&r) + (SPARE - PIECE)
    cdef unsigned safi = mp.safi
    cdef bint ipv6 = mp.afi == 2
    cdef const Table* family = NULL
    p = put(p, b'{"af":"IPV4/' if mp.afi == 1 else b'{"af":"IPV6/' if mp.afi == 2 else b'{"af":"L2VPN/')
    p = put(p, safi_name(safi))
    if left(&hop):
        p = put_next_hop(p, &hop, b',"nexthop":"', 4 if left(&hop) == 4 else 16)
    if left(&hop) and p != NULL:
        p = put_next_hop(p, &hop, b',"link-local":"', 16)
    if p == NULL:
        return NULL
    if not is_labeled(safi) and safi < 133:
        family = find_family(mp.afi, safi)
        if family == NULL:
            return NULL
    p = put(p, b',"rules":[' if safi >= 133 else b',"routes":[')
    while left(&r):
        p = put_char(p, c"{")
        if mp.add_path:
            p = put_char(put_u32(put(p, b'"id":'), u32(&r)), c",")
        if family != NULL:
            p = put_parts(p, &r, family, stop)
        elif safi >= 133:
            p = put_rule(p, &r, ipv6, safi == 134, stop)
        else:
            p = put_labeled(p, &r, ipv6, safi != 4)
        if p == NULL or r.failed:
            return NULL
        p = put_char(close_with(p, c"}"), c",")
    return put_char(close_with(p, c"]"), c"}")


# PMSI_TUNNEL

cdef inline uint8_t* put_ip_member(uint8_t* p, const char* key, Reader* r, size_t size) noexcept nogil:
    return put_address(put(p, key), r, size)


cdef inline uint8_t* put_pmsi_tunnel(uint8_t* p, const Attribute* attribute) noexcept nogil:
    """The attribute (RFC 6514 section 5) with a comma behind it, for tunnels whose identifier is addresses."""
    cdef Reader r = attribute.value
    cdef unsigned leaf = u8(&r), kind = u8(&r)
    cdef const uint8_t* label = take(&r, 3)
    cdef size_t size = left(&r)
    if attribute.flags & 0xCF != 0xC0 or label == NULL or leaf > 1:
        return NULL
    p = put(p, b'"PMSI_TUNNEL":{"flags":"OT')
    p = put(put(p, b"P" if attribute.flags & 0x20 else b""), b"X" if attribute.flags & 0x10 else b"")
    if kind == 0 and size == 0:
        p = put(p, b'","value":{"type":"NO_TUNNEL"')
    elif kind == 6 and (size == 4 or size == 16):
        p = put(p, b'","value":{"type":"INGRESS_REPLICATION"')
    elif 3 <= kind <= 5 and (size == 8 or size == 32):
        p = put(p, b'","value":{"type":"PIM_SSM"' if kind == 3 else b'","value":{"type":"PIM_SM"' if kind == 4 else
                b'","value":{"type":"BIDIR_PIM"')
    else:
        return NULL
    p = put_label(put(p, b',"leaf":true,"label":' if leaf else b',"label":'), label, 0)
    if kind == 6:
        p = put_ip_member(p, b',"endpoint":', &r, size)
    elif kind:
        p = put_ip_member(p, b',"root":' if kind == 3 else b',"sender":', &r, size >> 1)
        if p != NULL:
            p = put_ip_member(p, b',"group":', &r, size >> 1)
    return NULL if p == NULL else put(p, b"}},")


# Extended communities with a name

cdef inline uint8_t* put_single(uint8_t* p, uint32_t bits) noexcept nogil:
    """An IEEE 754 single that is a whole number below 2^24."""
    cdef float rate
    memcpy(&rate, &bits, 4)
    if not 0 <= rate < 16777216 or bits >> 31 or <float> <uint32_t> rate != rate:
        return NULL
    return put_u32(p, <uint32_t> rate)


cdef inline uint8_t* put_named_value(uint8_t* p, Reader* r, unsigned base) noexcept nogil:
    """The name and the value of a community, of the types that come most. base: the type without the bit for
    nontransitive. Six octets are left of `r`."""
    cdef unsigned high = u16(r)
    cdef uint32_t low = u32(r)
    cdef const uint8_t* octets = r.base + r.pos - 6
    if base == 0x030B:
        return NULL if high else put_u32(put(p, b'COLOR","value":'), low)
    if base == 0x030C:
        if high or low != 8 and low != 10:
            return NULL
        return put(p, b'ENCAPSULATION","value":"VXLAN"' if low == 8 else b'ENCAPSULATION","value":"MPLS"')
    if base == 0x030D:
        return NULL if high or low else put(p, b'DEFAULT_GATEWAY","value":true')
    if base == 0x0300:
        if high or low > 2:
            return NULL
        p = put(p, b'VALIDATION_STATE","value":"')
        return put(p, b'VALID"' if low == 0 else b'NOT_FOUND"' if low == 1 else b'INVALID"')
    if base == 0x0600:
        if high != 0 and high != 0x0100:
            return NULL
        p = put(p, b'MAC_MOBILITY","value":{')
        return put_char(put_u32(put(p, b'"sticky":true,"sequence":' if high else b'"sequence":'), low), c"}")
    if base == 0x0601:
        if high != 0 and high != 0x0100 or low >> 24:
            return NULL
        p = put(p, b'ESI_LABEL","value":{')
        p = put(p, b'"single_active":true,"label":' if high else b'"label":')
        return put_char(put_label(p, octets + 3, 0), c"}")
    if base == 0x0602 or base == 0x0603:
        return put_pairs(put(p, b'ES_IMPORT","value":' if base == 0x0602 else b'ROUTER_MAC","value":'), octets, 6)
    if base == 0x0004:
        p = put_char(put_u32(put(p, b'LINK_BANDWIDTH","value":{"asn":'), high), c",")
        p = put_single(put(p, b'"bandwidth":'), low)
        return NULL if p == NULL else put_char(p, c"}")
    if base == 0x8006 or base == 0x800C:
        p = put(p, b'FLOW_RATE_BYTES","value":' if base == 0x8006 else b'FLOW_RATE_PACKETS","value":')
        if high == 0:
            return put_single(p, low)
        p = put_single(put_char(put_u32(put_char(p, c'"'), high), c":"), low)
        return NULL if p == NULL else put_char(p, c'"')
    if base == 0x8007:
        if high or low > 3:
            return NULL
        p = put(p, b'FLOW_ACTION","value":{"terminal":')
        p = put(put(p, b"true" if low & 1 else b"false"), b',"sample":')
        return put(put(p, b"true" if low & 2 else b"false"), b"}")
    if base == 0x8008:
        p = put_char(put_u32(put(p, b'FLOW_REDIRECT_AS2","value":"'), high), c":")
        return put_char(put_u32(p, low), c'"')
    if base == 0x8009:
        return NULL if high or low > 63 else put_u32(put(p, b'FLOW_DSCP","value":'), low)
    return NULL
