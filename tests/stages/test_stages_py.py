"""The stage py: what a policy may return, what becomes of its errors, and that it is loaded anew."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bgpipe import accel
from bgpipe.pipeline.errors import ConfigError, StageError
from bgpipe.pipeline.events import ANY, Event
from bgpipe.runtime.reload import reload_all
from bgpipe.stages.py import Py
from bgpipe.wire.flags import FLAG_RIB
from bgpipe.wire.message import KEEPALIVE, OPEN, UPDATE, Message
from bgpipe.wire.open import Open
from bgpipe.wire.update import Update
from commandline import spawn
from playbook import Feeder, begin, block, feed, stage

EXAMPLES = Path(__file__).parents[2] / "examples/policies"
MODES = ["messages", pytest.param("blocks", marks=pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT))]


class Log:
    """Remembers what is told at each level."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda text, **fields: self.lines.append((level, text, fields))

    def texts(self, level: str) -> list[str]:
        return [text for each, text, _ in self.lines if each == level]


class Bench:
    """A pipeline with one policy in it; what a policy asks for is under `asked` in its module."""

    def __init__(self, path: Path, words: str = "", mode: str = "messages", arguments: Iterable[str] = ()) -> None:
        self.source, self.py = stage(Feeder, "-R"), stage(Py, words)
        self.py.arguments = [str(path), *arguments]
        self.mode = mode
        self.log = Log()
        self.left: list[Any] = []
        self.events: list[Event] = []
        self.pipeline = begin(self.source, self.py, log=self.log)
        self.pipeline.bus.on([ANY], self.events.append)
        self.pipeline.lines["R"].outputs.append(self.left.append)
        asyncio.run(self.py.prepare())

    @property
    def module(self) -> Any:
        return self.py.policy.module

    def send(self, *messages: Message) -> list[Message]:
        """What leaves of these."""
        self.left.clear()
        feed(self.source.inlet, *([block(*messages)] if self.mode == "blocks" else messages))
        return [message for item in self.left for message in ([item] if isinstance(item, Message) else item)]


@pytest.fixture
def make(tmp_path):
    benches = []

    def make(text: str, words: str = "", mode: str = "messages", **settings: Any) -> Bench:
        path = tmp_path / "policy.py"
        path.write_text(text)
        benches.append(Bench(path, words, mode, **settings))
        return benches[-1]

    yield make
    for bench in benches:
        asyncio.run(bench.py.stop())


def message(prefix: str = "10.0.0.0/8", asn: int = 65001, withdrawn: Iterable[str] = ()) -> Message:
    attrs = {"ORIGIN": "IGP", "ASPATH": [asn]}
    return Message(UPDATE, Update.make(reach=[prefix], withdrawn=withdrawn, attrs=attrs, next_hop="192.0.2.1").body)


def prefixes(messages: Iterable[Message]) -> list[str]:
    return [" ".join(map(str, each.update.reach)) for each in messages]


def seven() -> list[Message]:
    return [message(f"{number}.0.0.0/8", 65000 + number) for number in range(1, 8)]


# What a function returns


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("answer", ["None", "True", "m"])
def test_nothing_and_true_pass(make, mode, answer):
    bench = make(f"def update(m):\n    return {answer}\n", mode=mode)
    assert [each.body for each in bench.send(*seven())] == [each.body for each in seven()]
    assert mode == "messages" or len(bench.left) == 1


@pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
def test_blocks_that_nobody_changes_stay_as_they_are(make):
    bench = make("def update(m):\n    m.tags['PEER_AS'] if m.tags else m.update.reach\n", mode="blocks")
    whole = block(*seven())
    index = bytes(whole.index)
    feed(bench.source.inlet, whole)
    assert [left.octets for left in bench.left] == [whole.octets]
    assert len(whole.index) == len(index)


