"""The clients of these tests are peers of the live tests, and the slow policy is that of the tests of routes."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent / folder) for folder in ("live", "routes")]
