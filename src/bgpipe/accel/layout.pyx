"""What accel knows of NLRI and of attributes that are a run of parts: it is told by bgpipe.wire, when the codec of a family
or of an attribute is first used.

Before that it knows none, and declines them.
"""

from libc.stdlib cimport calloc
from libc.string cimport memcpy, memset

cdef Table TABLES[MOST_TABLES]
cdef size_t COUNT = 0
cdef uint8_t UNNAMED[65536]  # by type; zeros until the names are known

STYLES = {"typed": TYPED, "counted": COUNTED, "bits": BITS, "tlvs": TLVS, "sizes": SIZES}
KINDS = {
    "rd": RD, "esi": ESI, "mac": MAC, "number": NUMBER, "constant": CONSTANT, "address": ADDRESS, "counted": COUNTED_IP,
    "octets": OCTETS, "inner": INNER, "labels": LABELS, "base": BASE, "prefix": PREFIX, "gateway": GATEWAY,
    "community": COMMUNITY, "flags": FLAGS, "ip": IP, "stack": STACK, "words": WORDS, "tlvs": INNER_TLVS, "choice": CHOICE,
}  # fmt: skip


cdef const Table* find_family(unsigned afi, unsigned safi) noexcept nogil:
    cdef size_t i
    for i in range(COUNT):
        if TABLES[i].safi == safi and TABLES[i].afi == afi:
            return &TABLES[i]
    return NULL


cdef const Table* find_attribute(unsigned code) noexcept nogil:
    cdef size_t i
    for i in range(COUNT):
        if TABLES[i].code == code:
            return &TABLES[i]
    return NULL


cdef bint may_have_name(unsigned kind) noexcept nogil:
    """Whether there may be a name for extended communities of this type, the bit for nontransitive cleared."""
    return not UNNAMED[kind & 0xFFFF]


def learn_names(list kinds not None):
    """Takes over for which types of extended communities there is a name."""
    memset(UNNAMED, 1, sizeof(UNNAMED))
    for kind in kinds:
        UNNAMED[<uint16_t> kind] = 0


def learn(str style not None, list layouts not None, form=(0, 0, False, 0)):
    """The number of a new table, 0 if there is no room for it.

    layouts: (type or number of octets, name, parts), each part a (kind, size, key, more); more: the octets of a constant,
    the number of another table. Layouts with a kind that accel doesn't know are left out. form: as of
    bgpipe.wire.attrs.tlv.split_tlvs.
    """
    global COUNT
    cdef Table* table = &TABLES[COUNT]
    type_size, length_size, header_counts, long_from = form
    if COUNT == MOST_TABLES or style not in STYLES or header_counts:
        return 0
    table.layouts = <Layout*> calloc(len(layouts) + 1, sizeof(Layout))
    if table.layouts == NULL:
        raise MemoryError
    table.style, table.type_size, table.length_size, table.long_from = STYLES[style], type_size, length_size, long_from
    table.count = 0
    for number, name, parts in layouts:
        if write_layout(&table.layouts[table.count], number, name, parts):
            table.count += 1
    COUNT += 1
    return COUNT


def learn_family(unsigned afi, unsigned safi, size_t number):
    """The NLRI of a family are as the table with this number says."""
    if 0 < number <= COUNT and find_family(afi, safi) == NULL:
        TABLES[number - 1].afi, TABLES[number - 1].safi = <uint16_t> afi, <uint8_t> safi


def learn_attribute(unsigned code, size_t number):
    """The value of an attribute is as the table with this number says."""
    if 0 < number <= COUNT and find_attribute(code) == NULL:
        TABLES[number - 1].code = <uint8_t> code


cdef bint write_layout(Layout* layout, number, name, parts) except -1:
    """Whether it has a place here."""
    cdef Part* part
    text = f'"type":"{name}",'.encode() if name else b""
    if len(parts) > MOST_PARTS or len(text) > NAME:
        return False
    for i, (kind, size, key, more) in enumerate(parts):
        octets = more if kind == "constant" else f'"{key}":'.encode()
        if kind not in KINDS or len(octets) > KEY or kind in ("tlvs", "choice") and not 0 < more <= COUNT:
            return False
        part = &layout.parts[i]
        part.kind, part.size, part.key_size = KINDS[kind], size, len(octets)
        memcpy(part.key, <const uint8_t*> octets, len(octets))
        if kind in ("tlvs", "choice"):
            part.table = &TABLES[<size_t> more - 1]
    layout.number, layout.count, layout.name_size = number, len(parts), len(text)
    memcpy(layout.name, <const uint8_t*> text, len(text))
    return True
