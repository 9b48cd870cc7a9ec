"""The only two places where accel touches memory: a reader that stops at its end, a writer that makes room first.

Reader: `take` gives the next n octets or NULL; `u8`, `u16`, `u32` (network byte order), `sub` and `skip` are made of
it. Once a read has failed, the reader is at its end and `failed` says so: a loop `while left(&r)` ends, and one look
at `failed` after it checks all reads before. Two reads never stand in one call: C doesn't say which comes first.

Writer: fills a bytes object from its front. `room` gives memory for n octets or NULL (no memory left); the caller
fills it and calls `wrote` with the first octet behind. `open_writer` and `close_writer` need the GIL, the rest does
not. Growing takes it for as long as it lasts.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport abort


cdef extern from "Python.h":
    int _PyBytes_Resize(PyObject** octets, Py_ssize_t size) except -1
    PyObject* new_bytes "PyBytes_FromStringAndSize"(const char* octets, Py_ssize_t size) except NULL
    uint8_t* bytes_start "(uint8_t*)PyBytes_AS_STRING"(PyObject* octets) noexcept nogil


cdef struct Reader:
    const uint8_t* base
    size_t pos
    size_t end
    bint failed


cdef inline Reader reader(const uint8_t* base, size_t pos, size_t end) noexcept nogil:
    """Reads base[pos] to base[end - 1]. `pos` behind `end` is a reader that has failed."""
    cdef Reader r
    r.base = base
    r.pos = pos if pos <= end else end
    r.end = end
    r.failed = pos > end
    return r


cdef inline size_t left(const Reader* r) noexcept nogil:
    """Octets not yet read."""
    return r.end - r.pos


cdef inline const uint8_t* take(Reader* r, size_t n) noexcept nogil:
    """The next `n` octets, or NULL."""
    cdef size_t pos = r.pos
    if n > r.end - pos:
        r.pos = r.end
        r.failed = True
        return NULL
    r.pos = pos + n
    return r.base + pos


cdef inline bint skip(Reader* r, size_t n) noexcept nogil:
    """Passes over `n` octets; whether they were there."""
    return take(r, n) != NULL


cdef inline Reader sub(Reader* r, size_t n) noexcept nogil:
    """A reader of the next `n` octets, which count as read here; a failed one if they are not there."""
    cdef size_t pos = r.pos
    if take(r, n) == NULL:
        return reader(r.base, 1, 0)
    return reader(r.base, pos, pos + n)


cdef inline uint8_t u8(Reader* r) noexcept nogil:
    cdef const uint8_t* p = take(r, 1)
    return p[0] if p != NULL else 0


cdef inline uint16_t u16(Reader* r) noexcept nogil:
    cdef const uint8_t* p = take(r, 2)
    return (<uint16_t> p[0] << 8) | p[1] if p != NULL else 0


cdef inline uint32_t u32(Reader* r) noexcept nogil:
    cdef const uint8_t* p = take(r, 4)
    if p == NULL:
        return 0
    return (<uint32_t> p[0] << 24) | (<uint32_t> p[1] << 16) | (<uint32_t> p[2] << 8) | p[3]


cdef struct Writer:
    PyObject* octets  # the bytes object; NULL after memory ran out
    size_t size       # octets it can hold
    size_t used       # octets written
    size_t promised   # `used` may grow to this before the next `room`


cdef inline bint open_writer(Writer* w, size_t size) except False:
    """An empty writer with room for `size` octets to begin with. Raises MemoryError."""
    w.octets = NULL
    w.octets = new_bytes(NULL, <Py_ssize_t> size)
    w.size = size
    w.used = w.promised = 0
    return True


cdef inline bint grow(Writer* w, size_t n) noexcept with gil:
    """Makes room for `n` more octets, and half as much again as there was."""
    cdef size_t size = w.size + w.size // 2
    if size < w.used + n:
        size = w.used + n
    try:
        _PyBytes_Resize(&w.octets, <Py_ssize_t> size)
    except MemoryError:
        w.size = w.used = w.promised = 0
        return False
    w.size = size
    return True


cdef inline uint8_t* room(Writer* w, size_t n) noexcept nogil:
    """Memory for the next `n` octets, or NULL."""
    if n > w.size - w.used and (w.octets == NULL or not grow(w, n)):
        return NULL
    w.promised = w.used + n
    return bytes_start(w.octets) + w.used


cdef inline void wrote(Writer* w, const uint8_t* end) noexcept nogil:
    """Keeps what was written from the start of the last room to before `end`.

    More than was asked for is a fault of accel that has already broken memory: the process ends here.
    """
    cdef size_t used = end - bytes_start(w.octets)
    if used > w.promised:
        abort()
    w.used = used


cdef inline bytes close_writer(Writer* w):
    """What was written. Raises MemoryError if memory ran out on the way."""
    cdef PyObject* octets
    if w.octets == NULL:
        raise MemoryError
    _PyBytes_Resize(&w.octets, <Py_ssize_t> w.used)
    octets = w.octets
    w.octets = NULL
    written = <bytes> octets
    Py_XDECREF(octets)
    return written
