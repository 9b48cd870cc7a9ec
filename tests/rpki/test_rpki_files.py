"""Files of validators: every form, every fault, in pieces of any size, compiled and plain."""

from __future__ import annotations

import gzip
import json
import random
import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe import accel
from bgpipe.rpki import entries, files, json_file
from bgpipe.rpki.entries import Parsed
from bgpipe.rpki.files import FileReader, parse
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.rpki.vrps import Vrp
from bgpipe.wire.errors import TextError
from bgpipe.wire.prefix import parse_prefix

NOW = 1000.0


def parsed(octets: bytes, size: int = 0) -> Parsed:
    """What octets say, fed in pieces of this size, without the compiled part as with it."""
    found = in_pieces(octets, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accel, "AVAILABLE", False)
        assert found == in_pieces(octets, size)
    return found


def in_pieces(octets: bytes, size: int) -> Parsed:
    if not size:
        return parse(octets, NOW)
    reader = FileReader(NOW)
    for start in range(0, len(octets), size):
        reader.feed(octets[start : start + size])
    return reader.finish()


def error_of(octets: bytes, size: int = 0) -> str:
    texts = set()
    for available in {accel.AVAILABLE, False}:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(accel, "AVAILABLE", available)
            with pytest.raises(TextError) as caught:
                in_pieces(octets, size)
            texts.add(str(caught.value))
    assert len(texts) == 1, texts
    return texts.pop()


def vrp(text: str, max_length: int, asn: int) -> Vrp:
    return Vrp(parse_prefix(text), max_length, asn)


TWO = [vrp("192.0.2.0/24", 24, 64500), vrp("2001:db8::/32", 48, 64501)]
JSON = {
    "routinator json": {
        "metadata": {"generated": 1, "generatedTime": "2026-01-01T00:00:00Z"},
        "roas": [
            {"asn": "AS64500", "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "ripe"},
            {"asn": "AS64501", "prefix": "2001:db8::/32", "maxLength": 48, "ta": "ripe"},
        ],
        "routerKeys": [{"asn": "AS1", "SKI": "00", "routerPublicKey": "x"}],
        "aspas": [{"customer": "AS64500", "providers": ["AS64502", "AS64501"], "ta": "ripe"}],
    },
    "routinator jsonext": {
        "roas": [
            {
                "asn": "AS64500",
                "prefix": "192.0.2.0/24",
                "maxLength": 24,
                "source": [
                    {"type": "roa", "uri": "rsync://x/y", "validity": {"notBefore": "a"}, "stale": None, "n": []}
                ],
            },
            {
                "asn": "AS64501",
                "prefix": "2001:db8::/32",
                "maxLength": 48,
                "source": [{"type": "exception", "path": {}}],
            },
        ],
        "aspas": [{"customer": "AS64500", "providers": ["AS64501", "AS64502"], "source": [{"type": "aspa"}]}],
    },
    "rpki-client": {
        "metadata": {"buildmachine": "x", "roas": 2},
        "roas": [
            {"asn": 64500, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "ripe", "expires": 5000},
            {"asn": 64501, "prefix": "2001:db8::/32", "maxLength": 48, "ta": "ripe", "expires": 6000},
        ],
        "bgpsec_keys": [],
        "aspas": [{"customer_asid": 64500, "expires": 5000, "providers": [64501, 64502]}],
    },
    "rpki-client 8.2": {
        "roas": [
            {"asn": 64500, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "ripe"},
            {"asn": 64501, "prefix": "2001:db8::/32", "maxLength": 48, "ta": "ripe"},
        ],
        "provider_authorizations": {
            "ipv4": [{"customer_asid": 64500, "providers": [64501]}],
            "ipv6": [{"customer_asid": 64500, "providers": [64502]}],
        },
    },
    "the original bgpipe": {
        "aspas": [{"customer_asid": 64500, "provider_asids": [64501, 64502, 0]}],
        "roas": [
            {"prefix": "192.0.2.0/24", "asn": "64500"},
            {"prefix": "2001:db8:ffff::/32", "asn": 64501.0, "maxLength": 48},
        ],
    },
}


@pytest.mark.parametrize("size", [0, 1, 7, 100])
@pytest.mark.parametrize("indent", [None, 1, "\t"])
@pytest.mark.parametrize("name", JSON)
def test_json(name, indent, size):
    for octets in (
        json.dumps(JSON[name], indent=indent).encode(),
        b"\n\xef\xbb\xbf"[1:] + json.dumps(JSON[name]).encode(),
    ):
        found = parsed(octets, size)
        assert [*found.snapshot.vrps(1), *found.snapshot.vrps(2)] == TWO
        assert found.snapshot.aspas == {64500: (64501, 64502)}
        assert (found.bad, found.expired) == (0, 0)
        assert found.until == (5000.0 if name == "rpki-client" else None)


def roas(*entries: object, **more: object) -> bytes:
    return json.dumps({"roas": list(entries)} | more).encode()


GOOD = {"asn": 1, "prefix": "192.0.2.0/24", "maxLength": 24}


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        (GOOD | {"maxLength": 23}, "maxLength must be 24 to 32: 23"),
        (GOOD | {"maxLength": 33}, "maxLength must be 24 to 32: 33"),
        (GOOD | {"maxLength": "24"}, "Expected `int | null`"),
        (GOOD | {"prefix": "192.0.2.0/33"}, "prefix length must be 0 to 32"),
        (GOOD | {"prefix": "192.0.2.0"}, "prefix without a length"),
        (GOOD | {"prefix": "#1#192.0.2.0/24"}, "not a prefix"),
        (GOOD | {"prefix": 5}, "Expected `str`"),
        (GOOD | {"asn": "ASx"}, "not an AS number: 'ASx'"),
        (GOOD | {"asn": 2**32}, "not an AS number"),
        (GOOD | {"asn": -1}, "not an AS number"),
        (GOOD | {"asn": 1.5}, "not an AS number"),
        (GOOD | {"asn": None}, "Expected `"),
        ({"asn": 1}, "missing required field `prefix`"),
        ([], "Expected `object`"),
        (5, "Expected `object`"),
    ],
)
def test_an_entry_that_cannot_be_read_costs_itself(entry, error):
    found = parsed(roas(GOOD, GOOD | {"asn": 2}, entry, GOOD | {"asn": 3}))
    assert len(found.snapshot) == 3
    assert found.bad == 1
    assert found.faults[0].startswith("roas[2]: ")
    assert error in found.faults[0]
    assert error_of(roas(entry)).startswith("none of 1 entries can be read: roas[0]: ")


