"""TLS contexts: what they show, and whom they trust."""

from __future__ import annotations

import ssl

import pytest

from bgpipe.net.tls import client_context, server_context
from certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "authority")


def shake(
    client: ssl.SSLContext, server: ssl.SSLContext, host: str = "192.0.2.1"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A handshake in memory; both ends after it. Raises ssl.SSLError."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    left = list(ends)
    for _ in range(10):
        for end in tuple(left):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            left.remove(end)
    ends[1].write(b"up")
    assert ends[0].read(2) == b"up"  # with TLS 1.3, a client hears only now that its certificate was refused
    return ends


def test_both_sides_show_certificates(authority) -> None:
    mine, yours = authority.issue("client"), authority.issue("server", "192.0.2.1")
    client = client_context(cert=str(mine[0]), key=str(mine[1]), ca=str(authority.cert))
    server = server_context(cert=str(yours[0]), key=str(yours[1]), ca=str(authority.cert))
    left, right = shake(client, server)
    assert dict(each[0] for each in left.getpeercert()["subject"])["commonName"] == "server"  # type: ignore[index]
    assert dict(each[0] for each in right.getpeercert()["subject"])["commonName"] == "client"  # type: ignore[index]


def test_who_is_not_trusted(authority, tmp_path) -> None:
    other = Authority(tmp_path, "other")
    cert, key = map(str, authority.issue("plain", "192.0.2.1"))
    server = server_context(cert=cert, key=key)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"unable to get|self.signed"):
        shake(client_context(ca=str(other.cert)), server)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"IP address mismatch|doesn't match"):
        shake(client_context(ca=str(authority.cert)), server, "192.0.2.9")
    shake(client_context(insecure=True), server, "192.0.2.9")


def test_clients_without_a_certificate_of_the_authority(authority, tmp_path) -> None:
    cert, key = map(str, authority.issue("strict", "192.0.2.1"))
    server = server_context(cert=cert, key=key, ca=str(authority.cert))
    stranger = tuple(map(str, Authority(tmp_path, "other").issue("stranger")))
    for client in (client_context(insecure=True), client_context(insecure=True, cert=stranger[0], key=stranger[1])):
        with pytest.raises(ssl.SSLError):
            shake(client, server)


def test_files_that_can_not_be(authority, tmp_path) -> None:
    cert, key = map(str, authority.issue("lone"))
    with pytest.raises(ValueError, match="--key without --cert"):
        client_context(key=key)
    with pytest.raises(ValueError, match="needs --cert"):
        server_context(cert="")
    with pytest.raises(ValueError, match="not a certificate with its key"):
        server_context(cert=cert)
    with pytest.raises(OSError, match="No such file"):
        server_context(cert=str(tmp_path / "none"))


@pytest.mark.parametrize(("cert", "key", "named"), [("none", "key", "--cert none"), ("cert", "none", "--key none")])
def test_the_file_that_is_not_there_is_named(authority, tmp_path, monkeypatch, cert, key, named) -> None:
    made = dict(zip(("cert", "key"), map(str, authority.issue("named")), strict=True))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=f"{named}: No such file"):
        server_context(cert=made.get(cert, cert), key=made.get(key, key))
    with pytest.raises(OSError, match="--ca none: No such file"):
        client_context(ca="none")
