"""The configuration: all faults at once, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgpipe.routeserver.config_file import load
from bgpipe.routeserver.settings import configured_options
from bgpipe.routeserver.yaml_records import ConfigFaults

GOOD = """\
Bgp:
  Asn: 65001
  RouterId: 192.0.2.1
"""


def read(folder: Path, text: str, **environment: str):
    path = folder / "appsettings.yml"
    path.write_text(text)
    return load(path, environment)


def faults(folder: Path, text: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigFaults) as raised:
        read(folder, text, **environment)
    return [str(fault).replace(f"{folder}/", "") for fault in raised.value.faults]


def test_defaults_are_those_of_bgplite(tmp_path):
    config = read(tmp_path, GOOD)
    assert (config.bgp.hold_time, config.bgp.keep_alive, config.bgp.port) == (180, 60, 179)
    assert (config.bgp.open_timeout_seconds, config.bgp.max_accepts_per_ip_per_minute) == (30, 60)
    assert (config.api_port, config.api_listen, config.max_request_body_bytes) == (5000, None, 1_048_576)


def test_keys_of_tcp_ao(tmp_path, monkeypatch):
    monkeypatch.setenv("NINE", "9:c")
    (tmp_path / "key").write_text("8:from a file\n")
    peer = "Peers:\n  - Address: 192.0.2.7\n    RemoteAsn: 65003\n"
    keys = f"    AoKey: 7:a\n    AoKeys: [{tmp_path}/key, $NINE]\n"
    found = read(tmp_path, GOOD + peer + keys).peers[0]
    assert configured_options(found).ao == "7:a\n8:from a file\n9:c"
    text = GOOD + peer + "    AoKey: 7:a\n    AoKeys:\n    - '8:b'\n    - '7:c'\n    - x\n"
    assert faults(tmp_path, text) == [
        "appsettings.yml:10: Peers[0].AoKeys[1]: two keys of TCP-AO have the id 7: the peer could not tell them apart",
        "appsettings.yml:11: Peers[0].AoKeys[2]: ID:KEY is expected, ID being a number from 0 to 255",
    ]


def test_what_is_missing_is_told_with_its_whole_key(tmp_path):
    assert faults(tmp_path, "ApiPort: 5000\n") == [
        "appsettings.yml:1: Bgp: is missing",
        "appsettings.yml:1: Bgp.Asn: is missing",
        "appsettings.yml:1: Bgp.RouterId: is missing",
    ]


def test_a_peer_that_is_there_twice(tmp_path):
    text = GOOD + "Peers:\n"
    for address, asn in (("2001:db8::1", 65003), ("2001:DB8:0::1", 65003), ("2001:db8::1", 65004)):
        text += f"  - {{Address: '{address}', RemoteAsn: {asn}}}\n"
    text += "  - {Address: 10.1.0.0/16}\n  - {Address: 10.1.2.3/16}\n"
    assert faults(tmp_path, text) == [
        "appsettings.yml:6: Peers[1].Address: Peers[0] has this address and AS number already",
        "appsettings.yml:9: Peers[4].Address: Peers[3] has this address and AS number already",
    ]


def test_all_faults_are_told_with_their_lines(tmp_path):
    text = """\
Bgp:
  Asn: 65001
  RouterId: 0.0.0.0
  HoldTme: 3
  Asn: 3
  GracefulRestart: maybe
Peers:
  - Address: 224.0.0.1
    Lists: [x]
PrefixSources:
  - Name: a
    Kind: ftp
    Path: a.txt
  - Name: a
    Kind: http
    Community: 65001:70000
  -
