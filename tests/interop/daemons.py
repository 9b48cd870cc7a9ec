"""Real BGP daemons for tests: fetched from Debian's packages (ExaBGP from PyPI) without root, run on 127/8.

Each daemon has an address of its own and one port for all; it knows its neighbours as (address, AS number) and
announces prefixes with a next hop outside 127/8, which FRR and GoBGP would refuse as martian.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PORT = 1790
NEXT_HOP4 = "192.0.2.254"
NEXT_HOP6 = "2001:db8::254"
PACKAGES = ["bird2", "frr", "gobgpd", "openbgpd", "libyang2", "libssh-gcrypt-4", "libjson-c5", "libprotobuf-c1"]
PACKAGES += ["stayrtr", "rtr-tools", "frr-rpki-rtrlib", "librtr0", "libssh-4"]
EXABGP = "exabgp>=5,<6"


class Unavailable(Exception):
    """A daemon that can't be had here, and why."""


@dataclass(frozen=True)
class Installed:
    """Where the daemons were unpacked."""

    root: Path

    def program(self, name: str) -> str:
        for folder in ("usr/sbin", "usr/bin", "usr/lib/frr", "venv/bin"):
            path = self.root / folder / name
            if path.exists():
                return str(path)
        raise Unavailable(f"{name} is not in the packages that were fetched")

    @property
    def environment(self) -> dict[str, str]:
        libraries = self.root.glob("usr/lib/*-linux-gnu*")
        folders = [str(path) for folder in libraries for path in (folder, folder / "frr")]
        return os.environ | {"LD_LIBRARY_PATH": ":".join(folders)}


def fetch(folder: Path) -> Installed:
    """Downloads and unpacks once; raises Unavailable where apt or the network can't give them."""
    root = folder / "root"
    complete, wanted = root / ".complete", " ".join((*PACKAGES, EXABGP))
    if not complete.exists() or complete.read_text() != wanted:
        debs = folder / "debs"
        debs.mkdir(parents=True, exist_ok=True)
        root.mkdir(exist_ok=True)
        if not shutil.which("apt-get") or not shutil.which("dpkg"):
            raise Unavailable("the daemons come as Debian packages, and there is no apt-get here")
        got = subprocess.run(["apt-get", "download", "-q", *PACKAGES], cwd=debs, capture_output=True, text=True)
        if got.returncode:
            raise Unavailable(f"apt-get download: {got.stderr.strip().splitlines()[-1:]} (try: apt-get update)")
        for deb in sorted(debs.glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(deb), str(root)], check=True)
        venv = root / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        got = subprocess.run([str(venv / "bin/pip"), "install", "-q", EXABGP], capture_output=True, text=True)
        if got.returncode:
            raise Unavailable(f"pip install {EXABGP}: {got.stderr.strip().splitlines()[-1:]}")
        complete.write_text(wanted)
    return Installed(root)


def wait_until(what: str, condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Asks until `condition` holds; a test that waits longer fails and says for what."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} seconds")
        time.sleep(0.1)


def inside(namespace: str) -> list[str]:
    """What runs a command in a network namespace, nothing for the one where we are."""
    return ["ip", "netns", "exec", namespace] if namespace else []


