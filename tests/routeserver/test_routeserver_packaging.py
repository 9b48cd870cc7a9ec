"""bgplite as a service and in a container: the files of examples/ agree with the program, and systemd is told."""

from __future__ import annotations

import configparser
import re
import signal
import socket
import tomllib
from pathlib import Path

from bgplite import bgplite, command

HERE = Path(__file__).parents[2]
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
CONTAINER = HERE / "examples/container"


def test_the_unit_of_systemd():
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(HERE / "examples/systemd/bgplite.service")
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["AmbientCapabilities"] == service["CapabilityBoundingSet"] == "CAP_NET_BIND_SERVICE"
    assert service["Environment"] == f"BGPLITE_DATA=/var/lib/{service['StateDirectory']}"
    assert Path(service["ExecStart"].split()[0]).name in PROJECT["scripts"]
    assert service["RestartPreventExitStatus"] == "2"  # a configuration with faults
    assert int(service["TimeoutStopSec"]) > 5


def test_systemd_is_told_that_it_is_ready_reloads_and_stops(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(20)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}

        def until(word: str) -> None:
            while word not in told.recv(4096).decode():
                pass

        with bgplite(tmp_path, environment=environment) as server:
            until("READY=1")
            until("WATCHDOG=1")
            server.process.send_signal(signal.SIGHUP)
            until("RELOADING=1")
            until("READY=1")
            server.process.send_signal(signal.SIGTERM)
            until("STOPPING=1")
            assert server.process.wait(20) == 0


def test_the_container():
    text = (CONTAINER / "Dockerfile").read_text()
    extras = re.search(r"'/src\[(.*?)\]'", text)
    assert extras is not None
    assert set(extras[1].split(",")) <= PROJECT["optional-dependencies"].keys()
    entry = re.search(r'ENTRYPOINT \["(\w+)"\]', text)
    assert entry is not None
    assert entry[1] in PROJECT["scripts"]
    assert "urlopen('http://127.0.0.1:5000/livez')" in text
    compose = (CONTAINER / "compose.yml").read_text()
    assert f"dockerfile: {(CONTAINER / 'Dockerfile').relative_to(HERE)}" in compose
    for path in re.findall(r"COPY (?!--)(\S+)", text):
        assert (HERE / path).exists()


def test_a_token_that_is_made_before_the_first_start(tmp_path):
    """As a container needs it, whose API is not on its own loopback only."""
    database = tmp_path / "data/bgplite.db"
    done = command("tokens", "add", "ops", "--role", "operator", "--database", str(database))
    token = done.stdout.split()[-1]
    with bgplite(tmp_path) as server:
        assert server.call("GET", "/api/peers")[0] == 401
        assert server.call("GET", "/api/peers", Authorization=f"Bearer {token}") == (200, [])
        assert server.call("GET", "/livez")[0] == 200
