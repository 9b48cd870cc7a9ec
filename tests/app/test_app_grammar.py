"""Command lines to stages: the grammar, as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgpipe.app.build import build
from bgpipe.app.grammar import is_address, parse
from bgpipe.app.spec import PipelineSpec
from bgpipe.pipeline.errors import ConfigError, UsageError
from bgpipe.runtime.log import StderrLog
from cases import all_cases


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """A folder with a few files to be said as bare words."""
    monkeypatch.chdir(tmp_path)
    for name in ("updates.20190101.0000.bz2", "rib.20140530.2200.bz2", "out.json", "copy.mrt.zst", "head", "a b.mrt"):
        Path(name).touch()
    Path("folder").mkdir()


def split(text: str) -> list[str]:
    """Words of a shell, where only single quotes count."""
    parts = text.split("'")
    words: list[str] = []
    for number, part in enumerate(parts):
        words += [part] if number % 2 else part.split()
    return words


def show(line: PipelineSpec) -> str:
    """`options | index name values arguments | ...`"""
    parts = [" ".join(f"{name}={value}" for name, value in line.options.values.items())]
    for stage in line.stages:
        values = [f"{name}={value}" for name, value in stage.values.items()]
        parts.append(" ".join([str(stage.index), stage.name, *values, *stage.arguments]))
    return " | ".join(parts).strip()


PIPELINES = [
    # what users type
    ("updates.20190101.0000.bz2", "| 1 read updates.20190101.0000.bz2"),
    (
        "read --mrt updates.20190101.0000.bz2 -- write out.json",
        "| 1 read format=mrt updates.20190101.0000.bz2 | 2 write out.json",
    ),
    (
        "-o read rib.20140530.2200.bz2 -- grep 'prefix ~ 8.0.0.0/8 && as_origin == 15169'",
        "stdout=True | 1 read rib.20140530.2200.bz2 | 2 grep prefix ~ 8.0.0.0/8 && as_origin == 15169",
    ),
    ("copy.mrt.zst", "| 1 read copy.mrt.zst"),
    ("read out.json -- write back.mrt.gz", "| 1 read out.json | 2 write back.mrt.gz"),
    (
        "-i -o -- drop 'ipv6 || aspath_len > 8' -- head -n 5",
        "stdin=True stdout=True | 1 drop ipv6 || aspath_len > 8 | 2 head count=5",
    ),
    (
        "-n read a.mrt -- grep ipv6 -- write b.json",
        "explain=True | 1 read a.mrt | 2 grep ipv6 | 3 write b.json",
    ),
    # options before the first stage
    ("-go read x", "guess-asn=True stdout=True | 1 read x"),
    ("-io -- read x", "stdin=True stdout=True | 1 read x"),
    ("-I -O read x", "stdin-wait=True stdout-wait=True | 1 read x"),
    ("--log=debug read x", "log=debug | 1 read x"),
    ("-l WARN read x", "log=warn | 1 read x"),
    ("-e all -k read/STOP read x", "events=('all',) kill=('read/STOP',) | 1 read x"),
    ("-2 read x", "short-asn=True | 1 read x"),
    ("-- read x", "| 1 read x"),
    # separation
    ("read x grep ipv6 head", "| 1 read x | 2 grep ipv6 | 3 head"),
    ("read x head -n 3 write y.json", "| 1 read x | 2 head count=3 | 3 write y.json"),
    ("read x -- head", "| 1 read x | 2 head"),
    ("read x --", "| 1 read x"),
    ("read x -- -- head", "| 1 read x | 3 head"),
    ("-- -- read x", "| 2 read x"),
    ("out.json copy.mrt.zst", "| 1 read out.json | 2 read copy.mrt.zst"),
    # options of stages
    ("read -LR x", "| 1 read left=True right=True x"),
    (
        "read --no-time --type UPDATE,OPEN --type KEEPALIVE x",
        "| 1 read no-time=True type=('UPDATE', 'OPEN', 'KEEPALIVE') x",
    ),
    ("grep -I ipv4 -I 'a, b' ipv6", "| 1 grep if=('ipv4', 'a, b') ipv6"),
    ("read -O ipv4 x", "| 1 read of=('ipv4',) x"),
    ("read -N last x", "| 1 read new=last x"),
    ("read --inject last x", "| 1 read new=last x"),
    ("read --raw x", "| 1 read format=raw x"),
    ("read --decompress bz2 x", "| 1 read decompress=bzip2 x"),
    ("write --compress x.json.gz", "| 1 write compress=auto x.json.gz"),
    ("write --compress zst x.json", "| 1 write compress=zstd x.json"),
    (
        "write --every 15m --compress '/x/bgp.$TIME.json.gz'",
        "| 1 write every=900.0 compress=auto /x/bgp.$TIME.json.gz",
    ),
    ("grep -A ipv6", "| 1 grep args=True ipv6"),
    # names and bare words
    ("@in read x -- @out write y.json", "| 1 @in x | 2 @out y.json"),
    ("http://example.net/x.mrt", "| 1 read http://example.net/x.mrt"),
    ("read http://example.net/x.mrt", "| 1 read http://example.net/x.mrt"),
    ("head", "| 1 head"),
    ("'a b.mrt'", "| 1 read a b.mrt"),
    ("./head", "| 1 read ./head"),
    ("read - -- write -", "| 1 read - | 2 write -"),
]


@all_cases(("words", "shown"), PIPELINES)
def test_pipelines(words, shown):
    assert show(parse(split(words))) == shown


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        ("--lgo debug read x", UsageError, "unknown option --lgo, did you mean --log?"),
        ("-l loud read x", UsageError, "-l: invalid value 'loud': one of trace, debug, .*"),
        ("read --fromat mrt x", UsageError, "read: unknown option --fromat, did you mean --format?"),
        ("read x -- @b grep --iff x", UsageError, r"@b: unknown option --iff, did you mean --if\?"),
        ("read -o x", UsageError, r"read: unknown option -o \(it belongs before the first stage\)"),
        ("read --stdin x", UsageError, r"read: unknown option --stdin \(it belongs before the first stage\)"),
        ("head -n", UsageError, r"head: -n needs a value \(N\)"),
        ("head --rate-limit 1x", UsageError, "head: --rate-limit: invalid value '1x': a number is expected"),
        ("raed x", ConfigError, "raed: no such stage or file, did you mean read?"),
        ("folder", ConfigError, "folder: is a folder"),
        ("missing.mrt", ConfigError, "missing.mrt: no such stage or file"),
        ("read", UsageError, "read: needs an argument: PATH"),
        ("read -- grep x", UsageError, "read: needs an argument: PATH"),
        ("grep -A", UsageError, "grep: needs an argument: FILTER"),
        ("@name", ConfigError, "@name: a stage must follow this name"),
        ("read x -- @name", ConfigError, "@name: a stage must follow this name"),
        ("read x y.missing", ConfigError, "y.missing: no such stage or file"),
    ],
)
def test_errors(words, error, text):
    with pytest.raises(error, match=text):
        parse(split(words))


def test_help_and_version():
    assert parse(["-h"]).help == ""
    assert parse(["help"]).help == ""
    assert parse(["help", "grep"]).help == "grep"
    assert parse(["read", "-h"]).help == "read"
    assert parse(["read", "x", "--", "grep", "--help"]).help == "grep"
    assert parse(["head", "-n", "3"]).help is None
    assert parse(["version"]).options.version
    assert parse(["-v"]).options.version


@pytest.mark.parametrize(
    ("word", "is_one"),
    [
        ("192.0.2.1", True),
        ("192.0.2.1:179", True),
        ("[2001:db8::1]:179", True),
        ("[2001:db8::1]", True),
        ("2001:db8::1", True),
        ("localhost", True),
        ("localhost:1790", True),
        ("192.0.2", False),
        ("192.0.2.256", False),
        ("example.net", False),
        ("a.mrt", False),
        ("read", False),
        ("::g", False),
    ],
)
def test_addresses(word, is_one):
    assert is_address(word) is is_one


def test_options_from_the_environment():
    environment = {
        "BGPIPE_LOG": "debug",
        "BGPIPE_EVENTS": "all",
        "BGPIPE_STDOUT": "1",
        "BGPIPE_READ_FORMAT": "mrt",
        "BGPIPE_READ_NO_TIME": "true",
        "BGPIPE_VERSION": "9",
        "BGPIPE_ACCEL": "0",
    }
    line = parse(["--log", "warn", "read", "x", "--", "head"], environment)
    assert show(line) == "log=warn events=('all',) stdout=True | 1 read format=mrt no-time=True x | 2 head"


def test_a_wrong_value_in_the_environment_names_its_variable():
    with pytest.raises(UsageError, match="head: BGPIPE_HEAD_COUNT: invalid value 'many': a whole number is expected"):
        parse(["head"], {"BGPIPE_HEAD_COUNT": "many"})


# From the command line to a pipeline


def built(words: str) -> list[str]:
    pipeline = build(parse(split(words)), StderrLog())
    return [f"{stage} {stage.directions}" for stage in pipeline.stages]


@pytest.mark.parametrize(
    ("words", "stages"),
    [
        ("out.json", ["[1] read L", "stdout RL"]),
        ("-o out.json", ["[1] read L", "stdout RL"]),
        ("read out.json -- head", ["[1] read R", "[2] head R", "stdout RL"]),
        ("head", ["[1] head L", "stdout RL"]),
        ("stdin", ["[1] stdin L", "stdout RL"]),
        ("stdout", ["[1] stdout L"]),
        ("read out.json -- exec cat", ["[1] read R", "[2] exec L", "stdout RL"]),
        ("read out.json -- exec --write cat", ["[1] read R", "[2] exec R"]),
        ("connect 192.0.2.1 -- grep update -- connect 192.0.2.2", ["[1] connect R", "[2] grep R", "[3] connect L"]),
        ("-io head", ["stdin RL", "[1] head RL", "stdout RL"]),
        ("-I head -- head", ["stdin RL", "[1] head RL", "[2] head RL", "stdout RL"]),
        ("-O read out.json -- write -", ["[1] read R", "[2] write R", "stdout RL"]),
    ],
)
def test_hidden_stages_and_directions(words, stages):
    assert built(words) == stages


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("-o stdout", "--stdout and a stage stdout exclude each other"),
        ("-i stdin", "--stdin and a stage stdin exclude each other"),
        ("head -n 0", "head: --count must be more than 0, not 0"),
        ("grep 'prefix ~~ x'", "grep: filter 'prefix ~~ x': parse error"),
        ("grep --keep ipv6", "grep: --keep needs --event-match or --event-fail"),
        ("head --if 'no_such == 1'", "head: filter 'no_such == 1': parse error"),
        ("read -N nowhere out.json -- head", "read: .*invalid value 'nowhere' for the --new option"),
        ("read --format xml out.json", "read: unknown format 'xml'"),
        ("read --type UPDAET out.json", "read: unknown message type 'UPDAET'"),
        ("write --format xml x", "write: unknown format 'xml'"),
        ("write x.pdf", "write: can't tell the format from the name x.pdf"),
        ("read out.json head -S haed", "head: no stage is called 'haed'"),
        ("--caps nonsense out.json", "--caps: "),
        ("--caps @missing out.json", "--caps: missing: No such file"),
    ],
)
def test_what_makes_no_pipeline(words, text):
    with pytest.raises(ConfigError, match=text):
        built(words)


def test_context_from_options():
    def context(words: str):
        return build(parse(split(words)), StderrLog()).context

    assert context("out.json").as4
    assert not context("-2 out.json").as4
    assert context("-g out.json").guess_as
    with_paths = context('--caps {"ADDPATH":["IPV4/UNICAST/BIDIR"]} out.json')
    assert [(family.afi, family.safi) for family in with_paths.add_path] == [(1, 1)]
