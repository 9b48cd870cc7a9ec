"""`make demo-routeserver`, with BIRD and where it can't be had."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.interop
SCRIPT = Path(__file__).resolve().parent.parent.parent / "examples/demo-routeserver.sh"


@pytest.mark.parametrize("with_bird", [True, False])
def test_the_demonstration(tmp_path: Path, with_bird: bool) -> None:
    if not with_bird:
        (tmp_path / "apt-get").write_text("#!/bin/sh\nexit 100\n")
        (tmp_path / "apt-get").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "BIN": str(Path(sys.executable).parent)}
    done = subprocess.run(
        ["sh", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"UPDATE",{"reach":["1.2.3.0/24"],' in done.stdout
    assert ("1.2.3.0/24           unreachable [bgplite" in done.stdout) is with_bird
    assert ("BIRD can't be had here" in done.stdout) is not with_bird