"""
    lines = [int(each.split(":")[1]) for each in faults(tmp_path, text)]
    assert lines == sorted(lines)
    assert sorted(faults(tmp_path, text)) == [
        "appsettings.yml:12: PrefixSources[0].Kind: 'ftp': one of file, http, asn, country, domain, set is expected",
        "appsettings.yml:14: PrefixSources[1].Name: 'a' is the name of PrefixSources[0] already",
        "appsettings.yml:14: PrefixSources[1].Url: is missing: a source of the kind http needs it",
        "appsettings.yml:16: PrefixSources[1].Community: '65001:70000': a community such as 65001:100, 65001:0:100, "
        "rt:65001:100 or no-export is expected",
        "appsettings.yml:17: PrefixSources[2]: an item without a value",
        "appsettings.yml:3: Bgp.RouterId: the BGP identifier must not be 0.0.0.0",
        "appsettings.yml:4: Bgp.HoldTme: there is no such key; did you mean HoldTime?",
        "appsettings.yml:5: Bgp.Asn: is given twice, first at appsettings.yml:2",
        "appsettings.yml:6: Bgp.GracefulRestart: 'maybe': true or false is expected",
        "appsettings.yml:8: Peers[0].Address: 224.0.0.1: no peer can have this address",
        "appsettings.yml:8: Peers[0].RemoteAsn: is missing",
        "appsettings.yml:9: Peers[0].Lists[0]: there is no list 'x'",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "appsettings.yml:1: Bgp: is missing"),
        ("- a\n", "appsettings.yml:1: keys with values are expected here"),
        ("Bgp: [1]\n", "appsettings.yml:1: Bgp: keys with values are expected here"),
        ("Bgp: {\n", "appsettings.yml:2: this is no YAML: expected the node content, but found '<stream end>'"),
        (GOOD + "  HoldTime: 2\n", "appsettings.yml:4: Bgp.HoldTime: 0 or at least 3 seconds (RFC 4271 section 4.2)"),
        (GOOD + "  KeepAlive: 61\n", "appsettings.yml:4: Bgp.KeepAlive: at most a third of HoldTime, 60 seconds"),
        (GOOD + "  Port: 70000\n", "appsettings.yml:4: Bgp.Port: '70000': a whole number from 1 to 65535 is expected"),
        (GOOD + "  Settle: .nan\n", "appsettings.yml:4: Bgp.Settle: '.nan': a number from 0 is expected"),
        (GOOD.replace("65001", "23456"), "appsettings.yml:2: Bgp.Asn: 23456 is reserved: it can be nobody's AS number"),
        (GOOD.replace("192.0.2.1", "0.0.0.5"), "appsettings.yml:3: Bgp.RouterId: 0.0.0.5: no router can have this "
         "address; it is the next hop of IPv4 routes, unless NextHop says another one"),
        (GOOD + "DefaultPrefixSource: x\n", "appsettings.yml:4: DefaultPrefixSource: 'x' is not the name of one of "
         "PrefixSources"),
        (GOOD + "Database: mysql://user:sesame@host/db\n", "appsettings.yml:4: Database: there is no such kind of "
         "database: a path, or a URL such as postgresql://user@host/name, is expected"),
        (GOOD + "Exclude: [0.0.0.0/0]\n", "appsettings.yml:4: Exclude[0]: 0.0.0.0/0: a default route is never "
         "announced, nor excluded"),
    ],
)  # fmt: skip
def test_a_fault(tmp_path, text, fault):
    assert fault in faults(tmp_path, text)


SOURCES = (
    GOOD
    + """\
PrefixSources:
  - {Name: a, Path: a.txt}
"""
)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("Name: s, Kind: set", "Sources: is missing: a source of the kind set needs it"),
        ("Name: s, Kind: set, Sources: [a, x]", "Sources: there is no list 'x'"),
        ("Name: s, Kind: set, Sources: [a], Without: [y]", "Without: there is no list 'y'"),
        ("Name: s, Kind: set, Sources: [s]", "Sources: the list is a part of itself: s -> s"),
        ("Name: d, Kind: domain", "Domain: is missing: a source of the kind domain needs it"),
        ("Name: d, Kind: domain, Domains: ['*.example.org']", "Domains: '*.example.org': a whole name is expected; "
         "nobody can ask for all names of a domain"),
        ("Name: d, Kind: domain, Domain: 192.0.2.1", "Domain: '192.0.2.1': a domain name such as www.example.org is "
         "expected"),
        ("Name: d, Kind: domain, Domain: localhost", "Domain: 'localhost': a domain name such as www.example.org is "
         "expected"),
        ("Name: i, Kind: asn, AsSets: [AS-X]", "AsSets: only an IRR knows as-sets: Via: irr is expected"),
        ("Name: i, Kind: asn, Via: irr, AsSets: [-x]", "AsSets: '-x': an as-set such as AS-EXAMPLE or "
         "RIPE::AS64500:AS-CUSTOMERS is expected"),
        ("Name: i, Kind: asn, Via: whois, Asn: 64500", "Via: 'whois': one of irr, ripestat is expected"),
        ("Name: i, Kind: asn, Asn: 65535", "Asn: 65535 is reserved: it can be nobody's AS number"),
        ("Name: i, Path: x, MaxShrink: 2", "MaxShrink: '2': a number from 0 to 1 is expected"),
    ],
)  # fmt: skip
def test_a_fault_of_a_source(tmp_path, line, fault):
    assert faults(tmp_path, SOURCES + f"  - {{{line}}}\n") == [f"appsettings.yml:6: PrefixSources[1].{fault}"]


def test_lists_that_contain_themselves_are_told_with_their_line(tmp_path):
    more = "".join(f"  - {{Name: {name}, Kind: set, Sources: [a, {member}]}}\n" for name, member in ("st", "tu", "us"))
    more += "  - {Name: v, Kind: set, Sources: [a], Without: [s]}\n"
    assert sorted(faults(tmp_path, SOURCES + more)) == [
        "appsettings.yml:6: PrefixSources[1].Sources: the list is a part of itself: s -> t -> u -> s",
        "appsettings.yml:7: PrefixSources[2].Sources: the list is a part of itself: t -> u -> s -> t",
        "appsettings.yml:8: PrefixSources[3].Sources: the list is a part of itself: u -> s -> t -> u",
    ]


def test_sources_of_all_kinds(tmp_path):
    config = read(tmp_path, SOURCES + """\
  - {Name: s, Kind: set, Sources: [a, d], Without: [i]}
  - {Name: d, Kind: domain, Domains: [www.example.org, xn--e1afmkfd.xn--p1ai, "caf\u00e9.example"]}
  - {Name: i, Kind: asn, Via: irr, AsSets: [AS-X, "RIPE::AS64500:AS-CUSTOMERS"], Asns: [64500]}
  - {Name: j, Kind: http, Url: "https://example.org/x.json", Json: data.*.cidr, Interval: 600, MaxGrowth: 3}
