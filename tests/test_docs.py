"""The documents are run: every ```console block and every ```python block of README.md and docs/ does what it shows.

A console block has commands (`$ command`, continued with a backslash) and what they print, on either stream. A python
block may be followed by an ```output block, which is what it prints. In expected output, a line `...` stands for any
lines and `...` within a line for any text. A command must succeed, unless an error of bgpipe is what it prints. A block
with a title is a file of that name. The blocks of one page run in order in one directory, which holds the sample that
`make demo` makes.

`pip install ./FOLDER` installs into that directory alone, and without asking an index.

A `sh` block has commands that need routers, rights or hosts that a test has not: of each bgpipe in it, the command line
is read and its pipeline explained (`bgpipe -n`).
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import fork_server
from commandline import once
from leaks import LEAKS

HERE = Path(__file__).resolve().parent.parent
PAGES = [HERE / "README.md", *sorted((HERE / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)(?: title=\"([\w./-]+)\")?[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PIP = """pip() { python -m pip -q --disable-pip-version-check install --no-deps --no-build-isolation --no-index \
  --target .installed "${@:2}"; }
"""
"""What pip is on a page: it installs a folder beside the page's files."""
EXPORTS = """[ ! -f .exports ] || . ./.exports
export() { builtin export "$@" && builtin export -p >.exports; }
"""
"""What a page exports holds for the commands behind it."""
INSTALLED = Path(sys.executable).parent
"""Where the commands are as users have them: for the first page, and where a page installs something beside them."""
TIMEOUT = 120
SLOW = {
    "docs/attributes.md",
    "docs/command-line.md",
    "docs/families.md",
    "docs/formats.md",
    "docs/proxy.md",
    "docs/recipes.md",
    "docs/stages/exec.md",
    "docs/stages/index.md",
    "docs/stages/limit.md",
    "docs/stages/speaker.md",
    "docs/stages/websocket.md",
    "docs/tutorial-archives.md",
    "docs/tutorial-routers.md",
    "docs/tutorial-routeserver.md",
    "docs/writing-a-format.md",
    "docs/writing-a-policy.md",
    "docs/writing-a-source.md",
    "docs/writing-a-stage.md",
    "examples/bgpdump.py",
    "examples/flaps.py",
    "examples/origins.py",
}
"""Pages and examples that take long: make test-all."""


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Path:
    from bgpipe.sample import write_sample

    return once(tmp_path_factory, "sample", write_sample)


def commands(block: str) -> Iterator[tuple[str, str]]:
    """(command, expected output) of a console block."""
    command, output, continued = "", "", False
    for line in block.splitlines(keepends=True):
        if continued:
            command += line
        elif line.startswith("$ "):
            if command:
                yield command, output
            command, output = line[2:], ""
        else:
            output += line
            continue
        continued = line.endswith("\\\n")
    if command:
        yield command, output


def matches(expected: str, printed: str) -> bool:
    """Whether what was printed is what was expected, wildcards considered."""
    pattern = ""
    for line in expected.strip("\n").splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += r"[^\n]*".join(map(re.escape, line.rstrip().split("..."))) + r"[ \t]*\n"
    return re.fullmatch(pattern, printed.strip("\n") + "\n" if printed.strip() else "") is not None


@pytest.fixture(scope="session")
def quick_commands(tmp_path_factory) -> Path:
    """A folder with our commands, without the start of an interpreter for each."""
    folder: Path = tmp_path_factory.mktemp("bin")
    for name in fork_server.COMMANDS:
        fork_server.client(folder, name, os.environ)
    return folder


