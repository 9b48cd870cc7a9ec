"""Stages are found by their names, and other packages bring some by entry points."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

import pytest

from bgpipe import stages
from bgpipe.pipeline.errors import ConfigError
from bgpipe.pipeline.stage import Stage
from commandline import spawn

HERE = Path(__file__).resolve().parent.parent.parent
EXAMPLE = HERE / "examples" / "prepend"


def test_every_stage_is_found_and_says_what_it_does():
    assert {"drop", "grep", "head", "read", "stdin", "stdout", "write"} <= set(stages.builtin())
    for name in stages.builtin():
        stage = stages.find(name)
        assert stage is not None
        assert issubclass(stage, Stage)
        assert stages.summary(name) == stage.__doc__.strip().partition("\n")[0], name
        assert stages.summary(name)[0].isupper()


def test_every_option_says_what_it_is_for():
    for name in stages.builtin():
        for option in stages.find(name).declared().values():
            assert option.help, (name, option.name)
            assert option.kind.flag or option.metavar, (name, option.name)


def test_no_two_options_share_a_name_or_a_letter():
    for name in stages.builtin():
        options = stages.find(name).declared().values()
        names = [each for option in options for each in (option.name, *option.old, *option.switches)]
        letters = [option.short for option in options if option.short]
        assert len(set(names)) == len(names), name
        assert len(set(letters)) == len(letters), name


def test_what_is_no_stage():
    assert stages.find("no-such-stage") is None
    assert stages.find("engine") is None
    assert stages.find("__init__") is None


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The example as if pip had installed it."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    folder = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["bgpipe.stages"]
    lines = ["[bgpipe.stages]", *(f"{name} = {target}" for name, target in points.items()), ""]
    lines += ["broken = bgpipe_prepend:NoSuchThing", "wrong = os:getcwd", "newer = newer:Newer", ""]
    (tmp_path / "newer.py").write_text("from bgpipe.stage import Stage\n\nclass Newer(Stage):\n    api = 99\n")
    (folder / "entry_points.txt").write_text("\n".join(lines))
    source = str(Path(stages.__file__).parent.parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(EXAMPLE), source))}


def test_a_stage_of_another_package(installed, sample, sample_json):
    done = spawn("read", sample, "--", "prepend", "--asn", "64500", "-n", "2", "--", "stdout", env=installed)
    assert done.code == 0
    paths = [
        (before[4]["attrs"]["ASPATH"]["value"], after[4]["attrs"]["ASPATH"]["value"])
        for before, after in zip(sample_json, done.lines, strict=True)
        if before[3] == "UPDATE" and "ASPATH" in before[4].get("attrs", {}) and "AS4PATH" not in before[4]["attrs"]
    ]
    assert len(paths) > 1000
    assert all(after == [64500, 64500, *before] for before, after in paths)


def test_it_is_listed_and_helped_and_explained(installed):
    text = spawn("-h", env=installed).out.decode()
    assert "prepend                         Prepend an AS number" in text
    assert "broken                          stage broken, from bgpipe_prepend:NoSuchThing, can't be loaded" in text
    assert "-n, --count N" in spawn("prepend", "-h", env=installed).out.decode()
    assert "[1] prepend --asn 1" in spawn("-n", "prepend", "--asn", "1", env=installed).out.decode()
    done = spawn("prepend", "--ans", "1", env=installed)
    assert (done.code, "prepend: unknown option --ans, did you mean --asn?" in done.err) == (2, True)
    done = spawn("prepnd", env=installed)
    assert done.err == "bgpipe: prepnd: no such stage or file, did you mean prepend?\n"


def test_one_that_cannot_be_loaded_says_so(installed):
    done = spawn("broken", env=installed)
    assert done.code == 2
    assert done.err.startswith("bgpipe: stage broken, from bgpipe_prepend:NoSuchThing, can't be loaded: ")
    done = spawn("wrong", env=installed)
    assert done.err.startswith("bgpipe: stage wrong, from os:getcwd, is no subclass of")
    done = spawn("newer", env=installed)
    assert done.code == 2
    assert "needs version 99 of bgpipe.stage, and this bgpipe has version 1: install a newer bgpipe" in done.err


def test_loading_in_this_process(installed, monkeypatch):
    for path in installed["PYTHONPATH"].split(os.pathsep):
        monkeypatch.syspath_prepend(path)
    stages._entry_points.cache_clear()
    try:
        stage = stages.find("prepend")
        assert stage is not None
        assert stage("prepend").declared()["asn"].metavar == "ASN"
        with pytest.raises(ConfigError, match="can't be loaded"):
            stages.find("broken")
    finally:
        stages._entry_points.cache_clear()
        sys.modules.pop("bgpipe_prepend", None)


def test_a_stage_hears_of_events(sample, tmp_path):
    """By the names that --wait takes; what the handler raises is the stage's error."""
    import bgpipe
    from bgpipe.stage import Consuming, Event, Message

    heard: list[str] = []

    class Hears(Consuming):
        def attach(self) -> None:
            self.watch(self.on_message, passive=True)
            self.on_events(["read", "STOP"], self.on_event)

        def on_message(self, message: Message) -> None:
            pass

        def on_event(self, event: Event) -> None:
            heard.append(event.name)
            if event.name == "read/STOP":
                raise KeyError("x")

    result = bgpipe.run(
        stages=[f"read {sample}", "head -n 3", Hears, {"write": str(tmp_path / "out.json")}], check=False
    )
    assert heard == ["read/PREPARE", "read/READY", "read/START", "bgpfix/pipe.STOP", "read/STOP"]
    assert str(result.error) == "[3] hears: KeyError: 'x'"
