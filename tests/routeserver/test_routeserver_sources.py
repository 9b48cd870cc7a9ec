"""The kinds of sources: sets, domain names, IRRs, the files of the registries, and RIPEstat when it fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from loopserver import serving

from bgpipe.net.tcp import parse_networks
from bgpipe.routes.prefixes import PrefixSet
from bgpipe.routeserver.config import Irr, PrefixSource, RipeStat
from bgpipe.routeserver.sources import KINDS, make_source
from bgpipe.routeserver.sources.base import Fetched, SourceError
from bgpipe.routeserver.sources.content import ContentError, read
from bgpipe.routeserver.sources.context import Context
from bgpipe.routeserver.sources.delegated import by_country
from bgpipe.routeserver.sources.domain import KEPT, DomainSource
from bgpipe.routeserver.sources.fetch import Fetcher
from bgpipe.routeserver.sources.irr import MAX_SETS, members
from bgpipe.routeserver.sources.ripestat import RipeStatClient

LOOPBACK = parse_networks(["127.0.0.0/8"])


def prefixes(fetched: Fetched | None) -> list[str]:
    assert fetched is not None
    found = fetched.prefixes if fetched.prefixes is not None else read(fetched.octets, fetched.form).prefixes
    return list(found)


class Answers:
    """A server on loopback. say: what it answers to a request, b"" for nothing. asked: the requests."""

    def __init__(self, say: Callable[[str], bytes]) -> None:
        self.say = say
        self.asked: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode().strip()
        if line.startswith("GET "):
            while (await reader.readline()).strip():
                pass
            line = line.split()[1]
        self.asked.append(line)
        writer.write(self.say(line))


@asynccontextmanager
async def answering(say: Callable[[str], bytes]) -> AsyncIterator[Answers]:
    answers = Answers(say)
    async with serving(answers.serve) as answers.port:
        yield answers


def http(body: bytes | str, status: str = "200 OK") -> bytes:
    octets = body if isinstance(body, bytes) else body.encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(octets)}\r\nConnection: close\r\n\r\n".encode() + octets


@asynccontextmanager
async def context(folder: Path, ripe_stat: RipeStat | None = None, irr: Irr | None = None) -> AsyncIterator[Context]:
    fetcher = Fetcher(LOOPBACK)
    try:
        settings = ripe_stat or RipeStat()
        yield Context(folder, fetcher, RipeStatClient(settings, fetcher), irr or Irr(), folder / "state")
    finally:
        await fetcher.close()


# domain names


class Names:
    """A resolver. addresses: of each name; an OSError where nobody can say."""

    def __init__(self, addresses: Mapping[str, list[str] | OSError]) -> None:
        self.addresses = dict(addresses)
        self.now = 1e9

    async def resolve(self, domain: str) -> list[str]:
        found = self.addresses[domain]
        if isinstance(found, OSError):
            raise found
        return found

    def source(self, folder: Path, *domains: str) -> DomainSource:
        return DomainSource(domains, folder / "state/addresses.json", 1.0, self.resolve, lambda: self.now)


async def test_addresses_of_a_name_stay_for_a_week_after_they_were_last_seen(tmp_path):
    names = Names({"a.example": ["9.9.9.1", "2606:4700::1"]})
    source = names.source(tmp_path, "a.example")
    assert prefixes(await source.fetch("")) == ["9.9.9.1/32", "2606:4700::1/128"]
    names.addresses["a.example"] = ["9.9.9.2"]
    names.now += KEPT - 1
    assert prefixes(await source.fetch("")) == ["9.9.9.1/32", "9.9.9.2/32", "2606:4700::1/128"]
    names.now += 2
    again = names.source(tmp_path, "a.example")  # after a restart
    assert prefixes(await again.fetch("")) == ["9.9.9.2/32"]


async def test_a_name_that_nobody_can_resolve_keeps_its_addresses(tmp_path):
    names = Names({"a.example": ["9.9.9.1"], "b.example": ["9.9.9.2"]})
    source = names.source(tmp_path, "A.example.", "b.example")
    await source.fetch("")
    names.addresses["a.example"] = OSError("no server")
    names.now += 3 * KEPT
    fetched = await source.fetch("")
    assert prefixes(fetched) == ["9.9.9.1/32", "9.9.9.2/32"]
    assert fetched is not None
    assert fetched.trouble == "can't be resolved: a.example"
    names.addresses["b.example"] = OSError("no server")
    with pytest.raises(SourceError, match="none of 2 names can be resolved"):
        await source.fetch("")


async def test_a_name_that_is_no_more_asked_for_loses_its_addresses(tmp_path):
    names = Names({"a.example": ["9.9.9.1"], "b.example": ["9.9.9.2"]})
    await names.source(tmp_path, "a.example", "b.example").fetch("")
    assert prefixes(await names.source(tmp_path, "b.example").fetch("")) == ["9.9.9.2/32"]


async def test_a_resolver_that_does_not_answer_is_not_waited_for(tmp_path):
    async def never(domain: str) -> list[str]:
        if domain == "b.example":
            return ["9.9.9.2"]
        await asyncio.Event().wait()
        return []

    source = DomainSource(["a.example", "b.example"], tmp_path / "x.json", 0.01, never)
    fetched = await source.fetch("")
    assert prefixes(fetched) == ["9.9.9.2/32"]
    assert fetched is not None
    assert fetched.trouble == "can't be resolved: a.example"


async def test_torn_memory_of_names_is_no_fault(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/addresses.json").write_bytes(b'{"a.example": {')
    names = Names({"a.example": ["9.9.9.1", "::ffff:9.9.9.9"]})
    assert prefixes(await names.source(tmp_path, "a.example").fetch("")) == ["9.9.9.1/32"]


async def test_the_resolver_of_the_system_is_asked(tmp_path, monkeypatch):
    import socket

    def getaddrinfo(host: str, *about: object, **more: object) -> list[object]:
        if host != "a.example.":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET6, 1, 6, "", ("2606:4700::1%2", 0, 0, 0)), (socket.AF_INET, 1, 6, "", ("9.9.9.1", 0))]

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    async with context(tmp_path) as given:
        source = make_source("domain", PrefixSource(name="x", kind="domain", domains=("a.example", "b.example")), given)
        assert prefixes(await source.fetch("")) == ["9.9.9.1/32", "2606:4700::1/128"]
        none = make_source("domain", PrefixSource(name="x", kind="domain", domain="b.example"), given)
        with pytest.raises(SourceError, match="have no addresses"):
            await none.fetch("")


# RIPEstat and the registries


def originated(ipv4: list[str], ipv6: list[str]) -> str:
    return json.dumps({"data": {"prefixes": {"v4": {"originating": ipv4}, "v6": {"originating": ipv6}}}})


async def test_ripestat_is_asked_again_as_often_as_the_configuration_says(tmp_path):
    failing: list[bytes] = []

    def say(request: str) -> bytes:
        assert "resource=AS64500&" in request
        assert "sourceapp=bgplite" in request
        return failing.pop(0) if failing else http(originated(["9.9.9.0/24"], ["2606:4700::/32"]))

    settings = PrefixSource(name="a", kind="asn", asn=64500)
    async with answering(say) as server:
        for attempts, worked in ((3, True), (2, False)):
            ripe = RipeStat(url=f"http://127.0.0.1:{server.port}", retry_attempts=attempts, retry_delay_seconds=0)
            failing[:] = [http("", "503 Busy"), http("", "429 Slow down"), http("{}")[:-1]]
            server.asked.clear()
            async with context(tmp_path, ripe) as given:
                source = make_source("asn", settings, given)
                if worked:
                    assert prefixes(await source.fetch("")) == ["9.9.9.0/24", "2606:4700::/32"]
                else:
                    with pytest.raises(SourceError, match="AS64500: "):
                        await source.fetch("")
                assert len(server.asked) == attempts + 1


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ((originated([], []),), []),
        (('{"data": {"prefixes": {}}}',), []),
        ((originated([], []), originated(["9.9.9.0/24"], [])), ["9.9.9.0/24"]),
        (('{"data": {"prefixes": {"v4": {}}}}',), None),
        (('{"status": "error", "data": {}}',), None),
        (("[]",), None),
        (("0",), None),
        ((originated(["9.9.9.0/24"], []), '{"data": {}}'), None),
        ((originated(["9.9.9.0/33"], []),), None),
    ],
)
async def test_only_what_says_so_is_an_as_that_originates_nothing(tmp_path, answers, found):
    said = dict(enumerate(answers, 1))
    async with answering(lambda request: http(said[int(request.partition("=AS")[2].partition("&")[0])])) as server:
        async with context(tmp_path, RipeStat(url=f"http://127.0.0.1:{server.port}")) as given:
            fetched = await make_source("asn", PrefixSource(name="a", kind="asn", asns=tuple(said)), given).fetch("")
        if found is None:
            with pytest.raises(ContentError):
                prefixes(fetched)
        else:
            assert prefixes(fetched) == found


async def test_what_can_not_get_better_is_asked_once(tmp_path):
    async with answering(lambda request: http("", "404 Not Found")) as server:
        ripe = RipeStat(url=f"http://127.0.0.1:{server.port}", retry_attempts=5, retry_delay_seconds=0)
        async with context(tmp_path, ripe) as given:
            with pytest.raises(SourceError, match="404"):
                await make_source("asn", PrefixSource(name="a", kind="asn", asn=64500), given).fetch("")
        assert len(server.asked) == 1


DELEGATED = """\
2|ripencc|20261128|4|19830705|20261127|+0100
ripencc|*|ipv4|*|3|summary
ripencc|*|asn|*|1|summary
ripencc|*|ipv6|*|1|summary
ripencc|RU|ipv4|9.0.0.0|768|20190313|allocated|x
ripencc|DE|ipv4|11.0.0.0|256|20190313|assigned|x
ripencc|RU|ipv4|12.0.0.0|256|20190313|reserved|x
ripencc|RU|asn|64500|1|20190313|allocated|x
ripencc|RU|ipv6|2606:4700::|32|20190313|allocated|x
"""


async def test_files_of_the_registries_say_what_a_country_has_when_ripestat_does_not(tmp_path):
    files = {"/a": DELEGATED, "/b": DELEGATED.replace("9.0.0.0", "13.0.0.0")}
    status = ["200 OK"]

    def say(request: str) -> bytes:
        return http(files[request], status[0]) if request in files else http("", "500 Broken")

    async with answering(say) as server:
        url = f"http://127.0.0.1:{server.port}"
        ripe = RipeStat(url=url, retry_attempts=0, delegated_files=(f"{url}/a", f"{url}/b"))
        async with context(tmp_path, ripe) as given:
            source = make_source("country", PrefixSource(name="a", kind="country", country="ru"), given)
            expected = ["9.0.0.0/23", "9.0.2.0/24", "13.0.0.0/23", "13.0.2.0/24", "2606:4700::/32"]
            assert prefixes(await source.fetch("")) == expected
            other = make_source("country", PrefixSource(name="b", kind="country", country="DE"), given)
            assert prefixes(await other.fetch("")) == ["11.0.0.0/24"]
            assert sorted(server.asked)[2:] == ["/data/country-resource-list/data.json?resource=de&v4_format=prefix"
                                                "&sourceapp=bgplite",
                                                "/data/country-resource-list/data.json?resource=ru&v4_format=prefix"
                                                "&sourceapp=bgplite"]  # fmt: skip
        status[0] = "404 Gone"
        async with context(tmp_path, ripe) as given:
            source = make_source("country", PrefixSource(name="a", kind="country", country="RU"), given)
            with pytest.raises(SourceError, match=r"RIPEstat: the server answered 500 Broken; the files of .*404"):
                await source.fetch("")


@pytest.mark.parametrize("lines", [0, 1, 3, 5, 8])
def test_a_torn_file_of_a_registry_is_refused(lines):
    with pytest.raises(ValueError, match="this is not all"):
        by_country("".join(DELEGATED.splitlines(keepends=True)[:lines]).encode())


# IRR

OBJECTS = {
    "-r -T as-set AS-ONE": "% Hello\n\nas-set: AS-ONE\nmembers: AS64500, as-two # both\n+ RIPE::AS-THREE\nsource: X\n",
    "-r -T as-set AS-TWO": "as-set: AS-TWO\r\nmembers: AS64501,\r\n         AS-ONE\r\nmnt-by: AS64999\r\n",
    "-r -s RIPE -T as-set AS-THREE": "% No entries found for the selected source(s).\n",
    "-r -K -T route,route6 -i origin AS64500": "route: 9.9.9.0/24\norigin: AS64500\n\nroute6: 2606:4700::/32\n",
    "-r -K -T route,route6 -i origin AS64501": "%% info\nroute:          9.9.8.0/24\norigin:         AS64501\n\n\n",
    "-r -K -T route,route6 -i origin AS64502": "%ERROR:101: no entries found\n",
}


def irr(port: int, **more: object) -> Irr:
    return Irr(host="127.0.0.1", port=port, **{"bgpq4": "", **more})


async def test_as_sets_are_expanded_by_whois(tmp_path):
    settings = PrefixSource(name="a", kind="asn", via="irr", as_sets=("AS-ONE",), asns=(64502,))
    async with (
        answering(lambda request: OBJECTS[request].encode()) as server,
        context(tmp_path, irr=irr(server.port)) as given,
    ):
        fetched = await make_source("asn", settings, given).fetch("")
        assert prefixes(fetched) == ["9.9.8.0/24", "9.9.9.0/24", "2606:4700::/32"]
        assert sorted(server.asked) == sorted(OBJECTS)


async def test_the_registries_that_count_are_named(tmp_path):
    async with answering(lambda request: b"route: 9.9.9.0/24\n") as server:
        async with context(tmp_path, irr=irr(server.port, sources=("RIPE", "ARIN"))) as given:
            await make_source("asn", PrefixSource(name="a", kind="asn", via="irr", asn=64500), given).fetch("")
        assert server.asked == ["-r -s RIPE,ARIN -K -T route,route6 -i origin AS64500"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda request: b"%ERROR:201: access denied for 192.0.2.1\n", "ERROR:201: access denied"),
        (lambda request: b"as-set: AS-X\n", "no AS numbers in AS-X"),
        (lambda request: f"members: {' '.join(f'AS-{n}' for n in range(MAX_SETS + 1))}\n".encode(), "more than 1000 "),
        (lambda request: f"members: {', '.join(f'AS{n}' for n in range(1, 2100))}\n".encode(), "2099 AS numbers, more"),
        (lambda request: b"x" * (17 << 20), "an answer of more than 16 MiB"),
    ],
)  # fmt: skip
async def test_answers_of_whois_that_can_not_be_used(tmp_path, answer, why):
    async with answering(answer) as server, context(tmp_path, irr=irr(server.port)) as given:
        settings = PrefixSource(name="a", kind="asn", via="irr", as_sets=("AS-X",))
        with pytest.raises(SourceError, match=why):
            await make_source("asn", settings, given).fetch("")


async def test_a_whois_server_that_is_not_there_or_silent(tmp_path):
    async with answering(lambda request: b"") as server:
        port = server.port
    settings = PrefixSource(name="a", kind="asn", via="irr", asn=64500, timeout=1)
    async with context(tmp_path, irr=irr(port)) as given:
        with pytest.raises(SourceError, match=rf"127\.0\.0\.1:{port}: "):
            await make_source("asn", settings, given).fetch("")

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port, context(tmp_path, irr=irr(port)) as given:
        with pytest.raises(SourceError, match="no answer within 1 s"):
            await make_source("asn", settings, given).fetch("")


def test_members_of_as_sets():
    assert members("as-set: AS-X\nmembers: as1,AS2:AS-Y,RIPE::AS-Z\nmp-members: AS-W\n  AS3\nremarks: AS4\n") == [
        *("AS1", "AS2:AS-Y", "RIPE::AS-Z", "AS-W", "AS3"),
    ]
    assert members("members: -s, AS, ANY, 10.0.0.0/8, AS-X;rm\n") == []


NO_ENTRIES = b"%  No entries found for the selected source(s).\n"


async def test_an_as_that_has_registered_nothing_is_an_empty_list(tmp_path):
    settings = PrefixSource(name="a", kind="asn", via="irr", asns=(64500, 64501))
    async with answering(lambda request: NO_ENTRIES) as server, context(tmp_path, irr=irr(server.port)) as given:
        assert prefixes(await make_source("asn", settings, given).fetch("")) == []


@pytest.mark.parametrize("answer", [b"", b"\n\n", b"% Hello\n"])
async def test_an_answer_without_a_word_is_no_empty_list(tmp_path, answer):
    settings = PrefixSource(name="a", kind="asn", via="irr", asns=(64500, 64501))
    say = {"AS64500": b"route: 9.9.9.0/24\n", "AS64501": answer}
    async with (
        answering(lambda request: say[request.split()[-1]]) as server,
        context(tmp_path, irr=irr(server.port)) as given,
    ):
        with pytest.raises(SourceError, match="neither objects nor that there are none"):
            await make_source("asn", settings, given).fetch("")


BGPQ4 = """\
#!/bin/sh
echo "$@" >> {folder}/asked
[ -e {folder}/denied ] && printf 'ERROR:Error expanding !gas174\\n: F access denied\\n' >&2
echo "ERROR:Invalid AS number: 64512" >&2
[ -e {folder}/broken ] && echo "ERROR: no such server" >&2 && exit 1
case "$*" in
  *"-4 -p"*) echo '{{ "x": [ {{ "prefix": "9.9.8.0\\/24", "exact": true }} ] }}' ;;
  *-4*) echo '{{ "x": [ {{ "prefix": "9.9.9.0\\/24", "exact": true }} ] }}' ;;
  *) echo '{{ "x": [ ] }}' ;;
