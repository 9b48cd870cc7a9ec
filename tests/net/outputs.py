"""Files that tests write and look at."""

from __future__ import annotations

from pathlib import Path

from bgpipe.net.files import open_input, open_output
from bgpipe.net.output_file import OutputFile
from bgpipe.net.standard_output import StandardOutput

LINES = [b"%d of many lines\n" % n for n in range(1000)]
TEXT = b"".join(LINES)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def contents(path: Path) -> bytes:
    return b"".join(open_input(str(path)))


def write(path: Path, *pieces: bytes, append: bool = False, create: bool = False) -> None:
    output = open_output(str(path), append=append, create=create)
    for piece in pieces:
        output.write(piece)
    output.close()


def write_all(output: OutputFile | StandardOutput, pieces: list[bytes]) -> None:
    for piece in pieces:
        output.write(piece)
