#!/usr/bin/env python3
"""Move RPKI-invalid prefixes to withdrawn, as a validator's HTTP API says (Routinator and others have it).

    bgpipe 192.0.2.1 -- exec -R ./validator.py -- 198.51.100.1
    bgpipe 192.0.2.1 -- py -R validator.py -- 198.51.100.1

The validator is at http://127.0.0.1:8323, or where VALIDATOR in the environment says. Under `exec` this is a program
of its own that reads and writes JSON, and sessions need not wait for the validator. Under `py` they do, once for each
prefix and origin. While the validator doesn't answer, nothing is invalid.
"""

from __future__ import annotations

import json
import os
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any
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
    """For `py`."""
    origin = m.update.origin_as or 0
    invalid = [prefix for prefix in m.update.reach if judge(origin, str(prefix))]
    if invalid:
        m.update = m.update.withdraw(invalid)


def edit(body: dict[str, Any]) -> None:
    """For `exec`: the same with the JSON of an UPDATE."""
    attributes = body.get("attrs", {})
    path = attributes.get("ASPATH", {}).get("value", [])
    origin = path[-1] if path and isinstance(path[-1], int) else 0
    reach = body.get("reach", [])
    if invalid := [prefix for prefix in reach if judge(origin, prefix)]:
        body["reach"] = [prefix for prefix in reach if prefix not in invalid]
        body["unreach"] = body.get("unreach", []) + invalid
    mp_reach = attributes.get("MP_REACH", {}).get("value", {})
    prefixes = mp_reach.get("prefixes", [])
    if invalid := [prefix for prefix in prefixes if judge(origin, prefix)]:
        mp_reach["prefixes"] = [prefix for prefix in prefixes if prefix not in invalid]
        mp_unreach = attributes.setdefault("MP_UNREACH", {"flags": "O", "value": {"af": mp_reach["af"]}})["value"]
        mp_unreach["prefixes"] = mp_unreach.get("prefixes", []) + invalid
        if not mp_reach["prefixes"]:
            del attributes["MP_REACH"]
    if not body.get("reach") and "MP_REACH" not in attributes:  # nothing is announced, so there is nothing to say of it
        body["attrs"] = {name: value for name, value in attributes.items() if name == "MP_UNREACH"}


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if message[3] == "UPDATE" and isinstance(message[4], dict) and isinstance(message[4].get("attrs"), dict):
            edit(message[4])
        print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
