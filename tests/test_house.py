"""The shape of the project: what may lie where, what may import what, and that documents name things that exist."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bgpipe
from bgpipe import accel, stages
from bgpipe.pipeline.stage import Stage
from bgpipe.runtime.options import GlobalOptions
from bgpipe.wire.message import UPDATE, Message
from bgpipe.wire.update import Update
from cases import all_cases

HERE = Path(__file__).resolve().parent.parent
SOURCES = sorted((HERE / "src").rglob("*.py")) + sorted((HERE / "src").rglob("*.pyx"))
DOCUMENTS = sorted(HERE.glob("*.md")) + sorted((HERE / "docs").rglob("*.md"))
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text())
AT_ROOT = {
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "RFCS.md",
    "THREATS.md",
    "appsettings.example.yml",
    "pyproject.toml",
    "setup.py",
    "zensical.toml",
}


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git clone")
    return done.stdout.splitlines()


def test_nothing_else_at_the_root():
    files = {name for name in tracked() if "/" not in name and not name.startswith(".")}
    assert files == AT_ROOT


def test_modules_are_of_a_size_to_be_read():
    lines = {path: path.read_text().count("\n") for path in [*SOURCES, *(HERE / "tests").rglob("*.py")]}
    most = {".py": 500, ".pyx": 800}  # what is close to C takes more lines to say the same
    assert {str(path.relative_to(HERE)): n for path, n in lines.items() if n > most[path.suffix]} == {}


def test_no_module_is_named_after_nothing():
    assert [path for path in SOURCES if re.search("util|helper|manager|common|misc", path.stem)] == []


def test_imports_go_downward_only():
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


CREATED_IN_TASKS = {
    "add_reader",
    "add_writer",
    "as_completed",
    "call_at",
    "call_later",
    "call_soon",
    "call_soon_threadsafe",
    "create_task",
    "ensure_future",
    "fork",
    "gather",
    "new_event_loop",
    "run_coroutine_threadsafe",
    "run_forever",
    "run_in_executor",
    "run_until_complete",
    "shield",
    "start_new_thread",
    "start_server",
    "start_unix_server",
    "to_thread",
    "ProcessPoolExecutor",
    "SelectorEventLoop",
    "TaskGroup",
    "Thread",
    "ThreadPoolExecutor",
}
"""What creates tasks, timers, threads and event loops."""
CREATED_BY = {
    "asyncio": {"run", "Runner", "Task", "wait_for"},
    "threading": {"Thread", "Timer"},
    "multiprocessing": {"Process", "Pool"},
}
"""The same, for names that mean something else elsewhere."""
ANY_CREATION = re.compile(
    r"\b(?:%s)\b" % "|".join({*CREATED_IN_TASKS, *(name for names in CREATED_BY.values() for name in names)})
)
SCOPES = {"self", "stage", "_stage", "scope", "tasks", "_tasks"}
"""Who has functions `call_soon` and `call_later` that are those of a scope: Tasks, and Stage, which asks it."""


def creations(path: Path) -> list[str]:
    """The calls in a module that create what has no owner."""
    found: list[str] = []
    text = path.read_text()
    if not ANY_CREATION.search(text):
        return found  # to parse all modules takes long
    tree = ast.parse(text)
    annotations = [getattr(node, name, None) for node in ast.walk(tree) for name in ("annotation", "returns")]
    types = {inside for each in annotations if each is not None for inside in ast.walk(each)}
    for node in ast.walk(tree):
        if node in types:
            continue
        called = node.func if isinstance(node, ast.Call) else None
        receiver = name = ""
        if isinstance(node, ast.ImportFrom) and node.module in CREATED_BY:
            words = CREATED_IN_TASKS | CREATED_BY[node.module]
            found += [f"{node.lineno}: import of {each.name}" for each in node.names if each.name in words]
        elif isinstance(node, ast.Attribute) and node.attr in CREATED_IN_TASKS - {"call_soon", "call_later"}:
            name = node.attr  # also where it is only handed on, as to `partial`
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            receiver, name = node.value.id, node.attr
            if name not in CREATED_BY.get(receiver, ()):
                name = ""
        if isinstance(called, ast.Attribute) and called.attr in ("call_soon", "call_later"):
            receiver = getattr(called.value, "id", getattr(called.value, "attr", ""))
            name = "" if receiver in SCOPES else called.attr
        elif isinstance(called, ast.Name) and called.id in CREATED_IN_TASKS:
            name = called.id
        if name:
            found.append(f"{node.lineno}: {receiver}.{name}")
    return found


def test_one_module_alone_creates_tasks_timers_and_threads():
    """So each has a name, an owner and an error handler. There are no exceptions."""
    tasks = HERE / "src/bgpipe/tasks.py"
    found = {path: creations(path) for path in SOURCES if path.suffix == ".py" and path != tasks}
    assert {str(path.relative_to(HERE)): calls for path, calls in found.items() if calls} == {}
    assert len(creations(tasks)) > 8  # it finds them where they are


@pytest.mark.parametrize(
    "line",
    [
        "asyncio.create_task(work())",
        "asyncio.get_running_loop().call_later(1, print)",
        "self._loop.call_soon(print)",
        "partial(loop.call_soon_threadsafe, print)",
        "await asyncio.gather(one(), two())",
        "asyncio.run(main())",
        "threading.Timer(1, print).start()",
        "from threading import Thread",
        "from asyncio import run",
    ],
)
def test_what_has_no_owner_is_found(line, tmp_path):
    path = tmp_path / "module.py"
    path.write_text("async def function(self):\n    " + line + "\n")
    assert creations(path)


@pytest.mark.parametrize(
    "line", ["self._tasks.call_later('name', 1, print)", "stage.call_soon(print)", "timers.Timer.HOLD"]
)
def test_what_has_an_owner_is_not(line, tmp_path):
    path = tmp_path / "module.py"
    path.write_text("async def function(self):\n    " + line + "\n")
    assert creations(path) == []


@pytest.mark.parametrize("name", stages.builtin())
def test_every_stage_has_a_page_with_all_its_options(name):
    page = (HERE / f"docs/stages/{name}.md").read_text()
    own = stages.find(name).declared().keys() - Stage.declared().keys()
    assert [option for option in own if f"--{option}" not in page] == []
    assert f"({name}.md)" in (HERE / "docs/stages/index.md").read_text()


def test_every_common_option_is_documented():
    page = (HERE / "docs/command-line.md").read_text()
    options = GlobalOptions.declared().keys() | Stage.declared().keys()
    assert [option for option in options if f"--{option}" not in page] == []


def exported() -> list[tuple[str, str]]:
    import bgpipe
    import bgpipe.stage

    return [(module.__name__, name) for module in (bgpipe, bgpipe.stage) for name in module.__all__]


@all_cases(("module", "name"), exported())
def test_every_exported_name_has_a_docstring_and_is_on_the_api_page(module, name):
    value = getattr(sys.modules[module], name)
    if isinstance(value, type) or inspect.isfunction(value):
        assert (value.__doc__ or "").strip(), f"{module}.{name} has no docstring"
    assert f"\n### {name}" in (HERE / "docs/api.md").read_text(), f"{module}.{name} is not on the page: run make api"


def test_every_dependency_has_its_reason():
    table = (HERE / "ARCHITECTURE.md").read_text()
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["speed"], *extras["server"]]
    names = [re.match(r"[\w.-]+", line)[0] for line in wanted]
    assert [name for name in names if f"`{name}`" not in table] == []


def test_architecture_is_short():
    assert (HERE / "ARCHITECTURE.md").read_text().count("\n") <= 150


def test_changelog_has_this_version():
    import bgpipe

    assert bgpipe.__version__ == PROJECT["project"]["version"]
    assert f"## {bgpipe.__version__}" in (HERE / "CHANGELOG.md").read_text()


@all_cases("document", DOCUMENTS, ids=lambda path: str(path.relative_to(HERE)))
def test_paths_in_documents_exist(document):
    text = document.read_text()
    named = set(re.findall(r"`((?:src|tests|docs|examples|bench)/[\w./-]+)`", text))
    packages = "|".join(path.parent.name for path in (HERE / "src/bgpipe").glob("*/__init__.py"))
    paths = re.findall(rf"`((?:{packages})/[\w./]*)`", text)
    named |= {f"src/bgpipe/{path}" for path in paths if not path.rpartition("/")[2].isupper()}  # an event has capitals
    assert {name for name in named if not (HERE / name).exists()} == set()
    links = set(re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text))
    assert {link for link in links if not (document.parent / link).exists()} == set()


def anchors(page: Path) -> set[str]:
    """What links into a page may end in: its headings, as GitHub and the documentation's builder name them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@all_cases("document", DOCUMENTS, ids=lambda path: str(path.relative_to(HERE)))
