"""The speed table: bgpipe on this machine, beside the other tools found on it.

    python bench/bench.py [--runs N] [--json] [--only TEXT] [--against FOLDER]

Every figure is a whole process by the wall clock, output to /dev/null: the median of N runs, in which ours and the
others take turns, so that a ratio compares like with like. It prints; a slow machine is not a failure.

FOLDER is a checkout of another version, with its compiled part built in place. It is measured beside this one.

The archive is RouteViews' updates.20190101.0000, 15 times over, where ../shared/data has it, and else the sample.
Other tools: bgpdump, bgpgrep (ubgpsuite), and the Go bgpipe, as `bgpipe-go` on PATH or named by BGPIPE_GO.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from struct import Struct

import families

HERE = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("BGPIPE_SHARED", HERE.parent / "shared")) / "data"
WORK = HERE / "build" / "bench"
"""Prepared files, kept for the next time."""
PYTHON = sys.executable
SOURCES = HERE / "src"
COPIES = 15
FILES = {
    name: WORK / file
    for name, file in {
        "mrt": "updates.mrt",
        "gz": "updates.mrt.gz",
        "bz2": "updates.mrt.bz2",
        "json": "updates.json",
        "bmp": "updates.bmp",
        "dumps": "dumps.json",
        "looks": "looks.py",
        "tags": "tags.py",
        "once": "once.mrt",
        "few": "few.mrt",
        "prefixes": "prefixes.txt",
        "asns": "asns.txt",
        "rib": "rib.mrt",
        "vrps": "vrps.json",
        "million": "million.json",
        **{name: f"{name.lower().replace(' ', '-')}.mrt" for name in families.FAMILIES},
    }.items()
}
VRPS = {"vrps": 500_000, "million": 1_000_000}
"""VRPs in these files."""
COUNTS = WORK / "counts.json"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Modules are kept compiled, as those that are installed."""
WITHOUT_ACCEL = {"BGPIPE_ACCEL": "0", "BGPIPE_KERNEL": "0"}
"""Both names, for older versions."""

LOOK = """
import sys, bgpipe
total = 0
for message in bgpipe.read(sys.argv[1]):
    if message.type == "UPDATE":
        update = message.update
        total += len(update.reach) + len(update.withdrawn) + (update.origin_as or 0)
"""
POLICIES = {
    "looks": "def update(m):\n    m.update.origin_as, m.update.reach\n",
    "tags": "def update(m):\n    m.tags['seen'] = 'yes'\n",
}
LOOKUPS = """
import sys, time
from bgpipe import accel
from bgpipe.rpki.files import parse
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.wire.block import ENTRY, NO_PEER
from bgpipe.wire.update import Update
snapshot = parse(open(sys.argv[1], "rb").read(), 0.0).snapshot
routes = [vrp.prefix for vrp in snapshot.vrps(1)][::2][:400_000]
routes = [routes[at * 7919 % len(routes)] for at in range(len(routes))]
octets, index = b"", bytearray()
for start in range(0, len(routes), 600):
    body = Update.make(
        reach=list(dict.fromkeys(routes[start : start + 600])),
        attrs={"ORIGIN": "IGP", "ASPATH": [64500]}, next_hop="192.0.2.1",
    ).body
    index += ENTRY.pack(1, 1, len(octets), NO_PEER, len(body) + 19, 9, 0)
    octets += b"\\xff" * 16 + (len(body) + 19).to_bytes(2, "big") + b"\\2" + body
best, count = 9.0, 0
for _ in range(5):
    start = time.perf_counter()
    *_, counts = accel.rov.judge_block(snapshot.table, octets, index, b"", 0, 0, False, False)
    best, count = min(best, time.perf_counter() - start), sum(counts)
print(f"a lookup among {len(snapshot):,} VRPs: {best / count * 1e6:.3f} us", file=sys.stderr)
"""
"""Verdicts about prefixes in no order, with the time to read each from its message."""
INFLATE = {  # what decompression alone costs with the libraries that we use, on two cores
    "gz": """
import sys
from isal import igzip_threaded
with igzip_threaded.open(sys.argv[1], "rb", threads=1) as stream:
    while stream.read(1 << 20): pass
""",
    "bz2": """
import sys
from rapidgzip import IndexedBzip2File
with IndexedBzip2File(sys.argv[1], parallelization=2) as stream:
    while stream.read(1 << 20): pass
""",
}


@dataclass
class Run:
    """One command, to be timed."""

    name: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """seconds of processor time, of all threads: what a busy machine changes least"""
    peak: int = 0
    """octets of resident memory"""
    failure: str = ""


