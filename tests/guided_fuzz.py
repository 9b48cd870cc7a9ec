"""Octets that coverage chooses (atheris): messages and streams of each format, to JSON and back, filtered, encoded.

    make fuzz-guided                                     30 minutes
    python tests/guided_fuzz.py FOLDER [libFuzzer option...]

FOLDER keeps what has reached new lines; it is filled with the seeds first. The first octet of an input says what the
others are: the body of a message in some context, or a stream in a format. `run` raises whatever is no declared error.
An input that it raises for is kept by atheris as `crash-...`; `python tests/guided_fuzz.py crash-...` runs it again.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
FORMATS = ("mrt", "bmp", "obmp", "raw", "json", "exa", "bgpdump")
KINDS = 5
"""Types of BGP messages."""
CONTEXTS = 3
SEEDS_PER_FORMAT = 120


def run(octets: bytes) -> None:
    """Puts one input through everything. Raises what is no declared error."""
    from bgpipe.wire.message import Message
    from test_vectors_mutants import CONTEXTS as CHOICE
    from test_vectors_mutants import judge

    if not octets:
        return
    rng = random.Random(len(octets) * 256 + octets[0])
    which, rest = octets[0], octets[1:65517]
    if which < KINDS * CONTEXTS:
        judge(Message(1 + which % KINDS, rest, direction="R", context=CHOICE[which // KINDS]), rng)
    else:
        _run_stream(FORMATS[which % len(FORMATS)], rest)


def _run_stream(name: str, octets: bytes) -> None:
    """Reads a stream in one piece and in two: the same messages, each of which has JSON that reads back and a form in
    every format, or a declared error."""
    from bgpipe import formats
    from bgpipe.wire.errors import TextError, WireError

    whole = list(_items(name, octets[:8192]))
    encoders = [formats.builtin(each).open_encoder() for each in (*FORMATS, "rib")]
    table = _collect()
    for message in whole:
        _show_and_read_back(message)
        for encoder in encoders:
            with suppress(TextError, WireError):
                written = encoder.encode(message)
                if encoder is encoders[-1]:
                    table.feed(written)
    b"".join(table.dump())


def _items(name: str, octets: bytes):  # type: ignore[no-untyped-def]
    from bgpipe import formats
    from bgpipe.formats.base import DecoderOptions
    from bgpipe.wire.message import Message

    decoder = formats.builtin(name).open_decoder(DecoderOptions(states=True))
    half = len(octets) // 2
    for item in chain(decoder.feed(octets[:half]), decoder.feed(octets[half:]), decoder.end()):
        yield from [item] if isinstance(item, Message) else item


def _collect():  # type: ignore[no-untyped-def]
    from bgpipe import formats

    made = formats.builtin("rib").collect
    assert made is not None
    return made([])


def _show_and_read_back(message) -> None:  # type: ignore[no-untyped-def]
    from bgpipe.formats.json import JsonEncoder
    from test_vectors_mutants import read_back

    line = JsonEncoder().encode(message)
    assert line.count(b"\n") == 1
    assert line.isascii()
    again = read_back(line)
    assert JsonEncoder().encode(again) == line


def seeds() -> Iterator[bytes]:
    """Messages of the vectors, and streams of some of them in each format."""
    from bgpipe import formats
    from bgpipe.wire.context import AS4
    from bgpipe.wire.errors import TextError, WireError
    from bgpipe.wire.message import Message
    from test_vectors_mutants import seeds as of_vectors

    rows = list(of_vectors())
    for kind, body in rows:
        if 1 <= kind <= KINDS:
            yield bytes((kind - 1,)) + body
    rng = random.Random(1)
    tags = {"PEER_IP": "192.0.2.1", "PEER_AS": "65001", "PEER_ID": "10.0.0.1", "ROUTER": "r1", "RIB": "in-pre"}
    for name in FORMATS:
        place = next(at for at in range(KINDS * CONTEXTS, 256) if at % len(FORMATS) == FORMATS.index(name))
        for _ in range(SEEDS_PER_FORMAT):
            made = b""
            for kind, body in rng.sample(rows, 2):
                message = Message(kind, body, direction="R", context=AS4, time=1_700_000_000_000_000, tags=tags)
                with suppress(TextError, WireError):
                    made += formats.builtin(name).open_encoder().encode(message)
            if made:
                yield bytes((place,)) + made


def main(argv: list[str]) -> None:
    if len(argv) > 1 and Path(argv[1]).is_file():
        run(Path(argv[1]).read_bytes())
        return
    import atheris  # type: ignore[import-not-found]

    folder = Path(argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(include=["bgpipe.wire", "bgpipe.formats", "bgpipe.filters"]):
        for seed in seeds():
            (folder / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    target: Callable[[bytes], None] = run
    atheris.Setup([argv[0], str(folder), "-max_len=4096", "-rss_limit_mb=3000", "-timeout=10", *argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
