"""Live tests wait for real timers: what fails once on a busy machine is tried again, which is counted at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
TRIES = 2
"""How often a live test is tried again."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.flaky(reruns=TRIES))