@pytest.mark.parametrize(
    ("aspa", "error"),
    [
        ({"customer": "AS1"}, "providers are missing"),
        ({"customer": "AS1", "providers": []}, "providers are missing"),
        ({"providers": [1]}, "customer is missing"),
        ({"customer": 0, "providers": [1]}, "AS 0"),
        ({"customer": 1, "providers": ["x"]}, "not an AS number"),
        ({"customer": [], "providers": ["x"]}, "Expected"),
    ],
)
def test_an_aspa_that_cannot_be_read(aspa, error):
    found = parsed(roas(GOOD, aspas=[{"customer": 5, "providers": [0]}, aspa]))
    assert found.snapshot.aspas == {5: (0,)}
    assert (found.bad, found.faults[0].partition(":")[0]) == (1, "aspas[1]")
    assert error in found.faults[0]


def test_text_that_is_not_utf_8_costs_its_entry():
    octets = roas(GOOD, GOOD | {"ta": "\xff"}, GOOD | {"asn": "\xff"}, aspas=[{"customer": "\xff", "providers": [1]}])
    found = parsed(octets.replace(rb"\u00ff", b"\xff"))
    assert (len(found.snapshot), found.faults[0].partition(":")[0]) == (1, "roas[2]")


def test_entries_that_have_expired():
    items = [GOOD | {"asn": asn, "expires": time} for asn, time in enumerate((999, 1000, 1000.5, 1001, 5e9), 1)]
    aspas = [{"customer": 1, "providers": [2], "expires": 999}, {"customer": 2, "providers": [2], "expires": 1000.2}]
    found = parsed(roas(*items, aspas=aspas))
    assert [each.asn for each in found.snapshot.vrps(1)] == [3, 4, 5]
    assert found.snapshot.aspas == {2: (2,)}
    assert (found.expired, found.until) == (3, 1000.2)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "the file is empty"),
        (" \n", "the file is empty"),
        ("{}", 'neither "roas" nor "aspas"'),
        ('{"x":[1,{"y":2}]}', 'neither "roas" nor "aspas"'),
        ("[]", "{ is expected (at octet 0)"),
        ("{", "ends too early, at octet 1"),
        ('{"roas":', "ends too early"),
        ('{"roas":[', "ends too early"),
        ('{"roas":[{"asn":1,"prefix":"192.0.2.0/24","maxLength":24}', "ends too early"),
        ('{"roas":[{"asn":1,"prefix":"192.0.2.0/24","maxLength":24},]}', "a value is expected (at octet 58)"),
        ('{"roas":[{"asn":1,"prefix":"192.0.2.0/24","maxLength":24}}', ", or ] is expected (at octet 57)"),
        ('{"roas":[{"asn":1,"prefix":"192.0.2.0/24","maxLength":24,}]}', "malformed"),
        ('{"roas":[{"asn":1 "prefix":"192.0.2.0/24","maxLength":24}]}', "malformed"),
        ('{"roas":[] "aspas":[]}', ", or } is expected"),
        ('{"roas":[],}', "a name in"),
        ('{"roas":[]}{', "something stands behind the end (at octet 11)"),
        ('{"roas":{}}', '"roas" is no list'),
        ('{"roas":null}', '"roas" is no list'),
        ('{"roas":[],"aspas":5}', '"aspas" is no list'),
        ('{"roas":[],"x":tru}', "truncated"),
        ('{"roas":[],"x":[tru]}', "truncated"),
        ('{"roas":[],"x":{"y":[}]}}', "malformed"),
        ('{"roas":[],"x"}', ": is expected"),
        ('{"roas":[],5:5}', "a name in"),
        ('{"roas":[],"\\x":5}', "malformed"),
        ("{\"roas\":[],'x':5}", "a name in"),
        ('{"roas":[],"provider_authorizations":[{}]}', '"provider_authorizations" is no object'),
        ('{"roas":[],"provider_authorizations":{"ipv4":5}}', "Expected `array`"),
        ("[" * 9999, "{ is expected"),
        ('{"roas":[' + "[" * 9999 + "]" * 9999 + "]}", ""),
    ],
)
@pytest.mark.parametrize("size", [0, 1])
def test_what_is_no_file_of_a_validator(text, error, size):
    assert error in error_of(text.encode(), size)