def run_console(block: str, directory: Path, programs: Path) -> None:
    path = os.pathsep.join(map(str, (programs, INSTALLED, os.environ["PATH"])))
    found = os.pathsep.join(filter(None, (str(directory / ".installed"), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PATH": path, "PYTHONPATH": found, "NO_COLOR": "1", "COLUMNS": "120"}
    for command, expected in commands(block):
        done = subprocess.run(
            ["bash", "-c", f"{PIP}{EXPORTS}{command}"],
            cwd=directory,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert not LEAKS.search(done.stdout), f"$ {command}\n{done.stdout}"
        if expected.strip():
            assert matches(expected, done.stdout), f"$ {command}\n{done.stdout}\nand not\n{expected}"
        if not re.search(r"^bgpipe: ", expected, re.MULTILINE):  # it is not an error that the page shows
            assert done.returncode == 0, f"$ {command}\n{done.stdout}"


def parse_console(block: str, directory: Path, programs: Path) -> None:
    """Lets every bgpipe of a block explain itself instead of running."""
    bgpipe = programs / "bgpipe"
    for command, _ in commands(block):
        if not re.search(r"\bbgpipe ", command):
            continue
        # reads to its end what is piped into it, as it would without -n: else what stands before dies of a closed pipe
        explain = f'bgpipe() {{ "{bgpipe}" -n "$@" && command cat >/dev/null; }}'
        others = "cat() { :; }\ntee() { command cat; }\npython() { command cat; }"
        script = f"set -o pipefail\n{others}\n{explain}\n{command}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stderr}"
        assert "MESSAGES FLOWING RIGHT" in done.stdout


def run_python(block: str, names: dict[str, object]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block, "<example>", "exec"), names)
    return printed.getvalue()


def cases(paths: Iterable[Path]) -> list[object]:
    named = [(path, str(path.relative_to(HERE))) for path in paths]
    return [pytest.param(path, id=name, marks=[pytest.mark.slow] if name in SLOW else []) for path, name in named]


@pytest.fixture
def background(tmp_path) -> Iterator[None]:
    """Ends what a page runs in the background, of which it writes the process id to a file `NAME.pid`."""
    yield
    for path in tmp_path.glob("*.pid"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(path.read_text()), signal.SIGTERM)


@pytest.mark.parametrize("page", cases(PAGES))
def test_page(page, sample, tmp_path, monkeypatch, background, quick_commands):
    (tmp_path / "sample").symlink_to(sample, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    printed = ""
    text = page.read_text()
    programs = INSTALLED if page.name == "README.md" or "$ pip install" in text else quick_commands
    for language, title, block in FENCE.findall(text):
        if title:
            (tmp_path / title).parent.mkdir(exist_ok=True)
            (tmp_path / title).write_text(block)
        elif language == "console":
            run_console(block, tmp_path, programs)
        elif language == "sh":
            parse_console(block, tmp_path, programs)
        elif language == "python":
            printed = run_python(block, names)
        elif language == "output":
            assert matches(block, printed), printed


@pytest.mark.parametrize("example", cases(sorted((HERE / "examples").glob("*.py"))))
def test_example(example, sample, tmp_path):
    """Every example runs on the sample, and prints something."""
    (tmp_path / "sample").symlink_to(sample, target_is_directory=True)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example), "sample/updates.mrt.gz"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_wildcards():
    assert matches("a\n...\nb ... c\n", "a\nx\ny\nb 1 c\n")
    assert matches("a\n...\n", "a\n")
    assert not matches("a\nb\n", "a\nc\n")
    assert not matches("b ... c\n", "b\nc\n")


def test_commands():
    block = "$ one \\\n  more\nout\n$ two\n"
    assert list(commands(block)) == [("one \\\n  more\n", "out\n"), ("two\n", "")]


def test_servers_of_two_pages_have_ports_of_their_own():
    """Pages are run at the same time."""
    used: dict[str, str] = {}
    for page in PAGES:
        for language, title, block in FENCE.findall(page.read_text()):
            if language == "yaml" and title == "appsettings.yml":
                for port in re.findall(r"\b(?:Port|ApiPort): (\d+)", block):
                    assert used.setdefault(port, page.name) == page.name, f"{port} is a port of {used[port]} too"
    assert used
