"""Stages of the configuration in the sessions of all peers."""

from __future__ import annotations

import json
import signal

import pytest
from bgplite import bgplite
from peers import wait_until

from bgpipe.routeserver.peer_stages import read_stage

LISTS = "DefaultPrefixSource: a\nPrefixSources: [{Name: a, Path: a.txt}]\n"


def six(metrics: str) -> int:
    """How many messages the stage `metrics` has counted as `six`."""
    (line,) = [line for line in metrics.splitlines() if "six" in line and not line.startswith("#")]
    return int(line.rpartition(" ")[2])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text("192.0.2.0/24\n198.51.100.0/24\n2001:db8:1::/48\n")
    return tmp_path


def test_all_sessions_write_into_one_file_and_a_policy_decides(folder):
    (folder / "policy.py").write_text(
        "from bgpipe import parse_prefix\nNET = {parse_prefix('192.0.2.0/24')}\n\n\n"
        "def update(m):\n    if NET.intersection(m.update.reach):\n        m.update = m.update.withdraw(NET)\n"
    )
    stages = "Stages:\n  - py -R policy.py\n  - write -LR --type UPDATE all.json\n  - \"metrics -LR -A 'six: ipv6'\"\n"
    with bgplite(folder, LISTS + stages) as server:
        for asn in (65003, 65004):
            client = server.client(asn)
            client.until_complete()
            assert client.routes.keys() == {"198.51.100.0/24", "2001:db8:1::/48"}
        text = server.octets("/metrics").decode()
        assert "six" in text, text
        client.peer.close()
        wait_until("the session has ended", lambda: server.get("/api/sessions")["active"] == 1)
        assert server.octets("/metrics").decode().count("bgpipe_sessions") == text.count("bgpipe_sessions")
        assert server.stop(signal.SIGTERM) == 0
    lines = [json.loads(line) for line in (folder / "all.json").read_text().splitlines()]
    reached = [prefix for line in lines for prefix in line[4].get("reach", ())]
    assert reached == ["198.51.100.0/24"] * 2


def test_a_stage_that_fails_ends_its_session_only(folder):
    (folder / "dies.sh").write_text("#!/bin/sh\ntest -e die && exit 3\nexec cat\n")
    (folder / "dies.sh").chmod(0o755)
    with bgplite(folder, f"{LISTS}Stages: [exec -R ./dies.sh]\n") as server:
        first = server.client()
        first.until_complete()
        (folder / "die").touch()
        server.client(65004)
        server.waits_for_log("session ended: ")
        assert "exec: exit code 3" in server.log
        first.hear_so_far()
        assert not first.withdrawn
        wait_until("the other one is over", lambda: server.get("/api/sessions")["active"] == 1)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("gerp ipv6", "grep"),
        ("grep", "needs"),
        ("grep ipv6 more", "more"),
        ("limit --session many", "session"),
        ("read a.mrt", "read: a session with a peer has its two ends already"),
        ("stdout", "stdout: "),
        ("bmp :5000", "bmp: "),
        ("rov -L", "rov: here VRPs are for lists"),
        ("write 'a", "quot"),
        ("grep 'prefx ~ 1'", "invalid attribute"),
        ("py nothere.py", "nothere.py: No such file"),
        ("head -n 5", "head: a session with a peer would end with it"),
        ("", "without words"),
    ],
)
def test_stages_that_can_not_be_there(words, error):
    with pytest.raises(ValueError, match=error):
        read_stage(words)
