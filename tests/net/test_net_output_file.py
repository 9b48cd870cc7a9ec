"""Files are published whole or not at all."""

from __future__ import annotations

import bz2
import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from outputs import LINES, TEXT, contents, names, write, write_all

from bgpipe.net.errors import StreamError
from bgpipe.net.files import open_input, open_output
from bgpipe.net.output_file import OutputFile
from bgpipe.net.standard_output import StandardOutput


@pytest.fixture(params=["", ".gz", ".bz2", ".zst"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"deep/er/out{request.param}"


def test_a_file_appears_when_it_is_whole(path: Path) -> None:
    output = open_output(str(path))
    for line in LINES:
        output.write(line)
    assert names(path.parent) == [path.name + ".tmp"]
    output.close()
    assert names(path.parent) == [path.name]
    assert contents(path) == TEXT
    output.close()
    with pytest.raises(StreamError, match="is closed"):
        output.write(b"more")
    assert contents(path) == TEXT


def test_compression_by_name_or_by_option(tmp_path: Path) -> None:
    for name, compress, unpack in (("a.gz", "auto", gzip.decompress), ("b", "bz2", bz2.decompress)):
        output = open_output(str(tmp_path / name), compress)
        output.write(TEXT)
        output.close()
        assert unpack((tmp_path / name).read_bytes()) == TEXT
    with pytest.raises(ValueError, match="unknown compression"):
        open_output(str(tmp_path / "c"), "rar")


def test_an_older_file_stands_until_the_new_one_is_whole(path: Path) -> None:
    write(path, b"old")
    output = open_output(str(path))
    output.write(TEXT)
    assert contents(path) == b"old"
    output.close()
    assert contents(path) == TEXT


def test_nothing_written_is_an_empty_file(path: Path) -> None:
    for settings in ({}, {"append": True}, {"create": True}):
        write(path, **settings)
        assert names(path.parent) == [path.name]
        assert contents(path) == b""
        assert bool(path.stat().st_size) == bool(path.suffix), "what is compressed has a header"
        path.unlink()
    write(path, b"old")
    write(path, append=True)
    assert contents(path) == b"old"
    write(path, b"")
    assert contents(path) == b""
    assert names(path.parent) == [path.name]


def test_nothing_written_and_aborted_leaves_nothing(path: Path) -> None:
    output = open_output(str(path))
    output.abort()
    assert names(path.parent) == []
    write(path, b"old")
    output = open_output(str(path))
    output.abort()
    assert names(path.parent) == [path.name]
    assert contents(path) == b"old"


def test_append(path: Path) -> None:
    write(path, TEXT, append=True)
    write(path, b"more\n", append=True)
    write(path, b"and more\n", append=True)
    assert contents(path) == TEXT + b"more\nand more\n"
    assert names(path.parent) == [path.name]


def test_create(path: Path) -> None:
    write(path, TEXT, create=True)
    with pytest.raises(StreamError) as caught:
        open_output(str(path), create=True)
    assert str(caught.value) == f"{path}: exists already, and --create needs a new file"
    assert contents(path) == TEXT
    with pytest.raises(StreamError, match="--append and --create exclude each other"):
        open_output(str(path), create=True, append=True)


def test_create_loses_nothing_to_a_file_that_came_meanwhile(path: Path) -> None:
    output = open_output(str(path), create=True)
    output.write(TEXT)
    path.write_bytes(b"someone else's")
    with pytest.raises(StreamError, match=r"File exists; what was written is in .*\.partial$"):
        output.close()
    assert path.read_bytes() == b"someone else's"
    assert names(path.parent) == [path.name, path.name + ".partial"]


def test_an_aborted_file_is_kept_as_partial(path: Path) -> None:
    output = open_output(str(path))
    output.write(TEXT)
    output.write(os.urandom(200_000))
    output.abort()
    assert names(path.parent) == [path.name + ".partial"]
    kept = contents(Path(f"{path}.partial"))
    assert kept.startswith(TEXT)
    assert len(kept) == len(TEXT) + 200_000


def test_what_a_crash_left_is_never_published(path: Path) -> None:
    path.parent.mkdir(parents=True)
    (path.parent / f"{path.name}.tmp").write_bytes(b"half a rec")
    write(path, TEXT)
    assert contents(path) == TEXT
    assert (path.parent / f"{path.name}.partial").read_bytes() == b"half a rec"
    assert len(names(path.parent)) == 2


def in_the_way(path: Path, kind: str) -> None:
    """Something that is none of ours stands where a file is written first."""
    other = path.parent / "other"
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = f"{path}.tmp"
    other.write_bytes(b"not to be touched")
    if kind == "link":
        os.symlink(other, tmp)
    elif kind == "dangling link":
        os.symlink(path.parent / "nowhere", tmp)
    elif kind == "hard link":
        os.link(other, tmp)
    elif kind == "pipe":
        os.mkfifo(tmp)
    else:
        os.mkdir(tmp)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("link", "symbolic link"),
        ("dangling link", "symbolic link"),
        ("hard link", "hard link"),
        ("pipe", "named pipe"),
        ("folder", "folder"),
    ],
)
@pytest.mark.parametrize("read", [False, True])
def test_what_stands_in_the_way_is_neither_followed_nor_waited_for(
    path: Path, kind: str, word: str, read: bool
) -> None:
    in_the_way(path, kind)
    path.write_bytes(b"old")
    reader = os.open(f"{path}.tmp", os.O_RDONLY | os.O_NONBLOCK) if read and kind == "pipe" else None
    with pytest.raises(StreamError, match=r"out.*\.tmp, which is written first, .*: remove it$") as caught:
        open_output(str(path))
    assert word in str(caught.value) or reader is not None
    assert path.read_bytes() == b"old"
    assert (path.parent / "other").read_bytes() == b"not to be touched"
    assert not (path.parent / "nowhere").exists()
    if reader is not None:
        os.close(reader)


