"""Random command lines over one archive, and a process that runs them: with and without accel the same must come of it.

python tests/random_command_lines.py < cases.json        one JSON line for each case: exit code, outputs, events, counts
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from contextlib import redirect_stderr
from pathlib import Path
from random import Random
from typing import Any

from random_words import WORDS, metrics_rules

FORMATS = ("json", "mrt", "raw", "bmp", "obmp", "bgpdump", "exa", "rib")
FILTERS = ("ipv4", "ipv6", "aspath_len > 4", "aspath_len <= 3", "prefix ~ 64.0.0.0/3", "med", "reach", "unreach")
COUNTER = """
import json
from collections import Counter
counts = Counter()
def message(m):
    counts[m.type] += 1
def update(m):
    counts["prefixes"] += len(m.update.reach)
    if {tag!r}:
        m.tags["seen"] = {tag!r}
def stop(stage):
    events = {{name: n for name, n in stage.pipeline.events.items() if not name.endswith("/STOP")}}
    with open({path!r}, "w") as file:
        json.dump([counts, events, stage.pipeline.malformed_messages], file)
"""


def make_case(random: Random) -> list[list[str]]:
    """The stages behind `read`, each with its words; $N in a word stands for a file of the case.

    Before a program that a `head` follows stands nothing that counts: how much the program has been given by the time
    the head has seen enough is up to the program.
    """
    stages: list[list[str]] = []
    count = random.randint(2, 5)
    for number in range(count):
        kind = random.choice(("grep", "drop", "head", "write", "py", "exec", "limit", "py", "head", "metrics", *WORDS))
        if kind in ("grep", "drop"):
            words = [kind, *random.choice(([], ["--narrow"], ["--event-match", "hit"], ["--if", "aspath_len > 2"]))]
            stages.append([*words, random.choice(FILTERS)])
        elif kind == "head":
            words = ["--if", random.choice(FILTERS)] if random.random() < 0.3 else []
            stages.append(["head", "-n", str(random.choice((1, 7, 100, 999))), *words])
        elif kind == "write":
            form = random.choice(FORMATS)
            words = random.choice(([], ["--type", "update"], ["--if", random.choice(FILTERS)]))
            stages.append(["write", "--format", form, *words, f"${number}"])
        elif kind == "py":
            stages.append(["py", f"${number}.py"])
        elif kind == "exec":
            stages.append(["exec", "cat"])
        elif kind == "metrics":
            stages.append(["metrics", "--output", f"${number}", *metrics_rules(random)])
        elif kind in WORDS:
            condition = ["--if", random.choice(FILTERS)] if random.random() < 0.3 else []
            stages.append([*WORDS[kind](random), *condition])
        else:
            stages.append(["limit", "-46", "--max-length", str(random.choice((20, 24)))])
    programs = [number for number, words in enumerate(stages) if words[0] == "exec"]
    heads = [number for number, words in enumerate(stages) if words[0] == "head"]
    counted_from = max((number for number in programs if heads and heads[-1] > number), default=-1)
    stages = [
        words for n, words in enumerate(stages) if n >= counted_from or words[0] in ("exec", "head", "grep", "drop")
    ]
    return [*stages, ["write", "--format", "json", "$last"]]


READ_AHEAD = (b"#", b"bgpipe_line_entered_", b"bgpipe_read_", b'bgpipe_dropped_messages_total{stage="head')
"""lines of metrics that tell, too, how far an input has read ahead of a `head`: that may differ"""


def comparable(octets: bytes) -> bytes:
    """The octets of an output; of metrics, those that must not differ."""
    if not octets.startswith(b"# HELP"):
        return octets
    return b"\n".join(line for line in octets.splitlines() if not line.startswith(READ_AHEAD))


def run_case(stages: list[list[str]], archive: str, folder: Path) -> dict[str, Any]:
    """What comes of a case."""
    from bgpipe.cli.main import main

    words = ["-e", "NONE", "--rpki", archive + ".rpki", "read", archive]
    for stage in stages:
        words.append("--")
        for word in stage:
            path = str(folder / word[1:]) if word.startswith("$") else word
            if path.endswith(".py"):
                Path(path).write_text(COUNTER.format(tag="a" if "2" in word else "", path=path + ".counts"))
            words.append(path)
    with open(folder / "log", "w") as log, redirect_stderr(log):
        code = main(words)
    outputs = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".counts":
            outputs[path.name] = json.loads(path.read_text())
        elif path.suffix != ".py" and path.name != "log" and path.is_file():
            octets = comparable(path.read_bytes())
            outputs[path.name] = [len(octets), hashlib.sha256(octets).hexdigest()[:16]]
    return {"code": code, "outputs": outputs, "log": (folder / "log").read_text()[-500:] if code else ""}


def run_all() -> None:
    cases, archive = json.load(sys.stdin)
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(run_case(case, archive, Path(folder))), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "src"))
    run_all()
