"""The API under what its own OpenAPI document allows, and does not allow: no answer is a 500, each is as described."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from bgplite import BgpLite, bgplite
from peers import wait_until

CONFIG = """\
RipeStat: {Url: "http://127.0.0.1:1", RetryAttempts: 0}
AnonymousRole: admin
PrefixSources:
  - {Name: cloud, Path: cloud.txt}
"""
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance,status_code_conformance"
PROGRAM = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
ENDLESS = ("--exclude-path", "/api/events")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "cloud.txt").write_text("1.0.0.0/24\n1.1.1.0/24\n")
    with bgplite(folder, CONFIG) as running:
        wait_until("the list is there", lambda: running.call("GET", "/readyz")[0] == 200)
        yield running


def fuzz(server: BgpLite, folder: Path, *words: str, config: str = "") -> None:
    assert PROGRAM is not None
    (folder / "schemathesis.toml").write_text(config)
    url = f"http://{server.address[0]}:{server.api_port}/api/openapi.json"
    command = [PROGRAM, "run", url, "--checks", CHECKS, "--no-color", "--request-timeout", "30", *ENDLESS, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="schemathesis is not installed")
def test_any_request_has_the_answer_that_the_document_describes(server, tmp_path):
    fuzz(server, tmp_path, "--phases", "coverage,fuzzing", "--max-examples", "10")


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="schemathesis is not installed")
def test_requests_for_a_peer_with_a_session(server, tmp_path):
    body = {"ip": "127.95.1.1", "asn": 65001, "lists": ["cloud"]}
    made = server.call("POST", "/api/peers", body)[1]
    source = server.call("POST", f"/api/peers/{made['id']}/sources", {"name": "a", "url": "http://127.0.0.1:1/"})[1]
    client = server.client(65001, source="127.95.1.1")
    client.until_complete()
    config = f"""\
[parameters]
"path.id" = "{made["id"]}"
"path.name" = "cloud"
"path.source" = "{source["id"]}"
"path.ip" = "127.95.1.1"
"path.asn" = "0"
"""
    gone = ("delete_peer", "bar_peer", "reset_peer", "delete_source")
    without = [word for name in gone for word in ("--exclude-operation-id", name)]
    fuzz(server, tmp_path, "--phases", "coverage,fuzzing", "--max-examples", "15", *without, config=config)
    assert server.get(f"/api/peers/{made['id']}")["ip"] == "127.95.1.1"


DEEP = b"[" * 200_000
BODIES = {
    "deep": DEEP,
    "deep in an object": b'{"ip":' + DEEP,
    "deep in a list": b'{"ip":"192.0.2.1","asn":65001,"lists":' + DEEP + b"]" * len(DEEP) + b"}",
    "many keys": b"{" + b",".join(b'"k%d":1' % number for number in range(60_000)) + b"}",
    "many prefixes": b'{"ip":"192.0.2.1","asn":65001,"customPrefixes":[' + b'"x",' * 200_000 + b'"x"]}',
    "a long number": b'{"ip":"192.0.2.1","asn":' + b"9" * 100_000 + b"}",
    "a long text": b'{"ip":"' + b"1" * 1_000_000 + b'","asn":65001}',
    "a NUL character": rb'{"ip":"192.0.2.1","asn":65001,"description":"\u0000"}',
    "half a surrogate": rb'{"ip":"192.0.2.1","asn":65001,"description":"\ud800"}',
    "NaN": b'{"ip":"192.0.2.1","asn":NaN}',
    "too large": b" " * 1_100_000,
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_deep_long_or_odd_are_refused(server, name):
    status, shown = server.call("POST", "/api/peers", BODIES[name])
    assert status in (400, 413), shown
    assert len(str(shown)) < 1000
    assert server.call("GET", "/api/peers?ip=192.0.2.1") == (200, [])


def test_slow_and_endless_bodies_keep_nobody_else_waiting(server):
    """A body of which an octet comes now and then, and one whose length is not said and that does not end."""
    request = "POST /api/peers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    slow = [socket.create_connection((server.address[0], server.api_port)) for _ in range(12)]
    for each in slow:
        each.sendall(f"{request}Content-Length: 1000\r\n\r\n{{".encode())
    endless = socket.create_connection((server.address[0], server.api_port))
    endless.sendall(f"{request}Transfer-Encoding: chunked\r\n\r\n".encode())
    stopped = threading.Event()

    def pour() -> None:
        try:
            while not stopped.is_set():
                endless.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        except OSError:
            stopped.set()

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        for _ in range(5):
            assert server.call("GET", "/api/my-ip")[0] == 200
        wait_until("the endless one is cut off", stopped.is_set)
    finally:
        stopped.set()
        thread.join(20)
        for each in (*slow, endless):
            each.close()
    assert server.call("GET", "/livez")[0] == 200


@pytest.mark.parametrize(
    "octets",
    [
        b"GET /api/peers/%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/peers/%ff%fe/why?target=%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/peers?limit=1&limit=x&search=%00%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/peers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n\xff",
        b"GET /api/peer/%2e%2e/communities HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/me HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: \xff\r\n\r\n",
        b"GET /api/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 99999999999999999999999\r\n\r\n",
        b"GET /api/peers HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"\xff\", W/, ,*\r\n\r\n",
        b"GET /api/peers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\n\r\n",
    ],
)  # fmt: skip
def test_odd_octets_are_no_fault_of_the_server(server, octets):
    with socket.create_connection((server.address[0], server.api_port), timeout=20) as connection:
        connection.sendall(octets)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status < 500
        answer.close()
