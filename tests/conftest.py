"""What all tests share: where the vectors and the real archives are, if they are anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from commandline import bgpipe, sample, sample_json  # noqa: F401  (fixtures)
from vectors import SHARED

settings.register_profile(
    "check",
    derandomize=True,
    deadline=None,
    max_examples=100,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.register_profile(
    "hunt", deadline=None, max_examples=20_000, database=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "check"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with `vectors/` and `data/`."""
    if not SHARED.is_dir():
        pytest.skip(f"no {SHARED.name}/ folder beside the repository (BGPIPE_SHARED names another place)")
    return SHARED


@pytest.fixture(scope="session")
def data(shared: Path) -> Path:
    """Real MRT archives."""
    return shared / "data"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names the tests that were tried again: somebody has to look at each."""
    again = [report.nodeid for report in terminalreporter.stats.get("rerun", ())]
    if again:
        terminalreporter.section(f"{len(again)} tried again")
        for nodeid in again:
            terminalreporter.write_line(nodeid)
