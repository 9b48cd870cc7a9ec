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

from bgpipe.net.bzip2 import decompress_bzip2
from bgpipe.net.compression import by_content, by_suffix, compressor, decompress, parse_compression
from bgpipe.net.gzip import fast_zlib
from bgpipe.net.zstd import zstd_library

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
    fast_zlib.cache_clear()
    yield
    fast_zlib.cache_clear()


@pytest.fixture(params=["gz", "gz by zlib", "bzip2", "zstd"])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A compression; gzip with isal, if it is installed, and with zlib."""
    if request.param == "gz by zlib":
        monkeypatch.setitem(sys.modules, "isal", None)
    fast_zlib.cache_clear()
    yield request.param.partition(" ")[0]
    fast_zlib.cache_clear()


@pytest.mark.parametrize("size", [1, 1000, 1 << 18])
def test_both_ways(name: str, size: int) -> None:
    text = TEXT if size > 1 else TEXT[:20_000]
    assert unpack(name, pack(name, text), size) == (text, [])


@pytest.mark.parametrize("size", [7, 1 << 18])
def test_members_one_after_the_other_and_empty_ones(name: str, size: int) -> None:
    noise = random.Random(1).randbytes(950_000) if size > 7 and name == "bzip2" else b""  # more than one block of it
    parts = [b"", TEXT[:5000], b"", TEXT[5000:5001], b"", b"", TEXT[5001:9000], b""]
    first = pack(name, noise)
    assert unpack(name, first + b"".join(pack(name, part) for part in parts), size) == (noise + TEXT[:9000], [])
    assert unpack(name, first + pack(name, b""), size) == (noise, [])
    assert unpack(name, pack(name, b""), size) == (b"", [])
    assert unpack(name, pack(name, b"") + bytes(9) + pack(name, b"") + bytes(700), size) == (b"", [])


def test_what_others_wrote() -> None:
    assert unpack("gz", gzip.compress(TEXT))[0] == TEXT
    assert unpack("bzip2", bz2.compress(TEXT, 1))[0] == TEXT
    assert gzip.decompress(pack("gz", TEXT)) == TEXT
    assert bz2.decompress(pack("bzip2", TEXT)) == TEXT


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_an_empty_stream_of_nothing(name: str) -> None:
    assert unpack(name, b"")[0] == b""
    assert unpack("none", TEXT) == (TEXT, [])


def test_a_stream_cut_short_gives_what_came_before(name: str) -> None:
    packed = pack(name, TEXT[:300_000]) + pack(name, TEXT[300_000:])
    for cut in (len(packed) - 1, len(packed) - 20, len(packed) * 3 // 4):
        found, damage = unpack(name, packed[:cut], 4096)
        assert TEXT.startswith(found)
        assert len(found) >= 300_000
        assert damage == [f"{'gzip' if name == 'gz' else name} data is cut short"]


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
        packed = pack(name, text := TEXT[:4000])
        for _ in range(150):
            broken = bytearray(packed)
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            found, damage = unpack(name, bytes(broken), rng.choice((100, 1 << 18)))
            assert found == text or damage


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
    text = random.Random(5).randbytes(600_000)  # six blocks
    packed = bz2.compress(text, 1)
    assert b"".join(decompress_bzip2(pieces(packed, 10_000), pytest.fail, workers)) == text


def bomb(name: str, size: int, at_once: int = 1 << 22) -> bytes:
    """So many zeros, packed."""
    packing = zlib.compressobj(9, zlib.DEFLATED, 31) if name == "gz" else compressor(name)
    parts = [packing.compress(bytes(at_once)) for _ in range(size // at_once)]
    return b"".join((*parts, packing.flush()))


def test_a_bomb_comes_in_chunks(name: str) -> None:
    sizes = [len(chunk) for chunk in decompress(name, [bomb(name, 18 << 20)], pytest.fail)]
    assert max(sizes) <= 2 << 20
    assert sum(sizes) == 16 << 20


@pytest.mark.usefixtures("zlib_kind")
@pytest.mark.parametrize("size", [1, 1000, 1 << 18])
@pytest.mark.parametrize("name", ["gz", "zstd"])
def test_a_wrong_checksum_costs_nothing(name: str, size: int) -> None:
    text = TEXT if size > 1 else TEXT[:20_000]
    packed = bytearray(pack(name, text))
    packed[-8 if name == "gz" else -1] ^= 1
    long = "gzip" if name == "gz" else name
    member = "member" if name == "gz" else "frame"
    told = f"damaged {long} data: wrong checksum of a {member}; its data is used all the same"
    assert unpack(name, bytes(packed), size) == (text, [told])
    assert unpack(name, bytes(packed) + pack(name, b"more"), size) == (text + b"more", [told])


@pytest.mark.usefixtures("zlib_kind")
def test_a_wrong_length_costs_nothing() -> None:
    packed = bytearray(pack("gz", TEXT))
    packed[-1] ^= 1
    told = "damaged gzip data: wrong length of a member; its data is used all the same"
    assert unpack("gz", bytes(packed)) == (TEXT, [told])


def bit_flipped(octets: bytes, bit: int) -> bytes:
    value = int.from_bytes(octets, "big") ^ 1 << (len(octets) * 8 - 1 - bit)
    return value.to_bytes(len(octets), "big")


@pytest.mark.parametrize("size", [2000, 50_000, 450_000])
def test_a_wrong_checksum_of_bzip2_costs_nothing(size: int) -> None:
    text = (random.Random(4).randbytes(size // 2) + TEXT)[:size]
    packed = bz2.compress(text, 1)
    block = "wrong checksum of a block of the bzip2 data; the block is used all the same"
    stream = "wrong checksum of a bzip2 stream; its data is used all the same"
    found, damage = unpack("bzip2", bit_flipped(packed, 4 * 8 + 48 + 9))
    assert (found, damage) == (text, [block])
    found, damage = unpack("bzip2", bit_flipped(packed, len(packed) * 8 - 20))
    assert (found, damage) == (text, [stream])
    assert unpack("bzip2", packed + packed)[1] == []


def test_a_checksum_of_bzip2_that_is_gone() -> None:
    """The stream's checksum says that the octets of its last block are right."""
    packed = bytearray(bz2.compress(TEXT[:5000]))
    packed[10:14] = bytes(4)
    block = "wrong checksum of a block of the bzip2 data; the block is used all the same"
    assert unpack("bzip2", bytes(packed)) == (TEXT[:5000], [block])


