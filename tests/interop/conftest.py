"""The daemons, once for all tests; and bgpipe in a process beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Installed, Unavailable, fetch
from processes import FOLDER, REQUIRED, Run, runner


@pytest.fixture(scope="session")
def installed() -> Installed:
    try:
        return fetch(Path(os.environ.get("BGPIPE_PEERS", FOLDER)))
    except Unavailable as error:
        if REQUIRED:
            raise
        pytest.skip(f"no daemons: {error}")


@pytest.fixture
def run(tmp_path) -> Iterator[Run]:
    with runner(tmp_path) as start:
        yield start