CSV = {
    "routinator": "ASN,IP Prefix,Max Length,Trust Anchor\nAS64500,192.0.2.0/24,24,ripe\r\n"
    "AS64501,2001:db8::/32,48,ripe\n",
    "rpki-client": "ASN,IP Prefix,Max Length,Trust Anchor,Expires\nAS64500,192.0.2.0/24,24,ripe,5000\n"
    "AS64501,2001:db8::/32,48,ripe,9000\nAS9,2001:db8::/32,48,ripe,1000",
    "ripe": '"URI","ASN","IP Prefix","Max Length","Not Before","Not After"\n'
    '"rsync://a/b,c",AS64500,192.0.2.0/24,,2020-01-01 00:00:00,1970-01-01 01:23:20\n'
    "rsync://a/c,AS64501,2001:db8::/32,48,2020-01-01 00:00:00,2099-01-01 00:00:00\n"
    "rsync://a/c,AS9,2001:db8::/32,48,1960-01-01 00:00:00,1970-01-01 00:00:01\n",
    "the original, prefix first": "# comment\n\n 192.0.2.0/24 , 24 , AS64500\n2001:db8::/32,48,64501",
    "the original, AS number first": "64500,192.0.2.0/24,24\n64501,2001:db8::/32,48,ta\n",
    "other columns": "Max Length,Prefix,Unknown,ASN\n24,192.0.2.0/24,x,64500\n48,2001:db8::/32,,64501\n",
}


@pytest.mark.parametrize("size", [0, 1, 50])
@pytest.mark.parametrize("name", CSV)
def test_csv(name, size):
    found = parsed(CSV[name].encode(), size)
    assert [*found.snapshot.vrps(1), *found.snapshot.vrps(2)] == TWO
    assert (found.bad, found.expired) == (0, name in ("rpki-client", "ripe"))
    assert found.until == (5000.0 if name in ("rpki-client", "ripe") else None)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("x,192.0.2.0/24,24", "not an AS number: 'x'"),
        ("1,192.0.2.0/33,24", "prefix length must be"),
        ("1,192.0.2.0/24,23", "maxLength must be"),
        ("1,192.0.2.0/24,-1", "not a length"),
        ("1", "without a length"),
        ("1,192.0.2.0/24,24,ta,soon", "not a time: 'soon'"),
    ],
)
def test_a_line_that_cannot_be_read_costs_itself(line, error):
    found = parsed(f"1,192.0.2.0/24,24,ta,2000\n# nothing\n{line}\n".encode())
    assert (len(found.snapshot), found.bad) == (1, 1)
    assert found.faults[0].startswith("line 3: ")
    assert error in found.faults[0]


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        (b"hello\n", "line 1 is neither a header nor a VRP: 'hello'"),
        (b"# x\n<html>\n", "line 2 is neither"),
        (b"\xff\xfe\n", "line 1 is no text"),
        (b"ASN,IP Prefix\n", None),
        (b"# x\n", "there is no line of them"),
        (b"1" * 70000, "line 1 is too long"),
        (b"1" * 70000 + b"\n", "line 1 is too long"),
        (b"1,192.0.2.0/24,24\n1,192.0.2.0/24,24," + b"x" * 70000 + b"\n", "line 2 is too long"),
    ],
)
def test_what_is_no_csv(octets, error):
    if error is None:
        assert not parsed(octets).snapshot
    else:
        assert error in error_of(octets)


