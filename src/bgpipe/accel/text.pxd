"""Reading text: numbers, addresses and prefixes, to octets.

Each function passes over what it found; False or NULL declines, wherever the reader is then. Those that write octets do
so at `p`, where there must be room for them, and return the place behind.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, strlen

from .octets cimport Reader, take, u8


cdef inline bint match(Reader* r, const char* text) noexcept nogil:
    """Passes over `text` if it is what comes next; otherwise over nothing."""
    cdef Reader ahead = r[0]
    cdef size_t size = strlen(text)
    cdef const uint8_t* p = take(&ahead, size)
    if p == NULL or memcmp(p, text, size) != 0:
        return False
    r.pos = ahead.pos
    return True


cdef inline bint read_number(Reader* r, uint64_t top, uint64_t* number) noexcept nogil:
    """A decimal number of at most 18 digits, up to `top`."""
    cdef size_t start = r.pos
    cdef uint64_t value = 0
    cdef unsigned digit
    cdef Reader ahead = r[0]
    while True:
        digit = <unsigned> u8(&ahead) - c"0"
        if digit > 9 or ahead.failed:
            break
        r.pos = ahead.pos
        value = value * 10 + digit
        if value == 0 or r.pos - start == 19:
            break
    number[0] = value
    return r.pos > start and r.pos - start < 19 and value <= top


cdef inline bint read_digits(Reader* r, unsigned count, unsigned* number) noexcept nogil:
    """A number of exactly `count` digits."""
    cdef const uint8_t* p = take(r, count)
    cdef unsigned value = 0, digit, i
    if p == NULL:
        return False
    for i in range(count):
        digit = <unsigned> p[i] - c"0"
        if digit > 9:
            return False
        value = value * 10 + digit
    number[0] = value
    return True


cdef inline uint8_t* get_number(uint8_t* p, Reader* r, unsigned width) noexcept nogil:
    """A number as `width` octets, 2 or 4."""
    cdef uint64_t number
    if not read_number(r, 0xFFFF if width == 2 else 0xFFFFFFFF, &number):
        return NULL
    return put_u16(p, <uint32_t> number) if width == 2 else put_u32(p, <uint32_t> number)


cdef inline uint8_t* put_u16(uint8_t* p, uint32_t number) noexcept nogil:
    p[0] = number >> 8 & 255
    p[1] = number & 255
    return p + 2


cdef inline uint8_t* put_u32(uint8_t* p, uint32_t number) noexcept nogil:
    return put_u16(put_u16(p, number >> 16), number)


cdef inline uint8_t* get_ipv4(uint8_t* p, Reader* r) noexcept nogil:
    cdef uint64_t number
    cdef unsigned i
    for i in range(4):
        if i and not match(r, b"."):
            return NULL
        if not read_number(r, 255, &number):
            return NULL
        p[i] = <uint8_t> number
    return p + 4


cdef inline int hex_digit(unsigned letter) noexcept nogil:
    """Its value, or -1; upper case is not ours."""
    if c"0" <= letter <= c"9":
        return letter - c"0"
    return <int> letter - c"a" + 10 if c"a" <= letter <= c"f" else -1


cdef inline uint8_t* get_ipv6(uint8_t* p, Reader* r) noexcept nogil:
    """An address in the form of RFC 5952, to before a quote or a slash; not one that ends like an IPv4 address."""
    cdef unsigned words[8]
    cdef unsigned count = 0, gap = 8, run = 0, longest = 0, first = 8, digits, word, i, j
    cdef int digit
    cdef Reader ahead
    if match(r, b"::"):
        gap = 0
    while True:
        word = 0
        digits = 0
        while True:
            ahead = r[0]
            digit = hex_digit(u8(&ahead))
            if digit < 0:
                break
            if digits == 4 or digits and word == 0:
                return NULL
            r.pos = ahead.pos
            word = word << 4 | <unsigned> digit
            digits += 1
        if digits == 0:
            if gap != count:
                return NULL
            break
        if count == 8:
            return NULL
        words[count] = word
        count += 1
        if not match(r, b":"):
            break
        if match(r, b":"):
            if gap != 8:
                return NULL
            gap = count
    if gap == 8 and count != 8 or gap != 8 and count > 6:
        return NULL
    if gap != 8:
        for i in range(count - gap):
            words[7 - i] = words[count - 1 - i]
        for i in range(gap, 8 - (count - gap)):
            words[i] = 0
    for i in range(8):
        run = run + 1 if words[i] == 0 else 0
        if run > longest:
            longest = run
            first = i + 1 - run
    if gap != 8 and (first != gap or longest != 8 - count) or gap == 8 and longest > 1:
        return NULL
    for i in range(8):
        p = put_u16(p, words[i])
    return p


cdef inline uint8_t* get_prefixes(uint8_t* p, Reader* r, bint ipv6) noexcept nogil:
    """Quoted prefixes with commas between them, to behind the closing bracket; bits behind the mask are cleared."""
    cdef uint8_t address[16]
    cdef uint64_t length
    cdef size_t size
    if match(r, b"]"):
        return p
    while True:
        if not match(r, b'"'):
            return NULL
        if (get_ipv6(address, r) if ipv6 else get_ipv4(address, r)) == NULL:
            return NULL
        if not match(r, b"/") or not read_number(r, 128 if ipv6 else 32, &length):
            return NULL
        size = (length + 7) >> 3
        if length & 7:
            address[size - 1] &= 0xFF00 >> (length & 7)
        p[0] = <uint8_t> length
        memcpy(p + 1, address, size)
        p += 1 + size
        if match(r, b'",'):
            continue
        return p if match(r, b'"]') else NULL