@dataclass
class Row:
    """One line of the table: the same work by several tools, ours first."""

    work: str
    count: int
    """how much work it is, in units; 0 where the figure is the time itself"""
    unit: str
    runs: list[Run]


def measure(run: Run) -> None:
    """Runs it once. This process has to be a small one: what it needs itself counts as the child's peak too."""
    started = time.perf_counter()
    with open(os.devnull, "r+b") as null:
        process = subprocess.Popen(
            run.argv, stdin=null, stdout=null, stderr=subprocess.PIPE, env={**ENVIRONMENT, **run.env}
        )
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.stderr.close()
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        run.failure = errors.decode(errors="replace").strip().splitlines()[-1:][0] if errors.strip() else "failed"
    run.seconds.append(seconds)
    run.cpu.append(usage.ru_utime + usage.ru_stime)
    run.peak = max(run.peak, usage.ru_maxrss * 1024)


MRT = Struct(">IHHI")


def scan(octets: bytes) -> tuple[int, int]:
    """(BGP messages, RIB entries) of an uncompressed MRT archive."""
    messages = entries = pos = 0
    while pos + 12 <= len(octets):
        _, kind, subtype, length = MRT.unpack_from(octets, pos)
        pos += 12
        if kind in (16, 17):
            messages += subtype not in (0, 5)
        elif kind == 13 and subtype in (2, 3, 4, 5):
            after = pos + 5 + (octets[pos + 4] + 7) // 8
            entries += int.from_bytes(octets[after : after + 2], "big")
        pos += length
    return messages, entries


def prepare() -> None:
    """Makes the files to work on, and counts what is in them. In a process of its own: see measure()."""
    WORK.mkdir(parents=True, exist_ok=True)
    real = DATA / "updates.20190101.0000.bz2"
    if real.exists():
        updates = bz2.decompress(real.read_bytes())
        rib = bz2.decompress((DATA / "rib.20140530.2200.bz2").read_bytes())
    else:
        from bgpipe.sample import write_sample

        made = write_sample(WORK, messages=60_000, compress=False)
        updates, rib = (path.read_bytes() for path in made)
    for name in families.FAMILIES:
        print(f"preparing {FILES[name].name} ...", file=sys.stderr)
        families.write_archive(name, FILES[name])
    few = 0
    for _ in range(500):
        few += 12 + MRT.unpack_from(updates, few)[3]
    FILES["few"].write_bytes(updates[:few])
    FILES["once"].write_bytes(updates)
    FILES["rib"].write_bytes(rib)
    FILES["mrt"].write_bytes(updates * COPIES)
    for name, compress in (("gz", gzip.compress), ("bz2", bz2.compress)):
        print(f"preparing {FILES[name].name} ...", file=sys.stderr)
        FILES[name].write_bytes(compress(updates * COPIES, 6))
    with FILES["json"].open("wb") as out:
        subprocess.run(
            [*command_of(SOURCES), "-o", "read", str(FILES["mrt"])], stdout=out, stderr=subprocess.DEVNULL, check=True
        )
    words = ["read", str(FILES["mrt"]), "--", "write", str(FILES["bmp"])]
    subprocess.run([*command_of(SOURCES), *words], stderr=subprocess.DEVNULL, check=True)
    with FILES["json"].open() as lines, FILES["dumps"].open("w") as out:
        out.writelines(json.dumps(json.loads(line)) + "\n" for line in lines)
    for name, count in VRPS.items():
        words = [str(HERE / "bench" / "rpki_data.py"), str(FILES["once"]), str(count), str(FILES[name])]
        subprocess.run([*python_of(SOURCES), *words], check=True)
    FILES["prefixes"].write_text(prefix_list(500_000))
    FILES["asns"].write_text("1-399999\n" + "".join(f"AS{400_000 + 7 * number}\n" for number in range(50_000)))
    for name, policy in POLICIES.items():
        FILES[name].write_text(policy)
    counts = {"messages": scan(updates)[0] * COPIES, "entries": scan(rib)[1], "real": real.exists()}
    COUNTS.write_text(json.dumps(counts))


def prefix_list(count: int) -> str:
    """Lines for so many prefixes, a tenth of them IPv6, and for all others."""
    lines = ["0.0.0.0/0 le 24", "::/0 le 48"]
    for number in range(count):
        four = f"{1 + (number >> 16)}.{number >> 8 & 0xFF}.{number & 0xFF}.0/24"
        lines.append(f"2a00:{1 + (number >> 12):x}:{1 + (number & 0xFFF):x}::/48" if number % 10 == 9 else four)
    return "\n".join(lines) + "\n"