Irr: {Host: whois.example, Sources: [RIPE], Bgpq4: ""}
RipeStat: {DelegatedFiles: ["https://example.org/delegated"]}
""")  # fmt: skip
    assert config.prefix_sources[1].members == ("a", "d", "i")
    assert config.irr.sources == ("RIPE",)


def test_scalars_are_what_their_fields_want(tmp_path):
    config = read(tmp_path, GOOD + "PrefixSources: [{Name: 1.10, Path: yes, Community: 65001:10}]\n")
    source = config.prefix_sources[0]
    assert (source.name, source.path, source.community) == ("1.10", "yes", "65001:10")


def test_the_environment_counts_more_than_the_file(tmp_path):
    (tmp_path / "key").write_text("secret\n")
    config = read(
        tmp_path,
        GOOD + "PrefixSources: [{Name: a, Path: a.txt}]\n",
        Bgp__Asn="65444",
        bgp__holdtime="90",
        PrefixSources__0__Path="b.txt",
        PrefixSources__1__Name="c",
        PrefixSources__1__Path="c.txt",
        Bgp__Listeners__0__Md5Key_FILE=str(tmp_path / "key"),
        ApiPort="5005",
        Other__Thing="1",
    )
    assert (config.bgp.asn, config.bgp.hold_time, config.api_port) == (65444, 90, 5005)
    assert [source.path for source in config.prefix_sources] == ["b.txt", "c.txt"]
    assert config.bgp.listeners[0].md5_key == "secret"


def test_faults_of_the_environment_name_the_variable(tmp_path):
    told = faults(tmp_path, GOOD, Bgp__Port="x", PrefixSources__2__Name="a", Bgp__Secret_FILE="/nowhere/at/all")
    assert told[0].startswith("$Bgp__Secret_FILE: Bgp.Secret: /nowhere/at/all: ")
    assert "$PrefixSources__2__Name: PrefixSources.2: the list has 0 items, so the next one is 0" in told
    assert "$Bgp__Port: Bgp.Port: 'x': a whole number from 1 to 65535 is expected" in told


def test_deep_files_are_refused(tmp_path):
    assert faults(tmp_path, "a: " + "[" * 30 + "]" * 30)[0].endswith("too many levels")


def test_yaml_of_any_octets_is_a_fault_and_no_traceback(tmp_path):
    for octets in (b"\xff\xfe", b"\0", b"&a [*a]", b"? [a]\n: b", b"!!python/object:os.system {}", b"a: *b"):
        (tmp_path / "appsettings.yml").write_bytes(octets)
        with pytest.raises(ConfigFaults):
            load(tmp_path / "appsettings.yml", {})


MANY = ", ".join(f"'65000:1:{number}'" for number in range(250))


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (
            f"PrefixSources: [{{Name: a, Path: a, AddCommunities: [{MANY}]}}]\n"
            f"Groups: [{{Name: g, AddCommunities: [{MANY.replace('65000', '65001')}]}}]\n",
            "PrefixSources[0].AddCommunities: these path attributes and those of Groups[0] leave no room for a prefix",
        ),
        (
            f"Groups: [{{Name: g, AddCommunities: [{MANY}, {MANY.replace('65000', '65001')}]}}]\n",
            "Groups[0].AddCommunities: these path attributes leave no room for a prefix in an UPDATE",
        ),
        (
            "RipeStat: {AsnLists: [{Name: a, Asns: [1], "
            f"AddCommunities: [{MANY}, {MANY.replace('65000', '65001')}]}}]}}\n",
            "RipeStat.AsnLists[0].AddCommunities: these path attributes leave no room for a prefix in an UPDATE",
        ),
        (
            f"Defaults: {{AddCommunities: [{MANY}]}}\nPeers:\n  - Address: 192.0.2.7\n    RemoteAsn: 65007\n"
            f"    CustomPrefixes: [{{Prefix: 192.0.2.0/24, Communities: [{MANY.replace('65000', '65001')}]}}]\n",
            "Peers[0].CustomPrefixes[0]: its path attributes leave no room for a prefix in an UPDATE",
        ),
    ],
)
def test_path_attributes_that_are_too_long(tmp_path, more, fault):
    (found,) = faults(tmp_path, "Bgp: {Asn: 65000, RouterId: 192.0.2.1}\n" + more)
    assert fault in found


def test_path_attributes_that_have_room_together(tmp_path):
    path = tmp_path / "appsettings.yml"
    path.write_text(
        "Bgp: {Asn: 65000, RouterId: 192.0.2.1}\n"
        f"PrefixSources: [{{Name: a, Path: a, AddCommunities: [{MANY}]}}]\nDefaults: {{AddCommunities: [{MANY}]}}\n"
    )
    assert len(load(path, {}).defaults.add_communities) == 250  # they are the same


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (
            "Defaults: {MinLengthIpv4: 24, MaxLengthIpv4: 8}",
            "Defaults.MaxLengthIpv4: is less than the least length, 24",
        ),
        ("Defaults: {MaxLengthIpv6: 129}", "Defaults.MaxLengthIpv6: '129': a whole number from 1 to 128 is expected"),
        ("Defaults: {Prepends: 51}", "Defaults.Prepends: '51': a whole number from 0 to 50 is expected"),
        ("Defaults: {MaxRoutesAction: drop}", "Defaults.MaxRoutesAction: 'drop': one of hold, widen is expected"),
        ("Defaults: {Lists: [a]}", "Defaults.Lists: there is no such key"),
        ("Groups: [{Name: g, Lists: [x]}]", "Groups[0].Lists[0]: there is no list 'x'"),
        ("Groups: [{Name: g}, {Name: g}]", "Groups[1].Name: 'g' is the name of Groups[0] already"),
        (
            "Groups: [{Name: g, Exclude: [{Prefix: 192.0.2.0/24, Expires: soon}]}]",
            "Groups[0].Exclude[0]: 'soon': a time",
        ),
        ("Groups: [{Name: g, Exclude: [{Prefix: 0.0.0.0/0}]}]", "Groups[0].Exclude[0]: 0.0.0.0/0: a default route"),
        ("Groups: [{Name: g, Exclude: [{Pref: 1.0.0.0/8}]}]", "Groups[0].Exclude[0].Pref: there is no such key"),
        ("Peers: [{Address: 10.0.0.1, RemoteAsn: 1, Group: x}]", "Peers[0].Group: there is no group 'x'"),
        (
            "PrefixSources: [{Name: a, Path: a, Expires: soon, NextHop: '::1'}]",
            "PrefixSources[0].Expires: 'soon': a time such as",
        ),
        (
            "PrefixSources: [{Name: a, Path: a, AddCommunities: [x]}]",
            "PrefixSources[0].AddCommunities: 'x': a community",
        ),
        ("Groups: [{Name: g, NextHop: '::1'}]", "Groups[0].NextHop: '::1': an IPv4 address or self is expected"),
    ],
)
def test_faults_of_what_is_announced(tmp_path, more, fault):
    found = faults(tmp_path, f"Bgp: {{Asn: 65000, RouterId: 192.0.2.1}}\n{more}\n")
    assert any(fault in each for each in found), found
