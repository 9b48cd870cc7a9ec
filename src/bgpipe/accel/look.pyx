"""Answers for Python code about messages: blocks to Message objects, and the most frequent questions about an UPDATE.

Accel knows no class of the storeys above. It is given them, and makes their objects as they would themselves.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_SET_ITEM
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from types import MemberDescriptorType

from .attributes cimport AS4_PATH, AS_PATH, MP_REACH, MP_UNREACH
from .block cimport (
    ADD_PATH_IPV4, ADD_PATH_IPV6, CHECKED, GUESS_AS, LEFT, MALFORMED, MESSAGE_HEADER, NO_PEER, PEER_AS4, RIB, RIGHT, TOLD, Entry, message_of,
    next_entry, peer_of, tags_of,
)
from .octets cimport Reader, left, reader, skip, take, u8, u16, u32
from .update cimport AS_SEQUENCE, Mp, Update, has, locate_body, value_of


cdef extern from *:
    """
    static inline PyObject *new_object(PyObject *type, Py_ssize_t size) {
        return ((PyTypeObject *) type)->tp_alloc((PyTypeObject *) type, size);
    }
    static inline int set_slot(PyObject *descriptor, PyObject *object, PyObject *value) {
        return Py_TYPE(descriptor)->tp_descr_set(descriptor, object, value);
    }
    """
    object new_object(object type, Py_ssize_t size)
    int set_slot(object descriptor, object owner, object value) except -1


cdef enum:
    CONTEXT = 3 | GUESS_AS | ADD_PATH_IPV4 | ADD_PATH_IPV6  # the flags that say how to read a message
    PEER_HEADER = 44        # octets of the longest
    PEERS = 256             # slots for per-peer headers that are remembered, so that messages share the object


cdef class Opener:
    """Blocks to messages."""

    cdef object message
    cdef dict contexts
    cdef list directions
    cdef list peers
    cdef object action, body, context, direction, peer, seq, tags, time, type_code, value, verdict

    def __cinit__(self, type message not None, dict contexts not None, list directions not None):
        """message: the class, all of whose attributes are slots. contexts: by an entry's flags that say how to read
        the message. directions: by an entry's flags RIGHT and LEFT, 0 to 3.
        """
        slots = [
            message.action, message.body, message.context, message.direction, message._peer, message.seq,
            message._tags, message.time, message.type_code, message._value, message.verdict,
        ]
        if len(directions) != 4 or not all(isinstance(slot, MemberDescriptorType) for slot in slots):
            raise TypeError("not the class and the directions of a message")
        self.message = message
        self.contexts = contexts
        self.directions = directions
        self.peers = [b""] * PEERS
        self.action, self.body, self.context, self.direction, self.peer = slots[:5]
        self.seq, self.tags, self.time, self.type_code, self.value, self.verdict = slots[5:]

    def open(self, bytes octets not None, bytes index not None, Py_ssize_t start, Py_ssize_t stop, bytes tags=b""):
        """The messages at the positions `start` to before `stop`. Raises ValueError if an entry leads out of `octets`,
        or has flags that go with no context.

        tags: the block's.
        """
        cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
        cdef size_t size = PyBytes_GET_SIZE(octets)
        cdef Py_ssize_t count = PyBytes_GET_SIZE(index) // <Py_ssize_t> sizeof(Entry)
        cdef Reader entries, r
        cdef Entry entry
        cdef unsigned flags = 0xFFFF, type_code
        cdef list messages = []
        cdef dict fragments = {}
        cdef object context = None
        cdef object message
        start = max(start, 0)
        stop = min(stop, count)
        entries = reader(<const uint8_t*> PyBytes_AS_STRING(index), start * sizeof(Entry), max(start, stop) * sizeof(Entry))
        while next_entry(&entries, &entry):
            r = message_of(base, size, &entry)
            skip(&r, MESSAGE_HEADER - 1)
            type_code = u8(&r)
            if r.failed:
                raise ValueError("an entry's message is not in the block")
            if entry.flags & CONTEXT != flags:
                flags = entry.flags & CONTEXT
                context = self.contexts.get(flags)
                if context is None:
                    raise ValueError("an entry's flags name no context")
            message = new_object(self.message, 0)
            set_slot(self.type_code, message, type_code)
            set_slot(self.body, message, PyBytes_FromStringAndSize(<const char*> r.base + r.pos, left(&r)))
            set_slot(self.direction, message, self.directions[(entry.flags & (LEFT | RIGHT)) // RIGHT])
            set_slot(self.seq, message, entry.seq)
            set_slot(self.time, message, entry.time)
            set_slot(self.context, message, context)
            set_slot(self.action, message, 0)
            set_slot(self.tags, message, fragment(tags, &entry, fragments) if entry.tags else None)
            set_slot(self.peer, message, None if entry.peer == NO_PEER else self.header(base, size, &entry))
            set_slot(self.value, message, None)
            set_slot(self.verdict, message, entry.flags & (CHECKED | MALFORMED | TOLD | RIB))
            messages.append(message)
        return messages

    cdef bytes header(self, const uint8_t* base, size_t size, const Entry* entry):
        """An entry's per-peer header, with AS numbers of 4 octets."""
        cdef Reader r = peer_of(base, size, entry)
        cdef uint8_t header[PEER_HEADER]
        cdef const uint8_t* octets
        cdef size_t addresses
        cdef uint32_t hash
        cdef bytes known
        if entry.flags & PEER_AS4:
            octets = take(&r, 12)
            if octets != NULL:
                memcpy(header, octets, 12)
        else:
            memset(header, 0, 8)
            octets = take(&r, 8)
            if octets != NULL:
                memcpy(header + 2, octets, 2)
                memcpy(header + 6, octets + 2, 6)
        addresses = 32 if octets != NULL and header[11] == 2 else 8
        octets = take(&r, addresses)
        if octets == NULL:
            raise ValueError("an entry's per-peer header is not in the block")
        memcpy(header + 12, octets, addresses)
        # Peers of one collector differ in their AS number, in the family and in the last octets of their address.
        memcpy(&hash, header, 4)
        hash ^= addresses ^ octets[addresses // 2 - 1] ^ <uint32_t> octets[addresses // 2 - 3] << 8
        hash = hash * 0x9E3779B1u >> 24
        known = <bytes> self.peers[hash]
        size = 12 + addresses
        if <size_t> PyBytes_GET_SIZE(known) != size or memcmp(PyBytes_AS_STRING(known), header, size) != 0:
            known = PyBytes_FromStringAndSize(<const char*> header, size)
            self.peers[hash] = known
        return known


cdef bytes fragment(bytes tags, const Entry* entry, dict known):
    """The text of an entry's tags; messages with the same share the object."""
    cdef Reader r
    found = known.get(entry.tags)
    if found is None:
        r = tags_of(<const uint8_t*> PyBytes_AS_STRING(tags), PyBytes_GET_SIZE(tags), entry)
        if r.failed:
            raise ValueError("an entry's tags are not in the block")
        found = known[entry.tags] = PyBytes_FromStringAndSize(<const char*> r.base + r.pos, left(&r))
    return <bytes> found


cdef class Looker:
    """Answers questions about the body of an UPDATE as bgpipe.wire.update does, or with None if accel has no answer."""

    cdef object prefix
    cdef list contexts

    def __cinit__(self, type prefix not None, list contexts not None):
        """prefix: the class, a tuple of AFI, address, length and path identifier.

        contexts: by the flags AS4 and ADD_PATH, 0 to 3. In any other context accel has no answer.
        """
        if not issubclass(prefix, tuple) or len(contexts) != 4:
            raise TypeError("not the class of a prefix and the contexts")
        self.prefix = prefix
        self.contexts = contexts

    cdef bint locate(self, Update* u, bytes body, object context):
        """Whether the body is well-formed and common, and its context is known."""
        cdef Reader r = reader(<const uint8_t*> PyBytes_AS_STRING(body), 0, PyBytes_GET_SIZE(body))
        cdef unsigned flags = 0
        while context is not self.contexts[flags]:
            flags += 1
            if flags == 4:
                return False
        return locate_body(u, r, flags)

    def reach(self, bytes body not None, object context):
        """All announced prefixes."""
        cdef Update u
        cdef list prefixes = []
        if not self.locate(&u, body, context):
            return None
        self.append(prefixes, u.nlri, 1, u.add_path)
        if has(&u, MP_REACH):
            self.append(prefixes, u.reach.nlri, u.reach.afi, u.reach.add_path)
        return prefixes

    def withdrawn(self, bytes body not None, object context):
        """All withdrawn prefixes."""
        cdef Update u
        cdef list prefixes = []
        if not self.locate(&u, body, context):
            return None
        self.append(prefixes, u.withdrawn, 1, u.add_path)
        if has(&u, MP_UNREACH):
            self.append(prefixes, u.unreach.nlri, u.unreach.afi, u.unreach.add_path)
        return prefixes

    def origin_as(self, bytes body not None, object context):
        """The last AS of the path, None if there is none or it ends in an AS_SET; -1 where accel has no answer."""
        cdef Update u
        cdef Reader r
        cdef unsigned kind = 0, count = 0
        cdef uint32_t origin = 0
        if not self.locate(&u, body, context) or not u.as4 and has(&u, AS4_PATH):
            return -1
        r = value_of(&u, AS_PATH)
        while left(&r):
            kind = u8(&r)
            count = u8(&r)
            skip(&r, (count - 1) * (4 if u.as4 else 2))
            origin = u32(&r) if u.as4 else u16(&r)
        return origin if kind == AS_SEQUENCE and not r.failed else None

    cdef bint append(self, list prefixes, Reader r, unsigned afi, bint add_path) except False:
        """Prefixes of one field, their bits behind the mask cleared."""
        cdef uint8_t address[16]
        cdef const uint8_t* octets
        cdef size_t size
        cdef unsigned length
        cdef uint32_t path_id = 0
        while left(&r):
            if add_path:
                path_id = u32(&r)
            length = u8(&r)
            size = (length + 7) >> 3
            octets = take(&r, size)
            if octets == NULL or size > 16:
                raise ValueError("prefixes that end elsewhere than their field")
            memset(address, 0, 16)
            memcpy(address, octets, size)
            if length & 7:
                address[size - 1] &= 0xFF00 >> (length & 7)
            number = big(address, 4) if afi == 1 else big(address, 8) << 64 | big(address + 8, 8)
            prefix = new_object(self.prefix, 4)
            set_item(prefix, 0, afi)
            set_item(prefix, 1, number)
            set_item(prefix, 2, length)
            set_item(prefix, 3, path_id if add_path else None)
            prefixes.append(prefix)
        return True


cdef inline object big(const uint8_t* octets, unsigned size):
    """An integer of 4 or 8 octets."""
    cdef uint64_t number = 0
    cdef unsigned i
    for i in range(size):
        number = number << 8 | octets[i]
    return number


cdef inline int set_item(object owner, Py_ssize_t place, object item) noexcept:
    """Fills a place of a new tuple, whatever its class."""
    Py_INCREF(item)
    PyTuple_SET_ITEM(owner, place, item)
    return 0
