"""Accel against the Python codec: the same archives through both must give the same bytes.

    python tests/accel/differential.py --mutants 100000 --seed 7
    python tests/accel/differential.py --mutants 100000 --sanitize
    python tests/accel/differential.py FILE...

Two processes do the same work, one of them with BGPIPE_ACCEL=0. Each reads a case (a stream of mutants, or a piece of
a file) as MRT, filters it, limits it, looks at its UPDATEs and asks which are malformed, writes it as JSON, MRT and
raw messages, reads the JSON back, reads it once more with some lines broken, and says a digest of all that. The first
case whose digests differ is shown. With --sanitize accel is built with AddressSanitizer and UndefinedBehaviorSanitizer
first, in a place of its own; this needs gcc.
"""

from __future__ import annotations

import argparse
import bz2
import difflib
import gzip
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from itertools import zip_longest
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

AnyStage = TypeVar("AnyStage", bound="Stage")
if TYPE_CHECKING:
    from bgpipe.pipeline.stage import Stage
    from bgpipe.rpki.snapshot import Snapshot
    from bgpipe.stages.limit import Limit
    from bgpipe.wire.item import Item
    from bgpipe.wire.message import Message

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("BGPIPE_SHARED", REPOSITORY.parent / "shared")) / "data"
MUTANTS_A_CASE = 50
FILTERS = 4
"""Random filters that each case is put through."""
PIECE = 1 << 20
"""Octets of a file that make a case, about."""


