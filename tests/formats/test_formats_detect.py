"""Which format a file has: by its name, by its first octets, by --format."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

import bgpipe.formats
from bgpipe.formats import BUILTIN, base, detect_by_name, find, sniff
from bgpipe.wire.errors import TextError
from bgpipe.wire.message import KEEPALIVE, Message


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
        assert found.Decoder is not None
        assert issubclass(found.Decoder, base.Decoder)
        assert found.Encoder is not None
        assert issubclass(found.Encoder, base.Encoder)


def test_an_unknown_format_is_told_with_those_that_are_known() -> None:
    with pytest.raises(TextError, match="unknown format 'jsn': json, raw, mrt are known"):
        find("jsn")


class Plain:
    """A format as another package would bring it."""

    name = "plain"
    suffixes = (".plain",)
    Decoder = None
    Encoder = None

    @staticmethod
    def sniff(octets: bytes) -> bool:
        return octets.startswith(b"plain")


def test_formats_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {
        name: EntryPoint(name, value, bgpipe.formats.ENTRY_POINTS)
        for name, value in (("broken", "no_such_module:Format"), ("plain", f"{__name__}:Plain"))
    }
    monkeypatch.setattr(bgpipe.formats, "_entry_points", lambda: entries)
    assert find("Plain") is Plain
    assert detect_by_name("a.plain.gz") is Plain
    assert sniff(b"plain text") is Plain
    assert sniff(b"other") is None
    with pytest.raises(TextError, match="format 'broken', from no_such_module:Format, can't be loaded"):
        find("broken")
    with pytest.raises(TextError, match="json, raw, mrt, broken, plain are known"):
        find("x")
