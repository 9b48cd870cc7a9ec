"""Counts of what a pipeline has read: a summary at the end, and progress on a terminal meanwhile."""

from __future__ import annotations

import asyncio
import sys

from ..pipeline.pipeline import Pipeline
from ..pipeline.stage import Progress

REFRESH = 0.25
"""Seconds between two updates of the progress."""
QUIET = 1.0
"""Progress is shown only after this many seconds."""


def progress(pipeline: Pipeline) -> list[Progress]:
    """How much each stage that reads a stream has read."""
    return [found for stage in pipeline.stages if (found := stage.progress()) is not None]


def summary(pipeline: Pipeline, seconds: float) -> dict[str, str]:
    """Numbers of records, messages, skipped records by kind, and damaged ones, of all sources together."""
    counts = progress(pipeline)
    kinds: dict[str, int] = {}
    for count in counts:
        for kind, number in count.kinds.items():
            kinds[kind] = kinds.get(kind, 0) + number
    messages = sum(count.messages for count in counts)
    skipped = sum(count.skipped for count in counts)
    fields = {
        "records": f"{sum(count.records for count in counts):,}",
        "messages": f"{messages:,}",
        "states": f"{sum(count.states for count in counts):,}",
        "skipped": f"{skipped:,}" + (f" ({list_kinds(kinds)})" if kinds else ""),
        "damaged": f"{sum(count.damages for count in counts):,}",
        "malformed": f"{pipeline.malformed_messages:,}",
        "seconds": f"{seconds:.2f}",
        "rate": f"{messages / max(seconds, 1e-3):,.0f}/s",
    }
    return {key: value for key, value in fields.items() if value != "0" or key not in ("states", "malformed")}


def list_kinds(kinds: dict[str, int]) -> str:
    most = sorted(kinds.items(), key=lambda item: -item[1])
    return ", ".join(f"{kind} {number:,}" for kind, number in most)


async def show_progress(pipeline: Pipeline) -> None:
    """Shows a bar with rate and remaining time on standard error until it is cancelled."""
    await asyncio.sleep(QUIET)
    import rich.progress
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None, rate="")
        seen, loop = 0, asyncio.get_running_loop()
        then = loop.time()
        while True:
            counts = progress(pipeline)
            sizes = [count.total for count in counts if count.total is not None or count.position]
            messages = sum(count.messages for count in counts)
            now = loop.time()
            rate = f"{messages:,} messages, {(messages - seen) / max(now - then, 1e-3):,.0f}/s"
            seen, then = messages, now
            total = sum(size for size in sizes if size is not None) if None not in sizes else None
            done = sum(count.position for count in counts)
            bar.update(task, total=total, completed=done, rate=rate)
            await asyncio.sleep(REFRESH)


def wants_progress(pipeline: Pipeline) -> bool:
    """Whether there is a terminal for progress, to which no messages are printed."""
    prints = any(stage.uses == "stdout" for stage in pipeline.stages)
    return sys.stderr.isatty() and not (prints and sys.stdout.isatty())