LINES = [
    "AS1,192.0.2.0/24,24,ripe,5000",
    "as1,192.0.2.0/24,24,ripe,5000",
    "1,192.0.2.0/24,,,",
    " 1 , 192.0.2.0/24 , 25 , x , 3000 ",
    '1,192.0.2.0/24,24,"a,b",2020-01-01 00:00:00',
    '1,192.0.2.0/24,24,"a\rb",',
    "01,192.0.2.0/24,024,x,05000",
    "1,192.0.2.1/24,33,x,",
    "1,2001:DB8::/32,48,\x01,99999999999",
    "1,2001:db8::/32,48,é,4294967295,more",
    "1,192.0.2.0/24,24",
    "# 1,192.0.2.0/24,24,x,",
    "",
    "x",
]


@given(st.lists(st.sampled_from(LINES)), st.sampled_from(["\n", "\r\n"]), st.integers(1, 99), st.booleans())
def test_lines_in_any_order(lines, end, size, header):
    """In compiled code and without."""
    first = "ASN,IP Prefix,Max Length,Trust Anchor,Expires" if header else "AS1,192.0.2.0/24,24,ripe,5000"
    found = parsed(end.join([first, LINES[0], *lines]).encode(), size)
    assert len(found.snapshot) <= 12


def test_limits(monkeypatch):
    """Members and lines count as entries do: each takes its time."""
    monkeypatch.setattr(entries, "MOST_ENTRIES", 4)
    monkeypatch.setattr(json_file, "MAX_VALUE", 100)
    assert len(parsed(roas(*[GOOD | {"asn": asn} for asn in range(3)])).snapshot) == 3
    assert "more than 4 entries" in error_of(roas(*[GOOD] * 4))
    assert "more than 4 entries" in error_of(roas(x=[1, 2, 3]))
    assert "more than 4 entries" in error_of(roas(a=1, b=1, c=1, d=1))
    assert len(parsed(b"\n#\n1,192.0.2.0/24,24\n2,192.0.2.0/24,24\n").snapshot) == 2
    assert "more than 4 entries" in error_of(b"\n#\n" + b"1,192.0.2.0/24,24\n" * 3)
    assert "for one value" in error_of(roas(x="y" * 400), 10)
    assert "for one value" in error_of(roas({"x": "y" * 400}), 10)


def test_files_of_another_program(shared):
    rows = map(json.loads, (shared / "vectors" / "bgpfix_rpki.jsonl").read_text().splitlines())
    rows = [row for row in rows if row["kind"] == "rpki-file"]
    assert len(rows) == 14
    for row in rows:
        expected = row["expected"]
        if isinstance(expected, str):
            error_of(row["text"].encode())
            continue
        try:
            snapshot = parsed(row["text"].encode()).snapshot
        except TextError:  # where nothing can be read, the original has an empty table
            snapshot = Snapshot()
        vrps = {vrp(each["prefix"], each["max_length"], each["asn"]) for each in expected["vrps"]}
        assert {*snapshot.vrps(1), *snapshot.vrps(2)} == vrps, row["id"]
        assert snapshot.aspas == {int(each): tuple(providers) for each, providers in expected["aspas"].items()}


@given(st.integers(0, 2**32), st.integers(0, 6), st.integers(1, 400))
def test_damaged_files(seed, errors, size):
    source = random.Random(seed)
    octets = bytearray(json.dumps(JSON[source.choice(list(JSON))], indent=source.choice((None, 1))).encode())
    for _ in range(errors):
        octets[source.randrange(len(octets))] = source.choice(b'{}[]",:\\ 0aAS.-\xc3\n')
    outcomes = []
    for available in {accel.AVAILABLE, False}:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(accel, "AVAILABLE", available)
            try:
                outcomes.append(in_pieces(bytes(octets), size))
            except TextError as error:
                outcomes.append(str(error))
    assert outcomes.count(outcomes[0]) == len(outcomes)


