"""Memory for blocks: keeps freed pages in the process, for the next block."""

cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    static int keep_memory(int octets) {
        return mallopt(M_MMAP_THRESHOLD, octets) && mallopt(M_TRIM_THRESHOLD, octets);
    }
    #else
    static int keep_memory(int octets) { (void) octets; return 0; }
    #endif
    """
    int keep_memory(int octets) noexcept nogil


def keep_pages() -> bool:
    """Lets the process keep up to 32 MiB of freed memory. Returns whether that is possible (with the GNU C library).

    Otherwise each block's text gets new pages from the system and gives them back, which takes as long as the text
    itself. It is for a program to decide about its process, so importing accel does not do this.
    """
    return bool(keep_memory(32 << 20))