@pytest.mark.parametrize("mode", MODES)
def test_false_drops(make, mode):
    bench = make("def update(m):\n    return m.update.origin_as % 2 == 1\n", mode=mode)
    assert prefixes(bench.send(*seven())) == ["1.0.0.0/8", "3.0.0.0/8", "5.0.0.0/8", "7.0.0.0/8"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "way", ["m.update = changed", "return changed", "return Message(2, changed.body)", "return [changed]"]
)
def test_changes(make, mode, way):
    bench = make(
        "from bgpipe import Message\n"
        "def update(m):\n"
        "    if m.update.origin_as == 65003:\n"
        "        changed = m.update.replace(attrs={'MED': 7})\n"
        f"        {way}\n",
        mode=mode,
    )
    left = bench.send(*seven())
    assert [each.update.med for each in left] == [None, None, 7, None, None, None, None]
    assert [each.seq for each in left] == list(range(1, 8))
    assert {each.direction for each in left} == {"R"}


@pytest.mark.parametrize("mode", MODES)
def test_several_in_the_place_of_one(make, mode):
    bench = make(
        "def update(m):\n"
        "    if m.update.origin_as == 65002:\n"
        "        u = m.update\n"
        "        return [u.replace(reach=['20.0.0.0/8']), m, u.replace(reach=['21.0.0.0/8'])]\n"
        "    if m.update.origin_as == 65004:\n"
        "        return ()\n",
        mode=mode,
    )
    left = bench.send(*seven()[:5])
    assert prefixes(left) == ["1.0.0.0/8", "20.0.0.0/8", "2.0.0.0/8", "21.0.0.0/8", "3.0.0.0/8", "5.0.0.0/8"]
    assert [each.seq for each in left] == [1, 2, 2, 2, 3, 5]
    assert bench.py.drops == {"dropped": 1}  # the messages that were added do not make up for it


def test_what_is_made_of_an_entry_of_a_rib_is_one(make):
    bench = make("def update(m):\n    return [m.update.replace(reach=['20.0.0.0/8']), m]\n", mode="messages")
    said = seven()[:2]
    for each in said:
        each.verdict |= FLAG_RIB
    assert [message.verdict & FLAG_RIB for message in bench.send(*said)] == [FLAG_RIB] * 4


@pytest.mark.parametrize("mode", MODES)
def test_tags_and_actions_are_kept(make, mode):
    bench = make(
        "def update(m):\n"
        "    if m.update.origin_as == 65002:\n"
        "        m.tags['policy'] = 'seen'\n"
        "    if m.update.origin_as == 65003:\n"
        "        m.action = 2\n",
        mode=mode,
    )
    left = bench.send(*seven()[:5])
    assert prefixes(left) == ["1.0.0.0/8", "2.0.0.0/8", "4.0.0.0/8", "5.0.0.0/8"]
    assert [each.tags for each in left] == [{}, {"policy": "seen"}, {}, {}]


@pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
def test_a_block_stays_whole_with_tags_and_edits(make):
    bench = make(
        "def update(m):\n"
        "    n = m.update.origin_as - 65000\n"
        "    if n == 4:\n"
        "        return False\n"
        "    if n % 2:\n"
        "        m.tags['n'] = str(n % 3)\n"
        "    if n > 2:\n"
        "        return m.update.replace(attrs={'MED': n})\n",
        mode="blocks",
    )
    left = bench.send(*seven())
    assert len(bench.left) == 1
    assert [each.tags.get("n") for each in left] == ["1", None, "0", "2", None, "1"]
    assert [each.update.med for each in left] == [None, None, 3, 5, 6, 7]


@pytest.mark.parametrize("mode", MODES)
def test_what_takes_the_place_of_messages_comes_where_they_were(make, mode):
    bench = make(
        "def update(m):\n"
        "    n = m.update.origin_as - 65000\n"
        "    m.tags['n'] = str(n) if n != 6 else ''\n"
        "    if n in (2, 5):\n"
        "        return [m, m.update]\n"
        "    return n != 3 and n != 7\n",
        mode=mode,
    )
    left = bench.send(*seven())
    assert [each.update.origin_as - 65000 for each in left] == [1, 2, 2, 4, 5, 5, 6]
    assert [each.tags["n"] for each in left] == ["1", "2", "2", "4", "5", "5", ""]


