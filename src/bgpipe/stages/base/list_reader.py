"""Reads large lists in a process of its own: half a million entries take seconds."""

from __future__ import annotations

import pickle
import sys
from array import array
from typing import Any, Final

from ...net.process import output_of
from ...routes.prefix_lists import AsList, PrefixList, parse_as_list, parse_prefix_list
from ...tasks import in_thread
from ...wire.errors import TextError

LARGE: Final = 1 << 18
"""Characters of a list that takes long to read."""
MAX_SECONDS: Final = 300
"""Seconds that the process may take."""


async def parse_apart(kind: str, text: str) -> PrefixList | AsList:
    """The list in a text: "prefixes" or "asns". Raises TextError, OSError."""
    octets = await in_thread("list", text.encode)
    try:
        worker = await output_of((sys.executable, "-m", __name__, kind), octets, MAX_SECONDS)
    except TimeoutError:
        raise TextError(f"it can't be read within {MAX_SECONDS} s") from None
    if worker.code:
        raise TextError("it takes too much memory or time to read")
    return await in_thread("list", lambda: _restore(kind, worker.stdout))


def _restore(kind: str, octets: bytes) -> PrefixList | AsList:
    found: Any = pickle.loads(octets)  # it comes from our own process
    if isinstance(found, str):
        raise TextError(found)
    return PrefixList.of(*found) if kind == "prefixes" else AsList(found)


def _parse(kind: str, text: str) -> Any:
    try:
        if kind == "prefixes":
            found = parse_prefix_list(text)
            return array("Q", found.ipv4), found.ipv6
        return parse_as_list(text).ranges
    except TextError as error:
        return str(error)


def main() -> None:
    pickle.dump(_parse(sys.argv[1], sys.stdin.buffer.read().decode()), sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
