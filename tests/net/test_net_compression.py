"""gzip, bzip2 and zstd: streams of any shape, cut and damaged."""

from __future__ import annotations

import bz2
import gzip
import random
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from bgpipe.net import compression
from bgpipe.net.bzip2 import decompress_bzip2
from bgpipe.net.compression import by_content, by_suffix, compressor, decompress, parse_compression

TEXT = b"".join(b"%d prefix %d.%d.0.0/16\n" % (n, n % 223, n % 251) for n in range(20_000))
EVERY = ("gz", "bzip2", "zstd")


def pack(name: str, octets: bytes) -> bytes:
    packing = compressor(name)
    return packing.compress(octets) + packing.flush()


def pieces(octets: bytes, size: int) -> Iterator[bytes]:
    return (octets[pos : pos + size] for pos in range(0, len(octets), size))


def unpack(name: str, octets: bytes, size: int = 1 << 18) -> tuple[bytes, list[str]]:
    damage: list[str] = []
    return b"".join(decompress(name, pieces(octets, size), damage.append)), damage


@pytest.fixture(params=["fast", "plain"])
def zlib_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With isal, if it is installed, and with zlib."""
    if request.param == "plain":
        monkeypatch.setitem(sys.modules, "isal", None)
    compression._gzip.cache_clear()
    yield
    compression._gzip.cache_clear()


@pytest.mark.usefixtures("zlib_kind")
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("size", [1, 1000, 1 << 18])
def test_both_ways(name: str, size: int) -> None:
    text = TEXT if size > 1 else TEXT[:20_000]
    assert unpack(name, pack(name, text), size) == (text, [])


@pytest.mark.usefixtures("zlib_kind")
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("size", [7, 1 << 18])
def test_members_one_after_the_other_and_empty_ones(name: str, size: int) -> None:
    parts = [TEXT[:5000], b"", TEXT[5000:5001], b"", b"", TEXT[5001:9000], b""]
    assert unpack(name, b"".join(pack(name, part) for part in parts), size) == (TEXT[:9000], [])
    assert unpack(name, pack(name, b""), size) == (b"", [])


def test_what_others_wrote() -> None:
    assert unpack("gz", gzip.compress(TEXT))[0] == TEXT
    assert unpack("bzip2", bz2.compress(TEXT, 1))[0] == TEXT
    assert gzip.decompress(pack("gz", TEXT)) == TEXT
    assert bz2.decompress(pack("bzip2", TEXT)) == TEXT


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_an_empty_stream_of_nothing(name: str) -> None:
    assert unpack(name, b"")[0] == b""
    assert unpack("none", TEXT) == (TEXT, [])


@pytest.mark.usefixtures("zlib_kind")
@pytest.mark.parametrize("name", EVERY)
def test_a_stream_cut_short_gives_what_came_before(name: str) -> None:
    packed = pack(name, TEXT[:300_000]) + pack(name, TEXT[300_000:])
    for cut in (len(packed) - 1, len(packed) - 20, len(packed) * 3 // 4):
        found, damage = unpack(name, packed[:cut], 4096)
        assert TEXT.startswith(found)
        assert len(found) >= 300_000
        assert damage == [f"{'gzip' if name == 'gz' else name} data is cut short"]


@pytest.mark.usefixtures("zlib_kind")
@pytest.mark.parametrize("name", EVERY)
def test_what_follows_damage_is_read_again(name: str) -> None:
    rng = random.Random(7)
    parts = [rng.randbytes(3000) + TEXT[n * 4000 : (n + 1) * 4000] for n in range(5)]
    packed = [pack(name, part) for part in parts]
    middle = bytearray(packed[2])
    middle[len(middle) // 3 : len(middle) // 3 + 40] = bytes(40)
    found, damage = unpack(name, b"".join((*packed[:2], bytes(middle), *packed[3:])))
    assert found.startswith(parts[0] + parts[1])
    assert found.endswith(parts[3] + parts[4])
    assert len(damage) == 1


@pytest.mark.usefixtures("zlib_kind")
@pytest.mark.parametrize("name", EVERY)
def test_something_else_is_told(name: str) -> None:
    found, damage = unpack(name, TEXT)
    assert found == b""
    assert damage == [f"octets that are not {'gzip' if name == 'gz' else name} data"]
    found, damage = unpack(name, pack(name, TEXT) + b"some more")
    assert found == TEXT
    assert damage == [f"octets that are not {'gzip' if name == 'gz' else name} data"]
    padding = unpack(name, pack(name, TEXT) + bytes(512))
    assert padding[0] == TEXT


def test_every_bit_that_flips_is_got_over() -> None:
    """No exception, whatever the damage, and never more than was there."""
    rng = random.Random(19)
    for name in EVERY:
        packed = pack(name, TEXT[:20_000])
        for _ in range(300):
            broken = bytearray(packed)
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            found, damage = unpack(name, bytes(broken), rng.choice((100, 1 << 18)))
            assert found == TEXT[:20_000] or damage


def test_blocks_of_bzip2_are_read_past_one_that_is_damaged() -> None:
    rng = random.Random(3)
    text = rng.randbytes(350_000)
    packed = bytearray(bz2.compress(text, 1))
    packed[len(packed) // 2] ^= 1
    found, damage = unpack("bzip2", bytes(packed))
    assert len(text) - 100_000 <= len(found) < len(text)
    assert found[:90_000] == text[:90_000]
    assert found[-40_000:] == text[-40_000:]
    assert damage == ["a block of the bzip2 data is damaged"]


def test_a_magic_number_by_chance_does_not_part_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    from bgpipe.net import bzip2

    text = random.Random(3).randbytes(250_000)
    packed = bz2.compress(text, 1)
    find = bzip2._magics

    def two_more(data: bytes, start: int, magic: int = bzip2.BLOCK_MAGIC) -> list[int]:
        places = find(data, start, magic)
        return sorted([*places, 500_003, 1_200_000]) if magic == bzip2.BLOCK_MAGIC and start == 0 else places

    monkeypatch.setattr(bzip2, "_magics", two_more)
    damage: list[str] = []
    assert b"".join(decompress_bzip2([packed], damage.append)) == text
    assert damage == []


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_bzip2_blocks_come_in_order(workers: int) -> None:
    text = random.Random(5).randbytes(1_500_000)
    packed = bz2.compress(text, 1)
    assert b"".join(decompress_bzip2(pieces(packed, 10_000), pytest.fail, workers)) == text


def test_a_bomb_comes_in_chunks() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = bomb.compress(bytes(50 << 20)) + bomb.flush()
    sizes = [len(chunk) for chunk in decompress("gz", [packed], pytest.fail)]
    assert sum(sizes) == 50 << 20
    assert max(sizes) <= 2 << 20


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (b"\x1f\x8b\x08\0", "gz"),
        (b"BZh9\x31\x41\x59\x26\x53\x59", "bzip2"),
        (b"BZh1\x17\x72\x45\x38\x50\x90", "bzip2"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh9\0\x10\0\4\0\0", "none"),  # an MRT record of 2005-04-11
        (b"[", "none"),
        (b"\x1f\x8b\x07", "none"),
        (b"", None),
        (b"\x1f\x8b", None),
        (b"BZh", None),
        (b"BZh91AY", None),
        (b"\x28\xb5\x2f", None),
    ],
)
def test_content_tells_the_compression(octets: bytes, name: str | None) -> None:
    assert by_content(octets) == name


def test_names_tell_the_compression() -> None:
    paths = ["a.mrt", "a.GZ", "a.b.bz2", "/x.gz/y.zst", "a.zstd", "gz"]
    assert [by_suffix(path) for path in paths] == ["none", "gz", "bzip2", "zstd", "zstd", "none"]
    spellings: dict[str, Any] = {
        "GZIP": "gz",
        "bz": "bzip2",
        "zst": "zstd",
        "False": "none",
        "": "none",
        "auto": "auto",
    }
    assert {text: parse_compression(text) for text in spellings} == spellings
    with pytest.raises(ValueError, match=r"unknown compression 'rar': auto, gz, bzip2, zstd or none is expected"):
        parse_compression("rar")