@pytest.mark.parametrize("mode", MODES)
def test_tags_of_one_policy_are_seen_by_the_next(tmp_path, mode):
    texts = ("m.tags['a'] = 'x'", "m.tags['b'] = m.tags['a'] + 'y'", "m.tags.clear()", "m.tags['c'] = str(len(m.tags))")
    stages = []
    for number, text in enumerate(texts):
        path = tmp_path / f"policy{number}.py"
        path.write_text(f"def update(m):\n    {text}\n")
        stages.append(stage(Py, name=f"py{number}"))
        stages[-1].arguments = [str(path)]
    for count, wanted in ((2, {"a": "x", "b": "xy"}), (3, {}), (4, {"c": "0"})):
        chain = stages[:count]
        source = stage(Feeder, "-R")
        pipeline = begin(source, *(copy_of(each) for each in chain))
        running = [each for each in pipeline.stages if isinstance(each, Py)]
        left: list[Any] = []
        pipeline.lines["R"].outputs.append(left.append)
        for each in running:
            asyncio.run(each.prepare())
        feed(source.inlet, *([block(*seven())] if mode == "blocks" else seven()))
        tags = [message.tags for item in left for message in ([item] if isinstance(item, Message) else item)]
        assert tags == [wanted] * 7
        for each in running:
            asyncio.run(each.stop())


def copy_of(py: Py) -> Py:
    """Another stage with the same file."""
    copy = stage(Py, name=py.name)
    copy.arguments = py.arguments
    return copy


def test_what_goes_on_meets_the_stages_behind(tmp_path):
    path = tmp_path / "policy.py"
    path.write_text("def update(m):\n    return [m, m.update.replace(attrs={'MED': 1})]\n")
    source, first, second = stage(Feeder, "-R"), stage(Py, name="first"), stage(Py, name="second")
    first.arguments = second.arguments = [str(path)]
    pipeline = begin(source, first, second)
    left: list[Any] = []
    pipeline.lines["R"].outputs.append(left.append)
    for each in (first, second):
        asyncio.run(each.prepare())
    feed(source.inlet, message())
    assert [each.update.med for each in left] == [None, 1, 1, 1]
    for each in (first, second):
        asyncio.run(each.stop())


# Which function is called


def test_functions_by_type(make):
    bench = make(
        "calls = []\n"
        "def update(m): calls.append(('update', m.type))\n"
        "def open(m): calls.append(('open', m.type, m.open.asn))\n"
        "def message(m): calls.append(('message', m.type))\n"
    )
    opened = Message(OPEN, Open(65001, 90, "10.0.0.1", ()).encode())
    assert len(bench.send(message(), opened, Message(KEEPALIVE))) == 3
    assert bench.module.calls == [("update", "UPDATE"), ("open", "OPEN", 65001), ("message", "KEEPALIVE")]


def test_message_takes_updates_where_there_is_no_update(make):
    bench = make("def message(m): return m.type != 'UPDATE'\n")
    assert [each.type for each in bench.send(message(), Message(KEEPALIVE))] == ["KEEPALIVE"]


def test_start_and_stop_and_arguments(make, tmp_path):
    bench = make(
        "def start(stage):\n    global words\n    words = stage.arguments[1:]\n"
        "def stop(stage):\n    words.append('stopped')\n"
        "def update(m): pass\n",
        arguments=["a", "b"],
    )
    words = bench.module.words
    assert words == ["a", "b"]
    asyncio.run(bench.py.stop())
    assert words == ["a", "b", "stopped"]


def test_each_session_has_a_state_of_its_own(make):
    text = "count = 0\ndef update(m):\n    global count\n    count += 1\n"
    first, second = make(text), make(text)
    first.send(*seven())
    second.send(message())
    assert (first.module.count, second.module.count) == (7, 1)