def test_links_to_sections_lead_somewhere(document):
    links = re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", document.read_text())
    targets = [(document.parent / path if path else document, anchor) for path, anchor in links]
    assert [anchor for page, anchor in targets if page.suffix == ".md" and anchor not in anchors(page)] == []


def test_every_page_is_found_from_the_first():
    found: set[Path] = set()
    waiting = [HERE / "docs/index.md"]
    while waiting:
        page = waiting.pop()
        if page not in found:
            found.add(page)
            links = re.findall(r"\]\(([^)#:\s]+\.md)", page.read_text())
            waiting += [(page.parent / link).resolve() for link in links]
    assert set((HERE / "docs").rglob("*.md")) - found == set()


@pytest.mark.parametrize("url", ["", "https://git.example/bgpipe"])
def test_a_package_index_shows_the_readme_without_dead_links(url):
    """Links to files lead to the repository where a release says where that is, and are left out else."""
    code = "import json, runpy, setuptools; found = {}; setuptools.setup = lambda **words: found.update(words); "
    code += "runpy.run_path('setup.py'); print(json.dumps([found['long_description'], found['project_urls']]))"
    env = {**os.environ, "BGPIPE_ACCEL": "0", "BGPIPE_URL": url}
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True, env=env)
    text, urls = json.loads(done.stdout)
    links = [*re.findall(r"\]\(([^)]+)\)", text), *urls.values()]
    assert links
    assert [link for link in links if not link.startswith("https://")] == []
    files = [link.removeprefix(f"{url}/blob/HEAD/") for link in links if url and link.startswith(f"{url}/blob")]
    assert [name for name in files if not (HERE / name.partition("#")[0]).is_file()] == []
    assert bool(files) == bool(urls) == bool(url)


