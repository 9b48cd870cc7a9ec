"""Reads VRPs in a process of its own: half a million of them take seconds."""

from __future__ import annotations

import pickle
import resource
import sys
import tempfile
import time
from typing import Final

from ..net.process import output_of
from ..rpki.entries import Parsed
from ..rpki.files import parse
from ..wire.errors import TextError

MAX_MEMORY: Final = 4 << 30
"""Octets of address space that the process may have."""
MAX_SECONDS: Final = 60
"""Seconds of processor time, and three times as many of any, that it may take."""


async def read_vrps(octets: bytes) -> Parsed:
    """The VRPs in JSON. Raises TextError, OSError."""
    with tempfile.TemporaryFile() as file:
        file.write(octets)
        file.seek(0)
        try:
            worker = await output_of((sys.executable, "-m", __name__), file, 3 * MAX_SECONDS)
        except TimeoutError:
            raise TextError(f"VRPs can't be read within {3 * MAX_SECONDS} s") from None
    if worker.code:
        raise TextError("VRPs take too much memory or time to read")
    found: Parsed | str = pickle.loads(worker.stdout)  # it comes from our own process
    if isinstance(found, str):
        raise TextError(found)
    return found


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    answer: Parsed | str
    try:
        answer = parse(sys.stdin.buffer.read(), time.time())
    except TextError as error:
        answer = str(error)
    pickle.dump(answer, sys.stdout.buffer)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
