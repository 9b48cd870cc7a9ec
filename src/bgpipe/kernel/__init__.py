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
    try:
        from . import frame as frame
        from . import index as index
        from . import json_in as json_in
        from . import json_out as json_out
        from . import limit as limit
        from . import look as look
        from . import memory as memory
        from . import mrt_out as mrt_out
        from . import narrow as narrow
        from . import raw_out as raw_out
        from . import rib as rib
    except ImportError as error:
        WHY_NOT = f"not built ({error})"
    else:
        AVAILABLE = True