def test_navigation_has_every_page():
    named = set(re.findall(r'= "([\w/-]+\.md)"', (HERE / "zensical.toml").read_text()))
    assert named == {str(page.relative_to(HERE / "docs")) for page in (HERE / "docs").rglob("*.md")}


def test_rfcs_are_named_where_the_table_says():
    rows = re.findall(r"^\| ([\d, ]+)[^|]*\|[^|]*\| ([^|]*) \|", (HERE / "RFCS.md").read_text(), re.MULTILINE)
    assert len(rows) > 20
    for rfcs, where in rows:
        places = [HERE / "src/bgpipe" / name for name in re.findall(r"`([\w/.]+)`", where)]
        files = [file for place in places for file in (place.glob("*.py") if place.is_dir() else [place])]
        text = "".join(file.read_text() for file in files)
        assert [rfc for rfc in re.findall(r"\d+", rfcs) if f"RFC {rfc}" not in text] == [], where


def test_no_path_of_one_machine():
    pattern = re.compile(r"(?<![.\w])/(?:tmp|root|home|work)/[a-z]")
    found = []
    for name in tracked():
        path = HERE / name
        if path.suffix in {".py", ".md", ".toml", ".pyx", ".pxd", ".sh", ""} and path.is_file():
            found += [name for line in path.read_text(errors="replace").splitlines() if pattern.search(line)]
    assert [name for name in found if name != "tests/test_house.py"] == []


def test_import_is_light():
    """`import bgpipe` loads nothing heavy; that is what keeps it under a tenth of a second."""
    heavy = {"asyncio", "aiohttp", "lark", "re2", "rich", "structlog", "msgspec", "isal", "socket"}
    code = f"import sys, bgpipe; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"


def test_an_archive_to_json_loads_only_what_it_needs(tmp_path):
    """The start is the largest part of a filter on a small file."""
    body = Update.make(reach=["192.0.2.0/24"], attrs={"ORIGIN": "IGP", "ASPATH": [1]}, next_hop="192.0.2.1").body
    bgpipe.write(str(tmp_path / "small.mrt"), [Message(UPDATE, body, time=1)])
    code = "import sys; from bgpipe.cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, "-l", "error", str(tmp_path / "small.mrt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    loaded = done.stderr.split()
    assert done.stdout.count("UPDATE") == 1
    others = {"aiohttp", "argparse", "msgspec", "re2", "rich", "websockets"}
    if accel.AVAILABLE:
        others |= {"dataclasses", "datetime", "json", "zlib"}
    assert sorted(others & {*loaded}) == []
    ours = [name for name in loaded if name.startswith("bgpipe.")]
    for package in ("filters", "library", "net.http", "net.layout", "rpki", "routes", "wire.caps", "wire.open"):
        assert not [name for name in ours if name.startswith(f"bgpipe.{package}")]
