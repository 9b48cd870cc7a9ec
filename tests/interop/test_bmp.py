"""BMP with real daemons: FRR and GoBGP report to our station, and pmacct's station reads what we report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from daemons import Daemon, Frr, GoBgp, Installed, Neighbor, Unavailable, wait_until
from processes import FOLDER, REQUIRED, Bgpipe, Run

pytestmark = pytest.mark.interop
FRR, GOBGP, HERE, STATION = "127.77.60.1", "127.77.60.2", "127.77.60.9", "127.77.60.7"
FRR_AS, GOBGP_AS = 65160, 65161
PORT = 17900
FRR_PREFIXES = [f"198.51.{number}.0/24" for number in range(20)] + ["2001:db8:60::/48"]
GOBGP_PREFIXES = [f"203.0.{number}.0/24" for number in range(10)] + ["2001:db8:61::/48"]
PMACCT = (
    *("pmacct", "libmariadb3", "libpq5", "librabbitmq4", "librdkafka1", "libzmq5", "libmaxminddb0", "libjansson4"),
    "libc-ares2",  # for FRR's module
    *("libnetfilter-log1", "libpcap0.8", "libsodium23", "libpgm-5.3-0", "libnorm1", "libnfnetlink0"),
)


@dataclass
class BmpFrr(Frr):
    """FRR that reports by BMP. station: where to, as ADDRESS:PORT. more: where a library is that its module needs."""

    station: str = ""
    more: Installed | None = None

    def environment(self) -> dict[str, str]:
        assert self.more is not None
        name = "LD_LIBRARY_PATH"
        return self.installed.environment | {name: f"{self.installed.environment[name]}:{self.more.environment[name]}"}

    def config(self) -> str:
        host, _, port = self.station.rpartition(":")
        policies = [(family, policy) for family in ("ipv4", "ipv6") for policy in ("pre", "post")]
        targets = [
            " bmp targets t",
            *(f"  bmp monitor {family} unicast {policy}-policy" for family, policy in policies),
            "  bmp stats interval 1000",
            f"  bmp connect {host} port {port} min-retry 100 max-retry 500",
            " exit",
        ]
        line = f"router bgp {self.asn}\n"
        text = super().config().replace(line, line + "\n".join([*targets, ""]))
        for each in self.neighbors:  # without it, FRR keeps no Adj-RIB-In, and reports withdrawals as pre-policy
            line = f"  neighbor {each.address} activate\n"
            text = text.replace(line, f"{line}  neighbor {each.address} soft-reconfiguration inbound\n")
        return text

    def command(self, config: Path) -> list[str]:
        modules = next(self.installed.root.glob("usr/lib/*-linux-gnu*/frr/modules"))
        return [*super().command(config), "--moduledir", str(modules), "-M", "bmp"]


@dataclass
class BmpGoBgp(GoBgp):
    """GoBGP that reports by BMP."""

    station: str = ""

    def config(self) -> str:
        host, _, port = self.station.rpartition(":")
        about = f'address = "{host}"\nport = {port}\nroute-monitoring-policy = "all"\nstatistics-timeout = 15\n'
        return super().config() + f"[[bmp-servers]]\n[bmp-servers.config]\n{about}"


@dataclass
class Pmbmpd:
    """pmacct's BMP station."""

    installed: Installed
    folder: Path
    address: str
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        self.folder.mkdir(parents=True)
        options = {
            "daemonize": "false",
            "bmp_daemon_ip": self.address,
            "bmp_daemon_port": self.port,
            "bmp_daemon_max_peers": 10,
            "bmp_daemon_msglog_file": self.folder / "msg.json",
        }
        (self.folder / "pm.conf").write_text("".join(f"{name}: {value}\n" for name, value in options.items()))
        with open(self.folder / "log", "wb") as log:
            command = [self.installed.program("pmbmpd"), "-f", "pm.conf"]
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.installed.environment, stdout=log, stderr=log
            )

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def said(self, kind: str, **wanted: object) -> list[dict[str, object]]:
        """What it has logged of one kind (init, peer_up, peer_down, route_monitor, stats), with these values."""
        path = self.folder / "msg.json"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        found = []
        for line in lines:
            try:
                told = json.loads(line)
            except ValueError:  # it is being written
                continue
            if told.get("bmp_msg_type") == kind or (kind == "route_monitor" and told.get("event_type") == "log"):
                if kind == "route_monitor" and "ip_prefix" not in told:
                    continue
                if all(str(told.get(name)) == str(value) for name, value in wanted.items()):
                    found.append(told)
        return found

    def prefixes(self, **wanted: object) -> set[str]:
        return {
            str(told["ip_prefix"]) for told in self.said("route_monitor", **wanted) if told.get("log_type") == "update"
        }


