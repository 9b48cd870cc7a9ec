"""That freed memory stays with the process, where the C library lets us ask for it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from bgpipe import accel

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)

PROGRAM = """
import resource
from bgpipe.accel.memory import keep_pages

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        bytes(range(256)) * 8192
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
assert keep_pages()
print(first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library is asked")
def test_blocks_use_the_pages_of_those_before():
    text = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    before, after = map(int, text.split())
    pages = 256 * 8192 // 4096
    assert before >= 0
    assert after < 2 * pages  # the first of 20 blocks may need new ones