def test_own_imports_and_dataclasses(make, tmp_path):
    (tmp_path / "own_words_of_policy.py").write_text("LONGEST = 24\n")
    bench = make(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from own_words_of_policy import LONGEST\n"
        "@dataclass\nclass Seen:\n    count: int = 0\n"
        "seen = Seen()\n"
        "def update(m):\n"
        "    seen.count += 1\n"
        "    return all(prefix.length <= LONGEST for prefix in m.update.reach)\n"
    )
    try:
        assert prefixes(bench.send(message("10.0.0.0/25"), message("10.0.0.0/24"))) == ["10.0.0.0/24"]
        assert bench.module.seen.count == 2
    finally:
        sys.path.remove(str(tmp_path))


# Errors

FAILS = "def update(m):\n    if m.update.origin_as == 65002:\n        raise KeyError('gone')\n"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("how", "announced", "withdrawn"),
    [
        ("withdraw", ["1.0.0.0/8", "", "3.0.0.0/8"], ["", "9.0.0.0/8 2.0.0.0/8", ""]),
        ("pass", ["1.0.0.0/8", "2.0.0.0/8", "3.0.0.0/8"], ["", "9.0.0.0/8", ""]),
        ("drop", ["1.0.0.0/8", "3.0.0.0/8"], ["", ""]),
        ("kill", ["1.0.0.0/8"], [""]),
    ],
)
def test_on_error(make, mode, how, announced, withdrawn):
    bench = make(FAILS, f"--on-error {how}", mode)
    left = bench.send(seven()[0], message("2.0.0.0/8", 65002, ["9.0.0.0/8"]), seven()[2])
    assert prefixes(left) == announced
    assert [" ".join(map(str, each.update.withdrawn)) for each in left] == withdrawn
    assert [str(error) for error in bench.pipeline.errors] == (
        ["[2] py: policy.py:3: KeyError: 'gone'"] if how == "kill" else []
    )


def test_the_routes_are_withdrawn_unless_something_else_is_said(make):
    bench = make("def message(m): 1 / 0\n")
    left = bench.send(message(), Message(KEEPALIVE), Message(UPDATE, b"\0\1"))
    assert [each.update.format_json() for each in left] == ['{"unreach":["10.0.0.0/8"]}']


def test_an_error_is_told_once_and_counted(make):
    bench = make(FAILS + "    if m.update.origin_as == 65003:\n        int('x')\n")
    bench.send(*seven(), *(message(asn=65002) for _ in range(9)))
    assert bench.log.texts("error") == [
        "policy.py:3: KeyError: 'gone'",
        "policy.py:5: ValueError: invalid literal for int() with base 10: 'x'",
    ]
    assert [event.name for event in bench.events] == ["py/error"] * 11
    assert bench.events[0].values == ("policy.py:3",)
    assert all("exc_info" in fields for level, _, fields in bench.log.lines if level == "debug")
    asyncio.run(bench.py.stop())
    assert bench.log.texts("warning") == ["failed for 11 messages"]


@pytest.mark.parametrize("answer", ["7", "'drop'", "[None]", "{}", "(m, 5)"])
def test_answers_that_make_no_sense_are_errors(make, answer):
    bench = make(f"def update(m):\n    return {answer}\n", "--on-error pass")
    assert len(bench.send(message())) == 1
    (text,) = bench.log.texts("error")
    assert text.startswith("policy.py: TypeError: ")


def test_a_change_before_an_error_is_taken_back(make):
    bench = make("def update(m):\n    m.update = m.update.replace(reach=[])\n    1 / 0\n", "--on-error pass")
    assert prefixes(bench.send(message())) == ["10.0.0.0/8"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("def update(m)\n    pass\n", "policy.py:1: SyntaxError: expected ':'"),
        ("x = 1\n\0\n", "policy.py"),
    ],
)
def test_a_file_that_is_no_python_is_no_policy(make, text, error):
    with pytest.raises(ConfigError, match=error):
        make(text)


