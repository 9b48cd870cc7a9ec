"""Installs this project with pip, and shows what goes on: pip alone is silent while it compiles.

python .ci/install.py SPEC [INSTEAD ...]      installs SPEC in place (pip install -e), or what comes next if that fails
python .ci/install.py --extra NAME            installs what an extra needs, beside the project that is installed
python .ci/install.py --wheel FOLDER SPEC     builds a wheel of it into FOLDER
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

LOG = Path(sys.prefix) / "install.log"
STEPS = [
    (re.compile(r"(?:Collecting|Installing (?:build dependencies|collected packages)|Building wheel)\b.*"), "{0}"),
    (re.compile(r"building '(bgpipe\.accel\.\w+)' extension"), "compiling {1}"),
    (re.compile(r"(?:warning|error): .*|.*\bcommand '.*' failed.*"), "{0}"),
]


def describe(line: str) -> str:
    """What a line of pip's output means to somebody who waits; "" for nothing."""
    for pattern, text in STEPS:
        if found := pattern.match(line):
            return text.format(found[0], *found.groups())
    return ""


def pip(words: Sequence[str]) -> bool:
    """Runs pip, and shows its steps with the seconds since it began; whether it succeeded."""
    start = time.monotonic()
    command = [sys.executable, "-m", "pip", "-v", "--disable-pip-version-check", *words]
    with LOG.open("w") as log, subprocess.Popen(command, stdout=-1, stderr=-2, text=True, errors="replace") as process:
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            if step := describe(line.strip()):
                print(f"  {time.monotonic() - start:3.0f} s  {step[:110]}", flush=True)
    return process.returncode == 0


def main(words: Sequence[str]) -> int:
    wait = "the compiled part takes a minute or two; "
    if words[0] == "--wheel":
        folder, *specs = words[1:]
        tries = [["wheel", "--no-deps", "--wheel-dir", folder, spec] for spec in specs]
    elif words[0] == "--extra":
        project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
        tries = [["install", *project["optional-dependencies"][words[1]]]]
        wait = ""
    else:
        tries = [["install", "-e", spec] for spec in words]
    for each in tries:
        print(f"pip {' '.join(each)}   ({wait}all of its output: {LOG})", flush=True)
        if pip(each):
            return 0
    print("\n".join(LOG.read_text(errors="replace").splitlines()[-40:]), file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
