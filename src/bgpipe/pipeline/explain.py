"""The text of --explain: which stages get which messages, in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote

from ..wire.message import TYPE_NAMES
from .callback import Callback
from .pipeline import Pipeline
from .stage import Stage

_PLAIN = ("", "", "")
_COLOURS = ("\x1b[1m", "\x1b[36m", "\x1b[0m")
"""heading, stage, end"""


def explain(pipeline: Pipeline, *, colours: bool = False) -> str:
    """What `bgpipe --explain` prints: for each direction the stages in the order in which messages meet them."""
    heading, name, end = _COLOURS if colours else _PLAIN
    row = sorted((stage for stage in pipeline.stages if not stage.hidden), key=lambda stage: stage.index)
    lines = [f"{heading}--> MESSAGES FLOWING RIGHT -->{end}"]
    lines += _direction(row, "R", name, end)
    lines += ["", f"{heading}<-- MESSAGES FLOWING LEFT <--{end}"]
    lines += _direction(row[::-1], "L", name, end)
    if pipeline.merges:
        lines += ["", "inputs are read side by side, and merged by time"]
    if any(stage.hidden and stage.uses == "stdout" for stage in pipeline.stages):
        lines += ["", "what leaves the pipeline is printed to standard output"]
    return "\n".join(lines) + "\n"


def _direction(row: Sequence[Stage], direction: str, name: str, end: str) -> list[str]:
    lines = []
    for stage in row:
        told = list(_stage(stage, direction))
        if told:
            lines.append(
                f"  [{stage.index}] {name}{stage.name}{end} {' '.join(map(quote, stage.shown_words()))}".rstrip()
            )
            lines += [f"      {line}" for line in told]
    return lines or ["  (none)"]


def _stage(stage: Stage, direction: str) -> Iterator[str]:
    if direction in stage.watched and stage.callbacks:
        yield f"reads messages from pipeline callbacks={len(stage.callbacks)} types=[{_types(stage.callbacks)}]"
    if inputs := [inlet for inlet in stage.inputs if direction in inlet.lines and inlet.own]:
        yield f"writes messages to pipeline inputs={len(inputs)}"
    if (handled := stage.handled_events) and direction in stage.directions:
        yield f"handles events handlers={len(handled)} types=[{' '.join(handled)}]"


def _types(callbacks: Sequence[Callback]) -> str:
    if any(callback.types is None for callback in callbacks):
        return "ALL"
    codes = sorted(code for callback in callbacks for code in callback.types or ())
    return " ".join(TYPE_NAMES.get(code, str(code)) for code in codes)