def mutant_cases(seed: int, mutants: int) -> Iterator[bytes]:
    """Streams of mutants; case n of a seed is always the same."""
    from mutants import make_stream, rare_records, real_records, sample_records
    from rib_records import rib_records

    found = (sample_records(), rare_records(), rib_records(), real_records(DATA))
    sources = [records for records in found if records]
    for number in range(-(-mutants // MUTANTS_A_CASE)):
        rng = Random(f"{seed}/{number}")
        yield make_stream(sources[number % len(sources)], rng, MUTANTS_A_CASE)


def file_cases(path: Path, limit: int | None = None) -> Iterator[bytes]:
    """The records of a file, in pieces; of the first `limit` octets only."""
    from mutants import read_records

    opener = {".bz2": bz2.open, ".gz": gzip.open}.get(path.suffix, open)
    with opener(path, "rb") as stream:
        octets = stream.read(-1 if limit is None else limit)
    piece: list[bytes] = []
    size = 0
    for record in read_records(octets):
        piece.append(record)
        size += len(record)
        if size >= PIECE:
            yield b"".join(piece)
            piece, size = [], 0
    yield b"".join(piece)


def work(octets: bytes, seed: int = 0) -> list[bytes]:
    """What becomes of a stream, in parts that must not depend on accel."""
    from broken_lines import break_line
    from rpki_records import files_of, judge_again, keep_routes, random_data, read
    from select_filters import random_filter

    from bgpipe.filters import compile_filter
    from bgpipe.formats import json, mrt, raw
    from bgpipe.pipeline import events
    from bgpipe.pipeline.pipeline import Pipeline
    from bgpipe.wire.block import Block

    rng = Random(seed)
    filters = {compile_filter(random_filter(rng)): [] for _ in range(FILTERS)}
    damages: list[str] = []
    decoder = mrt.MrtDecoder(on_damage=lambda damage: damages.append(str(damage)), states=bool(rng.randrange(2)))
    encoders = [json.JsonEncoder(), mrt.MrtEncoder(), raw.RawEncoder()]
    outputs: list[list[bytes]] = [[], [], []]
    limit = make_limit(rng)
    limited: list[bytes] = []
    tagged: list[bytes] = []
    validated = [*map(partial(read, size=rng.choice((1000, 1 << 20))), files_of(*random_data(octets, rng), rng))]
    snapshots = [snapshot for snapshot, _ in validated]
    editors = make_editors(rng, snapshots[0])
    keepers = {stage: keep_routes(stage, sticky=True) for stage in make_keepers(rng, snapshots[0])}
    edited: list[list[bytes]] = [[] for _ in editors]
    seen: list[str] = []
    seq = 1
    pipeline = Pipeline()
    verdicts: list[str] = []
    kept: dict[Any, list[bytes]] = {keeper: [] for keeper in keepers}
    malformed: list[str] = []
    pipeline.bus.on([events.PARSE], lambda event: malformed.append(f"{event.message} {event.error} {event.values}"))

    def take(items: Iterator[Block]) -> None:
        nonlocal seq
        for item in items:
            if isinstance(item, Block):
                seq = item.stamp("R", seq)
            else:
                item.direction, item.seq = "R", seq
                seq += 1
            for encoder, output in zip(encoders, outputs, strict=True):
                output.append(encoder.encode(item))
            for wanted, matches in filters.items():
                matching = wanted.select(item) if isinstance(item, Block) else filter(wanted, [item])
                matches += [message.seq for message in matching]
            seen.extend(map(look, item if isinstance(item, Block) else [item]))
            for editor, output in zip(editors, edited, strict=True):
                output += map(encoders[0].encode, pass_stage(editor, item))
            for keeper, output in kept.items():
                output += map(encoders[0].encode, pass_stage(keeper, item))
            if isinstance(item, Block):
                item, unknown = pipeline.verdicts.mark(item)
                pipeline.verdicts.judge_block(item, unknown, returned=False)
            else:
                pipeline.verdicts.judge(item)
            verdicts.extend(str(message.verdict) for message in (item if isinstance(item, Block) else [item]))
            tagged.append(encoders[0].encode(give_tags(item)))
            if isinstance(item, Block):
                limited.append(encoders[2].encode(limit.on_block(item)))
            elif limit.on_message(item):
                limited.append(encoders[2].encode(item))

    pos = 0
    while pos < len(octets):  # pieces as a socket or a decompressor would give them
        stop = pos + rng.choice((100, 4096, 1 << 20))
        take(decoder.feed(octets[pos:stop]))
        pos = stop
    take(decoder.end())
    lines, records, messages = map(b"".join, outputs)
    broken = b"".join(
        line if rng.random() < 0.5 else break_line(line, rng) for line in lines.splitlines(keepends=True)[:200]
    )
    again = []
    for text in (lines, broken):
        back = json.JsonDecoder(on_damage=lambda damage: damages.append(str(damage)))
        items = [item for part in (back.feed(text), back.end()) for item in part]
        again += [
            b"".join(write(encoder, item) for item in items) for encoder in (mrt.MrtEncoder(), json.JsonEncoder())
        ]
    seen += [f"{wanted.text}: {matches}" for wanted, matches in filters.items()]
    seen += ["malformed:", *malformed, "verdicts:", *verdicts]
    report = "\n".join([repr(decoder.counts), *damages]).encode()
    limited.append(repr((limit.removed, limit.routes.count)).encode())
    for keeper, table in keepers.items():
        for snapshot in snapshots:
            judge_again(keeper, snapshot)
            kept[keeper].append(repr(sorted(table.routes().items())).encode())
    limited += [
        *map(b"".join, edited),
        *map(b"".join, kept.values()),
        *(said.encode() for _, said in validated),
        repr([editor.status()["metrics"] for editor in editors if editor.status()]).encode(),
    ]
    return [report, lines, records, messages, *again, "\n".join(seen).encode(), b"".join([*tagged, *limited])]


def write(encoder: Any, item: Item) -> bytes:
    """What an encoder writes; broken lines may say what a format has no place for."""
    from bgpipe.wire.errors import TextError

    try:
        octets: bytes = encoder.encode(item)
    except TextError as error:
        return str(error).encode()
    return octets


def give_tags(item: Item) -> Item:
    """The item with tags that some of its messages have in common, and some don't."""
    from bgpipe.wire.block import Block
    from bgpipe.wire.tags import TagTable

    def change(message: Message) -> Message:
        message.tags["n"] = str(message.seq % 7)
        if message.seq % 5 == 0:
            message.tags["long"] = "\u00e9" * (
                1 + message.seq % 1000
            )  # an empty tag is none, and does not stay in a block
        return message

    if not isinstance(item, Block):
        return change(item)
    table = TagTable(item.tags)
    entries = {at: table.enter(change(message).tags, message.header) for at, message in enumerate(item)}
    return item.tagged({at: entry for at, entry in entries.items() if entry is not None}, table)


def make_limit(rng: Random) -> Limit:
    """The stage limit, with small limits."""
    from bgpipe.stages.limit import Limit

    words = [f"--{name}={rng.randrange(4) * size}" for name, size in (("session", 30), ("origin", 2), ("block", 3))]
    words += rng.sample(["-4", "-6", "--multicast", "--permanent", "-B=12", "-m=9", "-M=40"], 4)
    return make_stage(Limit("limit"), words)


def make_editors(rng: Random, snapshot: Snapshot) -> list[Any]:
    """Stages that edit messages, with random words. snapshot: by which they judge routes."""
    from bgpipe.stages import find

    sys.path.append(str(Path(__file__).resolve().parents[1]))
    from random_words import WORDS

    made = []
    for name, words in WORDS.items():
        kind = find(name)
        assert kind is not None
        made.append(make_stage(kind(name), words(rng)[1:]))
        made[-1].pipeline.shared.rpki.replace(snapshot)
    return made


def make_keepers(rng: Random, snapshot: Snapshot) -> list[Any]:
    """Stages of a session that keep the routes which they judge."""
    from bgpipe.stages.aspa import Aspa
    from bgpipe.stages.rov import Rov
    from random_words import aspa_words, rov_words

    words = [word for word in aspa_words(rng)[1:] if word not in ("--peer-tag", "PEER_AS")]
    made = [make_stage(Aspa("aspa"), ["-R", *words]), make_stage(Rov("rov"), ["-R", *rov_words(rng)[1:]])]
    for stage in made:
        stage.pipeline.shared.rpki.replace(snapshot)
    return made


def pass_stage(stage: Any, item: Item) -> list[Item]:
    """What a stage makes of an item, which stays as it is."""
    from bgpipe.pipeline.passage import inherit
    from bgpipe.wire.block import Block
    from bgpipe.wire.message import Message

    if isinstance(item, Block):
        left = stage.on_block(item)
        return left if isinstance(left, list) else [left]
    message = Message(
        item.type_code,
        item.body,
        direction=item.direction,
        seq=item.seq,
        time=item.time,
        context=item.context,
        peer=item.header,
        verdict=item.verdict,
    )
    types = stage.callbacks[-1].types
    left = stage.on_message(message) if types is None or message.type_code in types else True
    if isinstance(left, list):
        return [inherit(each, message) for each in left]
    return [message] if left else []


def make_stage(stage: AnyStage, words: list[str]) -> AnyStage:
    """A stage in a pipeline of its own, with blocks open to it."""
    from bgpipe.pipeline.pipeline import Pipeline
    from bgpipe.pipeline.wiring import attach

    assert stage.scan(words) == []
    pipeline = Pipeline()
    pipeline.add(stage, index=1)
    attach(pipeline)
    return stage


def look(message: Message) -> str:
    """What the library says of a message's routes."""
    from bgpipe.wire.errors import WireError

    if message.type != "UPDATE":
        return repr(message)
    answers = []
    for name in ("reach", "withdrawn", "origin_as"):
        try:
            answers.append(str(getattr(message.update, name)))
        except WireError as error:
            answers.append(str(error))
    return f"{message!r} {message.tags} {message.context} {' '.join(answers)}"


def torment(octets: bytes, rng: Random) -> None:
    """Indexes that no index function makes: accel may do anything with them but touch what isn't its own."""
    from rpki_records import torment_judges, torment_scanners
    from select_filters import CONDITIONS

    from bgpipe.accel import edit, index, json_out, mrt_out, otc, raw_out, select
    from bgpipe.filters import compile_filter
    from bgpipe.wire.block import ENTRY, Block

    entries, _, _, _ = index.mrt(octets, 0, False)
    for _ in range(4):
        broken = bytearray(entries[: 40 * ENTRY.size])
        for _ in range(len(broken) // 64 + 1):
            if broken:
                broken[rng.randrange(len(broken))] = rng.choice((0, 1, 2, 127, 128, 255))
        broken += rng.randbytes(rng.randrange(40))
        tags = rng.randbytes(rng.choice((0, 3, 200))) + b"\0\0\0\x09" + b'"A":"BC"' + rng.randbytes(rng.randrange(9))
        for encode in (partial(json_out.encode, tags=tags), json_out.encode, mrt_out.encode, raw_out.encode):
            position, count = 0, len(broken) // ENTRY.size
            while position < count:
                _, position = encode(octets, broken, position)
                position += 1
        for text in rng.sample(CONDITIONS, 5):
            program = compile_filter(text).program
            if program:
                select.select(octets, broken, program, True)
                select.select(octets, broken, program, False, True)
        editor = edit.Editor(
            strip=[(1, 5000), (64512, 65534)],
            prepend=[(65000, 2), (0, 3)],
            constants=[(1, b"\1"), (4, bytes(4))],
            removed=[5, *range(40, 256)],
            selections=[
                (8, 4, False, [(2, [(0, 5000), (0, 65535)])], bytes(4)),
                (16, 8, False, [(4, [(0, 2), (0, 255), (0, 5000), (0, 1 << 32)])], bytes(8)),
                (32, 12, rng.random() < 0.5, [(3, [(0, 5000), (0, 5), (0, 5)])], bytes(24)),
            ],
            hop4=bytes(4),
            hop6=bytes(16),
            added_hop=b"\x40\3\4abcd",
            otc=rng.randrange(2),
        )
        editor.edit(octets, broken, None if rng.random() < 0.5 else bytes(len(broken) // ENTRY.size))
        otc.find(octets, broken, rng.randrange(2), True)
        torment_judges(octets, broken, tags, rng)
        index.stamp(broken, rng.randrange(65536), rng.randrange(1 << 60), 1)
        with suppress(ValueError):
            list(Block(octets, broken[: len(broken) // ENTRY.size * ENTRY.size], tags))
    torment_scanners(rng)
    for cut in rng.sample(range(len(octets) + 1), min(40, len(octets))):
        index.mrt(octets[:cut], rng.randrange(cut + 1), False)


def cases(options: argparse.Namespace) -> Iterator[tuple[str, bytes]]:
    """The cases that the command line asks for, with their names."""
    for path in options.files:
        for number, octets in enumerate(file_cases(path, options.limit)):
            yield f"{path.name} piece {number}", octets
    for number, octets in enumerate(mutant_cases(options.seed, options.mutants)):
        yield f"seed {options.seed} case {number}", octets


def say_digests(options: argparse.Namespace) -> None:
    """What each of the two processes does: a line for each case."""
    from bgpipe import accel

    for name, octets in cases(options):
        parts = work(octets, len(octets))
        if accel.AVAILABLE and "piece" not in name:
            torment(octets, Random(name))
        print(name, *(hashlib.sha256(part).hexdigest()[:16] for part in parts), sep="\t", flush=True)


def say_parts(options: argparse.Namespace, wanted: str) -> None:
    """All parts of one case, as text."""
    for name, octets in cases(options):
        if name == wanted:
            report, lines, *others, seen, limited = work(octets, len(octets))
            print(report.decode(), lines.decode(), seen.decode(), sep="\n")
            for part in (*others, limited):
                print(*(part[pos : pos + 32].hex() for pos in range(0, len(part), 32)), sep="\n")
            return


def compare(arguments: list[str], environment: dict[str, str]) -> int:
    """Runs the two processes; the number of cases. Raises AssertionError with the first difference.

    arguments: what main takes. environment: for the process with accel.
    """
    command = [sys.executable, __file__, *arguments]
    without = os.environ | {"BGPIPE_ACCEL": "0"}
    count = 0
    different = None
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen([*command, "--digests"], env=env, stdout=subprocess.PIPE, text=True))
            for env in (environment, without)
        ]
        for ours, theirs in zip_longest(*(process.stdout or () for process in processes)):
            if ours and theirs and ours != theirs:
                different = ours
                for process in processes:
                    process.kill()
                break
            count += 1
    if not different and any(process.returncode for process in processes):
        raise AssertionError(f"a process failed: {[process.returncode for process in processes]} (accel, codec)")
    if different:
        name = different.split("\t")[0]
        accel, codec = (
            subprocess.run([*command, "--show", name], env=env, stdout=subprocess.PIPE, text=True).stdout.splitlines()
            for env in (environment, without)
        )
        lines = list(difflib.unified_diff(codec, accel, "codec", "accel", lineterm="", n=0))[:12]
        raise AssertionError("\n".join([f"different: {name}", *(line[:1000] for line in lines)]))
    return count


def sanitized() -> dict[str, str]:
    """Builds accel with sanitizers; the environment that a process needs to run it."""
    place = REPOSITORY / "build" / "sanitize"
    build = [sys.executable, "setup.py", "-q", "build", "--build-base", str(place), "--build-lib", str(place / "lib")]
    subprocess.run(
        build, cwd=REPOSITORY, env=os.environ | {"BGPIPE_ACCEL": "require", "BGPIPE_SANITIZE": "1"}, check=True
    )
    library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    return os.environ | {
        "BGPIPE_ACCEL": "1",
        "PYTHONPATH": str(place / "lib"),
        "PYTHONMALLOC": "malloc",  # else the interpreter's own allocator hides what lies behind a bytes object
        "LD_PRELOAD": library.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=32",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="MRT archives to compare on")
    parser.add_argument("--mutants", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, help="octets to read of each file")
    parser.add_argument("--sanitize", action="store_true", help="run a accel with AddressSanitizer and UBSan")
    parser.add_argument("--digests", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--show", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.digests:
        say_digests(options)
    elif options.show:
        say_parts(options, options.show)
    else:
        from bgpipe import accel

        if not accel.AVAILABLE and not options.sanitize:
            sys.exit(f"there is no accel to compare: {accel.WHY_NOT}")
        environment = sanitized() if options.sanitize else dict(os.environ)
        arguments = [argument for argument in sys.argv[1:] if argument != "--sanitize"]
        try:
            count = compare(arguments, environment)
        except AssertionError as error:
            sys.exit(str(error))
        print(f"accel and codec give the same bytes: {count} cases, {options.mutants} mutants")


if __name__ == "__main__":
    main()