def test_a_link_that_a_crash_seems_to_have_left_as_partial_is_replaced(path: Path) -> None:
    path.parent.mkdir(parents=True)
    (path.parent / "other").write_bytes(b"not to be touched")
    os.symlink("other", f"{path}.partial")
    output = open_output(str(path))
    output.write(TEXT)
    output.abort()
    assert isinstance(output, OutputFile)
    assert output.kept == f"{path}.partial"
    assert (path.parent / "other").read_bytes() == b"not to be touched"
    assert contents(Path(output.kept)) == TEXT


def test_a_partial_that_cannot_be_named_so_is_told_where_it_is(path: Path) -> None:
    output = open_output(str(path))
    assert isinstance(output, OutputFile)
    output.write(TEXT)
    Path(f"{path}.partial").mkdir()
    output.abort()
    assert output.kept == f"{path}.tmp"
    assert contents(Path(output.kept)) == TEXT


def test_who_may_read_a_file_is_as_before(path: Path) -> None:
    write(path, b"old")
    path.chmod(0o600)
    write(path, TEXT)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_named_pipe_is_opened_when_it_is_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    output = open_output(str(tmp_path / "pipe"))
    stream = open_input(str(tmp_path / "pipe"))
    stream.begin()
    write_all(output, LINES)
    output.close()
    assert b"".join(stream) == TEXT
    assert names(tmp_path) == []


