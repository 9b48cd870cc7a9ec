"""The API from the shell: peers and lists are changed, and many peers come and go at once."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import tomllib
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import IO

import pytest
from bgplite import BgpLite, bgplite, command
from listserver import serving
from peers import wait_until

from bgpipe.pipeline.errors import StageError
from bgpipe.routeserver import cli, extra
from bgpipe.routeserver.shell import commands, original, transfer
from fork_server import Process

CONFIG = """\
PrefixSources:
  - {Name: cloud, Path: cloud.txt}
  - {Name: "odd name/with ?", Path: odd.txt}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shell")
    (folder / "cloud.txt").write_text("1.0.0.0/24\n1.1.1.0/24\n2606:4700::/32\n")
    (folder / "odd.txt").write_text("9.9.9.0/24\n")
    with bgplite(folder, CONFIG) as running:
        wait_until("the lists are there", lambda: running.call("GET", "/readyz")[0] == 200)
        yield running


@pytest.fixture
def say(server, capfd):
    """Runs a command, and gives what it has printed."""

    def run(*words: str) -> str:
        environment = {"BGPLITE_API": f"http://{server.address[0]}:{server.api_port}"}
        assert commands.run(words, environment) == 0
        return capfd.readouterr().out

    return run


@pytest.mark.parametrize(
    "words", [[], ["check"], ["x.yml"], ["tokens", "add", "x", "--role", "admin", "--database", "x"]]
)
def test_without_the_extra_one_line_says_so(monkeypatch, capsys, words):
    for module in ("yaml", "alembic"):
        monkeypatch.setitem(sys.modules, module, None)
    assert cli.main(words) == 1
    said = "bgplite: the server needs yaml, alembic: pip install 'bgpipe[server]'\n"
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["none.yml"], 1, "none.yml: there is no such file; a configuration begins with Bgp:"),
        (["check", "none.yml"], 1, "none.yml: there is no such file; a configuration begins with Bgp:"),
        (["peer"], 1, "peer: there is no such file, and no such command; did you mean bgplite peers?"),
        (["peers", "ad"], 2, "there is no bgplite peers ad; did you mean peers add?"),
        (["groups", "x"], 2, "there is no bgplite groups x; there are show, add, change, delete"),
        (["--json", "peers", "ad"], 2, "there is no bgplite peers ad; did you mean peers add?"),
        (["--api", "http://127.0.0.1:9", "peer"], 2, "--api is an option of commands, and there is none; did you mean"),
        (["--json"], 2, "--json is an option of commands, and there is none; there are peers, groups,"),
        (["-l", "debug", "check", "none.yml"], 1, "none.yml: there is no such file"),
    ],
)
def test_words_that_are_none(monkeypatch, capsys, tmp_path, words, code, said):
    monkeypatch.chdir(tmp_path)
    try:
        found = cli.main(words)
    except SystemExit as error:
        found = error.code
    out, err = capsys.readouterr()
    assert (found, out, said in err) == (code, "", True), err