def random_aspa(source: random.Random) -> dict[str, object]:
    """An entry of `aspas`, in some of the forms that it has; a few of them can't be read."""
    forms = (int, str, "AS{}".format)
    asns = [source.choice((0, 1, 2, 3, 64500, 2**32 - 1)) for _ in range(source.randrange(1, 9))]
    entry: dict[str, object] = {
        source.choice(("customer", "customer_asid")): source.choice(forms)(source.choice((1, 2, 3, 64500))),
        source.choice(("providers", "provider_asids")): [source.choice(forms)(asn) for asn in asns],
    }
    more = {
        "expires": source.choice((999, 1000, 1001, 5000, 1000.5)),
        "ta": "ripe",
        "source": [{"uri": "x", "n": [1, {}]}],
        "customer_asid": None,
        "provider_asids": ["AS9"],
        "customer": 0,
        "providers": source.choice(([], None, ["AS-1"], [1.0], [["AS1"]], "AS1")),
        "note": "a \\ b",
    }
    for name in source.sample(sorted(more), source.choice((0, 0, 1, 2))):
        entry[name] = more[name]
    return dict(source.sample(sorted(entry.items(), key=str), len(entry)))


@given(st.integers(0, 2**32), st.sampled_from([0, 1, 50, 300]), st.sampled_from([None, 1]))
def test_aspas_of_any_form(seed, size, indent):
    """In compiled code and without."""
    source = random.Random(seed)
    aspas = [{"customer": "AS7", "providers": ["AS8"]}, *(random_aspa(source) for _ in range(source.randrange(20)))]
    found = parsed(json.dumps({"roas": [GOOD], "aspas": aspas}, indent=indent).encode(), size)
    assert found.snapshot.aspas[7] == (8,)
    assert len(aspas) >= found.bad + found.expired + len(found.snapshot.aspas)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_files_compressed_by_gzip(size):
    plain = json.dumps(JSON["rpki-client"]).encode()
    for packed in (gzip.compress(plain), gzip.compress(plain[:99]) + gzip.compress(plain[99:])):
        assert parsed(packed, size) == parsed(plain)
        assert "gzip: the file is cut short" in error_of(packed[:-1], size)
    assert "gzip: " in error_of(b"\x1f\x8bxxxxxxxxxxxxxxxxxxx", size)
    assert "gzip: " in error_of(gzip.compress(plain) + b"xxxxxxxxxx", size)
    assert "the file is empty" in error_of(gzip.compress(b" "), size)
    assert "line 1 is" in error_of(gzip.compress(gzip.compress(plain)), size)  # once is enough


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_file_that_unpacks_to_whole_pieces(more):
    plain = json.dumps(JSON["rpki-client"]).encode()
    plain += b" " * (2 * files.PIECE + more - len(plain))
    assert parsed(gzip.compress(plain)) == parsed(plain)


def test_what_unpacks_to_very_much(monkeypatch):
    monkeypatch.setattr(files, "MAX_SIZE", files.PIECE)
    for start in (b"", b"{"):
        assert error_of(gzip.compress(start + b" " * (files.PIECE + 1))) == "more than 1 MiB"
        assert error_of(start + b" " * (files.PIECE + 1)) == "more than 1 MiB"


def test_a_long_value_takes_no_more_memory_than_itself():
    """A regular expression that can turn back remembers every octet, and takes a hundred times as much."""
    for start, value in ((b'{"x":', b'"' + b"y" * (4 << 20)), (b'{"roas":[', b'{"x":"' + b'","":"' * (1 << 20))):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(TextError, match="ends too early"):
            parse(start + value, NOW)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_a_last_line_that_is_cut_short_does_not_count():
    """Its end may be missing: a maxLength of 2 may have been one of 24."""
    header = "ASN,IP Prefix,Max Length,Trust Anchor\nAS1,0.0.0.0/1,24,ripe\n"
    for line in ("AS2", "AS2,0.0.0.0/1", "AS2,0.0.0.0/1,2"):
        found = parsed((header + line).encode())
        assert [each.asn for each in found.snapshot.vrps(1)] == [1]
        assert found.bad == 1
    assert len(parsed((header + "AS2,0.0.0.0/1,24,").encode()).snapshot) == 2
