"""Widens the routes of small routers in a process of its own: with long lists it takes seconds."""

from __future__ import annotations

import asyncio
import pickle
import resource
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, Final

from ..net.process import output_of
from ..routes.attributes import Attributes
from ..routes.budget import Budgeted, Routes, widen_within
from ..routes.partition import AFIS
from ..routes.policy import Common, Subscription
from ..routes.prefixes import PrefixSet, merged, without
from ..routes.table import Table

MAX_MEMORY: Final = 4 << 30
"""Octets of address space that the process may have."""
MAX_SECONDS: Final = 120
"""Seconds of processor time, and twice as many of any, that it may take."""
_RUN: Final = 20_000
"""Prefixes that are handed over at once: a millisecond or two."""


class BudgetError(Exception):
    """The routes could not be widened; the text says why."""


async def widen_elsewhere(exact: Table, subscription: Subscription, common: Common, merged: Routes) -> Budgeted:
    """budget.widen_within for the routes of a table, in another process. Raises BudgetError, OSError."""
    with tempfile.TemporaryFile() as file:
        pickle.dump((subscription, common, dict(merged)), file)
        for attributes, afi, numbers, omitted in exact.runs():
            for start in range(0, len(numbers), _RUN):
                pickle.dump((attributes, afi, numbers[start : start + _RUN], ()), file)
                await asyncio.sleep(0)
            pickle.dump((attributes, afi, (), omitted), file)
        file.seek(0)
        try:
            worker = await output_of((sys.executable, "-m", __name__), file, 2 * MAX_SECONDS)
        except TimeoutError:
            raise BudgetError(f"widening takes more than {2 * MAX_SECONDS} s") from None
    if worker.code:
        raise BudgetError("widening takes too much memory or time")
    found: Budgeted = pickle.loads(worker.stdout)  # it comes from our own process
    return found


def read_routes(file: IO[bytes]) -> Routes:
    """The routes that widen_elsewhere has written."""
    runs: dict[Attributes, dict[int, tuple[list[Sequence[int]], list[Sequence[int]]]]] = {}
    while True:
        try:
            attributes, afi, numbers, omitted = pickle.load(file)
        except EOFError:
            break
        both = runs.setdefault(attributes, {each: ([], []) for each in AFIS})
        both[afi][0].append(numbers)
        both[afi][1].append(omitted)
    return {attributes: PrefixSet(*(_left(*both[afi]) for afi in AFIS)) for attributes, both in runs.items()}


def _left(runs: Sequence[Sequence[int]], omitted: Sequence[Sequence[int]]) -> Sequence[int]:
    return without(merged(runs), merged(omitted))


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    subscription, common, merged = pickle.load(sys.stdin.buffer)
    pickle.dump(widen_within(read_routes(sys.stdin.buffer), subscription, common, merged), sys.stdout.buffer)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
