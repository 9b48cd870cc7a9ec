"""Move RPKI-invalid prefixes to withdrawn, as a validator's HTTP API says (Routinator and others have it).

    bgpipe 192.0.2.1 -- py -R rpki.py -- 198.51.100.1

The validator is at http://127.0.0.1:8323, or where VALIDATOR in the environment says. The session waits for it, once
for each prefix and origin; while it doesn't answer, nothing is invalid. examples/exec/validator.py is a program that
needs no validator: it reads the ROAs from a file.
"""

from __future__ import annotations

import json
import os
import sys
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.request import urlopen

if TYPE_CHECKING:
    from bgpipe import Message

VALIDATOR = os.environ.get("VALIDATOR", "http://127.0.0.1:8323")
TIMEOUT = 2.0


@lru_cache(maxsize=1 << 18)
def is_invalid(origin: int, prefix: str) -> bool:
    """Whether an AS must not originate a prefix (RFC 6811)."""
    with urlopen(f"{VALIDATOR}/api/v1/validity/AS{origin}/{prefix}", timeout=TIMEOUT) as answer:
        state: str = json.load(answer)["validated_route"]["validity"]["state"]
    return state.lower() == "invalid"


def judge(origin: int, prefix: str) -> bool:
    try:
        return is_invalid(origin, prefix.rpartition("#")[2])  # without a path identifier
    except (OSError, ValueError, KeyError) as error:
        print(f"{VALIDATOR}: {error}", file=sys.stderr)
        return False


def update(m: Message) -> None:
    origin = m.update.origin_as or 0
    invalid = [prefix for prefix in m.update.reach if judge(origin, str(prefix))]
    if invalid:
        m.update = m.update.withdraw(invalid)