class Killed:
    """Files as they would be found if the process had been killed now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self) -> bytes:
        (path,) = self._folder.rglob("*.tmp")
        octets = path.read_bytes()
        copy = self._folder / ("copy" + path.name.removesuffix(".tmp")[3:])
        copy.write_bytes(octets)
        found = b"".join(open_input(str(copy), on_damage=lambda error: None))
        copy.unlink()
        return found


def test_a_flush_leaves_nothing_to_be_lost(path: Path) -> None:
    output = open_output(str(path))
    found = Killed(path.parent)
    written = b""
    for line in (b"first\n", b"second\n", b"third\n"):
        output.write(line)
        written += line
        output.flush()
        assert found() == written
        output.flush()
    output.close()
    assert contents(path) == written


def test_a_flush_leaves_alone_what_flows_by_itself(tmp_path: Path) -> None:
    """Else a quick archive would be packed worse, and differ from run to run."""
    noise = [os.urandom(1_000_000) for _ in range(4)]
    sizes = []
    for flushes in (False, True):
        output = open_output(str(tmp_path / "out.gz"))
        for piece in noise:
            output.write(piece)
            if flushes:
                output.flush()
        output.close()
        sizes.append((tmp_path / "out.gz").stat().st_size)
    assert sizes[0] == sizes[1]


def test_two_do_not_write_one_file(path: Path) -> None:
    first = open_output(str(path))
    with pytest.raises(StreamError, match="another stage or process is writing it"):
        open_output(str(path))
    first.write(TEXT)
    first.close()
    assert contents(path) == TEXT


def test_a_killed_writer_leaves_published_files_whole(tmp_path: Path) -> None:
    """One process publishes file after file until it is killed: each one that stands there is whole."""
    script = (
        "import sys\nfrom bgpipe.net.files import open_output\n"
        "for n in range(10**6):\n"
        "    output = open_output(f'{sys.argv[1]}/{n}.gz')\n"
        "    for line in range(200): output.write(b'%d of many lines\\n' % line)\n"
        "    output.close()\n"
        "    print(n, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    published = [name for name in names(tmp_path) if name.endswith(".gz")]
    assert len(published) >= 20
    for name in published:
        assert contents(tmp_path / name).endswith(b"199 of many lines\n")
    assert len([name for name in names(tmp_path) if not name.endswith(".gz")]) <= 1


def test_a_link_goes_on_pointing(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real/file")
    write(tmp_path / "link", TEXT)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real/file").read_bytes() == TEXT


def test_a_device_is_written_as_it_is() -> None:
    output = open_output("/dev/null")
    output.write(TEXT)
    output.close()
    assert not os.path.exists("/dev/null.tmp")
    if os.path.exists("/dev/full"):
        output = open_output("/dev/full")
        with pytest.raises(
            StreamError, match=r"^/dev/full: no space left on the device: free some, or write elsewhere"
        ):
            output.write(TEXT)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path, text in (
        (tmp_path, "is a directory"),
        (tmp_path / "file/below", "a part of the path is not a directory"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(StreamError) as caught:
            open_output(str(path))
        assert str(caught.value) == f"{path}: {text}"
    if os.getuid():
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(StreamError, match="permission denied"):
            open_output(str(tmp_path / "locked/file"))


@contextmanager
def piped() -> Iterator[int]:
    """A pipe that stands in for standard output: its read end."""
    read, write = os.pipe()
    kept = os.dup(1)
    os.dup2(write, 1)
    os.close(write)
    try:
        yield read
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def test_standard_output() -> None:
    with piped() as pipe:
        output = open_output("-")
        assert isinstance(output, StandardOutput)
        output.write(b"at once")
        assert os.read(pipe, 100) == b"at once"
        output.rotate()
        output.abort()
        output.close()
        packed = open_output("-", "gz")
        packed.write(b"packed")
        packed.close()
        assert gzip.decompress(os.read(pipe, 1000)) == b"packed"
        os.close(pipe)
        with pytest.raises(BrokenPipeError):
            output.write(b"nobody reads")


def test_standard_output_that_does_not_block() -> None:
    with piped() as pipe:
        command = [
            sys.executable,
            "-c",
            "import os, sys\nn = 0\nwhile b := os.read(0, 5000): n += len(b)\nsys.exit(n % 251)",
        ]
        reader = subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL)
        os.close(pipe)
        os.set_blocking(1, False)
        open_output("-").write(bytes(500_000))
    assert reader.wait(20) == 500_000 % 251
