"""What stands on standard error if an exception, a task or a future had no owner."""

from __future__ import annotations

import re

LEAKS = re.compile(
    r"Traceback \(most recent|unexpected |never retrieved|was never awaited|Exception in callback|"
    r"Exception ignored|Task was destroyed|Executing <"
)
