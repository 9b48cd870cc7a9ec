#!/usr/bin/env python3
"""Move RPKI-invalid prefixes to withdrawn (RFC 6811): a program for `exec`, or at the other end of a `pipe`.

    bgpipe 192.0.2.1 -- exec -R ./validator.py -- 198.51.100.1
    bgpipe 192.0.2.1 -- exec -R -A ./validator.py /var/lib/rpki-client/json -- 198.51.100.1

A file says who may originate what, vrps.json unless named: the JSON output of rpki-client, or of `routinator vrps
--format json`, or just `{"roas":[{"asn":64500,"prefix":"198.51.100.0/24","maxLength":24}]}`. When it has changed, it is
read again; if it can't be, what was known counts. Nothing here is bgpipe's: messages are lines of JSON, in and out.
"""

from __future__ import annotations

import json
import os
import sys
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any

AS_TRANS = 23456
UNREADABLE = OSError, ValueError, KeyError, TypeError
Network = tuple[int, int, int]
"""Address family, length, and the bits of a prefix as a number of that length."""


def parse_network(prefix: str) -> Network:
    """Of a prefix, with or without a path identifier. Raises OSError, ValueError."""
    address, _, length = prefix.rpartition("#")[2].partition("/")
    family = AF_INET6 if ":" in address else AF_INET
    octets = inet_pton(family, address)
    return family, int(length), int.from_bytes(octets, "big") >> len(octets) * 8 - int(length)


class Roas:
    """Which AS numbers may originate which prefixes. Raises what is UNREADABLE."""

    def __init__(self, path: str) -> None:
        self._allowed: dict[Network, list[tuple[int, int]]] = {}
        """AS number and the greatest length"""
        with open(path, encoding="utf-8") as file:
            for roa in json.load(file)["roas"]:
                allowed = int(str(roa["asn"]).removeprefix("AS")), int(roa["maxLength"])
                self._allowed.setdefault(parse_network(roa["prefix"]), []).append(allowed)

    def is_invalid(self, prefix: str, origin: int | None) -> bool:
        """Whether ROAs cover the prefix, and none of them allows it (RFC 6811 section 2)."""
        family, length, bits = parse_network(prefix)
        covered = False
        for shorter in range(length + 1):
            for asn, longest in self._allowed.get((family, shorter, bits >> length - shorter), ()):
                if asn == origin and length <= longest:
                    return False
                covered = True
        return covered


class Validator:
    def __init__(self, path: str) -> None:
        self._path = path
        self._seen = os.stat(path).st_mtime_ns
        self._roas = Roas(path)
        self._own: dict[str, int] = {}
        """AS number of who sends in a direction, for routes without a path"""

    def judge(self, message: list[Any]) -> bool:
        """Whether a message has been changed."""
        direction, kind, body = message[0], message[3], message[4]
        if kind == "OPEN" and isinstance(body, dict):
            self._own[direction] = body.get("caps", {}).get("AS4", body["asn"])
        if kind != "UPDATE" or not isinstance(body, dict) or not isinstance(body.get("attrs"), dict):
            return False  # neither an UPDATE nor one that can be read
        attributes: dict[str, Any] = body["attrs"]
        origin = self._origin(attributes, direction)
        invalid = self._invalid(body.get("reach", ()), origin)
        if invalid:
            body["reach"] = [prefix for prefix in body["reach"] if prefix not in invalid]
            body["unreach"] = body.get("unreach", []) + invalid
        reach = value_of(attributes, "MP_REACH", dict)
        if unreachable := self._invalid(reach.get("prefixes", ()), origin):
            reach["prefixes"] = [prefix for prefix in reach["prefixes"] if prefix not in unreachable]
            unreach = attributes.setdefault("MP_UNREACH", {"flags": "O", "value": {"af": reach["af"]}})["value"]
            if isinstance(unreach, dict) and unreach["af"] == reach["af"]:  # of others there is no room for them
                unreach["prefixes"] = unreach.get("prefixes", []) + unreachable
            if not reach["prefixes"]:
                del attributes["MP_REACH"]
        if not body.get("reach") and "MP_REACH" not in attributes:  # of what is withdrawn nothing else is to be said
            body["attrs"] = {name: attributes[name] for name in attributes if name == "MP_UNREACH"}
        return bool(invalid or unreachable)

    def _origin(self, attributes: dict[str, Any], direction: str) -> int | None:
        """None is nobody whom a ROA could name: the path ends with an AS_SET, or with AS 0."""
        path = value_of(attributes, "ASPATH", list)
        last = path[-1] if path else {}
        if last == AS_TRANS:
            last = (value_of(attributes, "AS4PATH", list) or path)[-1]
        if isinstance(last, dict):  # a confederation's segment, or no path at all
            last = self._own.get(direction)
        return last if last and isinstance(last, int) else None

    def _invalid(self, prefixes: list[str], origin: int | None) -> list[str]:
        return [prefix for prefix in prefixes if self._roas.is_invalid(prefix, origin)]

    def refresh(self) -> None:
        """Reads the file again, if it is another one now."""
        version = os.stat(self._path).st_mtime_ns if os.path.exists(self._path) else 0
        if version == self._seen:
            return
        self._seen = version
        try:
            self._roas = Roas(self._path)
            print(f"{self._path} was read again", file=sys.stderr)
        except UNREADABLE as error:
            print(f"{self._path}: {error!r}: what was known counts", file=sys.stderr)


def value_of(attributes: dict[str, Any], name: str, kind: type) -> Any:
    """The value of an attribute; an empty one if it isn't there, or can't be read (then it is hexadecimal)."""
    value = attributes.get(name, {}).get("value")
    return value if isinstance(value, kind) else kind()


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else "vrps.json"
    try:
        validator = Validator(path)
    except UNREADABLE as error:
        sys.exit(f"{path}: {error!r}")
    for line in sys.stdin:
        validator.refresh()
        message = json.loads(line)
        print(json.dumps(message) if validator.judge(message) else line.rstrip("\n"), flush=True)


if __name__ == "__main__":
    main()