def mortal(command: Sequence[str]) -> list[str]:
    """A command that ends when these tests end, however they end."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else list(command)


@dataclass
class Neighbor:
    """What a daemon is told of the other end."""

    address: str
    asn: int
    port: int = PORT
    passive: bool = False
    password: str = ""
    add_path: bool = False
    extended_message: bool = False
    graceful_restart: bool = False
    families: tuple[str, ...] = ("ipv4-unicast", "ipv6-unicast")
    """GoBGP only"""
    role: str = ""
    """what the daemon says it is to the other end (RFC 9234): provider, customer, peer. BIRD and FRR only"""
    ttl_security: bool = False
    """GTSM (RFC 5082): what has come over a router is dropped. BIRD only"""


@dataclass
class Daemon:
    """One running daemon: `start` it, ask it for `established` and `routes`, `stop` it."""

    installed: Installed
    folder: Path
    address: str
    asn: int
    neighbors: Sequence[Neighbor] = ()
    prefixes: Sequence[str] = ()
    port: int = PORT
    """where it listens, and where its connections come from if it cares"""
    extra: str = ""
    """more lines of configuration"""
    rtr: str = ""
    """ADDRESS:PORT of an RTR cache"""
    namespace: str = ""
    """the network namespace to run in"""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    name = ""

    @property
    def router_id(self) -> str:
        return f"10.0.0.{self.asn % 250 + 1}"

    @property
    def prefixes4(self) -> list[str]:
        return [prefix for prefix in self.prefixes if ":" not in prefix]

    @property
    def prefixes6(self) -> list[str]:
        return [prefix for prefix in self.prefixes if ":" in prefix]

    def config(self) -> str:
        raise NotImplementedError

    def command(self, config: Path) -> list[str]:
        raise NotImplementedError

    def established(self, neighbor: str) -> bool:
        raise NotImplementedError

    def routes(self) -> set[str]:
        """Prefixes learned by BGP."""
        raise NotImplementedError

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / f"{self.name}.conf"
        config.write_text(self.config())
        config.chmod(0o600)
        with open(self.folder / f"{self.name}.log", "wb") as log:
            self.process = subprocess.Popen(
                mortal([*inside(self.namespace), *self.command(config)]),
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def environment(self) -> dict[str, str]:
        return self.installed.environment

    def stop(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGTERM)
                try:
                    self.process.wait(5)
                except subprocess.TimeoutExpired:
                    os.killpg(self.process.pid, signal.SIGKILL)
                    self.process.wait()
            self.process = None

    def kill(self) -> None:
        """Ends it as a crash would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text(errors="replace")

    def ask(self, *command: str) -> str:
        return subprocess.run(
            command, cwd=self.folder, env=self.installed.environment, capture_output=True, text=True, timeout=120
        ).stdout


@dataclass
class Bird(Daemon):
    name = "bird"
    export: str = "export all;"

    def config(self) -> str:
        static = "".join(
            f"protocol static s{version} {{ ipv{version};\n"
            + "".join(f"  route {prefix} blackhole;\n" for prefix in prefixes)
            + "}\n"
            for version, prefixes in ((4, self.prefixes4), (6, self.prefixes6))
        )
        return (
            f"log stderr all;\nrouter id {self.router_id};\nprotocol device {{ scan time 3600; }}\n"
            + static
            + self._rpki()
            + self.extra
            + "".join(self._neighbor(number, each) for number, each in enumerate(self.neighbors))
        )

    def _rpki(self) -> str:
        address, _, port = self.rtr.rpartition(":")
        tables = "roa4 { table r4; }; roa6 { table r6; };"
        cache = f"protocol rpki cache {{ {tables} remote {address} port {port}; retry keep 1; refresh keep 3600; }}"
        return f"roa4 table r4; roa6 table r6;\n{cache}\n" if self.rtr else ""

    def _neighbor(self, number: int, neighbor: Neighbor) -> str:
        path = "add paths on;" if neighbor.add_path else ""
        options = [
            f"local {self.address} port {self.port} as {self.asn};",
            f"neighbor {neighbor.address} port {neighbor.port} as {neighbor.asn};",
            "multihop 1; ttl security on;" if neighbor.ttl_security else "multihop;",
            "strict bind yes; connect retry time 1; error wait time 1,2; connect delay time 1;",
            "passive on;" if neighbor.passive else "",
            f'password "{neighbor.password}";' if neighbor.password else "",
            "enable extended messages on;" if neighbor.extended_message else "",
            "graceful restart on;" if neighbor.graceful_restart else "",
            f"local role {neighbor.role};" if neighbor.role else "",
            f"ipv4 {{ import all; {self.export} next hop address {NEXT_HOP4}; {path} }};",
            f"ipv6 {{ import all; {self.export} next hop address {NEXT_HOP6}; {path} }};",
        ]
        return f"protocol bgp n{number} {{\n" + "\n".join(f"  {option}" for option in options if option) + "\n}\n"

    def command(self, config: Path) -> list[str]:
        return [self.installed.program("bird"), "-f", "-c", str(config), "-s", "bird.ctl", "-P", "bird.pid"]

    def control(self, *words: str) -> str:
        return self.ask(self.installed.program("birdc"), "-s", "bird.ctl", *words)

    def established(self, neighbor: str) -> bool:
        number = [each.address for each in self.neighbors].index(neighbor)
        return "Established" in self.control("show", "protocols", f"n{number}")

    def routes(self) -> set[str]:
        shown = self.control("show", "route", "where", "source", "=", "RTS_BGP", "all")
        return {line.split()[0] for line in shown.splitlines() if line[:1].isalnum() and "/" in line.split()[0]}