esac
"""


async def test_bgpq4_is_used_where_it_is(tmp_path):
    program = tmp_path / "bgpq4"
    program.write_text(BGPQ4.format(folder=tmp_path))
    program.chmod(0o755)
    settings = PrefixSource(name="a", kind="asn", via="irr", as_sets=("RIPE::AS-X",), asn=174)
    async with context(tmp_path, irr=Irr(host="irr.example", bgpq4=str(program), sources=("RIPE", "ARIN"))) as given:
        source = make_source("asn", settings, given)
        assert prefixes(await source.fetch("")) == ["9.9.9.0/24"]
        assert (tmp_path / "asked").read_text().splitlines() == [
            "-h irr.example:43 -j -l x -S RIPE,ARIN -4 AS174 RIPE::AS-X",
            "-h irr.example:43 -j -l x -S RIPE,ARIN -6 AS174 RIPE::AS-X",
        ]
        (tmp_path / "broken").touch()
        with pytest.raises(SourceError, match="ERROR: no such server"):
            await source.fetch("")
        (tmp_path / "broken").unlink()
        (tmp_path / "denied").touch()
        with pytest.raises(SourceError, match="Error expanding !gas174: F access denied"):
            await source.fetch("")


async def test_bgpq4_is_told_that_a_reserved_as_number_is_meant(tmp_path):
    program = tmp_path / "bgpq4"
    program.write_text(BGPQ4.format(folder=tmp_path))
    program.chmod(0o755)
    async with context(tmp_path, irr=Irr(host="irr.example", bgpq4=str(program))) as given:
        both = PrefixSource(name="a", kind="asn", via="irr", as_sets=("AS-X",), asns=(64512, 4200000001))
        assert prefixes(await make_source("asn", both, given).fetch("")) == ["9.9.8.0/24", "9.9.9.0/24"]
        one = PrefixSource(name="a", kind="asn", via="irr", asn=64512)
        assert prefixes(await make_source("asn", one, given).fetch("")) == ["9.9.8.0/24"]
    asked = [line.partition("-l x ")[2] for line in (tmp_path / "asked").read_text().splitlines()]
    assert asked == [
        *("-4 AS-X", "-4 -p AS64512 AS4200000001", "-6 AS-X", "-6 -p AS64512 AS4200000001"),
        *("-4 -p AS64512", "-6 -p AS64512"),
    ]


# kinds of other packages


class EntryPoint:
    """As importlib.metadata has it."""

    name = "every"
    value = "package:make"

    def __init__(self, made: object) -> None:
        self.made = made

    def load(self) -> object:
        if isinstance(self.made, Exception):
            raise self.made
        return self.made


async def test_kinds_of_other_packages(tmp_path, monkeypatch):
    class Source:
        def __init__(self, settings: PrefixSource, context: Context) -> None:
            self.text = settings.options["prefix"]

        async def fetch(self, validator: str) -> Fetched:
            return Fetched(self.text.encode())

    def given(made: object) -> None:
        point = EntryPoint(made)
        monkeypatch.setattr(
            "bgpipe.routeserver.sources.of_others", lambda name="every": [point] if name == "every" else []
        )

    settings = PrefixSource(name="a", kind="every", options={"prefix": "9.9.9.0/24"})
    async with context(tmp_path) as here:
        given(Source)
        assert prefixes(await make_source("every", settings, here).fetch("")) == ["9.9.9.0/24"]
        given(ImportError("no module"))
        with pytest.raises(ValueError, match=r"'every' \(package:make\) can't be used: no module"):
            make_source("every", settings, here)
        with pytest.raises(ValueError, match=f"no kind of source 'other'; there are {', '.join(KINDS)}, every"):
            make_source("other", settings, here)


async def test_files_that_are_being_written_are_read_when_they_are_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("9.9.9.0/24\n")
    async with context(tmp_path) as given:
        reading = asyncio.ensure_future(make_source("file", PrefixSource(name="a", path="a.txt"), given).fetch(""))
        await asyncio.sleep(0.1)
        path.write_text("9.9.9.0/24\n9.9.8.0/24\n")
        assert PrefixSet.parse(prefixes(await reading)) == PrefixSet.parse(["9.9.9.0/24", "9.9.8.0/24"])


async def test_a_fifo_is_no_list(tmp_path):
    import os

    os.mkfifo(tmp_path / "a.txt")
    async with context(tmp_path) as given:
        with pytest.raises(SourceError, match="not a file"):
            await make_source("file", PrefixSource(name="a", path="a.txt"), given).fetch("")
