"""Blocks to raw BGP messages, one behind the other: the same bytes as bgpipe.formats.raw writes."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from .block cimport Entry, message_of, next_entry, octets_of
from .octets cimport Reader, Writer, close_writer, left, open_writer, reader, room, wrote


def encode(bytes octets not None, index not None, Py_ssize_t position):
    """(octets, position): the messages of a block from `position` on; all of them, as none needs a look inside.

    octets, index: a block's. Raises MemoryError.
    """
    cdef const uint8_t* base = <const uint8_t*> PyBytes_AS_STRING(octets)
    cdef size_t size = PyBytes_GET_SIZE(octets)
    cdef Py_buffer view
    cdef Writer w
    cdef Reader entries, message
    cdef Entry entry
    cdef uint8_t* p
    PyObject_GetBuffer(index, &view, PyBUF_SIMPLE)
    try:
        entries = reader(<const uint8_t*> view.buf, <size_t> position * sizeof(Entry), view.len)
        open_writer(&w, octets_of(entries))
        with nogil:
            while next_entry(&entries, &entry):
                message = message_of(base, size, &entry)
                p = room(&w, left(&message))
                if message.failed or p == NULL:
                    break
                memcpy(p, base + message.pos, left(&message))
                wrote(&w, p + left(&message))
                position += 1
    finally:
        PyBuffer_Release(&view)
    return close_writer(&w), position
