"""Mutants of every message of the vectors: decoded, checked, shown as JSON and read back, filtered, encoded.

BGPIPE_MUTANTS says how many (default 20,000), BGPIPE_SEED where they begin. Each must end in a message or in the one
declared error, and in one line of strict JSON that reads back to the same octets. The slowest is printed.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from bgpipe.filters import compile_filter
from bgpipe.formats.json import JsonDecoder, JsonEncoder
from bgpipe.wire.context import AS2, AS2_ADD_PATH, AS4, AS4_ADD_PATH
from bgpipe.wire.errors import TextError, WireError
from bgpipe.wire.message import OPEN, UPDATE, Message
from vectors import FOLDER
from wire.attributes_shown import SHOWN as ATTRIBUTES
from wire.nlri_shown import SHOWN as NLRI

MUTANTS = int(os.environ.get("BGPIPE_MUTANTS", "20000"))
SEED = int(os.environ.get("BGPIPE_SEED", "1"))
TIME = 2.0
"""Seconds of processor time: what takes longer grows with more than the size of the message, on any machine."""
GROWTH = 64 << 20
"""Octets of memory by which the process may grow once the caches are full."""
CONTEXTS = (AS4, AS2, AS4_ADD_PATH, AS2_ADD_PATH)
FILTERS = [
    compile_filter(text)
    for text in (
        "prefix ~ 10.0.0.0/8 || rd == 65000:1",
        "label > 15 && target == 65000:1",
        'mac == "00:00:5e:00:53:01" || nexthop ~ 192.0.2.0/24',
        'json[attrs.MP_REACH.value.routes.0.type] == "MAC_IP"',
        'attr[tunnel.0.type] == "SR_POLICY" || com ~ 65000 || aspath_len > 3',
        'ext_com == {"type":"TARGET","value":"65000:1"}',
    )
]


def seeds() -> list[tuple[int, bytes]]:
    """Type and body of each message of the vectors, and UPDATEs of all that has a form of its own."""
    found = []
    for path in sorted(FOLDER.glob("*.jsonl")):
        for text in path.read_text().splitlines():
            row = json.loads(text)
            octets = row.get("message_hex") or row.get("hex")
            if isinstance(octets, str) and len(octets) % 2 == 0:
                message = bytes.fromhex(octets)
                if message[:16] == b"\xff" * 16 and len(message) > 18:
                    found.append((message[18], message[19:]))
    for name, octets, item in [*ATTRIBUTES.values(), *NLRI.values()]:
        if "/" in name:
            from bgpipe.wire.family import parse_family

            family = parse_family(name)
            value = f"{family.afi:04x}{family.safi:02x}04c000020100{octets}"
            found.append((UPDATE, of_attribute(0x90, 14, bytes.fromhex(value))))
        else:
            from bgpipe.wire.attrs import CODES

            found.append((UPDATE, of_attribute(0xD0, CODES[name], bytes.fromhex(octets))))
        assert item is not None
    return found


def of_attribute(flags: int, code: int, value: bytes) -> bytes:
    section = bytes((flags, code)) + len(value).to_bytes(2, "big") + value
    return bytes(2) + len(section).to_bytes(2, "big") + section


def mutate(octets: bytes, rng: random.Random) -> bytes:
    mutant = bytearray(octets)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        at = rng.randrange(len(mutant) + 1)
        match rng.randrange(5):
            case 0 | 1 if at < len(mutant):
                mutant[at] = rng.choice((0, 1, 2, 4, 0x10, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2 if at < len(mutant):
                mutant[at] ^= 1 << rng.randrange(8)
            case 3:
                del mutant[at : at + rng.randrange(1, 5)]
            case _:
                mutant[at:at] = rng.randbytes(rng.randrange(1, 5))
    if rng.random() < 0.2 and len(mutant) > 4:  # some parts again
        at = rng.randrange(len(mutant))
        mutant[at:at] = mutant[at : at + rng.randrange(1, 60)] * rng.randrange(1, 20)
    return bytes(mutant[:65516])


def judge(message: Message, rng: random.Random) -> str:
    """What became of it. All that is not a declared error is raised."""
    line = JsonEncoder().encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line[:-1].isascii()
    shown = msgspec.json.decode(line)
    again = read_back(line)
    assert again.type_code == message.type_code
    if again.body != message.body:  # bits behind the mask of a prefix are cleared
        assert len(again.body) == len(message.body)
        assert msgspec.json.decode(JsonEncoder().encode(again))[4] == shown[4]
    for each in rng.sample(FILTERS, 2):
        each(message)
    if message.type_code == UPDATE:
        use(message, rng)
    elif message.type_code == OPEN:
        with_error(lambda: message.open.encode())
    return "octets" if isinstance(shown[4], str) else "shown"


def read_back(line: bytes) -> Message:
    damage: list[object] = []
    decoder = JsonDecoder(on_damage=damage.append)
    items = [*decoder.feed(line), *decoder.end()]
    assert not damage, (line, damage)
    (message,) = [one for item in items for one in ([item] if isinstance(item, Message) else item)]
    return message


def use(message: Message, rng: random.Random) -> None:
    update = message.update
    for error in update.check("ebgp"):
        assert isinstance(error, WireError)
        assert str(error).isprintable()
    context = rng.choice(CONTEXTS)
    with_error(lambda: update.encode(context))
    with_error(lambda: list(message.elems()))
    with_error(update.withdraw)
    name = rng.choice(("reach_prefixes", "withdrawn_prefixes", "next_hop", "ext_communities", "as_path"))
    with_error(lambda: getattr(update, name))


def with_error(what: Callable[[], object]) -> None:
    with suppress(WireError, TextError):
        what()


def resident() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER.is_dir(), reason="no vectors")
def test_mutants() -> None:
    rng = random.Random(SEED)
    rows = seeds()
    assert len(rows) > 400
    outcomes: Counter[str] = Counter()
    slowest = (0.0, b"")
    start = 0
    for number in range(MUTANTS):
        kind, octets = rng.choice(rows)
        message = Message(kind, mutate(octets, rng), direction="R", context=rng.choice(CONTEXTS[:3]))
        before = time.thread_time()
        try:
            outcomes[judge(message, rng)] += 1
        except BaseException as error:
            error.add_note(f"mutant {number} of seed {SEED}: type {kind}, {message.context}, {message.body.hex()}")
            raise
        took = time.thread_time() - before
        if took > slowest[0]:
            slowest = (took, message.body)
        if number == MUTANTS // 2:
            start = resident()
    grown = resident() - start
    print(f"{MUTANTS} mutants: {dict(outcomes)}, slowest {slowest[0] * 1000:.1f} ms, grown by {grown >> 10} KiB")
    assert outcomes["shown"] > MUTANTS / 4
    assert slowest[0] < TIME, slowest[1].hex()
    assert grown < GROWTH


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no vectors")
def test_seeds_of_the_guided_fuzz() -> None:
    """What `make fuzz-guided` begins with passes, and reaches every format."""
    import guided_fuzz

    found = list(guided_fuzz.seeds())
    kinds = Counter(octets[0] for octets in found)
    assert len(found) > 1000
    assert len(kinds) >= 4 + len(guided_fuzz.FORMATS)
    for octets in found:
        guided_fuzz.run(octets)
