"""The compiled kernel: functions over blocks. It may decline, never decide.

It handles well-formed common input, says where it met anything else, and leaves that to the Python codec.
Everything works without it, only slower: `AVAILABLE` says whether it is there, `WHY_NOT` why it isn't.
BGPIPE_KERNEL=0 in the environment switches it off.
"""

import os

AVAILABLE = False
WHY_NOT = ""

if os.environ.get("BGPIPE_KERNEL") == "0":
    WHY_NOT = "switched off by BGPIPE_KERNEL=0"
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
            narrow as narrow,
            raw_out as raw_out,
            rib as rib,
        )
    except ImportError as error:
        WHY_NOT = "not built" if error.name == __name__ else f"can't be loaded: {error}"
    else:
        AVAILABLE = True
