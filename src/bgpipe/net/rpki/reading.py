"""Octets of files and URLs to snapshots, while the event loop goes on."""

from __future__ import annotations

import time
from functools import partial

from ...pipeline.log import Log
from ...rpki.snapshot import Snapshot
from ...rpki.vrp_json import parse_vrps
from ...tasks import in_thread


async def read_octets(octets: bytes, name: str, log: Log) -> Snapshot:
    """The VRPs and ASPAs in octets. What can't be read of them is told. Raises TextError."""
    found = await in_thread("vrps", partial(parse_vrps, octets, time.time()))
    if found.bad:
        log.warning("RPKI data that can't be read are left out", source=name, entries=found.bad)
    return found.vrps
