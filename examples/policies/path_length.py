"""Withdraw routes with more AS numbers in their path than is likely.

bgpipe 192.0.2.1 -- py -R -A path_length.py 50 -- 198.51.100.1
"""

from __future__ import annotations

from bgpipe import Message
from bgpipe.stage import Stage

longest = 50


def start(stage: Stage) -> None:
    global longest
    longest = int(stage.arguments[1]) if len(stage.arguments) > 1 else longest


def update(m: Message) -> None:
    path = m.update.as_path
    if path and path.length > longest and m.update.reach:
        m.update = m.update.withdraw()
