"""NLRI and attributes that are a run of parts, as bgpipe.wire.nlri.layout has them: what the parts are, in order."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef enum:
    MOST_PARTS = 12   # of a layout
    MOST_TABLES = 64
    KEY = 36          # octets of a key with its quotes and colon
    NAME = 48         # octets of the member "type" with a comma


cdef enum Style:  # what stands before the parts
    TYPED = 1     # of NLRI: a type, and a length in octets: an octet each
    COUNTED = 2   # of NLRI: a length of two octets
    BITS = 3      # of NLRI: a length in bits: an octet
    TLVS = 4      # a run of TLVs: type and length of some octets
    SIZES = 5     # nothing: the number of octets says which parts these are


cdef enum Kind:  # of a part
    RD = 1
    ESI
    MAC          # behind its length in bits
    NUMBER
    CONSTANT
    ADDRESS      # to the end
    COUNTED_IP   # behind its length in bits; left out if that is 0
    OCTETS
    INNER        # octets that are a type, a length and a value
    LABELS       # to the end
    BASE         # a label with the last-label bit
    PREFIX       # with all octets of its address; a gateway and a label stand behind it
    GATEWAY      # before a label
    COMMUNITY    # an extended community
    FLAGS        # a number that is left out if it is 0
    IP
    STACK        # an entry of a label stack
    WORDS        # text to the end
    INNER_TLVS   # to the end, by `table`; left out if there are none
    CHOICE       # parts to the end, by `table`


cdef struct Part:
    uint8_t kind
    uint8_t size      # octets of NUMBER, FLAGS, CONSTANT, OCTETS and IP
    uint8_t key_size
    uint8_t key[KEY]  # of CONSTANT, its octets
    const Table* table


cdef struct Layout:
    uint32_t number   # TYPED, TLVS: the type; else the octets of all parts
    uint8_t count     # of the parts
    uint8_t name_size
    uint8_t name[NAME]  # "type":"NAME", if it has one
    Part parts[MOST_PARTS]


cdef struct Table:
    uint16_t afi        # of a family
    uint8_t safi
    uint8_t code        # of an attribute
    uint8_t style
    uint8_t type_size   # of TLVS
    uint8_t length_size
    uint32_t long_from  # types from here on have a length of two octets
    uint32_t count
    Layout* layouts


cdef const Table* find_family(unsigned afi, unsigned safi) noexcept nogil
cdef const Table* find_attribute(unsigned code) noexcept nogil
cdef bint may_have_name(unsigned kind) noexcept nogil


cdef inline const Layout* find_layout(const Table* table, unsigned number) noexcept nogil:
    cdef uint32_t i
    for i in range(table.count):
        if table.layouts[i].number == number:
            return &table.layouts[i]
    return NULL