class Frr(Daemon):
    name = "frr"

    def config(self) -> str:
        lines = [f"router bgp {self.asn}", f" bgp router-id {self.router_id}", " no bgp ebgp-requires-policy"]
        lines += [" no bgp network import-check", " no bgp default ipv4-unicast"]
        for each in self.neighbors:
            lines += [
                f" neighbor {each.address} remote-as {each.asn}",
                f" neighbor {each.address} port {each.port}",
                f" neighbor {each.address} ebgp-multihop 5",
                f" neighbor {each.address} update-source {self.address}",
                f" neighbor {each.address} timers connect 1",
                f" neighbor {each.address} advertisement-interval 0",
            ]
            lines += [f" neighbor {each.address} passive"] if each.passive else []
            lines += [f" neighbor {each.address} password {each.password}"] if each.password else []
            lines += [" bgp graceful-restart"] if each.graceful_restart else []
            lines += [f" neighbor {each.address} local-role {each.role}"] if each.role else []
        for family, prefixes in (("ipv4", self.prefixes4), ("ipv6", self.prefixes6)):
            lines += [f" address-family {family} unicast"] + [f"  network {prefix}" for prefix in prefixes]
            for each in self.neighbors:
                lines += [
                    f"  neighbor {each.address} activate",
                    f"  neighbor {each.address} route-map NH out",
                ]
                lines += [f"  neighbor {each.address} addpath-tx-all-paths"] if each.add_path else []
            lines += [" exit-address-family"]
        if self.rtr:
            cache = self.rtr.replace(":", " ")
            lines = ["rpki", " rpki polling_period 3600", f" rpki cache {cache} preference 1", "exit", *lines]
        lines += ["route-map NH permit 10", f" set ip next-hop {NEXT_HOP4}", f" set ipv6 next-hop global {NEXT_HOP6}"]
        return "\n".join([*lines, ""])

    def command(self, config: Path) -> list[str]:
        program = self.installed.program("bgpd")
        # openbgpd's daemon has the same name: FRR's is the one in usr/lib/frr
        program = str(self.installed.root / "usr/lib/frr/bgpd") if "frr" not in program else program
        options = ["-l", self.address, "-p", str(self.port), "-Z", "-S", "-P", "0", "-i", str(self.folder / "frr.pid")]
        if self.rtr:
            (modules,) = self.installed.root.glob("usr/lib/*-linux-gnu*/frr/modules")
            options += ["--moduledir", str(modules), "-M", "rpki"]
        return [program, "-f", str(config), *options, "--vty_socket", str(self.folder), "--log", "stdout"]

    def start(self) -> None:
        super().start()
        wait_until("FRR answers", lambda: (self.folder / "bgpd.vty").exists())

    def control(self, *words: str) -> str:
        """Asks bgpd on its vty socket, as vtysh would (which wants PAM): text and a NUL; three NULs end the answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as vty:
            vty.settimeout(60)
            vty.connect(str(self.folder / "bgpd.vty"))
            for command in ("enable", " ".join(words)):
                vty.sendall(command.encode() + b"\0")
                answer = bytearray()
                while answer.find(b"\0\0\0", max(0, len(answer) - 65540), len(answer) - 1) < 0:
                    octets = vty.recv(65536)
                    if not octets:
                        break
                    answer += octets
        return bytes(answer).split(b"\0\0\0")[0].decode(errors="replace")

    def established(self, neighbor: str) -> bool:
        try:
            return "BGP state = Established" in self.control("show bgp neighbors", neighbor)
        except (FileNotFoundError, ConnectionRefusedError):  # it is starting
            return False

    def routes(self) -> set[str]:
        found = set()
        for family, own in (("ipv4", self.prefixes4), ("ipv6", self.prefixes6)):
            text = self.control(f"show bgp {family} unicast json")
            table = json.loads(text[text.index("{") :]) if "{" in text else {}
            found |= {prefix for prefix in table.get("routes", {}) if prefix not in own}
        return found


class GoBgp(Daemon):
    name = "gobgp"

    def config(self) -> str:
        text = (
            f'[global.config]\nas = {self.asn}\nrouter-id = "{self.router_id}"\nport = {self.port}\n'
            f'local-address-list = ["{self.address}"]\n'
        )
        if self.rtr:
            address, _, port = self.rtr.rpartition(":")
            text += f'[[rpki-servers]]\n[rpki-servers.config]\naddress = "{address}"\nport = {port}\n'
        for each in self.neighbors:
            text += (
                f'[[neighbors]]\n[neighbors.config]\nneighbor-address = "{each.address}"\npeer-as = {each.asn}\n'
                + (f'auth-password = "{each.password}"\n' if each.password else "")
                + f'[neighbors.transport.config]\nlocal-address = "{self.address}"\nremote-port = {each.port}\n'
                + ("passive-mode = true\n" if each.passive else "")
                + "[neighbors.timers.config]\nconnect-retry = 1\nidle-hold-time-after-reset = 1\n"
                + "[neighbors.ebgp-multihop.config]\nenabled = true\nmultihop-ttl = 5\n"
                + ("[neighbors.graceful-restart.config]\nenabled = true\n" if each.graceful_restart else "")
            )
            for family in each.families:
                text += f'[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = "{family}"\n'
                if each.add_path:
                    text += "[neighbors.afi-safis.add-paths.config]\nreceive = true\nsend-max = 8\n"
        return text

    def command(self, config: Path) -> list[str]:
        program = self.installed.program("gobgpd")
        api = f"[{self.address}]:50051" if ":" in self.address else f"{self.address}:50051"
        return [program, "-f", str(config), "--api-hosts", api, "--pprof-disable", "--log-plain"]

    def start(self) -> None:
        super().start()
        wait_until("GoBGP's API", lambda: "Peer" in self.control("neighbor"))
        for prefix in self.prefixes:
            family, next_hop = ("ipv6", NEXT_HOP6) if ":" in prefix else ("ipv4", NEXT_HOP4)
            self.control("global", "rib", "add", prefix, "nexthop", next_hop, "-a", family)

    def control(self, *words: str) -> str:
        return self.ask(self.installed.program("gobgp"), "-u", self.address, "-p", "50051", *words)

    def established(self, neighbor: str) -> bool:
        return "BGP state = ESTABLISHED" in self.control("neighbor", neighbor)

    def routes(self) -> set[str]:
        found = set()
        for family in ("ipv4", "ipv6"):
            text = self.control("global", "rib", "-a", family, "-j")
            if text.strip().startswith("{"):
                found |= set(json.loads(text)) - set(self.prefixes)
        return found


class OpenBgpd(Daemon):
    """Needs root: it changes to the user _openbgpd in a chroot of /run/openbgpd, and both must exist."""

    name = "openbgpd"

    def config(self) -> str:
        lines = [f"AS {self.asn}", f"router-id {self.router_id}", "fib-update no"]
        lines += [f"listen on {self.address} port {self.port}", f'socket "{self.folder}/obgpd.sock"']
        lines += [f"network {prefix} set nexthop {NEXT_HOP4}" for prefix in self.prefixes4]
        lines += [f"network {prefix} set nexthop {NEXT_HOP6}" for prefix in self.prefixes6]
        for each in self.neighbors:
            lines += [f"neighbor {each.address} {{", f"  remote-as {each.asn}", f"  port {each.port}"]
            lines += [f"  local-address {self.address}", "  multihop 5"]
            lines += ["  passive"] if each.passive else []
            lines += [f'  tcp md5sig password "{each.password}"'] if each.password else []
            lines += ["  announce IPv4 unicast", "  announce IPv6 unicast"]
            lines += ["  announce add-path recv yes", "  announce add-path send all"] if each.add_path else []
            lines += ["}"]
        lines += ["allow from any", "allow to any"]
        lines += ["match to any set nexthop no-modify", ""]  # else it would say its own address, in 127/8
        return "\n".join(lines)

    def command(self, config: Path) -> list[str]:
        if os.geteuid():
            raise Unavailable("OpenBGPD runs only as root")
        if subprocess.run(["id", "_openbgpd"], capture_output=True).returncode:
            home = ["--system", "--home-dir", "/run/openbgpd", "--shell", "/usr/sbin/nologin"]
            subprocess.run(["useradd", *home, "_openbgpd"], check=True, capture_output=True)
        os.makedirs("/run/openbgpd", exist_ok=True)
        return [str(self.installed.root / "usr/sbin/bgpd"), "-d", "-v", "-f", str(config)]

    def control(self, *words: str) -> str:
        return self.ask(self.installed.program("bgpctl"), "-s", "obgpd.sock", *words)

    def established(self, neighbor: str) -> bool:
        return "Established" in self.control("show", "neighbor", neighbor)

    def routes(self) -> set[str]:
        table = json.loads(self.control("-j", "show", "rib") or "{}")
        return {route["prefix"] for route in table.get("rib", [])} - set(self.prefixes)


class ExaBgp(Daemon):
    name = "exabgp"

    def config(self) -> str:
        run = f'run /bin/sh -c "cat >> {self.folder}/exa.json";'
        text = f"process dump {{ {run} encoder json; }}\n"
        for each in self.neighbors:
            routes = "".join(
                f"    route {prefix} next-hop {NEXT_HOP6 if ':' in prefix else NEXT_HOP4};\n"
                for prefix in self.prefixes
            )
            text += (
                f"neighbor {each.address} {{ router-id {self.router_id}; local-address {self.address};\n"
                f"  local-as {self.asn}; peer-as {each.asn}; outgoing-ttl 5;\n"
                + (f"  passive true; listen {self.port};\n" if each.passive else f"  connect {each.port};\n")
                + (f'  md5-password "{each.password}";\n' if each.password else "")
                + "  family { ipv4 unicast; ipv6 unicast; }\n"
                + "  api { processes [ dump ]; neighbor-changes; receive { parsed; update; } }\n"
                + f"  static {{\n{routes}  }}\n}}\n"
            )
        return text

    def environment(self) -> dict[str, str]:
        user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
        options = {"exabgp_tcp_bind": self.address, "exabgp_tcp_port": str(self.port), "exabgp_daemon_user": user}
        return os.environ | options | {"HOME": str(self.folder)}

    def command(self, config: Path) -> list[str]:
        return [self.installed.program("python"), "-m", "exabgp", "server", str(config)]

    def messages(self) -> Iterable[dict[str, Any]]:
        path = self.folder / "exa.json"
        for line in path.read_text().splitlines() if path.exists() else ():
            if line.startswith("{") and line.endswith("}"):
                yield json.loads(line)

    def established(self, neighbor: str) -> bool:
        states = [
            message["neighbor"]["state"]
            for message in self.messages()
            if message["type"] == "state" and message["neighbor"]["address"]["peer"] == neighbor
        ]
        return states[-1:] == ["up"]

    def routes(self) -> set[str]:
        found: set[tuple[str, str]] = set()
        for message in self.messages():
            if message["type"] != "update":
                continue
            neighbor: dict[str, Any] = message["neighbor"]
            peer, update = neighbor["address"]["peer"], neighbor["message"].get("update", {})
            for hops in update.get("announce", {}).values():
                found |= {(peer, route["nlri"]) for routes in hops.values() for route in routes if "nlri" in route}
            for routes in update.get("withdraw", {}).values():
                found -= {(peer, route["nlri"]) for route in routes}
        return {prefix for _, prefix in found}


DAEMONS: dict[str, type[Daemon]] = {each.name: each for each in (Bird, Frr, GoBgp, OpenBgpd, ExaBgp)}