def test_the_extra_is_what_is_installed():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[\[<>=;]", each)[0].lower() for each in project["optional-dependencies"]["server"]}
    assert {"pyyaml" if each == "yaml" else each for each in extra.MODULES} == names


def test_options_before_between_and_behind_the_words_of_a_command(server):
    place = f"http://{server.address[0]}:{server.api_port}"
    shown = []
    for words in (
        ["--api", place, "--json", "sources", "show", "cloud"],
        [f"--api={place}", "sources", "--json", "show", "cloud"],
        ["sources", "show", "cloud", "--json", "--api", place],
    ):
        done = command(*words, BGPLITE_API="http://127.0.0.1:9")
        assert (done.returncode, done.stderr) == (0, "")
        shown.append(json.loads(done.stdout))
    assert shown[0] == shown[1] == shown[2]


@pytest.mark.parametrize(
    "words",
    [
        ["peers"],
        ["peers", "--json"],
        ["routes", "127.99.7.1", "--format", "csv"],
        ["setup", "bird", "127.99.7.1"],
        ["export"],
        ["events", "--after", "0", "--count", "1"],
        ["check", "appsettings.yml"],
        ["-v"],
        ["peers", "-h"],
    ],
    ids=" ".join,
)
def test_a_standard_output_that_takes_nothing(server, say, words):
    if words[0] != "check":
        say("peers", "add", "127.99.7.1", "65071")
    with open("/dev/full", "wb") as full:
        code, err = printed(server, full, *words)
    assert (code, err.count(b"\n")) == (1, 1), err
    assert err.startswith(b"bgplite: standard output: no space left on the device")
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as pipe:
        assert printed(server, pipe, *words) == (0, b"")


def printed(server: BgpLite, out: IO[bytes], *words: str) -> tuple[int, bytes]:
    """The exit code of a command that prints to a file, and what it says of that."""
    environment = os.environ | {"BGPLITE_API": f"http://{server.address[0]}:{server.api_port}"}
    streams = {"stdout": out, "stderr": subprocess.PIPE}
    with Process(words, command="bgplite", cwd=server.folder, env=environment, **streams) as process:
        said: bytes = process.stderr.read()
        return process.wait(20), said


def test_a_standard_output_that_is_closed(server):
    program = f"import sys; sys.path[:] = {sys.path}; from bgpipe.routeserver.cli import main; sys.exit(main())"
    for words in (["peers"], ["events", "--after", "0", "--count", "1"]):
        shell = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", program, *words]
        environment = os.environ | {"BGPLITE_API": f"http://{server.address[0]}:{server.api_port}"}
        done = subprocess.run(shell, check=False, env=environment, stderr=subprocess.PIPE, timeout=60)
        assert (done.returncode, done.stderr) == (1, b"bgplite: standard output: is closed\n")


def test_peers_are_added_changed_and_deleted(server, say):
    options = ["--lists", "cloud", "--exclude", "1.1.1.0/24", "--max-routes", "10", "--description"]
    prefixes = "203.0.113.7/24 2001:db8::/48"
    shown = say("peers", "add", "127.92.1.1", "AS65001", *options, "Shop 1", "--prefixes", prefixes)
    assert shown.splitlines()[1].split() == ["127.92.1.1", "65001", "inactive", "-", "cloud", "Shop", "1"]
    made = next(each for each in server.get("/api/peers") if each["ip"] == "127.92.1.1")
    assert made["customPrefixes"] == ["203.0.113.0/24", "2001:db8::/48"]
    assert made["maxRoutes"] == 10
    say("peers", "change", "127.92.1.1", "--exclude", "", "--description", "Shop 2")
    changed = server.get(f"/api/peers/{made['id']}")
    assert (changed["exclude"], changed["description"], changed["lists"]) == ([], "Shop 2", ["cloud"])
    assert say("peers", "diff", "127.92.1.1", "--exclude", "1.1.1.0/24").splitlines() == ["   PREFIX", "-  1.1.1.0/24"]
    assert "Shop 2" in say("peers", "--search", "shop 2")
    assert "Shop 2" not in say("peers", "--status", "active")
    assert "barred" in say("peers", "bar", "127.92.1.1")
    assert "inactive" in say("peers", "approve", "127.92.1.1")
    with pytest.raises(StageError, match="the peer has no session"):
        say("peers", "reset", "127.92.1.1")
    say("peers", "delete", "127.92.1.1")
    with pytest.raises(StageError, match=r"there is no peer 127\.92\.1\.1"):
        say("peers", "delete", "127.92.1.1")


def test_a_key_is_read_from_where_it_stands(server, say, tmp_path):
    (tmp_path / "key").write_text("sesame\n")
    say("peers", "add", "127.92.1.2", "65002", "--md5", str(tmp_path / "key"))
    assert next(each for each in server.get("/api/peers") if each["ip"] == "127.92.1.2")["tcpMd5"]


def test_what_a_subscription_would_announce(say):
    shown = say("try", "--lists", "cloud", "--exclude", "1.1.1.0/24", "--max-routes", "20000", "--show", "5")
    fields = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert (fields["routes"], fields["exact"]) == ("2", "2")
    assert "1.0.0.0/24" in fields["prefixes"]


def test_lists_from_the_shell(server, say):
    assert say("sources", "versions", "odd name/with ?").splitlines()[1].split()[:2] == ["1", "current"]
    server.write("odd.txt", ["9.9.9.0/24", "8.8.8.0/24"])
    wait_until(
        "it has changed", lambda: "2" in say("sources", "versions", "odd name/with ?").splitlines()[1].split()[0]
    )
    assert say("sources", "diff", "odd name/with ?").splitlines() == ["   PREFIX", "+  8.8.8.0/24"]
    assert "-  8.8.8.0/24" in say("sources", "diff", "odd name/with ?", "2", "1")
    assert say("sources", "rollback", "odd name/with ?", "1").splitlines()[1].split()[-5] == "1"
    assert json.loads(say("sources", "refresh", "cloud", "--json")) == {"name": "cloud", "refreshing": True}
    with pytest.raises(StageError, match="no version of this list waits"):
        say("sources", "accept", "cloud")


def test_lists_of_the_database_from_the_shell(server, say):
    made = say("sources", "add", "both", "--sources", "cloud,odd name/with ?", "--community", "65000:9")
    assert made.splitlines()[1].split()[:2] == ["both", "set"]
    wait_until("it is read", lambda: next(e for e in server.get("/api/sources") if e["name"] == "both")["version"])
    say("sources", "change", "both", "--without", "cloud", "--description", "odd")
    shown = next(each for each in server.get("/api/sources") if each["name"] == "both")
    assert (shown["description"], shown["community"]) == ("odd", "65000:9")
    say("peers", "add", "127.92.1.9", "65009", "--lists", "both")
    with pytest.raises(StageError, match="in use by"):
        say("sources", "delete", "both")
    say("peers", "delete", "127.92.1.9")
    say("sources", "delete", "both")
    assert "both" not in [each["name"] for each in server.get("/api/sources")]
    with pytest.raises(StageError, match="not on the Internet"):
        say("sources", "try", "--url", "http://127.0.0.1/")
    with pytest.raises(StageError, match="kind: one of http"):
        say("sources", "try", "--kind", "file")


def test_the_configuration_of_a_router(say):
    say("peers", "add", "127.92.1.3", "65003")
    assert "65003" in say("setup", "bird", "127.92.1.3", "--gateway", "192.0.2.9")
    with pytest.raises(StageError, match="no text for 'nosuch'"):
        say("setup", "nosuch", "127.92.1.3")


def test_routes_in_other_formats(say):
    say("peers", "add", "127.92.1.4", "65004", "--lists", "cloud")
    rows = list(csv.DictReader(io.StringIO(say("routes", "127.92.1.4", "--format", "csv"))))
    assert [row["prefix"] for row in rows] == ["1.0.0.0/24", "1.1.1.0/24", "2606:4700::/32"]
    assert say("routes", "127.92.1.4", "--format", "rsc").startswith("/ip firewall")


CSV = """\
ip,asn,description,lists,customPrefixes,exclude,maxPrefix
127.92.2.1,65021,"Shop, first",cloud,203.0.113.0/24 198.51.100.0/24,,5
127.92.2.2,65022,,"cloud, odd name/with ?",,,
"""


def what(shown: str) -> list[list[str]]:
    return [line.split()[:3] for line in shown.splitlines()[1:]]


def test_all_that_is_said_of_a_peer_survives_a_file(server, say, tmp_path):
    entry = {"prefix": "192.0.2.1/32", "communities": ["65535:666"], "expires": "2036-01-01T00:00:00Z"}
    body = {"ip": "127.92.9.1", "asn": 65031, "customPrefixes": [entry, "203.0.113.0/24"], "union": False, "med": 0}
    body |= {"exclude": ["10.0.0.0/8"], "addCommunities": ["65000:9"], "maxRoutesAction": "widen", "maxForeign": 7}
    status, made = server.call("POST", "/api/peers", body | {"minLengthIpv4": 9, "maxLengthIpv6": 48, "prepends": 2})
    assert status == 200, made
    for form in ("csv", "json"):
        path = tmp_path / f"peers.{form}"
        path.write_text(say("export", "--format", form))
        assert ["127.92.9.1", "65031", "same"] in what(say("import", str(path), "--dry-run"))
        say("peers", "delete", "127.92.9.1")
        assert ["127.92.9.1", "65031", "add"] in what(say("import", str(path)))
        again = next(each for each in server.get("/api/peers") if each["ip"] == "127.92.9.1")
        kept = made.keys() - {"id", "createdAt"}
        assert {name: again[name] for name in kept} == {name: made[name] for name in kept}
    words = "192.0.2.1/32 community=65535:666 expires=2036-01-01T00:00:00Z 203.0.113.0/24"
    say("peers", "change", "127.92.9.1", "--prefixes", words)
    assert server.get(f"/api/peers/{again['id']}")["customPrefixes"] == made["customPrefixes"]


def test_all_faults_of_a_file_are_told_at_once(server, say, tmp_path):
    path = tmp_path / "peers.csv"
    path.write_text("ip,asn,union\n127.92.3.5,x,\n127.92.3.6,65036,maybe\n127.92.3.7,65037,,more\n")
    with pytest.raises(StageError) as raised:
        say("import", str(path))
    assert str(raised.value).replace(str(path), "peers.csv").splitlines() == [
        "peers.csv:2: asn: 'x': numbers are expected",
        "peers.csv:3: union: 'maybe': yes or no is expected",
        "peers.csv:4: more cells than the first line has columns",
        "nothing was changed",
    ]


def test_what_is_shown_for_people(server, say):
    say("peers", "add", "127.92.3.8", "65038", "--lists", "cloud")
    assert "none of the peer's lists has it" in say("why", "127.92.3.8", "77.7.7.7")
    tried = dict(line.split(maxsplit=1) for line in say("try", "--lists", "cloud").splitlines())
    assert (tried["lists"], tried["byDefault"]) == ("cloud=3", "no")
    shown = dict(line.split(maxsplit=1) for line in say("sources", "show", "cloud").splitlines())
    assert (shown["path"], shown["prefixes"]) == ("cloud.txt", "3")
    assert "settings" not in shown
    for words, said in (
        (("peers", "change", "127.92.3.8"), "say what is to be changed"),
        (("peers", "add", "127.92.3.9", "70000000000"), "70000000000: an AS number from 1 to 4294967294 is expected"),
        (("sources", "refresh", "nosuch"), "there is no list 'nosuch'"),
    ):
        with pytest.raises(StageError, match=said):
            say(*words)


def test_a_group_says_what_a_router_has_to_be_told(server, say):
    server.call("POST", "/api/groups", {"name": "as64999", "localAsn": 64999})
    say("peers", "add", "127.92.3.10", "65040", "--group", "as64999")
    text = say("setup", "bird", "127.92.3.10")
    assert f"neighbor {server.address[0]} port {server.address[1]} as 64999" in text
    say("peers", "add", "127.93.0.0/16", "any")
    with pytest.raises(StageError, match="is a network: each router in it has a text of its own"):
        say("setup", "bird", "127.93.0.0/16")
    say("peers", "delete", "127.93.0.0/16")


def test_peers_from_csv_and_back(server, say, tmp_path):
    path = tmp_path / "peers.csv"
    path.write_text("\ufeff" + CSV)
    added = [["127.92.2.1", "65021", "add"], ["127.92.2.2", "65022", "add"]]
    assert what(say("import", str(path), "--dry-run")) == added
    assert not [each for each in server.get("/api/peers") if each["ip"].startswith("127.92.2.")]
    assert what(say("import", str(path))) == added
    made = next(each for each in server.get("/api/peers") if each["ip"] == "127.92.2.1")
    assert (made["description"], made["lists"], made["maxPrefix"]) == ("Shop, first", ["cloud"], 5)
    assert made["customPrefixes"] == ["203.0.113.0/24", "198.51.100.0/24"]
    made = next(each for each in server.get("/api/peers") if each["ip"] == "127.92.2.2")
    assert made["lists"] == ["cloud", "odd name/with ?"]
    assert {row[2] for row in what(say("import", str(path)))} == {"same"}
    path.write_text(CSV.replace("Shop, first", "Shop"))
    assert [row[2] for row in what(say("import", str(path)))] == ["replace", "same"]
    for name, words in (("out.csv", ()), ("out.json", ("--format", "json"))):
        (tmp_path / name).write_text(say("export", *words))
        assert {row[2] for row in what(say("import", str(tmp_path / name), "--dry-run"))} == {"same"}


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("a.csv", CSV + "127.92.2.3,x,,,,,\n", r"a\.csv:4: asn: 'x': numbers are expected"),
        (
            "a.csv",
            CSV + "127.92.2.3,0,,,,,\n127.92.2.4,65024,,nosuch,,,\n",
            r"a\.csv:4: .*nobody's(.|\n)*a\.csv:5: unknown",
        ),
        ("a.csv", CSV + "1,2,3,4,5,6,7,8\n", r"a\.csv:4: more cells"),
        ("a.csv", CSV + "127.92.2.3,\n", r"peer|asn|AS"),
        ("a.csv", "ip,description\n", r"a\.csv:1: the first line has no column asn"),
        ("a.csv", "", r"no column asn, ip"),
        ("a.json", "[1]", "a list of objects"),
        ("a.json", "[{]", "no JSON"),
        ("a.csv", b"ip,asn\n\xff", "UTF-8"),
        ("a.db", b"SQLite format 3\0 torn", "no database of BGPLite"),
        (
            "s.json",
            '[{"ip": "127.92.2.9", "asn": 65029, "sources": "x"}]',
            "s.json: peer 1: sources: a list of objects",
        ),
        (
            "s.json",
            '[{"ip": "127.92.2.9", "asn": 65029, "sources": [{"name": "x"}]}]',
            "peer 1: sources: each has a name",
        ),
    ],
)
def test_an_import_with_a_fault_changes_nothing(server, say, tmp_path, name, text, error):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = server.get("/api/peers")
    if "127.92.2.3,\n" in str(text):  # no AS number: it is told, and left out
        assert "left out" in say("import", str(path), "--dry-run")
        return
    with pytest.raises(StageError, match=error):
        say("import", str(path))
    assert server.get("/api/peers") == before


