"""The compiled part: functions over blocks. It may decline, never decide.

It handles well-formed common input, says where it met anything else, and leaves that to the Python codec.
Everything works without it, only slower: `AVAILABLE` says whether it is there, `WHY_NOT` why it isn't.
BGPIPE_ACCEL=0 in the environment switches it off. BGPIPE_KERNEL, its old name, is still read.
"""

import os

AVAILABLE = False
WHY_NOT = ""

if os.environ.get("BGPIPE_ACCEL", os.environ.get("BGPIPE_KERNEL")) == "0":
    WHY_NOT = "switched off by BGPIPE_ACCEL=0"
else:
    try:  # compiled modules: mypy doesn't see them
        from . import (  # type: ignore[attr-defined]  # isort: skip
            frame as frame,
            index as index,
            json_in as json_in,
            json_out as json_out,
            limit as limit,
            look as look,
            memory as memory,
            mrt_out as mrt_out,
            raw_out as raw_out,
            rib as rib,
            select as select,
        )
    except ImportError as error:
        WHY_NOT = f"can't be loaded: {error}"
        if error.name == __name__:
            WHY_NOT = "not built: the installation found no C compiler or no Python headers (pip install -v shows more)"
    else:
        AVAILABLE = True