def test_a_file_that_is_not_there():
    with pytest.raises(ConfigError, match="No such file"):
        Bench(Path("no-such-policy.py"))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("import no_such_module_at_all\ndef update(m): pass\n", "policy.py:1: ModuleNotFoundError"),
        ("def start(stage):\n    return 1 / 0\ndef update(m): pass\n", "policy.py:2: ZeroDivisionError"),
        ("import sys\nsys.exit('no')\n", "policy.py:2: SystemExit: no"),
        ("x = 1\n", "policy.py: has no function"),
    ],
)
def test_a_file_that_cannot_start(make, text, error):
    modules = set(sys.modules)
    with pytest.raises(StageError, match=error):
        make(text)
    assert not [name for name in set(sys.modules) - modules if name.startswith("bgpipe_policy")]


# Loaded anew


def test_reload(make):
    bench = make("def update(m): return False\ndef stop(stage): stage.stopped = True\n")
    path = Path(bench.py.path)
    assert bench.send(message()) == []
    path.write_text("def update(m): return\n")
    bench.py.reload()
    assert bench.py.stopped
    assert len(bench.send(message())) == 1
    path.write_text("def update(m): return (\n")
    bench.py.reload()
    assert len(bench.send(message())) == 1
    (text,) = bench.log.texts("error")
    assert text.startswith("not loaded, the old one stays: policy.py:1: SyntaxError")


async def test_a_reload_takes_the_file_as_it_is_now(tmp_path):
    path = tmp_path / "policy.py"
    path.write_text("def update(m): return False\n")
    source, py = stage(Feeder, "-R"), stage(Py)
    py.arguments = [str(path)]
    begin(source, py)
    await py.prepare()
    py.pipeline.log = Log()
    path.write_text("def update(m): return True\n")
    reload_all(py.pipeline.log)
    assert py.policy.call(message()) is True
    await py.stop()
    path.write_text("def update(m): return False\n")
    reload_all(py.pipeline.log)
    assert py.policy.call(message()) is True, "it is over"


# From the command line


def test_on_an_archive(sample, tmp_path):
    path = tmp_path / "policy.py"
    path.write_text("import sys\ndef update(m): return m.update.origin_as != int(ARGUMENT)\ndef start(stage):\n"
                    "    global ARGUMENT\n    ARGUMENT = stage.arguments[1]\n")  # fmt: skip
    first = spawn(sample, "--", "write", "-").lines
    origin = next(line[4]["attrs"]["ASPATH"]["value"][-1] for line in first if "ASPATH" in line[4].get("attrs", {}))
    done = spawn(sample, "--", "py", "-A", path, str(origin), "--", "write", "-")
    assert done.code == 0
    expected = spawn(sample, "--", "drop", f"as_origin == {origin}", "--", "write", "-")
    assert len(done.lines) < len(first)
    assert done.out == expected.out


def test_kill_ends_the_process(sample, tmp_path):
    path = tmp_path / "policy.py"
    path.write_text("def update(m): raise ValueError('bad')\n")
    done = spawn(sample, "--", "py", "--on-error", "kill", path, "--", "write", "-")
    assert done.code == 1
    assert "policy.py:1: ValueError: bad" in done.err
    assert "Traceback" not in done.err


def test_the_traceback_is_for_those_who_ask(sample, tmp_path):
    path = tmp_path / "policy.py"
    path.write_text("def update(m):\n    deeper()\ndef deeper():\n    raise ValueError('bad')\n")
    done = spawn("-l", "debug", sample, "--", "py", path, "--", "write", "-")
    assert "in deeper" in done.err


@pytest.mark.parametrize("policy", ["communities", "prepend", "prefix_list"])
@pytest.mark.parametrize("words", [(), ("1",)])
def test_words_that_a_policy_wants_and_does_not_get(bgpipe, sample, policy, words):
    done = bgpipe(sample, "--", "py", "-A", EXAMPLES / f"{policy}.py", *words, "--", "head", "-n", "1")
    if policy == "prefix_list" and words:
        assert f"{policy}.py:" in done.err  # the word is the name of a file
    else:
        given = "1 follow it" if words else "none follows it"
        assert f"[2] py: {policy}.py: needs more words behind it, and {given} (say them with -A" in done.err
    assert "IndexError" not in done.err
    assert done.code == 1