ORIGINAL = """
CREATE TABLE Peers (Id TEXT PRIMARY KEY, Ip TEXT NOT NULL, Asn INTEGER, Description TEXT, Status TEXT, CreatedAt TEXT,
  LastSessionAt TEXT, MaxPrefix INTEGER, Md5Password TEXT);
CREATE TABLE PeerSubscriptions (PeerId TEXT, AsnListName TEXT, PRIMARY KEY (PeerId, AsnListName));
CREATE TABLE PeerCustomPrefixes (PeerId TEXT, Prefix TEXT, PrefixLength INTEGER,
  PRIMARY KEY (PeerId, Prefix, PrefixLength));
CREATE TABLE PeerCustomAsns (PeerId TEXT, Asn INTEGER, PRIMARY KEY (PeerId, Asn));
CREATE TABLE PeerCustomSources (Id TEXT PRIMARY KEY, PeerId TEXT, Name TEXT, Url TEXT, Community TEXT, Active INTEGER);
CREATE TABLE PeerCommunity (PeerId TEXT, Community TEXT, PRIMARY KEY (PeerId, Community));
INSERT INTO Peers VALUES ('a', '127.92.3.1', 65031, 'first', 'active', '', NULL, 7, 'the key'),
  ('b', '127.92.3.2', NULL, NULL, 'inactive', '', NULL, NULL, NULL);
INSERT INTO PeerSubscriptions VALUES ('a', 'cloud');
INSERT INTO PeerCustomPrefixes VALUES ('a', '203.0.113.0', 24);
INSERT INTO PeerCustomSources VALUES ('s', 'a', 'mine', 'https://list.example/x', '65000:7', 1);
INSERT INTO PeerCommunity VALUES ('a', '65000:300');
"""


