"""Which format a file has: by its name, by its first octets, by --format."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import bgpipe.formats
from bgpipe.cli.main import main
from bgpipe.formats import BUILTIN, base, detect, detect_by_name, find, sniff
from bgpipe.wire.context import AS2
from bgpipe.wire.errors import TextError
from bgpipe.wire.item import Item
from bgpipe.wire.message import KEEPALIVE, UPDATE, Message


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("out.json", "json"),
        ("OUT.JSONL.GZ", "json"),
        ("/a/b.d/out.txt.zst", "json"),
        ("dump.raw", "raw"),
        ("dump.bin.bz2", "raw"),
        ("dump.bgp.zstd", "raw"),
        ("a.mrt", "mrt"),
        ("a.mrt.gz", "mrt"),
        ("updates.20190101.0000", "mrt"),
        ("updates.20190101.0000.bz2", "mrt"),
        ("https://data.ris.ripe.net/rrc00/2019.01/updates.20190101.0000.gz?x=/y.json", "mrt"),
        ("http://archive.example/bgpdata/rib.20140530.2200.bz2#top", "mrt"),
        ("bview.20020722.2337.gz", "mrt"),
        ("latest-bview.gz", "mrt"),
        ("latest-update.gz", "mrt"),
        ("updates.20190101.0000.json", "json"),  # the original takes this for MRT
        ("rib.20140530.json.gz", "json"),
        ("C:\\data\\rib.20140530.2200.bz2", "mrt"),
        ("updates", None),
        ("rib.1", None),
        ("json", None),
        ("folder.json/data", None),
        ("", None),
        ("-", None),
        ("a.gz", None),
    ],
)
def test_by_name(path: str, name: str | None) -> None:
    found = detect_by_name(path)
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (b'["R",1]', "json"),
        (b'\n\r\n  {"reach":[]}', "json"),
        (b"# a comment\n\n#\n[", "json"),
        (b"\xef\xbb\xbf[", "json"),
        (Message(KEEPALIVE).octets, "raw"),
        (b"", None),
        (b"# a comment", None),
        (b"hello", None),
        (b"\xff" * 15, None),
    ],
)
def test_by_content(octets: bytes, name: str | None) -> None:
    found = sniff(octets)
    assert (found.name if found else None) == name


def test_by_content_of_an_archive() -> None:
    record = bytes.fromhex("0000fde8 0000fde9 0000 0001 c0000201 c0000202".replace(" ", "")) + Message(KEEPALIVE).octets
    header = bytes.fromhex("5c2aad80 0010 0004".replace(" ", ""))
    found = sniff((header + len(record).to_bytes(4, "big") + record) * 3)
    assert found is not None
    assert found.name == "mrt"


def test_find() -> None:
    for name in BUILTIN:
        found = find(f" {name.upper()} ")
        assert found.name == name
        assert found.suffixes
        assert isinstance(found.open_decoder(), base.Decoder)
        assert isinstance(found.open_encoder(), base.Encoder)


def test_an_unknown_format_is_told_with_those_that_are_known() -> None:
    with pytest.raises(TextError, match="unknown format 'jsn': bgpdump, bmp, exa, json, mrt, obmp, raw, rib are known"):
        find("jsn")


class Hexadecimal(base.Encoder):
    """Lines of digits, of messages that have a body."""

    def encode_one(self, message: Message) -> bytes:
        if not message.body:
            raise TextError("no body")
        return message.body.hex().encode() + b"\n"


class HexadecimalDecoder(base.Decoder):
    def feed(self, octets: bytes) -> Iterator[Item]:
        for line in octets.split():
            yield Message(UPDATE, bytes.fromhex(line.decode()), context=self.context)

    def end(self) -> Iterator[Item]:
        return iter(())


HEXADECIMAL = base.Format(
    name="hexadecimal",
    suffixes=(".hex",),
    sniff=lambda octets: octets.startswith(b"0000"),
    decoder=lambda options: HexadecimalDecoder(on_damage=options.on_damage, context=options.context),
    encoder=lambda options: Hexadecimal(on_report=options.on_report),
    text=True,
)


class OldDecoder(HexadecimalDecoder):
    """A decoder that knows only `on_damage`."""

    def __init__(self, *, on_damage: Callable[[base.Damage], None]) -> None:
        super().__init__(on_damage=on_damage)


class OldEncoder:
    """An encoder that knows nothing of reports."""

    def encode_message(self, message: Message) -> bytes:
        return Hexadecimal().encode_one(message)


class Plain:
    """A format as another package would bring it that knows no record."""

    name = "plain"
    suffixes = (".plain",)
    Decoder = OldDecoder
    Encoder = OldEncoder

    @staticmethod
    def sniff(octets: bytes) -> bool:
        return octets.startswith(b"plain")


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"broken": "no_such_module:Format", "plain": f"{__name__}:Plain", "hexadecimal": f"{__name__}:HEXADECIMAL"}
    entries = {name: EntryPoint(name, value, bgpipe.formats.ENTRY_POINTS) for name, value in values.items()}
    monkeypatch.setattr(bgpipe.formats, "_entry_points", lambda: entries)


@pytest.mark.usefixtures("others")
def test_formats_of_other_packages() -> None:
    assert find("Hexadecimal") is HEXADECIMAL
    assert detect_by_name("a.hex.gz") is HEXADECIMAL
    assert sniff(b"00000000") is HEXADECIMAL
    found = detect_by_name("a.plain.gz")
    assert found is not None
    assert found.name == "plain"
    sniffed = sniff(b"plain text")
    assert sniffed is not None
    assert sniffed.name == "plain"
    assert sniff(b"other") is None
    with pytest.raises(TextError, match="format 'broken', from no_such_module:Format, can't be loaded"):
        find("broken")
    with pytest.raises(TextError, match="rib, broken, plain, hexadecimal are known"):
        find("x")


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("name", ["plain", "hexadecimal"])
def test_others_are_opened_as_ours_are(name: str) -> None:
    reports: list[tuple[int, str]] = []
    found = find(name)
    encoder = found.open_encoder(base.EncoderOptions(lambda message, error: reports.append((message.seq, str(error)))))
    octets = encoder.encode(Message(UPDATE, bytes(4), seq=1)) + encoder.encode(Message(KEEPALIVE, seq=2))
    assert octets == b"00000000\n"
    assert reports == [(2, "no body")]
    (message,) = found.open_decoder(base.DecoderOptions(context=AS2)).feed(octets)
    assert isinstance(message, Message)
    assert message.context == AS2
    assert message.body == bytes(4)
    with pytest.raises(TextError, match="no body"):
        found.open_encoder().encode(Message(KEEPALIVE))


@pytest.mark.usefixtures("others")
def test_a_file_in_anothers_format_through_a_pipeline(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.hex").write_bytes(b"00000000\n")
    done = main(["-o", str(tmp_path / "a.hex"), "--", "write", str(tmp_path / "b.plain")])
    assert done == 0
    assert '"UPDATE",{}' in capfd.readouterr().out
    assert (tmp_path / "b.plain").read_bytes() == b"00000000\n"


def test_what_a_format_can_not_is_told() -> None:
    bare = base.Format("bare")
    with pytest.raises(TextError, match="bare can't be read"):
        bare.open_decoder()
    with pytest.raises(TextError, match="bare can't be written"):
        bare.open_encoder()
    with pytest.raises(TextError, match="raw has no dialect 'go': it has no others"):
        find("raw").open_encoder(base.EncoderOptions(compat="go"))


MRT = struct.pack(">IHHI", 0x5B2AAD80, 16, 4, 39) + bytes(11) + b"\1" + bytes(8) + Message(KEEPALIVE).octets


@pytest.mark.parametrize("octet", [0x5B, 0x7B, 0x23, 0x0A, 0x20])
def test_a_header_of_mrt_tells_more_than_its_first_octet(octet: int) -> None:
    octets = bytes((octet,)) + MRT[1:]
    for size in (16, 40, len(octets)):
        for named in (None, *map(find, BUILTIN)):
            found = detect(octets[:size], named, last=False)
            assert found is not None
            assert found.name == "mrt"


@pytest.mark.parametrize(
    ("octets", "name", "expected"),
    [
        (b'["R",1,"2026-01-02T03:04:05.000"', "mrt", "json"),
        (b"{}\n", "mrt", "json"),
        (Message(KEEPALIVE).octets, "mrt", "raw"),
        (Message(KEEPALIVE).octets, "json", "raw"),
        (b"[" + bytes(30), "mrt", "mrt"),
        (b"# nothing that tells\n", "json", "json"),
        (b"no format, not even by name", "raw", "raw"),
    ],
)
def test_content_goes_before_the_name(octets: bytes, name: str, expected: str) -> None:
    found = detect(octets, find(name), last=False)
    assert found is not None
    assert found.name == expected


def test_too_few_octets_tell_nothing_yet() -> None:
    assert detect(b"[", find("mrt"), last=False) is None
    assert detect(b"[", find("mrt"), last=True) == find("json")
    assert detect(b"", find("mrt"), last=True) == find("mrt")
    assert detect(b"what is this", None, last=False) is None
    with pytest.raises(TextError, match="can't tell the format of the input"):
        detect(b"what is this", None, last=True)
    with pytest.raises(TextError, match="can't tell the format of the input"):
        detect(b"?" * 4096, None, last=False)
