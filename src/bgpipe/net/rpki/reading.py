"""Files and URLs of validators to snapshots, while the event loop goes on."""

from __future__ import annotations

import time
from functools import partial

from ...pipeline.log import Log
from ...rpki.entries import Parsed
from ...rpki.files import parse
from ...rpki.snapshot import Snapshot
from ...tasks import in_thread


async def read_octets(octets: bytes, name: str, log: Log) -> Snapshot:
    """The VRPs and ASPAs in octets. What can't be read of them is told. Raises TextError."""
    return take_parsed(await in_thread("vrps", partial(parse, octets, time.time())), name, log)


def take_parsed(parsed: Parsed, name: str, log: Log) -> Snapshot:
    """The snapshot of a file. What can't be read of it is told."""
    if parsed.bad:
        log.warning(
            "RPKI data that can't be read are left out", source=name, entries=parsed.bad, first=parsed.faults[0]
        )
    if parsed.expired:
        log.info("RPKI data whose time is over are left out", source=name, entries=parsed.expired)
    return parsed.snapshot