def test_peers_from_the_database_of_the_original(server: BgpLite, say, tmp_path):
    path = tmp_path / "bgplite.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(ORIGINAL)
    assert what(say("import", str(path))) == [["127.92.3.1", "65031", "add"], ["127.92.3.2", "-", "left"]]
    made = next(each for each in server.get("/api/peers") if each["ip"] == "127.92.3.1")
    assert (made["description"], made["lists"], made["maxPrefix"], made["tcpMd5"]) == ("first", ["cloud"], 7, True)
    assert (made["customPrefixes"], made["communities"]) == (["203.0.113.0/24"], ["65000:300"])
    sources = server.get(f"/api/peers/{made['id']}/sources")
    assert [(each["name"], each["active"], each["community"]) for each in sources] == [("mine", True, "65000:7")]
    say("import", str(path))
    assert len(server.get(f"/api/peers/{made['id']}/sources")) == 1


def test_an_older_database_of_the_original(tmp_path):
    path = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE Peers (Id TEXT PRIMARY KEY, Ip TEXT, Asn INTEGER);"
            "CREATE TABLE PeerSubscription (PeerId TEXT, AsnListName TEXT);"
            "INSERT INTO Peers VALUES ('a', '192.0.2.1', 65001); INSERT INTO PeerSubscription VALUES ('a', 'ru');"
        )
    found = original.read(path)
    assert [(each["ip"], each["asn"], each["lists"], each["sources"]) for each in found] == [
        ("192.0.2.1", 65001, ["ru"], [])
    ]
    assert transfer.read(path)[0][1] == found[0]


