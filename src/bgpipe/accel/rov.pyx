"""Route origin validation of blocks: the verdicts and tags of bgpipe.rpki.origin, for well-formed common UPDATEs."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from .adj_rib_in cimport BLACKHOLE, marks_of
from .attributes cimport AS4_PATH, AS_PATH, MP_REACH
from .block cimport LEFT, MESSAGE_HEADER, NO_PEER, PEER_AS4, RIGHT, Entry, message_of, next_entry, peer_of, tags_of
from .json_out cimport PEERS, Peer, put_prefix
from .octets cimport Reader, Writer, close_writer, left, open_writer, reader, room, skip, u8, u16, u32
from .prefix cimport mix, read_address
from .tag_text cimport USUAL_TEXT_PER_MESSAGE, copy_tags, has_text, keep_text, put_old_tags, put_text
from .update cimport AS_SEQUENCE, Update, has, locate, value_of
from .vrps cimport INVALID, NO_ORIGIN, NOT_FOUND, VALID, Verdict, VrpTable


cdef enum:
    UPDATE = 2
    TEXT_PER_PREFIX = 96        # `"rov/#PATH_ID#PREFIX":"NOT_FOUND",`
    TEXT_PER_MESSAGE = 320      # a peer's tags, and `"rov/status":"NOT_FOUND"`
    SLOTS = 1024                # of the prefixes of one message
    MOST_PREFIXES = 700


cdef enum Outcome:
    PASSED    # nothing of it is judged
    JUDGED
    DECLINED


cdef struct Slot:
    uint64_t hash
    uint64_t message  # the slot is free for all others


cdef struct Work:
    Update update
    Peer peers[PEERS]
    Slot slots[SLOTS]
    uint8_t said[MOST_PREFIXES]  # of each prefix of the message at hand: its verdict
    uint64_t message    # number of the message at hand, from 1
    unsigned prefixes   # of it
    Verdict worst       # of its prefixes
    size_t counts[3]    # prefixes of judged messages, by verdict
    size_t own[3]       # prefixes of the message at hand
    bint strict
    bint blackhole  # routes with the community BLACKHOLE may be longer than maxLength
    bint tag


def judge_block(
    VrpTable table not None, bytes octets not None, bytearray index not None, bytes tags not None,
    uint32_t from_left, uint32_t from_right, bint strict, bint tag, bint blackhole=False, bint every=False,
    bytes wanted=None
):
    """(index, tags, found, verdicts, declined, messages, counts): what bgpipe.rpki.origin.judge_block finds.

    index, tags: of the new block; None without `tag`. found, declined: positions of messages: those that are invalid,
    or with `every` all that were judged; those declined are not counted and keep their tags. verdicts: of each one that
    was found, an octet for each route: 0 VALID, 1 NOT_FOUND, 2 INVALID. counts: prefixes that are VALID, NOT_FOUND,
    INVALID. from_left, from_right: the AS numbers of the peers on the left and on the right, 0 where nobody knows.
    wanted: an octet for each message, 0 for one that is not judged. Raises MemoryError.
    """
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef size_t size = PyBytes_GET_SIZE(octets)
    cdef const uint8_t* old = <const uint8_t*> PyBytes_AS_STRING(tags)
    cdef size_t old_size = PyBytes_GET_SIZE(tags)
    cdef bytearray new = bytearray(index)
    cdef Entry* entries = <Entry*> PyByteArray_AS_STRING(new)
    cdef size_t count = len(new) // sizeof(Entry), i, messages = 0
    cdef list found = [], verdicts = [], declined = []
    cdef const uint8_t* chosen = NULL
    cdef Work* work = <Work*> calloc(1, sizeof(Work))
    cdef Outcome outcome
    cdef Writer w
    if work == NULL:
        raise MemoryError
    try:
        if wanted is not None:
            if <size_t> PyBytes_GET_SIZE(wanted) != count:
                raise ValueError("an octet for each message is expected")
            chosen = <const uint8_t*> PyBytes_AS_STRING(wanted)
        work.strict = strict
        work.blackhole = blackhole
        work.tag = tag
        open_writer(&w, (old_size + count * USUAL_TEXT_PER_MESSAGE) if tag else 0)
        if tag:
            copy_tags(&w, old, old_size)
        for i in range(count):
            if chosen != NULL and chosen[i] == 0:
                continue
            outcome = judge_message(work, table, base, size, old, old_size, &entries[i], from_left, from_right, &w)
            if outcome == DECLINED:
                declined.append(i)
            elif outcome == JUDGED:
                messages += 1
                if every or work.worst == INVALID:
                    found.append(i)
                    verdicts.append(PyBytes_FromStringAndSize(<const char*> work.said, work.prefixes))
        counts = work.counts[0], work.counts[1], work.counts[2]
        text = close_writer(&w)
        return new if tag else None, text if tag else None, found, verdicts, declined, messages, counts
    finally:
        free(work)


cdef Outcome judge_message(
    Work* work, VrpTable table, const uint8_t* base, size_t size, const uint8_t* tags, size_t tags_size, Entry* entry,
    uint32_t from_left, uint32_t from_right, Writer* w
) noexcept nogil:
    """Judges one message; with tags, changes its entry."""
    cdef Reader message = message_of(base, size, entry), text, nlri
    cdef Update* u = &work.update
    cdef uint32_t origin
    cdef uint8_t* p = NULL
    cdef uint8_t* start = NULL
    cdef size_t octets, i
    cdef bint longer
    if message.failed:
        return DECLINED
    if message.base[message.pos + MESSAGE_HEADER - 1] != UPDATE:
        return PASSED
    if not locate(u, message, entry.flags) or not u.as4 and has(u, AS4_PATH):
        return DECLINED
    nlri = u.reach.nlri if has(u, MP_REACH) and u.reach.safi == 1 else reader(base, 0, 0)
    octets = left(&u.nlri) + left(&nlri)
    if octets == 0:
        return PASSED
    if not find_origin(u, base, size, entry, from_left, from_right, &origin):
        return DECLINED
    longer = work.blackhole and marks_of(u) & BLACKHOLE
    work.message += 1
    work.prefixes = 0
    work.worst = VALID
    work.own[0] = work.own[1] = work.own[2] = 0
    if work.tag:
        text = tags_of(tags, tags_size, entry)
        if entry.tags and (text.failed or has_text(text, b'"rov/')):
            return DECLINED
        start = room(w, TEXT_PER_PREFIX * octets + TEXT_PER_MESSAGE + left(&text))
        if start == NULL:
            return DECLINED
        p = put_old_tags(start + 4, work.peers, base, size, entry, text)
        if p == NULL:
            return DECLINED
    if not judge_prefixes(&p, work, table, u.nlri, 1, u.add_path, origin, longer):
        return DECLINED
    if left(&nlri) and not judge_prefixes(&p, work, table, nlri, u.reach.afi, u.reach.add_path, origin, longer):
        return DECLINED
    if work.tag:
        p = put_verdict(put_text(p, b'"rov/status":"'), work.worst)
        if not keep_text(entry, w, start, p):
            return DECLINED
    for i in range(3):
        work.counts[i] += work.own[i]
    return JUDGED


cdef inline uint8_t* put_verdict(uint8_t* p, Verdict verdict) noexcept nogil:
    return put_text(p, b'VALID"' if verdict == VALID else b'INVALID"' if verdict == INVALID else b'NOT_FOUND"')


cdef inline bint find_origin(
    Update* u, const uint8_t* base, size_t size, const Entry* entry, uint32_t from_left, uint32_t from_right,
    uint32_t* origin
) noexcept nogil:
    """The origin AS (bgpipe.rpki.origin.origin_as), NO_ORIGIN for none; False declines."""
    cdef Reader r = value_of(u, AS_PATH)
    cdef unsigned kind = 0, count
    cdef unsigned both = entry.flags & (LEFT | RIGHT)
    cdef uint32_t last = 0
    if left(&r):
        while left(&r):
            kind = u8(&r)
            count = u8(&r)
            skip(&r, (count - 1) * (4 if u.as4 else 2))
            last = u32(&r) if u.as4 else u16(&r)
        origin[0] = last if kind == AS_SEQUENCE and not r.failed else NO_ORIGIN
        return True
    origin[0] = from_left if both == RIGHT else from_right if both == LEFT else 0
    if origin[0]:
        return True
    if entry.tags:
        return False  # it can be in a tag
    if entry.peer != NO_PEER:
        r = peer_of(base, size, entry)
        origin[0] = u32(&r) if entry.flags & PEER_AS4 else u16(&r)
        return not r.failed
    return True


cdef inline bint judge_prefixes(
    uint8_t** p, Work* work, VrpTable table, Reader r, unsigned afi, bint add_path, uint32_t origin, bint longer
) noexcept nogil:
    """Judges the prefixes of one field, and writes their tags; False declines."""
    cdef Reader text
    cdef uint64_t high, low
    cdef uint32_t path_id = 0
    cdef unsigned length
    cdef Verdict verdict
    cdef uint8_t* q
    while left(&r):
        text = r
        if add_path:
            path_id = u32(&r)
        length = u8(&r)
        read_address(&r, afi, length, &high, &low)
        if afi == 1:
            high <<= 32
        if r.failed or not is_new(work, high ^ <uint64_t> afi << 40, low, <uint64_t> path_id << 8 | length):
            return False
        verdict = table.judge(afi, high, low, length, origin, longer)
        if verdict == NOT_FOUND and work.strict:
            verdict = INVALID
        work.own[<unsigned> verdict] += 1
        work.said[work.prefixes - 1] = <uint8_t> verdict
        if verdict > work.worst:
            work.worst = verdict
        if work.tag:
            q = put_prefix(put_text(p[0], b'"rov/'), &text, afi == 2, add_path)
            if q == NULL:
                return False
            q = put_verdict(put_text(q, b'":"'), verdict)
            q[0] = c","
            p[0] = q + 1
    return True


cdef inline bint is_new(Work* work, uint64_t high, uint64_t low, uint64_t rest) noexcept nogil:
    """Whether the message has not announced this prefix before; if it seems so, or has very many, Python looks."""
    cdef uint64_t hash = mix(mix(mix(0, high), low), rest)
    cdef size_t at = hash & (SLOTS - 1)
    work.prefixes += 1
    if work.prefixes > MOST_PREFIXES:
        return False
    while work.slots[at].message == work.message:
        if work.slots[at].hash == hash:
            return False
        at = (at + 1) & (SLOTS - 1)
    work.slots[at].message = work.message
    work.slots[at].hash = hash
    return True