def prepared() -> dict[str, int]:
    """What is in the files, which are made if they are not there."""
    missing = [file for file in (COUNTS, *FILES.values()) if not file.exists()]
    if missing or json.loads(COUNTS.read_text())["real"] != (DATA / "updates.20190101.0000.bz2").exists():
        subprocess.run([PYTHON, __file__, "--prepare"], check=True)
    counts: dict[str, int] = json.loads(COUNTS.read_text())
    return counts


def command_of(sources: Path) -> list[str]:
    """How the version whose sources these are is started."""
    return [*python_of(sources), "-m", "bgpipe"]


def python_of(sources: Path) -> list[str]:
    """A Python that imports the version whose sources these are."""
    return ["env", f"PYTHONPATH={sources.resolve()}", PYTHON]


def with_version(row: Row, sources: Path) -> Row:
    """The row with each run of ours also by another version, behind it."""
    runs = []
    for run in row.runs:
        runs.append(run)
        if f"PYTHONPATH={SOURCES}" in run.argv:
            argv = [f"PYTHONPATH={sources.resolve()}" if word.startswith("PYTHONPATH=") else word for word in run.argv]
            runs.append(replace(run, name=f"{run.name} of {sources.parent.name}"[:20], argv=argv, seconds=[], cpu=[]))
    return replace(row, runs=runs)


def others() -> dict[str, str]:
    """The other tools on this machine, by name."""
    go = os.environ.get("BGPIPE_GO") or shutil.which("bgpipe-go")
    found = {"Go bgpipe": go, "bgpgrep": shutil.which("bgpgrep"), "bgpdump": shutil.which("bgpdump")}
    return {name: path for name, path in found.items() if path}