class Nonsense(BaseHTTPRequestHandler):
    """A server that is something else: it answers anything with a page, events that are none of ours, or other JSON."""

    def do_GET(self) -> None:
        kind, _, said = NONSENSE[self.path.split("/")[1]].partition(" ")
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(said.encode())

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


NONSENSE = {
    "api": "text/html <html>welcome</html>",
    "odd": "text/event-stream data: [1, 2]\n\n",
    "list": "application/json [1, 2]",
    "object": 'application/json {"a": 1}',
    "null": "application/json null",
}


@pytest.mark.parametrize("path", ["", "/odd", "/list", "/object", "/null"])
@pytest.mark.parametrize(
    "words",
    [
        ["peers"],
        ["sessions"],
        ["groups", "show", "x"],
        ["peers", "add", "192.0.2.1", "1"],
        ["events"],
        ["setup", "bird", "x"],
    ],
    ids=" ".join,
)
def test_a_server_that_is_something_else(words, path):
    with serving(Nonsense) as url:
        done = command(*words, BGPLITE_API=f"{url}{path}")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
    assert (
        f"{url}{path}: this is not the API of bgplite, or not of this version; --api says where that is" in done.stderr
    )


def test_an_answer_of_something_else(monkeypatch):
    monkeypatch.setattr(commands.Client, "text", lambda *words, **query: b"<html>")
    with pytest.raises(StageError, match="this is not the API of bgplite"):
        commands.run(["peers"], {})
