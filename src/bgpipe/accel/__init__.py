"""The compiled part: functions over blocks. It may decline, never decide.

It handles well-formed common input, says where it met anything else, and leaves that to the Python codec.
Everything works without it, only slower: `AVAILABLE` says whether it is there, `WHY_NOT` why it isn't.
BGPIPE_ACCEL=0 in the environment switches it off. BGPIPE_KERNEL, its old name, is still read.
"""

import os
from importlib import import_module
from typing import Any

_WRITERS = ("bgpdump_out", "bmp_out", "json_out", "mrt_out", "raw_out", "rib_out")
_TABLES = ("adj_rib_in", "aspa", "guard", "judge", "limit", "prefix_sets", "rib", "rov", "rpki_json", "vrps")
_EDITS = ("cut", "edit", "otc")
MODULES = (
    "attributes",
    "frame",
    "index",
    "json_in",
    "layout",
    "look",
    "memory",
    "select",
    *_TABLES,
    *_EDITS,
    *_WRITERS,
)
"""Each is loaded when it is first asked for: most command lines need a few."""
AVAILABLE = False
WHY_NOT = ""

SWITCHED_OFF = os.environ.get("BGPIPE_ACCEL", os.environ.get("BGPIPE_KERNEL")) == "0"

if SWITCHED_OFF:
    WHY_NOT = "switched off by BGPIPE_ACCEL=0"
else:
    try:  # compiled modules: mypy doesn't see them
        from . import frame as frame  # type: ignore[attr-defined]
    except ImportError as error:
        WHY_NOT = f"can't be loaded: {error}"
        if error.name == __name__:
            WHY_NOT = "not built: the installation found no C compiler or no Python headers (pip install -v shows more)"
    else:
        AVAILABLE = True


def __getattr__(name: str) -> Any:
    if AVAILABLE and name in MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