@pytest.mark.parametrize("text", [b"", b"a", b"ab", b"aaaa", b"a" * 1000, b"ab" * 300, b"x" * 255 + b"y"])
def test_short_bzip2_with_a_wrong_checksum_never_gives_anything_else(text: bytes) -> None:
    packed = bz2.compress(text)
    if text:
        found, damage = unpack("bzip2", bit_flipped(packed, 4 * 8 + 48 + 9))
        assert text.startswith(found) or not found
        assert len(damage) == 1


@pytest.mark.usefixtures("zlib_kind")
def test_damaged_gzip_gives_all_that_comes_before_the_damage() -> None:
    """Inflated octet by octet, a stream gives what a library throws away that is given more at once."""
    rng = random.Random(8)
    packed = bytearray(pack("gz", TEXT[:100_000] + rng.randbytes(20_000)))
    packed[-10_000:-9900] = b"\xff" * 100
    plain = zlib.decompressobj(31)
    before = b""
    try:
        for n in range(len(packed)):
            before += plain.decompress(packed[n : n + 1])
    except zlib.error:
        pass
    found, damage = unpack("gz", bytes(packed))
    assert len(damage) == 1
    assert found == before
    assert len(found) > 50_000


def test_damaged_zstd_gives_all_blocks_before_the_damage() -> None:
    text = random.Random(8).randbytes(1_000_000)
    packed = bytearray(pack("zstd", text))
    packed[600_000:600_020] = bytes(20)
    found, damage = unpack("zstd", bytes(packed))
    assert len(found) >= 500_000
    assert len(damage) == 1


def skippable(octets: bytes, number: int = 0) -> bytes:
    return bytes((0x50 + number,)) + b"\x2a\x4d\x18" + len(octets).to_bytes(4, "little") + octets


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 18])
def test_skippable_frames_of_zstd(size: int) -> None:
    text = TEXT[:20_000]
    parts = [skippable(b"abcd"), pack("zstd", text), skippable(b""), skippable(MANY, 15), pack("zstd", b"x"), bytes(99)]
    assert unpack("zstd", b"".join(parts), size) == (text + b"x", [])
    assert unpack("zstd", skippable(b"abcd"), size) == (b"", [])
    if size > 1:
        assert unpack("zstd", skippable(MANY)[:-1], size) == (b"", ["zstd data is cut short"])


MANY = b"\x28\xb5\x2f\xfd" * 20_000


def zstd_of(octets: bytes, **options: int) -> bytes:
    library = zstd_library()
    return bytes(
        library.compress(octets, options={library.CompressionParameter[name]: value for name, value in options.items()})
    )


def test_zstd_of_every_shape() -> None:
    for text in (b"", b"a", TEXT[:255], TEXT[:300], TEXT[:70_000], TEXT[:140_000], bytes(300_000)):
        for flags in (
            {},
            {"content_size_flag": 0},
            {"checksum_flag": 1},
            {"window_log": 10},
            {"compression_level": 19},
        ):
            packed = zstd_of(text, **flags)
            assert unpack("zstd", packed, 999) == (text, []), (len(text), flags)


