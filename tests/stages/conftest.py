"""What tests of stages share."""

from __future__ import annotations

import pytest
from sessions import address

from bgpipe.net import websocket
from bgpipe.stages.base import link_attempts
from certificates import Authority


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """ca, cert and key: PEM files for the address that a test listens at, and for clients."""
    authority = Authority(tmp_path_factory.mktemp("certificates"), "authority")
    cert, key = authority.issue("archive", address().partition(":")[0])
    return {"ca": str(authority.cert), "cert": str(cert), "key": str(key)}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Links are tried again at once, and a client that reads waits shortly for the last."""
    monkeypatch.setattr(link_attempts, "backoff", lambda attempt: 0.01)
    monkeypatch.setattr(websocket, "QUIET", 0.2)