@pytest.fixture(scope="session")
def pmacct() -> Installed:
    """pmacct from Debian's packages, unpacked in a folder of its own."""
    root = Path(os.environ.get("BGPIPE_PEERS", FOLDER)) / "pmacct"
    try:
        if not (root / ".complete").exists():
            debs = root / "debs"
            debs.mkdir(parents=True, exist_ok=True)
            if not shutil.which("apt-get") or not shutil.which("dpkg"):
                raise Unavailable("pmacct comes as a Debian package, and there is no apt-get here")
            got = subprocess.run(["apt-get", "download", "-q", *PMACCT], cwd=debs, capture_output=True, text=True)
            if got.returncode:
                raise Unavailable(f"apt-get download: {got.stderr.strip().splitlines()[-1:]}")
            for deb in sorted(debs.glob("*.deb")):
                subprocess.run(["dpkg", "-x", str(deb), str(root)], check=True)
            (root / ".complete").touch()
    except Unavailable as error:
        if REQUIRED:
            raise
        pytest.skip(f"no pmacct: {error}")
    return Installed(root)


@contextmanager
def started(*daemons: Daemon | Pmbmpd) -> Iterator[None]:
    try:
        for daemon in daemons:
            daemon.start()
        yield
    finally:
        for daemon in reversed(daemons):
            daemon.stop()


def told(station: Bgpipe, router: str, rib: str) -> set[str]:
    """Prefixes that a router has reported of its peer, and not withdrawn. (FRR reports its own without a peer.)"""
    found: set[str] = set()
    for message in station.messages():
        tags = message[-1]
        if message[3] != "UPDATE" or tags.get("ROUTER") != router or tags.get("RIB") != rib or "PEER_IP" not in tags:
            continue
        body = message[4]
        mp = body.get("attrs", {})
        found.update(body.get("reach", ()), mp.get("MP_REACH", {}).get("value", {}).get("prefixes", ()))
        found.difference_update(body.get("unreach", ()), mp.get("MP_UNREACH", {}).get("value", {}).get("prefixes", ()))
    return found


def test_frr_and_gobgp_report(installed, pmacct, run: Run, tmp_path):
    """Routes, peers up and down, and statistics are those that the daemons show."""
    station = run("-o", "-e", "bmp/PEER_DOWN", "--", "bmp", "--state", f"{HERE}:{PORT}")
    station.listens()
    where = f"{HERE}:{PORT}"
    frr = BmpFrr(
        installed, tmp_path / "frr", FRR, FRR_AS, [Neighbor(GOBGP, GOBGP_AS)], FRR_PREFIXES, station=where, more=pmacct
    )
    gobgp = BmpGoBgp(
        installed, tmp_path / "gobgp", GOBGP, GOBGP_AS, [Neighbor(FRR, FRR_AS)], GOBGP_PREFIXES, station=where
    )
    with started(gobgp, frr):
        wait_until("the session", lambda: frr.established(GOBGP) and gobgp.established(FRR), 60)
        wait_until("GoBGP has the routes", lambda: gobgp.routes() == set(FRR_PREFIXES), 60)

        def names() -> dict[str, str]:
            """Names of the routers, by the AS number of the peer that they report."""
            ups = [
                message for message in station.messages() if message[3] == "OPEN" and message[-1].get("RIB") == "in-pre"
            ]
            return {message[-1]["PEER_AS"]: message[-1]["ROUTER"] for message in ups}

        wait_until("both report a peer", lambda: len(names()) == 2, 60)
        by_frr, by_gobgp = names()[str(GOBGP_AS)], names()[str(FRR_AS)]
        wait_until("FRR's report", lambda: told(station, by_frr, "in-pre") >= set(GOBGP_PREFIXES), 60)
        wait_until("GoBGP's report", lambda: told(station, by_gobgp, "in-pre") >= set(FRR_PREFIXES), 60)
        assert told(station, by_frr, "in-pre") == frr.routes() == set(GOBGP_PREFIXES)
        assert told(station, by_frr, "in-post") == set(GOBGP_PREFIXES)
        assert told(station, by_gobgp, "in-pre") == gobgp.routes()

        def statistics(router: str) -> dict[str, int]:
            found = [message for message in station.messages(kind="BMP") if message[-1].get("ROUTER") == router]
            reports = [message[4] for message in found if message[4]["type"] == "STATISTICS_REPORT"]
            return reports[-1] if reports else {}

        wait_until("FRR's statistics", lambda: statistics(by_frr), 60)
        gobgp.stop()
        wait_until("FRR says that the peer is down", lambda: "event bmp/PEER_DOWN" in station.log, 60)
    kinds = Counter(message[4]["type"] for message in station.messages(kind="BMP"))
    assert {"INITIATION", "PEER_UP", "PEER_DOWN", "STATISTICS_REPORT"} <= set(kinds)
    assert station.finish() == 0
    assert "damaged input" not in station.log