def rows(peers: dict[str, str]) -> Iterator[Row]:
    counts = prepared()
    messages, entries = counts["messages"], counts["entries"]
    path = {name: str(file) for name, file in FILES.items()}

    def beside(
        *, go: list[str] | None = None, bgpgrep: list[str] | None = None, bgpdump: list[str] | None = None
    ) -> list[Run]:
        words = {"Go bgpipe": go, "bgpgrep": bgpgrep, "bgpdump": bgpdump}
        return [Run(name, [peers[name], *given]) for name, given in words.items() if given and name in peers]

    def ours(*words: str, **env: str) -> Run:
        return Run("bgpipe", [*command_of(SOURCES), *words], env)

    for name, work in (("mrt", "MRT to JSON"), ("gz", "the same from .gz"), ("bz2", "the same from .bz2")):
        file = path[name]
        more = beside(go=["-o", "read", file], bgpgrep=[file], bgpdump=["-m", file])
        if name in INFLATE:
            more.append(Run("decompression alone", [PYTHON, "-c", INFLATE[name], file]))
        yield Row(work, messages, "messages", [ours("-o", "read", file), *more])
    file = path["mrt"]
    for text, dump in (
        ("prefix ~ 45.160.0.0/12", ["-related", "45.160.0.0/12"]),
        ('aspath ~ ",6939,"', ["-aspath", "6939"]),
    ):
        words = ["-o", "read", file, "--", "grep", text]
        yield Row(f"MRT, {text}, JSON", messages, "messages", [ours(*words), *beside(go=words, bgpgrep=[file, *dump])])
    file = path["rib"]
    yield Row(
        "RIB to JSON",
        entries,
        "entries",
        [ours("-o", "read", file), *beside(go=["-o", "read", file], bgpgrep=[file], bgpdump=["-m", file])],
    )
    for name in families.FAMILIES:
        yield Row(f"{name} to JSON", families.MESSAGES, "messages", [ours("-o", "read", path[name])])
    words = ["read", file, "--", "write", "--format", "rib", "-"]
    yield Row("RIB to a table of routes", entries, "entries", [ours(*words)])
    words = ["read", path["mrt"], "--", "stdout", "--format", "bgpdump"]
    lines = beside(bgpgrep=[path["mrt"]], bgpdump=["-m", path["mrt"]])
    yield Row("MRT to lines of bgpdump", messages, "messages", [ours(*words), *lines])
    yield Row("BMP to JSON", messages, "messages", [ours("-o", "read", path["bmp"])])
    words = ["read", path["json"], "--", "write", "--format", "mrt", "-"]
    yield Row("JSON to MRT", messages, "messages", [ours(*words), *beside(go=words)])
    words = ["read", path["dumps"], "--", "write", "--format", "mrt", "-"]
    yield Row("JSON as json.dumps spells it, to MRT", messages, "messages", [ours(*words), *beside(go=words)])
    words = ["read", path["mrt"], "--", "grep", "ipv6", "--", "write", "--format", "mrt", "-"]
    yield Row("MRT, ipv6, MRT", messages, "messages", [ours(*words), *beside(go=words)])
    lists = ["--prefixes", path["prefixes"], "--origins", path["asns"]]
    for work, given in (("guard", []), ("guard, its lists of 500,000 prefixes and 50,000 AS numbers read", lists)):
        words = ["-o", "read", path["mrt"], "--", "guard", *given]
        yield Row(f"MRT, {work}, JSON", messages, "messages", [ours(*words)])
    for work, policy in (("looks", "looks"), ("sets a tag", "tags")):
        words = ["-o", "read", path["mrt"], "--", "py", path[policy]]
        yield Row(f"MRT, a policy in Python that {work}, JSON", messages, "messages", [ours(*words)])
    editors = {
        "update": "update --prepend 65000*3 --med 50 --add-com 65000:666 --drop-com 65535:*",
        "tag": "tag --add src=rv",
        "otc": "otc --role provider --tag=false",
        "otc, tags": "otc --role provider",
    }
    for work, text in editors.items():
        form = "json" if "tag" in work else "mrt"
        words = ["read", path["mrt"], "--", *text.split(), "--", "write", "--format", form, "-"]
        yield Row(f"MRT, {work}, {form.upper()}", messages, "messages", [ours(*words)])
    judges = {
        "rov": ["rov", "--invalid", "keep"],
        "rov --tag=false": ["rov", "--invalid", "keep", "--tag=false"],
        "rov --invalid withdraw": ["rov"],
        "rov --invalid split": ["rov", "--invalid", "split"],
        "rov --add-com rfc8097": ["rov", "--invalid", "keep", "--add-com", "rfc8097"],
        "aspa": ["aspa", "--role", "provider", "--peer-tag", "PEER_AS", "--invalid", "keep"],
        "rov and aspa": ["rov", "--invalid", "keep", "--", "aspa", "--role", "provider", "--peer-tag", "PEER_AS"],
    }
    for work, stage in judges.items():
        words = ["-o", "--rpki", path["vrps"], "read", path["mrt"], "--", *stage]
        yield Row(f"MRT, {work}, 500,000 VRPs, JSON", messages, "messages", [ours(*words), *beside(go=words)])
    yield Row("1,000,000 VRPs of JSON", VRPS["million"], "VRPs", [ours("rpki", "--rpki", path["million"])])
    yield Row(
        "400,000 lookups, five times", 0, "", [Run("bgpipe", [*python_of(SOURCES), "-c", LOOKUPS, path["million"]])]
    )
    words = ["-o", "read", path["once"]]
    yield Row("plain Python: MRT to JSON", messages // COPIES, "messages", [ours(*words, **WITHOUT_ACCEL)])
    looks = [Run("bgpipe.read", [*python_of(SOURCES), "-c", LOOK, path["mrt"]])]
    yield Row("for m in bgpipe.read(...): origin AS, prefixes", messages, "messages", looks)
    yield Row("bgpipe -h", 0, "", [ours("-h"), *beside(go=["-h"])])
    words = ["-o", "read", path["few"]]
    yield Row("a file of 500 messages", 0, "", [ours(*words), *beside(go=words, bgpdump=["-m", path["few"]])])
    yield Row(
        "import bgpipe",
        0,
        "",
        [Run("python", [*python_of(SOURCES), "-c", "import bgpipe"]), Run("python alone", [PYTHON, "-c", ""])],
    )


def show(row: Row) -> None:
    ours = median(row.runs[0].seconds)
    print(row.work)
    for run in row.runs:
        seconds = median(run.seconds)
        if run.failure:
            print(f"    {run.name:<20} failed: {run.failure}")
            continue
        figure = f"{row.count / seconds:>12,.0f} {row.unit}/s" if row.count else ""
        ratio = "" if run is row.runs[0] else f"   ours takes {ours / seconds:.2f} of its time"
        cost = f"{seconds:>8.3f} s {median(run.cpu):>8.3f} s cpu {run.peak / 1e6:>6.0f} MB"
        print(f"    {run.name:<20} {cost} {figure:<24}{ratio}")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="runs of each command (3)")
    parser.add_argument("--only", default="", help="only the rows whose name contains this")
    parser.add_argument("--json", action="store_true", help="one JSON object per row")
    parser.add_argument("--against", type=Path, help="a checkout of another version, to be measured beside this one")
    parser.add_argument("--prepare", action="store_true", help="only make the files to work on, in build/bench")
    options = parser.parse_args()
    if options.prepare:
        prepare()
    for row in [] if options.prepare else rows(others()):
        if options.only not in row.work:
            continue
        if options.against:
            row = with_version(row, options.against / "src")
        for _ in range(options.runs):
            for run in row.runs:
                measure(run)
        if options.json:
            print(json.dumps(asdict(row)), flush=True)
        else:
            show(row)


if __name__ == "__main__":
    main()
