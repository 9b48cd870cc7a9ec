"""Random words for the stages that judge, edit, mark and count messages, and VRPs and ASPAs for an archive."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from random import Random

_UPDATES = (
    ("--strip-as", ("private", "1-2000", "174,3356", "64512-65534,100000-200000")),
    ("--prepend", ("65000", "65000*3", "last*2", "200000*2,last", "7*250", "self*2", "last*5,65000*2")),
    ("--origin", ("igp", "egp", "incomplete")),
    ("--med", ("0", "50", "none", "4294967295")),
    ("--local-pref", ("100", "none")),
    ("--nexthop4", ("198.51.100.1",)),
    ("--nexthop6", ("2001:db8::9",)),
    ("--set-com", ("1:1", "1:1,no-export,2:2", "65000:0")),
    ("--add-com", ("65000:666", "1:1,2:2", "no-export")),
    ("--drop-com", ("*", "65000:*", "*:0-100", "65535:*,1:1", "1000-30000:*")),
    ("--set-com-ext", ("rt:1:1", "soo:192.0.2.1:7,rt:1:1", "0x4300000000000001")),
    ("--add-com-ext", ("rt:65000:1", "rt:200000:5,rt:65000:1")),
    ("--drop-com-ext", ("*", "rt:65001:*", "65001:*", "*:*", "0x0002fde900000001", "192.0.2.1:*", "rt:*:1-200")),
    ("--set-com-large", ("1:2:3", "1:2:3,4:5:6")),
    ("--add-com-large", ("65000:1:2", "7:8:9,1:1:1")),
    ("--drop-com-large", ("*", "65001:*:*", "*:1-5:*", "65001:2:3")),
    ("--unknown-attrs", ("strip", "keep")),
)
_TAGS = (
    ("--add", ("src=rv", "A=1,B=2", "otc/status=seen", "PEER_AS=65001")),
    ("--drop", ("PEER_AS", "*", "LOCAL_AS,LOCAL_IP", "A")),
    ("--src", ("",)),
)
_OTC = (
    ("--invalid", ("keep", "drop", "withdraw")),
    ("--tag=false", ("",)),
    ("--event", ("LEAK",)),
)
_GUARD = (
    ("--no-private", ("",)),
    ("--strip-private", ("",)),
    ("--scrub", ("65000:*", "1000-30000:*")),
    ("--attr-discard", ("unknown", "MED", "35,99")),
    ("--attr-withdraw", ("OTC", "7")),
    ("--max-path", ("3", "6")),
    ("--max-communities", ("2",)),
    ("--peerlock", ("174,3356",)),
    ("--on", ("bogon=keep", "malformed=keep", "length=discard", "first-as=drop", "next-hop=keep,bogon-as=keep")),
    ("--on", ("attributes=discard", "communities=discard", "as-set=keep,path-length=discard", "own=keep")),
    ("--own", ("192.0.0.0/6",)),
    ("--gshut", ("mark", "withdraw")),
    ("--next-hop", ("0.0.0.0/1,2001::/16", "peer")),
    ("--default", ("deny",)),
)
_ROV = (
    ("--invalid", ("withdraw", "filter", "drop", "split", "keep")),
    ("--strict", ("",)),
    ("--blackhole", ("",)),
    ("--add-com", ("rfc8097", "invalid=65000:1", "valid=65000:2", "not_found=rt:65000:3")),
    ("--tag=false", ("",)),
    ("--event", ("BAD",)),
)
_ASPA = (
    ("--invalid", ("withdraw", "drop", "keep")),
    ("--first-hop=false", ("",)),
    ("--tag=false", ("",)),
    ("--event", ("LEAK",)),
)
_RULES = ("ipv6", "long: aspath_len > 5", "rov: tag[rov/status] == INVALID", "reach && med", "as_path ~ 174")
_ROLES = ("provider", "customer", "peer", "rs", "rs-client")


def _some(random: Random, options: tuple[tuple[str, tuple[str, ...]], ...], least: int) -> list[str]:
    words: list[str] = []
    for name, values in random.sample(options, random.randint(least, min(5, len(options)))):
        value = random.choice(values)
        words += [name, value] if value else [name]
    return words


def update_words(random: Random) -> list[str]:
    words = _some(random, _UPDATES, 1)
    if random.random() < 0.1:
        words.append(random.choice(("--drop-com", "--drop-com-ext", "--drop-com-large")))
    return ["update", *words]


def tag_words(random: Random) -> list[str]:
    return ["tag", *_some(random, _TAGS, 1)]


def otc_words(random: Random) -> list[str]:
    return ["otc", "--role", random.choice(_ROLES), *_some(random, _OTC, 0)]


def guard_words(random: Random) -> list[str]:
    return ["guard", *_some(random, _GUARD, 0)]


def rov_words(random: Random) -> list[str]:
    return ["rov", *_some(random, _ROV, 0)]


def aspa_words(random: Random) -> list[str]:
    return ["aspa", "--role", random.choice(_ROLES), "--peer-tag", "PEER_AS", *_some(random, _ASPA, 0)]


WORDS = {
    "update": update_words,
    "tag": tag_words,
    "otc": otc_words,
    "guard": guard_words,
    "rov": rov_words,
    "aspa": aspa_words,
}


def metrics_rules(random: Random) -> list[str]:
    return ["-A", *random.sample(_RULES, random.randint(1, 3))]


def validator_data(archive: Path, random: Random) -> bytes:
    """JSON of a validator, by which the routes of an archive are valid, invalid and unknown."""
    from bgpipe import read

    roas: list[dict[str, object]] = []
    aspas: dict[int, set[int]] = {}
    for element in (element for message in read(archive) for element in message.elems()):
        path = [int(each) for each in (element.as_path or "").split() if each.isdigit()]
        if element.prefix and path and random.random() < 0.5:
            length = int(element.prefix.split("/")[1])
            asn = path[-1] if random.random() < 0.6 else 64999
            roas.append({"prefix": element.prefix, "asn": asn, "maxLength": random.choice((length, length + 1))})
        for provider, customer in _hops(path):
            if random.random() < 0.4:
                aspas.setdefault(customer, set()).add(provider)
    listed = [{"customer": customer, "providers": sorted(providers)} for customer, providers in aspas.items()]
    return json.dumps({"roas": roas, "aspas": listed}).encode()


def _hops(path: list[int]) -> Iterable[tuple[int, int]]:
    return ((one, other) for one, other in pairwise(path) if one != other)