def test_pmbmpd_reads_what_we_report(installed, pmacct, run: Run, tmp_path):
    """What it says of both peers of a session is what has passed it, and of FRR's side what FRR itself reports."""
    ours = Pmbmpd(pmacct, tmp_path / "ours", STATION, PORT)
    theirs = Pmbmpd(pmacct, tmp_path / "theirs", STATION, PORT + 1)
    frr = BmpFrr(
        installed,
        tmp_path / "frr",
        FRR,
        FRR_AS,
        [Neighbor(HERE, GOBGP_AS)],
        FRR_PREFIXES,
        station=f"{STATION}:{PORT + 1}",
        more=pmacct,
    )
    gobgp = GoBgp(
        installed, tmp_path / "gobgp", GOBGP, GOBGP_AS, [Neighbor(HERE, FRR_AS, passive=True)], GOBGP_PREFIXES
    )
    with started(ours, theirs, gobgp):
        proxy = run(
            *("--", "listen", f"{HERE}:1790", "--", "bmp", "--send", f"{STATION}:{PORT}", "-LR", "--stats", "1s"),
            *("--", "connect", "-W", "listen", "--bind", HERE, f"{GOBGP}:1790"),
        )
        proxy.listens()
        with started(frr):
            wait_until("the session", lambda: frr.established(HERE), 60)
            wait_until("GoBGP has the routes", lambda: gobgp.routes() == set(FRR_PREFIXES), 60)
            wait_until("FRR has the routes", lambda: frr.routes() == set(GOBGP_PREFIXES), 60)
            wait_until("pmbmpd has FRR's routes", lambda: ours.prefixes(peer_ip=FRR) >= set(FRR_PREFIXES), 60)
            wait_until("pmbmpd has GoBGP's routes", lambda: ours.prefixes(peer_ip=GOBGP) >= set(GOBGP_PREFIXES), 60)
            wait_until("pmbmpd has FRR's report", lambda: theirs.prefixes() >= set(GOBGP_PREFIXES), 60)
            wait_until("statistics", lambda: ours.said("stats"), 60)
            incoming = ours.prefixes(peer_ip=GOBGP, is_out="")
            assert theirs.prefixes() == set(GOBGP_PREFIXES)
            assert {told["peer_asn"] for told in ours.said("peer_up")} == {FRR_AS, GOBGP_AS}
            assert ours.said("init")
            assert incoming | ours.prefixes(peer_ip=GOBGP) >= theirs.prefixes()
        wait_until("peers are down", lambda: len(ours.said("peer_down")) == 2, 60)
    log = (ours.folder / "log").read_text(errors="replace")
    assert "WARN" not in log.replace("WARN ( default/core ): No plugin", "")
