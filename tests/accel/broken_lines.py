"""JSON lines that are a little wrong, or right in another way than our encoder's."""

from __future__ import annotations

from random import Random

PIECES = (
    b'"',
    b",",
    b":",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\n",
    b"\r",
    b" ",
    b"\\",
    b"\0",
    b"\xff",
    b"0",
    b"1",
    b"9",
    b"-",
    b".",
    b"e5",
    b"#7#",
    b"::",
    b"/0",
    b"/33",
    b"256",
    b"65536",
    b"4294967296",
    b"null",
    b"true",
    b"0x",
    b"X",
    b'"ORIGIN":',
    b'"reach":[],',
    b'"PEER_AS":"7",',
    b'\\u0030',
)  # fmt: skip


def break_line(line: bytes, rng: Random) -> bytes:
    """One or two pieces put in, taken out, replaced or doubled."""
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.randrange(len(line) + 1)
        size = rng.choice((0, 1, 1, 2, 5))
        how = rng.randrange(4)
        if how == 0:
            line = line[:place] + line[place + size :]
        elif how == 1:
            line = line[:place] + line[place : place + 8 * size] + line[place:]
        else:
            line = line[:place] + rng.choice(PIECES) + line[place + (size if how == 2 else 0) :]
    return line