def test_a_window_of_zstd_that_is_too_long() -> None:
    """What follows the frame is read."""
    header = b"\x28\xb5\x2f\xfd\4" + bytes(((31 - 10) << 3,))  # a window of 2 GiB, and a checksum
    frame = header + (5 << 3 | 1).to_bytes(3, "little") + b"12345" + b"abcd"
    found, damage = unpack("zstd", frame + pack("zstd", b"next"), 3)
    assert found == b"next"
    (told,) = damage
    assert "a window of 2048 MiB, and gets 64 at most: decompress it with zstd -d --long=31" in told


@pytest.mark.parametrize(("megabytes", "given"), [(60, 60), (70, 64)])
def test_a_window_of_zstd_that_is_long_is_used_up_to_a_limit(megabytes: int, given: int) -> None:
    """A frame that fits into less memory than it asks for is read to its end."""
    packed = zstd_of(bytes(megabytes << 20), window_log=27, content_size_flag=0)
    count, damage = 0, []
    for chunk in decompress("zstd", [packed + pack("zstd", b"next")], damage.append):
        count += len(chunk)
        last = chunk
    assert last.endswith(b"next")
    assert count == (given << 20) + 4
    assert damage == (
        []
        if megabytes == given
        else [
            "damaged zstd data: a frame asks for a window of 128 MiB, and gets 64 at most: decompress it with zstd -d"
        ]
    )


@pytest.mark.parametrize("size", [100, 1 << 18])
def test_zeros_behind_a_stream_and_between_two_are_padding(name: str, size: int) -> None:
    first, second = TEXT[:9000], TEXT[9000:12_000]
    for zeros in (1, 3, 511, 70_000):
        padding = bytes(zeros)
        packed = pack(name, first) + padding + pack(name, second) + padding
        assert unpack(name, packed, size) == (first + second, [])


def test_much_padding_behind_bzip2() -> None:
    packed = pack("bzip2", TEXT)
    assert unpack("bzip2", packed + bytes(5_000_000)) == (TEXT, [])
    assert unpack("bzip2", packed + bytes(3_000_000) + packed) == (TEXT + TEXT, [])
    assert unpack("bzip2", packed + b"x" * 5_000_000) == (TEXT, ["octets that are not bzip2 data"])


@pytest.mark.usefixtures("zlib_kind")
def test_headers_of_gzip_with_all_there_can_be() -> None:
    body = zlib.compressobj(9, zlib.DEFLATED, -15)
    text = TEXT[:50_000]
    data = body.compress(text) + body.flush()
    trailer = zlib.crc32(text).to_bytes(4, "little") + len(text).to_bytes(4, "little")
    for flags in range(32):
        parts = [b"\x1f\x8b\x08", bytes((flags,)), b"\0\1\2\3\4\3"]
        parts += [b"\5\0extra"] if flags & 4 else []
        parts += [b"name\0"] if flags & 8 else []
        parts += [b"comment\0"] if flags & 16 else []
        parts += [b"hc"] if flags & 2 else []
        packed = b"".join((*parts, data, trailer))
        assert unpack("gz", packed * 2, 50) == (text * 2, []), flags
    assert unpack("gz", b"\x1f\x8b\x08\x08\0\0\0\0\0\3" + b"n" * 300_000)[1][0].endswith("a header without an end")


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (b"\x1f\x8b\x08\0", "gz"),
        (b"BZh9\x31\x41\x59\x26\x53\x59", "bzip2"),
        (b"BZh1\x17\x72\x45\x38\x50\x90", "bzip2"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh9\0\x10\0\4\0\0", "none"),  # an MRT record of 2005-04-11
        (b"[", None),
        (b'["', "none"),
        (b"\x1f\x8b\x07", "none"),
        (b"", None),
        (b"\x1f\x8b", None),
        (b"BZh", None),
        (b"BZh91AY", None),
        (b"\x50\x2a\x4d\x18\4\0\0\0\x77\0\0\0", "zstd"),
        (b"\x5f\x2a\x4d\x18\0\0\0\0\x28\xb5\x2f\xfd", "zstd"),
        (b"\x5a\x2a\x4d\x18\0\x10\0\0" + bytes(4), "zstd"),  # 4,096 octets of zeros
        (b"\x5a\x2a\x4d\x18\0\x10\0\4\0\0\0\x62", "none"),  # an MRT record of 2017-12-06
        (b"\x5a\x2a\x4d", None),
        (b"\x5a\x2a\x4d\x18\4\0\0", None),
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
